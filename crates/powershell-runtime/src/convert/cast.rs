//! Conversion to a type, as a cast or a typed parameter does it.

use std::sync::Arc;

use super::numeric::is_numeric_type;
use super::{to_bool, to_number, to_text, to_text_with};
use crate::datetime::{parse_datetime, parse_timespan};
use crate::dotnet;
use crate::value::{
    Callbacks, DateTime, DateTimeKind, DictKind, EnumType, Error, ErrorCategory, Exception, ListKind,
    MemberKind, PsDict, PsList, PsObject, TimeSpan, TypeKind, TypeRef, Value,
};

/// `Cannot convert the "x" value of type "y" to type "z".`
pub fn no_conversion(value: &Value, target: &TypeRef) -> Error {
    if value.is_null() {
        return Error::cast(
            "InvalidCastFromNull",
            format!("Cannot convert null to type \"{}\".", target.display_name()),
        );
    }
    let kind = value.type_ref().map(|t| t.display_name()).unwrap_or_default();
    // A collection is named by its type, not by its items.
    let text = match value.base() {
        Value::Array(_) | Value::List(_) => kind.clone(),
        _ => to_text(value),
    };
    Error::cast(
        "ConvertToFinalInvalidCastException",
        format!(
            "Cannot convert the \"{text}\" value of type \"{kind}\" to type \"{}\".",
            target.display_name()
        ),
    )
}

fn failed(value: &Value, target: &TypeRef, id: &str, inner: &Error) -> Error {
    let message = inner.message();
    let exception = Exception::new(
        "System.Management.Automation.PSInvalidCastException",
        format!(
            "Cannot convert value \"{}\" to type \"{}\". Error: \"{message}\"",
            to_text(value),
            target.display_name()
        ),
    );
    let exception = match inner.exception() {
        Some(inner) => exception.with_inner(Arc::clone(inner)),
        None => exception,
    };
    Error::from_exception(exception, id, ErrorCategory::InvalidArgument, Value::Null)
}

/// Converts a value to a type, as `[type]$value` does. Numbers, text, dates and collections follow
/// PowerShell's rules; other types go through a constructor or `Parse` of theirs.
pub fn convert_to(value: &Value, target: &TypeRef, engine: &mut dyn Callbacks) -> Result<Value, Error> {
    let name = target.full_name();
    match name {
        "System.Object" => return Ok(value.clone()),
        "System.Management.Automation.PSObject" | "System.Management.Automation.PSCustomObject" => {
            return Ok(to_custom(value));
        }
        "System.Boolean" => return Ok(Value::Bool(to_bool(value))),
        "System.String" => {
            return Ok(match value {
                Value::String(_) => value.clone(),
                _ => Value::from(to_text_with(value, engine)),
            });
        }
        "System.Void" => return Ok(Value::Null),
        "System.Management.Automation.SwitchParameter" => return to_switch(value, target),
        _ => {}
    }
    if let Some(own) = value.type_ref()
        && own.derives_from(target)
    {
        return Ok(match value {
            Value::Object(object) if object.members().is_empty() && !object.has_own_type_names() => {
                value.base().clone()
            }
            _ => value.clone(),
        });
    }
    if is_numeric_type(name) {
        if value.base().enumerate().is_none()
            && let Some(result) = to_number(value, name)
        {
            return result;
        }
        return Err(no_conversion(value, target));
    }
    match target.kind() {
        TypeKind::Enum(kind) => return enum_from(value, kind),
        TypeKind::Array(element, 1) => return to_array(value, element, engine),
        TypeKind::Generic(definition, arguments) => {
            if let Some(result) = to_generic(value, target, definition, arguments, engine) {
                return result;
            }
        }
        _ => {}
    }
    match name {
        "System.Array" => to_array(value, &TypeRef::object(), engine),
        "System.Char" => to_char(value, target),
        "System.DateTime" => to_datetime(value, target, engine),
        "System.TimeSpan" => match value.base() {
            Value::String(text) => parse_timespan(text)
                .map(Value::TimeSpan)
                .map_err(|e| failed(value, target, "InvalidCastParseTargetInvocation", &e)),
            other => match other.as_integer() {
                Some(n) => Ok(Value::TimeSpan(TimeSpan::from_ticks(n as i64))),
                None => match super::to_i64(other) {
                    Some(n) => Ok(Value::TimeSpan(TimeSpan::from_ticks(n))),
                    None => Err(no_conversion(value, target)),
                },
            },
        },
        "System.Collections.ArrayList"
        | "System.Collections.IList"
        | "System.Collections.ICollection"
        | "System.Collections.IEnumerable" => match value.base() {
            Value::Null | Value::Empty => Ok(Value::Null),
            _ => Ok(Value::List(Arc::new(PsList::array_list(value.clone().into_items())))),
        },
        "System.Collections.Queue" | "System.Collections.Stack" => match value.enumerate() {
            Some(items) => {
                let kind = if name.ends_with("Queue") { ListKind::Queue } else { ListKind::Stack };
                Ok(Value::List(Arc::new(PsList::new(kind, items))))
            }
            None => Err(no_conversion(value, target)),
        },
        "System.Collections.Hashtable" => match value.base() {
            Value::Null | Value::Empty => Ok(Value::Null),
            Value::Dict(dict) => Ok(copy_dict(dict, DictKind::Hashtable)),
            _ => Err(no_conversion(value, target)),
        },
        "System.Collections.Specialized.OrderedDictionary" => match value.base() {
            Value::Null | Value::Empty => Ok(Value::Null),
            Value::Dict(dict) => Ok(copy_dict(dict, DictKind::Ordered)),
            _ => Err(no_conversion(value, target)),
        },
        "System.Type" => match value.base() {
            Value::Null | Value::Empty => Ok(Value::Null),
            Value::String(text) => match dotnet::find_type(text, &[], engine) {
                Some(found) => Ok(Value::Type(found)),
                None => Err(no_conversion(value, target)),
            },
            _ => Err(no_conversion(value, target)),
        },
        "System.Management.Automation.ScriptBlock" => match value.base() {
            Value::Null | Value::Empty => Ok(Value::Null),
            Value::String(_) => engine
                .static_invoke(target, "Create", std::slice::from_ref(value))
                .unwrap_or_else(|| Err(no_conversion(value, target))),
            _ => Err(no_conversion(value, target)),
        },
        _ => by_construction(value, target, engine),
    }
}

fn by_construction(value: &Value, target: &TypeRef, engine: &mut dyn Callbacks) -> Result<Value, Error> {
    if value.is_null() {
        return if target.is_value_type() { Err(no_conversion(value, target)) } else { Ok(Value::Null) };
    }
    if let Value::Dict(dict) = value.base()
        && let Ok(object) = dotnet::construct(target, &[], engine)
    {
        for (key, item) in dict.entries() {
            crate::members::set(&object, &to_text(&key), item, engine)?;
        }
        return Ok(object);
    }
    match dotnet::convert_native(value, target, engine) {
        Some(Ok(made)) => Ok(made),
        Some(Err(error)) => {
            let id = if value.as_str().is_some() {
                "InvalidCastParseTargetInvocation"
            } else {
                "InvalidCastConstructorException"
            };
            Err(failed(value, target, id, &error))
        }
        None => Err(no_conversion(value, target)),
    }
}

fn copy_dict(dict: &PsDict, kind: DictKind) -> Value {
    let copy = PsDict::new(kind, true);
    for (key, value) in dict.entries() {
        copy.insert(key, value);
    }
    Value::Dict(Arc::new(copy))
}

fn to_custom(value: &Value) -> Value {
    match value {
        Value::Dict(dict) => {
            let object = PsObject::custom(Vec::<(String, Value)>::new());
            for (key, item) in dict.entries() {
                object.set_member(&to_text(&key), MemberKind::Note(item));
            }
            Value::Object(Arc::new(object))
        }
        Value::Object(_) | Value::Null | Value::Empty => value.clone(),
        other => Value::Object(Arc::new(PsObject::wrapping(other.clone()))),
    }
}

fn to_switch(value: &Value, target: &TypeRef) -> Result<Value, Error> {
    match value.base() {
        Value::Bool(b) => Ok(Value::native(dotnet::SwitchParameter(*b))),
        Value::Null | Value::Empty => Ok(Value::native(dotnet::SwitchParameter(false))),
        Value::Native(native) if native.as_any().is::<dotnet::SwitchParameter>() => Ok(value.base().clone()),
        _ => Err(no_conversion(value, target)),
    }
}

fn to_array(value: &Value, element: &TypeRef, engine: &mut dyn Callbacks) -> Result<Value, Error> {
    let items = match value.base() {
        Value::Null | Value::Empty => return Ok(Value::Null),
        Value::String(text) if element.is("System.Char") => text.encode_utf16().map(Value::Char).collect(),
        Value::Dict(_) => vec![value.clone()],
        _ => value.clone().into_items(),
    };
    let items = items.iter().map(|item| convert_to(item, element, engine)).collect::<Result<Vec<_>, _>>()?;
    Ok(Value::typed_array(element.clone(), items))
}

fn to_generic(
    value: &Value,
    target: &TypeRef,
    definition: &str,
    arguments: &[TypeRef],
    engine: &mut dyn Callbacks,
) -> Option<Result<Value, Error>> {
    let short = definition.rsplit('.').next().unwrap_or(definition);
    match (short, arguments) {
        ("Nullable", [inner]) => {
            Some(if value.is_null() { Ok(Value::Null) } else { convert_to(value, inner, engine) })
        }
        (
            "List" | "IList" | "ICollection" | "IEnumerable" | "Collection" | "HashSet" | "Queue" | "Stack",
            [inner],
        ) => {
            if value.is_null() {
                return Some(Ok(Value::Null));
            }
            let kind = match short {
                "Collection" => ListKind::Collection(inner.clone()),
                "HashSet" => ListKind::HashSet(inner.clone(), false),
                "Queue" => ListKind::QueueOf(inner.clone()),
                "Stack" => ListKind::StackOf(inner.clone()),
                _ => ListKind::List(inner.clone()),
            };
            let items: Result<Vec<Value>, Error> =
                value.clone().into_items().iter().map(|item| convert_to(item, inner, engine)).collect();
            Some(items.map(|items| {
                let list = PsList::new(kind, Vec::new());
                for item in items {
                    dotnet::list_add(&list, item);
                }
                Value::List(Arc::new(list))
            }))
        }
        ("Dictionary" | "IDictionary" | "SortedDictionary", [k, v]) => match value.base() {
            Value::Dict(dict) => {
                let copy = PsDict::new(DictKind::Dictionary(k.clone(), v.clone()), false);
                for (key, item) in dict.entries() {
                    let entry =
                        convert_to(&key, k, engine).and_then(|key| Ok((key, convert_to(&item, v, engine)?)));
                    match entry {
                        Ok((key, item)) => copy.insert(key, item),
                        Err(error) => return Some(Err(error)),
                    }
                }
                Some(Ok(Value::Dict(Arc::new(copy))))
            }
            Value::Null | Value::Empty => Some(Ok(Value::Null)),
            _ => Some(Err(no_conversion(value, target))),
        },
        _ => None,
    }
}

fn to_char(value: &Value, target: &TypeRef) -> Result<Value, Error> {
    let range = || {
        failed(
            value,
            target,
            "InvalidCastIConvertible",
            &Error::dotnet(
                "System.OverflowException",
                "Value was either too large or too small for a character.",
            ),
        )
    };
    match value.base() {
        Value::Char(c) => Ok(Value::Char(*c)),
        Value::Null | Value::Empty => Ok(Value::Char(0)),
        Value::String(text) => {
            let units: Vec<u16> = text.encode_utf16().collect();
            match units.as_slice() {
                [unit] => Ok(Value::Char(*unit)),
                _ => Err(failed(
                    value,
                    target,
                    "InvalidCastParseTargetInvocation",
                    &Error::dotnet("System.FormatException", "String must be exactly one character long."),
                )),
            }
        }
        Value::Bool(_) | Value::Double(_) | Value::Single(_) | Value::Decimal(_) => {
            let kind = value.type_ref().map(|t| t.name()).unwrap_or_default();
            let inner = Error::dotnet(
                "System.InvalidCastException",
                format!("Invalid cast from '{kind}' to 'Char'."),
            );
            Err(failed(value, target, "InvalidCastIConvertible", &inner))
        }
        other => match other.as_integer() {
            Some(n) => u16::try_from(n).map(Value::Char).map_err(|_| range()),
            None => Err(no_conversion(value, target)),
        },
    }
}

fn to_datetime(value: &Value, target: &TypeRef, engine: &mut dyn Callbacks) -> Result<Value, Error> {
    match value.base() {
        Value::String(text) => {
            let now = engine.system().now();
            let offset = engine.system().utc_offset(now);
            parse_datetime(text, DateTime::from_system(now), offset)
                .map(Value::DateTime)
                .map_err(|e| failed(value, target, "InvalidCastParseTargetInvocationWithFormatProvider", &e))
        }
        Value::Native(native) if native.type_ref().is("System.DateTimeOffset") => {
            match native.get("DateTime") {
                Some(result) => result,
                None => Err(no_conversion(value, target)),
            }
        }
        other => match super::to_i64(other).filter(|_| other.is_number()) {
            Some(ticks) => DateTime::from_ticks(ticks, DateTimeKind::Unspecified)
                .map(Value::DateTime)
                .ok_or_else(|| no_conversion(value, target)),
            None => Err(no_conversion(value, target)),
        },
    }
}

/// Converts to an enumeration: from names (also several, with commas, and unique beginnings) and numbers.
pub fn enum_from(value: &Value, kind: &Arc<EnumType>) -> Result<Value, Error> {
    let target = TypeRef::of_enum(kind);
    let bad_number = || {
        let names: Vec<&str> = kind.members().iter().map(|(n, _)| &**n).collect();
        Error::cast(
            "EnumerationValueNotValid",
            format!(
                "Cannot convert value \"{}\" to type \"{}\" due to enumeration values that are not valid. Specify one \
                 of the following enumeration values and try again. The possible enumeration values are \"{}\".",
                to_text(value),
                kind.name(),
                names.join(",")
            ),
        )
    };
    let number = |n: i64| -> Result<Value, Error> {
        let known = kind.members().iter().any(|(_, v)| *v == n);
        let mask = kind.members().iter().fold(0, |acc, (_, v)| acc | v);
        if known || (kind.is_flags() && n & !mask == 0) {
            Ok(Value::Enum(Arc::clone(kind), n))
        } else {
            Err(bad_number())
        }
    };
    match value.base() {
        Value::Enum(own, n) if own.name() == kind.name() => Ok(Value::Enum(Arc::clone(kind), *n)),
        Value::String(text) => from_names(value, text.split(','), kind, &target, &number),
        Value::Array(items) if !items.is_empty() => {
            let names: Vec<String> = items.to_vec().iter().map(to_text).collect();
            from_names(value, names.iter().map(String::as_str), kind, &target, &number)
        }
        Value::Bool(_) => {
            let inner = Error::dotnet(
                "System.InvalidCastException",
                format!("Invalid cast from 'System.Boolean' to '{}'.", kind.name()),
            );
            Err(failed(value, &target, "InvalidCastIConvertible", &inner))
        }
        Value::Null | Value::Empty => Err(Error::cast(
            "nullToEnumInvalidCast",
            format!(
                "Cannot convert null to type \"{}\" due to enumeration values that are not valid. Specify one of the \
                 following enumeration values and try again. The possible enumeration values are \"{}\".",
                kind.name(),
                kind.members().iter().map(|(n, _)| &**n).collect::<Vec<_>>().join(",")
            ),
        )),
        other => match super::to_i64(other) {
            Some(n) => number(n),
            None => Err(no_conversion(value, &target)),
        },
    }
}

fn from_names<'a>(
    value: &Value,
    names: impl Iterator<Item = &'a str>,
    kind: &Arc<EnumType>,
    target: &TypeRef,
    number: &dyn Fn(i64) -> Result<Value, Error>,
) -> Result<Value, Error> {
    let list: Vec<&str> = kind.members().iter().map(|(n, _)| &**n).collect();
    let mut result = 0i64;
    for name in names {
        let name = name.trim();
        if let Ok(n) = name.parse::<i64>() {
            number(n)?;
            result |= n;
            continue;
        }
        if let Some(n) = kind.number(name) {
            result |= n;
            continue;
        }
        let mut starting: Vec<&(Arc<str>, i64)> = kind
            .members()
            .iter()
            .filter(|(n, _)| {
                !name.is_empty() && n.to_ascii_lowercase().starts_with(&name.to_ascii_lowercase())
            })
            .collect();
        starting.dedup_by_key(|m| m.1);
        match starting.as_slice() {
            [(_, n)] => result |= n,
            [] => {
                let inner = Error::dotnet(
                    "System.ArgumentException",
                    format!(
                        "Unable to match the identifier name {name} to a valid enumerator name. Specify one of the \
                         following enumerator names and try again:\n{}",
                        list.join(", ")
                    ),
                );
                return Err(failed(
                    value,
                    target,
                    "SubstringDisambiguationEnumParseThrewAnException",
                    &inner,
                ));
            }
            several => {
                let names: Vec<&str> = several.iter().map(|(n, _)| &**n).collect();
                let inner = Error::dotnet(
                    "System.ArgumentException",
                    format!(
                        "The identifier name {name} cannot be processed due to the following possible enumerator \
                         names: {}. Specify a unique enumerator name.",
                        names.join(", ")
                    ),
                );
                return Err(failed(
                    value,
                    target,
                    "SubstringDisambiguationEnumParseThrewAnException",
                    &inner,
                ));
            }
        }
    }
    Ok(Value::Enum(Arc::clone(kind), result))
}
