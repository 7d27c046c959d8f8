//! A whole domain on one machine, on loopback: a KDC, the servers servera and serverb, the user alice.
//!
//! The KDC runs in this process; the servers are `hop serve` in processes of their own, with keytabs and
//! configuration as on any machine. What a client needs to find them stands in an ordinary krb5.conf and an ordinary
//! host configuration, so that everything shown here works the same in a real domain. No rights are needed: the
//! sessions run as whoever started the lab.
#![forbid(unsafe_code)]

mod demo;
mod domain;
mod error;
mod server;

use std::io::Write;
use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};

pub use domain::{Domain, PASSWORD, REALM};
pub use error::Error;

/// What the lab shall be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The `hop` program that is server and client; normally the running one.
    pub hop: PathBuf,
    /// Whether the domain trusts servera for delegation (the KDC marks its tickets ok-as-delegate). It does not by
    /// default: the second hop then takes `--delegate forward`.
    pub trust_servera: bool,
}

impl Options {
    /// The lab of this program, servera not trusted for delegation.
    ///
    /// # Errors
    /// [`Error::Program`] if the system cannot tell which program this is.
    pub fn new() -> Result<Self, Error> {
        Ok(Self { hop: std::env::current_exe().map_err(Error::Program)?, trust_servera: false })
    }
}

/// Shows both hops as a person would type them. True if each came out as it should.
///
/// # Errors
/// The domain cannot be set up, or the lab was interrupted.
pub async fn demo(options: &Options, out: &mut (dyn Write + Send)) -> Result<bool, Error> {
    let mut domain = Domain::start(options).await?;
    let shown = tokio::select! {
        shown = demo::run(&domain, out) => shown,
        () = interrupted() => Err(Error::Interrupted),
    };
    domain.stop().await;
    shown
}

/// Keeps the domain running until Ctrl+C or SIGTERM, having told what to try.
///
/// # Errors
/// The domain cannot be set up, or one of its servers ends by itself.
pub async fn up(options: &Options, out: &mut (dyn Write + Send)) -> Result<(), Error> {
    let mut domain = Domain::start(options).await?;
    let told =
        writeln!(out, "{}", demo::what_to_try(&domain)).and_then(|()| out.flush()).map_err(Error::Output);
    let ended = match told {
        Ok(()) => tokio::select! {
            () = interrupted() => Ok(()),
            name = domain.server_ended() => Err(Error::ServerEnded { log: domain.log_tail(name), name }),
        },
        Err(error) => Err(error),
    };
    domain.stop().await;
    ended
}

/// Ctrl+C, or a request to end.
async fn interrupted() {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signals) => signals.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
}
