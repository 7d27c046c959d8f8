//! `-band -bor -bxor -bnot -shl -shr`.

use crate::convert;
use crate::number::scan_number;
use crate::value::{Callbacks, Error, TypeRef, Value};

fn operand(value: &Value, engine: &mut dyn Callbacks) -> Result<Value, Error> {
    match value.base() {
        Value::Null | Value::Empty => Ok(Value::Int32(0)),
        Value::Bool(b) => Ok(Value::Int32(i32::from(*b))),
        Value::Enum(..) | Value::BigInt(_) => Ok(value.base().clone()),
        Value::Char(c) => Ok(Value::Int32(i32::from(*c))),
        Value::String(text) => match scan_number(text) {
            Some(n) => operand(&n, engine),
            None => convert::convert_to(value, &TypeRef::named("System.Int32"), engine),
        },
        Value::Double(_) | Value::Single(_) | Value::Decimal(_) => {
            let narrow = convert::to_number(value, "System.Int32");
            if let Some(Ok(n)) = narrow {
                return Ok(n);
            }
            convert::convert_to(value, &TypeRef::named("System.Int64"), engine)
        }
        other if other.as_integer().is_some() => Ok(other.clone()),
        _ => convert::convert_to(value, &TypeRef::named("System.Int32"), engine),
    }
}

fn binary(
    left: &Value,
    right: &Value,
    engine: &mut dyn Callbacks,
    apply: fn(i128, i128) -> i128,
) -> Result<Value, Error> {
    if let Value::Enum(kind, a) = left.base() {
        let right = match right.base() {
            Value::Enum(_, n) => *n,
            _ => match convert::enum_from(right, kind) {
                Ok(Value::Enum(_, n)) => n,
                Ok(_) => 0,
                Err(error) => match right.as_integer() {
                    Some(n) => n as i64,
                    None => return Err(error),
                },
            },
        };
        return Ok(Value::Enum(kind.clone(), apply(i128::from(*a), i128::from(right)) as i64));
    }
    let (a, b) = (operand(left, engine)?, operand(right, engine)?);
    if let (Value::BigInt(x), _) = (&a, &b)
        && let (Ok(x), Some(y)) = (i128::try_from(&**x), b.as_integer())
    {
        return Ok(Value::BigInt(std::sync::Arc::new(apply(x, y).into())));
    }
    let (x, y) = (a.as_integer().unwrap_or(0), b.as_integer().unwrap_or(0));
    let n = apply(x, y);
    let width = |v: &Value| match v {
        Value::UInt32(_) => 1,
        Value::Int64(_) => 2,
        Value::UInt64(_) => 3,
        _ => 0,
    };
    Ok(match width(&a).max(width(&b)) {
        0 => Value::Int32(n as i32),
        1 if x >= 0 && y >= 0 => Value::UInt32(n as u32),
        1 | 2 => Value::Int64(n as i64),
        _ => Value::UInt64(n as u64),
    })
}

/// `-band`.
pub fn bit_and(left: &Value, right: &Value, engine: &mut dyn Callbacks) -> Result<Value, Error> {
    binary(left, right, engine, |a, b| a & b)
}

/// `-bor`.
pub fn bit_or(left: &Value, right: &Value, engine: &mut dyn Callbacks) -> Result<Value, Error> {
    binary(left, right, engine, |a, b| a | b)
}

/// `-bxor`.
pub fn bit_xor(left: &Value, right: &Value, engine: &mut dyn Callbacks) -> Result<Value, Error> {
    binary(left, right, engine, |a, b| a ^ b)
}

/// `-bnot`.
pub fn bit_not(value: &Value, engine: &mut dyn Callbacks) -> Result<Value, Error> {
    Ok(match operand(value, engine)? {
        Value::UInt32(n) => Value::UInt32(!n),
        Value::Int64(n) => Value::Int64(!n),
        Value::UInt64(n) => Value::UInt64(!n),
        Value::Enum(kind, n) => Value::Enum(kind, !n),
        other => Value::Int32(!(other.as_integer().unwrap_or(0) as i32)),
    })
}

fn shift(left: &Value, right: &Value, engine: &mut dyn Callbacks, to_left: bool) -> Result<Value, Error> {
    let a = operand(left, engine)?;
    let by =
        convert::convert_to(right, &TypeRef::named("System.Int32"), engine)?.as_integer().unwrap_or(0) as u32;
    Ok(match a {
        Value::Int64(n) => Value::Int64(if to_left { n.wrapping_shl(by) } else { n.wrapping_shr(by) }),
        Value::UInt64(n) => Value::UInt64(if to_left { n.wrapping_shl(by) } else { n.wrapping_shr(by) }),
        Value::UInt32(n) => Value::UInt32(if to_left { n.wrapping_shl(by) } else { n.wrapping_shr(by) }),
        other => {
            let n = other.as_integer().unwrap_or(0) as i32;
            Value::Int32(if to_left { n.wrapping_shl(by) } else { n.wrapping_shr(by) })
        }
    })
}

/// `-shl`.
pub fn shift_left(left: &Value, right: &Value, engine: &mut dyn Callbacks) -> Result<Value, Error> {
    shift(left, right, engine, true)
}

/// `-shr`.
pub fn shift_right(left: &Value, right: &Value, engine: &mut dyn Callbacks) -> Result<Value, Error> {
    shift(left, right, engine, false)
}
