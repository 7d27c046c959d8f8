//! Exceptions and error records.

use std::fmt;
use std::sync::{Arc, OnceLock, RwLock};

use super::{EnumType, Value};

/// An exception object: what `$_.Exception` is.
#[derive(Debug)]
pub struct Exception {
    type_name: Arc<str>,
    message: Arc<str>,
    inner: Option<Arc<Exception>>,
    /// Further properties by name (`ParamName`, `ItemName`…).
    properties: Vec<(Arc<str>, Value)>,
    /// The record that was thrown, for exceptions that contain one (`RuntimeException.ErrorRecord`).
    record: OnceLock<std::sync::Weak<ErrorRecord>>,
}

impl Exception {
    /// An exception of a type (full name) with a message.
    pub fn new(type_name: &str, message: impl AsRef<str>) -> Self {
        Self {
            type_name: Arc::from(type_name),
            message: Arc::from(message.as_ref()),
            inner: None,
            properties: Vec::new(),
            record: OnceLock::new(),
        }
    }

    /// The same exception around another one.
    #[must_use]
    pub fn with_inner(mut self, inner: Arc<Self>) -> Self {
        self.inner = Some(inner);
        self
    }

    /// The same exception with a further property.
    #[must_use]
    pub fn with_property(mut self, name: &str, value: Value) -> Self {
        self.properties.push((Arc::from(name), value));
        self
    }

    /// Full type name.
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// Type name without namespace.
    pub fn short_type_name(&self) -> &str {
        self.type_name.rsplit('.').next().unwrap_or(&self.type_name)
    }

    /// `Message`.
    pub fn message(&self) -> &Arc<str> {
        &self.message
    }

    /// `InnerException`.
    pub fn inner(&self) -> Option<&Arc<Self>> {
        self.inner.as_ref()
    }

    /// The innermost exception (`GetBaseException()`), or this one.
    pub fn innermost(&self) -> &Self {
        self.inner.as_deref().map_or(self, Self::innermost)
    }

    /// Further properties.
    pub fn properties(&self) -> &[(Arc<str>, Value)] {
        &self.properties
    }

    /// Remembers the record this exception belongs to.
    pub fn set_record(&self, record: &Arc<ErrorRecord>) {
        // The first one stays, as in .NET where the property is set at construction.
        let _ = self.record.set(Arc::downgrade(record));
    }

    /// The record this exception belongs to.
    pub fn record(&self) -> Option<Arc<ErrorRecord>> {
        self.record.get().and_then(std::sync::Weak::upgrade)
    }
}

macro_rules! categories {
    ($($name:ident = $number:literal),* $(,)?) => {
        /// `System.Management.Automation.ErrorCategory`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
        #[allow(missing_docs)]
        pub enum ErrorCategory {
            #[default]
            $($name = $number),*
        }

        impl ErrorCategory {
            /// All categories with their names.
            pub const ALL: &'static [(&'static str, Self)] = &[$((stringify!($name), Self::$name)),*];
        }
    };
}

categories! {
    NotSpecified = 0, OpenError = 1, CloseError = 2, DeviceError = 3, DeadlockDetected = 4, InvalidArgument = 5,
    InvalidData = 6, InvalidOperation = 7, InvalidResult = 8, InvalidType = 9, MetadataError = 10,
    NotImplemented = 11, NotInstalled = 12, ObjectNotFound = 13, OperationStopped = 14, OperationTimeout = 15,
    SyntaxError = 16, ParserError = 17, PermissionDenied = 18, ResourceBusy = 19, ResourceExists = 20,
    ResourceUnavailable = 21, ReadError = 22, WriteError = 23, FromStdErr = 24, SecurityError = 25,
    ProtocolError = 26, ConnectionError = 27, AuthenticationError = 28, LimitsExceeded = 29, QuotaExceeded = 30,
    NotEnabled = 31,
}

impl ErrorCategory {
    /// The enumeration's name for this category.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, c)| *c == self).map_or("NotSpecified", |(n, _)| n)
    }

    /// The category with that name, found without case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, c)| *c)
    }

    /// The category with that number.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.iter().find(|(_, c)| *c as i64 == number).map(|(_, c)| *c)
    }

    /// The .NET enumeration.
    pub fn enum_type() -> Arc<EnumType> {
        static TYPE: std::sync::LazyLock<Arc<EnumType>> = std::sync::LazyLock::new(|| {
            Arc::new(EnumType::new(
                "System.Management.Automation.ErrorCategory",
                false,
                ErrorCategory::ALL.iter().map(|(n, c)| (*n, *c as i64)),
            ))
        });
        Arc::clone(&TYPE)
    }
}

/// `ErrorRecord.ErrorDetails`.
#[derive(Clone, Debug, Default)]
pub struct ErrorDetails {
    /// The message shown instead of the exception's.
    pub message: String,
    /// What the user could do.
    pub recommended_action: String,
}

/// Where and how a command was invoked (`InvocationInfo`), as far as errors and `$MyInvocation` show it.
#[derive(Clone, Debug, Default)]
pub struct InvocationInfo {
    /// The command's info object (`MyCommand`).
    pub my_command: Value,
    /// The name the command was called by.
    pub invocation_name: String,
    /// Path of the script file; empty for text that was typed.
    pub script_name: String,
    /// One-based line.
    pub script_line_number: u32,
    /// One-based column.
    pub offset_in_line: u32,
    /// The whole line.
    pub line: String,
    /// The statement's own text.
    pub statement: String,
    /// The multi-line `At file:line char:column` message.
    pub position_message: String,
    /// Number of columns the squiggle covers on the first line.
    pub extent_length: u32,
    /// Position in the pipeline, one-based.
    pub pipeline_position: u32,
    /// Number of commands in the pipeline.
    pub pipeline_length: u32,
    /// Directory of the script file.
    pub script_root: String,
    /// Path of the calling script.
    pub command_path: String,
    /// Bound parameters of a function or script.
    pub bound_parameters: Value,
    /// Arguments that were not bound.
    pub unbound_arguments: Value,
}

/// An error record: what `$_` is in a catch block.
#[derive(Debug)]
pub struct ErrorRecord {
    /// The exception; usually [`Value::Exception`], after deserialisation a property bag.
    pub exception: Value,
    /// `FullyQualifiedErrorId` without the command suffix that the pipeline adds.
    pub error_id: RwLock<String>,
    /// The category.
    pub category: ErrorCategory,
    /// `CategoryInfo.Activity`: the command.
    pub activity: RwLock<String>,
    /// `CategoryInfo.Reason`: the exception's type name unless set.
    pub reason: String,
    /// `CategoryInfo.TargetName` when it is not the target's text.
    pub target_name: Option<String>,
    /// `CategoryInfo.TargetType` when it is not the target's type.
    pub target_type: Option<String>,
    /// `TargetObject`.
    pub target: Value,
    /// `ErrorDetails`.
    pub details: RwLock<Option<ErrorDetails>>,
    /// Where it happened.
    pub invocation: OnceLock<Arc<InvocationInfo>>,
    /// `ScriptStackTrace`.
    pub stack_trace: OnceLock<String>,
    /// Set when a `throw` statement raised it.
    pub thrown: OnceLock<()>,
    /// It speaks of the way to another computer: no command's name is put after its identifier.
    pub of_transport: bool,
}

impl ErrorRecord {
    /// A record for an exception.
    pub fn new(exception: Arc<Exception>, error_id: &str, category: ErrorCategory, target: Value) -> Self {
        Self {
            reason: exception.short_type_name().to_owned(),
            exception: Value::Exception(exception),
            error_id: RwLock::new(error_id.to_owned()),
            category,
            activity: RwLock::new(String::new()),
            target_name: None,
            target_type: None,
            target,
            details: RwLock::new(None),
            invocation: OnceLock::new(),
            stack_trace: OnceLock::new(),
            thrown: OnceLock::new(),
            of_transport: false,
        }
    }

    /// The message shown to the user: that of the details, else the exception's.
    pub fn message(&self) -> String {
        let details = self.details.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(details) = details.as_ref().filter(|d| !d.message.is_empty()) {
            return details.message.clone();
        }
        self.exception_message()
    }

    /// The exception's message.
    pub fn exception_message(&self) -> String {
        match self.exception.base() {
            Value::Exception(exception) => exception.message().to_string(),
            Value::Object(object) => object
                .note("Message")
                .and_then(|m| m.as_str().map(str::to_owned))
                .or_else(|| object.text().map(|t| t.to_string()))
                .unwrap_or_default(),
            _ => String::new(),
        }
    }

    /// The exception, when it is one of ours.
    pub fn exception(&self) -> Option<&Arc<Exception>> {
        match self.exception.base() {
            Value::Exception(exception) => Some(exception),
            _ => None,
        }
    }

    /// `FullyQualifiedErrorId`.
    pub fn fully_qualified_id(&self) -> String {
        self.error_id.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Replaces the identifier (the pipeline appends `,Command`).
    pub fn set_error_id(&self, id: &str) {
        id.clone_into(&mut self.error_id.write().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    /// `CategoryInfo.Activity`.
    pub fn activity(&self) -> String {
        self.activity.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Sets `CategoryInfo.Activity`.
    pub fn set_activity(&self, activity: &str) {
        activity.clone_into(&mut self.activity.write().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    /// The details, when there are any.
    pub fn details(&self) -> Option<ErrorDetails> {
        self.details.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Sets the details.
    pub fn set_details(&self, details: Option<ErrorDetails>) {
        *self.details.write().unwrap_or_else(std::sync::PoisonError::into_inner) = details;
    }
}

/// A terminating error inside the engine, carrying its record.
///
/// Everything in the engine that can fail returns this; the evaluator wraps it in its control flow.
#[derive(Clone)]
pub struct Error(Box<ErrorParts>);

#[derive(Clone)]
struct ErrorParts {
    record: Arc<ErrorRecord>,
}

impl Error {
    /// An error with an exception type (full name), an identifier, a category and a message.
    pub fn new(exception: &str, id: &str, category: ErrorCategory, message: impl AsRef<str>) -> Self {
        Self::from_exception(Exception::new(exception, message), id, category, Value::Null)
    }

    /// An error with an exception.
    pub fn from_exception(exception: Exception, id: &str, category: ErrorCategory, target: Value) -> Self {
        let exception = Arc::new(exception);
        let record = Arc::new(ErrorRecord::new(Arc::clone(&exception), id, category, target));
        exception.set_record(&record);
        Self::from_record(record)
    }

    /// An error with a record.
    pub fn from_record(record: Arc<ErrorRecord>) -> Self {
        Self(Box::new(ErrorParts { record }))
    }

    /// `RuntimeException`: what the evaluator itself raises.
    pub fn runtime(id: &str, category: ErrorCategory, message: impl AsRef<str>) -> Self {
        Self::new("System.Management.Automation.RuntimeException", id, category, message)
    }

    /// `InvalidCastException` of a failed conversion.
    pub fn cast(id: &str, message: impl AsRef<str>) -> Self {
        Self::new(
            "System.Management.Automation.PSInvalidCastException",
            id,
            ErrorCategory::InvalidArgument,
            message,
        )
    }

    /// An exception as a .NET member throws it, before the engine wraps it in a `MethodInvocationException`.
    pub fn dotnet(exception: &str, message: impl AsRef<str>) -> Self {
        let short = exception.rsplit('.').next().unwrap_or(exception).to_owned();
        Self::new(exception, &short, ErrorCategory::NotSpecified, message)
    }

    /// The same error with another target object.
    #[must_use]
    pub fn with_target(self, target: Value) -> Self {
        let old = &self.0.record;
        let record = ErrorRecord {
            exception: old.exception.clone(),
            error_id: RwLock::new(old.fully_qualified_id()),
            category: old.category,
            activity: RwLock::new(old.activity()),
            reason: old.reason.clone(),
            target_name: old.target_name.clone(),
            target_type: old.target_type.clone(),
            target,
            details: RwLock::new(old.details()),
            invocation: old.invocation.clone(),
            stack_trace: old.stack_trace.clone(),
            thrown: old.thrown.clone(),
            of_transport: old.of_transport,
        };
        Self::from_record(Arc::new(record))
    }

    /// The record.
    pub fn record(&self) -> &Arc<ErrorRecord> {
        &self.0.record
    }

    /// The exception, when it is one of ours.
    pub fn exception(&self) -> Option<&Arc<Exception>> {
        self.0.record.exception()
    }

    /// The message shown to the user.
    pub fn message(&self) -> String {
        self.0.record.message()
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({}: {})", self.0.record.fully_qualified_id(), self.message())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

impl std::error::Error for Error {}
