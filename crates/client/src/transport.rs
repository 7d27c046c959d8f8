//! The way of SOAP bodies to a server and back.

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::error::Error;

/// The answer to one request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status: 200, or 500 for a fault.
    pub status: u16,
    /// The envelope.
    pub body: Vec<u8>,
}

/// Carries requests. Several may be under way at once; HTTPS and proxies are other implementations.
pub trait Transport: Send + Sync {
    /// Sends an envelope and waits for the answer, at most `within` plus what the network needs.
    fn post(&self, body: Vec<u8>, within: Duration) -> BoxFuture<'_, Result<Answer, Error>>;
}
