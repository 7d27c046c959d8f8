//! What the engine needs from the program around it: the host, the operating system, other computers.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::value::{Error, ErrorRecord, System, Value};

/// A progress record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProgressRecord {
    /// Which activity.
    pub activity_id: i32,
    /// The activity it belongs to; -1 for none.
    pub parent_id: i32,
    /// First line.
    pub activity: String,
    /// What is being done.
    pub status: String,
    /// What exactly.
    pub current_operation: String,
    /// -1 when unknown.
    pub percent: i32,
    /// -1 when unknown.
    pub seconds_remaining: i32,
    /// The last record of the activity.
    pub completed: bool,
}

/// A choice of [`Host::prompt_for_choice`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Label with `&` before its hot key.
    pub label: String,
    /// Help text.
    pub help: String,
}

/// The host: takes the streams other than output, and talks to the user.
///
/// A console writes to a terminal, a remoting server sends messages to the client. Methods that ask the
/// user fail by default, as with `-NonInteractive`.
pub trait Host {
    /// `$Host.Name`.
    fn name(&self) -> String;
    /// The error stream. `view` is `$ErrorView`.
    fn write_error(&mut self, record: &Arc<ErrorRecord>, view: &str);
    /// The warning stream.
    fn write_warning(&mut self, text: &str);
    /// The verbose stream.
    fn write_verbose(&mut self, text: &str);
    /// The debug stream.
    fn write_debug(&mut self, text: &str);
    /// The information stream: an `InformationRecord`. For `Write-Host` the engine calls [`Host::write`] too.
    fn write_information(&mut self, record: &Value);
    /// The progress stream.
    fn write_progress(&mut self, source_id: i64, record: &ProgressRecord);
    /// Text to the user interface, without a line end. Colours are `ConsoleColor` numbers.
    fn write(&mut self, text: &str, foreground: Option<u8>, background: Option<u8>);
    /// Text and a line end.
    fn write_line(&mut self, text: &str) {
        self.write(text, None, None);
        self.write("\n", None, None);
    }
    /// Columns of the window.
    fn width(&self) -> usize {
        80
    }
    /// A line from the user.
    fn read_line(&mut self) -> Result<String, Error> {
        Err(non_interactive("Read-Host"))
    }
    /// A line that is not shown.
    fn read_secret(&mut self) -> Result<hop_secret::SecretString, Error> {
        Err(non_interactive("Read-Host"))
    }
    /// Lets the user choose.
    fn prompt_for_choice(
        &mut self,
        _caption: &str,
        _message: &str,
        _choices: &[Choice],
        _default: i32,
    ) -> Result<i32, Error> {
        Err(non_interactive("PromptForChoice"))
    }
    /// Asks for the fields of a form (missing mandatory parameters): names and type names.
    fn prompt(
        &mut self,
        _caption: &str,
        _message: &str,
        _fields: &[(String, String)],
    ) -> Result<Vec<Value>, Error> {
        Err(non_interactive("Prompt"))
    }
    /// Whether the user can be asked at all.
    fn is_interactive(&self) -> bool {
        false
    }
    /// Asks for a user name and password; a `PSCredential` value.
    fn prompt_for_credential(
        &mut self,
        _caption: &str,
        _message: &str,
        _user: &str,
        _target: &str,
    ) -> Result<Value, Error> {
        Err(non_interactive("PromptForCredential"))
    }
    /// `$Host.SetShouldExit`.
    fn set_should_exit(&mut self, _code: i32) {}
    /// Clears the screen.
    fn clear(&mut self) {}
}

fn non_interactive(what: &str) -> Error {
    Error::new(
        "System.Management.Automation.PSInvalidOperationException",
        "InvalidOperation",
        crate::value::ErrorCategory::InvalidOperation,
        format!(
            "PowerShell is in NonInteractive mode. Read and Prompt functionality is not available. ({what})"
        ),
    )
}

/// A native program to run.
#[derive(Clone, Debug, Default)]
pub struct NativeCommand {
    /// Path of the program.
    pub program: String,
    /// Arguments.
    pub args: Vec<String>,
    /// Working directory.
    pub directory: String,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// What it reads from its standard input; none: nothing (`/dev/null`).
    pub input: Option<Vec<u8>>,
}

/// What a running native program does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NativeEvent {
    /// Bytes on standard output.
    Output(Vec<u8>),
    /// Bytes on standard error.
    Error(Vec<u8>),
}

/// The operating system, as far as the evaluator itself needs it. Cmdlets may use `std` directly.
pub trait Platform: System {
    /// The whole content of a file.
    fn read_file(&self, path: &str) -> io::Result<Vec<u8>>;
    /// Whether a path names a file.
    fn is_file(&self, path: &str) -> bool;
    /// Whether a path names a directory.
    fn is_directory(&self, path: &str) -> bool;
    /// Whether a path names a file that may be executed.
    fn is_executable(&self, path: &str) -> bool;
    /// Names in a directory, sorted.
    fn list_directory(&self, path: &str) -> io::Result<Vec<String>>;
    /// Runs a program; `event` is called as it writes and returns false to kill it. Gives the exit code.
    fn run(
        &self,
        command: &NativeCommand,
        cancel: &CancellationToken,
        event: &mut dyn FnMut(NativeEvent) -> bool,
    ) -> io::Result<i32>;
    /// The environment the engine starts with.
    fn environment(&self) -> Vec<(String, String)>;
    /// The process's working directory.
    fn current_directory(&self) -> String;
    /// The process id.
    fn process_id(&self) -> u32;
    /// Name of the computer.
    fn computer_name(&self) -> String;
    /// Waits, but not longer than until cancelled.
    fn sleep(&self, time: std::time::Duration, cancel: &CancellationToken);
}

/// Stops a pipeline from another thread.
#[derive(Clone, Debug, Default)]
pub struct CancellationToken(Arc<AtomicBool>);

impl CancellationToken {
    /// A token that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks what runs to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it was asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Makes it usable for the next pipeline.
    pub fn reset(&self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Where a remote command runs.
#[derive(Clone, Debug)]
pub enum RemoteTarget {
    /// A computer, connected to for this command only.
    Computer {
        /// As the user named it.
        name: String,
        /// Connection parameters as they were given to the cmdlet (`Port`, `Credential`, `Authentication`,
        /// `UseSSL`, `ConfigurationName`, …).
        options: Vec<(String, Value)>,
    },
    /// An open session by its number.
    Session(i32),
}

/// A command for other computers.
#[derive(Clone, Debug, Default)]
pub struct RemoteCommand {
    /// Where.
    pub targets: Vec<RemoteTarget>,
    /// The script's text.
    pub script: String,
    /// `-ArgumentList`.
    pub arguments: Vec<Value>,
    /// Values of `$using:` expressions, by key.
    pub using: Vec<(String, Value)>,
    /// `-InputObject` and pipeline input; none: the script has no input.
    pub input: Option<Vec<Value>>,
    /// `-ThrottleLimit`.
    pub throttle: usize,
}

/// What comes back from other computers.
#[derive(Clone, Debug)]
pub enum RemoteEvent {
    /// An object, decorated with `PSComputerName` and so on.
    Output(Value),
    /// An error.
    Error(Arc<ErrorRecord>),
    /// A warning.
    Warning(String),
    /// Verbose text.
    Verbose(String),
    /// Debug text.
    Debug(String),
    /// An information record.
    Information(Value),
    /// A progress record.
    Progress(ProgressRecord),
    /// Text for the local host's screen.
    HostWrite(String),
}

/// An open remote session, for `New-PSSession` and `Get-PSSession`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteSession {
    /// Session number.
    pub id: i32,
    /// `Session1` or the name given.
    pub name: String,
    /// The computer.
    pub computer: String,
    /// `Opened`, `Broken`, ….
    pub state: String,
    /// Instance id.
    pub instance: crate::value::Uuid,
}

/// Reaches other computers. The engine itself knows nothing of the network.
pub trait Remoting {
    /// Runs a command and hands back what comes, until all targets are done. `event` returns false to stop.
    fn invoke(
        &mut self,
        command: &RemoteCommand,
        cancel: &CancellationToken,
        event: &mut dyn FnMut(RemoteEvent) -> bool,
    ) -> Result<(), Error>;
    /// Opens a session.
    fn open(
        &mut self,
        computer: &str,
        name: Option<&str>,
        options: &[(String, Value)],
    ) -> Result<RemoteSession, Error>;
    /// Closes a session.
    fn close(&mut self, id: i32) -> Result<(), Error>;
    /// All open sessions.
    fn sessions(&self) -> Vec<RemoteSession>;
    /// The settings that say which computers may have a password, if this machine has any.
    fn credssp_settings(&mut self) -> Option<&mut dyn CredSspSettings> {
        None
    }
}

/// This machine's settings of CredSSP, for `Enable-WSManCredSSP` and its kin. The engine itself knows no files of them.
///
/// Errors are messages for the user.
pub trait CredSspSettings {
    /// Lets these computers have passwords, besides those that may have them already.
    fn enable_client(&mut self, computers: &[String]) -> Result<(), String>;
    /// Lets no computer have passwords.
    fn disable_client(&mut self) -> Result<(), String>;
    /// Lets this computer's service take passwords, or not.
    fn set_server(&mut self, on: bool) -> Result<(), String>;
    /// The entries for `wsman` in their order, and whether this computer's service takes passwords.
    fn state(&mut self) -> Result<(Vec<String>, bool), String>;
}
