//! A .NET-shaped type table: names, enumerations, members and static members of the types scripts use.

mod collections;
mod dates;
mod enums;
mod names;
mod objects;
mod offset;
mod scalars;
mod statics;
mod strings;

use std::sync::Arc;

pub use collections::{list_add, magic};
pub use enums::value as enum_value;
pub use names::{ACCELERATORS, accelerator, enum_type, resolve_type, type_text};
pub use objects::{
    DictEntry, GroupObject, MatchObject, PsObjectView, RegexObject, StringBuilder, SwitchParameter, Uri,
    type_names_list,
};
pub use offset::DateOffset;
pub use statics::{construct, convert_native, static_get, static_invoke, static_set};

use crate::convert::to_text;
use crate::value::{Callbacks, Error, TypeRef, Value};

/// Finds a type by the name in a literal; script-defined types and `using namespace` count.
pub fn find_type(name: &str, namespaces: &[String], engine: &mut dyn Callbacks) -> Option<TypeRef> {
    resolve_type(name, namespaces, &mut |candidate| engine.find_type(candidate))
}

/// Reads a property that the value's type itself has.
pub fn property(value: &Value, name: &str, engine: &mut dyn Callbacks) -> Option<Result<Value, Error>> {
    let lower = name.to_ascii_lowercase();
    match value {
        Value::String(text) => strings::property(text, &lower).map(Ok),
        Value::Array(_) | Value::List(_) | Value::Dict(_) => collections::property(value, &lower).map(Ok),
        Value::DateTime(date) => dates::date_property(*date, &lower).map(Ok),
        Value::TimeSpan(span) => dates::span_property(*span, &lower).map(Ok),
        Value::Native(native) => native.get(name),
        Value::ScriptBlock(block) => block
            .get(name)
            .map(Ok)
            .or_else(|| (lower == "startposition" || lower == "ast").then(|| Ok(Value::Null))),
        other => scalars::property(other, &lower, engine),
    }
}

/// Names of the properties that the value's type itself has, in the order they are shown.
pub fn property_names(value: &Value) -> Vec<Arc<str>> {
    let fixed = |names: &[&str]| names.iter().map(|n| Arc::from(*n)).collect();
    match value {
        Value::String(_) => fixed(&["Length"]),
        Value::Array(_) => fixed(&[
            "Count",
            "Length",
            "LongLength",
            "Rank",
            "SyncRoot",
            "IsReadOnly",
            "IsFixedSize",
            "IsSynchronized",
        ]),
        Value::List(_) => fixed(&["Count"]),
        Value::Dict(_) => {
            fixed(&["IsReadOnly", "IsFixedSize", "IsSynchronized", "Keys", "Values", "SyncRoot", "Count"])
        }
        Value::DateTime(_) => fixed(&[
            "DisplayHint",
            "DateTime",
            "Date",
            "Day",
            "DayOfWeek",
            "DayOfYear",
            "Hour",
            "Kind",
            "Millisecond",
            "Microsecond",
            "Nanosecond",
            "Minute",
            "Month",
            "Second",
            "Ticks",
            "TimeOfDay",
            "Year",
        ])
        .into_iter()
        .skip(1)
        .collect(),
        Value::TimeSpan(_) => fixed(&[
            "Ticks",
            "Days",
            "Hours",
            "Milliseconds",
            "Microseconds",
            "Nanoseconds",
            "Minutes",
            "Seconds",
            "TotalDays",
            "TotalHours",
            "TotalMilliseconds",
            "TotalMicroseconds",
            "TotalNanoseconds",
            "TotalMinutes",
            "TotalSeconds",
        ]),
        Value::Version(_) => {
            fixed(&["Major", "Minor", "Build", "Revision", "MajorRevision", "MinorRevision"])
        }
        Value::Enum(..) => fixed(&["value__"]),
        Value::Type(_) => {
            fixed(&["Name", "FullName", "Namespace", "BaseType", "IsArray", "IsEnum", "IsValueType"])
        }
        Value::Exception(exception) => {
            let mut names: Vec<Arc<str>> =
                exception.properties().iter().map(|(n, _)| Arc::clone(n)).collect();
            if exception.record().is_some() {
                names.insert(0, Arc::from("ErrorRecord"));
            }
            names.extend::<Vec<Arc<str>>>(fixed(&[
                "TargetSite",
                "Message",
                "Data",
                "InnerException",
                "HelpLink",
                "Source",
                "HResult",
                "StackTrace",
            ]));
            names
        }
        Value::ErrorRecord(_) => fixed(&[
            "Exception",
            "TargetObject",
            "CategoryInfo",
            "FullyQualifiedErrorId",
            "ErrorDetails",
            "InvocationInfo",
            "ScriptStackTrace",
            "PipelineIterationInfo",
            "PSMessageDetails",
        ]),
        Value::ScriptBlock(_) => fixed(&[
            "Attributes",
            "File",
            "IsFilter",
            "IsConfiguration",
            "Module",
            "StartPosition",
            "DebuggerHidden",
            "Id",
            "Ast",
        ]),
        Value::Native(native) => native.properties(),
        _ => Vec::new(),
    }
}

/// Calls a method that the value's type itself has; `None` when there is none of that name.
pub fn method(
    value: &Value,
    name: &str,
    args: &[Value],
    engine: &mut dyn Callbacks,
) -> Option<Result<Value, Error>> {
    let lower = name.to_ascii_lowercase();
    let own = match value {
        Value::String(text) => strings::method(text, &lower, args, engine),
        Value::Char(_) | Value::Bool(_) => None,
        Value::Array(_) | Value::List(_) | Value::Dict(_) => collections::method(value, &lower, args, engine),
        Value::DateTime(date) => dates::date_method(*date, &lower, args, engine),
        Value::TimeSpan(span) => dates::span_method(*span, &lower, args, engine),
        Value::Native(native) => native.invoke(name, args, engine),
        other => scalars::method(other, &lower, args, engine),
    };
    own.or_else(|| common(value, &lower, args, engine))
}

/// The methods of every object.
fn common(
    value: &Value,
    name: &str,
    args: &[Value],
    engine: &mut dyn Callbacks,
) -> Option<Result<Value, Error>> {
    Some(Ok(match (name, args) {
        ("gettype", []) => Value::Type(value.type_ref()?),
        ("tostring", []) => match crate::operators::format_value(value, "", Some(engine.system())) {
            Ok(text) => Value::from(text),
            Err(error) => return Some(Err(error)),
        },
        ("tostring", [format, ..]) => {
            let format = to_text(format);
            return Some(
                crate::operators::format_value(value, &format, Some(engine.system())).map(Value::from),
            );
        }
        ("equals", [other]) => Value::Bool(match (value, other.base()) {
            (Value::String(a), Value::String(b)) => a == b,
            (a, b) => a.same(b),
        }),
        ("gethashcode", []) => {
            let mut hash = 17i32;
            for byte in to_text(value).bytes() {
                hash = hash.wrapping_mul(31).wrapping_add(i32::from(byte));
            }
            Value::Int32(hash)
        }
        ("compareto", [other]) => {
            let kind = value.type_ref()?;
            let other = match crate::convert::convert_to(other, &kind, engine) {
                Ok(other) => other,
                Err(error) => return Some(Err(error)),
            };
            Value::Int32(crate::operators::compare_for_sort(value, &other) as i32)
        }
        _ => return None,
    }))
}

/// An argument as text.
pub(crate) fn text_arg(args: &[Value], at: usize) -> String {
    args.get(at).map(to_text).unwrap_or_default()
}

/// An argument as an integer, with the binder's error message.
pub(crate) fn int_arg(
    args: &[Value],
    at: usize,
    parameter: &str,
    method: &str,
    engine: &mut dyn Callbacks,
) -> Result<i64, Error> {
    convert_arg(args, at, parameter, method, "System.Int32", engine)
        .map(|v| crate::convert::to_i64(&v).unwrap_or(0))
}

/// An argument converted to a type, with the binder's error message.
pub(crate) fn convert_arg(
    args: &[Value],
    at: usize,
    parameter: &str,
    method: &str,
    kind: &str,
    engine: &mut dyn Callbacks,
) -> Result<Value, Error> {
    let value = args.get(at).cloned().unwrap_or_default();
    crate::convert::convert_to(&value, &TypeRef::named(kind), engine).map_err(|error| {
        Error::new(
            "System.Management.Automation.MethodException",
            "MethodArgumentConversionInvalidCastArgument",
            crate::value::ErrorCategory::NotSpecified,
            format!(
                "Cannot convert argument \"{parameter}\", with value: \"{}\", for \"{method}\" to type \"{kind}\": \"{}\"",
                to_text(&value),
                error.message()
            ),
        )
    })
}

/// `Cannot find an overload for "x" and the argument count: "n".`
pub(crate) fn no_overload(name: &str, count: usize) -> Error {
    Error::new(
        "System.Management.Automation.MethodException",
        "MethodCountCouldNotFindBest",
        crate::value::ErrorCategory::NotSpecified,
        format!("Cannot find an overload for \"{name}\" and the argument count: \"{count}\"."),
    )
}
