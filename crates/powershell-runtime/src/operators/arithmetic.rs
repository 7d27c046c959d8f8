//! `+ - * / %`, negation and ranges.

use std::sync::Arc;

use num_bigint::BigInt;

use crate::convert::{self, to_text_with};
use crate::number::scan_number;
use crate::value::{Callbacks, Decimal, DictKind, Error, ErrorCategory, PsDict, TimeSpan, TypeRef, Value};

#[derive(Clone, Copy, PartialEq)]
enum Op {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
}

impl Op {
    fn method(self) -> &'static str {
        match self {
            Self::Add => "op_Addition",
            Self::Sub => "op_Subtraction",
            Self::Mul => "op_Multiply",
            Self::Div => "op_Division",
            Self::Rem => "op_Modulus",
        }
    }
}

/// `left + right`.
pub fn add(left: &Value, right: &Value, engine: &mut dyn Callbacks) -> Result<Value, Error> {
    match left.base() {
        Value::Null | Value::Empty => {
            return Ok(if matches!(right, Value::Empty) { Value::Null } else { right.clone() });
        }
        Value::String(text) => {
            return Ok(Value::from(format!("{text}{}", to_text_with(right, engine))));
        }
        Value::Char(_) => {
            return Ok(Value::from(format!("{}{}", convert::to_text(left), to_text_with(right, engine))));
        }
        Value::Dict(dict) => {
            return match right.base() {
                Value::Dict(more) => add_dicts(dict, more),
                _ => Err(Error::runtime(
                    "AddHashTableToNonHashTable",
                    ErrorCategory::InvalidOperation,
                    "A hash table can only be added to another hash table.",
                )),
            };
        }
        _ => {}
    }
    if let Some(mut items) = left.enumerate() {
        match right.enumerate() {
            Some(more) => items.extend(more),
            None => items.push(right.clone()),
        }
        return Ok(Value::array(items));
    }
    arithmetic(Op::Add, left, right, engine)
}

/// `left - right`.
pub fn subtract(left: &Value, right: &Value, engine: &mut dyn Callbacks) -> Result<Value, Error> {
    arithmetic(Op::Sub, left, right, engine)
}

/// `left * right`.
pub fn multiply(left: &Value, right: &Value, engine: &mut dyn Callbacks) -> Result<Value, Error> {
    const LIMIT: usize = 1 << 28;
    let times = |right: &Value, engine: &mut dyn Callbacks| -> Result<usize, Error> {
        let count = convert::convert_to(right, &TypeRef::named("System.Int32"), engine)?;
        let count = count.as_integer().unwrap_or(0);
        usize::try_from(count).map_err(|_| {
            Error::new(
                "System.ArgumentOutOfRangeException",
                "System.ArgumentOutOfRangeException",
                ErrorCategory::OperationStopped,
                format!("Specified argument was out of the range of valid values. (Parameter '{count}')"),
            )
        })
    };
    let too_big = || {
        Error::runtime(
            "OutOfMemory",
            ErrorCategory::LimitsExceeded,
            "Array dimensions exceeded supported range.",
        )
    };
    match left.base() {
        Value::String(text) => {
            let n = times(right, engine)?;
            if text.len().saturating_mul(n) > LIMIT {
                return Err(too_big());
            }
            return Ok(Value::from(text.repeat(n)));
        }
        Value::Null | Value::Empty => return Ok(Value::Null),
        _ => {}
    }
    if let Some(items) = left.enumerate() {
        let n = times(right, engine)?;
        if items.len().saturating_mul(n) > LIMIT {
            return Err(too_big());
        }
        let mut all = Vec::with_capacity(items.len() * n);
        for _ in 0..n {
            all.extend(items.iter().cloned());
        }
        return Ok(Value::array(all));
    }
    arithmetic(Op::Mul, left, right, engine)
}

/// `left / right`.
pub fn divide(left: &Value, right: &Value, engine: &mut dyn Callbacks) -> Result<Value, Error> {
    arithmetic(Op::Div, left, right, engine)
}

/// `left % right`.
pub fn remainder(left: &Value, right: &Value, engine: &mut dyn Callbacks) -> Result<Value, Error> {
    arithmetic(Op::Rem, left, right, engine)
}

/// `-value`.
pub fn negate(value: &Value, engine: &mut dyn Callbacks) -> Result<Value, Error> {
    match value.base() {
        Value::Double(n) => Ok(Value::Double(-n)),
        Value::Single(n) => Ok(Value::Single(-n)),
        Value::TimeSpan(t) => Ok(Value::TimeSpan(TimeSpan::from_ticks(-t.ticks()))),
        Value::Decimal(n) => Ok(Value::Decimal(-n)),
        _ => arithmetic(Op::Sub, &Value::Int32(0), value, engine),
    }
}

/// `+value`: the value as a number.
pub fn plus(value: &Value, engine: &mut dyn Callbacks) -> Result<Value, Error> {
    if value.is_number() { Ok(value.clone()) } else { arithmetic(Op::Add, &Value::Int32(0), value, engine) }
}

/// `left..right`: integers, or characters when both are one-character text.
pub fn range(left: &Value, right: &Value) -> Result<Value, Error> {
    if let (Some(a), Some(b)) = (character(left), character(right)) {
        let items: Vec<Value> = if a <= b {
            (a..=b).map(Value::Char).collect()
        } else {
            (b..=a).rev().map(Value::Char).collect()
        };
        return Ok(Value::array(items));
    }
    let (a, b) = (bound(left)?, bound(right)?);
    if (i64::from(b) - i64::from(a)).abs() > (1 << 27) {
        return Err(Error::runtime(
            "RangeTooLarge",
            ErrorCategory::LimitsExceeded,
            "Array dimensions exceeded supported range.",
        ));
    }
    let items: Vec<Value> =
        if a <= b { (a..=b).map(Value::Int32).collect() } else { (b..=a).rev().map(Value::Int32).collect() };
    Ok(Value::array(items))
}

fn character(value: &Value) -> Option<u16> {
    match value.base() {
        Value::Char(c) => Some(*c),
        Value::String(text) => {
            let mut units = text.encode_utf16();
            let first = units.next()?;
            // One digit counts as a number.
            (units.next().is_none() && !char::from_u32(u32::from(first))?.is_ascii_digit()).then_some(first)
        }
        _ => None,
    }
}

fn bound(value: &Value) -> Result<i32, Error> {
    let converted = match value.base() {
        Value::Null | Value::Empty => return Ok(0),
        _ => convert::to_number(value, "System.Int32"),
    };
    match converted {
        Some(Ok(n)) => Ok(n.as_integer().and_then(|n| i32::try_from(n).ok()).unwrap_or(0)),
        Some(Err(error)) => {
            // The range is a plain .NET conversion: its own exception comes out.
            let inner = error.exception().and_then(|e| e.inner()).cloned();
            Err(match inner {
                Some(inner) => Error::new(
                    inner.type_name(),
                    inner.type_name(),
                    ErrorCategory::OperationStopped,
                    &**inner.message(),
                ),
                None => error,
            })
        }
        None => Err(convert::no_conversion(value, &TypeRef::named("System.Int32"))),
    }
}

fn add_dicts(left: &PsDict, right: &PsDict) -> Result<Value, Error> {
    let sum = PsDict::new(DictKind::Hashtable, true);
    for (key, value) in left.entries() {
        sum.insert(key, value);
    }
    for (key, value) in right.entries() {
        if sum.contains(&key) {
            return Err(Error::new(
                "System.ArgumentException",
                "System.ArgumentException",
                ErrorCategory::OperationStopped,
                format!(
                    "Item has already been added. Key in dictionary: '{}'  Key being added: '{}'",
                    convert::to_text(&key),
                    convert::to_text(&key)
                ),
            ));
        }
        sum.insert(key, value);
    }
    Ok(Value::Dict(Arc::new(sum)))
}

fn no_operator(value: &Value, op: Op) -> Error {
    let kind = match value {
        Value::Object(object) if object.base().is_none() => {
            "System.Management.Automation.PSObject".to_owned()
        }
        other => other.type_ref().map(|t| t.display_name()).unwrap_or_default(),
    };
    Error::runtime(
        "MethodNotFound",
        ErrorCategory::InvalidOperation,
        format!(
            "Method invocation failed because [{kind}] does not contain a method named '{}'.",
            op.method()
        ),
    )
}

/// An operand as a number, or `None` when it is not one and cannot become one.
fn operand(value: &Value, other: &Value) -> Result<Option<Value>, Error> {
    Ok(match value.base() {
        Value::Null | Value::Empty => Some(Value::Int32(0)),
        Value::Bool(b) => Some(Value::Int32(i32::from(*b))),
        Value::Char(c) => Some(Value::Int32(i32::from(*c))),
        Value::Enum(kind, n) => Some(kind.number_value(*n)),
        Value::String(text) => {
            if text.trim().is_empty() {
                return Ok(Some(Value::Int32(0)));
            }
            match scan_number(text) {
                Some(n) => Some(n),
                None => {
                    let target = match other.base() {
                        Value::Double(_) | Value::Single(_) => "System.Double",
                        Value::Decimal(_) => "System.Decimal",
                        Value::Int64(_) => "System.Int64",
                        _ => "System.Int32",
                    };
                    match convert::to_number(value, target) {
                        Some(Err(error)) => return Err(error),
                        Some(Ok(n)) => Some(n),
                        None => None,
                    }
                }
            }
        }
        other if other.is_number() => Some(other.clone()),
        Value::Native(native) => native
            .as_any()
            .downcast_ref::<crate::dotnet::SwitchParameter>()
            .map(|s| Value::Int32(i32::from(s.0))),
        _ => None,
    })
}

fn arithmetic(op: Op, left: &Value, right: &Value, engine: &mut dyn Callbacks) -> Result<Value, Error> {
    if let Some(result) = dates(op, left, right, engine)? {
        return Ok(result);
    }
    if let Value::Native(native) = left.base()
        && let Some(result) = native.invoke(op.method(), &[left.clone(), right.clone()], engine)
    {
        return result;
    }
    let Some(a) = operand(left, right)? else { return Err(no_operator(left, op)) };
    let b = match operand(right, left)? {
        Some(b) => b,
        None => {
            // The right operand must become a number like the left one.
            let target = a.type_ref().unwrap_or_else(TypeRef::object);
            if right.base().enumerate().is_some() || matches!(right.base(), Value::Dict(_) | Value::Object(_))
            {
                return Err(no_right(op, left, right, &target));
            }
            convert::convert_to(right, &target, engine)?
        }
    };
    numbers(op, &a, &b)
}

fn no_right(op: Op, left: &Value, right: &Value, target: &TypeRef) -> Error {
    if right.base().enumerate().is_some() {
        let kind = right.type_ref().map(|t| t.display_name()).unwrap_or_default();
        let _ = (left, target);
        return Error::runtime(
            "MethodNotFound",
            ErrorCategory::InvalidOperation,
            format!(
                "Method invocation failed because [{kind}] does not contain a method named '{}'.",
                op.method()
            ),
        );
    }
    convert::no_conversion(right, target)
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::UInt32(_) => 1,
        Value::Int64(_) => 2,
        Value::UInt64(_) => 3,
        Value::Single(_) | Value::Double(_) => 4,
        Value::Decimal(_) => 5,
        Value::BigInt(_) => 6,
        _ => 0,
    }
}

fn numbers(op: Op, a: &Value, b: &Value) -> Result<Value, Error> {
    let (x, y) = (a.as_integer(), b.as_integer());
    match (rank(a).max(rank(b)), x, y) {
        (0, Some(x), Some(y)) => integers(op, x, y, &[fit_i32]),
        (1, Some(x), Some(y)) if x >= 0 && y >= 0 => integers(op, x, y, &[fit_u32]),
        (1 | 2, Some(x), Some(y)) => integers(op, x, y, &[fit_i64]),
        (3, Some(x), Some(y)) if x >= 0 && y >= 0 => integers(op, x, y, &[fit_u64]),
        (5, ..) => decimals(op, a, b),
        (6, ..) => bigs(op, a, b),
        _ => {
            let x = convert::to_f64(a).unwrap_or(0.0);
            let y = convert::to_f64(b).unwrap_or(0.0);
            Ok(Value::Double(match op {
                Op::Add => x + y,
                Op::Sub => x - y,
                Op::Mul => x * y,
                Op::Div => x / y,
                Op::Rem => x % y,
            }))
        }
    }
}

fn fit_i32(n: i128) -> Option<Value> {
    i32::try_from(n).ok().map(Value::Int32)
}
fn fit_u32(n: i128) -> Option<Value> {
    u32::try_from(n).ok().map(Value::UInt32)
}
fn fit_i64(n: i128) -> Option<Value> {
    i64::try_from(n).ok().map(Value::Int64)
}
fn fit_u64(n: i128) -> Option<Value> {
    u64::try_from(n).ok().map(Value::UInt64)
}

fn divide_by_zero() -> Error {
    let inner = Arc::new(crate::value::Exception::new(
        "System.DivideByZeroException",
        "Attempted to divide by zero.",
    ));
    Error::from_exception(
        crate::value::Exception::new(
            "System.Management.Automation.RuntimeException",
            "Attempted to divide by zero.",
        )
        .with_inner(inner),
        "RuntimeException",
        ErrorCategory::NotSpecified,
        Value::Null,
    )
}

fn integers(op: Op, x: i128, y: i128, fits: &[fn(i128) -> Option<Value>]) -> Result<Value, Error> {
    let result = match op {
        Op::Add => x.checked_add(y),
        Op::Sub => x.checked_sub(y),
        Op::Mul => x.checked_mul(y),
        Op::Div | Op::Rem if y == 0 => return Err(divide_by_zero()),
        Op::Div => {
            if x % y != 0 {
                return Ok(Value::Double(x as f64 / y as f64));
            }
            x.checked_div(y)
        }
        Op::Rem => x.checked_rem(y),
    };
    if let Some(n) = result
        && let Some(value) = fits.iter().find_map(|fit| fit(n))
    {
        return Ok(value);
    }
    let (x, y) = (x as f64, y as f64);
    Ok(Value::Double(match op {
        Op::Add => x + y,
        Op::Sub => x - y,
        Op::Mul => x * y,
        Op::Div => x / y,
        Op::Rem => x % y,
    }))
}

fn decimals(op: Op, a: &Value, b: &Value) -> Result<Value, Error> {
    let as_decimal = |v: &Value| -> Result<Decimal, Error> {
        match convert::to_number(v, "System.Decimal") {
            Some(Ok(Value::Decimal(d))) => Ok(d),
            Some(Err(error)) => Err(error),
            _ => Ok(Decimal::ZERO),
        }
    };
    let (x, y) = (as_decimal(a)?, as_decimal(b)?);
    if matches!(op, Op::Div | Op::Rem) && y.is_zero() {
        return Err(divide_by_zero());
    }
    let result = match op {
        Op::Add => x.checked_add(y),
        Op::Sub => x.checked_sub(y),
        Op::Mul => x.checked_mul(y),
        Op::Div => x.checked_div(y).map(|d| d.normalize()),
        Op::Rem => x.checked_rem(y),
    };
    result.map(Value::Decimal).ok_or_else(|| {
        Error::runtime(
            "RuntimeException",
            ErrorCategory::NotSpecified,
            "Value was either too large or too small for a Decimal.",
        )
    })
}

fn bigs(op: Op, a: &Value, b: &Value) -> Result<Value, Error> {
    let as_big = |v: &Value| -> BigInt {
        match convert::to_number(v, "System.Numerics.BigInteger") {
            Some(Ok(Value::BigInt(n))) => (*n).clone(),
            _ => BigInt::from(0),
        }
    };
    let (x, y) = (as_big(a), as_big(b));
    if matches!(op, Op::Div | Op::Rem) && y == BigInt::from(0) {
        return Err(divide_by_zero());
    }
    Ok(Value::BigInt(Arc::new(match op {
        Op::Add => x + y,
        Op::Sub => x - y,
        Op::Mul => x * y,
        Op::Div => x / y,
        Op::Rem => x % y,
    })))
}

fn dates(op: Op, left: &Value, right: &Value, engine: &mut dyn Callbacks) -> Result<Option<Value>, Error> {
    let range = || {
        Error::dotnet(
            "System.ArgumentOutOfRangeException",
            "The added or subtracted value results in an un-representable DateTime. (Parameter 'value')",
        )
    };
    let span_of = |value: &Value, engine: &mut dyn Callbacks| -> Result<TimeSpan, Error> {
        match convert::convert_to(value, &TypeRef::named("System.TimeSpan"), engine) {
            Ok(Value::TimeSpan(span)) => Ok(span),
            Ok(_) => Ok(TimeSpan::default()),
            Err(error) => Err(Error::new(
                "System.Management.Automation.MethodException",
                "MethodArgumentConversionInvalidCastArgument",
                ErrorCategory::NotSpecified,
                format!(
                    "Cannot convert argument \"1\", with value: \"{}\", for \"{}\" to type \"System.TimeSpan\": \"{}\"",
                    convert::to_text(value),
                    op.method(),
                    error.message()
                ),
            )),
        }
    };
    Ok(match (left.base(), right.base()) {
        (Value::DateTime(a), Value::DateTime(b)) if op == Op::Sub => Some(Value::TimeSpan(a.since(*b))),
        (Value::DateTime(a), Value::TimeSpan(b)) if op == Op::Sub => {
            Some(Value::DateTime(a.checked_add(TimeSpan::from_ticks(-b.ticks())).ok_or_else(range)?))
        }
        (Value::DateTime(_), Value::String(_)) if op == Op::Sub => {
            return Err(Error::new(
                "System.Management.Automation.MethodException",
                "MethodCountCouldNotFindBest",
                ErrorCategory::NotSpecified,
                "Multiple ambiguous overloads found for \"op_Subtraction\" and the argument count: \"2\".",
            ));
        }
        (Value::DateTime(a), _) if op == Op::Add => {
            let span = span_of(right, engine)?;
            Some(Value::DateTime(a.checked_add(span).ok_or_else(range)?))
        }
        (Value::DateTime(_), _) => return Err(no_operator(left, op)),
        (Value::TimeSpan(a), Value::DateTime(b)) if op == Op::Add => {
            let _ = (a, b);
            return Err(span_of(right, engine).err().unwrap_or_else(range));
        }
        (Value::TimeSpan(a), Value::TimeSpan(b)) if op == Op::Div => {
            Some(Value::Double(a.ticks() as f64 / b.ticks() as f64))
        }
        (Value::TimeSpan(a), other) if matches!(op, Op::Mul | Op::Div) && other.is_number() => {
            let factor = convert::to_f64(other).unwrap_or(1.0);
            let ticks = if op == Op::Mul { a.ticks() as f64 * factor } else { a.ticks() as f64 / factor };
            Some(Value::TimeSpan(TimeSpan::from_ticks(ticks.round() as i64)))
        }
        (Value::TimeSpan(a), _) if matches!(op, Op::Add | Op::Sub) => {
            let b = span_of(right, engine)?;
            let ticks = if op == Op::Add { a.ticks() + b.ticks() } else { a.ticks() - b.ticks() };
            Some(Value::TimeSpan(TimeSpan::from_ticks(ticks)))
        }
        (Value::TimeSpan(_), _) => return Err(no_operator(left, op)),
        (other, Value::TimeSpan(b)) if op == Op::Mul && other.is_number() => {
            let factor = convert::to_f64(other).unwrap_or(1.0);
            Some(Value::TimeSpan(TimeSpan::from_ticks((b.ticks() as f64 * factor).round() as i64)))
        }
        _ => None,
    })
}
