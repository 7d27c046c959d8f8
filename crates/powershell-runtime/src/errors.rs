//! Errors the evaluator raises, and positions.

use std::sync::Arc;

use hop_powershell_syntax::{ParseError, Source, Span};

use crate::value::{Error, ErrorCategory, Exception, InvocationInfo, Value};

/// Describes a place in a text, for error records of expressions.
pub(crate) fn position(source: &Source, span: Span) -> InvocationInfo {
    let line_number = source.line_number(span.start);
    let column = source.column(span.start);
    let line = source.line(line_number).to_string();
    let text = source.slice(span);
    let first = text.split(['\n', '\r']).next().unwrap_or("");
    let length = first.encode_utf16().count();
    let place = match source.file() {
        Some(file) => format!("{file}:{line_number}"),
        None => format!("line:{line_number}"),
    };
    let line_end = line.clone();
    let trimmed = line_end.trim();
    let indent = line.encode_utf16().count() - line.trim_start().encode_utf16().count();
    let squiggle_start = (column - 1).saturating_sub(indent);
    let squiggle = if length > 0 { "~".repeat(length) } else { "~".to_string() };
    let position_message = if span == Span::default() && source.text().is_empty() {
        String::new()
    } else {
        format!("At {place} char:{column}\n+ {trimmed}\n+ {}{squiggle}", " ".repeat(squiggle_start))
    };
    let file = source.file().unwrap_or("").to_string();
    InvocationInfo {
        my_command: Value::Null,
        invocation_name: String::new(),
        script_root: file.rsplit_once('/').map_or(String::new(), |(d, _)| d.to_string()),
        command_path: file.clone(),
        script_name: file,
        script_line_number: u32::try_from(line_number).unwrap_or(u32::MAX),
        offset_in_line: u32::try_from(column).unwrap_or(u32::MAX),
        line,
        statement: text.to_string(),
        position_message,
        extent_length: u32::try_from(length).unwrap_or(u32::MAX),
        pipeline_position: 0,
        pipeline_length: 0,
        bound_parameters: Value::Null,
        unbound_arguments: Value::Null,
    }
}

/// The exception of a script that does not parse.
pub(crate) fn parse_error(source: &Source, errors: &[ParseError]) -> Error {
    let Some(first) = errors.first() else {
        return Error::runtime("ParserError", ErrorCategory::ParserError, "");
    };
    let info = position(source, first.span);
    let message = format!("{}\n{}", info.position_message, first.message);
    let kind = if errors.iter().any(|e| e.incomplete) {
        "System.Management.Automation.IncompleteParseException"
    } else {
        "System.Management.Automation.ParseException"
    };
    let list = errors
        .iter()
        .map(|e| {
            let extent = position(source, e.span);
            Value::custom([
                ("ErrorId", Value::string(e.id)),
                ("Message", Value::string(&e.message)),
                ("IncompleteInput", Value::Bool(e.incomplete)),
                (
                    "Extent",
                    Value::custom([
                        ("Text", Value::string(source.slice(e.span))),
                        (
                            "StartLineNumber",
                            Value::Int32(i32::try_from(extent.script_line_number).unwrap_or(0)),
                        ),
                        (
                            "StartColumnNumber",
                            Value::Int32(i32::try_from(extent.offset_in_line).unwrap_or(0)),
                        ),
                        (
                            "StartOffset",
                            Value::Int32(i32::try_from(source.utf16_offset(e.span.start)).unwrap_or(0)),
                        ),
                    ]),
                ),
            ])
        })
        .collect();
    let exception = Exception::new(kind, message).with_property("Errors", Value::array(list));
    let error = Error::from_exception(exception, first.id, ErrorCategory::ParserError, Value::Null);
    let _ = error.record().invocation.set(Arc::new(info));
    error
}

/// A `RuntimeException`.
pub(crate) fn runtime(id: &str, category: ErrorCategory, message: impl AsRef<str>) -> Error {
    Error::runtime(id, category, message)
}

/// Calls nest too deeply.
pub(crate) fn call_depth() -> Error {
    Error::new(
        "System.Management.Automation.ScriptCallDepthException",
        "CallDepthOverflow",
        ErrorCategory::InvalidOperation,
        "The script failed due to call depth overflow.",
    )
}

/// A command that is not there.
pub(crate) fn command_not_found(name: &str) -> Error {
    let message = format!(
        "The term '{name}' is not recognized as a name of a cmdlet, function, script file, or executable \
         program.\nCheck the spelling of the name, or if a path was included, verify that the path is correct \
         and try again."
    );
    Error::from_exception(
        Exception::new("System.Management.Automation.CommandNotFoundException", message)
            .with_property("CommandName", Value::string(name)),
        "CommandNotFoundException",
        ErrorCategory::ObjectNotFound,
        Value::string(name),
    )
}

/// A `ParameterBindingException`.
pub(crate) fn binding(id: &str, message: impl AsRef<str>) -> Error {
    Error::new(
        "System.Management.Automation.ParameterBindingException",
        id,
        ErrorCategory::InvalidArgument,
        message,
    )
}
