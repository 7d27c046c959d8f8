//! Values as text.

use crate::datetime::datetime_invariant;
use crate::dotnet::type_text;
use crate::number::number_text;
use crate::value::{Callbacks, Exception, MemberKind, PsObject, ScriptCall, Value};

/// The text PowerShell puts in strings for a value, without running script (`$OFS` is a blank).
pub fn to_text(value: &Value) -> String {
    text(value, " ", true, &mut None)
}

/// The text PowerShell puts in strings for a value; script `ToString` methods and script properties run,
/// `$OFS` counts.
pub fn to_text_with(value: &Value, engine: &mut dyn Callbacks) -> String {
    let separator =
        if value.enumerate().is_some() { engine.output_field_separator() } else { " ".to_owned() };
    text(value, &separator, true, &mut Some(engine))
}

/// The items of a collection as text with a separator (`-join`).
pub fn join_text(items: &[Value], separator: &str, engine: &mut dyn Callbacks) -> String {
    let mut engine = Some(engine);
    items.iter().map(|item| text(item, " ", true, &mut engine)).collect::<Vec<_>>().join(separator)
}

fn text(value: &Value, separator: &str, unroll: bool, engine: &mut Option<&mut dyn Callbacks>) -> String {
    match value {
        Value::Null | Value::Empty => String::new(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Char(unit) => String::from_utf16_lossy(&[*unit]),
        Value::String(text) => text.to_string(),
        Value::DateTime(date) => datetime_invariant(*date),
        Value::TimeSpan(span) => span.text(),
        Value::Guid(guid) => guid.to_string(),
        Value::Version(parts) => version_text(parts),
        Value::Enum(kind, number) => kind.text(*number),
        Value::Type(kind) => type_text(kind),
        Value::Array(_) | Value::List(_) if unroll => {
            let items = value.enumerate().unwrap_or_default();
            let list: Vec<String> = items.iter().map(|item| text(item, separator, false, engine)).collect();
            list.join(separator)
        }
        Value::Array(_) | Value::List(_) | Value::Dict(_) => {
            value.type_ref().map(|t| t.full_name().to_owned()).unwrap_or_default()
        }
        Value::ScriptBlock(block) => block.text().to_owned(),
        Value::Exception(exception) => exception_text(exception),
        Value::ErrorRecord(record) => record.message(),
        Value::SecureString(_) => "System.Security.SecureString".to_owned(),
        Value::Native(_) | Value::Object(_)
            if let Some(engine) = engine.as_deref_mut()
                && let Value::Native(_) = value.base()
                && let Some(Ok(text)) = engine.object_text(value.base()) =>
        {
            text
        }
        Value::Native(native) => match native.enumerate().filter(|_| unroll) {
            Some(items) if native.text() == native.type_ref().full_name() => {
                let list: Vec<String> =
                    items.iter().map(|item| text(item, separator, false, engine)).collect();
                list.join(separator)
            }
            _ => native.text(),
        },
        Value::Object(object) => object_text(value, object, separator, unroll, engine),
        number => number_text(number).unwrap_or_default(),
    }
}

fn object_text(
    value: &Value,
    object: &PsObject,
    separator: &str,
    unroll: bool,
    engine: &mut Option<&mut dyn Callbacks>,
) -> String {
    if let Some(engine) = engine.as_mut()
        && let Some(MemberKind::Method(block)) = to_string_method(object, *engine)
    {
        let call = ScriptCall { this: Some(value.clone()), ..ScriptCall::default() };
        if let Ok(output) = engine.call_script(&block, call) {
            return to_text(&Value::from_output(output));
        }
    }
    if let Some(base) = object.base() {
        return text(base, separator, unroll, engine);
    }
    if let Some(text) = object.text() {
        return text.to_string();
    }
    if !unroll {
        return String::new();
    }
    let parts: Vec<String> = object
        .members()
        .into_iter()
        .filter_map(|member| {
            let shown = match &member.kind {
                MemberKind::Note(v) | MemberKind::Property(v) => text(v, " ", false, engine),
                MemberKind::Alias(_) | MemberKind::Script(..) => {
                    let engine = engine.as_mut()?;
                    let v = crate::members::get(value, &member.name, *engine).ok()??;
                    text(&v, " ", false, &mut None)
                }
                MemberKind::Method(_) | MemberKind::PropertySet(_) | MemberKind::MemberSet(_) => return None,
            };
            Some(format!("{}={shown}", member.name))
        })
        .collect();
    if parts.is_empty() { String::new() } else { format!("@{{{}}}", parts.join("; ")) }
}

fn to_string_method(object: &PsObject, engine: &mut dyn Callbacks) -> Option<MemberKind> {
    match object.member("ToString") {
        Some(member) => Some(member.kind),
        None => engine.type_data_member(&object.type_names(), "ToString"),
    }
}

/// `1.2`, `1.2.3` or `1.2.3.4`.
pub(crate) fn version_text(parts: &[i32; 4]) -> String {
    parts.iter().take_while(|p| **p >= 0).map(ToString::to_string).collect::<Vec<_>>().join(".")
}

/// `Exception.ToString()`: type and message, then inner exceptions.
pub fn exception_text(exception: &Exception) -> String {
    let mut text = format!("{}: {}", exception.type_name(), exception.message());
    if let Some(inner) = exception.inner() {
        text.push_str(&format!(
            "\n ---> {}\n   --- End of inner exception stack trace ---",
            exception_text(inner)
        ));
    }
    text
}
