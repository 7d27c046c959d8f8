//! Kerberos 5, sans-IO: client, acceptor, GSS-API context, credential caches, keytabs, krb5.conf and a KDC.
//!
//! Nothing here opens a socket or a file, reads a clock or makes randomness: time comes in as
//! [`std::time::SystemTime`], randomness as `&mut dyn rand_core::CryptoRng`, bytes as slices.
#![forbid(unsafe_code)]

pub mod ap;
mod asn1;
mod binary;
pub mod ccache;
pub mod client;
pub mod config;
mod credential;
pub mod crypto;
mod error;
mod error_code;
mod flags;
#[doc(hidden)]
pub mod fuzz;
pub mod gss;
pub mod kdc;
pub mod keytab;
mod krb_cred;
mod nt_status;
mod pac;
mod principal;
pub mod proxy;
pub mod replay;
mod s4u;
#[cfg(test)]
mod testing;
mod ticket;

pub use binary::RecordError;
pub use credential::{AuthorizationData, Credential, HostAddress};
pub use crypto::{EncryptionKey, EncryptionType};
pub use error::Error;
pub use error_code::{ErrorCode, KdcError};
pub use flags::{ApOptions, KdcOptions, TicketFlags};
pub use krb_cred::KrbCred;
pub use nt_status::NtStatus;
pub use principal::{NameType, Principal, PrincipalError};
pub use ticket::{EncTicketPart, EncryptedData, Ticket};
