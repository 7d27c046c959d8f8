//! The security contexts of WinRM, both ends: who the peer is, and bodies that only the peer can read.
//!
//! * [`client::start`] makes the `Authorization` headers of a client and reads the answers.
//! * [`server::Acceptor`] reads the `Authorization` headers of a client and makes the answers; it asks
//!   its caller to run the Kerberos AP exchange and to verify NTLM proofs, so that the keys can live in another
//!   process.
//! * Either ends in a [`Sealer`], which turns HTTP bodies into `multipart/encrypted` and back.
//! * [`spnego`], [`ntlm`] and [`credssp`] are the mechanisms, [`http`] the headers, [`describe`] turns tokens into text for people.
//!
//! Nothing here does input or output, reads a clock or makes randomness.
#![forbid(unsafe_code)]

mod basic;
mod certificate;
pub mod client;
mod context;
pub mod credssp;
mod der;
pub mod describe;
mod error;
mod hex;
pub mod http;
pub mod ntlm;
mod sealed;
pub mod server;
pub mod spnego;
mod user_name;

#[doc(hidden)]
pub mod fuzz;

pub use basic::BasicCredentials;
pub use certificate::{tls_server_end_point, user_principal_name};
pub use context::{ContextError, SecurityContext, Wrapped};
pub use der::DerError;
pub use error::Error;
pub use hex::parse_fingerprint;
pub use sealed::{BodyClass, Sealed, SealedBodyError, Sealer, Unsealed};
pub use spnego::Mechanism;
pub use user_name::UserName;
