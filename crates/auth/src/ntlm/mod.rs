//! NTLM ([MS-NLMP]), as little of it as can be defended: NTLMv2 with extended session security, key exchange,
//! 128-bit sealing and a MIC. LM, NTLMv1, anonymous sessions and OEM text are refused.
//!
//! * The client: [`Initiator`] → [`ExpectChallenge`] → [`Context`].
//! * The server: [`Acceptor`] → [`ExpectAuthenticate`] → [`Unverified`], which asks a [`Question`] of whoever
//!   knows the password's hash → [`Context`].

mod av;
mod client;
mod context;
mod crypto;
mod hash_file;
pub(crate) mod message;
mod server;
mod winbind;

pub use av::AvId;
pub(crate) use av::{AvFlags, AvPairs};
pub use client::{Credential, ExpectChallenge, Initiator, InitiatorOptions};
pub use context::Context;
pub use crypto::{NtHash, SessionBaseKey};
pub use hash_file::HashFile;
pub use message::Flags;
pub use server::{Acceptor, AcceptorOptions, ExpectAuthenticate, Question, Unverified, Verifier};
pub use winbind::NtlmServer1;

/// What every message begins with.
pub(crate) const SIGNATURE: &[u8; 8] = b"NTLMSSP\0";

/// The largest message that is read, in bytes. Windows's own stay below 3000.
pub const MAX_MESSAGE: usize = 32 * 1024;

/// NTLM that did not come about, or a message that broke it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NtlmError {
    /// Bytes that are not the message they should be.
    #[error("malformed NTLM message: {0}")]
    Malformed(&'static str),
    /// A message that is larger than any legitimate one.
    #[error("NTLM message of {got} bytes, expected at most {limit}")]
    TooLarge {
        /// Its size in bytes.
        got: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The peer does not have what a safe session needs, or somebody took it off the list.
    #[error("the peer does not offer {0}: an old peer, or somebody lowered the protection on the way")]
    Weak(&'static str),
    /// A response of NTLM version 1, or none.
    #[error("the response is not NTLMv2")]
    NotV2,
    /// Nobody.
    #[error("anonymous NTLM is refused")]
    Anonymous,
    /// The proof does not fit the user's password, or there is no such user.
    #[error("user name or password is wrong")]
    WrongCredentials,
    /// Whoever verifies proofs refused and said why, or could not be asked.
    #[error("the proof was not verified: {0}")]
    Verifier(String),
    /// The messages are not protected although they have to be.
    #[error("the NTLM messages are not protected: the MIC is missing")]
    MicMissing,
    /// Somebody altered one of the three messages.
    #[error("the NTLM messages were altered on the way: the MIC is wrong")]
    MicWrong,
    /// The proof was made for another TLS connection.
    #[error("the channel bindings do not match: the connection may end at somebody else")]
    BindingsMismatch,
    /// Channel bindings are demanded and the client sent none.
    #[error("the client sent no channel bindings and they are required")]
    BindingsMissing,
    /// The proof was made for another service.
    #[error("the client authenticates to {got:?}, which is not this service")]
    WrongTarget {
        /// The service principal name that the client meant, shortened.
        got: String,
    },
    /// The client must name the service it means, and did not.
    #[error("the client does not name the service it authenticates to")]
    TargetMissing,
    /// A message of the session that is forged or altered. The session cannot go on.
    #[error("integrity check failed on an NTLM message")]
    Integrity,
    /// A message of the session that is repeated, lost or out of order.
    #[error("NTLM message out of sequence: expected {expected}, got {got}")]
    OutOfSequence {
        /// The number that is due.
        expected: u32,
        /// The message's number.
        got: u32,
    },
}
