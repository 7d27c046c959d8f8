//! The evaluator: walks the syntax tree.

mod assign;
mod expressions;
mod pipeline;
mod redirect;
mod script;
mod statements;
mod strings;
mod switch;

pub(crate) use script::{Arg, parameter_word};

use std::sync::Arc;

use hop_powershell_syntax::Span;

use crate::errors;
use crate::flow::{Flow, Run};
use crate::runspace::Runspace;
use crate::value::Error;

impl Runspace {
    /// Gives an error the position of what runs, unless it already has one.
    pub(crate) fn place(&self, error: &Error, span: Span) {
        let record = error.record();
        if record.invocation.get().is_none() {
            let mut info = errors::position(&self.state.frame.source, span);
            info.my_command = self.state.frame.info.my_command.clone();
            if !self.state.frame.advanced {
                info.my_command = crate::value::Value::Null;
            }
            let _ = record.invocation.set(Arc::new(info));
        }
        if record.stack_trace.get().is_none() {
            let _ = record.stack_trace.set(self.stack_trace(span));
        }
    }

    pub(crate) fn place_flow(&self, flow: Flow, span: Span) -> Flow {
        if let Flow::Error(e) | Flow::Throw(e) = &flow {
            self.place(e, span);
        }
        flow
    }

    /// `ScriptStackTrace`.
    fn stack_trace(&self, span: Span) -> String {
        let mut lines = Vec::new();
        let source = &self.state.frame.source;
        let place = |file: Option<&str>, line: usize| match file {
            Some(f) => format!("{f}: line {line}"),
            None => format!("<No file>: line {line}"),
        };
        let mut frame = Some(&self.state.frame);
        let mut at = place(source.file(), source.line_number(span.start));
        while let Some(f) = frame {
            if f.name.is_empty() {
                break;
            }
            lines.push(format!("at {}, {at}", f.name));
            let file = (!f.info.script_name.is_empty()).then_some(f.info.script_name.as_str());
            at = place(file, f.info.script_line_number as usize);
            frame = f.parent.as_ref();
            if lines.len() > 100 {
                break;
            }
        }
        lines.join("\n")
    }

    pub(crate) fn enter_call(&mut self) -> Run {
        self.check_stopped()?;
        self.depth += 1;
        if self.depth > crate::runspace::MAX_CALL_DEPTH {
            self.depth -= 1;
            return Err(Flow::Error(errors::call_depth()));
        }
        Ok(())
    }

    pub(crate) fn leave_call(&mut self) {
        self.depth -= 1;
    }
}
