//! The policy that guards passwords, from where it is kept.
//!
//! Two places hold it: files of this machine ([`local`]) and the domain's Group Policy ([`group_policy`]), which comes
//! before them. [`Policy::load`] reads both and says of every entry where it comes from; what follows from it is
//! decided by [`hop_delegation::credssp`].
//!
//! The crate talks to the file system and to two programs, `ldapsearch` and `smbclient`.
#![forbid(unsafe_code)]

mod effective;
mod error;
mod files;
pub mod group_policy;
pub mod local;
mod locations;
pub mod registry_pol;

pub use effective::{GroupPolicyState, Overridden, Policy, Refresh};
pub use error::Error;
pub use locations::Locations;

#[doc(hidden)]
pub mod fuzz;
