//! Conversion to the numeric types.

use std::str::FromStr;
use std::sync::Arc;

use num_bigint::BigInt;
use rust_decimal::prelude::{FromPrimitive, ToPrimitive};

use super::to_text;
use crate::number::{parse_double, parse_integer, scan_number};
use crate::value::{Decimal, Error, Value};

/// Any number as a double; text and others are not numbers here.
pub fn to_f64(value: &Value) -> Option<f64> {
    Some(match value.base() {
        Value::Double(n) => *n,
        Value::Single(n) => f64::from(*n),
        Value::Decimal(n) => n.to_f64()?,
        Value::BigInt(n) => n.to_string().parse().ok()?,
        other => other.as_integer()? as f64,
    })
}

/// Any integral number as `i64`.
pub fn to_i64(value: &Value) -> Option<i64> {
    match value.base() {
        Value::Double(_) | Value::Single(_) | Value::Decimal(_) => {
            let n = to_f64(value)?.round_ties_even();
            ((i64::MIN as f64)..(i64::MAX as f64)).contains(&n).then_some(n as i64)
        }
        Value::BigInt(n) => i64::try_from(&**n).ok(),
        other => i64::try_from(other.as_integer()?).ok(),
    }
}

fn overflow_name(target: &str) -> &'static str {
    match target {
        "System.Byte" => "an unsigned byte",
        "System.SByte" => "a signed byte",
        "System.Char" => "a character",
        "System.Int16" => "an Int16",
        "System.UInt16" => "a UInt16",
        "System.Int32" => "an Int32",
        "System.UInt32" => "a UInt32",
        "System.Int64" => "an Int64",
        "System.UInt64" => "a UInt64",
        "System.Decimal" => "a Decimal",
        "System.Single" => "a Single",
        _ => "the type",
    }
}

fn failed(value: &Value, target: &str, id: &str, inner: &str, message: &str) -> Error {
    use crate::value::{ErrorCategory, Exception};
    let text = to_text(value);
    Error::from_exception(
        Exception::new(
            "System.Management.Automation.PSInvalidCastException",
            format!("Cannot convert value \"{text}\" to type \"{target}\". Error: \"{message}\""),
        )
        .with_inner(Arc::new(Exception::new(inner, message))),
        id,
        ErrorCategory::InvalidArgument,
        Value::Null,
    )
}

fn overflow(value: &Value, target: &str) -> Error {
    let message = format!("Value was either too large or too small for {}.", overflow_name(target));
    failed(value, target, "InvalidCastIConvertible", "System.OverflowException", &message)
}

fn not_a_number(value: &Value, target: &str) -> Error {
    let message = format!("The input string '{}' was not in a correct format.", to_text(value));
    let id = if matches!(target, "System.Double" | "System.Single" | "System.Decimal") {
        "InvalidCastFromStringToDoubleOrSingle"
    } else {
        "InvalidCastFromStringToInteger"
    };
    failed(value, target, id, "System.FormatException", &message)
}

fn integer(value: &Value, target: &str, n: &BigInt) -> Result<Value, Error> {
    let fail = || overflow(value, target);
    Ok(match target {
        "System.Byte" => Value::Byte(u8::try_from(n).map_err(|_| fail())?),
        "System.SByte" => Value::SByte(i8::try_from(n).map_err(|_| fail())?),
        "System.Int16" => Value::Int16(i16::try_from(n).map_err(|_| fail())?),
        "System.UInt16" => Value::UInt16(u16::try_from(n).map_err(|_| fail())?),
        "System.Int32" => Value::Int32(i32::try_from(n).map_err(|_| fail())?),
        "System.UInt32" => Value::UInt32(u32::try_from(n).map_err(|_| fail())?),
        "System.Int64" => Value::Int64(i64::try_from(n).map_err(|_| fail())?),
        "System.UInt64" => Value::UInt64(u64::try_from(n).map_err(|_| fail())?),
        _ => Value::BigInt(Arc::new(n.clone())),
    })
}

/// Whether a full type name is one of the numeric types.
pub(crate) fn is_numeric_type(name: &str) -> bool {
    matches!(
        name,
        "System.Byte"
            | "System.SByte"
            | "System.Int16"
            | "System.UInt16"
            | "System.Int32"
            | "System.UInt32"
            | "System.Int64"
            | "System.UInt64"
            | "System.Single"
            | "System.Double"
            | "System.Decimal"
            | "System.Numerics.BigInteger"
    )
}

/// Converts to a numeric type, by full name. `None`: the value is of a type that has no such conversion.
pub fn to_number(value: &Value, target: &str) -> Option<Result<Value, Error>> {
    let base = value.base();
    Some(match base {
        Value::Null | Value::Empty => from_f64(value, target, 0.0),
        Value::Bool(b) => from_f64(value, target, f64::from(u8::from(*b))),
        // A cast goes by the number's value; only Parse keeps zeros at the end.
        Value::String(text) => from_text(value, text, target).map(|n| match n {
            Value::Decimal(d) => Value::Decimal(d.normalize()),
            other => other,
        }),
        Value::Double(n) => from_f64(value, target, *n),
        Value::Single(n) => from_single(value, target, *n),
        Value::Decimal(n) => from_decimal(value, target, *n),
        Value::BigInt(n) => from_big(value, target, n),
        other => {
            let n = BigInt::from(other.as_integer()?);
            from_big(value, target, &n)
        }
    })
}

fn from_big(value: &Value, target: &str, n: &BigInt) -> Result<Value, Error> {
    match target {
        "System.Double" => Ok(Value::Double(n.to_string().parse().unwrap_or(f64::INFINITY))),
        "System.Single" => Ok(Value::Single(n.to_string().parse().unwrap_or(f32::INFINITY))),
        "System.Decimal" => {
            Decimal::from_str(&n.to_string()).map(Value::Decimal).map_err(|_| overflow(value, target))
        }
        _ => integer(value, target, n),
    }
}

fn from_single(value: &Value, target: &str, n: f32) -> Result<Value, Error> {
    match target {
        "System.Single" => Ok(Value::Single(n)),
        "System.Decimal" => Decimal::from_str(&format!("{n}"))
            .or_else(|_| Decimal::from_scientific(&format!("{n:e}")))
            .map(Value::Decimal)
            .map_err(|_| overflow(value, target)),
        _ => from_f64(value, target, f64::from(n)),
    }
}

fn from_f64(value: &Value, target: &str, n: f64) -> Result<Value, Error> {
    match target {
        "System.Double" => Ok(Value::Double(n)),
        "System.Single" => Ok(Value::Single(n as f32)),
        "System.Decimal" => decimal_from_f64(n).map(Value::Decimal).ok_or_else(|| overflow(value, target)),
        _ => {
            if !n.is_finite() {
                return Err(overflow(value, target));
            }
            let rounded =
                if target == "System.Numerics.BigInteger" { n.trunc() } else { n.round_ties_even() };
            let big = BigInt::from_str(&format!("{rounded:.0}")).map_err(|_| overflow(value, target))?;
            integer(value, target, &big)
        }
    }
}

/// A double as a decimal: 15 significant digits, as .NET converts.
pub(crate) fn decimal_from_f64(n: f64) -> Option<Decimal> {
    if !n.is_finite() {
        return None;
    }
    let text = format!("{n:.14e}");
    let exact = Decimal::from_scientific(&text).ok().or_else(|| Decimal::from_f64(n))?;
    Some(exact.normalize())
}

fn from_decimal(value: &Value, target: &str, n: Decimal) -> Result<Value, Error> {
    match target {
        "System.Decimal" => Ok(Value::Decimal(n)),
        "System.Double" => n.to_string().parse().map(Value::Double).map_err(|_| overflow(value, target)),
        "System.Single" => n.to_string().parse().map(Value::Single).map_err(|_| overflow(value, target)),
        _ => {
            let rounded = if target == "System.Numerics.BigInteger" { n.trunc() } else { n.round() };
            let big =
                BigInt::from_str(&rounded.normalize().to_string()).map_err(|_| overflow(value, target))?;
            integer(value, target, &big)
        }
    }
}

fn from_text(value: &Value, text: &str, target: &str) -> Result<Value, Error> {
    if text.trim().is_empty() {
        return if text.is_empty() || !text.trim().is_empty() {
            from_f64(value, target, 0.0)
        } else if matches!(target, "System.Double" | "System.Single" | "System.Decimal") {
            Err(not_a_number(value, target))
        } else {
            from_f64(value, target, 0.0)
        };
    }
    match target {
        "System.Double" | "System.Single" => {
            if let Some(n) = parse_double(text) {
                return Ok(if target == "System.Double" {
                    Value::Double(n)
                } else {
                    Value::Single(text.trim().parse().unwrap_or(n as f32))
                });
            }
        }
        "System.Decimal" => {
            let plain = text.trim().replace(',', "");
            if let Ok(n) = Decimal::from_str(&plain).or_else(|_| Decimal::from_scientific(&plain)) {
                return Ok(Value::Decimal(n));
            }
        }
        _ => {
            if let Some(n) = parse_integer(text) {
                return integer(value, target, &n);
            }
            if let Some(n) = parse_double(text) {
                return from_f64(value, target, n);
            }
        }
    }
    match scan_number(text) {
        Some(n) => to_number(&n, target).unwrap_or_else(|| Err(not_a_number(value, target))),
        None => Err(not_a_number(value, target)),
    }
}
