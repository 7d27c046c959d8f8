//! `-match -replace -split -join -like -is`.

use std::sync::Arc;

use crate::convert::{self, to_text_with};
use crate::dotnet;
use crate::regex::{Match, Regex, escape, options};
use crate::value::{Callbacks, Error, ErrorCategory, PsDict, ScriptCall, TypeRef, Value};
use crate::wildcard::Wildcard;

/// What `-match` found.
#[derive(Debug)]
pub struct MatchResult {
    /// The operator's value: a bool, or the matching items of a collection.
    pub value: Value,
    /// The new `$Matches`, when a single value matched.
    pub matches: Option<Value>,
}

fn regex_of(pattern: &Value, flags: i64, engine: &mut dyn Callbacks) -> Result<Arc<Regex>, Error> {
    if let Value::Native(native) = pattern.base()
        && let Some(regex) = native.as_any().downcast_ref::<dotnet::RegexObject>()
    {
        return Ok(Arc::clone(&regex.0));
    }
    Regex::cached(&to_text_with(pattern, engine), flags)
}

/// `-match` and `-notmatch` with their case variants.
pub fn match_operator(
    left: &Value,
    pattern: &Value,
    ignore_case: bool,
    negate: bool,
    engine: &mut dyn Callbacks,
) -> Result<MatchResult, Error> {
    let regex = regex_of(pattern, if ignore_case { options::IGNORE_CASE } else { 0 }, engine)?;
    if let Some(items) = left.enumerate().filter(|_| !matches!(left, Value::Empty)) {
        let kept =
            items.into_iter().filter(|item| regex.is_match(&to_text_with(item, engine)) != negate).collect();
        return Ok(MatchResult { value: Value::array(kept), matches: None });
    }
    let text = to_text_with(left, engine);
    let found = regex.find_at(&text, 0);
    let matches = found.as_ref().map(|m| match_groups(&regex, &text, m));
    Ok(MatchResult { value: Value::Bool(found.is_some() != negate), matches })
}

/// `$Matches` for a match: groups by number or name, without those that took no part.
pub fn match_groups(regex: &Regex, text: &str, found: &Match) -> Value {
    let table = PsDict::hashtable();
    let names = regex.group_names();
    for (number, span) in found.groups.iter().enumerate().rev() {
        if let Some((start, end)) = span {
            let name = names.get(number).copied().unwrap_or("");
            let key = match name.parse::<i32>() {
                Ok(n) => Value::Int32(n),
                Err(_) => Value::string(name),
            };
            table.insert(key, Value::string(text.get(*start..*end).unwrap_or("")));
        }
    }
    Value::Dict(Arc::new(table))
}

/// `-replace`: `operand` is the pattern, or pattern and replacement (text or a script block).
pub fn replace(
    left: &Value,
    operand: &Value,
    ignore_case: bool,
    engine: &mut dyn Callbacks,
) -> Result<Value, Error> {
    let parts = operand.enumerate().unwrap_or_else(|| vec![operand.clone()]);
    if parts.len() > 2 {
        return Err(Error::runtime(
            "BadReplaceArgument",
            ErrorCategory::InvalidOperation,
            format!("The -replace operator allows only two elements to follow it, not {}.", parts.len()),
        ));
    }
    let pattern = parts.first().cloned().unwrap_or_default();
    let replacement = parts.get(1).cloned().unwrap_or_default();
    let regex =
        regex_of(&pattern, if ignore_case { options::IGNORE_CASE } else { 0 }, engine).map_err(|error| {
            let exception = crate::value::Exception::new(
                "System.Management.Automation.RuntimeException",
                format!("The regular expression pattern {} is not valid.", convert::to_text(&pattern)),
            );
            let exception = match error.exception() {
                Some(inner) => exception.with_inner(Arc::clone(inner)),
                None => exception,
            };
            Error::from_exception(
                exception,
                "InvalidRegularExpression",
                ErrorCategory::InvalidOperation,
                pattern.clone(),
            )
        })?;
    let one = |item: &Value, engine: &mut dyn Callbacks| -> Result<Value, Error> {
        let text = to_text_with(item, engine);
        if let Value::ScriptBlock(_) = replacement.base() {
            let list = regex.find_all(&text);
            let mut out = String::new();
            let mut last = 0;
            for found in &list {
                let (start, end) = found.span();
                out.push_str(text.get(last..start).unwrap_or(""));
                let object = dotnet::MatchObject::new(&regex, &text, found.clone());
                let call = ScriptCall { underscore: Some(Value::native(object)), ..ScriptCall::default() };
                let output = engine.call_script(&replacement, call)?;
                out.push_str(&to_text_with(&Value::from_output(output), engine));
                last = end;
            }
            out.push_str(text.get(last..).unwrap_or(""));
            return Ok(Value::from(out));
        }
        let replacement = to_text_with(&replacement, engine);
        Ok(Value::from(regex.replace(&text, &replacement, None)))
    };
    match left.enumerate().filter(|_| !matches!(left, Value::Empty)) {
        Some(items) => {
            Ok(Value::array(items.iter().map(|item| one(item, engine)).collect::<Result<Vec<_>, _>>()?))
        }
        None => one(left, engine),
    }
}

/// `-like` (or with `negate`, `-notlike`).
pub fn like(
    left: &Value,
    pattern: &Value,
    ignore_case: bool,
    negate: bool,
    engine: &mut dyn Callbacks,
) -> Result<Value, Error> {
    let wildcard = Wildcard::new(&to_text_with(pattern, engine), ignore_case)?;
    match left.enumerate().filter(|_| !matches!(left, Value::Empty)) {
        Some(items) => Ok(Value::array(
            items
                .into_iter()
                .filter(|item| wildcard.is_match(&to_text_with(item, engine)) != negate)
                .collect(),
        )),
        None => Ok(Value::Bool(wildcard.is_match(&to_text_with(left, engine)) != negate)),
    }
}

/// `left -join separator`.
pub fn join(left: &Value, separator: &Value, engine: &mut dyn Callbacks) -> Value {
    let separator = to_text_with(separator, engine);
    match left.enumerate() {
        Some(items) => Value::from(convert::join_text(&items, &separator, engine)),
        None => Value::from(to_text_with(left, engine)),
    }
}

/// `-join list`.
pub fn join_unary(list: &Value, engine: &mut dyn Callbacks) -> Value {
    join(list, &Value::string(""), engine)
}

/// `-split text`: at blanks, without empty items at the ends.
pub fn split_unary(value: &Value, engine: &mut dyn Callbacks) -> Value {
    let mut out = Vec::new();
    for item in value.clone().into_items() {
        let text = to_text_with(&item, engine);
        out.extend(text.split_whitespace().map(str::to_owned));
    }
    Value::strings(out)
}

/// `left -split operand`: a pattern or a script block, then limit and options.
pub fn split(
    left: &Value,
    operand: &Value,
    ignore_case: bool,
    engine: &mut dyn Callbacks,
) -> Result<Value, Error> {
    let parts = operand.enumerate().unwrap_or_else(|| vec![operand.clone()]);
    let pattern = parts.first().cloned().unwrap_or_default();
    let limit = match parts.get(1) {
        Some(limit) => convert::convert_to(limit, &TypeRef::named("System.Int32"), engine)?
            .as_integer()
            .and_then(|n| i32::try_from(n).ok())
            .unwrap_or(0),
        None => 0,
    };
    let kind = dotnet::enum_type("System.Management.Automation.SplitOptions");
    let given = match (parts.get(2), kind) {
        (Some(value), Some(kind)) => match convert::enum_from(value, &kind)? {
            Value::Enum(_, n) => Some(n),
            _ => None,
        },
        _ => None,
    };
    let flag = |bit: i64| given.is_some_and(|g| g & bit != 0);
    let texts: Vec<String> =
        left.clone().into_items().iter().map(|item| to_text_with(item, engine)).collect();
    let mut out = Vec::new();
    if matches!(pattern.base(), Value::ScriptBlock(_)) {
        for text in texts {
            split_by_script(&text, &pattern, limit, engine, &mut out)?;
        }
        return Ok(Value::strings(out));
    }
    let mut flags = 0;
    if given.is_none_or(|g| g & !(1 | 2) == 0) && ignore_case || flag(64) {
        flags |= options::IGNORE_CASE;
    }
    for (bit, option) in [
        (8, options::IGNORE_WHITESPACE),
        (16, options::MULTILINE),
        (32, options::SINGLELINE),
        (128, options::EXPLICIT_CAPTURE),
    ] {
        if flag(bit) {
            flags |= option;
        }
    }
    let source = to_text_with(&pattern, engine);
    let source = if flag(1) { escape(&source) } else { source };
    let regex = match pattern.base() {
        Value::Native(_) => regex_of(&pattern, flags, engine)?,
        _ => Regex::cached(&source, flags)?,
    };
    for text in texts {
        if limit >= 0 {
            out.extend(regex.split(&text, usize::try_from(limit).ok().filter(|n| *n > 0)));
        } else {
            out.extend(split_from_right(&regex, &text, limit.unsigned_abs() as usize));
        }
    }
    Ok(Value::strings(out))
}

fn split_from_right(regex: &Regex, text: &str, limit: usize) -> Vec<String> {
    let all = regex.find_all(text);
    let skip = all.len().saturating_sub(limit.saturating_sub(1));
    let mut out = Vec::new();
    let mut last = 0;
    for found in all.iter().skip(skip) {
        let (start, end) = found.span();
        out.push(text.get(last..start).unwrap_or("").to_owned());
        for (s, e) in found.groups.iter().skip(1).flatten() {
            out.push(text.get(*s..*e).unwrap_or("").to_owned());
        }
        last = end;
    }
    out.push(text.get(last..).unwrap_or("").to_owned());
    out
}

fn split_by_script(
    text: &str,
    block: &Value,
    limit: i32,
    engine: &mut dyn Callbacks,
    out: &mut Vec<String>,
) -> Result<(), Error> {
    let mut piece = String::new();
    let mut count = 1;
    for (at, c) in text.char_indices() {
        let more = limit <= 0 || count < limit;
        let mut cut = false;
        if more {
            let call = ScriptCall {
                underscore: Some(Value::from(c.to_string())),
                arguments: vec![Value::string(text), Value::Int32(at as i32)],
                ..ScriptCall::default()
            };
            cut = convert::to_bool(&Value::from_output(engine.call_script(block, call)?));
        }
        if cut {
            out.push(std::mem::take(&mut piece));
            count += 1;
        } else {
            piece.push(c);
        }
    }
    out.push(piece);
    Ok(())
}

/// `-is`: whether the value is of a type (or one derived from it).
pub fn is_type(value: &Value, kind: &Value, engine: &mut dyn Callbacks) -> Result<bool, Error> {
    let target = match kind.base() {
        Value::Type(t) => t.clone(),
        _ => match convert::convert_to(kind, &TypeRef::named("System.Type"), engine) {
            Ok(Value::Type(t)) => t,
            Ok(_) => return Ok(false),
            Err(error) => {
                return Err(Error::new(
                    "System.Management.Automation.RuntimeException",
                    "RuntimeException",
                    ErrorCategory::NotSpecified,
                    error.message(),
                ));
            }
        },
    };
    let name = target.full_name();
    if matches!(name, "System.Management.Automation.PSObject" | "System.Management.Automation.PSCustomObject")
    {
        return Ok(matches!(value, Value::Object(object)
            if object.base().is_none() || name.ends_with("PSObject")));
    }
    if value.is_null() {
        return Ok(false);
    }
    Ok(value.type_ref().is_some_and(|t| t == target || t.derives_from(&target))
        || (matches!(value.base(), Value::Native(_))
            && value.base().type_names().iter().any(|n| &**n == name)))
}

/// `-as`: the converted value, or `$null` when it cannot be converted.
pub fn as_type(value: &Value, kind: &Value, engine: &mut dyn Callbacks) -> Result<Value, Error> {
    let target = match kind.base() {
        Value::Type(t) => t.clone(),
        _ => match convert::convert_to(kind, &TypeRef::named("System.Type"), engine)? {
            Value::Type(t) => t,
            _ => return Ok(Value::Null),
        },
    };
    Ok(convert::convert_to(value, &target, engine).unwrap_or_default())
}
