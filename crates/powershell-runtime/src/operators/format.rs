//! `-f` and `String.Format`.

use crate::convert::to_text;
use crate::datetime::{datetime_text, format_datetime, format_timespan};
use crate::number::{double_text, format_number, single_text};
use crate::value::{Callbacks, Error, ErrorCategory, Exception, System, Value};

fn format_exception(message: impl AsRef<str>) -> Error {
    Error::dotnet("System.FormatException", message)
}

/// `format -f arguments`.
pub fn format_operator(
    format: &Value,
    arguments: &Value,
    engine: &mut dyn Callbacks,
) -> Result<Value, Error> {
    let format = crate::convert::to_text_with(format, engine);
    let list = match arguments.base() {
        Value::Array(array) if array.element().is("System.Object") => array.to_vec(),
        _ => vec![arguments.clone()],
    };
    format_composite(&format, &list, Some(engine)).map(Value::from).map_err(|error| {
        let message = format!("Error formatting a string: {}.", error.message());
        let exception = Exception::new("System.Management.Automation.RuntimeException", message);
        let exception = match error.exception() {
            Some(inner) => exception.with_inner(std::sync::Arc::clone(inner)),
            None => exception,
        };
        Error::from_exception(
            exception,
            "FormatError",
            ErrorCategory::InvalidOperation,
            Value::from(format.clone()),
        )
    })
}

/// `String.Format`: `{index[,width][:format]}` items in a text, `{{` and `}}` for braces.
pub fn format_composite(
    format: &str,
    arguments: &[Value],
    mut engine: Option<&mut dyn Callbacks>,
) -> Result<String, Error> {
    let chars: Vec<char> = format.chars().collect();
    let mut out = String::new();
    let mut i = 0;
    let failure = |at: usize, what: &str| {
        format_exception(format!(
            "Input string was not in a correct format. Failure to parse near offset {at}. {what}"
        ))
    };
    while let Some(c) = chars.get(i).copied() {
        i += 1;
        match c {
            '{' if chars.get(i) == Some(&'{') => {
                out.push('{');
                i += 1;
            }
            '}' if chars.get(i) == Some(&'}') => {
                out.push('}');
                i += 1;
            }
            '}' => return Err(failure(i, "Unexpected closing brace without a corresponding opening brace.")),
            '{' => {
                let ends = "Format item ends prematurely.";
                match chars.get(i) {
                    None => return Err(failure(i, ends)),
                    Some(d) if !d.is_ascii_digit() => return Err(failure(i, "Expected an ASCII digit.")),
                    _ => {}
                }
                let mut index = 0usize;
                while let Some(d) = chars.get(i).and_then(|c| c.to_digit(10)) {
                    index = (index * 10 + d as usize).min(10_000_000);
                    i += 1;
                }
                let blanks = |i: &mut usize| {
                    while chars.get(*i) == Some(&' ') {
                        *i += 1;
                    }
                };
                blanks(&mut i);
                let (mut width, mut left) = (0usize, false);
                if chars.get(i) == Some(&',') {
                    i += 1;
                    blanks(&mut i);
                    if chars.get(i) == Some(&'-') {
                        left = true;
                        i += 1;
                    }
                    match chars.get(i) {
                        None => return Err(failure(i, ends)),
                        Some(d) if !d.is_ascii_digit() => return Err(failure(i, "Expected an ASCII digit.")),
                        _ => {}
                    }
                    while let Some(d) = chars.get(i).and_then(|c| c.to_digit(10)) {
                        width = (width * 10 + d as usize).min(1_000_000);
                        i += 1;
                    }
                    blanks(&mut i);
                }
                let mut item = String::new();
                match chars.get(i) {
                    Some(':') => {
                        i += 1;
                        loop {
                            match chars.get(i) {
                                None => return Err(failure(i, ends)),
                                Some('}') => break,
                                Some('{') => return Err(failure(i, "Unexpected opening brace.")),
                                Some(c) => item.push(*c),
                            }
                            i += 1;
                        }
                    }
                    Some('}') => {}
                    None => return Err(failure(i, ends)),
                    Some(_) => return Err(failure(i, "Expected a closing brace.")),
                }
                i += 1;
                let Some(value) = arguments.get(index) else {
                    return Err(format_exception(
                        "Index (zero based) must be greater than or equal to zero and less than the size of the \
                         argument list.",
                    ));
                };
                let text = match &mut engine {
                    Some(engine) => {
                        let plain = format_value(value, &item, Some(engine.system()))?;
                        // Script members of custom objects can only run with the engine.
                        match value {
                            Value::Object(_) if item.is_empty() => {
                                crate::convert::to_text_with(value, *engine)
                            }
                            _ => plain,
                        }
                    }
                    None => format_value(value, &item, None)?,
                };
                let length = text.chars().count();
                let pad = " ".repeat(width.saturating_sub(length));
                if left {
                    out.push_str(&text);
                    out.push_str(&pad);
                } else {
                    out.push_str(&pad);
                    out.push_str(&text);
                }
            }
            other => out.push(other),
        }
    }
    Ok(out)
}

/// One value with one format string, as `IFormattable.ToString` in the en-US culture; types without formats of
/// their own ignore it.
pub fn format_value(value: &Value, format: &str, system: Option<&dyn System>) -> Result<String, Error> {
    match value.base() {
        Value::DateTime(date) => {
            if format.is_empty() {
                return Ok(datetime_text(*date));
            }
            let offset = system.map_or(0, |s| s.utc_offset(s.now()));
            format_datetime(*date, format, offset)
        }
        Value::TimeSpan(span) => format_timespan(*span, format),
        Value::Guid(guid) => guid_text(guid, format),
        Value::Enum(kind, n) => match format {
            "" | "G" | "g" | "F" | "f" => Ok(kind.text(*n)),
            "D" | "d" => Ok(n.to_string()),
            "X" | "x" => Ok(format!("{:08X}", *n as u32)),
            _ => Err(format_exception(
                "Format string can be only \"G\", \"g\", \"X\", \"x\", \"F\", \"f\", \"D\" or \"d\".",
            )),
        },
        Value::Double(n) if format.is_empty() => Ok(double_text(*n)),
        Value::Single(n) if format.is_empty() => Ok(single_text(*n)),
        Value::Type(kind) => Ok(kind.full_name().to_owned()),
        Value::Array(_) | Value::List(_) => Ok(value.type_name()),
        Value::Char(_) | Value::String(_) => Ok(to_text(value)),
        Value::Native(native) => match native.format(format).filter(|_| !format.is_empty()) {
            Some(result) => result,
            None => Ok(native.text()),
        },
        base => match format_number(base, format).filter(|_| base.is_number() && !format.is_empty()) {
            Some(result) => result,
            None => Ok(to_text(value)),
        },
    }
}

fn guid_text(guid: &uuid::Uuid, format: &str) -> Result<String, Error> {
    Ok(match format {
        "" | "D" | "d" => guid.hyphenated().to_string(),
        "N" | "n" => guid.simple().to_string(),
        "B" | "b" => guid.braced().to_string(),
        "P" | "p" => format!("({})", guid.hyphenated()),
        _ => {
            return Err(format_exception(
                "Format string can be only \"D\", \"d\", \"N\", \"n\", \"P\", \"p\", \"B\", \"b\", \"X\" or \"x\".",
            ));
        }
    })
}
