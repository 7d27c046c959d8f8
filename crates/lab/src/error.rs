//! What can keep the lab from running.

use std::io;
use std::path::PathBuf;

/// Every failure of the lab itself; that a hop is refused is no failure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system does not tell which program is running.
    #[error("cannot find the running program: {0}")]
    Program(io::Error),
    /// A file of the lab cannot be written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The KDC cannot listen.
    #[error("the kdc cannot listen on loopback: {0}")]
    Kdc(io::Error),
    /// Keys, tickets or caches cannot be made.
    #[error(transparent)]
    Kerberos(#[from] hop_kerberos_io::Error),
    /// The user running the lab has no name, which sessions need.
    #[error("the user with uid {0} has no name on this machine")]
    NoUser(u32),
    /// A server or command cannot be started.
    #[error("{}: {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A server ended or did not listen in time.
    #[error("{name} did not start to listen; its log ends with:\n{log}")]
    NotReady {
        /// The server.
        name: &'static str,
        /// The end of its log.
        log: String,
    },
    /// A server ended while it was needed.
    #[error("{name} has ended; its log ends with:\n{log}")]
    ServerEnded {
        /// The server.
        name: &'static str,
        /// The end of its log.
        log: String,
    },
    /// Nobody takes what is shown.
    #[error("cannot write: {0}")]
    Output(io::Error),
    /// Ctrl+C.
    #[error("interrupted")]
    Interrupted,
}

impl From<hop_kerberos::Error> for Error {
    fn from(error: hop_kerberos::Error) -> Self {
        Self::Kerberos(error.into())
    }
}
