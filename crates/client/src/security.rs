//! Security of one HTTP connection, as far as HTTP needs it.

use futures_util::future::BoxFuture;
use hop_kerberos::gss::ChannelBindings;
use hop_secret::SecretString;

use crate::error::{Cause, Error};

/// Makes the security of each new connection to one server.
pub trait Provider: Send + Sync {
    /// Security for a fresh connection. May fetch tickets; the caller limits the time.
    fn begin(&self, channel: Channel) -> BoxFuture<'_, Result<Box<dyn Security>, Error>>;
}

/// What the connection below brings.
#[derive(Clone, Debug, Default)]
pub struct Channel {
    /// TLS: bodies need no seal.
    pub encrypted: bool,
    /// The server's certificate was verified, or is the pinned one.
    pub proves_name: bool,
    /// What binds authentication to the TLS connection.
    pub bindings: Option<ChannelBindings>,
}

/// A body with its media type.
#[derive(Clone, Debug)]
pub struct Body {
    /// `Content-Type`.
    pub content_type: String,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Body {
    /// A body that is protected from below: all there is to ask is that it is an envelope.
    pub(crate) fn expect_soap(self) -> Result<Self, Cause> {
        if self.content_type.to_ascii_lowercase().starts_with("application/soap+xml") {
            Ok(self)
        } else {
            Err(format!(
                "it is not an envelope but {:?}",
                self.content_type.chars().take(80).collect::<String>()
            )
            .into())
        }
    }
}

/// Security of one connection: first the token legs, then bodies both ways.
pub trait Security: Send {
    /// The value of the first `Authorization` header; `None` if there are no token legs.
    ///
    /// # Errors
    /// No token can be made.
    fn start(&mut self) -> Result<Option<String>, Cause>;

    /// The `Authorization` header of every request, where there is one.
    fn authorization(&self) -> Option<&SecretString> {
        None
    }

    /// The values of the server's `WWW-Authenticate` headers, and whether it accepted (a status of 2xx). Returns
    /// the next `Authorization` value, or `None` when both ends are done.
    ///
    /// # Errors
    /// The server refused, did not prove its identity, or speaks another protocol.
    fn handle(&mut self, challenges: &[&str], accepted: bool) -> Result<Option<String>, Cause>;

    /// Seals a body.
    ///
    /// # Errors
    /// The context cannot be used any more.
    fn seal(&mut self, body: Body) -> Result<Body, Cause>;

    /// Unseals an answer; one that is not sealed as agreed is an error.
    ///
    /// # Errors
    /// Plaintext, forged or repeated.
    fn unseal(&mut self, body: Body) -> Result<Body, Cause>;

    /// Limits the answers that are unsealed from now on, in bytes.
    fn limit_answers(&mut self, limit: usize) {
        let _ = limit;
    }
}
