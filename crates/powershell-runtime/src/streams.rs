//! The streams other than output: preferences, common parameters, redirection.

use std::sync::{Arc, Mutex, PoisonError};

use crate::context::HostText;
use crate::flow::{Flow, Run, Sink};
use crate::invocation::{ActionPreference, Invocation, StreamTarget};
use crate::runspace::Runspace;
use crate::value::{Error, ErrorRecord, Value};

/// Records on their way to a merged or redirected stream.
pub type Queue = Arc<Mutex<Vec<Value>>>;

pub(crate) fn push(queue: &Queue, value: Value) {
    queue.lock().unwrap_or_else(PoisonError::into_inner).push(value);
}

pub(crate) fn drain(queue: &Queue) -> Vec<Value> {
    std::mem::take(&mut *queue.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Runspace {
    /// Puts a record in front of `$Error`.
    pub fn add_to_errors(&mut self, record: &Arc<ErrorRecord>) {
        let mut items = self.errors.items_mut();
        if let Some(Value::ErrorRecord(first)) = items.first()
            && Arc::ptr_eq(first, record)
        {
            return;
        }
        items.insert(0, Value::ErrorRecord(record.clone()));
        items.truncate(256);
    }

    /// A non-terminating error of a command.
    pub(crate) fn write_error_from(
        &mut self,
        call: &mut Invocation,
        record: Arc<ErrorRecord>,
        _out: &mut dyn Sink,
    ) -> Run {
        call.complete_record(&record);
        self.success = false;
        let action = call.common.error_action.unwrap_or_else(|| self.preference("ErrorActionPreference"));
        if let Some(name) = call.common.error_variable.clone() {
            self.append_to_variable(&name, Value::ErrorRecord(record.clone()));
        }
        self.collect_error(&record);
        match action {
            ActionPreference::Ignore => Ok(()),
            ActionPreference::SilentlyContinue => {
                self.add_to_errors(&record);
                Ok(())
            }
            ActionPreference::Stop => {
                self.add_to_errors(&record);
                Err(Flow::Throw(stop_error(&record)))
            }
            _ => {
                self.add_to_errors(&record);
                self.deliver_error(&call.targets.error.clone(), &record);
                Ok(())
            }
        }
    }

    /// Adds a record to the variables of `-ErrorVariable`.
    fn collect_error(&mut self, record: &Arc<ErrorRecord>) {
        for (scope, name) in self.state.collectors.clone() {
            let saved = std::mem::replace(&mut self.state.scope, scope);
            self.append_to_variable(&name, Value::ErrorRecord(record.clone()));
            self.state.scope = saved;
        }
    }

    /// Sends an error record where the error stream goes.
    pub(crate) fn deliver_error(&mut self, target: &StreamTarget, record: &Arc<ErrorRecord>) {
        match target {
            StreamTarget::Host => {
                let view = self.variable_value("ErrorView");
                let view = view.as_str().unwrap_or("ConciseView").to_string();
                self.host.write_error(record, &view);
            }
            StreamTarget::Null => {}
            StreamTarget::Queue(queue) => push(queue, Value::ErrorRecord(record.clone())),
        }
    }

    /// Reports an error that ended a statement, and goes on.
    pub(crate) fn report_error(&mut self, error: &Error) {
        self.success = false;
        self.add_to_errors(error.record());
        self.collect_error(error.record());
        let target = self.state.targets.error.clone();
        self.deliver_error(&target, error.record());
    }

    pub(crate) fn write_warning_from(
        &mut self,
        call: &mut Invocation,
        text: &str,
        _out: &mut dyn Sink,
    ) -> Run {
        let action = call.common.warning_action.unwrap_or_else(|| self.preference("WarningPreference"));
        let record = || informational("System.Management.Automation.WarningRecord", text);
        if let Some(name) = call.common.warning_variable.clone() {
            self.append_to_variable(&name, record());
        }
        match action {
            ActionPreference::Ignore | ActionPreference::SilentlyContinue => return Ok(()),
            _ => {}
        }
        match &call.targets.warning {
            StreamTarget::Host => self.host.write_warning(text),
            StreamTarget::Null => {}
            StreamTarget::Queue(queue) => push(queue, record()),
        }
        self.stop_on(action, "WarningPreference", text)
    }

    pub(crate) fn write_verbose_from(
        &mut self,
        call: &mut Invocation,
        text: &str,
        _out: &mut dyn Sink,
    ) -> Run {
        let action = match call.common.verbose {
            Some(true) => ActionPreference::Continue,
            Some(false) => ActionPreference::SilentlyContinue,
            None => self.preference("VerbosePreference"),
        };
        match action {
            ActionPreference::Ignore | ActionPreference::SilentlyContinue => return Ok(()),
            _ => {}
        }
        match &call.targets.verbose {
            StreamTarget::Host => self.host.write_verbose(text),
            StreamTarget::Null => {}
            StreamTarget::Queue(queue) => {
                push(queue, informational("System.Management.Automation.VerboseRecord", text));
            }
        }
        self.stop_on(action, "VerbosePreference", text)
    }

    pub(crate) fn write_debug_from(&mut self, call: &mut Invocation, text: &str, _out: &mut dyn Sink) -> Run {
        let action = match call.common.debug {
            Some(true) => ActionPreference::Continue,
            Some(false) => ActionPreference::SilentlyContinue,
            None => self.preference("DebugPreference"),
        };
        match action {
            ActionPreference::Ignore | ActionPreference::SilentlyContinue => return Ok(()),
            _ => {}
        }
        match &call.targets.debug {
            StreamTarget::Host => self.host.write_debug(text),
            StreamTarget::Null => {}
            StreamTarget::Queue(queue) => {
                push(queue, informational("System.Management.Automation.DebugRecord", text));
            }
        }
        self.stop_on(action, "DebugPreference", text)
    }

    fn stop_on(&mut self, action: ActionPreference, variable: &str, text: &str) -> Run {
        if action != ActionPreference::Stop {
            return Ok(());
        }
        let message = format!(
            "The running command stopped because the preference variable \"{variable}\" or common parameter is \
             set to Stop: {text}"
        );
        Err(Flow::Throw(Error::new(
            "System.Management.Automation.ActionPreferenceStopException",
            "ActionPreferenceStop",
            crate::value::ErrorCategory::OperationStopped,
            message,
        )))
    }

    pub(crate) fn write_information_from(
        &mut self,
        call: &mut Invocation,
        data: Value,
        tags: &[String],
        host: Option<HostText>,
        _out: &mut dyn Sink,
    ) -> Run {
        let is_host = host.is_some();
        let action = match call.common.information_action {
            Some(action) => action,
            None if is_host => ActionPreference::Continue,
            None => self.preference("InformationPreference"),
        };
        let record = self.information_record(&data, tags, host.as_ref(), call);
        if let Some(name) = call.common.information_variable.clone() {
            self.append_to_variable(&name, record.clone());
        }
        if action == ActionPreference::Ignore {
            return Ok(());
        }
        match &call.targets.information {
            StreamTarget::Queue(queue) => {
                push(queue, record);
                return Ok(());
            }
            StreamTarget::Null => return Ok(()),
            StreamTarget::Host => {}
        }
        if let Some(host) = &host {
            if action != ActionPreference::SilentlyContinue {
                self.host.write(&host.text, host.foreground, host.background);
                if !host.no_new_line {
                    self.host.write("\n", None, None);
                }
            }
            self.host.write_information(&record);
            return Ok(());
        }
        if action == ActionPreference::SilentlyContinue {
            return Ok(());
        }
        let text = self.to_text(&data);
        self.host.write_line(&text);
        self.host.write_information(&record);
        self.stop_on(action, "InformationPreference", &text)
    }

    fn information_record(
        &mut self,
        data: &Value,
        tags: &[String],
        host: Option<&HostText>,
        call: &Invocation,
    ) -> Value {
        let data = match host {
            Some(h) => Value::custom_typed(
                "System.Management.Automation.HostInformationMessage",
                [
                    ("Message", Value::string(&h.text)),
                    ("NoNewLine", Value::Bool(h.no_new_line)),
                    ("ForegroundColor", h.foreground.map_or(Value::Null, |c| Value::Int32(i32::from(c)))),
                    ("BackgroundColor", h.background.map_or(Value::Null, |c| Value::Int32(i32::from(c)))),
                ],
            ),
            None => data.clone(),
        };
        let user = self.env.get("USER").cloned().unwrap_or_default();
        let computer = self.platform.computer_name();
        let text = match host {
            Some(h) => Value::string(&h.text),
            None => {
                let text = self.to_text(&data);
                Value::String(Arc::from(text))
            }
        };
        let object = crate::value::PsObject::custom([
            ("MessageData", data),
            (
                "Source",
                Value::string(if call.info.script_name.is_empty() {
                    call.info.invocation_name.as_str()
                } else {
                    call.info.script_name.as_str()
                }),
            ),
            ("TimeGenerated", crate::ops::now(self)),
            (
                "Tags",
                Value::List(Arc::new(crate::value::PsList::new(
                    crate::value::ListKind::List(crate::value::TypeRef::named("System.String")),
                    tags.iter().map(Value::string).collect(),
                ))),
            ),
            ("User", Value::string(&user)),
            ("Computer", Value::string(&computer)),
            ("ProcessId", Value::UInt32(self.platform.process_id())),
            ("NativeThreadId", Value::UInt32(1)),
            ("ManagedThreadId", Value::UInt32(1)),
        ]);
        object.set_type_names(vec![
            Arc::from("System.Management.Automation.InformationRecord"),
            Arc::from("System.Object"),
        ]);

        Value::native(crate::session::InformationRecord { object: Arc::new(object), text })
    }
}

/// `ActionPreferenceStop`: the same record, thrown.
pub(crate) fn stop_error(record: &Arc<ErrorRecord>) -> Error {
    Error::from_record(record.clone())
}

/// A warning, verbose or debug record.
pub(crate) fn informational(type_name: &str, text: &str) -> Value {
    Value::native(crate::session::Informational { type_name: type_name.to_string(), text: text.to_string() })
}
