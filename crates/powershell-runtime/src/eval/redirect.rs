//! Redirection: merged streams and files.

use std::sync::Arc;

use hop_powershell_syntax::ast::{RedirectTarget, Redirection, Stream};

use crate::flow::{Run, Sink};
use crate::invocation::{StreamTarget, StreamTargets};
use crate::runspace::{CommandCall, Runspace};
use crate::streams::{Queue, drain};
use crate::value::Value;

/// What a command's redirections ask for.
#[derive(Default)]
pub(crate) struct Redirected {
    pub targets: StreamTargets,
    /// Records that go into the output.
    pub merged: Option<Queue>,
    /// Where the output goes instead: a file (`None`: nowhere) and whether to append.
    pub output: Option<(Option<String>, bool)>,
    /// Streams other than output that go to files.
    pub files: Vec<(Queue, String, bool)>,
}

impl Runspace {
    pub(crate) fn redirect(&mut self, redirections: &[Redirection]) -> Run<Redirected> {
        let mut result = Redirected { targets: self.state.targets.clone(), ..Redirected::default() };
        for r in redirections {
            let target = match &r.to {
                RedirectTarget::Output => {
                    let queue = result.merged.get_or_insert_with(Queue::default).clone();
                    StreamTarget::Queue(queue)
                }
                RedirectTarget::File { path, append } => {
                    let value = self.eval(path)?;
                    let path = if value.is_null() { None } else { Some(self.to_text(&value)) };
                    if matches!(r.from, Stream::Output | Stream::All) {
                        result.output = Some((path.clone(), *append));
                    }
                    match (r.from, path) {
                        (Stream::Output, _) => continue,
                        (_, None) => StreamTarget::Null,
                        (Stream::All, Some(_)) => {
                            let queue = result.merged.get_or_insert_with(Queue::default).clone();
                            StreamTarget::Queue(queue)
                        }
                        (_, Some(path)) => {
                            let queue = Queue::default();
                            result.files.push((queue.clone(), path, *append));
                            StreamTarget::Queue(queue)
                        }
                    }
                }
            };
            let t = &mut result.targets;
            match r.from {
                Stream::All => {
                    t.error = target.clone();
                    t.warning = target.clone();
                    t.verbose = target.clone();
                    t.debug = target.clone();
                    t.information = target;
                }
                Stream::Output => {}
                Stream::Error => t.error = target,
                Stream::Warning => t.warning = target,
                Stream::Verbose => t.verbose = target,
                Stream::Debug => t.debug = target,
                Stream::Information => t.information = target,
            }
        }
        Ok(result)
    }

    /// Writes what a stream collected to its file.
    pub(crate) fn write_files(&mut self, files: &[(Queue, String, bool)]) -> Run {
        for (queue, path, append) in files {
            let items = drain(queue);
            self.out_file(path, *append, items)?;
        }
        Ok(())
    }

    pub(crate) fn out_file(&mut self, path: &str, append: bool, items: Vec<Value>) -> Run {
        let mut parameters = vec![(Some("FilePath".to_string()), Value::string(path))];
        if append {
            parameters.push((Some("Append".to_string()), Value::Bool(true)));
        }
        let call = CommandCall { command: "Out-File".into(), parameters, ..CommandCall::default() };
        let saved = std::mem::take(&mut self.state.targets);
        let result = self.invoke_commands(&[call], Some(items), &mut crate::flow::NullSink);
        self.state.targets = saved;
        result
    }
}

/// Puts merged records into the output in the order they came.
pub(crate) struct MergeSink<'a> {
    pub queue: Option<Queue>,
    pub inner: &'a mut dyn Sink,
}

impl MergeSink<'_> {
    pub fn flush(&mut self, runspace: &mut Runspace) -> Run {
        if let Some(queue) = &self.queue {
            let queue = Arc::clone(queue);
            for value in drain(&queue) {
                self.inner.write(runspace, value)?;
            }
        }
        Ok(())
    }
}

impl Sink for MergeSink<'_> {
    fn write(&mut self, runspace: &mut Runspace, value: Value) -> Run {
        self.flush(runspace)?;
        self.inner.write(runspace, value)
    }
}
