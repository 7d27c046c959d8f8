//! What a pipeline is made of.

use hop_clixml::{ListKind, Object, TypeNames, Value};

use super::capability::apartment_state;
use super::{BodyError, HostInfo, boolean, int, member, object, optional_text, text, wrong};

/// An argument of a command ([MS-PSRP] 2.2.3.13).
#[derive(Clone, Debug, PartialEq)]
pub struct Argument {
    /// The parameter's name, with a hyphen and perhaps a colon if it was typed so; None: positional.
    pub name: Option<String>,
    /// The value; null for a switch, or if the value stands in the next argument.
    pub value: Value,
}

impl Argument {
    /// A positional argument.
    pub fn positional(value: impl Into<Value>) -> Self {
        Self { name: None, value: value.into() }
    }

    /// A named argument.
    pub fn named(name: impl Into<String>, value: impl Into<Value>) -> Self {
        Self { name: Some(name.into()), value: value.into() }
    }
}

/// Streams as flags: PipelineResultTypes ([MS-PSRP] 2.2.3.31).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PipelineResultTypes(pub i32);

impl PipelineResultTypes {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// The output.
    pub const OUTPUT: Self = Self(1);
    /// Errors.
    pub const ERROR: Self = Self(2);
    /// Warnings.
    pub const WARNING: Self = Self(3);
    /// Verbose messages.
    pub const VERBOSE: Self = Self(4);
    /// Debug messages.
    pub const DEBUG: Self = Self(5);
    /// Information records.
    pub const INFORMATION: Self = Self(6);
    /// All streams.
    pub const ALL: Self = Self(7);
    /// Nowhere.
    pub const NULL: Self = Self(8);

    fn to_value(self) -> Value {
        let names = ["None", "Output", "Error", "Warning", "Verbose", "Debug", "Information", "All", "Null"];
        let name = usize::try_from(self.0).ok().and_then(|at| names.get(at)).copied().unwrap_or("None");
        Object::enumeration("System.Management.Automation.Runspaces.PipelineResultTypes", name, self.0).into()
    }
}

/// Where a command's streams go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MergeTo {
    /// Protocol 2.1 and older: this stream of the command ...
    pub my_result: PipelineResultTypes,
    /// ... goes here.
    pub to_result: PipelineResultTypes,
    /// The streams of the commands before this one.
    pub previous_results: PipelineResultTypes,
    /// Errors.
    pub error: PipelineResultTypes,
    /// Warnings.
    pub warning: PipelineResultTypes,
    /// Verbose messages.
    pub verbose: PipelineResultTypes,
    /// Debug messages.
    pub debug: PipelineResultTypes,
    /// Information records.
    pub information: PipelineResultTypes,
}

/// One command of a pipeline ([MS-PSRP] 2.2.3.12).
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// A command's name or a script's text.
    pub text: String,
    /// Whether it is a script.
    pub is_script: bool,
    /// Whether a scope of its own is used; None: as usual.
    pub use_local_scope: Option<bool>,
    /// Where streams go.
    pub merge: MergeTo,
    /// Arguments in order.
    pub arguments: Vec<Argument>,
}

impl Command {
    /// A script.
    pub fn script(text: impl Into<String>) -> Self {
        Self { is_script: true, ..Self::new(text) }
    }

    /// A command by name.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            text: name.into(),
            is_script: false,
            use_local_scope: None,
            merge: MergeTo::default(),
            arguments: Vec::new(),
        }
    }

    /// With one more argument.
    #[must_use]
    pub fn with(mut self, argument: Argument) -> Self {
        self.arguments.push(argument);
        self
    }

    fn to_value(&self) -> Value {
        let arguments = self
            .arguments
            .iter()
            .map(|argument| object([("N", argument.name.as_deref().into()), ("V", argument.value.clone())]));
        object([
            ("Cmd", self.text.as_str().into()),
            ("IsScript", self.is_script.into()),
            ("UseLocalScope", self.use_local_scope.into()),
            ("MergeMyResult", self.merge.my_result.to_value()),
            ("MergeToResult", self.merge.to_result.to_value()),
            ("MergePreviousResults", self.merge.previous_results.to_value()),
            ("MergeError", self.merge.error.to_value()),
            ("MergeWarning", self.merge.warning.to_value()),
            ("MergeVerbose", self.merge.verbose.to_value()),
            ("MergeDebug", self.merge.debug.to_value()),
            ("MergeInformation", self.merge.information.to_value()),
            ("Args", list(arguments)),
        ])
    }

    fn from_value(value: &Value) -> Result<Self, BodyError> {
        // Streams that came with later versions of the protocol may be missing.
        let merge = |name: &str| PipelineResultTypes(value.get(name).and_then(Value::as_i32).unwrap_or(0));
        let arguments = match value.get("Args") {
            None => Vec::new(),
            Some(arguments) => arguments
                .items()
                .ok_or_else(|| wrong(arguments, "Args", "System.Collections.IList"))?
                .iter()
                .map(|argument| Argument {
                    name: optional_text(argument, "N"),
                    value: argument.get("V").cloned().unwrap_or_default(),
                })
                .collect(),
        };
        Ok(Self {
            text: text(value, "Cmd")?,
            is_script: boolean(value, "IsScript")?,
            use_local_scope: value.get("UseLocalScope").and_then(Value::as_bool),
            merge: MergeTo {
                my_result: merge("MergeMyResult"),
                to_result: merge("MergeToResult"),
                previous_results: merge("MergePreviousResults"),
                error: merge("MergeError"),
                warning: merge("MergeWarning"),
                verbose: merge("MergeVerbose"),
                debug: merge("MergeDebug"),
                information: merge("MergeInformation"),
            },
            arguments,
        })
    }
}

fn list(items: impl IntoIterator<Item = Value>) -> Value {
    // The name is PowerShell's; readers look at the element only.
    const LIST: &str = "System.Collections.Generic.List`1[[System.Management.Automation.PSObject, \
                        System.Management.Automation, Version=7.6.0.500, Culture=neutral, \
                        PublicKeyToken=31bf3856ad364e35]]";
    Object::list([LIST, "System.Object"], ListKind::List, items).into()
}

/// CREATE_PIPELINE ([MS-PSRP] 2.2.2.10).
#[derive(Clone, Debug, PartialEq)]
pub struct CreatePipeline {
    /// Statements, each a list of commands whose output flows into the next.
    pub statements: Vec<Vec<Command>>,
    /// Whether the pipeline runs while another one of its runspace is held.
    pub is_nested: bool,
    /// The text for the history.
    pub history: Option<String>,
    /// Errors of the shell go to the error stream.
    pub redirect_shell_error_output: bool,
    /// There will be no input.
    pub no_input: bool,
    /// 0 STA, 1 MTA, 2 Unknown.
    pub apartment_state: i32,
    /// For which streams the invocation is told: 15 all, 0 none.
    pub remote_stream_options: i32,
    /// Whether the pipeline is kept in the history.
    pub add_to_history: bool,
    /// The pipeline's host.
    pub host: HostInfo,
}

impl CreatePipeline {
    /// One statement without input and history, with the pool's host.
    pub fn new(commands: impl IntoIterator<Item = Command>) -> Self {
        Self {
            statements: vec![commands.into_iter().collect()],
            is_nested: false,
            history: None,
            redirect_shell_error_output: true,
            no_input: true,
            apartment_state: 2,
            remote_stream_options: 0,
            add_to_history: false,
            host: HostInfo::of_pool(),
        }
    }

    /// A script without input.
    pub fn script(text: impl Into<String>) -> Self {
        Self::new([Command::script(text)])
    }

    /// The body.
    pub fn to_value(&self) -> Value {
        let commands = |commands: &[Command]| list(commands.iter().map(Command::to_value));
        let mut powershell = Vec::new();
        if self.statements.len() > 1 {
            let statements = self.statements.iter().map(|statement| object([("Cmds", commands(statement))]));
            powershell.push(("ExtraCmds", list(statements)));
        }
        powershell.extend([
            ("Cmds", commands(self.statements.first().map_or(&[], Vec::as_slice))),
            ("IsNested", self.is_nested.into()),
            ("History", self.history.as_deref().into()),
            ("RedirectShellErrorOutputPipe", self.redirect_shell_error_output.into()),
        ]);
        let options = match self.remote_stream_options {
            15 => "AddInvocationInfo".to_owned(),
            other => other.to_string(),
        };
        object([
            ("PowerShell", object(powershell)),
            ("NoInput", self.no_input.into()),
            ("ApartmentState", apartment_state(self.apartment_state)),
            (
                "RemoteStreamOptions",
                Object::enumeration(
                    "System.Management.Automation.RemoteStreamOptions",
                    &options,
                    self.remote_stream_options,
                )
                .into(),
            ),
            ("AddToHistory", self.add_to_history.into()),
            ("HostInfo", self.host.to_value()),
            ("IsNested", self.is_nested.into()),
        ])
    }

    /// Reads the body.
    pub fn from_value(value: &Value) -> Result<Self, BodyError> {
        let powershell = member(value, "PowerShell")?;
        let commands = |value: &Value| -> Result<Vec<Command>, BodyError> {
            let commands = member(value, "Cmds")?;
            let items =
                commands.items().ok_or_else(|| wrong(commands, "Cmds", "System.Collections.IList"))?;
            items.iter().map(Command::from_value).collect()
        };
        let statements = match powershell.get("ExtraCmds").and_then(Value::items) {
            Some(statements) if !statements.is_empty() => {
                statements.iter().map(commands).collect::<Result<Vec<_>, _>>()?
            }
            _ => vec![commands(powershell)?],
        };
        if statements.iter().any(Vec::is_empty) {
            return Err(BodyError::Missing("Cmds"));
        }
        Ok(Self {
            statements,
            is_nested: boolean(value, "IsNested")?,
            history: optional_text(powershell, "History"),
            redirect_shell_error_output: boolean(powershell, "RedirectShellErrorOutputPipe").unwrap_or(false),
            no_input: boolean(value, "NoInput")?,
            apartment_state: int(value, "ApartmentState")?,
            remote_stream_options: int(value, "RemoteStreamOptions")?,
            add_to_history: boolean(value, "AddToHistory")?,
            host: HostInfo::from_value(member(value, "HostInfo")?)?,
        })
    }
}

/// GET_COMMAND_METADATA ([MS-PSRP] 2.2.2.14).
#[derive(Clone, Debug, PartialEq)]
pub struct GetCommandMetadata {
    /// Names, with wildcards.
    pub names: Vec<String>,
    /// Flags of CommandTypes.
    pub command_type: i32,
    /// Modules; None: all.
    pub namespaces: Option<Vec<String>>,
    /// Arguments for dynamic parameters.
    pub arguments: Value,
}

impl GetCommandMetadata {
    /// The body.
    pub fn to_value(&self) -> Value {
        let strings = |texts: &[String]| -> Value {
            let items = texts.iter().map(|text| Value::from(text.as_str()));
            Object::list(["System.String[]", "System.Array", "System.Object"], ListKind::List, items).into()
        };
        let command_type = Object {
            type_names: TypeNames::new([
                "System.Management.Automation.CommandTypes",
                "System.Enum",
                "System.ValueType",
                "System.Object",
            ]),
            to_string: Some(command_types(self.command_type).into()),
            content: hop_clixml::Content::Primitive(self.command_type.into()),
            ..Object::default()
        };
        object([
            ("Name", strings(&self.names)),
            ("CommandType", command_type.into()),
            ("Namespace", self.namespaces.as_deref().map(strings).unwrap_or_default()),
            ("FullyQualifiedModule", Value::Null),
            ("ArgumentList", self.arguments.clone()),
        ])
    }

    /// Reads the body.
    pub fn from_value(value: &Value) -> Result<Self, BodyError> {
        let strings = |value: &Value| -> Option<Vec<String>> {
            Some(value.items()?.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        };
        Ok(Self {
            names: strings(member(value, "Name")?).unwrap_or_default(),
            command_type: int(value, "CommandType")?,
            namespaces: value.get("Namespace").and_then(strings),
            arguments: value.get("ArgumentList").cloned().unwrap_or_default(),
        })
    }
}

/// The names of the flags in CommandTypes.
fn command_types(flags: i32) -> String {
    let names = [
        (1, "Alias"),
        (2, "Function"),
        (4, "Filter"),
        (8, "Cmdlet"),
        (16, "ExternalScript"),
        (32, "Application"),
        (64, "Script"),
        (256, "Configuration"),
    ];
    let set: Vec<&str> = names.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, name)| *name).collect();
    if set.is_empty() { flags.to_string() } else { set.join(", ") }
}
