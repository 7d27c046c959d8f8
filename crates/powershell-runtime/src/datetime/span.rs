//! `TimeSpan` as text.

use crate::value::{Error, TimeSpan};

/// `TimeSpan.ToString(format)`: `c`, `g`, `G` or a custom pattern.
pub fn format_timespan(span: TimeSpan, format: &str) -> Result<String, Error> {
    let bad = || Error::dotnet("System.FormatException", "Input string was not in a correct format.");
    let ticks = span.ticks().unsigned_abs();
    let (days, hours) = (ticks / 864_000_000_000, ticks / 36_000_000_000 % 24);
    let (minutes, seconds) = (ticks / 600_000_000 % 60, ticks / 10_000_000 % 60);
    let fraction = format!("{:07}", ticks % 10_000_000);
    let sign = if span.ticks() < 0 { "-" } else { "" };
    match format {
        "" | "c" | "t" | "T" => return Ok(span.text()),
        "g" => {
            let mut text = String::from(sign);
            if days > 0 {
                text.push_str(&format!("{days}:"));
            }
            text.push_str(&format!("{hours}:{minutes:02}:{seconds:02}"));
            let part = fraction.trim_end_matches('0');
            if !part.is_empty() {
                text.push_str(&format!(".{part}"));
            }
            return Ok(text);
        }
        "G" => return Ok(format!("{sign}{days}:{hours:02}:{minutes:02}:{seconds:02}.{fraction}")),
        _ => {}
    }
    let chars: Vec<char> = format.chars().collect();
    let mut text = String::new();
    let mut i = 0;
    if chars.len() == 1 {
        return Err(bad());
    }
    while let Some(c) = chars.get(i).copied() {
        let run = chars.iter().skip(i).take_while(|x| **x == c).count();
        let mut used = run;
        let number = |n: u64| format!("{n:0>run$}");
        match c {
            'd' if run <= 8 => text.push_str(&number(days)),
            'h' if run <= 2 => text.push_str(&number(hours)),
            'm' if run <= 2 => text.push_str(&number(minutes)),
            's' if run <= 2 => text.push_str(&number(seconds)),
            'f' if run <= 7 => text.push_str(fraction.get(..run).unwrap_or("")),
            'F' if run <= 7 => {
                text.push_str(fraction.get(..run).unwrap_or("").trim_end_matches('0'));
            }
            '\\' => {
                used = 2;
                text.push(*chars.get(i + 1).ok_or_else(bad)?);
            }
            '\'' | '"' => {
                used = 1;
                while let Some(next) = chars.get(i + used).copied() {
                    used += 1;
                    if next == c {
                        break;
                    }
                    text.push(next);
                }
            }
            '%' => used = 1,
            _ => return Err(bad()),
        }
        i += used;
    }
    Ok(text)
}

/// `TimeSpan.Parse`: `[-][d.]hh:mm[:ss[.fffffff]]`, `d`, or `d:hh:mm:ss`.
pub fn parse_timespan(text: &str) -> Result<TimeSpan, Error> {
    let fail = || {
        Error::dotnet(
            "System.FormatException",
            format!("String '{text}' was not recognized as a valid TimeSpan."),
        )
    };
    let too_big = || {
        Error::dotnet(
            "System.OverflowException",
            format!(
                "The TimeSpan string '{text}' could not be parsed because at least one of the numeric components is \
                 out of range or contains too many digits."
            ),
        )
    };
    let body = text.trim();
    let (negative, body) = body.strip_prefix('-').map_or((false, body), |rest| (true, rest));
    let parts: Vec<&str> = body.split(':').collect();
    let number = |s: &str| -> Result<i64, Error> {
        if s.is_empty() || s.len() > 8 || !s.bytes().all(|b| b.is_ascii_digit()) {
            return Err(fail());
        }
        s.parse().map_err(|_| fail())
    };
    let (days, hours, minutes, seconds): (i64, i64, i64, &str) = match parts.as_slice() {
        [d] => (number(d)?, 0, 0, "0"),
        [h, m] => {
            let (d, h) = h.split_once('.').unwrap_or(("0", h));
            (number(d)?, number(h)?, number(m)?, "0")
        }
        [h, m, s] => {
            let (d, h) = h.split_once('.').unwrap_or(("0", h));
            (number(d)?, number(h)?, number(m)?, s)
        }
        [d, h, m, s] => (number(d)?, number(h)?, number(m)?, s),
        _ => return Err(fail()),
    };
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    if fraction.len() > 7 {
        return Err(fail());
    }
    let whole = number(whole)?;
    let fraction = if fraction.is_empty() { 0 } else { number(&format!("{fraction:0<7}"))? };
    if hours > 23 || minutes > 59 || whole > 59 {
        return Err(too_big());
    }
    let total = ((days * 24 + hours) * 60 + minutes) * 60 + whole;
    let ticks = total.checked_mul(10_000_000).and_then(|t| t.checked_add(fraction)).ok_or_else(too_big)?;
    Ok(TimeSpan::from_ticks(if negative { -ticks } else { ticks }))
}
