//! What can go wrong between here and a remote shell.

use std::{io, sync::Arc, time::Duration};

use hop_delegation::credssp::Refusal;
use hop_wsman::{Fault, client};

use crate::proxy::ProxyError;

/// An error of a layer below, whose type depends on the security in use.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why something remote did not happen.
///
/// The variants tell apart what a person can mend in different places: names, network, credentials, the remote
/// machine's policy, the remote session.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The host name has no address.
    #[error("cannot resolve host {host}: {source}")]
    NameResolution {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// Nothing listens there.
    #[error("connection to {host} port {port} was refused")]
    Refused {
        /// The host.
        host: String,
        /// The TCP port.
        port: u16,
    },
    /// No connection for another reason.
    #[error("cannot connect to {host} port {port}: {source}")]
    Connect {
        /// The host.
        host: String,
        /// The TCP port.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// No TLS connection: the server's certificate is not trusted, or TLS cannot be set up here.
    #[error("TLS with {host} failed: {source}")]
    Tls {
        /// The host.
        host: String,
        /// Why.
        source: Cause,
    },
    /// No way through the proxy.
    #[error("cannot reach {host} through the proxy {proxy}: {source}")]
    Proxy {
        /// The host.
        host: String,
        /// The proxy, `HOST:PORT`.
        proxy: String,
        /// Why.
        source: ProxyError,
    },
    /// HTTP with a proxy, which WinRM refuses in these words.
    #[error(
        "cannot reach {host}: proxy is not supported under HTTP transport. Change the transport to HTTPS and specify \
         valid proxy information and try again (WinRM error 2150859185)"
    )]
    ProxyNeedsHttps {
        /// The host.
        host: String,
    },
    /// The server took too long.
    #[error("{host} did not {action} within {} s", within.as_secs())]
    TimedOut {
        /// The host.
        host: String,
        /// What was awaited, for instance "accept a connection" or "answer".
        action: &'static str,
        /// The time limit.
        within: Duration,
    },
    /// The server refused the credentials, or offers no way of authentication that we have.
    #[error("{host} refused the credentials: {reason}")]
    Unauthorized {
        /// The host.
        host: String,
        /// What the server said, or what it offers instead.
        reason: String,
    },
    /// The authentication exchange went wrong.
    #[error("authentication with {host} failed: {source}")]
    Authentication {
        /// The host.
        host: String,
        /// Why.
        source: Cause,
    },
    /// An answer that is not sealed as it must be.
    #[error("the answer of {host} is not protected as agreed: {source}")]
    Protection {
        /// The host.
        host: String,
        /// Why.
        source: Cause,
    },
    /// No usable credentials here.
    #[error("no credentials for {host}: {source}")]
    Credentials {
        /// The host.
        host: String,
        /// Why.
        source: Cause,
    },
    /// The policy of this machine forbids it; nothing was sent.
    #[error("{refusal}")]
    Policy {
        /// The host.
        host: String,
        /// Why, in WinRM's words.
        refusal: Refusal,
        /// What was tried before and failed.
        before: Option<Box<Error>>,
    },
    /// An HTTP status that carries no fault.
    #[error("{host} answered with HTTP status {status}{}", text_suffix(text))]
    Status {
        /// The host.
        host: String,
        /// The status.
        status: u16,
        /// The first line of the answer, if it was text.
        text: String,
    },
    /// The connection broke, or what came is no HTTP.
    #[error("the connection to {host} broke: {reason}")]
    Broken {
        /// The host.
        host: String,
        /// Why.
        reason: String,
    },
    /// The server's fault or an unusable answer.
    #[error(transparent)]
    Shell(#[from] client::Error),
    /// The remote session said something that the protocol does not allow.
    #[error("the remote session broke the protocol: {0}")]
    Protocol(String),
    /// The child process that speaks PSRP could not be started.
    #[error("cannot start {program}: {source}")]
    Spawn {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// The other end is gone.
    #[error("the remote session ended: {0}")]
    Ended(String),
    /// The session was closed by this end.
    #[error("the session is closed")]
    Closed,
    /// An error that ended several things at once.
    #[error(transparent)]
    Shared(Arc<Error>),
    /// A host configuration that cannot be used.
    #[error("{file}: {reason}")]
    Configuration {
        /// The file.
        file: String,
        /// What is wrong in it.
        reason: String,
    },
    /// A target such as `HOST` or `HOST:PORT` that cannot be read.
    #[error("not a host: {0:?}")]
    Target(String),
}

impl Error {
    /// The error itself, if it is shared.
    pub fn root(&self) -> &Self {
        match self {
            Self::Shared(error) => error.root(),
            error => error,
        }
    }

    /// The refusal of this machine's policy, if that is what happened: before anything was sent, or once the server had
    /// proved too little for a password.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self.root() {
            Self::Policy { refusal, .. } => Some(refusal),
            Self::Authentication { source, .. } => source.downcast_ref(),
            _ => None,
        }
    }

    /// The server's fault, if that is what happened.
    pub fn fault(&self) -> Option<&Fault> {
        match self.root() {
            Self::Shell(error) => error.fault(),
            _ => None,
        }
    }
}

fn text_suffix(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(": {text}") }
}
