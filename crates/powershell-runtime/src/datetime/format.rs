//! `DateTime.ToString(format)`.

use super::{DAYS, MONTHS};
use crate::value::{DateTime, DateTimeKind, Error};

/// `DateTime.ToString()` in en-US.
pub fn datetime_text(date: DateTime) -> String {
    custom(date, "M/d/yyyy h:mm:ss\u{202f}tt", 0)
}

/// The invariant form PowerShell uses in strings.
pub fn datetime_invariant(date: DateTime) -> String {
    custom(date, "MM/dd/yyyy HH:mm:ss", 0)
}

/// Formats by a standard letter or a custom pattern; `offset` is the local offset from UTC in seconds.
pub fn format_datetime(date: DateTime, format: &str, offset: i32) -> Result<String, Error> {
    let mut chars = format.chars();
    let (Some(letter), None) = (chars.next(), chars.next()) else {
        return Ok(if format.is_empty() { datetime_text(date) } else { custom(date, format, offset) });
    };
    let pattern = match letter {
        'd' => "M/d/yyyy",
        'D' => "dddd, MMMM d, yyyy",
        't' => "h:mm\u{202f}tt",
        'T' => "h:mm:ss\u{202f}tt",
        'f' => "dddd, MMMM d, yyyy h:mm\u{202f}tt",
        'F' => "dddd, MMMM d, yyyy h:mm:ss\u{202f}tt",
        'g' => "M/d/yyyy h:mm\u{202f}tt",
        'G' => "M/d/yyyy h:mm:ss\u{202f}tt",
        'm' | 'M' => "MMMM d",
        'y' | 'Y' => "MMMM yyyy",
        's' => "yyyy-MM-ddTHH:mm:ss",
        'u' => "yyyy-MM-dd HH:mm:ssZ",
        'U' => {
            let utc = match date.kind() {
                DateTimeKind::Utc => date,
                _ => DateTime::from_ticks(date.ticks() - i64::from(offset) * 10_000_000, DateTimeKind::Utc)
                    .unwrap_or(date),
            };
            return Ok(custom(utc, "dddd, MMMM d, yyyy h:mm:ss\u{202f}tt", 0));
        }
        'o' | 'O' => "yyyy-MM-ddTHH:mm:ss.fffffffK",
        'r' | 'R' => "ddd, dd MMM yyyy HH:mm:ss 'GMT'",
        _ => {
            return Err(Error::dotnet("System.FormatException", "Input string was not in a correct format."));
        }
    };
    Ok(custom(date, pattern, offset))
}

fn offset_text(offset: i32, minutes: bool, pad: bool) -> String {
    let sign = if offset < 0 { '-' } else { '+' };
    let (h, m) = (offset.abs() / 3600, offset.abs() / 60 % 60);
    match (minutes, pad) {
        (true, _) => format!("{sign}{h:02}:{m:02}"),
        (false, true) => format!("{sign}{h:02}"),
        (false, false) => format!("{sign}{h}"),
    }
}

fn custom(date: DateTime, pattern: &str, offset: i32) -> String {
    let p = date.parts();
    let chars: Vec<char> = pattern.chars().collect();
    let mut text = String::new();
    let mut i = 0;
    let offset_of = || if date.kind() == DateTimeKind::Utc { 0 } else { offset };
    while let Some(c) = chars.get(i).copied() {
        let run = chars.iter().skip(i).take_while(|x| **x == c).count();
        let mut used = run;
        let number = |n: u32| if run == 1 { n.to_string() } else { format!("{n:02}") };
        match c {
            'd' => match run {
                1 | 2 => text.push_str(&number(p.day)),
                3 => text.push_str(day_name(date).get(..3).unwrap_or("")),
                _ => text.push_str(day_name(date)),
            },
            'M' => match run {
                1 | 2 => text.push_str(&number(p.month)),
                3 => text.push_str(month_name(p.month).get(..3).unwrap_or("")),
                _ => text.push_str(month_name(p.month)),
            },
            'y' => match run {
                1 => text.push_str(&(p.year % 100).to_string()),
                2 => text.push_str(&format!("{:02}", p.year % 100)),
                n => text.push_str(&format!("{:0>width$}", p.year, width = n)),
            },
            'h' => text.push_str(&number((p.hour + 11) % 12 + 1)),
            'H' => text.push_str(&number(p.hour)),
            'm' => text.push_str(&number(p.minute)),
            's' => text.push_str(&number(p.second)),
            't' => {
                let mark = if p.hour < 12 { "AM" } else { "PM" };
                text.push_str(if run == 1 { mark.get(..1).unwrap_or("") } else { mark });
            }
            'f' | 'F' => {
                let digits = format!("{:07}", p.fraction);
                let part = digits.get(..run.min(7)).unwrap_or("");
                if c == 'f' {
                    text.push_str(part);
                } else {
                    let part = part.trim_end_matches('0');
                    if part.is_empty() && text.ends_with('.') {
                        text.pop();
                    }
                    text.push_str(part);
                }
            }
            'g' => text.push_str("A.D."),
            'K' => {
                used = 1;
                match date.kind() {
                    DateTimeKind::Utc => text.push('Z'),
                    DateTimeKind::Local => text.push_str(&offset_text(offset, true, true)),
                    DateTimeKind::Unspecified => {}
                }
            }
            'z' => text.push_str(&offset_text(offset_of(), run > 2, run == 2)),
            '\'' | '"' => {
                used = 1;
                while let Some(next) = chars.get(i + used).copied() {
                    used += 1;
                    if next == c {
                        break;
                    }
                    if next == '\\'
                        && let Some(escaped) = chars.get(i + used)
                    {
                        text.push(*escaped);
                        used += 1;
                    } else {
                        text.push(next);
                    }
                }
            }
            '\\' => {
                used = 2;
                if let Some(next) = chars.get(i + 1) {
                    text.push(*next);
                }
            }
            '%' => used = 1,
            other => {
                used = 1;
                text.push(other);
            }
        }
        i += used;
    }
    text
}

fn day_name(date: DateTime) -> &'static str {
    DAYS.get(date.day_of_week() as usize).copied().unwrap_or("")
}

fn month_name(month: u32) -> &'static str {
    MONTHS.get(month.saturating_sub(1) as usize).copied().unwrap_or("")
}
