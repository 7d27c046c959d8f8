use crate::{ContextError, DerError, credssp::CredSspError, http::Scheme, ntlm::NtlmError};

/// Authentication that did not come about.
///
/// Nothing in an error tells a secret; the texts of peers are shortened to what a log line can hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A header that is not `SCHEME base64`.
    #[error("malformed authentication header: {0}")]
    Header(&'static str),
    /// A scheme that is not offered here.
    #[error("authentication scheme {got:?} is not supported here")]
    Scheme {
        /// What the peer named.
        got: String,
    },
    /// A token that is larger than any legitimate one.
    #[error("authentication token of {got} bytes, expected at most {limit}")]
    TooLarge {
        /// Its size in bytes.
        got: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A SPNEGO token that cannot be read.
    #[error("malformed SPNEGO token: {0}")]
    Malformed(#[from] DerError),
    /// The peer's token belongs to another step of the exchange.
    #[error("expected {expected}, got {got}")]
    Unexpected {
        /// What belongs here.
        expected: &'static str,
        /// What came.
        got: &'static str,
    },
    /// No mechanism that both ends have.
    #[error("no common mechanism: the peer offers {offered}")]
    NoCommonMechanism {
        /// The peer's mechanisms, for people.
        offered: String,
    },
    /// The server refused and said no more.
    #[error("the server refused the credentials")]
    Rejected,
    /// The server answered without proving its own identity.
    #[error("the server did not prove its identity")]
    NotMutual,
    /// The server does not offer the scheme that is wanted.
    #[error("the server offers {offered}, expected {expected}")]
    NotOffered {
        /// The schemes that it offers, or "no authentication".
        offered: String,
        /// The scheme that is wanted.
        expected: Scheme,
    },
    /// The list of mechanisms was not protected although it had to be (RFC 4178 section 5).
    #[error("the mechanism list is not protected: mechListMIC is missing")]
    MicMissing,
    /// Kerberos refused; the reason is inside.
    #[error(transparent)]
    Kerberos(#[from] hop_kerberos::Error),
    /// NTLM refused; the reason is inside.
    #[error(transparent)]
    Ntlm(#[from] NtlmError),
    /// CredSSP refused; the reason is inside.
    #[error(transparent)]
    CredSsp(#[from] CredSspError),
}

impl From<ContextError> for Error {
    fn from(error: ContextError) -> Self {
        match error {
            ContextError::Kerberos(error) => Self::Kerberos(error),
            ContextError::Ntlm(error) => Self::Ntlm(error),
            ContextError::CredSsp(error) => Self::CredSsp(error),
        }
    }
}
