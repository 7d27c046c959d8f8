//! Members of `String`.

use super::{int_arg, no_overload, text_arg};
use crate::convert::to_text;
use crate::value::{Callbacks, Error, Value};

pub(super) fn property(text: &str, name: &str) -> Option<Value> {
    (name == "length").then(|| Value::Int32(text.encode_utf16().count() as i32))
}

fn units(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

fn from_units(units: &[u16]) -> Value {
    Value::from(String::from_utf16_lossy(units))
}

fn range_error(message: &str) -> Error {
    Error::dotnet("System.ArgumentOutOfRangeException", message)
}

/// Whether a `StringComparison` argument ignores case; `None` when there is none.
fn ignore_case(args: &[Value], at: usize) -> bool {
    args.get(at).is_some_and(|a| to_text(a).to_ascii_lowercase().ends_with("ignorecase"))
        || matches!(args.get(at).map(Value::base), Some(Value::Bool(true)))
}

fn trim_set(args: &[Value]) -> Option<Vec<char>> {
    let chars: Vec<char> = args
        .iter()
        .flat_map(|a| a.clone().into_items())
        .flat_map(|a| to_text(&a).chars().collect::<Vec<_>>())
        .collect();
    (!chars.is_empty()).then_some(chars)
}

fn find(text: &[u16], what: &[u16], from: usize, fold: bool) -> Option<usize> {
    let same = |a: u16, b: u16| {
        a == b
            || (fold
                && char::from_u32(a.into())
                    .zip(char::from_u32(b.into()))
                    .is_some_and(|(x, y)| x.to_lowercase().eq(y.to_lowercase())))
    };
    if from > text.len() {
        return None;
    }
    (from..=text.len().checked_sub(what.len())?)
        .find(|i| text.iter().skip(*i).zip(what).all(|(a, b)| same(*a, *b)))
}

pub(super) fn method(
    text: &str,
    name: &str,
    args: &[Value],
    engine: &mut dyn Callbacks,
) -> Option<Result<Value, Error>> {
    let result = || -> Result<Option<Value>, Error> {
        let count = args.len();
        Ok(Some(match name {
            "toupper" | "toupperinvariant" => Value::from(text.to_uppercase()),
            "tolower" | "tolowerinvariant" => Value::from(text.to_lowercase()),
            "trim" | "trimstart" | "trimend" => {
                let set = trim_set(args);
                let is = |c: char| set.as_ref().map_or(c.is_whitespace(), |s| s.contains(&c));
                Value::string(match name {
                    "trim" => text.trim_matches(is),
                    "trimstart" => text.trim_start_matches(is),
                    _ => text.trim_end_matches(is),
                })
            }
            "contains" | "startswith" | "endswith" => {
                if count == 0 {
                    return Err(no_overload(name, 0));
                }
                let what = text_arg(args, 0);
                let (a, b) = if ignore_case(args, 1) {
                    (text.to_lowercase(), what.to_lowercase())
                } else {
                    (text.to_owned(), what)
                };
                Value::Bool(match name {
                    "contains" => a.contains(&b),
                    "startswith" => a.starts_with(&b),
                    _ => a.ends_with(&b),
                })
            }
            "replace" => {
                if count < 2 {
                    return Err(no_overload("Replace", count));
                }
                let from = text_arg(args, 0);
                if from.is_empty() {
                    return Err(Error::dotnet(
                        "System.ArgumentException",
                        "The value cannot be an empty string. (Parameter 'oldValue')",
                    ));
                }
                let to = text_arg(args, 1);
                if ignore_case(args, 2) {
                    let regex = crate::regex::Regex::cached(&crate::regex::escape(&from), 1)?;
                    Value::from(regex.replace(text, &to.replace('$', "$$"), None))
                } else {
                    Value::from(text.replace(&from, &to))
                }
            }
            "substring" => {
                if count == 0 || count > 2 {
                    return Err(no_overload("Substring", count));
                }
                let all = units(text);
                let start = int_arg(args, 0, "startIndex", "Substring", engine)?;
                if start < 0 {
                    return Err(range_error(&format!(
                        "startIndex ('{start}') must be a non-negative value. (Parameter 'startIndex')\nActual value was {start}."
                    )));
                }
                let length = if count == 2 {
                    int_arg(args, 1, "length", "Substring", engine)?
                } else {
                    if start > all.len() as i64 {
                        return Err(range_error(
                            "startIndex cannot be larger than length of string. (Parameter 'startIndex')",
                        ));
                    }
                    all.len() as i64 - start
                };
                if start > all.len() as i64 {
                    return Err(range_error(
                        "startIndex cannot be larger than length of string. (Parameter 'startIndex')",
                    ));
                }
                if length < 0 {
                    return Err(range_error(&format!(
                        "length ('{length}') must be a non-negative value. (Parameter 'length')\nActual value was {length}."
                    )));
                }
                match all.get(start as usize..(start + length) as usize) {
                    Some(part) => from_units(part),
                    None => {
                        return Err(range_error(
                            "Index and length must refer to a location within the string. (Parameter 'length')",
                        ));
                    }
                }
            }
            "indexof" | "lastindexof" | "indexofany" => {
                let all = units(text);
                if name == "indexofany" {
                    let set = trim_set(args).unwrap_or_default();
                    let at = text.chars().position(|c| set.contains(&c));
                    return Ok(Some(Value::Int32(at.map_or(-1, |i| i as i32))));
                }
                let what = units(&text_arg(args, 0));
                let last = args.len() - 1;
                let fold = last > 0 && ignore_case(args, last);
                if name == "indexof" {
                    let from = args
                        .get(1)
                        .and_then(Value::as_integer)
                        .filter(|_| !matches!(args.get(1), Some(Value::Enum(..))))
                        .unwrap_or(0);
                    let at = find(&all, &what, usize::try_from(from).unwrap_or(0), fold);
                    Value::Int32(at.map_or(-1, |i| i as i32))
                } else {
                    let mut best = None;
                    let mut from = 0;
                    while let Some(at) = find(&all, &what, from, fold) {
                        best = Some(at);
                        from = at + 1;
                    }
                    Value::Int32(best.map_or(-1, |i| i as i32))
                }
            }
            "padleft" | "padright" => {
                let width = int_arg(args, 0, "totalWidth", "PadLeft", engine)?.max(0) as usize;
                let fill = args.get(1).map(to_text).and_then(|t| t.chars().next()).unwrap_or(' ');
                let pad: String =
                    std::iter::repeat_n(fill, width.saturating_sub(units(text).len())).collect();
                Value::from(if name == "padleft" { format!("{pad}{text}") } else { format!("{text}{pad}") })
            }
            "insert" => {
                let mut all = units(text);
                let at = int_arg(args, 0, "startIndex", "Insert", engine)?;
                if at < 0 || at as usize > all.len() {
                    return Err(range_error(
                        "Specified argument was out of the range of valid values. (Parameter 'startIndex')",
                    ));
                }
                all.splice(at as usize..at as usize, units(&text_arg(args, 1)));
                from_units(&all)
            }
            "remove" => {
                let mut all = units(text);
                let at = int_arg(args, 0, "startIndex", "Remove", engine)?.max(0) as usize;
                let n = if count > 1 {
                    int_arg(args, 1, "count", "Remove", engine)?.max(0) as usize
                } else {
                    all.len().saturating_sub(at)
                };
                if at + n > all.len() || at > all.len() {
                    return Err(range_error(
                        "Index and count must refer to a location within the string. (Parameter 'count')",
                    ));
                }
                all.drain(at..at + n);
                from_units(&all)
            }
            "split" => split(text, args, engine)?,
            "tochararray" => Value::typed_array(
                crate::value::TypeRef::named("System.Char"),
                units(text).into_iter().map(Value::Char).collect(),
            ),
            "getenumerator" | "normalize" | "clone" | "tostring" if name != "getenumerator" => {
                Value::string(text)
            }
            "getenumerator" => Value::array(units(text).into_iter().map(Value::Char).collect()),
            "equals" if count > 1 => {
                let other = text_arg(args, 0);
                Value::Bool(if ignore_case(args, 1) {
                    text.to_lowercase() == other.to_lowercase()
                } else {
                    text == other
                })
            }
            "chars" | "get_chars" => {
                let at = int_arg(args, 0, "index", "Chars", engine)?;
                match usize::try_from(at).ok().and_then(|i| units(text).get(i).copied()) {
                    Some(c) => Value::Char(c),
                    None => {
                        return Err(Error::dotnet(
                            "System.IndexOutOfRangeException",
                            "Index was outside the bounds of the array.",
                        ));
                    }
                }
            }
            "compareto" => {
                Value::Int32(crate::operators::compare_text(text, &text_arg(args, 0), false) as i32)
            }
            _ => return Ok(None),
        }))
    };
    let mut result = result;
    match result() {
        Ok(Some(value)) => Some(Ok(value)),
        Ok(None) => None,
        Err(error) => Some(Err(error)),
    }
}

fn split(text: &str, args: &[Value], engine: &mut dyn Callbacks) -> Result<Value, Error> {
    let mut separators: Vec<String> = Vec::new();
    let mut options = 0i64;
    let mut limit = usize::MAX;
    for (i, arg) in args.iter().enumerate() {
        match arg.base() {
            Value::Enum(_, n) => options |= n,
            Value::String(s)
                if i > 0
                    && super::enum_type("System.StringSplitOptions")
                        .is_some_and(|e| s.split(',').all(|p| e.number(p.trim()).is_some())) =>
            {
                if let Some(kind) = super::enum_type("System.StringSplitOptions")
                    && let Value::Enum(_, n) = crate::convert::enum_from(arg, &kind)?
                {
                    options |= n;
                }
            }
            Value::Array(items) => {
                // An array of texts keeps them whole; of characters, one separator each.
                separators.extend(items.to_vec().iter().map(to_text));
            }
            _ if i == 1 && args.len() <= 3 => {
                limit = int_arg(args, 1, "count", "Split", engine)?.max(0) as usize;
            }
            _ => separators.push(to_text(arg)),
        }
    }
    let separators: Vec<&str> = separators.iter().map(String::as_str).filter(|s| !s.is_empty()).collect();
    let (drop_empty, trim) = (options & 1 != 0, options & 2 != 0);
    let mut out: Vec<String> = Vec::new();
    let mut rest = text;
    let keep = |piece: &str, out: &mut Vec<String>| {
        let piece = if trim { piece.trim() } else { piece };
        if !(drop_empty && piece.is_empty()) {
            out.push(piece.to_owned());
        }
    };
    while out.len() + 1 < limit {
        let found = if separators.is_empty() {
            rest.char_indices().find(|(_, c)| c.is_whitespace()).map(|(i, c)| (i, c.len_utf8()))
        } else {
            separators
                .iter()
                .filter_map(|s| rest.find(s).map(|i| (i, s.len())))
                .min_by_key(|(i, len)| (*i, usize::MAX - len))
        };
        let Some((at, len)) = found else { break };
        keep(rest.get(..at).unwrap_or(""), &mut out);
        rest = rest.get(at + len..).unwrap_or("");
    }
    keep(rest, &mut out);
    Ok(Value::strings(out))
}
