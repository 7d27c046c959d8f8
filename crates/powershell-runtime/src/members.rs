//! Members of values: reading, writing, calling, indexing.

use std::sync::Arc;

use crate::convert::{self, to_text};
use crate::dotnet;
use crate::value::{
    Callbacks, DictKind, Error, ErrorCategory, Exception, MemberKind, MemberType, ScriptCall, TypeRef, Value,
};

/// The member attached to the value or added by type data.
fn extended(value: &Value, name: &str, engine: &mut dyn Callbacks) -> Option<MemberKind> {
    if let Value::Object(object) = value
        && let Some(member) = object.member(name)
    {
        return Some(member.kind);
    }
    engine.type_data_member(&value.type_names(), name)
}

/// Reads a property of one value; `None` when it has none of that name.
pub fn get(value: &Value, name: &str, engine: &mut dyn Callbacks) -> Result<Option<Value>, Error> {
    if let Some(kind) = extended(value, name, engine) {
        return match kind {
            MemberKind::Note(v) | MemberKind::Property(v) => Ok(Some(v)),
            MemberKind::Alias(target) => get(value, &target, engine),
            MemberKind::Script(getter, _) => {
                let call = ScriptCall { this: Some(value.clone()), ..ScriptCall::default() };
                match engine.call_script(&getter, call) {
                    Ok(output) => Ok(Some(Value::from_output(output))),
                    Err(error) => Err(wrapped(
                        "System.Management.Automation.GetValueInvocationException",
                        "ExceptionWhenGetting",
                        format!("Exception getting \"{name}\": \"{}\"", error.message()),
                        &error,
                    )),
                }
            }
            MemberKind::MemberSet(set) => Ok(Some(Value::Object(set))),
            MemberKind::Method(_) | MemberKind::PropertySet(_) => Ok(None),
        };
    }
    if name.eq_ignore_ascii_case("psobject") && !value.is_null() {
        return Ok(Some(Value::native(dotnet::PsObjectView(value.clone()))));
    }
    if name.eq_ignore_ascii_case("pstypenames") && !value.is_null() {
        return Ok(Some(dotnet::type_names_list(value)));
    }
    if let Value::Dict(dict) = value.base()
        && let Some(found) = dict.get_str(name)
    {
        return Ok(Some(found));
    }
    if let Some(result) = dotnet::property(value.base(), name, engine) {
        return result.map(Some).map_err(|error| {
            wrapped(
                "System.Management.Automation.GetValueInvocationException",
                "ExceptionWhenGetting",
                format!("Exception getting \"{name}\": \"{}\"", error.message()),
                &error,
            )
        });
    }
    // Every single value has a count and a length of one.
    if name.eq_ignore_ascii_case("count") || name.eq_ignore_ascii_case("length") {
        return Ok(if value.enumerate().is_some() {
            None
        } else {
            Some(Value::Int32(i32::from(!value.is_null())))
        });
    }
    Ok(None)
}

/// Reads a property as `$value.name` does: a collection without it gives the values of its items.
pub fn get_enumerated(value: &Value, name: &str, engine: &mut dyn Callbacks) -> Result<Option<Value>, Error> {
    if let Some(found) = get(value, name, engine)? {
        return Ok(Some(found));
    }
    let Some(items) = value.enumerate() else { return Ok(None) };
    let mut out = Vec::new();
    let mut found = false;
    for item in items {
        if let Some(v) = get_enumerated(&item, name, engine)? {
            found = true;
            match v.enumerate().filter(|_| !matches!(v, Value::Dict(_))) {
                Some(more) => out.extend(more),
                None => out.push(v),
            }
        }
    }
    Ok(found.then(|| match Value::from_output(out) {
        Value::Empty => Value::array(Vec::new()),
        other => other,
    }))
}

/// Writes a property.
pub fn set(target: &Value, name: &str, value: Value, engine: &mut dyn Callbacks) -> Result<(), Error> {
    let failed = |error: Error| {
        wrapped(
            "System.Management.Automation.SetValueInvocationException",
            "ExceptionWhenSetting",
            format!("Exception setting \"{name}\": \"{}\"", error.message()),
            &error,
        )
    };
    if let Value::Object(object) = target
        && let Some(member) = object.member(name)
    {
        match member.kind {
            MemberKind::Note(_) => object.set_member(&member.name, MemberKind::Note(value)),
            MemberKind::Property(_) => object.set_member(&member.name, MemberKind::Property(value)),
            MemberKind::Alias(other) => return set(target, &other, value, engine),
            MemberKind::Script(_, setter) if !setter.is_null() => {
                let call = ScriptCall {
                    this: Some(target.clone()),
                    arguments: vec![value],
                    ..ScriptCall::default()
                };
                engine.call_script(&setter, call).map_err(failed)?;
            }
            MemberKind::Script(..) => {
                return Err(Error::new(
                    "System.Management.Automation.SetValueException",
                    "SetWithoutSetterException",
                    ErrorCategory::NotSpecified,
                    format!(
                        "Exception setting \"{name}\": \"Set accessor for property \"{name}\" is unavailable.\""
                    ),
                ));
            }
            _ => {}
        }
        return Ok(());
    }
    match target.base() {
        Value::Dict(dict) => {
            let key = match dict.kind() {
                DictKind::Dictionary(k, _) | DictKind::Sorted(k, _) => {
                    convert::convert_to(&Value::string(name), k, engine)?
                }
                _ => Value::string(name),
            };
            let value = dict_value(dict.kind(), value, engine).map_err(failed)?;
            dict.insert(key, value);
            return Ok(());
        }
        Value::Native(native) => {
            if let Some(result) = native.set(name, value.clone()) {
                return result.map_err(failed);
            }
            if native.get(name).is_some() {
                return Err(Error::runtime(
                    "PropertyAssignmentException",
                    ErrorCategory::InvalidOperation,
                    format!("'{name}' is a ReadOnly property."),
                ));
            }
        }
        Value::ErrorRecord(record) if name.eq_ignore_ascii_case("ErrorDetails") => {
            record.set_details(Some(crate::value::ErrorDetails {
                message: to_text(&value),
                ..Default::default()
            }));
            return Ok(());
        }
        other => {
            if dotnet::property(other, name, engine).is_some() {
                return Err(Error::runtime(
                    "PropertyAssignmentException",
                    ErrorCategory::InvalidOperation,
                    format!("'{name}' is a ReadOnly property."),
                ));
            }
        }
    }
    if let Some(items) = target.enumerate() {
        let mut last = Err(property_not_found(name));
        for item in items {
            last = set(&item, name, value.clone(), engine);
            if last.is_err() {
                break;
            }
        }
        return last;
    }
    Err(property_not_found(name))
}

fn dict_value(kind: &DictKind, value: Value, engine: &mut dyn Callbacks) -> Result<Value, Error> {
    match kind {
        DictKind::Dictionary(_, v) | DictKind::Sorted(_, v) => convert::convert_to(&value, v, engine),
        _ => Ok(value),
    }
}

pub(crate) fn property_not_found(name: &str) -> Error {
    Error::runtime(
        "PropertyNotFound",
        ErrorCategory::InvalidOperation,
        format!(
            "The property '{name}' cannot be found on this object. Verify that the property exists and can be set."
        ),
    )
}

pub(crate) fn wrapped(exception: &str, id: &str, message: String, inner: &Error) -> Error {
    let made = Exception::new(exception, message);
    let made = match inner.exception() {
        Some(inner) => made.with_inner(Arc::clone(inner)),
        None => made,
    };
    Error::from_exception(made, id, ErrorCategory::NotSpecified, Value::Null)
}

/// Wraps what a .NET member threw, as PowerShell does; errors of the engine itself pass.
pub(crate) fn method_error(name: &str, count: usize, error: Error) -> Error {
    let kind = error.exception().map(|e| e.type_name().to_owned()).unwrap_or_default();
    if kind.starts_with("System.Management.Automation.") {
        return error;
    }
    let id = kind.rsplit('.').next().unwrap_or("MethodInvocationException").to_owned();
    wrapped(
        "System.Management.Automation.MethodInvocationException",
        &id,
        format!("Exception calling \"{name}\" with \"{count}\" argument(s): \"{}\"", error.message()),
        &error,
    )
}

/// Calls a method of a value; on a collection without it, of each item.
pub fn invoke(
    target: &Value,
    name: &str,
    args: &[Value],
    engine: &mut dyn Callbacks,
) -> Result<Value, Error> {
    match try_invoke(target, name, args, engine) {
        Some(result) => result,
        None => {
            if let Some(items) = target.enumerate().filter(|i| !i.is_empty()) {
                let mut out = Vec::new();
                for item in &items {
                    match try_invoke(item, name, args, engine) {
                        Some(Ok(Value::Empty)) => {}
                        Some(Ok(v)) => match v.enumerate() {
                            Some(more) => out.extend(more),
                            None => out.push(v),
                        },
                        Some(Err(error)) => return Err(error),
                        None => return Err(method_not_found(item, name)),
                    }
                }
                return Ok(Value::from_output(out));
            }
            Err(method_not_found(target, name))
        }
    }
}

fn method_not_found(target: &Value, name: &str) -> Error {
    if target.is_null() {
        return Error::runtime(
            "InvokeMethodOnNull",
            ErrorCategory::InvalidOperation,
            "You cannot call a method on a null-valued expression.",
        );
    }
    let kind = target.type_ref().map(|t| t.full_name().to_owned()).unwrap_or_default();
    Error::runtime(
        "MethodNotFound",
        ErrorCategory::InvalidOperation,
        format!("Method invocation failed because [{kind}] does not contain a method named '{name}'."),
    )
}

fn try_invoke(
    target: &Value,
    name: &str,
    args: &[Value],
    engine: &mut dyn Callbacks,
) -> Option<Result<Value, Error>> {
    if target.is_null() {
        return None;
    }
    if let Some(kind) = extended(target, name, engine) {
        match kind {
            MemberKind::Method(block) => {
                let call = ScriptCall {
                    this: Some(target.clone()),
                    arguments: args.to_vec(),
                    ..ScriptCall::default()
                };
                return Some(engine.call_script(&block, call).map(Value::from_output).map_err(|e| {
                    wrapped(
                        "System.Management.Automation.MethodInvocationException",
                        "ScriptMethodRuntimeException",
                        format!(
                            "Exception calling \"{name}\" with \"{}\" argument(s): \"{}\"",
                            args.len(),
                            e.message()
                        ),
                        &e,
                    )
                }));
            }
            MemberKind::Note(block @ Value::ScriptBlock(_)) if name.eq_ignore_ascii_case("invoke") => {
                return Some(engine.call_script(&block, ScriptCall::default()).map(Value::from_output));
            }
            _ => {}
        }
    }
    if let Some(result) = dotnet::magic(target, name, args, engine) {
        return Some(result);
    }
    if let Value::Object(object) = target
        && object.base().is_none()
        && name.eq_ignore_ascii_case("tostring")
    {
        return Some(Ok(Value::from(convert::to_text_with(target, engine))));
    }
    dotnet::method(target.base(), name, args, engine)
        .map(|result| result.map_err(|error| method_error(name, args.len(), error)))
}

/// `$target[index]`: `None` when the index is out of range or the key is missing.
pub fn index(target: &Value, indices: &[Value], engine: &mut dyn Callbacks) -> Result<Option<Value>, Error> {
    if target.is_null() {
        return Err(Error::runtime(
            "NullArray",
            ErrorCategory::InvalidOperation,
            "Cannot index into a null array.",
        ));
    }
    if let Value::Array(array) = target.base()
        && array.rank() > 1
    {
        let all: Vec<Value> = indices.iter().flat_map(|i| i.clone().into_items()).collect();
        return match flat_index(array.dimensions(), &all) {
            Some(at) => Ok(array.get(at)),
            None => Err(out_of_range()),
        };
    }
    let one = match indices {
        [only] => only.clone(),
        several => Value::array(several.to_vec()),
    };
    if let Value::Dict(dict) = target.base() {
        return Ok(match one.enumerate() {
            Some(keys) => Some(Value::array(
                keys.iter().map(|k| dict_get(dict, k, engine).unwrap_or_default()).collect(),
            )),
            None => dict_get(dict, &one, engine),
        });
    }
    if let Value::Native(native) = target.base()
        && let Some(result) = native.invoke("get_Item", std::slice::from_ref(&one), engine)
    {
        return match result {
            Ok(Value::Empty) => Ok(None),
            other => other.map(Some),
        };
    }
    if let Some(list) = one.enumerate() {
        let mut out = Vec::new();
        for i in list {
            if let Some(v) = index(target, &[i], engine)? {
                out.push(v);
            }
        }
        return Ok(Some(Value::array(out)));
    }
    let at = |len: usize, engine: &mut dyn Callbacks| -> Result<Option<usize>, Error> {
        let n = convert::convert_to(&one, &TypeRef::named("System.Int32"), engine)?.as_integer().unwrap_or(0);
        let n = if n < 0 { n + len as i128 } else { n };
        Ok(usize::try_from(n).ok().filter(|n| *n < len))
    };
    match target.base() {
        Value::Array(array) => Ok(at(array.len(), engine)?.and_then(|i| array.get(i))),
        Value::List(list) => {
            let items = list.to_vec();
            match at(items.len(), engine)? {
                Some(i) => Ok(items.get(i).cloned()),
                None => Ok(None),
            }
        }
        Value::String(text) => {
            let units: Vec<u16> = text.encode_utf16().collect();
            Ok(at(units.len(), engine)?.and_then(|i| units.get(i).copied()).map(Value::Char))
        }
        other => {
            if let Some(items) = other.enumerate() {
                return Ok(at(items.len(), engine)?.and_then(|i| items.get(i).cloned()));
            }
            // `$scalar[0]` is the value itself.
            if convert::to_i64(&one) == Some(0) || convert::to_i64(&one) == Some(-1) {
                return Ok(Some(target.clone()));
            }
            let kind = other.type_ref().map(|t| t.display_name()).unwrap_or_default();
            Err(Error::runtime(
                "CannotIndex",
                ErrorCategory::InvalidOperation,
                format!("Unable to index into an object of type \"{kind}\"."),
            ))
        }
    }
}

fn dict_get(dict: &crate::value::PsDict, key: &Value, engine: &mut dyn Callbacks) -> Option<Value> {
    match dict.kind() {
        DictKind::Ordered => match key.base() {
            Value::Int32(n) if !dict.contains(key) => {
                let n = if *n < 0 { i64::from(*n) + dict.len() as i64 } else { i64::from(*n) };
                usize::try_from(n).ok().and_then(|i| dict.at(i)).map(|(_, v)| v)
            }
            _ => dict.get(key),
        },
        DictKind::Dictionary(k, _) | DictKind::Sorted(k, _) => {
            let key = convert::convert_to(key, k, engine).ok()?;
            dict.get(&key)
        }
        _ => dict.get(key),
    }
}

fn flat_index(dimensions: &[usize], indices: &[Value]) -> Option<usize> {
    if dimensions.len() != indices.len() {
        return None;
    }
    let mut at = 0;
    for (length, index) in dimensions.iter().zip(indices) {
        let n = usize::try_from(convert::to_i64(index)?).ok().filter(|n| n < length)?;
        at = at * length + n;
    }
    Some(at)
}

fn out_of_range() -> Error {
    Error::new(
        "System.IndexOutOfRangeException",
        "System.IndexOutOfRangeException",
        ErrorCategory::OperationStopped,
        "Index was outside the bounds of the array.",
    )
}

/// `$target[index] = value`.
pub fn set_index(
    target: &Value,
    indices: &[Value],
    value: Value,
    engine: &mut dyn Callbacks,
) -> Result<(), Error> {
    if target.is_null() {
        return Err(Error::runtime(
            "NullArray",
            ErrorCategory::InvalidOperation,
            "Cannot index into a null array.",
        ));
    }
    let one = indices.first().cloned().unwrap_or_default();
    match target.base() {
        Value::Dict(dict) => {
            if one.is_null() {
                return Err(Error::runtime(
                    "InvalidKey",
                    ErrorCategory::InvalidOperation,
                    "Index operation failed; the array index evaluated to null.",
                ));
            }
            if let (DictKind::Ordered, Value::Int32(n)) = (dict.kind(), one.base())
                && !dict.contains(&one)
                && let Ok(i) = usize::try_from(*n)
            {
                if dict.set_at(i, value) {
                    return Ok(());
                }
                return Err(out_of_range());
            }
            let key = match dict.kind() {
                DictKind::Dictionary(k, _) | DictKind::Sorted(k, _) => convert::convert_to(&one, k, engine)?,
                _ => one,
            };
            let value = dict_value(dict.kind(), value, engine)?;
            dict.insert(key, value);
            Ok(())
        }
        Value::Array(array) => {
            let value = match array.element().full_name() {
                "System.Object" => value,
                _ => convert::convert_to(&value, array.element(), engine)?,
            };
            let at = if array.rank() > 1 {
                let all: Vec<Value> = indices.iter().flat_map(|i| i.clone().into_items()).collect();
                flat_index(array.dimensions(), &all)
            } else {
                position(&one, array.len(), engine)?
            };
            match at {
                Some(i) if array.set(i, value) => Ok(()),
                _ => Err(out_of_range()),
            }
        }
        Value::List(list) => {
            let value = match list.element() {
                Some(kind) => convert::convert_to(&value, kind, engine)?,
                None => value,
            };
            let len = list.len();
            match position(&one, len, engine)?
                .and_then(|i| list.items_mut().get_mut(i).map(|slot| *slot = value))
            {
                Some(()) => Ok(()),
                None => Err(Error::new(
                    "System.ArgumentOutOfRangeException",
                    "System.ArgumentOutOfRangeException",
                    ErrorCategory::OperationStopped,
                    "Index was out of range. Must be non-negative and less than the size of the collection. \
                     (Parameter 'index')",
                )),
            }
        }
        Value::Native(native) => match native.invoke("set_Item", &[one, value], engine) {
            Some(result) => result.map(|_| ()),
            None => Err(cannot_index(target)),
        },
        _ => Err(cannot_index(target)),
    }
}

fn position(index: &Value, len: usize, engine: &mut dyn Callbacks) -> Result<Option<usize>, Error> {
    let n = convert::convert_to(index, &TypeRef::named("System.Int32"), engine)?.as_integer().unwrap_or(0);
    let n = if n < 0 { n + len as i128 } else { n };
    Ok(usize::try_from(n).ok().filter(|n| *n < len))
}

fn cannot_index(target: &Value) -> Error {
    let kind = target.type_ref().map(|t| t.display_name()).unwrap_or_default();
    Error::runtime(
        "CannotIndex",
        ErrorCategory::InvalidOperation,
        format!("Unable to index into an object of type \"{kind}\"."),
    )
}

/// The properties of a value in the order they are shown: attached ones and its own, with their kinds.
pub fn properties(value: &Value) -> Vec<(Arc<str>, MemberType)> {
    let mut list: Vec<(Arc<str>, MemberType)> = Vec::new();
    let base_first = !matches!(value, Value::Object(o) if o.base().is_none());
    let own = |list: &mut Vec<(Arc<str>, MemberType)>| {
        if let Value::Object(object) = value {
            for member in object.members() {
                let kind = match member.kind {
                    MemberKind::Note(_) => MemberType::NoteProperty,
                    MemberKind::Property(_) => MemberType::Property,
                    MemberKind::Alias(_) => MemberType::AliasProperty,
                    MemberKind::Script(..) => MemberType::ScriptProperty,
                    _ => continue,
                };
                if !list.iter().any(|(n, _)| n.eq_ignore_ascii_case(&member.name)) {
                    list.push((member.name, kind));
                }
            }
        }
    };
    if base_first {
        for name in dotnet::property_names(value.base()) {
            list.push((name, MemberType::Property));
        }
    }
    own(&mut list);
    list
}
