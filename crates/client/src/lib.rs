//! The remoting client: runs commands and pipelines on other machines.
//!
//! * [`Hosts`] turns what was typed into a [`Target`].
//! * [`transport::Transport`] carries SOAP bodies there and back; [`http::Http`] is the one for HTTP, with a
//!   [`security::Security`] per connection.
//! * [`Connection`] puts these together for a [`authentication::Login`]: Kerberos ([`kerberos::Identity`]), NTLM,
//!   CredSSP, Basic or a certificate; [`tls`] says which servers are trusted, [`proxy`] which proxy is in between, and
//!   [`authentication::PasswordPolicy`] which may have a password or hear NTLM.
//! * [`memory`] is what is known of hosts from sessions before.
//! * [`RunspacePool`] runs pipelines of objects, over WS-Management or in a child process.
//! * [`winrs::Shell`] runs commands of a command shell.
//!
//! Every wait has a limit, and every failure is one [`Error`].
#![forbid(unsafe_code)]

pub mod authentication;
mod connection;
mod dial;
mod error;
pub mod fan_out;
mod hosts;
pub mod http;
pub mod kerberos;
mod link;
pub mod memory;
mod negotiate;
pub mod proxy;
pub mod runspace_pool;
pub mod security;
mod shell;
mod stdio;
mod tickets;
pub mod tls;
pub mod transport;
pub mod winrs;
mod words;
mod wsman;

pub use connection::Connection;
pub use error::{Cause, Error};
pub use hosts::{DEFAULT_CONFIGURATION, DEFAULT_HTTPS_PORT, DEFAULT_PORT, Hosts, Target};
pub use runspace_pool::RunspacePool;
