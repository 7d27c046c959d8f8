//! Equality and order.

use std::cmp::Ordering;

use crate::convert::{self, to_bool, to_text};
use crate::value::{Callbacks, Error, ErrorCategory, TypeRef, Value};

/// The comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum CompareOp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// A comparison as the operator does it: with a collection on the left, the matching items.
pub fn compare_operator(
    op: CompareOp,
    ignore_case: bool,
    left: &Value,
    right: &Value,
    engine: &mut dyn Callbacks,
) -> Result<Value, Error> {
    if let Some(items) = left.enumerate().filter(|_| !matches!(left, Value::Empty)) {
        let mut kept = Vec::new();
        for item in items {
            if compare(op, ignore_case, &item, right, engine)? {
                kept.push(item);
            }
        }
        return Ok(Value::array(kept));
    }
    compare(op, ignore_case, left, right, engine).map(Value::Bool)
}

/// A comparison of two single values.
pub fn compare(
    op: CompareOp,
    ignore_case: bool,
    left: &Value,
    right: &Value,
    engine: &mut dyn Callbacks,
) -> Result<bool, Error> {
    Ok(match op {
        CompareOp::Eq => equals(left, right, ignore_case, engine),
        CompareOp::Ne => !equals(left, right, ignore_case, engine),
        CompareOp::Lt => order(left, right, ignore_case, engine)?.is_some_and(Ordering::is_lt),
        CompareOp::Le => order(left, right, ignore_case, engine)?.is_some_and(Ordering::is_le),
        CompareOp::Gt => order(left, right, ignore_case, engine)?.is_some_and(Ordering::is_gt),
        CompareOp::Ge => order(left, right, ignore_case, engine)?.is_some_and(Ordering::is_ge),
    })
}

fn numeric_order(left: &Value, right: &Value) -> Option<Option<Ordering>> {
    let (a, b) = (left.base(), right.base());
    if let (Some(x), Some(y)) = (a.as_integer(), b.as_integer()) {
        return Some(Some(x.cmp(&y)));
    }
    let numeric = |v: &Value| v.is_number() || v.as_integer().is_some();
    if !numeric(a) || !numeric(b) {
        return None;
    }
    if matches!(a, Value::BigInt(_)) || matches!(b, Value::BigInt(_)) {
        let big = |v: &Value| match convert::to_number(v, "System.Numerics.BigInteger") {
            Some(Ok(Value::BigInt(n))) => Some(n),
            _ => None,
        };
        return Some(Some(big(a)?.cmp(&big(b)?)));
    }
    if matches!(a, Value::Decimal(_)) || matches!(b, Value::Decimal(_)) {
        let decimal = |v: &Value| match convert::to_number(v, "System.Decimal") {
            Some(Ok(Value::Decimal(n))) => Some(n),
            _ => None,
        };
        if let (Some(x), Some(y)) = (decimal(a), decimal(b)) {
            return Some(Some(x.cmp(&y)));
        }
    }
    Some(convert::to_f64(a)?.partial_cmp(&convert::to_f64(b)?))
}

/// Whether two values are equal by the rules of `-eq`: the right one is converted to the left one's type, and a
/// failing conversion means they are not equal.
pub fn equals(left: &Value, right: &Value, ignore_case: bool, engine: &mut dyn Callbacks) -> bool {
    if left.is_null() || right.is_null() {
        return left.is_null() && right.is_null();
    }
    if let Value::Native(_) = left.base()
        && let Some(equal) = engine.object_equals(left.base(), right.base())
    {
        return equal;
    }
    match left.base() {
        Value::String(text) => {
            return compare_text_equal(text, &convert::to_text_with(right, engine), ignore_case);
        }
        Value::Bool(b) => return *b == to_bool(right),
        Value::Char(c) => {
            return match right.base() {
                Value::Char(d) => {
                    let text = |c: u16| String::from_utf16_lossy(&[c]);
                    c == d || (ignore_case && compare_text_equal(&text(*c), &text(*d), true))
                }
                Value::String(text) => compare_text_equal(&to_text(left), text, ignore_case),
                other => other.as_integer() == Some(i128::from(*c)),
            };
        }
        Value::Enum(kind, n) => {
            return match right.base() {
                Value::Enum(_, m) => n == m,
                Value::String(_) => {
                    matches!(convert::enum_from(right, kind), Ok(Value::Enum(_, m)) if m == *n)
                }
                other => convert::to_f64(other).is_some_and(|m| m == *n as f64),
            };
        }
        Value::Type(kind) => {
            return match right.base() {
                Value::Type(other) => kind == other,
                Value::String(text) => {
                    crate::dotnet::find_type(text, &[], engine).is_some_and(|t| t == *kind)
                }
                _ => false,
            };
        }
        _ => {}
    }
    if let Some(order) = numeric_order(left, right) {
        return order == Some(Ordering::Equal);
    }
    if left.same(right) {
        return true;
    }
    if left.is_number() {
        if right.enumerate().is_some() {
            return false;
        }
        let target = left.type_ref().unwrap_or_else(TypeRef::object);
        return match convert::convert_to(right, &target, engine) {
            Ok(converted) => numeric_order(left, &converted).flatten() == Some(Ordering::Equal),
            Err(_) => false,
        };
    }
    let Some(kind) = left.type_ref() else { return false };
    if right.type_ref().is_some_and(|t| t == kind) {
        return match (left.base(), right.base()) {
            (Value::Native(a), _) => a.compare(right.base()) == Some(Ordering::Equal),
            _ => false,
        };
    }
    match left.base() {
        Value::DateTime(_) | Value::TimeSpan(_) | Value::Guid(_) | Value::Version(_) | Value::Native(_) => {
            match convert::convert_to(right, &kind, engine) {
                Ok(converted) if converted.type_ref().is_some_and(|t| t == kind) => {
                    match (left.base(), &converted) {
                        (Value::Native(a), b) => left.same(b) || a.compare(b) == Some(Ordering::Equal),
                        (a, b) => a.same(b),
                    }
                }
                _ => false,
            }
        }
        _ => false,
    }
}

fn compare_text_equal(a: &str, b: &str, ignore_case: bool) -> bool {
    a == b || (ignore_case && compare_text(a, b, true) == Ordering::Equal)
}

fn not_comparable(left: &Value) -> Error {
    Error::new(
        "System.Management.Automation.PSInvalidOperationException",
        "NotIcomparable",
        ErrorCategory::InvalidOperation,
        format!("Cannot compare \"{}\" because it is not IComparable.", to_text(left)),
    )
}

/// The order of two values by the rules of `-lt` and its like; `None` when they have none (NaN).
pub fn order(
    left: &Value,
    right: &Value,
    ignore_case: bool,
    engine: &mut dyn Callbacks,
) -> Result<Option<Ordering>, Error> {
    if left.is_null() {
        return Ok(Some(if right.is_null() { Ordering::Equal } else { null_order(right) }));
    }
    if right.is_null() {
        return Ok(Some(null_order(left).reverse()));
    }
    if let Value::String(text) = left.base() {
        return Ok(Some(compare_text(text, &convert::to_text_with(right, engine), ignore_case)));
    }
    if let Some(order) = numeric_order(left, right) {
        return Ok(order);
    }
    let kind = left.type_ref().unwrap_or_else(TypeRef::object);
    let converted = match left.base() {
        Value::Bool(_) => Value::Bool(to_bool(right)),
        Value::Char(_) if right.as_str().is_some_and(|s| s.chars().count() == 1) => {
            let (a, b) = (to_text(left), to_text(right));
            return Ok(Some(compare_text(&a, &b, ignore_case)));
        }
        _ if left.is_number() => convert::convert_to(right, &kind, engine)?,
        Value::Enum(..) => {
            convert::convert_to(right, &kind, engine).map_err(|e| could_not(left, right, &e))?
        }
        Value::DateTime(_) | Value::TimeSpan(_) | Value::Guid(_) | Value::Version(_) | Value::Char(_) => {
            convert::convert_to(right, &kind, engine).map_err(|e| could_not(left, right, &e))?
        }
        Value::Native(native) => {
            if native.compare(right.base()).is_some() {
                right.clone()
            } else {
                convert::convert_to(right, &kind, engine).map_err(|_| not_comparable(left))?
            }
        }
        Value::Object(object) if object.base().is_none() => {
            return Err(Error::new(
                "System.Management.Automation.ExtendedTypeSystemException",
                "PSObjectCompareTo",
                ErrorCategory::NotSpecified,
                format!(
                    "Cannot compare \"{0}\" to \"{1}\" because the objects are not the same type or the object \"{0}\" \
                     does not implement \"IComparable\".",
                    to_text(left),
                    to_text(right)
                ),
            ));
        }
        _ => return Err(not_comparable(left)),
    };
    scalar_order(left.base(), converted.base()).map(Some).ok_or_else(|| not_comparable(left))
}

fn could_not(left: &Value, right: &Value, error: &Error) -> Error {
    Error::new(
        "System.Management.Automation.PSInvalidOperationException",
        "ComparisonFailure",
        ErrorCategory::InvalidOperation,
        format!(
            "Could not compare \"{}\" to \"{}\". Error: \"{}\"",
            to_text(left),
            to_text(right),
            error.message()
        ),
    )
}

fn scalar_order(left: &Value, right: &Value) -> Option<Ordering> {
    Some(match (left, right) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::DateTime(a), Value::DateTime(b)) => a.cmp(b),
        (Value::TimeSpan(a), Value::TimeSpan(b)) => a.cmp(b),
        (Value::Guid(a), Value::Guid(b)) => a.cmp(b),
        (Value::Version(a), Value::Version(b)) => a.cmp(b),
        (Value::String(a), Value::String(b)) => compare_text(a, b, true),
        (Value::Native(a), b) => return a.compare(b),
        (a, b) => return numeric_order(a, b).flatten(),
    })
}

/// Where `$null` stands next to a value: before everything but negative numbers.
fn null_order(other: &Value) -> Ordering {
    match convert::to_f64(other).filter(|_| other.is_number()) {
        Some(n) if n < 0.0 => Ordering::Greater,
        _ => Ordering::Less,
    }
}

/// `-contains`: whether any item equals the value.
pub fn contains(items: &Value, value: &Value, ignore_case: bool, engine: &mut dyn Callbacks) -> bool {
    match items.enumerate().filter(|_| !matches!(items, Value::Empty)) {
        Some(list) => list.iter().any(|item| equals(item, value, ignore_case, engine)),
        None => equals(items, value, ignore_case, engine),
    }
}

/// The order of two values as sorting uses it: total, never failing.
pub fn compare_for_sort(a: &Value, b: &Value) -> Ordering {
    if a.is_null() || b.is_null() {
        return b.is_null().cmp(&a.is_null());
    }
    if let Some(Some(order)) = numeric_order(a, b) {
        return order;
    }
    if let (Some(x), Some(y)) = (a.as_str(), b.as_str()) {
        return compare_text(x, y, true);
    }
    scalar_order(a.base(), b.base()).unwrap_or_else(|| compare_text(&to_text(a), &to_text(b), true))
}

/// Culture-aware comparison of text, as en-US collation orders it: blanks, punctuation, symbols, digits, letters;
/// accents count after letters, and case last (lower before upper).
pub fn compare_text(a: &str, b: &str, ignore_case: bool) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    let key = |s: &str| -> Vec<(u32, u32)> { s.chars().filter_map(weight).flatten().collect() };
    let (x, y) = (key(a), key(b));
    let primary = x.iter().map(|w| w.0).cmp(y.iter().map(|w| w.0));
    if primary != Ordering::Equal {
        return primary;
    }
    let secondary = x.iter().map(|w| w.1).cmp(y.iter().map(|w| w.1));
    if secondary != Ordering::Equal || ignore_case {
        return secondary;
    }
    let upper = |s: &str| -> Vec<bool> { s.chars().map(char::is_uppercase).collect() };
    upper(a).cmp(&upper(b))
}

/// Primary and secondary weight of a character; `None` for one that collation ignores.
fn weight(c: char) -> Option<Vec<(u32, u32)>> {
    const PUNCTUATION: &str = "_-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$";
    if (c.is_control() && !matches!(c, '\t' | '\n' | '\u{b}' | '\u{c}' | '\r'))
        || c == '\u{ad}'
        || c == '\u{200b}'
    {
        return None;
    }
    if c.is_whitespace() {
        let place = "\t\n\u{b}\u{c}\r".find(c).map_or(10, |p| p as u32);
        return Some(vec![(1 + place, 0)]);
    }
    if let Some(place) = PUNCTUATION.find(c) {
        return Some(vec![(20 + place as u32, 0)]);
    }
    if let Some(digit) = c.to_digit(10) {
        return Some(vec![(1000 + digit, 0)]);
    }
    let lower: Vec<char> = c.to_lowercase().collect();
    if !c.is_alphabetic() {
        return Some(vec![(100 + (c as u32).min(800), c as u32)]);
    }
    let mut list = Vec::new();
    for l in lower {
        match decompose(l) {
            Some((bases, accent)) => {
                for (i, base) in bases.chars().enumerate() {
                    list.push((2000 + base as u32 * 4, if i == 0 { accent } else { 0 }));
                }
            }
            None => list.push((2000 + (l as u32) * 4, 0)),
        }
    }
    Some(list)
}

/// Base letters and an accent mark for the Latin letters with accents.
fn decompose(c: char) -> Option<(&'static str, u32)> {
    const TABLE: &[(&str, &str)] = &[
        ("a", "áàăâåäãāąǎ"),
        ("c", "ćĉčċç"),
        ("d", "ďđ"),
        ("e", "éèĕêěëėęē"),
        ("g", "ğĝġģ"),
        ("h", "ĥħ"),
        ("i", "íìĭîïĩįīı"),
        ("j", "ĵ"),
        ("k", "ķ"),
        ("l", "ĺľļł"),
        ("n", "ńňñņ"),
        ("o", "óòŏôöőõøō"),
        ("r", "ŕřŗ"),
        ("s", "śŝšş"),
        ("t", "ťţŧ"),
        ("u", "úùŭûůüűũųū"),
        ("w", "ŵ"),
        ("y", "ýŷÿ"),
        ("z", "źžż"),
        ("ss", "ß"),
        ("ae", "æ"),
        ("oe", "œ"),
    ];
    if c.is_ascii() {
        return None;
    }
    TABLE
        .iter()
        .find_map(|(base, letters)| letters.chars().position(|l| l == c).map(|at| (*base, at as u32 + 1)))
}
