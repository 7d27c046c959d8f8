//! Kerberos meets the world: KDCs over UDP and TCP, credential caches, keytabs and krb5.conf on disk.
//!
//! The protocol itself, sans-IO, is in [`hop_kerberos`]; here are sockets, files and the clock. Nothing here reads
//! the process's environment behind the caller's back: an [`Environment`] is read once and passed about, so that
//! many sessions with different identities fit into one process.
#![forbid(unsafe_code)]

mod ccache;
mod client;
mod discovery;
mod environment;
mod error;
mod files;
#[doc(hidden)]
pub mod fuzz;
mod kept;
mod keytab;
mod names;
mod proxy;
mod renew;
mod s4u;
mod serve;
mod transport;
mod way;

pub use ccache::kcm::KcmError;
pub use ccache::{Ccache, Ccaches, DirCcache, FileCcache, KcmCcache, KeyringCcache, MemoryCcache};
pub use client::{KdcClient, Login, Proof, TgtOptions};
pub use environment::Environment;
pub use error::{AttemptError, Error};
pub use files::{replace_private_file, replace_private_file_synced};
pub use keytab::{keytab_path, load_keytab, save_keytab};
pub use renew::{renewal_time, time_to_renewal, time_to_replacement};
pub use serve::KdcListener;
pub use transport::Timing;
