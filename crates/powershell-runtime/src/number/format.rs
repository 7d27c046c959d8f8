//! Standard and custom .NET number formats, in the en-US culture.

use crate::value::{Decimal, Error, Value};

/// The decimal digits of a number: `0.d1d2d3… × 10^point`, without leading zeros.
#[derive(Clone, Debug)]
struct Digits {
    negative: bool,
    digits: Vec<u8>,
    point: i32,
}

impl Digits {
    /// From plain or exponent notation as Rust writes it.
    fn parse(text: &str) -> Self {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let negative = mantissa.starts_with('-');
        let mantissa = mantissa.trim_start_matches(['-', '+']);
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits: Vec<u8> =
            whole.bytes().chain(fraction.bytes()).map(|b| b.wrapping_sub(b'0')).collect();
        let mut point = whole.len() as i32 + exponent;
        let zeros = digits.iter().take_while(|d| **d == 0).count();
        digits.drain(..zeros);
        point -= zeros as i32;
        if digits.is_empty() {
            point = 0;
        }
        Self { negative, digits, point }
    }

    fn is_zero(&self) -> bool {
        self.digits.iter().all(|d| *d == 0)
    }

    /// Rounds half away from zero to a number of digits after the decimal point.
    fn round_places(&mut self, places: i32) {
        self.round_at(self.point + places);
    }

    /// Rounds half away from zero, keeping this many digits.
    fn round_at(&mut self, keep: i32) {
        if keep < 0 {
            self.digits.clear();
            self.point = 0;
            return;
        }
        let keep = keep as usize;
        if keep >= self.digits.len() {
            return;
        }
        let up = self.digits.get(keep).is_some_and(|d| *d >= 5);
        self.digits.truncate(keep);
        if up {
            let mut carry = true;
            for digit in self.digits.iter_mut().rev() {
                if *digit == 9 {
                    *digit = 0;
                } else {
                    *digit += 1;
                    carry = false;
                    break;
                }
            }
            if carry {
                self.digits.insert(0, 1);
                self.point += 1;
            }
        }
        if self.digits.iter().all(|d| *d == 0) {
            self.digits.clear();
            self.point = 0;
        }
    }

    fn digit(&self, index: i32) -> char {
        usize::try_from(index).ok().and_then(|i| self.digits.get(i)).map_or('0', |d| char::from(b'0' + *d))
    }

    /// Digits before the decimal point, at least one.
    fn whole(&self) -> String {
        if self.point <= 0 { "0".to_owned() } else { (0..self.point).map(|i| self.digit(i)).collect() }
    }

    /// This many digits after the decimal point.
    fn fraction(&self, places: i32) -> String {
        (0..places).map(|i| self.digit(self.point + i)).collect()
    }
}

fn group(whole: &str) -> String {
    let mut text = String::new();
    for (i, c) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(c);
    }
    text
}

fn special(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value == f64::INFINITY {
        Some("∞")
    } else if value == f64::NEG_INFINITY {
        Some("-∞")
    } else {
        None
    }
}

/// Shortest text that reads back as the same double (`Double.ToString()`).
pub fn double_text(value: f64) -> String {
    special(value).map_or_else(|| general(&Digits::parse(&format!("{value:e}")), 15, 'E'), str::to_owned)
}

/// Shortest text that reads back as the same single (`Single.ToString()`).
pub fn single_text(value: f32) -> String {
    special(f64::from(value))
        .map_or_else(|| general(&Digits::parse(&format!("{value:e}")), 7, 'E'), str::to_owned)
}

/// A number as PowerShell puts it in strings and output: 15 and 7 significant digits for floating point.
pub fn number_text(value: &Value) -> Option<String> {
    Some(match value {
        Value::Double(n) => match special(*n) {
            Some(text) => text.to_owned(),
            None => {
                let mut digits = Digits::parse(&format!("{n:.14e}"));
                trim(&mut digits);
                general(&digits, 15, 'E')
            }
        },
        Value::Single(n) => match special(f64::from(*n)) {
            Some(text) => text.to_owned(),
            None => {
                let mut digits = Digits::parse(&format!("{n:.6e}"));
                trim(&mut digits);
                general(&digits, 7, 'E')
            }
        },
        Value::Decimal(n) => n.to_string(),
        Value::BigInt(n) => n.to_string(),
        other if other.is_number() => other.as_integer()?.to_string(),
        _ => return None,
    })
}

fn trim(digits: &mut Digits) {
    while digits.digits.last() == Some(&0) {
        digits.digits.pop();
    }
}

/// General notation: plain digits while the exponent is in -4..precision, else an exponent of two digits.
fn general(digits: &Digits, precision: i32, letter: char) -> String {
    let mut digits = digits.clone();
    trim(&mut digits);
    let sign = if digits.negative { "-" } else { "" };
    if digits.digits.is_empty() {
        return format!("{sign}0");
    }
    let exponent = digits.point - 1;
    if exponent >= precision || exponent < -4 {
        let mut text = format!("{sign}{}", digits.digit(0));
        if digits.digits.len() > 1 {
            text.push('.');
            text.extend((1..digits.digits.len() as i32).map(|i| digits.digit(i)));
        }
        let mark = if exponent < 0 { '-' } else { '+' };
        text.push_str(&format!("{letter}{mark}{:02}", exponent.abs()));
        return text;
    }
    let places = (digits.digits.len() as i32 - digits.point).max(0);
    let fraction = digits.fraction(places);
    if fraction.is_empty() {
        format!("{sign}{}", digits.whole())
    } else {
        format!("{sign}{}.{fraction}", digits.whole())
    }
}

fn bad_format() -> Error {
    Error::dotnet("System.FormatException", "Format specifier was invalid.")
}

enum Source {
    Integer(i128, u32),
    Big(num_bigint::BigInt),
    Double(f64),
    Single(f32),
    Decimal(Decimal),
}

impl Source {
    fn of(value: &Value) -> Option<Self> {
        Some(match value.base() {
            Value::Double(n) => Self::Double(*n),
            Value::Single(n) => Self::Single(*n),
            Value::Decimal(n) => Self::Decimal(*n),
            Value::BigInt(n) => Self::Big((**n).clone()),
            other => Self::Integer(
                other.as_integer()?,
                match other {
                    Value::SByte(_) | Value::Byte(_) => 8,
                    Value::Int16(_) | Value::UInt16(_) | Value::Char(_) => 16,
                    Value::Int64(_) | Value::UInt64(_) => 64,
                    _ => 32,
                },
            ),
        })
    }

    fn exact(&self) -> Option<Digits> {
        Some(match self {
            Self::Integer(n, _) => Digits::parse(&n.to_string()),
            Self::Big(n) => Digits::parse(&n.to_string()),
            Self::Decimal(n) => Digits::parse(&n.to_string()),
            Self::Double(_) | Self::Single(_) => return None,
        })
    }

    /// Digits rounded to a number of places after the point.
    fn places(&self, places: i32) -> Digits {
        match self.exact() {
            Some(mut digits) => {
                digits.round_places(places);
                digits
            }
            None => Digits::parse(&format!("{:.*}", places.max(0) as usize, self.float())),
        }
    }

    /// Digits rounded to a number of significant digits.
    fn significant(&self, count: i32) -> Digits {
        match self.exact() {
            Some(mut digits) => {
                digits.round_at(count);
                digits
            }
            None => Digits::parse(&format!("{:.*e}", (count - 1).max(0) as usize, self.float())),
        }
    }

    fn shortest(&self) -> Digits {
        match self {
            Self::Double(n) => Digits::parse(&format!("{n:e}")),
            Self::Single(n) => Digits::parse(&format!("{n:e}")),
            _ => self.exact().unwrap_or_else(|| Digits::parse("0")),
        }
    }

    fn float(&self) -> f64 {
        match self {
            Self::Double(n) => *n,
            Self::Single(n) => f64::from(*n),
            _ => 0.0,
        }
    }
}

/// `IFormattable.ToString(format)` of a number; `None` when the value is not a number.
pub fn format_number(value: &Value, format: &str) -> Option<Result<String, Error>> {
    let source = Source::of(value)?;
    if matches!(source, Source::Double(_) | Source::Single(_))
        && let Some(text) = special(source.float())
    {
        return Some(Ok(text.to_owned()));
    }
    Some(formatted(&source, format))
}

fn formatted(source: &Source, format: &str) -> Result<String, Error> {
    let mut chars = format.chars();
    let Some(letter) = chars.next() else {
        return Ok(plain(source));
    };
    let rest = chars.as_str();
    if letter.is_ascii_alphabetic() && rest.chars().all(|c| c.is_ascii_digit()) && rest.len() <= 9 {
        let precision: Option<i32> = rest.parse().ok();
        return standard(source, letter, precision);
    }
    Ok(custom(source, format))
}

fn plain(source: &Source) -> String {
    match source {
        Source::Decimal(n) => n.to_string(),
        Source::Integer(n, _) => n.to_string(),
        Source::Big(n) => n.to_string(),
        Source::Double(n) => double_text(*n),
        Source::Single(n) => single_text(*n),
    }
}

fn standard(source: &Source, letter: char, precision: Option<i32>) -> Result<String, Error> {
    let integer = matches!(source, Source::Integer(..) | Source::Big(_));
    let sign = |d: &Digits| if d.negative && (!d.is_zero() || !integer_like(source)) { "-" } else { "" };
    Ok(match letter.to_ascii_uppercase() {
        'D' if integer => {
            let digits = source.shortest();
            let whole = digits.whole();
            format!("{}{whole:0>width$}", sign(&digits), width = precision.unwrap_or(0) as usize)
        }
        'X' | 'B' => match source {
            Source::Integer(n, bits) => {
                let mask = if *bits >= 64 { u128::from(u64::MAX) } else { (1u128 << bits) - 1 };
                let bits = (*n as u128) & mask;
                let text = match letter {
                    'X' => format!("{bits:X}"),
                    'x' => format!("{bits:x}"),
                    _ => format!("{bits:b}"),
                };
                format!("{text:0>width$}", width = precision.unwrap_or(0) as usize)
            }
            Source::Big(n) => {
                let bytes = n.to_signed_bytes_be();
                let text: String = bytes.iter().map(|b| format!("{b:02X}")).collect();
                let text = match text.strip_prefix('0') {
                    Some(rest) if rest.starts_with(|c: char| !('0'..='7').contains(&c)) => text.clone(),
                    Some(rest) if !rest.is_empty() => rest.to_owned(),
                    _ => text.clone(),
                };
                let text = if letter == 'x' { text.to_lowercase() } else { text };
                format!("{text:0>width$}", width = precision.unwrap_or(0) as usize)
            }
            _ => return Err(bad_format()),
        },
        'F' => {
            let places = precision.unwrap_or(3);
            let d = source.places(places);
            join(sign(&d), d.whole(), &d.fraction(places))
        }
        'N' => {
            let places = precision.unwrap_or(3);
            let d = source.places(places);
            join(sign(&d), group(&d.whole()), &d.fraction(places))
        }
        'C' => {
            let places = precision.unwrap_or(2);
            let d = source.places(places);
            join(&format!("{}$", sign(&d)), group(&d.whole()), &d.fraction(places))
        }
        'P' => {
            let places = precision.unwrap_or(3);
            let mut d = source.places(places + 2);
            d.point += 2;
            if d.digits.is_empty() {
                d.point = 0;
            }
            format!("{}%", join(sign(&d), group(&d.whole()), &d.fraction(places)))
        }
        'E' => {
            let places = precision.unwrap_or(6);
            let d = source.significant(places + 1);
            let exponent = if d.digits.is_empty() || d.is_zero() { 0 } else { d.point - 1 };
            let fraction: String = (1..=places).map(|i| d.digit(i)).collect();
            let mark = if exponent < 0 { '-' } else { '+' };
            format!(
                "{}{letter}{mark}{:03}",
                join(sign(&d), d.digit(0).to_string(), &fraction),
                exponent.abs()
            )
        }
        'G' | 'R' => {
            let mark = if letter.is_ascii_lowercase() { 'e' } else { 'E' };
            match precision.filter(|p| *p > 0 && letter.eq_ignore_ascii_case(&'G')) {
                None => match source {
                    Source::Double(_) => general(&source.shortest(), 15, mark),
                    Source::Single(_) => general(&source.shortest(), 7, mark),
                    _ => plain(source),
                },
                Some(p) => general(&source.significant(p), p, mark),
            }
        }
        _ => return Err(bad_format()),
    })
}

fn integer_like(source: &Source) -> bool {
    !matches!(source, Source::Double(_) | Source::Single(_))
}

fn join(sign: &str, whole: String, fraction: &str) -> String {
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

#[derive(Debug)]
enum Piece {
    Zero,
    Hash,
    Point,
    Comma,
    Percent,
    Permille,
    Exponent { letter: char, plus: bool, digits: usize },
    Literal(String),
}

fn pieces(section: &str) -> Vec<Piece> {
    let mut list = Vec::new();
    let chars: Vec<char> = section.chars().collect();
    let mut i = 0;
    while let Some(c) = chars.get(i).copied() {
        i += 1;
        match c {
            '0' => list.push(Piece::Zero),
            '#' => list.push(Piece::Hash),
            '.' => list.push(Piece::Point),
            ',' => list.push(Piece::Comma),
            '%' => list.push(Piece::Percent),
            '‰' => list.push(Piece::Permille),
            '\\' => {
                if let Some(next) = chars.get(i) {
                    list.push(Piece::Literal(next.to_string()));
                    i += 1;
                }
            }
            '\'' | '"' => {
                let mut text = String::new();
                while let Some(next) = chars.get(i).copied() {
                    i += 1;
                    if next == c {
                        break;
                    }
                    text.push(next);
                }
                list.push(Piece::Literal(text));
            }
            'e' | 'E' => {
                let plus = chars.get(i) == Some(&'+');
                let skip = usize::from(plus || chars.get(i) == Some(&'-'));
                let digits = chars.iter().skip(i + skip).take_while(|c| **c == '0').count();
                if digits == 0 {
                    list.push(Piece::Literal(c.to_string()));
                } else {
                    i += skip + digits;
                    list.push(Piece::Exponent { letter: c, plus, digits });
                }
            }
            other => list.push(Piece::Literal(other.to_string())),
        }
    }
    list
}

fn sections(format: &str) -> Vec<String> {
    let mut list = vec![String::new()];
    let (mut quote, mut escaped) = (None, false);
    for c in format.chars() {
        let open = quote.is_none() && !escaped;
        if open && c == ';' {
            list.push(String::new());
            continue;
        }
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if quote == Some(c) {
            quote = None;
        } else if quote.is_none() && (c == '\'' || c == '"') {
            quote = Some(c);
        }
        if let Some(last) = list.last_mut() {
            last.push(c);
        }
    }
    list
}

fn custom(source: &Source, format: &str) -> String {
    let sections = sections(format);
    let base = match source {
        Source::Double(_) => {
            let mut d = source.significant(15);
            trim(&mut d);
            d
        }
        Source::Single(_) => {
            let mut d = source.significant(7);
            trim(&mut d);
            d
        }
        _ => source.shortest(),
    };
    let choose = |digits: &Digits| -> usize {
        if digits.is_zero() && sections.len() > 2 && sections.get(2).is_some_and(|s| !s.is_empty()) {
            2
        } else if digits.negative
            && !digits.is_zero()
            && sections.len() > 1
            && sections.get(1).is_some_and(|s| !s.is_empty())
        {
            1
        } else {
            0
        }
    };
    let mut index = choose(&base);
    loop {
        let empty = String::new();
        let list = pieces(sections.get(index).unwrap_or(&empty));
        let mut digits = base.clone();
        let rounded = prepare(&mut digits, &list);
        // A value that rounds to zero in its section is written with the zero section.
        if rounded && index != 2 && choose(&digits) == 2 {
            index = 2;
            continue;
        }
        let negative = digits.negative && index == 0 && !digits.is_zero();
        return emit(&digits, &list, negative);
    }
}

struct Layout {
    before: i32,
    zeros_before: i32,
    after: i32,
    zeros_after: i32,
    grouping: bool,
    scale: i32,
    exponent: bool,
}

fn layout(list: &[Piece]) -> Layout {
    let mut l = Layout {
        before: 0,
        zeros_before: 0,
        after: 0,
        zeros_after: 0,
        grouping: false,
        scale: 0,
        exponent: false,
    };
    let (mut seen_point, mut first_zero, mut commas) = (false, None, 0);
    for piece in list {
        match piece {
            Piece::Zero | Piece::Hash => {
                if seen_point {
                    l.after += 1;
                    if matches!(piece, Piece::Zero) {
                        l.zeros_after = l.after;
                    }
                } else {
                    if commas > 0 {
                        l.grouping = true;
                        commas = 0;
                    }
                    if matches!(piece, Piece::Zero) && first_zero.is_none() {
                        first_zero = Some(l.before);
                    }
                    l.before += 1;
                }
            }
            Piece::Point => {
                if !seen_point {
                    l.scale -= 3 * commas;
                    commas = 0;
                }
                seen_point = true;
            }
            Piece::Comma if !seen_point && l.before > 0 => commas += 1,
            Piece::Percent => l.scale += 2,
            Piece::Permille => l.scale += 3,
            Piece::Exponent { .. } => l.exponent = true,
            _ => {}
        }
    }
    if !seen_point {
        l.scale -= 3 * commas;
    }
    l.zeros_before = first_zero.map_or(0, |z| l.before - z);
    l
}

/// Scales and rounds for a section; true when rounding may have changed the value.
fn prepare(digits: &mut Digits, list: &[Piece]) -> bool {
    let l = layout(list);
    if digits.digits.is_empty() {
        return false;
    }
    if l.exponent {
        digits.round_at(l.before + l.after);
    } else {
        digits.point += l.scale;
        digits.round_places(l.after);
    }
    true
}

fn emit(digits: &Digits, list: &[Piece], negative: bool) -> String {
    let l = layout(list);
    let mut digits = digits.clone();
    trim(&mut digits);
    let zero = digits.digits.is_empty();
    let mut exponent = 0;
    if l.exponent && !zero {
        exponent = digits.point - l.before;
        digits.point = l.before;
    }
    // Digits before the point, padded to the zeros of the picture.
    let mut whole: Vec<char> = (0..digits.point.max(0)).map(|i| digits.digit(i)).collect();
    while (whole.len() as i32) < l.zeros_before {
        whole.insert(0, '0');
    }
    let used = (digits.digits.len() as i32 - digits.point).max(0);
    let places = used.min(l.after).max(l.zeros_after);
    let fraction: Vec<char> = (0..places).map(|i| digits.digit(digits.point + i)).collect();
    let mut text = String::new();
    if negative {
        text.push('-');
    }
    let (mut slot, mut seen_point, mut next_fraction, mut written) = (0, false, 0, 0usize);
    let total = whole.len();
    let push_whole = |text: &mut String, count: usize, written: &mut usize| {
        for _ in 0..count {
            if let Some(c) = whole.get(*written) {
                if l.grouping && *written > 0 && (total - *written).is_multiple_of(3) {
                    text.push(',');
                }
                text.push(*c);
                *written += 1;
            }
        }
    };
    for piece in list {
        match piece {
            Piece::Zero | Piece::Hash if !seen_point => {
                slot += 1;
                // Digits beyond the picture go before its first slot.
                let remaining = (l.before - slot) as usize;
                let due = total.saturating_sub(remaining).saturating_sub(written);
                push_whole(&mut text, due, &mut written);
            }
            Piece::Zero | Piece::Hash => {
                if let Some(c) = fraction.get(next_fraction) {
                    text.push(*c);
                }
                next_fraction += 1;
            }
            Piece::Point => {
                if !seen_point {
                    if l.before == 0 {
                        push_whole(&mut text, total, &mut written);
                    }
                    if !fraction.is_empty() {
                        text.push('.');
                    }
                }
                seen_point = true;
            }
            Piece::Comma => {}
            Piece::Percent => text.push('%'),
            Piece::Permille => text.push('‰'),
            Piece::Exponent { letter, plus, digits } => {
                text.push(*letter);
                if exponent < 0 {
                    text.push('-');
                } else if *plus {
                    text.push('+');
                }
                text.push_str(&format!("{:0>width$}", exponent.abs(), width = *digits));
            }
            Piece::Literal(literal) => text.push_str(literal),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f(value: impl Into<Value>, format: &str) -> String {
        format_number(&value.into(), format).and_then(Result::ok).unwrap_or_default()
    }

    #[test]
    fn standard_formats() {
        assert_eq!(f(12345.678, "N0"), "12,346");
        assert_eq!(f(12345.678, "E2"), "1.23E+004");
        assert_eq!(f(12345.678, "G3"), "1.23E+04");
        assert_eq!(f(255, "D5"), "00255");
        assert_eq!(f(0.1234, "P"), "12.340%");
        assert_eq!(f(-7, "C"), "-$7.00");
        assert_eq!(f(2.675, "F2"), "2.67");
        assert_eq!(f(-0.5, "N0"), "-0");
        assert_eq!(f(1e25, "F0"), "10000000000000000905969664");
        assert_eq!(f(-1, "X"), "FFFFFFFF");
    }

    #[test]
    fn custom_formats() {
        assert_eq!(f(1_234_567, "#,##0"), "1,234,567");
        assert_eq!(f(7, "000"), "007");
        assert_eq!(f(0.5, "#.##"), ".5");
        assert_eq!(f(2.0, "0.##"), "2");
        assert_eq!(f(0, "+0;-0;zero"), "zero");
        assert_eq!(f(0.42, "0%"), "42%");
        assert_eq!(f(12345, "0.0e+00"), "1.2e+04");
        assert_eq!(f(1_234_567.891, "#,#.0"), "1,234,567.9");
        assert_eq!(f(-5, "0.00"), "-5.00");
    }

    #[test]
    fn plain_texts() {
        assert_eq!(double_text(1e10), "10000000000");
        assert_eq!(double_text(0.1 + 0.2), "0.30000000000000004");
        assert_eq!(number_text(&Value::Double(0.1 + 0.2)).as_deref(), Some("0.3"));
        assert_eq!(double_text(1e15), "1E+15");
        assert_eq!(double_text(1.5e-5), "1.5E-05");
    }
}
