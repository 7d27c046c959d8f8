//! What can go wrong with a proxy.

use std::{io, time::Duration};

use crate::{dial::DialError, error::Cause};

/// A proxy's address that is of no use. Never repeats the address: there may be a password in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyUrlError {
    /// Another scheme than `http`.
    #[error("a proxy of the kind {0} is not supported, only http://[USER@]HOST:PORT")]
    Scheme(String),
    /// A password where others can read it.
    #[error(
        "no password may stand in a proxy's address, where every user of this machine can read it in the list of \
         processes, and others in files: put it into a file of its own (--proxy-password-file), or be asked for it"
    )]
    Password,
    /// It cannot be read.
    #[error("not a proxy's address: expected http://[USER@]HOST:PORT")]
    Malformed,
}

/// Why there is no way through a proxy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// The proxy's own name has no address.
    #[error("the proxy's name cannot be resolved: {0}")]
    NameResolution(io::Error),
    /// Nothing listens there.
    #[error("the proxy refused the connection")]
    Refused,
    /// No connection to the proxy for another reason.
    #[error("cannot connect to the proxy: {0}")]
    Connect(io::Error),
    /// The proxy took too long.
    #[error("the proxy did not {action} within {} s", within.as_secs())]
    TimedOut {
        /// What was awaited.
        action: &'static str,
        /// The time limit.
        within: Duration,
    },
    /// Its rules do not allow this host and port, or this user.
    #[error("the proxy's rules do not allow a connection to {to}{}", in_brackets(text))]
    Forbidden {
        /// `HOST:PORT`.
        to: String,
        /// What it said.
        text: String,
    },
    /// The proxy does not find the host.
    #[error("the proxy cannot resolve the name of {to}")]
    Unresolved {
        /// `HOST:PORT`.
        to: String,
    },
    /// The proxy does not get through to the host.
    #[error("the proxy cannot reach {to}: status {status}{}", in_brackets(text))]
    Unreachable {
        /// `HOST:PORT`.
        to: String,
        /// 500, 502, 503 or 504.
        status: u16,
        /// What it said.
        text: String,
    },
    /// It wants to know who we are, and there is nothing to tell it.
    #[error("the proxy demands authentication ({offers}), and {reason}")]
    NoCredentials {
        /// The schemes that it offers.
        offers: String,
        /// Why none of them is possible.
        reason: String,
    },
    /// It did not take what we said.
    #[error("the proxy refused the credentials ({scheme}){}", in_brackets(text))]
    Unauthorized {
        /// How we authenticated.
        scheme: &'static str,
        /// What it said.
        text: String,
    },
    /// The exchange went wrong.
    #[error("authentication with the proxy failed ({scheme}): {source}")]
    Authentication {
        /// How.
        scheme: &'static str,
        /// Why.
        source: Cause,
    },
    /// Any other answer.
    #[error("the proxy answered with status {status}{}", in_brackets(text))]
    Status {
        /// The status.
        status: u16,
        /// What it said.
        text: String,
    },
    /// The connection broke, or what came is no HTTP.
    #[error("the connection to the proxy broke: {0}")]
    Broken(String),
}

impl ProxyError {
    pub(crate) fn dial(error: DialError, within: Duration) -> Self {
        match error {
            DialError::NameResolution(source) => Self::NameResolution(source),
            DialError::Refused => Self::Refused,
            DialError::Connect(source) => Self::Connect(source),
            DialError::TimedOut("resolve") => {
                Self::NameResolution(io::Error::other(format!("no answer within {} s", within.as_secs())))
            }
            DialError::TimedOut(action) => Self::TimedOut { action, within },
        }
    }
}

fn in_brackets(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" ({text})") }
}
