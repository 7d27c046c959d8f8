//! How execution leaves a statement other than by reaching its end, and where output goes.

use crate::runspace::Runspace;
use crate::value::{Error, Value};

/// Why execution does not go on with the next statement.
#[derive(Clone, Debug)]
pub enum Flow {
    /// A terminating error of a statement: the caller goes on with the next one unless it is caught.
    Error(Error),
    /// An error that ends the script unless it is caught: `throw`, `-ErrorAction Stop`.
    Throw(Error),
    /// `$PSCmdlet.ThrowTerminatingError`: leaves the function, then is an error of the calling statement.
    Leave(Error),
    /// `break`, perhaps to a label.
    Break(Option<String>),
    /// `continue`, perhaps to a label.
    Continue(Option<String>),
    /// `return`; its value has already been written.
    Return,
    /// `exit` with its code.
    Exit(i32),
    /// A command wants no more input (`Select-Object -First`): the pipeline with this number stops.
    StopPipeline(u64),
    /// The pipeline was stopped from outside.
    Stopped,
}

impl From<Error> for Flow {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Flow {
    /// The error, when it is one.
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Error(e) | Self::Throw(e) | Self::Leave(e) => Some(e),
            _ => None,
        }
    }
}

/// The result of running something.
pub type Run<T = ()> = Result<T, Flow>;

/// Takes the objects a pipeline writes.
pub trait Sink {
    /// Takes one object.
    fn write(&mut self, runspace: &mut Runspace, value: Value) -> Run;
}

/// Collects output.
impl Sink for Vec<Value> {
    fn write(&mut self, _runspace: &mut Runspace, value: Value) -> Run {
        self.push(value);
        Ok(())
    }
}

/// Throws output away.
pub struct NullSink;

impl Sink for NullSink {
    fn write(&mut self, _runspace: &mut Runspace, _value: Value) -> Run {
        Ok(())
    }
}
