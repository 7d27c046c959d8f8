//! Records of the streams.

use hop_clixml::{Content, DateTime, ListKind, Object, Property, PropertyBag, Text, Value};

use super::{BodyError, object, optional_text, text};

/// ERROR_RECORD and the member ExceptionAsErrorRecord of states ([MS-PSRP] 2.2.3.15).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ErrorRecord {
    /// The message: the record's string form.
    pub message: Text,
    /// The exception, as an object.
    pub exception: Value,
    /// The object that the error is about.
    pub target: Value,
    /// The error's name, with the command behind a comma.
    pub fully_qualified_error_id: String,
    /// Where it happened: an InvocationInfo, or null.
    pub invocation_info: Value,
    /// Number of the ErrorCategory.
    pub category: i32,
    /// What was being done, mostly a command.
    pub activity: String,
    /// The exception's type.
    pub reason: String,
    /// The target's name.
    pub target_name: String,
    /// The target's type.
    pub target_type: String,
    /// The category line: `Reason: (target:type) [activity], reason`.
    pub category_message: String,
    /// A message to show in place of the exception's.
    pub details_message: Option<String>,
    /// What the user should do.
    pub recommended_action: Option<String>,
    /// Whether the invocation is told in members of its own.
    pub extended_info: bool,
    /// The script's stack.
    pub script_stack_trace: Option<String>,
    /// Members that this type does not know, in their order.
    pub other: Vec<Property>,
}

const KNOWN: [&str; 14] = [
    "Exception",
    "TargetObject",
    "FullyQualifiedErrorId",
    "InvocationInfo",
    "ErrorCategory_Category",
    "ErrorCategory_Activity",
    "ErrorCategory_Reason",
    "ErrorCategory_TargetName",
    "ErrorCategory_TargetType",
    "ErrorCategory_Message",
    "ErrorDetails_Message",
    "ErrorDetails_RecommendedAction",
    "SerializeExtendedInfo",
    "ErrorDetails_ScriptStackTrace",
];

impl ErrorRecord {
    /// A record with an exception of the given type and nothing else known about it.
    pub fn new(message: &str, exception_type: &str, error_id: &str, category: i32) -> Self {
        let reason = exception_type.rsplit('.').next().unwrap_or(exception_type);
        Self {
            message: message.into(),
            exception: exception(&[exception_type, "System.Exception", "System.Object"], message),
            fully_qualified_error_id: error_id.to_owned(),
            category,
            reason: reason.to_owned(),
            category_message: format!("{}: (:) [], {reason}", category_name(category)),
            ..Self::default()
        }
    }

    /// The record that ends a stopped pipeline.
    pub fn stopped() -> Self {
        let mut record = Self::new(
            "The pipeline has been stopped.",
            "System.Management.Automation.PipelineStoppedException",
            "PipelineStopped",
            14,
        );
        record.exception = exception(
            &[
                "System.Management.Automation.PipelineStoppedException",
                "System.Management.Automation.RuntimeException",
                "System.SystemException",
                "System.Exception",
                "System.Object",
            ],
            &record.message,
        );
        record
    }

    /// The object.
    pub fn to_value(&self) -> Value {
        let mut members = PropertyBag::default();
        members.push("Exception", self.exception.clone());
        members.push("TargetObject", self.target.clone());
        members.push("FullyQualifiedErrorId", self.fully_qualified_error_id.as_str());
        members.push("InvocationInfo", self.invocation_info.clone());
        members.push("ErrorCategory_Category", self.category);
        members.push("ErrorCategory_Activity", self.activity.as_str());
        members.push("ErrorCategory_Reason", self.reason.as_str());
        members.push("ErrorCategory_TargetName", self.target_name.as_str());
        members.push("ErrorCategory_TargetType", self.target_type.as_str());
        members.push("ErrorCategory_Message", self.category_message.as_str());
        if self.details_message.is_some() || self.recommended_action.is_some() {
            members.push("ErrorDetails_Message", self.details_message.as_deref());
            members.push("ErrorDetails_RecommendedAction", self.recommended_action.as_deref());
        }
        members.push("SerializeExtendedInfo", self.extended_info);
        if let Some(trace) = &self.script_stack_trace {
            members.push("ErrorDetails_ScriptStackTrace", trace.as_str());
        }
        members.0.extend(self.other.iter().cloned());
        Object {
            type_names: hop_clixml::TypeNames::new([
                "System.Management.Automation.ErrorRecord",
                "System.Object",
            ]),
            to_string: Some(self.message.clone()),
            extended: Some(members),
            ..Object::default()
        }
        .into()
    }

    /// Reads the object. Whatever is missing stays empty: an error must not be lost to another error.
    pub fn from_value(value: &Value) -> Self {
        let get = |name: &str| value.get(name).cloned().unwrap_or_default();
        let text = |name| optional_text(value, name).unwrap_or_default();
        let string_form = value.as_object().and_then(|object| object.to_string.clone());
        let exception = get("Exception");
        let message = string_form
            .or_else(|| exception.get("Message").and_then(Value::as_str).map(Text::from))
            .unwrap_or_else(|| value.display().into());
        let members =
            value.as_object().into_iter().flat_map(|object| object.extended.iter().chain(&object.adapted));
        let other =
            members.flat_map(|bag| &bag.0).filter(|p| !KNOWN.contains(&p.name.as_str())).cloned().collect();
        Self {
            message,
            exception,
            target: get("TargetObject"),
            fully_qualified_error_id: text("FullyQualifiedErrorId"),
            invocation_info: get("InvocationInfo"),
            category: get("ErrorCategory_Category").as_i32().unwrap_or(0),
            activity: text("ErrorCategory_Activity"),
            reason: text("ErrorCategory_Reason"),
            target_name: text("ErrorCategory_TargetName"),
            target_type: text("ErrorCategory_TargetType"),
            category_message: text("ErrorCategory_Message"),
            details_message: optional_text(value, "ErrorDetails_Message"),
            recommended_action: optional_text(value, "ErrorDetails_RecommendedAction"),
            extended_info: get("SerializeExtendedInfo").as_bool().unwrap_or(false),
            script_stack_trace: optional_text(value, "ErrorDetails_ScriptStackTrace"),
            other,
        }
    }

    /// The text to show: the details' message if there is one.
    pub fn display_message(&self) -> &str {
        self.details_message.as_deref().unwrap_or(&self.message)
    }
}

/// An exception as an object, with the members that .NET's exceptions have.
pub fn exception(type_names: &[&str], message: &str) -> Value {
    let name = type_names.first().copied().unwrap_or("System.Exception");
    let data = Object::dictionary(["System.Collections.ListDictionaryInternal", "System.Object"], []);
    let members: [(&str, Value); 8] = [
        ("TargetSite", Value::Null),
        ("Message", message.into()),
        ("Data", data.into()),
        ("InnerException", Value::Null),
        ("HelpLink", Value::Null),
        ("Source", Value::Null),
        ("HResult", (-2_146_233_087).into()),
        ("StackTrace", Value::Null),
    ];
    Object {
        type_names: hop_clixml::TypeNames::new(type_names.iter().copied()),
        to_string: Some(format!("{name}: {message}").into()),
        adapted: Some(members.into_iter().collect()),
        ..Object::default()
    }
    .into()
}

/// The names of ErrorCategory.
fn category_name(category: i32) -> &'static str {
    const NAMES: [&str; 32] = [
        "NotSpecified",
        "OpenError",
        "CloseError",
        "DeviceError",
        "DeadlockDetected",
        "InvalidArgument",
        "InvalidData",
        "InvalidOperation",
        "InvalidResult",
        "InvalidType",
        "MetadataError",
        "NotImplemented",
        "NotInstalled",
        "ObjectNotFound",
        "OperationStopped",
        "OperationTimeout",
        "SyntaxError",
        "ParserError",
        "PermissionDenied",
        "ResourceBusy",
        "ResourceExists",
        "ResourceUnavailable",
        "ReadError",
        "WriteError",
        "FromStdErr",
        "SecurityError",
        "ProtocolError",
        "ConnectionError",
        "AuthenticationError",
        "LimitsExceeded",
        "QuotaExceeded",
        "NotEnabled",
    ];
    usize::try_from(category).ok().and_then(|at| NAMES.get(at)).copied().unwrap_or("NotSpecified")
}

/// WARNING_RECORD, VERBOSE_RECORD, DEBUG_RECORD ([MS-PSRP] 2.2.3.16).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InformationalRecord {
    /// The message.
    pub message: Text,
    /// Whether the invocation is told.
    pub extended_info: bool,
    /// The invocation's members, in their order.
    pub other: Vec<Property>,
}

impl InformationalRecord {
    /// A message alone.
    pub fn new(message: impl Into<Text>) -> Self {
        Self { message: message.into(), extended_info: false, other: Vec::new() }
    }

    /// The body; `kind` is Warning, Verbose or Debug.
    pub fn to_value(&self, kind: &str) -> Value {
        let mut members = PropertyBag::default();
        members.push("InformationalRecord_Message", self.message.clone());
        members.push("InformationalRecord_SerializeInvocationInfo", self.extended_info);
        members.0.extend(self.other.iter().cloned());
        Object {
            type_names: hop_clixml::TypeNames::new([
                format!("System.Management.Automation.{kind}Record"),
                "System.Management.Automation.InformationalRecord".to_owned(),
                "System.Object".to_owned(),
            ]),
            to_string: Some(self.message.clone()),
            extended: Some(members),
            ..Object::default()
        }
        .into()
    }

    /// Reads the body; a bare string will do.
    pub fn from_value(value: &Value) -> Self {
        let message = match value.get("InformationalRecord_Message") {
            Some(Value::String(text)) => text.clone(),
            _ => value.display().into(),
        };
        let known = ["InformationalRecord_Message", "InformationalRecord_SerializeInvocationInfo"];
        let members =
            value.as_object().and_then(|object| object.extended.as_ref()).map_or(&[][..], |bag| &bag.0);
        Self {
            message,
            extended_info: value
                .get("InformationalRecord_SerializeInvocationInfo")
                .and_then(Value::as_bool)
                .unwrap_or(false),
            other: members.iter().filter(|p| !known.contains(&p.name.as_str())).cloned().collect(),
        }
    }
}

/// PROGRESS_RECORD ([MS-PSRP] 2.2.2.25).
#[derive(Clone, Debug, PartialEq)]
pub struct ProgressRecord {
    /// What is being done.
    pub activity: Text,
    /// Number of the activity.
    pub activity_id: i32,
    /// How it stands.
    pub status: Option<Text>,
    /// What exactly is being done.
    pub current_operation: Option<Text>,
    /// Number of the activity above, -1 none.
    pub parent_activity_id: i32,
    /// Percent, -1 unknown.
    pub percent_complete: i32,
    /// Whether it is done.
    pub completed: bool,
    /// Seconds left, -1 unknown.
    pub seconds_remaining: i32,
}

impl ProgressRecord {
    /// The body.
    pub fn to_value(&self) -> Value {
        let (name, number) = if self.completed { ("Completed", 1) } else { ("Processing", 0) };
        object([
            ("Activity", self.activity.clone().into()),
            ("ActivityId", self.activity_id.into()),
            ("StatusDescription", self.status.clone().into()),
            ("CurrentOperation", self.current_operation.clone().into()),
            ("ParentActivityId", self.parent_activity_id.into()),
            ("PercentComplete", self.percent_complete.into()),
            (
                "Type",
                Object::enumeration("System.Management.Automation.ProgressRecordType", name, number).into(),
            ),
            ("SecondsRemaining", self.seconds_remaining.into()),
        ])
    }

    /// Reads the body.
    pub fn from_value(value: &Value) -> Result<Self, BodyError> {
        let number = |name: &str, none| value.get(name).and_then(Value::as_i32).unwrap_or(none);
        let optional = |name| optional_text(value, name).map(Text::from);
        Ok(Self {
            activity: text(value, "Activity")?.into(),
            activity_id: number("ActivityId", 0),
            status: optional("StatusDescription"),
            current_operation: optional("CurrentOperation"),
            parent_activity_id: number("ParentActivityId", -1),
            percent_complete: number("PercentComplete", -1),
            completed: number("Type", 0) == 1,
            seconds_remaining: number("SecondsRemaining", -1),
        })
    }
}

/// INFORMATION_RECORD ([MS-PSRP] 2.2.2.26).
#[derive(Clone, Debug, PartialEq)]
pub struct InformationRecord {
    /// The message or object.
    pub data: Value,
    /// What wrote it.
    pub source: Text,
    /// When.
    pub time: Option<DateTime>,
    /// Tags, `PSHOST` among them if Write-Host wrote it.
    pub tags: Vec<Text>,
    /// The user at the far end.
    pub user: Text,
    /// The computer.
    pub computer: Text,
    /// The process.
    pub process_id: u32,
    /// The thread, as the system counts.
    pub native_thread_id: u32,
    /// The thread, as the engine counts.
    pub managed_thread_id: u32,
}

impl InformationRecord {
    /// The body.
    pub fn to_value(&self) -> Value {
        const TAGS: &str = "System.Collections.Generic.List`1[[System.String, System.Private.CoreLib, \
                            Version=10.0.0.0, Culture=neutral, PublicKeyToken=7cec85d7bea7798e]]";
        let tags = Object::list(
            [TAGS, "System.Object"],
            ListKind::List,
            self.tags.iter().cloned().map(Value::String),
        );
        object([
            ("MessageData", self.data.clone()),
            ("Source", self.source.clone().into()),
            ("TimeGenerated", self.time.into()),
            ("Tags", tags.into()),
            ("User", self.user.clone().into()),
            ("Computer", self.computer.clone().into()),
            ("ProcessId", self.process_id.into()),
            ("NativeThreadId", self.native_thread_id.into()),
            ("ManagedThreadId", self.managed_thread_id.into()),
        ])
    }

    /// Reads the body; what is missing stays empty.
    pub fn from_value(value: &Value) -> Self {
        let optional = |name| optional_text(value, name).unwrap_or_default().into();
        let number = |name: &str| match value.get(name).map(Value::primitive) {
            Some(Value::UInt32(number)) => *number,
            _ => 0,
        };
        let tags = value.get("Tags").and_then(Value::items).unwrap_or_default();
        Self {
            data: value.get("MessageData").cloned().unwrap_or_default(),
            source: optional("Source"),
            time: match value.get("TimeGenerated") {
                Some(Value::DateTime(time)) => Some(*time),
                _ => None,
            },
            tags: tags.iter().filter_map(|tag| tag.as_str().map(Text::from)).collect(),
            user: optional("User"),
            computer: optional("Computer"),
            process_id: number("ProcessId"),
            native_thread_id: number("NativeThreadId"),
            managed_thread_id: number("ManagedThreadId"),
        }
    }
}

/// The MessageData of what Write-Host writes.
pub fn host_information_message(
    message: &str,
    no_new_line: bool,
    foreground: &str,
    background: &str,
) -> Value {
    let members: [(&str, Value); 4] = [
        ("Message", message.into()),
        ("NoNewLine", no_new_line.into()),
        ("ForegroundColor", foreground.into()),
        ("BackgroundColor", background.into()),
    ];
    Object {
        type_names: hop_clixml::TypeNames::new([
            "System.Management.Automation.HostInformationMessage",
            "System.Object",
        ]),
        to_string: Some(message.into()),
        content: Content::None,
        adapted: Some(members.into_iter().collect()),
        ..Object::default()
    }
    .into()
}
