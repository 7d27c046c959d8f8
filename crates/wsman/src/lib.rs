//! WS-Management: envelopes, shells and faults, client and server machines.
//!
//! The crate is sans-IO: it turns bytes of an already authenticated and unsealed SOAP body into typed requests
//! and back, and keeps the state of shells at both ends. Time and randomness are handed in.
//!
//! * [`envelope`] parses and writes envelopes under [`Limits`].
//! * [`Request`] and [`Response`] are what is said; [`Fault`] is what goes wrong.
//! * [`client::Shell`] drives one remote shell; [`server::Shells`] keeps the shells of a server.
//!
//! Specifications: DSP0226 (WS-Management), [MS-WSMV].
#![forbid(unsafe_code)]
// Faults are large, but they are what an error is here, and the rare path.
#![allow(clippy::result_large_err)]

pub mod client;
mod duration;
pub mod envelope;
mod fault;
#[doc(hidden)]
pub mod fuzz;
mod ids;
mod message;
mod parse;
pub mod server;
pub mod uri;
mod write;
mod xml;

pub use duration::{format_duration, parse_duration};
pub use envelope::{Envelope, Header, Limits, ParseError, Rejected};
pub use fault::{Fault, FaultCode};
pub use ids::{CommandId, MessageId, ShellId};
pub use message::{
    CommandLine, CommandState, CreateResponse, CreateShell, IdentifyResponse, Operation, OperationResponse,
    ReceiveResponse, Request, Response, Selector, Signal, Stream,
};
