//! Reading numbers: `Int32.Parse`-like, `Double.Parse`-like, and PowerShell's own literals in strings.

use std::str::FromStr;
use std::sync::Arc;

use num_bigint::BigInt;

use crate::value::{Decimal, Value};

/// An integer as `NumberStyles.Integer` reads it: blanks around, a sign, digits.
pub fn parse_integer(text: &str) -> Option<BigInt> {
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    BigInt::from_str(text.strip_prefix('+').unwrap_or(text)).ok()
}

/// A double as `NumberStyles.Float | AllowThousands` reads it.
pub fn parse_double(text: &str) -> Option<f64> {
    let text = text.trim();
    let plain = text.strip_prefix(['+', '-']).unwrap_or(text);
    match plain.to_ascii_lowercase().as_str() {
        "nan" => return Some(f64::NAN),
        "infinity" | "∞" => {
            return Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY });
        }
        _ => {}
    }
    if !plain.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        || !plain.bytes().any(|b| b.is_ascii_digit())
    {
        return None;
    }
    let whole = plain.split(['.', 'e', 'E']).next().unwrap_or("");
    let clean: String = if whole.contains(',') { text.replace(',', "") } else { text.to_owned() };
    if !clean.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-')) {
        return None;
    }
    clean.parse().ok()
}

/// A number as a script may write it: sign, decimal, hex (`0x`), binary (`0b`), type suffix, multiplier
/// (`kb`…`pb`). This is what arithmetic makes of a string operand.
pub fn scan_number(text: &str) -> Option<Value> {
    let text = text.trim();
    let (negative, body) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let body = body.trim_start();
    let lower = body.to_ascii_lowercase();
    let (radix, digits) = if let Some(rest) = lower.strip_prefix("0x") {
        (16, rest)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (2, rest)
    } else {
        (10, lower.as_str())
    };
    let (digits, multiplier) = strip_multiplier(digits);
    let (digits, suffix) = strip_suffix(digits, radix);
    if radix != 10 {
        let n = BigInt::parse_bytes(digits.as_bytes(), radix)?;
        let bits = if radix == 16 { digits.len() as u64 * 4 } else { digits.len() as u64 };
        let wrapped = match (bits, suffix) {
            (_, "") if bits <= 32 && n.bits() == 32 && bits == 32 => n - (BigInt::from(1) << 32),
            (_, "" | "l") if bits == 64 && n.bits() == 64 => n - (BigInt::from(1) << 64),
            _ => n,
        };
        return typed_integer(if negative { -wrapped } else { wrapped } * multiplier, suffix);
    }
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        let n = BigInt::from_str(digits).ok()?;
        if suffix == "d" {
            let d = Decimal::from_str(digits).ok()?.checked_mul(Decimal::from(multiplier))?;
            return Some(Value::Decimal(if negative { -d } else { d }));
        }
        return typed_integer(if negative { -n } else { n } * multiplier, suffix);
    }
    if !digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'+' | b'-')) {
        return None;
    }
    if suffix == "d" {
        let d = Decimal::from_str(digits).or_else(|_| Decimal::from_scientific(digits)).ok()?;
        let d = d.checked_mul(Decimal::from(multiplier))?;
        return Some(Value::Decimal(if negative { -d } else { d }));
    }
    let n: f64 = digits.parse().ok()?;
    let n = n * multiplier as f64;
    let n = if negative { -n } else { n };
    match suffix {
        "" => Some(Value::Double(n)),
        "l" => {
            let rounded = n.round_ties_even();
            ((i64::MIN as f64..i64::MAX as f64).contains(&rounded)).then_some(Value::Int64(rounded as i64))
        }
        _ => None,
    }
}

fn strip_multiplier(digits: &str) -> (&str, i64) {
    for (unit, factor) in
        [("kb", 1i64 << 10), ("mb", 1 << 20), ("gb", 1 << 30), ("tb", 1 << 40), ("pb", 1 << 50)]
    {
        if let Some(rest) = digits.strip_suffix(unit) {
            return (rest, factor);
        }
    }
    (digits, 1)
}

fn strip_suffix(digits: &str, radix: u32) -> (&str, &str) {
    let suffixes: &[&str] = if radix == 16 {
        &["ul", "us", "uy", "u", "l", "s", "y", "n"]
    } else {
        &["ul", "us", "uy", "u", "l", "s", "y", "n", "d"]
    };
    for suffix in suffixes {
        if let Some(rest) = digits.strip_suffix(suffix)
            && !rest.is_empty()
        {
            return (rest, digits.get(rest.len()..).unwrap_or(""));
        }
    }
    (digits, "")
}

fn typed_integer(n: BigInt, suffix: &str) -> Option<Value> {
    Some(match suffix {
        "" => {
            if let Ok(n) = i32::try_from(&n) {
                Value::Int32(n)
            } else if let Ok(n) = i64::try_from(&n) {
                Value::Int64(n)
            } else if let Ok(d) = Decimal::from_str(&n.to_string()) {
                Value::Decimal(d)
            } else {
                Value::Double(n.to_string().parse().ok()?)
            }
        }
        "l" => Value::Int64(i64::try_from(&n).ok()?),
        "u" => match u32::try_from(&n) {
            Ok(n) => Value::UInt32(n),
            Err(_) => Value::UInt64(u64::try_from(&n).ok()?),
        },
        "ul" => Value::UInt64(u64::try_from(&n).ok()?),
        "s" => Value::Int16(i16::try_from(&n).ok()?),
        "us" => Value::UInt16(u16::try_from(&n).ok()?),
        "y" => Value::SByte(i8::try_from(&n).ok()?),
        "uy" => Value::Byte(u8::try_from(&n).ok()?),
        "n" => Value::BigInt(Arc::new(n)),
        _ => return None,
    })
}
