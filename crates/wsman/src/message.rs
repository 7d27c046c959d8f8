//! What is said: operations and their responses.

use std::time::Duration;

use crate::{
    envelope::Envelope,
    fault::Fault,
    ids::{CommandId, ShellId},
    uri,
};

/// A request: header and operation.
pub type Request = Envelope<Operation>;

/// An answer: header and either the operation's response or a fault.
pub type Response = Envelope<Result<OperationResponse, Fault>>;

/// What a client asks for; the action and the body together.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Operation {
    /// `wsmid:Identify`: what are you? The only operation without header.
    Identify,
    /// [MS-WSMV] 3.1.4.5.2: open a shell.
    Create(CreateShell),
    /// [MS-WSMV] 3.1.4.11: start a command in a shell.
    Command(CommandLine),
    /// [MS-WSMV] 3.1.4.13: input.
    Send(Vec<Stream>),
    /// [MS-WSMV] 3.1.4.14: wait for output of the shell (no command) or of a command.
    Receive {
        /// The command; none for the shell itself.
        command: Option<CommandId>,
        /// Names of the wanted streams.
        streams: Vec<String>,
    },
    /// [MS-WSMV] 3.1.4.12: stop or release a command.
    Signal {
        /// The command; none for the shell itself.
        command: Option<CommandId>,
        /// What to do.
        signal: Signal,
    },
    /// Close the shell.
    Delete,
    /// [MS-WSMV] 3.1.4.17, not served yet.
    Connect,
    /// [MS-WSMV] 3.1.4.15, not served yet.
    Disconnect,
    /// [MS-WSMV] 3.1.4.16, not served yet.
    Reconnect,
    /// WS-Transfer Get, not served yet.
    Get,
    /// WS-Enumeration Enumerate, not served yet.
    Enumerate,
}

/// `rsp:Shell` of a Create request, [MS-WSMV] 2.2.4.36.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CreateShell {
    /// `Name`, for people.
    pub name: Option<String>,
    /// The id the client chose, if it did.
    pub shell_id: Option<ShellId>,
    /// Names of the streams to the shell: `stdin`, for PowerShell also `pr`.
    pub input_streams: Vec<String>,
    /// Names of the streams from the shell: `stdout`, for command shells also `stderr`.
    pub output_streams: Vec<String>,
    /// Folder to start in (command shells).
    pub working_directory: Option<String>,
    /// Environment variables, in order (command shells).
    pub environment: Vec<(String, String)>,
    /// How long the shell may stay without any request before the server closes it.
    pub idle_timeout: Option<Duration>,
    /// PSRP fragments that open the runspace pool, [MS-PSRP] 3.1.5.3.1.
    pub creation_xml: Option<Vec<u8>>,
}

/// `rsp:CommandLine`, [MS-WSMV] 2.2.4.7.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CommandLine {
    /// The id the client chose, if it did.
    pub command_id: Option<CommandId>,
    /// The command; only informative for PowerShell.
    pub command: String,
    /// Arguments of a command shell's command, or base64 of PSRP fragments.
    pub arguments: Vec<String>,
}

impl CommandLine {
    /// The arguments as PSRP fragments: every argument is base64, the bytes are joined.
    ///
    /// # Errors
    /// A `SchemaValidationError` fault if an argument is not base64.
    pub fn fragments(&self) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
        for argument in &self.arguments {
            let part = crate::parse::base64(argument);
            bytes.extend(part.ok_or_else(|| Fault::schema("an argument of the command is not base64"))?);
        }
        Ok(bytes)
    }
}

/// A piece of a stream, `rsp:Stream`, [MS-WSMV] 2.2.4.41.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stream {
    /// `stdin`, `pr`, `stdout` or `stderr`.
    pub name: String,
    /// The command it belongs to; none for the shell itself.
    pub command: Option<CommandId>,
    /// The bytes.
    pub data: Vec<u8>,
    /// Nothing follows on this stream.
    pub end: bool,
}

/// `rsp:Code` of a Signal, [MS-WSMV] 2.2.4.38.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signal {
    /// Release the command, stopping it if it runs.
    Terminate,
    /// Ctrl+C for a command shell.
    CtrlC,
    /// Ctrl+Break for a command shell.
    CtrlBreak,
    /// Stop a pipeline; PowerShell spells it `crtl_c`.
    StopPipeline,
    /// Anything else, as it was sent.
    Other(String),
}

impl Signal {
    pub(crate) fn from_uri(text: &str) -> Self {
        let text = text.trim();
        let lower = text.to_ascii_lowercase();
        match lower.rsplit('/').next() {
            Some("terminate") => Self::Terminate,
            Some("crtl_c") => Self::StopPipeline,
            Some("ctrl_c") if lower.starts_with("powershell/") => Self::StopPipeline,
            Some("ctrl_c") => Self::CtrlC,
            Some("ctrl_break") => Self::CtrlBreak,
            _ => Self::Other(text.to_owned()),
        }
    }

    pub(crate) fn to_uri(&self) -> String {
        match self {
            Self::Terminate => format!("{}/signal/terminate", uri::SHELL),
            Self::CtrlC => format!("{}/signal/ctrl_c", uri::SHELL),
            Self::CtrlBreak => format!("{}/signal/ctrl_break", uri::SHELL),
            Self::StopPipeline => "powershell/signal/crtl_c".to_owned(),
            Self::Other(text) => text.clone(),
        }
    }
}

/// A selector or an option: a name with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

/// The successful answer to an [`Operation`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum OperationResponse {
    /// To [`Operation::Identify`].
    Identify(IdentifyResponse),
    /// To [`Operation::Create`].
    Create(CreateResponse),
    /// To [`Operation::Command`]: the command's id.
    Command(CommandId),
    /// To [`Operation::Send`].
    Send,
    /// To [`Operation::Receive`].
    Receive(ReceiveResponse),
    /// To [`Operation::Signal`].
    Signal,
    /// To [`Operation::Delete`].
    Delete,
}

/// The answer to Create: `wst:ResourceCreated` and `rsp:Shell`.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateResponse {
    /// The shell's id: from the selector, or from `rsp:Shell` if there is none.
    pub shell_id: ShellId,
    /// The resource URI to use from now on.
    pub resource_uri: String,
    /// The user the server sees.
    pub owner: Option<String>,
    /// The client's address as the server sees it.
    pub client_ip: Option<String>,
    /// The idle time-out that is in force.
    pub idle_timeout: Option<Duration>,
    /// Streams to the shell.
    pub input_streams: Vec<String>,
    /// Streams from the shell.
    pub output_streams: Vec<String>,
    /// Output of the shell itself that our server hands out at once, so that the first Receive can be saved.
    /// `None` from a server that does not know this extension.
    pub early_output: Option<Vec<u8>>,
}

/// `rsp:ReceiveResponse`, [MS-WSMV] 2.2.4.33.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReceiveResponse {
    /// Pieces of output, in order.
    pub streams: Vec<Stream>,
    /// State of the command, if one was asked for.
    pub state: Option<CommandState>,
}

/// `rsp:CommandState`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CommandState {
    /// It has not begun.
    Pending(CommandId),
    /// There may be more output.
    Running(CommandId),
    /// There is nothing more to come.
    Done {
        /// The command.
        command: CommandId,
        /// Exit code; PowerShell pipelines say 0.
        exit_code: Option<i32>,
    },
}

/// `wsmid:IdentifyResponse`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IdentifyResponse {
    /// WS-Management version URI.
    pub protocol_version: String,
    /// Who made the server.
    pub product_vendor: String,
    /// Version of the server.
    pub product_version: String,
}
