//! Numeric literals: decimal, hexadecimal, binary, real, type suffixes and multipliers.

use super::Parser;
use super::cursor::ends_word;
use crate::ast::Number;

/// Where a number may end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumberMode {
    /// Operators may follow at once.
    Expression,
    /// Only what ends a word may follow.
    Argument,
}

impl Parser<'_> {
    /// A number here, if the whole word is one. `pos` is moved past it.
    pub(crate) fn number(&mut self, mode: NumberMode) -> Option<Number> {
        let (number, len) = scan(self.rest())?;
        let next = self.rest()[len..].chars().next();
        let ok = match next {
            None => true,
            Some(c) if ends_word(c) => true,
            Some('?' | ':') if mode == NumberMode::Expression => self.in_ternary > 0 || next == Some('?'),
            Some(c) if mode == NumberMode::Expression => {
                matches!(c, '=' | '!' | '%' | '*' | '+' | '-' | '.' | '/' | ']' | '<' | '>' | '#')
                    || super::cursor::is_dash(c)
            }
            Some(']') => true,
            Some(_) => false,
        };
        if !ok {
            return None;
        }
        self.pos += len;
        Some(number)
    }
}

/// Reads a number at the start of a text; `None` when the text does not begin like one or the
/// value does not fit its suffix.
pub(crate) fn scan(text: &str) -> Option<(Number, usize)> {
    let bytes = text.as_bytes();
    let mut i = 0;
    let negative = bytes.first() == Some(&b'-');
    if negative || bytes.first() == Some(&b'+') {
        i += 1;
    }
    let lower = |i: usize| bytes.get(i).map(u8::to_ascii_lowercase);
    let digits_from = |start: usize, ok: fn(u8) -> bool| {
        bytes.get(start..).unwrap_or(&[]).iter().take_while(|b| ok(**b)).count()
    };
    let mut radix = 10;
    let digits: String;
    let mut real = false;
    if lower(i) == Some(b'0') && matches!(lower(i + 1), Some(b'x' | b'b')) {
        let hex = lower(i + 1) == Some(b'x');
        radix = if hex { 16 } else { 2 };
        let n =
            digits_from(i + 2, if hex { |b| b.is_ascii_hexdigit() } else { |b| matches!(b, b'0' | b'1') });
        if n == 0 {
            return None;
        }
        digits = text[i + 2..i + 2 + n].to_string();
        i += 2 + n;
    } else {
        let start = i;
        i += digits_from(i, |b| b.is_ascii_digit());
        let whole = i - start;
        if bytes.get(i) == Some(&b'.') && bytes.get(i + 1) != Some(&b'.') {
            let n = digits_from(i + 1, |b| b.is_ascii_digit());
            if n > 0 || whole > 0 {
                i += 1 + n;
                real = true;
            }
            if whole == 0 && n == 0 {
                return None;
            }
        } else if whole == 0 {
            return None;
        }
        if lower(i) == Some(b'e') {
            let mut j = i + 1;
            if matches!(bytes.get(j), Some(b'+' | b'-')) {
                j += 1;
            }
            let n = digits_from(j, |b| b.is_ascii_digit());
            if n > 0 {
                i = j + n;
                real = true;
            }
        }
        digits = text[start..i].to_string();
    }
    let mut suffix = String::new();
    for s in ["uy", "us", "ul", "u", "y", "s", "l", "d", "n"] {
        if text.get(i..i + s.len()).is_some_and(|t| t.eq_ignore_ascii_case(s)) {
            // Hexadecimal digits swallow `d`; what is left is a suffix.
            suffix = s.to_string();
            i += s.len();
            break;
        }
    }
    let mut multiplier: u64 = 1;
    if let Some(unit) = text.get(i..i + 2).map(str::to_ascii_lowercase) {
        multiplier = match unit.as_str() {
            "kb" => 1 << 10,
            "mb" => 1 << 20,
            "gb" => 1 << 30,
            "tb" => 1 << 40,
            "pb" => 1 << 50,
            _ => 1,
        };
        if multiplier != 1 {
            i += 2;
        }
    }
    let number = make(&digits, radix, real, negative, &suffix, multiplier)?;
    Some((number, i))
}

fn make(
    digits: &str,
    radix: u32,
    real: bool,
    negative: bool,
    suffix: &str,
    multiplier: u64,
) -> Option<Number> {
    let sign = if negative { "-" } else { "" };
    if real {
        if suffix == "d" {
            return Some(Number::Decimal(format!("{sign}{digits}"), multiplier));
        }
        let value: f64 = digits.parse().ok()?;
        #[allow(clippy::cast_precision_loss)]
        let value = value * multiplier as f64 * if negative { -1.0 } else { 1.0 };
        return match suffix {
            "" => Some(Number::Double(value)),
            _ => integer_from_real(value, suffix),
        };
    }
    if suffix == "d" && radix == 10 {
        return Some(Number::Decimal(format!("{sign}{digits}"), multiplier));
    }
    // Hexadecimal and binary literals of 8 or 16 digits (32 or 64) are two's complement.
    let magnitude = u128::from_str_radix(digits, radix).ok();
    let value: Option<i128> = magnitude.and_then(|m| {
        let bits = match (radix, digits.len()) {
            (16, 8) | (2, 32) if suffix.is_empty() => 32,
            (16, 16) | (2, 64) if matches!(suffix, "" | "l") => 64,
            (16, 2) | (2, 8) if suffix == "y" => 8,
            (16, 4) | (2, 16) if suffix == "s" => 16,
            _ => 0,
        };
        let signed = i128::try_from(m).ok()?;
        let signed = if bits > 0 && m >> (bits - 1) & 1 == 1 { signed - (1i128 << bits) } else { signed };
        Some(if negative { -signed } else { signed })
    });
    let product = value.and_then(|v| v.checked_mul(i128::from(multiplier)));
    match suffix {
        "n" => Some(Number::BigInt(
            match value {
                Some(v) => v.to_string(),
                None if radix == 10 => format!("{sign}{digits}"),
                None => return None,
            },
            multiplier,
        )),
        "d" => Some(Number::Decimal(value?.to_string(), multiplier)),
        "y" => i8::try_from(product?).ok().map(Number::SByte),
        "uy" => u8::try_from(product?).ok().map(Number::Byte),
        "s" => i16::try_from(product?).ok().map(Number::Int16),
        "us" => u16::try_from(product?).ok().map(Number::UInt16),
        "u" => {
            let p = product?;
            u32::try_from(p).map(Number::UInt32).or_else(|_| u64::try_from(p).map(Number::UInt64)).ok()
        }
        "l" => i64::try_from(product?).ok().map(Number::Int64),
        "ul" => u64::try_from(product?).ok().map(Number::UInt64),
        _ => {
            if let Some(p) = product {
                if let Ok(v) = i32::try_from(p) {
                    return Some(Number::Int32(v));
                }
                if let Ok(v) = i64::try_from(p) {
                    return Some(Number::Int64(v));
                }
            }
            if radix != 10 {
                // Wider than 64 bits: PowerShell has no literal for it without `n`.
                return None;
            }
            // 7.9e28 is the largest decimal.
            if let Some(p) = product
                && p.unsigned_abs() <= 79_228_162_514_264_337_593_543_950_335
            {
                return Some(Number::Decimal(p.to_string(), 1));
            }
            #[allow(clippy::cast_precision_loss)]
            digits
                .parse::<f64>()
                .ok()
                .map(|v| Number::Double(v * multiplier as f64 * if negative { -1.0 } else { 1.0 }))
        }
    }
}

/// `1.5l`, `1e3u`: a real with an integer suffix is rounded when it fits.
fn integer_from_real(value: f64, suffix: &str) -> Option<Number> {
    let rounded = value.round_ties_even();
    if !rounded.is_finite() || rounded.abs() > 1.8e19 {
        return None;
    }
    #[allow(clippy::cast_possible_truncation)]
    let v = rounded as i128;
    match suffix {
        "y" => i8::try_from(v).ok().map(Number::SByte),
        "uy" => u8::try_from(v).ok().map(Number::Byte),
        "s" => i16::try_from(v).ok().map(Number::Int16),
        "us" => u16::try_from(v).ok().map(Number::UInt16),
        "u" => u32::try_from(v).map(Number::UInt32).or_else(|_| u64::try_from(v).map(Number::UInt64)).ok(),
        "l" => i64::try_from(v).ok().map(Number::Int64),
        "ul" => u64::try_from(v).ok().map(Number::UInt64),
        "n" => Some(Number::BigInt(v.to_string(), 1)),
        _ => None,
    }
}
