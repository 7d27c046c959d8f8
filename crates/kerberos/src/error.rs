//! What can go wrong.

use std::time::{Duration, SystemTime};

use crate::{EncryptionType, ErrorCode, KdcError, Principal};

/// Every failure of this crate.
///
/// No variant carries keys, passwords or decrypted text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not the message they should be.
    #[error("malformed {what}: {detail}")]
    Malformed {
        /// The message's name in RFC 4120 or RFC 4121.
        what: &'static str,
        /// What the decoder stumbled over.
        detail: String,
    },
    /// A well-formed message in the wrong place.
    #[error("expected {expected}, got {got}")]
    Unexpected {
        /// What should have come.
        expected: &'static str,
        /// What came.
        got: String,
    },
    /// Decryption or a checksum failed: another key, or altered bytes.
    #[error("integrity check failed on {0}")]
    Integrity(&'static str),
    /// The encryption type cannot be used here.
    #[error("encryption type {0} is not supported")]
    UnsupportedEncryptionType(EncryptionType),
    /// A key whose length does not fit its encryption type.
    #[error("a key of type {etype} has {expected} bytes, got {got}")]
    KeyLength {
        /// The type the key claims.
        etype: EncryptionType,
        /// Its length in bytes.
        expected: usize,
        /// The length that came.
        got: usize,
    },
    /// String-to-key parameters outside what RFC 3962 and good sense allow.
    #[error("unacceptable string-to-key parameters: {0}")]
    StringToKeyParameters(String),
    /// The KDC offers no encryption type that we have.
    #[error("the kdc offers no common encryption type (offered: {0:?})")]
    NoCommonEncryptionType(Vec<i32>),
    /// The KDC, or an acceptor, answered with a KRB-ERROR.
    #[error(transparent)]
    Kdc(#[from] Box<KdcError>),
    /// The KDC asks for preauthentication that this client does not have.
    #[error("the kdc asks for preauthentication of types {0:?}, none of which is supported")]
    PreauthUnsupported(Vec<i32>),
    /// The keytab or caller has no key for this.
    #[error("no key for {principal} with encryption type {etype}")]
    NoKey {
        /// The principal looked for.
        principal: Principal,
        /// The encryption type looked for.
        etype: EncryptionType,
        /// The key version looked for, if the sender named one.
        kvno: Option<u32>,
    },
    /// A reply that answers something else than the request.
    #[error("the reply does not belong to the request: {0}")]
    ReplyMismatch(String),
    /// The peer's clock and ours are too far apart.
    #[error("clock skew too great: the peer's clock reads {} than ours by {} s", if *ahead { "later" } else { "earlier" }, skew.as_secs())]
    ClockSkew {
        /// How far apart.
        skew: Duration,
        /// The peer's clock is ahead of ours.
        ahead: bool,
    },
    /// The ticket is past its end time.
    #[error("the ticket expired")]
    TicketExpired {
        /// Its end time.
        end_time: SystemTime,
    },
    /// The ticket's start time is still to come, or it must be validated first.
    #[error("the ticket is not yet valid")]
    TicketNotYetValid,
    /// The ticket is bound to addresses.
    #[error("the ticket is not valid for this address")]
    BadAddress,
    /// The ticket is for somebody else.
    #[error("the ticket is for {got}, not for {expected}")]
    WrongServer {
        /// The acceptor's own name.
        expected: String,
        /// The name in the ticket.
        got: Principal,
    },
    /// Authenticator and ticket name different clients.
    #[error("the authenticator names {authenticator}, the ticket {ticket}")]
    ClientMismatch {
        /// The name in the authenticator.
        authenticator: Principal,
        /// The name in the ticket.
        ticket: Principal,
    },
    /// The authenticator was seen before.
    #[error("replayed authenticator")]
    Replay,
    /// Too many authenticators within the clock skew to remember another.
    #[error("the replay cache is full")]
    ReplayCacheFull,
    /// Channel bindings are there on both sides and differ.
    #[error("the channel bindings do not match: the connection may end at somebody else")]
    ChannelBindingsMismatch,
    /// Channel bindings are demanded and the client sent none.
    #[error("the client sent no channel bindings and they are required")]
    ChannelBindingsMissing,
    /// A token whose sequence number was seen before.
    #[error("duplicate token")]
    DuplicateToken,
    /// A token so old that the window no longer covers it.
    #[error("old token")]
    OldToken,
    /// Tokens were missed or came in another order.
    #[error("token out of sequence: expected {expected}, got {got}")]
    OutOfSequence {
        /// The next sequence number.
        expected: u64,
        /// The token's.
        got: u64,
    },
    /// The peer did not prove who it is although that was asked for.
    #[error("no mutual authentication: {0}")]
    NoMutualAuthentication(&'static str),
    /// A limit of this implementation.
    #[error("{what} exceeds the limit of {limit}")]
    Limit {
        /// What is too large.
        what: &'static str,
        /// The most there may be.
        limit: usize,
    },
    /// The caller asked for what does not go together.
    #[error("{0}")]
    Usage(&'static str),
}

impl From<KdcError> for Error {
    fn from(error: KdcError) -> Self {
        Self::Kdc(Box::new(error))
    }
}

impl Error {
    /// The code a KRB-ERROR about this has (RFC 4120 7.5.9).
    pub fn kerberos_code(&self) -> ErrorCode {
        match self {
            Self::Malformed { .. } | Self::Unexpected { .. } => ErrorCode::KRB_AP_ERR_MSG_TYPE,
            Self::Integrity(_) => ErrorCode::KRB_AP_ERR_BAD_INTEGRITY,
            Self::UnsupportedEncryptionType(_) | Self::NoCommonEncryptionType(_) => {
                ErrorCode::KDC_ERR_ETYPE_NOSUPP
            }
            Self::Kdc(error) => error.code,
            Self::NoKey { kvno: Some(_), .. } => ErrorCode::KRB_AP_ERR_BADKEYVER,
            Self::NoKey { .. } => ErrorCode::KRB_AP_ERR_NOKEY,
            Self::ClockSkew { .. } => ErrorCode::KRB_AP_ERR_SKEW,
            Self::TicketExpired { .. } => ErrorCode::KRB_AP_ERR_TKT_EXPIRED,
            Self::TicketNotYetValid => ErrorCode::KRB_AP_ERR_TKT_NYV,
            Self::BadAddress => ErrorCode::KRB_AP_ERR_BADADDR,
            Self::WrongServer { .. } => ErrorCode::KRB_AP_ERR_NOT_US,
            Self::ClientMismatch { .. } => ErrorCode::KRB_AP_ERR_BADMATCH,
            Self::Replay => ErrorCode::KRB_AP_ERR_REPEAT,
            Self::ChannelBindingsMismatch | Self::ChannelBindingsMissing => ErrorCode::KRB_AP_ERR_MODIFIED,
            _ => ErrorCode::KRB_ERR_GENERIC,
        }
    }
}
