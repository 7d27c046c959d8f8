//! The bodies of messages as types ([MS-PSRP] 2.2.2).
//!
//! Each type is built from a [`Value`] with `from_value` and turned into one with `to_value`. Members that a type
//! does not know are ignored when reading.

mod capability;
mod host;
mod pipeline;
mod records;
mod state;

pub use capability::{
    ApplicationPrivateData, Coordinates, HostDefaultData, HostInfo, InitRunspacePool, SessionCapability,
    Size, entry, primitive_dictionary, version_table,
};
pub use host::{HostCall, HostMethod, HostResponse, NO_RESPONSE};
pub use pipeline::{Argument, Command, CreatePipeline, GetCommandMetadata, MergeTo, PipelineResultTypes};
pub use records::{
    ErrorRecord, InformationRecord, InformationalRecord, ProgressRecord, exception, host_information_message,
};
pub use state::{
    Availability, AvailabilityRequest, PipelineState, PipelineStateInfo, PoolState, PoolStateInfo, UserEvent,
};

use hop_clixml::{Object, Value};

/// A body that does not say what it must.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// A member is not there.
    #[error("member {0} is missing")]
    Missing(&'static str),
    /// A member has another type.
    #[error("member {name}: expected {expected}, got {got}")]
    Type {
        /// The member's name.
        name: &'static str,
        /// The .NET type that it must have.
        expected: &'static str,
        /// The .NET type that it has.
        got: &'static str,
    },
    /// A number that stands for nothing.
    #[error("member {name}: {got} is no {expected}")]
    Number {
        /// The member's name.
        name: &'static str,
        /// The enumeration that it must be of.
        expected: &'static str,
        /// The number.
        got: i32,
    },
    /// The body is no CLIXML.
    #[error("{0}")]
    Xml(#[from] hop_clixml::ParseError),
    /// The body is empty, but must not be.
    #[error("the body is empty")]
    Empty,
}

impl BodyError {
    /// The words in which PowerShell reports the fault.
    pub fn powershell_message(&self) -> String {
        match self {
            Self::Missing("ci") => "Object reference not set to an instance of an object.".to_owned(),
            Self::Missing(name) => format!("Remoting data is missing {name} property."),
            Self::Type { expected, got, .. } => {
                format!("Unable to cast object of type '{got}' to type '{expected}'.")
            }
            Self::Number { .. } => self.to_string(),
            Self::Xml(error) => error.powershell_message(),
            Self::Empty => "Root element is missing.".to_owned(),
        }
    }
}

/// Parses a message's data.
pub fn parse(data: &str, limits: &hop_clixml::Limits) -> Result<Value, BodyError> {
    if data.is_empty() {
        return Err(BodyError::Empty);
    }
    Ok(hop_clixml::parse::value(data, limits)?)
}

pub(crate) fn member<'v>(value: &'v Value, name: &'static str) -> Result<&'v Value, BodyError> {
    value.get(name).ok_or(BodyError::Missing(name))
}

pub(crate) fn wrong(value: &Value, name: &'static str, expected: &'static str) -> BodyError {
    BodyError::Type { name, expected, got: type_name(value) }
}

pub(crate) fn int(value: &Value, name: &'static str) -> Result<i32, BodyError> {
    let value = member(value, name)?;
    value.as_i32().ok_or_else(|| wrong(value, name, "System.Int32"))
}

pub(crate) fn long(value: &Value, name: &'static str) -> Result<i64, BodyError> {
    let value = member(value, name)?;
    value.as_i64().ok_or_else(|| wrong(value, name, "System.Int64"))
}

pub(crate) fn boolean(value: &Value, name: &'static str) -> Result<bool, BodyError> {
    let value = member(value, name)?;
    value.as_bool().ok_or_else(|| wrong(value, name, "System.Boolean"))
}

pub(crate) fn text(value: &Value, name: &'static str) -> Result<String, BodyError> {
    let value = member(value, name)?;
    value.as_str().map(str::to_owned).ok_or_else(|| wrong(value, name, "System.String"))
}

/// A text that may be missing or null.
pub(crate) fn optional_text(value: &Value, name: &'static str) -> Option<String> {
    value.get(name)?.as_str().map(str::to_owned)
}

pub(crate) fn object(members: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::from(Object::with_extended(members))
}

fn type_name(value: &Value) -> &'static str {
    match value.primitive() {
        Value::Null => "null",
        Value::String(_) => "System.String",
        Value::Char(_) => "System.Char",
        Value::Bool(_) => "System.Boolean",
        Value::Int32(_) => "System.Int32",
        Value::Int64(_) => "System.Int64",
        Value::Version(_) => "System.Version",
        Value::Guid(_) => "System.Guid",
        Value::DateTime(_) => "System.DateTime",
        _ => "System.Management.Automation.PSObject",
    }
}
