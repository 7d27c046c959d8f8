//! What a runspace pool needs of the way to the other end, whichever it is.

use futures_util::future::BoxFuture;
use hop_psrp::{Target, Uuid};

use crate::error::Error;

/// Which queue of the other end input goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    Default,
    /// Answers to host calls.
    PromptResponse,
}

/// What comes from the other end.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// Fragments of the pool or of a pipeline.
    Data { target: Target, bytes: Vec<u8> },
    /// Nothing more comes from a pipeline.
    Done(Uuid),
    /// The transport refused something of a pipeline; the pool goes on.
    Failed { pipeline: Uuid, error: Error },
}

/// A way to the other end, already asked to open the pool.
pub(crate) trait Link: Send {
    /// Starts a pipeline with the fragments of CREATE_PIPELINE.
    fn start(&mut self, pipeline: Uuid, text: &str, fragments: Vec<Vec<u8>>);

    /// Sends more fragments.
    fn send(&mut self, target: Target, queue: Queue, fragments: Vec<Vec<u8>>);

    /// Asks a pipeline to stop.
    fn stop(&mut self, pipeline: Uuid);

    /// The pipeline's state has come: it may be forgotten.
    fn finish(&mut self, pipeline: Uuid);

    /// The pool is open: messages of the pool itself are not waited for any more.
    fn pool_opened(&mut self);

    /// Begins to close the pool; [`next`](Self::next) ends when it is done.
    fn close(&mut self);

    /// The next thing that comes; `None` after closing.
    fn next(&mut self) -> BoxFuture<'_, Option<Result<Incoming, Error>>>;
}
