//! CredSSP ([MS-CSSP]): authenticates by SPNEGO inside TLS, binds the two together by the server's public key, and
//! then hands the server the user's password.
//!
//! * The client: [`Initiator::start`] → [`ExpectReply`] → [`NeedConsent`], where the caller decides whether this
//!   server may have the password → [`ExpectAcceptance`].
//! * The server: [`Acceptor`], which asks its caller to run Kerberos and to verify NTLM proofs.
//! * TLS comes as a [`TlsPipe`]; [`tls`] makes one of rustls.

mod binding;
mod client;
mod password;
mod server;
pub mod tls;
pub(crate) mod ts_request;

use std::fmt;

pub use client::{
    ExpectAcceptance, ExpectReply, Initiate, Initiator, InitiatorOptions, NeedConsent, ServerProof,
};
pub use password::DelegatedPassword;
pub use server::{Accept, Acceptor, AcceptorOptions, NeedKerberos, NeedNtlm, Refused};
pub use tls::{CertificateTrust, TlsContext, TlsError, TlsPipe};

use crate::DerError;

/// Credentials: decode, encode, decode again.
pub(crate) fn fuzz_password(data: &[u8]) {
    if let Ok(sent) = DelegatedPassword::decode(data) {
        let again = DelegatedPassword::decode(&sent.encode()).map(|again| (again.name, again.password));
        assert_eq!(again, Ok((sent.name, sent.password)));
    }
}

/// The newest version of the protocol, which this crate speaks.
pub const NEWEST_VERSION: u32 = 6;

/// The oldest version that binds TLS and authentication safely (CVE-2018-0886).
pub const SAFE_VERSION: u32 = 5;

/// CredSSP that did not come about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredSspError {
    /// TLS failed.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A message that cannot be read.
    #[error("malformed CredSSP message: {0}")]
    Malformed(#[from] DerError),
    /// The peer speaks an old version only, or somebody lowered it on the way.
    #[error("the peer speaks CredSSP version {got}, expected at least {minimum}")]
    Version {
        /// The version that both ends have.
        got: u32,
        /// The oldest that is allowed.
        minimum: u32,
    },
    /// The peer named another version than before.
    #[error("the peer changed its CredSSP version from {first} to {then}")]
    VersionChanged {
        /// The version in its first message.
        first: u32,
        /// The version that came now.
        then: u32,
    },
    /// Version 5 and later bind with a nonce of 32 bytes.
    #[error("the nonce that binds TLS and authentication is missing or has not 32 bytes")]
    Nonce,
    /// The peer did not see the public key that this end sees.
    #[error("the public key of the TLS connection was not confirmed: the connection ends at somebody else")]
    PublicKey,
    /// There is NTLM only, and the server does not prove its name by a certificate.
    #[error("only NTLM is left, and the server's certificate does not prove its name{}", detail(certificate))]
    NtlmUnproven {
        /// What was wrong with the certificate.
        certificate: CertificateTrust,
    },
    /// The TLS connection has no certificate.
    #[error("the TLS connection has no server certificate")]
    NoCertificate,
    /// The peer ended the exchange with a status.
    #[error("the peer refused: {0}")]
    Peer(NtStatus),
    /// Something else than a password was delegated.
    #[error("delegated credentials of type {0} are not supported, expected a password (1)")]
    CredentialType(i64),
    /// TLS can seal bodies but not sign.
    #[error("CredSSP has no signatures")]
    NoSignatures,
}

fn detail(certificate: &CertificateTrust) -> String {
    match certificate {
        CertificateTrust::NotVerified(reason) => format!(" ({reason})"),
        _ => String::new(),
    }
}

/// A status of Windows ([MS-ERREF] 2.3.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NtStatus(pub u32);

impl NtStatus {
    /// Access denied.
    pub const ACCESS_DENIED: NtStatus = NtStatus(0xc000_0022);
    /// User name or password is wrong.
    pub const LOGON_FAILURE: NtStatus = NtStatus(0xc000_006d);
    /// The account may not log on here or now.
    pub const ACCOUNT_RESTRICTION: NtStatus = NtStatus(0xc000_006e);
    /// The password has expired.
    pub const PASSWORD_EXPIRED: NtStatus = NtStatus(0xc000_0071);
    /// The account is disabled.
    pub const ACCOUNT_DISABLED: NtStatus = NtStatus(0xc000_0072);
    /// What was asked for is not supported.
    pub const NOT_SUPPORTED: NtStatus = NtStatus(0xc000_00bb);
    /// The clocks differ too much.
    pub const TIME_DIFFERENCE_AT_DC: NtStatus = NtStatus(0xc000_0133);
    /// The account is locked out.
    pub const ACCOUNT_LOCKED_OUT: NtStatus = NtStatus(0xc000_0234);
    /// The password must be changed.
    pub const PASSWORD_MUST_CHANGE: NtStatus = NtStatus(0xc000_0224);
    /// NTLM is blocked.
    pub const NTLM_BLOCKED: NtStatus = NtStatus(0xc000_0418);

    /// The specification's name, if it is one of the usual.
    pub fn name(self) -> Option<&'static str> {
        [
            (Self::ACCESS_DENIED, "STATUS_ACCESS_DENIED"),
            (Self::LOGON_FAILURE, "STATUS_LOGON_FAILURE"),
            (Self::ACCOUNT_RESTRICTION, "STATUS_ACCOUNT_RESTRICTION"),
            (Self::PASSWORD_EXPIRED, "STATUS_PASSWORD_EXPIRED"),
            (Self::ACCOUNT_DISABLED, "STATUS_ACCOUNT_DISABLED"),
            (Self::NOT_SUPPORTED, "STATUS_NOT_SUPPORTED"),
            (Self::TIME_DIFFERENCE_AT_DC, "STATUS_TIME_DIFFERENCE_AT_DC"),
            (Self::ACCOUNT_LOCKED_OUT, "STATUS_ACCOUNT_LOCKED_OUT"),
            (Self::PASSWORD_MUST_CHANGE, "STATUS_PASSWORD_MUST_CHANGE"),
            (Self::NTLM_BLOCKED, "STATUS_NTLM_BLOCKED"),
        ]
        .into_iter()
        .find_map(|(status, name)| (status == self).then_some(name))
    }
}

impl fmt::Display for NtStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({:#010x})", self.0),
            None => write!(f, "status {:#010x}", self.0),
        }
    }
}

impl fmt::Debug for NtStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
