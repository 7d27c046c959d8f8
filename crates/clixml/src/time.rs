//! Dates and time spans with .NET's resolution of 100 ns.

use std::fmt::Write as _;

/// Ticks (100 ns) in a second.
const SECOND: i64 = 10_000_000;
const DAY: i64 = 86_400 * SECOND;
/// Days from 0001-01-01 to 1970-01-01.
const UNIX_DAYS: i64 = 719_162;
/// Ticks of the last instant of year 9999.
const MAX_TICKS: i64 = 3_155_378_975_999_999_999;

/// What a [`DateTime`] says about its time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DateTimeKind {
    /// Nothing is known; written without a suffix.
    Unspecified,
    /// UTC; written with `Z`.
    Utc,
    /// Local time with the given offset from UTC in minutes; written as `+hh:mm`.
    Local(i16),
}

/// A .NET DateTime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DateTime {
    ticks: i64,
    kind: DateTimeKind,
}

impl DateTime {
    /// A date and time as ticks of 100 ns since 0001-01-01T00:00:00 of its own zone.
    /// None if that is outside the years 1 to 9999.
    pub fn new(ticks: i64, kind: DateTimeKind) -> Option<Self> {
        (0..=MAX_TICKS).contains(&ticks).then_some(Self { ticks, kind })
    }

    /// The UTC time that the system's clock shows.
    pub fn from_system_time(time: std::time::SystemTime) -> Option<Self> {
        let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
        let ticks = i64::try_from(since.as_nanos() / 100).ok()?;
        Self::new(ticks.checked_add(UNIX_DAYS * DAY)?, DateTimeKind::Utc)
    }

    /// Ticks of 100 ns since 0001-01-01T00:00:00 of its own zone.
    pub fn ticks(self) -> i64 {
        self.ticks
    }

    /// The zone.
    pub fn kind(self) -> DateTimeKind {
        self.kind
    }

    /// Reads `yyyy[-MM[-dd[Thh:mm:ss[.f]]]]` with `Z`, an offset or nothing behind it.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        let bytes = text.as_bytes();
        let (local, kind) = if let Some(local) = text.strip_suffix('Z') {
            (local, DateTimeKind::Utc)
        } else if bytes.len() > 10
            && let [rest @ .., sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] = bytes
            && rest.contains(&b':')
        {
            let hours = two(*h1, *h2)?;
            let minutes = two(*m1, *m2)?;
            if hours > 14 || minutes > 59 {
                return None;
            }
            let offset = i16::try_from(hours * 60 + minutes).ok()?;
            (text.get(..rest.len())?, DateTimeKind::Local(if *sign == b'-' { -offset } else { offset }))
        } else {
            (text, DateTimeKind::Unspecified)
        };
        let (date, time) = match local.split_once('T') {
            Some((date, time)) => (date, Some(time)),
            None => (local, None),
        };
        let mut parts = date.split('-');
        let year = digits(parts.next()?, 4)?;
        let month = parts.next().map_or(Some(1), |part| digits(part, 2))?;
        let day = parts.next().map_or(Some(1), |part| digits(part, 2))?;
        if parts.next().is_some() || !(1..=9999).contains(&year) || !(1..=12).contains(&month) {
            return None;
        }
        if day < 1 || day > days_in_month(year, month) {
            return None;
        }
        let mut ticks = days_before(year, month, day) * DAY;
        if let Some(time) = time {
            let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
            let mut parts = clock.split(':');
            let hour = digits(parts.next()?, 2)?;
            let minute = digits(parts.next()?, 2)?;
            let second = digits(parts.next()?, 2)?;
            let ok = hour < 24 || (hour == 24 && minute == 0 && second == 0);
            if parts.next().is_some() || !ok || minute > 59 || second > 59 {
                return None;
            }
            ticks += ((hour * 60 + minute) * 60 + second) * SECOND + fraction_ticks(fraction)?;
        }
        Self::new(ticks, kind)
    }

    pub(crate) fn write(self, out: &mut String) {
        let (year, month, day) = civil(self.ticks / DAY);
        let rest = self.ticks % DAY;
        let seconds = rest / SECOND;
        let _ = write!(
            out,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        );
        write_fraction(out, rest % SECOND);
        match self.kind {
            DateTimeKind::Unspecified => {}
            DateTimeKind::Utc => out.push('Z'),
            DateTimeKind::Local(offset) => {
                let sign = if offset < 0 { '-' } else { '+' };
                let _ =
                    write!(out, "{sign}{:02}:{:02}", offset.unsigned_abs() / 60, offset.unsigned_abs() % 60);
            }
        }
    }
}

impl std::fmt::Display for DateTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = String::new();
        self.write(&mut out);
        f.write_str(&out)
    }
}

/// A .NET TimeSpan: ticks of 100 ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeSpan(pub i64);

impl TimeSpan {
    /// Reads an XML Schema duration. A month counts 30 days, a year 365, as in .NET.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let mut rest = text.strip_prefix('P')?;
        let mut ticks: i128 = 0;
        let mut in_time = false;
        let mut order = 0;
        let mut any = false;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('T') {
                if in_time || after.is_empty() {
                    return None;
                }
                in_time = true;
                order = order.max(3);
                rest = after;
                continue;
            }
            let end = rest.find(|c: char| !c.is_ascii_digit())?;
            let (number, after) = rest.split_at_checked(end)?;
            let value: i128 = if number.len() > 18 { return None } else { number.parse().ok()? };
            let mut tail = after.chars();
            let mut unit = tail.next()?;
            let mut fraction = 0;
            if unit == '.' {
                let digits = tail.as_str();
                let end = digits.find(|c: char| !c.is_ascii_digit())?;
                fraction = fraction_ticks(digits.get(..end)?)?;
                tail = digits.get(end..)?.chars();
                unit = tail.next()?;
                if unit != 'S' {
                    return None;
                }
            }
            let (place, size) = match (unit, in_time) {
                ('Y', false) => (1, 365 * DAY),
                ('M', false) => (2, 30 * DAY),
                ('D', false) => (3, DAY),
                ('H', true) => (4, 3600 * SECOND),
                ('M', true) => (5, 60 * SECOND),
                ('S', true) => (6, SECOND),
                _ => return None,
            };
            if place <= order {
                return None;
            }
            order = place;
            any = true;
            ticks += value * i128::from(size) + i128::from(fraction);
            rest = tail.as_str();
        }
        if !any {
            return None;
        }
        i64::try_from(if negative { -ticks } else { ticks }).ok().map(Self)
    }

    pub(crate) fn write(self, out: &mut String) {
        if self.0 < 0 {
            out.push('-');
        }
        out.push('P');
        let ticks = self.0.unsigned_abs();
        let (second, day) = (SECOND.unsigned_abs(), DAY.unsigned_abs());
        let (days, rest) = (ticks / day, ticks % day);
        if days > 0 {
            let _ = write!(out, "{days}D");
        }
        if rest == 0 {
            if days == 0 {
                out.push_str("T0S");
            }
            return;
        }
        out.push('T');
        let (hours, minutes, rest) =
            (rest / (3600 * second), rest / (60 * second) % 60, rest % (60 * second));
        if hours > 0 {
            let _ = write!(out, "{hours}H");
        }
        if minutes > 0 {
            let _ = write!(out, "{minutes}M");
        }
        if rest > 0 {
            let _ = write!(out, "{}", rest / second);
            write_fraction(out, i64::try_from(rest % second).unwrap_or(0));
            out.push('S');
        }
    }
}

impl std::fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = String::new();
        self.write(&mut out);
        f.write_str(&out)
    }
}

fn write_fraction(out: &mut String, ticks: i64) {
    if ticks > 0 {
        let text = format!("{ticks:07}");
        out.push('.');
        out.push_str(text.trim_end_matches('0'));
    }
}

/// Ticks of a decimal fraction; digits beyond the seventh are dropped.
fn fraction_ticks(fraction: &str) -> Option<i64> {
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(
        fraction
            .bytes()
            .chain(std::iter::repeat(b'0'))
            .take(7)
            .fold(0, |sum, b| sum * 10 + i64::from(b - b'0')),
    )
}

fn digits(text: &str, count: usize) -> Option<i64> {
    (text.len() == count && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

fn two(a: u8, b: u8) -> Option<i64> {
    (a.is_ascii_digit() && b.is_ascii_digit()).then(|| i64::from(a - b'0') * 10 + i64::from(b - b'0'))
}

fn leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 0001-01-01 to the given date.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let y = year - 1;
    let months: i64 = (1..month).map(|m| days_in_month(year, m)).sum();
    y * 365 + y / 4 - y / 100 + y / 400 + months + day - 1
}

/// Year, month and day of a day number counted from 0001-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 306;
    let era = z / 146_097;
    let doe = z % 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_keep_kind_and_fraction() {
        for text in [
            "0001-01-01T00:00:00",
            "9999-12-31T23:59:59.9999999",
            "2024-02-29T12:34:56.1234567Z",
            "2024-02-29T12:34:56.5+02:00",
            "2024-12-31T23:59:59-05:30",
            "1970-01-01T00:00:00+00:00",
        ] {
            assert_eq!(DateTime::parse(text).map(|d| d.to_string()).as_deref(), Some(text));
        }
        assert_eq!(DateTime::parse("2024-05").unwrap().to_string(), "2024-05-01T00:00:00");
        for bad in
            ["", "2023-02-29", "2024-13-01", "x", "2024-01-01T25:00:00", "20240101", "2024-01-01T1:00:00"]
        {
            assert_eq!(DateTime::parse(bad), None, "{bad}");
        }
        let epoch = DateTime::from_system_time(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(epoch.to_string(), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn every_day_survives() {
        for days in (0..3_652_059).step_by(13) {
            let (y, m, d) = civil(days);
            assert_eq!(days_before(y, m, d), days);
        }
    }

    #[test]
    fn durations_as_dotnet_writes_them() {
        for text in [
            "PT0S",
            "PT1S",
            "PT1H2M3S",
            "P1D",
            "P10DT11H12M13.14S",
            "-PT30M",
            "-P2DT3H",
            "PT0.0000001S",
            "P10675199DT2H48M5.4775807S",
            "-P10675199DT2H48M5.4775808S",
            "P365D",
        ] {
            assert_eq!(TimeSpan::parse(text).map(|d| d.to_string()).as_deref(), Some(text));
        }
        assert_eq!(TimeSpan::parse("P1Y").unwrap().to_string(), "P365D");
        assert_eq!(TimeSpan::parse("P1M").unwrap().to_string(), "P30D");
        for bad in ["", "P", "PT", "1D", "P1S", "PT1S1H", "P1D1D", "P99999999999999999D"] {
            assert_eq!(TimeSpan::parse(bad), None, "{bad}");
        }
    }
}
