//! The host of a session whose user is at the other end.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use hop_clixml as clixml;
use hop_powershell_runtime::flow::{Flow, Run, Sink};
use hop_powershell_runtime::host::{Choice, Host, ProgressRecord};
use hop_powershell_runtime::runspace::Runspace;
use hop_powershell_runtime::value::{Error, ErrorCategory, ErrorRecord, Value};
use hop_psrp::Uuid;
use hop_psrp::body::{HostInfo, HostMethod, HostResponse, InformationRecord, ProgressRecord as WireProgress};
use hop_psrp::keys::Protection;
use hop_secret::SecretString;

use crate::convert::{error_from_body, error_to_body, from_clixml, to_clixml};

/// What the engine's thread tells the session's.
pub(crate) enum FromEngine {
    Output(Uuid, clixml::Value),
    Error(Uuid, Box<hop_psrp::body::ErrorRecord>),
    Warning(Uuid, String),
    Verbose(Uuid, String),
    Debug(Uuid, String),
    Information(Uuid, Box<InformationRecord>),
    Progress(Uuid, WireProgress),
    /// A host call; the answer goes to the sender, if one is wanted.
    HostCall(Uuid, HostMethod, Vec<clixml::Value>, Option<Sender<HostResponse>>),
    /// A pipeline has ended.
    Done(Uuid, Result<(), Option<Box<hop_psrp::body::ErrorRecord>>>),
}

/// What runs now, shared between host and output.
#[derive(Clone)]
pub(crate) struct Current {
    pub(crate) id: Uuid,
    pub(crate) host: HostInfo,
    pub(crate) protection: Protection,
}

/// A host whose calls travel to the client.
pub(crate) struct RemoteHost {
    pub(crate) current: Arc<std::sync::Mutex<Current>>,
    pub(crate) out: Sender<FromEngine>,
}

impl RemoteHost {
    fn current(&self) -> Current {
        self.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn send(&self, message: FromEngine) {
        // The session's thread is gone only when the process is about to end.
        let _ = self.out.send(message);
    }

    fn show(&self, method: HostMethod, parameters: Vec<clixml::Value>) {
        let current = self.current();
        if !current.host.ui_null {
            self.send(FromEngine::HostCall(current.id, method, parameters, None));
        }
    }

    fn ask(
        &self,
        method: HostMethod,
        parameters: Vec<clixml::Value>,
    ) -> Result<(clixml::Value, Protection), Error> {
        let current = self.current();
        let failed = |message: &str| {
            Error::new(
                "System.Management.Automation.Host.HostException",
                "HostFunctionNotImplemented",
                ErrorCategory::NotImplemented,
                message,
            )
        };
        if current.host.ui_null {
            return Err(failed(
                "The method or operation is not implemented: the client has no user interface.",
            ));
        }
        let (sender, receiver): (_, Receiver<HostResponse>) = channel();
        self.send(FromEngine::HostCall(current.id, method, parameters, Some(sender)));
        match receiver.recv() {
            Ok(response) => match response.result {
                Ok(value) => Ok((value.unwrap_or_default(), current.protection)),
                Err(record) => {
                    let record = error_from_body(&record, &current.protection);
                    Err(Error::from_record(record))
                }
            },
            // The pipeline was stopped meanwhile.
            Err(_) => Err(failed("The pipeline has been stopped.")),
        }
    }
}

fn text(text: &str) -> clixml::Value {
    text.into()
}

impl Host for RemoteHost {
    fn name(&self) -> String {
        "ServerRemoteHost".to_owned()
    }

    fn write_error(&mut self, record: &Arc<ErrorRecord>, _view: &str) {
        let current = self.current();
        let record = Box::new(error_to_body(record, &current.protection));
        self.send(FromEngine::Error(current.id, record));
    }

    fn write_warning(&mut self, message: &str) {
        self.send(FromEngine::Warning(self.current().id, message.to_owned()));
        self.show(HostMethod::WriteWarningLine, vec![text(message)]);
    }

    fn write_verbose(&mut self, message: &str) {
        self.send(FromEngine::Verbose(self.current().id, message.to_owned()));
        self.show(HostMethod::WriteVerboseLine, vec![text(message)]);
    }

    fn write_debug(&mut self, message: &str) {
        self.send(FromEngine::Debug(self.current().id, message.to_owned()));
        self.show(HostMethod::WriteDebugLine, vec![text(message)]);
    }

    fn write_information(&mut self, record: &Value) {
        let current = self.current();
        let value = to_clixml(record, &current.protection);
        let mut record = InformationRecord::from_value(&value);
        // What Write-Host wrote has its own shape.
        if value.get("MessageData").and_then(|data| data.get("NoNewLine")).is_some() {
            let data = value.get("MessageData").cloned().unwrap_or_default();
            let colour = |name: &str| match data.get(name).and_then(clixml::Value::as_i32) {
                Some(number) => colour_name(number).to_owned(),
                None => "-1".to_owned(),
            };
            record.data = hop_psrp::body::host_information_message(
                data.get("Message").and_then(clixml::Value::as_str).unwrap_or_default(),
                data.get("NoNewLine").and_then(clixml::Value::as_bool).unwrap_or_default(),
                &colour("ForegroundColor"),
                &colour("BackgroundColor"),
            );
        }
        self.send(FromEngine::Information(current.id, Box::new(record)));
    }

    fn write_progress(&mut self, source_id: i64, record: &ProgressRecord) {
        let optional = |text: &str| (!text.is_empty()).then(|| text.into());
        let wire = WireProgress {
            activity: record.activity.as_str().into(),
            activity_id: record.activity_id,
            status: Some(record.status.as_str().into()),
            current_operation: optional(&record.current_operation),
            parent_activity_id: record.parent_id,
            percent_complete: record.percent,
            completed: record.completed,
            seconds_remaining: record.seconds_remaining,
        };
        let value = wire.to_value();
        self.send(FromEngine::Progress(self.current().id, wire));
        self.show(HostMethod::WriteProgress, vec![source_id.into(), value]);
    }

    fn write(&mut self, message: &str, foreground: Option<u8>, background: Option<u8>) {
        let colour = |colour: Option<u8>| clixml::Value::Int32(colour.map_or(-1, i32::from));
        let (line, method, plain) = match message.strip_suffix('\n') {
            Some(line) => (line, HostMethod::WriteLine3, HostMethod::WriteLine2),
            None => (message, HostMethod::Write2, HostMethod::Write1),
        };
        match (foreground, background) {
            (None, None) => self.show(plain, vec![text(line)]),
            _ => self.show(method, vec![colour(foreground), colour(background), text(line)]),
        }
    }

    fn write_line(&mut self, message: &str) {
        self.show(HostMethod::WriteLine2, vec![text(message)]);
    }

    fn width(&self) -> usize {
        let data = self.current().host.default_data;
        data.and_then(|data| usize::try_from(data.buffer_size.width).ok())
            .filter(|width| *width > 0)
            .unwrap_or(80)
    }

    fn read_line(&mut self) -> Result<String, Error> {
        let (value, _) = self.ask(HostMethod::ReadLine, Vec::new())?;
        Ok(value.as_str().unwrap_or_default().to_owned())
    }

    fn read_secret(&mut self) -> Result<SecretString, Error> {
        let (value, protection) = self.ask(HostMethod::ReadLineAsSecureString, Vec::new())?;
        match value {
            clixml::Value::SecureString(sealed) => {
                Ok(protection.open(&sealed).unwrap_or_else(|_| SecretString::from("")))
            }
            other => Ok(SecretString::new(other.as_str().unwrap_or_default().to_owned())),
        }
    }

    fn prompt_for_choice(
        &mut self,
        caption: &str,
        message: &str,
        choices: &[Choice],
        default: i32,
    ) -> Result<i32, Error> {
        let choices = choices.iter().map(|choice| {
            let members = [("label", text(&choice.label)), ("helpMessage", text(&choice.help))];
            clixml::Value::from(clixml::Object::with_extended(members))
        });
        let choices = array_list(choices);
        let parameters = vec![text(caption), text(message), choices, default.into()];
        let (value, _) = self.ask(HostMethod::PromptForChoice, parameters)?;
        Ok(value.as_i32().unwrap_or(default))
    }

    fn prompt(
        &mut self,
        caption: &str,
        message: &str,
        fields: &[(String, String)],
    ) -> Result<Vec<Value>, Error> {
        let descriptions = fields.iter().map(|(name, type_name)| {
            let short = type_name.rsplit('.').next().unwrap_or(type_name);
            let assembly = "System.Private.CoreLib, Version=10.0.0.0, Culture=neutral, \
                            PublicKeyToken=7cec85d7bea7798e";
            let members = [
                ("name", text(name)),
                ("label", text("")),
                ("parameterTypeName", text(short)),
                ("parameterTypeFullName", text(type_name)),
                ("parameterAssemblyFullName", text(&format!("{type_name}, {assembly}"))),
                ("helpMessage", text("")),
                ("isMandatory", true.into()),
                ("metadata", array_list([])),
                ("modifiedByRemotingProtocol", false.into()),
                ("isFromRemoteHost", false.into()),
            ];
            clixml::Value::from(clixml::Object::with_extended(members))
        });
        let parameters = vec![text(caption), text(message), array_list(descriptions)];
        let (value, protection) = self.ask(HostMethod::Prompt, parameters)?;
        let answer = |name: &String| {
            hop_psrp::body::entry(&value, name).map_or(Value::Null, |answer| from_clixml(answer, &protection))
        };
        Ok(fields.iter().map(|(name, _)| answer(name)).collect())
    }

    fn is_interactive(&self) -> bool {
        !self.current().host.ui_null
    }

    fn prompt_for_credential(
        &mut self,
        caption: &str,
        message: &str,
        user: &str,
        target: &str,
    ) -> Result<Value, Error> {
        let parameters = vec![text(caption), text(message), text(user), text(target), 3.into(), 1.into()];
        let (value, protection) = self.ask(HostMethod::PromptForCredential2, parameters)?;
        Ok(from_clixml(&value, &protection))
    }

    fn set_should_exit(&mut self, code: i32) {
        let id = self.current().id;
        self.send(FromEngine::HostCall(id, HostMethod::SetShouldExit, vec![code.into()], None));
    }
}

fn array_list(items: impl IntoIterator<Item = clixml::Value>) -> clixml::Value {
    clixml::Object::list(["System.Collections.ArrayList", "System.Object"], clixml::ListKind::List, items)
        .into()
}

/// The names of ConsoleColor.
fn colour_name(number: i32) -> &'static str {
    const NAMES: [&str; 16] = [
        "Black",
        "DarkBlue",
        "DarkGreen",
        "DarkCyan",
        "DarkRed",
        "DarkMagenta",
        "DarkYellow",
        "Gray",
        "DarkGray",
        "Blue",
        "Green",
        "Cyan",
        "Red",
        "Magenta",
        "Yellow",
        "White",
    ];
    usize::try_from(number).ok().and_then(|at| NAMES.get(at)).copied().unwrap_or("-1")
}

/// Sends what a pipeline writes.
pub(crate) struct OutputSink {
    pub(crate) current: Current,
    pub(crate) out: Sender<FromEngine>,
}

impl Sink for OutputSink {
    fn write(&mut self, _runspace: &mut Runspace, value: Value) -> Run {
        let value = to_clixml(&value, &self.current.protection);
        self.out.send(FromEngine::Output(self.current.id, value)).map_err(|_| Flow::Stopped)
    }
}

/// The message that says why a pipeline ended.
pub(crate) fn failure(flow: &Flow, protection: &Protection) -> Option<Box<hop_psrp::body::ErrorRecord>> {
    flow.error().map(|error| Box::new(error_to_body(error.record(), protection)))
}
