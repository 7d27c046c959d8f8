//! The delegation decision: which credential may leave this machine, for whom, by which mechanism, and if
//! none: why not, and what would mend it.
//!
//! Everything here is a pure function of facts that others have collected: the user's choice, flags of tickets,
//! configuration. The crate knows no tokens, no keys and no network.
//!
//! * The **client** calls [`decide`] before the first byte is sent.
//! * The **server** calls [`explain`] with what an accepted ticket and authenticator tell, whatever the client
//!   program was, and keeps the [`SessionReport`] with the session.
//! * Inside the session, a second hop that fails reads that report and prints it.
//!
//! Passwords have a policy of their own, [`credssp`].
#![forbid(unsafe_code)]

pub mod credssp;
mod decision;
mod mode;
mod reason;
mod refusal;
mod report;

pub use decision::{ClientFacts, Decision, TgtFacts, after_kdc_refusal, decide};
pub use mode::{Mode, ParseModeError};
pub use reason::{Names, ParseReasonError, Reason, Remedy, Who};
pub use refusal::{PASSWORD_FILE, REFUSALS_FILE, Refusal};
pub use report::{CameBy, Constrained, ReportError, ServerFacts, SessionIdentity, SessionReport, explain};

#[doc(hidden)]
pub mod fuzz;

/// The environment variable that names the file of a session's [`SessionReport`].
pub const REPORT_ENV: &str = "HOP_DELEGATION";
