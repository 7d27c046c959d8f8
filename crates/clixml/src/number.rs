//! Floating point numbers in .NET's round-trip form.

/// A double as .NET writes it: shortest digits that read back the same, plain up to 1E+17, `E` notation beyond.
pub fn format_double(value: f64) -> String {
    match special(value) {
        Some(text) => text.to_owned(),
        None => layout(&format!("{value:e}"), 17),
    }
}

/// A single as .NET writes it; `E` notation from 1E+09.
pub fn format_single(value: f32) -> String {
    match special(f64::from(value)) {
        Some(text) => text.to_owned(),
        None => layout(&format!("{value:e}"), 9),
    }
}

fn special(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value.is_infinite() {
        Some(if value > 0.0 { "INF" } else { "-INF" })
    } else {
        None
    }
}

/// Brings Rust's `d.ddde±x` into .NET's general form.
fn layout(scientific: &str, max_digits: i32) -> String {
    let (sign, rest) = match scientific.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", scientific),
    };
    let (mantissa, exponent) = rest.split_once('e').unwrap_or((rest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    // Position of the decimal point, counted from the first digit.
    let point = exponent + 1;
    let max_digits = max_digits.max(digits.len() as i32);
    let mut out = String::from(sign);
    if digits == "0" {
        out.push('0');
    } else if point > max_digits || point < -3 {
        let (first, fraction) = digits.split_at(1);
        out.push_str(first);
        if !fraction.is_empty() {
            out.push('.');
            out.push_str(fraction);
        }
        out.push_str(if exponent < 0 { "E-" } else { "E+" });
        out.push_str(&format!("{:02}", exponent.unsigned_abs()));
    } else if point <= 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', point.unsigned_abs() as usize));
        out.push_str(&digits);
    } else {
        let point = point as usize;
        match digits.split_at_checked(point) {
            Some((whole, fraction)) => {
                out.push_str(whole);
                if !fraction.is_empty() {
                    out.push('.');
                    out.push_str(fraction);
                }
            }
            None => {
                out.push_str(&digits);
                out.extend(std::iter::repeat_n('0', point - digits.len()));
            }
        }
    }
    out
}

/// Reads a number of XML Schema or .NET: also `INF`, `Infinity`, `NaN` in any case.
pub(crate) fn parse_double(text: &str) -> Option<f64> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "inf" | "+inf" | "infinity" | "+infinity" | "∞" => Some(f64::INFINITY),
        "-inf" | "-infinity" | "-∞" => Some(f64::NEG_INFINITY),
        "nan" => Some(f64::NAN),
        _ => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_look_as_in_dotnet() {
        for (value, text) in [
            (1.0, "1"),
            (0.1, "0.1"),
            (100.0, "100"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e16, "10000000000000000"),
            (1e17, "1E+17"),
            (1.2345678901234568e17, "1.2345678901234568E+17"),
            (1e-4, "0.0001"),
            (1e-5, "1E-05"),
            (f64::MAX, "1.7976931348623157E+308"),
            (5e-324, "5E-324"),
            (-0.0, "-0"),
            (-12.5, "-12.5"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-INF"),
        ] {
            assert_eq!(format_double(value), text);
        }
        for (value, text) in [
            (0.1f32, "0.1"),
            (1.0 / 3.0, "0.33333334"),
            (1e10, "1E+10"),
            (1e-7, "1E-07"),
            (f32::MAX, "3.4028235E+38"),
        ] {
            assert_eq!(format_single(value), text);
        }
    }
}
