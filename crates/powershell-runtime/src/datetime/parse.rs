//! `DateTime.Parse` and `ParseExact`.

use super::{DAYS, MONTHS};
use crate::value::{DateParts, DateTime, DateTimeKind, Error};

fn not_valid(text: &str) -> Error {
    Error::dotnet(
        "System.FormatException",
        format!("String '{text}' was not recognized as a valid DateTime."),
    )
}

fn unknown_word(text: &str, at: usize) -> Error {
    Error::dotnet(
        "System.FormatException",
        format!(
            "The string '{text}' was not recognized as a valid DateTime. There is an unknown word starting at index \
             '{at}'."
        ),
    )
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token {
    Number { value: u32, len: usize },
    Month(u32),
    DayName,
    Pm(bool),
    Sep(char),
    Zulu,
    T,
    Space,
}

fn tokens(text: &str) -> Result<Vec<Token>, Error> {
    let chars: Vec<char> = text.chars().collect();
    let mut list = Vec::new();
    let mut i = 0;
    while let Some(c) = chars.get(i).copied() {
        if c.is_ascii_digit() {
            let len = chars.iter().skip(i).take_while(|c| c.is_ascii_digit()).count();
            let digits: String = chars.iter().skip(i).take(len.min(9)).collect();
            list.push(Token::Number { value: digits.parse().map_err(|_| not_valid(text))?, len });
            i += len;
        } else if c.is_alphabetic() {
            let len = chars.iter().skip(i).take_while(|c| c.is_alphabetic()).count();
            let word: String = chars.iter().skip(i).take(len).collect::<String>().to_lowercase();
            let matches = |name: &str| {
                let name = name.to_lowercase();
                word == name || (word.len() == 3 && name.starts_with(&word))
            };
            let token = if let Some(m) = MONTHS.iter().position(|m| matches(m)) {
                Token::Month(m as u32 + 1)
            } else if DAYS.iter().any(|d| matches(d)) {
                Token::DayName
            } else {
                match word.as_str() {
                    "am" | "a" => Token::Pm(false),
                    "pm" | "p" => Token::Pm(true),
                    "z" | "gmt" => Token::Zulu,
                    "t" => Token::T,
                    _ => return Err(unknown_word(text, i)),
                }
            };
            list.push(token);
            i += len;
        } else if c.is_whitespace() || c == ',' {
            if list.last() != Some(&Token::Space) {
                list.push(Token::Space);
            }
            i += 1;
        } else if matches!(c, '/' | '-' | '.' | ':' | '+') {
            list.push(Token::Sep(c));
            i += 1;
        } else {
            return Err(not_valid(text));
        }
    }
    Ok(list)
}

/// Reads a date in the forms `DateTime.Parse` accepts in the en-US and invariant cultures: ISO 8601, numeric
/// month/day/year, month names in either order, times with AM/PM, `Z` or an offset. A text with zone comes back
/// as local time; `now` fills in a missing date or year.
pub fn parse_datetime(text: &str, now: DateTime, offset: i32) -> Result<DateTime, Error> {
    if text.trim().is_empty() {
        return Err(not_valid(text));
    }
    let list = tokens(text)?;
    let mut state = State::default();
    let mut i = 0;
    while let Some(token) = list.get(i).copied() {
        let next = list.get(i + 1).copied();
        match token {
            Token::Number { value, len } => {
                if next == Some(Token::Sep(':')) || state.wants_time(&list, i) {
                    i = state.time(&list, i).ok_or_else(|| not_valid(text))?;
                    continue;
                }
                state.dates.push((value, len));
                if state.dates.len() > 3 {
                    return Err(not_valid(text));
                }
            }
            Token::Month(m) => {
                if state.month.replace((m, state.dates.len())).is_some() {
                    return Err(not_valid(text));
                }
            }
            Token::Pm(pm) => state.pm = Some(pm),
            Token::Zulu => state.zone = Some(0),
            Token::Sep('+') | Token::Sep('-') if state.hour.is_some() => {
                i = state.offset(&list, i).ok_or_else(|| not_valid(text))?;
                continue;
            }
            Token::Sep(':') | Token::Sep('+') => return Err(not_valid(text)),
            Token::DayName | Token::Sep(_) | Token::T | Token::Space => {}
        }
        i += 1;
    }
    state.finish(now, offset).ok_or_else(|| not_valid(text))
}

#[derive(Default)]
struct State {
    dates: Vec<(u32, usize)>,
    month: Option<(u32, usize)>,
    hour: Option<u32>,
    minute: u32,
    second: u32,
    fraction: u32,
    pm: Option<bool>,
    zone: Option<i32>,
}

impl State {
    /// A bare number before AM/PM is an hour.
    fn wants_time(&self, list: &[Token], i: usize) -> bool {
        let mut rest = list.iter().skip(i + 1).filter(|t| **t != Token::Space);
        self.hour.is_none() && matches!(rest.next(), Some(Token::Pm(_)))
    }

    fn time(&mut self, list: &[Token], start: usize) -> Option<usize> {
        if self.hour.is_some() {
            return None;
        }
        let number = |i: usize| match list.get(i) {
            Some(Token::Number { value, len }) if *len <= 2 => Some(*value),
            _ => None,
        };
        self.hour = Some(number(start)?);
        let mut i = start + 1;
        if list.get(i) == Some(&Token::Sep(':')) {
            self.minute = number(i + 1)?;
            i += 2;
            if list.get(i) == Some(&Token::Sep(':')) {
                self.second = number(i + 1)?;
                i += 2;
                if list.get(i) == Some(&Token::Sep('.')) {
                    let Some(Token::Number { value, len }) = list.get(i + 1) else { return None };
                    let digits = format!("{value:0>width$}", width = (*len).min(9));
                    let padded = format!("{digits:0<9}");
                    self.fraction = padded.get(..7)?.parse().ok()?;
                    i += 2;
                }
            }
        }
        Some(i)
    }

    fn offset(&mut self, list: &[Token], start: usize) -> Option<usize> {
        let sign = if list.get(start) == Some(&Token::Sep('-')) { -1 } else { 1 };
        let Some(Token::Number { value, len }) = list.get(start + 1).copied() else { return None };
        let (hours, mut minutes, mut i) =
            if len == 4 { (value / 100, value % 100, start + 2) } else { (value, 0, start + 2) };
        if list.get(i) == Some(&Token::Sep(':')) {
            let Some(Token::Number { value, .. }) = list.get(i + 1).copied() else { return None };
            minutes = value;
            i += 2;
        }
        if hours > 14 || minutes > 59 {
            return None;
        }
        self.zone = Some(sign * (hours * 3600 + minutes * 60) as i32);
        Some(i)
    }

    fn finish(self, now: DateTime, offset: i32) -> Option<DateTime> {
        let today = now.parts();
        let full_year = |(value, len): (u32, usize)| -> Option<i32> {
            let value = i32::try_from(value).ok()?;
            Some(if len <= 2 { if value < 50 { 2000 + value } else { 1900 + value } } else { value })
        };
        let is_year = |n: &(u32, usize)| n.1 >= 3;
        let (year, month, day) = match (self.month, self.dates.as_slice()) {
            (None, []) => {
                self.hour?;
                (today.year, today.month, today.day)
            }
            (None, [a, b]) if is_year(a) => (full_year(*a)?, b.0, 1),
            (None, [a, b]) if is_year(b) => (full_year(*b)?, a.0, 1),
            (None, [a, b]) => (today.year, a.0, b.0),
            (None, [a, b, c]) if is_year(a) => (full_year(*a)?, b.0, c.0),
            (None, [a, b, c]) => (full_year(*c)?, a.0, b.0),
            (Some((m, _)), []) => (today.year, m, 1),
            (Some((m, _)), [a]) if is_year(a) => (full_year(*a)?, m, 1),
            (Some((m, _)), [a]) => (today.year, m, a.0),
            (Some((m, _)), [a, b]) if is_year(a) => (full_year(*a)?, m, b.0),
            (Some((m, _)), [a, b]) => (full_year(*b)?, m, a.0),
            _ => return None,
        };
        let mut hour = self.hour.unwrap_or(0);
        match self.pm {
            Some(_) if hour == 0 || hour > 12 => return None,
            Some(true) if hour < 12 => hour += 12,
            Some(false) if hour == 12 => hour = 0,
            _ => {}
        }
        let parts = DateParts {
            year,
            month,
            day,
            hour,
            minute: self.minute,
            second: self.second,
            fraction: self.fraction,
        };
        let date = DateTime::from_parts(parts, DateTimeKind::Unspecified)?;
        match self.zone {
            None => Some(date),
            Some(zone) => DateTime::from_ticks(
                date.ticks() + i64::from(offset - zone) * 10_000_000,
                DateTimeKind::Local,
            ),
        }
    }
}

/// `DateTime.ParseExact` with one custom or standard format.
pub fn parse_exact(text: &str, format: &str, now: DateTime, offset: i32) -> Result<DateTime, Error> {
    let pattern = match format {
        "d" => "M/d/yyyy",
        "D" => "dddd, MMMM d, yyyy",
        "s" => "yyyy-MM-ddTHH:mm:ss",
        "u" => "yyyy-MM-dd HH:mm:ssZ",
        "o" | "O" => "yyyy-MM-ddTHH:mm:ss.fffffffK",
        "r" | "R" => "ddd, dd MMM yyyy HH:mm:ss 'GMT'",
        "t" => "h:mm tt",
        "T" => "h:mm:ss tt",
        "g" => "M/d/yyyy h:mm tt",
        "G" => "M/d/yyyy h:mm:ss tt",
        other => other,
    };
    exact(text, pattern, now, offset)
}

fn exact(text: &str, pattern: &str, now: DateTime, offset: i32) -> Result<DateTime, Error> {
    let fail = || not_valid(text);
    let input: Vec<char> = text.chars().collect();
    let chars: Vec<char> = pattern.chars().collect();
    let (mut at, mut i) = (0usize, 0usize);
    let (mut year, mut month, mut day) = (None, None, None);
    let (mut hour, mut minute, mut second, mut fraction) = (0u32, 0u32, 0u32, 0u32);
    let (mut twelve, mut pm, mut zone) = (false, None, None);
    let digits = |at: &mut usize, min: usize, max: usize| -> Option<u32> {
        let run = input.iter().skip(*at).take(max).take_while(|c| c.is_ascii_digit()).count();
        if run < min {
            return None;
        }
        let value: String = input.iter().skip(*at).take(run).collect();
        *at += run;
        value.parse().ok()
    };
    let word = |at: &mut usize, names: &[&str], short: bool| -> Option<u32> {
        let rest: String = input.iter().skip(*at).collect::<String>().to_lowercase();
        for (n, name) in names.iter().enumerate() {
            let name = if short { name.get(..3)? } else { name };
            if rest.starts_with(&name.to_lowercase()) {
                *at += name.len();
                return Some(n as u32);
            }
        }
        None
    };
    while let Some(c) = chars.get(i).copied() {
        let run = chars.iter().skip(i).take_while(|x| **x == c).count();
        let mut used = run;
        let two = |at: &mut usize| digits(at, run.min(2), 2);
        match c {
            'y' => {
                let value = if run <= 2 { digits(&mut at, run.min(2), 2) } else { digits(&mut at, run, run) };
                let value = value.ok_or_else(fail)? as i32;
                year =
                    Some(if run <= 2 { if value < 50 { 2000 + value } else { 1900 + value } } else { value });
            }
            'M' if run <= 2 => month = Some(two(&mut at).ok_or_else(fail)?),
            'M' => month = Some(word(&mut at, &MONTHS, run == 3).ok_or_else(fail)? + 1),
            'd' if run <= 2 => day = Some(two(&mut at).ok_or_else(fail)?),
            'd' => {
                word(&mut at, &DAYS, run == 3).ok_or_else(fail)?;
            }
            'H' => hour = two(&mut at).ok_or_else(fail)?,
            'h' => {
                hour = two(&mut at).ok_or_else(fail)?;
                twelve = true;
            }
            'm' => minute = two(&mut at).ok_or_else(fail)?,
            's' => second = two(&mut at).ok_or_else(fail)?,
            'f' | 'F' => {
                let before = at;
                let value = digits(&mut at, if c == 'f' { run } else { 0 }, run);
                let value = if c == 'F' && at == before { Some(0) } else { value };
                fraction = value.ok_or_else(fail)? * 10u32.pow(7u32.saturating_sub((at - before) as u32));
                if at == before {
                    fraction = 0;
                }
            }
            't' => {
                let mark: String = input.iter().skip(at).take(run.min(2)).collect::<String>().to_lowercase();
                pm = Some(match mark.as_str() {
                    "am" | "a" => false,
                    "pm" | "p" => true,
                    _ => return Err(fail()),
                });
                at += run.min(2);
            }
            'K' | 'z' => {
                match input.get(at) {
                    Some('Z') if c == 'K' => {
                        at += 1;
                        zone = Some(0);
                    }
                    Some(sign @ ('+' | '-')) => {
                        let sign = if *sign == '-' { -1 } else { 1 };
                        at += 1;
                        let hours = digits(&mut at, 1, 2).ok_or_else(fail)?;
                        let mut minutes = 0;
                        if (c == 'K' || run > 2) && input.get(at) == Some(&':') {
                            at += 1;
                            minutes = digits(&mut at, 2, 2).ok_or_else(fail)?;
                        }
                        zone = Some(sign * (hours * 3600 + minutes * 60) as i32);
                    }
                    _ if c == 'K' => {}
                    _ => return Err(fail()),
                }
                if c == 'K' {
                    used = 1;
                }
            }
            '\'' | '"' => {
                used = 1;
                while let Some(next) = chars.get(i + used).copied() {
                    used += 1;
                    if next == c {
                        break;
                    }
                    if input.get(at) != Some(&next) {
                        return Err(fail());
                    }
                    at += 1;
                }
            }
            '%' => used = 1,
            '\\' => {
                used = 2;
                if input.get(at) != chars.get(i + 1) {
                    return Err(fail());
                }
                at += 1;
            }
            literal => {
                used = 1;
                let same = match (input.get(at), literal) {
                    (Some(x), ' ' | '\u{202f}') => x.is_whitespace(),
                    (Some(x), y) => *x == y,
                    _ => false,
                };
                if !same {
                    return Err(fail());
                }
                at += 1;
            }
        }
        i += used;
    }
    if at != input.len() {
        return Err(fail());
    }
    if twelve {
        if hour > 12 {
            return Err(fail());
        }
        hour = match pm {
            Some(true) if hour < 12 => hour + 12,
            Some(false) | None if hour == 12 => 0,
            _ => hour,
        };
    }
    let today = now.parts();
    let no_date = year.is_none() && month.is_none() && day.is_none();
    let parts = DateParts {
        year: year.unwrap_or(today.year),
        month: month.unwrap_or(if no_date { today.month } else { 1 }),
        day: day.unwrap_or(if no_date { today.day } else { 1 }),
        hour,
        minute,
        second,
        fraction,
    };
    let date = DateTime::from_parts(parts, DateTimeKind::Unspecified).ok_or_else(|| {
        Error::dotnet(
            "System.FormatException",
            format!(
                "The DateTime represented by the string '{text}' is not supported in calendar \
                 'System.Globalization.GregorianCalendar'."
            ),
        )
    })?;
    Ok(match zone {
        None => date,
        Some(zone) => {
            DateTime::from_ticks(date.ticks() + i64::from(offset - zone) * 10_000_000, DateTimeKind::Local)
                .ok_or_else(fail)?
        }
    })
}
