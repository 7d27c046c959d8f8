//! The session: scopes, preferences, current location, what is running.
//!
//! The evaluator walks the tree recursively. Run a runspace on a thread with a large stack
//! ([`RECOMMENDED_STACK`]); the depth of script calls is limited so that this suffices.

use std::collections::BTreeMap;
use std::sync::Arc;

use hop_powershell_syntax::Source;

use crate::command::CommandTable;
use crate::flow::{Flow, Run, Sink};
use crate::host::{CancellationToken, Host, Platform, ProgressRecord, Remoting};
use crate::invocation::{ActionPreference, Invocation, StreamTargets};
use crate::scope::{Module, Scope};
use crate::value::{Error, InvocationInfo, PsList, TypeRef, Value};

/// Stack size in bytes for the thread that runs a [`Runspace`].
pub const RECOMMENDED_STACK: usize = 1 << 30;

/// How deep functions, script blocks and scripts may call each other.
pub const MAX_CALL_DEPTH: usize = 4000;

/// A command of a list, as PSRP sends it.
#[derive(Clone, Debug, Default)]
pub struct CommandCall {
    /// Name, or the text of a script.
    pub command: String,
    /// Whether `command` is a script.
    pub is_script: bool,
    /// Run a script in a scope of its own.
    pub use_local_scope: bool,
    /// Run a script file in the running scope.
    pub dotted: bool,
    /// Parameters; without a name: arguments. Names without dash.
    pub parameters: Vec<(Option<String>, Value)>,
    /// Merge the error stream into the output.
    pub merge_error: bool,
    /// Merge warnings.
    pub merge_warning: bool,
    /// Merge verbose text.
    pub merge_verbose: bool,
    /// Merge debug text.
    pub merge_debug: bool,
    /// Merge information.
    pub merge_information: bool,
    /// Last command of its pipeline: the next one starts a new statement.
    pub end_of_statement: bool,
}

/// A running function, script block or script.
#[derive(Debug, Default)]
pub struct Frame {
    /// Who called.
    pub parent: Option<Arc<Frame>>,
    /// How it was called.
    pub info: Arc<InvocationInfo>,
    /// Name for stack traces: function name, `<ScriptBlock>` or `<ScriptBlock><Process>`.
    pub name: String,
    /// The text that runs.
    pub source: Arc<Source>,
    /// Its parameters are bound like a cmdlet's.
    pub advanced: bool,
    /// Set for methods of classes: only `return` gives a value.
    pub(crate) method: Option<Arc<crate::classes::MethodFrame>>,
}

/// What changes from command to command while things run inside each other.
#[derive(Clone)]
pub(crate) struct State {
    pub scope: Arc<Scope>,
    pub frame: Arc<Frame>,
    pub targets: StreamTargets,
    /// A `try` with `catch` or a `trap` is around: terminating errors travel up to it.
    pub propagate: bool,
    /// Variables that `-ErrorVariable` of running functions names, with their scopes.
    pub collectors: Vec<(Arc<Scope>, String)>,
}

/// A drive made by `New-PSDrive`.
#[derive(Clone, Debug)]
pub struct Drive {
    /// Name without colon.
    pub name: String,
    /// Root folder in the file system.
    pub root: String,
    /// Description.
    pub description: String,
}

/// Static members and constructors of types that another crate brings.
pub trait TypeProvider {
    /// The type of that full name, when it is one of these.
    fn find(&self, full_name: &str) -> Option<TypeRef>;
    /// Reads a static property; `None` when it is not one of these.
    fn get(&self, runspace: &mut Runspace, kind: &TypeRef, name: &str) -> Option<Result<Value, Error>>;
    /// Writes a static property.
    fn set(
        &self,
        _runspace: &mut Runspace,
        _kind: &TypeRef,
        _name: &str,
        _value: &Value,
    ) -> Option<Result<(), Error>> {
        None
    }
    /// Calls a static method or, with the name `new`, a constructor.
    fn invoke(
        &self,
        runspace: &mut Runspace,
        kind: &TypeRef,
        name: &str,
        args: &[Value],
    ) -> Option<Result<Value, Error>>;
}

/// A PowerShell session.
pub struct Runspace {
    /// The host.
    pub host: Box<dyn Host>,
    /// The operating system.
    pub platform: Arc<dyn Platform>,
    /// Cmdlets.
    pub commands: CommandTable,
    /// Other computers.
    pub remoting: Option<Box<dyn Remoting>>,
    /// Environment variables, as `$env:` shows them.
    pub env: BTreeMap<String, String>,
    /// Drives made by `New-PSDrive`.
    pub drives: Vec<Drive>,
    /// Drive and path below it, when the current location is not on the drive `/`.
    pub drive_location: Option<(String, String)>,
    /// Members of types that live outside this crate: the file system's, for instance.
    pub type_providers: Vec<Box<dyn TypeProvider>>,
    /// Data that cmdlets keep for the whole session, by a name of their choice.
    pub session_data: BTreeMap<String, Box<dyn std::any::Any>>,
    /// Imported modules.
    pub modules: Vec<Arc<Module>>,
    pub(crate) global: Arc<Scope>,
    pub(crate) state: State,
    pub(crate) location: String,
    pub(crate) errors: Arc<PsList>,
    pub(crate) cancel: CancellationToken,
    pub(crate) depth: usize,
    pub(crate) success: bool,
    pub(crate) next_pipeline: u64,
    pub(crate) types: crate::classes::TypeRegistry,
    pub(crate) last_tokens: (Value, Value),
    /// `using namespace`.
    pub(crate) namespaces: Vec<String>,
    pub(crate) type_data: std::collections::HashMap<String, crate::value::Members>,
}

impl Runspace {
    /// A session with a host, an operating system and cmdlets.
    pub fn new(host: Box<dyn Host>, platform: Arc<dyn Platform>, commands: CommandTable) -> Self {
        let global = Scope::global();
        let state = State {
            scope: global.clone(),
            frame: Arc::default(),
            targets: StreamTargets::default(),
            propagate: false,
            collectors: Vec::new(),
        };
        let location = platform.current_directory();
        let env = platform.environment().into_iter().collect();
        let mut runspace = Self {
            host,
            platform,
            commands,
            remoting: None,
            env,
            drives: Vec::new(),
            drive_location: None,
            type_providers: Vec::new(),
            session_data: BTreeMap::new(),
            modules: Vec::new(),
            global,
            state,
            location,
            errors: Arc::new(PsList::array_list(Vec::new())),
            cancel: CancellationToken::new(),
            depth: 0,
            success: true,
            next_pipeline: 0,
            types: crate::classes::TypeRegistry::default(),
            last_tokens: (Value::Null, Value::Null),
            namespaces: Vec::new(),
            type_data: std::collections::HashMap::new(),
        };
        runspace.define_automatic_variables();
        runspace
    }

    /// The token that stops what runs.
    pub fn cancellation(&self) -> CancellationToken {
        self.cancel.clone()
    }

    pub(crate) fn check_stopped(&self) -> Run {
        if self.cancel.is_cancelled() { Err(Flow::Stopped) } else { Ok(()) }
    }

    /// The working directory of the file system.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// Sets the working directory; the path must be absolute and exist.
    pub fn set_location(&mut self, path: &str) {
        self.location = path.to_string();
        self.drive_location = None;
    }

    /// Sets the location to a path on another drive; for a drive of the file system `folder` is its folder.
    pub fn set_drive_location(&mut self, drive: &str, path: &str, folder: Option<&str>) {
        if let Some(folder) = folder {
            self.location = folder.to_string();
        }
        self.drive_location = Some((drive.to_string(), path.trim_matches('/').to_string()));
    }

    /// The location as `$PWD` shows it.
    pub fn location_text(&self) -> String {
        match &self.drive_location {
            Some((drive, path)) => format!("{drive}:/{path}"),
            None => self.location.clone(),
        }
    }

    /// `$PWD`.
    pub fn location_value(&self) -> Value {
        let text = self.location_text();
        match &self.drive_location {
            None => crate::ops::path_info("/", "FileSystem", "/", &text, &text),
            Some((drive, path)) => {
                let provider = match drive.to_ascii_lowercase().as_str() {
                    "env" => "Environment",
                    "variable" => "Variable",
                    "function" => "Function",
                    "alias" => "Alias",
                    _ => "FileSystem",
                };
                let below = if provider == "FileSystem" { &self.location } else { path };
                let root = self.drives.iter().find(|d| d.name.eq_ignore_ascii_case(drive));
                crate::ops::path_info(drive, provider, root.map_or("", |d| &d.root), &text, below)
            }
        }
    }

    /// `$?`.
    pub fn last_success(&self) -> bool {
        self.success
    }

    /// Sets `$?`.
    pub fn set_last_success(&mut self, success: bool) {
        self.success = success;
    }

    /// The scope that runs.
    pub fn scope(&self) -> &Arc<Scope> {
        &self.state.scope
    }

    /// The outermost scope.
    pub fn global_scope(&self) -> &Arc<Scope> {
        &self.global
    }

    /// The running function or script.
    pub fn frame(&self) -> &Arc<Frame> {
        &self.state.frame
    }

    /// `$Error`.
    pub fn error_list(&self) -> &Arc<PsList> {
        &self.errors
    }

    /// Shows progress, unless `$ProgressPreference` says not to.
    pub fn write_progress(&mut self, source_id: i64, record: &ProgressRecord) {
        if self.preference("ProgressPreference") == ActionPreference::Continue {
            self.host.write_progress(source_id, record);
        }
    }

    /// `ShouldProcess` for a command.
    pub(crate) fn should_process(&mut self, call: &Invocation, message: &str, query: &str) -> Run<bool> {
        let what_if = call.common.what_if.unwrap_or_else(|| {
            let v = self.variable_value("WhatIfPreference");
            self.is_true(&v)
        });
        if what_if {
            let text = format!("What if: {message}");
            self.host.write_line(&text);
            return Ok(false);
        }
        let confirm = match call.common.confirm {
            Some(c) => c,
            None => {
                let preference = self.variable_value("ConfirmPreference");
                let level = match preference.as_str().map(str::to_ascii_lowercase).as_deref() {
                    Some("none") => 4,
                    Some("low") => 1,
                    Some("medium") => 2,
                    Some("high") => 3,
                    _ => preference.as_integer().unwrap_or(3),
                };
                let impact = if call.high_impact { 3 } else { 2 };
                level != 4 && level != 0 && impact >= level
            }
        };
        if confirm {
            let choices = ["&Yes", "Yes to &All", "&No", "No to A&ll", "&Suspend"]
                .map(|label| crate::host::Choice { label: label.to_string(), help: String::new() });
            let answer = self
                .host
                .prompt_for_choice(
                    "Confirm",
                    &format!("Are you sure you want to perform this action?\n{query}"),
                    &choices,
                    0,
                )
                .map_err(Flow::Error)?;
            return Ok(answer == 0 || answer == 1);
        }
        let verbose = call.common.verbose.unwrap_or(false)
            || self.preference("VerbosePreference") == ActionPreference::Continue;
        if verbose {
            self.host.write_verbose(message);
        }
        Ok(true)
    }

    /// Parses a text as a script; the first error is thrown.
    pub fn parse(
        &self,
        text: &str,
        file: Option<&str>,
    ) -> Result<Arc<hop_powershell_syntax::ast::ScriptBlock>, Error> {
        let source = Source::new(file.map(str::to_string), text);
        let (block, errors) = hop_powershell_syntax::parse(&source);
        match errors.first() {
            None => Ok(block),
            Some(_) => Err(crate::errors::parse_error(&source, &errors)),
        }
    }

    /// Runs a script's text with arguments (parameters by name or position) in the current scope.
    pub fn run_script(
        &mut self,
        text: &str,
        args: &[(Option<String>, Value)],
        input: Option<Vec<Value>>,
        out: &mut dyn Sink,
    ) -> Run {
        let call = CommandCall {
            command: text.to_string(),
            is_script: true,
            parameters: args.to_vec(),
            ..CommandCall::default()
        };
        self.invoke_commands(&[call], input, out)
    }
}

/// The name in a command's info object.
pub(crate) fn command_name_of(info: &Value) -> Option<String> {
    match info.base() {
        Value::Native(native) => match native.get("Name")? {
            Ok(v) => v.as_str().map(str::to_string),
            Err(_) => None,
        },
        Value::Object(o) => o.note("Name").and_then(|v| v.as_str().map(str::to_string)),
        Value::String(s) => Some(s.to_string()),
        _ => None,
    }
}
