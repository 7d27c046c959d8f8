//! What a cmdlet sees while it runs: its parameters, the streams, the session.

use std::sync::Arc;

use crate::flow::{Flow, Run, Sink};
use crate::host::ProgressRecord;
use crate::invocation::Invocation;
use crate::runspace::Runspace;
use crate::value::{Error, ErrorCategory, ErrorRecord, Exception, Value};

/// Passed to every call of a [`Cmdlet`](crate::command::Cmdlet).
pub struct CmdletContext<'a> {
    /// The session: variables, functions, location, host.
    pub runspace: &'a mut Runspace,
    pub(crate) out: &'a mut dyn Sink,
    pub(crate) call: &'a mut Invocation,
}

impl CmdletContext<'_> {
    /// Writes one object; collections are not taken apart.
    pub fn write(&mut self, value: impl Into<Value>) -> Run {
        self.runspace.check_stopped()?;
        let value = value.into();
        self.call.record_output(self.runspace, &value);
        self.out.write(self.runspace, value)
    }

    /// Writes a value's items one by one.
    pub fn write_enumerated(&mut self, value: Value) -> Run {
        match value.enumerate() {
            Some(items) => items.into_iter().try_for_each(|item| self.write(item)),
            None => self.write(value),
        }
    }

    /// Writes a non-terminating error; `-ErrorAction` decides what becomes of it.
    pub fn error(&mut self, error: impl Into<Arc<ErrorRecord>>) -> Run {
        self.runspace.write_error_from(self.call, error.into(), self.out)
    }

    /// A non-terminating error made of its parts; the identifier gets the cmdlet's type name appended.
    pub fn error_with(
        &mut self,
        exception: &str,
        id: &str,
        category: ErrorCategory,
        target: Value,
        message: impl AsRef<str>,
    ) -> Run {
        let error = Error::from_exception(Exception::new(exception, message), id, category, target);
        self.error(Arc::clone(error.record()))
    }

    /// `ShouldContinue`: asks the user, whatever `-Confirm` and `$ConfirmPreference` say.
    pub fn should_continue(&mut self, query: &str, caption: &str) -> Run<bool> {
        let choices = ["&Yes", "&No", "&Suspend"]
            .map(|label| crate::host::Choice { label: label.to_string(), help: String::new() });
        let answer = self.runspace.host.prompt_for_choice(caption, query, &choices, 0);
        answer.map(|choice| choice == 0).map_err(|error| self.terminate(error))
    }

    /// Makes a terminating error of this cmdlet: return it with `Err`.
    pub fn terminate(&mut self, error: Error) -> Flow {
        self.call.complete_record(error.record());
        Flow::Error(error)
    }

    /// Makes a terminating error about one of this cmdlet's arguments: it points at the argument.
    pub fn parameter_error(&mut self, parameter: &str, error: Error) -> Error {
        self.runspace.argument_failed(self.call, parameter, error)
    }

    /// Writes a warning.
    pub fn warning(&mut self, text: &str) -> Run {
        self.runspace.write_warning_from(self.call, text, self.out)
    }

    /// Writes verbose text.
    pub fn verbose(&mut self, text: &str) -> Run {
        self.runspace.write_verbose_from(self.call, text, self.out)
    }

    /// Writes debug text.
    pub fn debug(&mut self, text: &str) -> Run {
        self.runspace.write_debug_from(self.call, text, self.out)
    }

    /// Writes an information record with tags; `host` is the text that `Write-Host` shows: text, no new
    /// line, foreground, background.
    pub fn information(&mut self, data: Value, tags: &[String], host: Option<HostText>) -> Run {
        self.runspace.write_information_from(self.call, data, tags, host, self.out)
    }

    /// Writes a progress record.
    pub fn progress(&mut self, source_id: i64, record: &ProgressRecord) {
        self.runspace.write_progress(source_id, record);
    }

    /// A bound parameter.
    pub fn arg(&self, name: &str) -> Option<&Value> {
        self.call.bound(name)
    }

    /// Whether a parameter was given.
    pub fn has(&self, name: &str) -> bool {
        self.call.bound(name).is_some()
    }

    /// Whether a switch or boolean parameter is on.
    pub fn switch(&self, name: &str) -> bool {
        self.call.bound(name).is_some_and(|v| self.runspace.is_true(v))
    }

    /// A parameter as text.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let value = self.call.bound(name)?.clone();
        if value.is_null() { None } else { Some(self.runspace.to_text(&value)) }
    }

    /// A parameter as a list of texts; empty when not given.
    pub fn texts(&mut self, name: &str) -> Vec<String> {
        let items = self.call.bound(name).cloned().map(Value::into_items).unwrap_or_default();
        items.iter().map(|v| self.runspace.to_text(v)).collect()
    }

    /// A parameter as a list of values; empty when not given.
    pub fn items(&self, name: &str) -> Vec<Value> {
        self.call.bound(name).cloned().map(Value::into_items).unwrap_or_default()
    }

    /// A parameter as an integer.
    pub fn integer(&self, name: &str) -> Option<i64> {
        self.call.bound(name).and_then(Value::as_integer).and_then(|n| i64::try_from(n).ok())
    }

    /// All bound parameters with the names as declared.
    pub fn bound(&self) -> &[(Arc<str>, Value)] {
        self.call.all_bound()
    }

    /// The pipeline object of this `process` call.
    pub fn input(&self) -> Option<&Value> {
        self.call.input.as_ref()
    }

    /// Whether the command stands behind a pipe.
    pub fn expects_input(&self) -> bool {
        self.call.expects_input
    }

    /// Whether nothing stands behind the command in its pipeline.
    pub fn is_last(&self) -> bool {
        self.call.info.pipeline_position == self.call.info.pipeline_length
    }

    /// Name of the parameter set.
    pub fn parameter_set(&self) -> &str {
        self.call.set_name.as_deref().unwrap_or("__AllParameterSets")
    }

    /// The name the cmdlet was called by, and where.
    pub fn invocation(&self) -> &Invocation {
        self.call
    }

    /// `ShouldProcess`: whether to go on, after `-WhatIf` and `-Confirm` have had their say.
    pub fn should_process(&mut self, target: &str, action: &str) -> Run<bool> {
        let message = format!("Performing the operation \"{action}\" on target \"{target}\".");
        self.runspace.should_process(self.call, &message, &message)
    }

    /// Stops the pipeline before this command: no more input is wanted.
    pub fn stop_upstream(&mut self) -> Flow {
        Flow::StopPipeline(self.call.pipeline_id)
    }

    /// Runs a script block in the caller's scope with `$_` set, writing its output as this cmdlet's own.
    pub fn run_block(&mut self, block: &Value, underscore: Option<Value>, input: Vec<Value>) -> Run {
        self.runspace.run_block_in_scope(block, underscore, input, self.out)
    }

    /// Runs a script block in the caller's scope with `$_` set and collects its output.
    pub fn collect_block(&mut self, block: &Value, underscore: Option<Value>) -> Run<Vec<Value>> {
        let mut out = Vec::new();
        self.runspace.run_block_in_scope(block, underscore, Vec::new(), &mut out)?;
        Ok(out)
    }

    /// Runs another command with this cmdlet's output.
    pub fn run_command(&mut self, command: &crate::runspace::CommandCall, input: Option<Vec<Value>>) -> Run {
        self.runspace.invoke_commands(std::slice::from_ref(command), input, self.out)
    }

    /// The sink behind this command, with the session.
    pub fn parts(&mut self) -> (&mut Runspace, &mut dyn Sink) {
        (self.runspace, self.out)
    }
}

/// Text of `Write-Host`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostText {
    /// The text.
    pub text: String,
    /// No line end after it.
    pub no_new_line: bool,
    /// `ConsoleColor` number.
    pub foreground: Option<u8>,
    /// `ConsoleColor` number.
    pub background: Option<u8>,
}
