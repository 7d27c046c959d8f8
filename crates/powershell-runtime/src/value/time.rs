//! `DateTime` and `TimeSpan` as .NET keeps them: 100-nanosecond ticks.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Ticks in a second.
pub(crate) const SECOND: i64 = 10_000_000;
/// Ticks in a day.
pub(crate) const DAY: i64 = 86_400 * SECOND;
/// Ticks from year 1 to 1970.
const UNIX_TICKS: i64 = 621_355_968_000_000_000;
const MAX_TICKS: i64 = 3_155_378_975_999_999_999;

/// `DateTime.Kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DateTimeKind {
    /// Not said.
    #[default]
    Unspecified,
    /// Universal time.
    Utc,
    /// Local time.
    Local,
}

impl DateTimeKind {
    /// The enumeration's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "Unspecified",
            Self::Utc => "Utc",
            Self::Local => "Local",
        }
    }
}

/// `System.DateTime`: ticks since the start of year 1, with a kind. Comparison ignores the kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct DateTime {
    ticks: i64,
    kind: DateTimeKind,
}

/// A date and time taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct DateParts {
    pub year: i32,
    pub month: u32,
    pub day: u32,
    pub hour: u32,
    pub minute: u32,
    pub second: u32,
    /// Ticks inside the second, 0 to 9,999,999.
    pub fraction: u32,
}

impl DateTime {
    /// The smallest value, `0001-01-01`.
    pub const MIN: Self = Self { ticks: 0, kind: DateTimeKind::Unspecified };
    /// The largest value, the end of year 9999.
    pub const MAX: Self = Self { ticks: MAX_TICKS, kind: DateTimeKind::Unspecified };

    /// From ticks; `None` when out of range.
    pub fn from_ticks(ticks: i64, kind: DateTimeKind) -> Option<Self> {
        (0..=MAX_TICKS).contains(&ticks).then_some(Self { ticks, kind })
    }

    /// From its parts; `None` when any is out of range.
    pub fn from_parts(parts: DateParts, kind: DateTimeKind) -> Option<Self> {
        let DateParts { year, month, day, hour, minute, second, fraction } = parts;
        if !(1..=9999).contains(&year)
            || !(1..=12).contains(&month)
            || day < 1
            || day > days_in_month(year, month)
            || hour > 23
            || minute > 59
            || second > 59
            || i64::from(fraction) >= SECOND
        {
            return None;
        }
        let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
        Self::from_ticks(
            days_from_year_one(year, month, day) * DAY + seconds * SECOND + i64::from(fraction),
            kind,
        )
    }

    /// From a date.
    pub fn from_date(year: i32, month: u32, day: u32) -> Option<Self> {
        Self::from_parts(
            DateParts { year, month, day, hour: 0, minute: 0, second: 0, fraction: 0 },
            DateTimeKind::Unspecified,
        )
    }

    /// From system time, as universal time.
    pub fn from_system(time: SystemTime) -> Self {
        let ticks = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => UNIX_TICKS.saturating_add(ticks_of(after)),
            Err(before) => UNIX_TICKS.saturating_sub(ticks_of(before.duration())),
        };
        Self { ticks: ticks.clamp(0, MAX_TICKS), kind: DateTimeKind::Utc }
    }

    /// As system time, taking the ticks as universal time less the offset in seconds.
    pub fn to_system(self, utc_offset: i32) -> SystemTime {
        let offset = if self.kind == DateTimeKind::Utc { 0 } else { i64::from(utc_offset) };
        let ticks = self.ticks - UNIX_TICKS - offset * SECOND;
        let span = Duration::from_nanos(ticks.unsigned_abs() % (SECOND as u64) * 100)
            + Duration::from_secs(ticks.unsigned_abs() / SECOND as u64);
        if ticks >= 0 { UNIX_EPOCH + span } else { UNIX_EPOCH - span }
    }

    /// Ticks since the start of year 1.
    pub fn ticks(self) -> i64 {
        self.ticks
    }

    /// The kind.
    pub fn kind(self) -> DateTimeKind {
        self.kind
    }

    /// The same ticks with another kind.
    #[must_use]
    pub fn with_kind(self, kind: DateTimeKind) -> Self {
        Self { kind, ..self }
    }

    /// The calendar parts.
    pub fn parts(self) -> DateParts {
        let (year, month, day) = date_from_days(self.ticks.div_euclid(DAY));
        let rest = self.ticks.rem_euclid(DAY);
        let seconds = rest / SECOND;
        DateParts {
            year,
            month,
            day,
            hour: (seconds / 3600) as u32,
            minute: (seconds / 60 % 60) as u32,
            second: (seconds % 60) as u32,
            fraction: (rest % SECOND) as u32,
        }
    }

    /// Day of the week, Sunday is 0.
    pub fn day_of_week(self) -> u32 {
        ((self.ticks / DAY + 1) % 7) as u32
    }

    /// Day of the year from 1.
    pub fn day_of_year(self) -> u32 {
        let year = self.parts().year;
        (self.ticks / DAY - days_from_year_one(year, 1, 1) + 1) as u32
    }

    /// Midnight of the same day.
    #[must_use]
    pub fn date(self) -> Self {
        Self { ticks: self.ticks - self.ticks % DAY, ..self }
    }

    /// Time since midnight.
    pub fn time_of_day(self) -> TimeSpan {
        TimeSpan(self.ticks % DAY)
    }

    /// Adds a span; `None` when out of range.
    pub fn checked_add(self, span: TimeSpan) -> Option<Self> {
        Self::from_ticks(self.ticks.checked_add(span.0)?, self.kind)
    }

    /// Adds months, keeping the day where the month has it.
    pub fn add_months(self, months: i64) -> Option<Self> {
        let parts = self.parts();
        let total = i64::from(parts.year) * 12 + i64::from(parts.month) - 1 + months;
        let year = i32::try_from(total.div_euclid(12)).ok()?;
        let month = (total.rem_euclid(12) + 1) as u32;
        if !(1..=9999).contains(&year) {
            return None;
        }
        let day = parts.day.min(days_in_month(year, month));
        Self::from_parts(DateParts { year, month, day, ..parts }, self.kind)
    }

    /// The span between two dates.
    pub fn since(self, other: Self) -> TimeSpan {
        TimeSpan(self.ticks - other.ticks)
    }
}

impl PartialEq for DateTime {
    fn eq(&self, other: &Self) -> bool {
        self.ticks == other.ticks
    }
}

impl Eq for DateTime {}

impl PartialOrd for DateTime {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for DateTime {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.ticks.cmp(&other.ticks)
    }
}

fn ticks_of(span: Duration) -> i64 {
    i64::try_from(span.as_nanos() / 100).unwrap_or(i64::MAX)
}

/// Whether a year has a 29 February.
pub(crate) fn is_leap_year(year: i32) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days in a month.
pub(crate) fn days_in_month(year: i32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap_year(year) => 29,
        2 => 28,
        _ => 31,
    }
}

fn days_from_year_one(year: i32, month: u32, day: u32) -> i64 {
    let y = i64::from(year) - 1;
    let before: i64 = (1..month).map(|m| i64::from(days_in_month(year, m))).sum();
    y * 365 + y / 4 - y / 100 + y / 400 + before + i64::from(day) - 1
}

fn date_from_days(days: i64) -> (i32, u32, u32) {
    let mut rest = days;
    let n400 = rest / 146_097;
    rest %= 146_097;
    let n100 = (rest / 36_524).min(3);
    rest -= n100 * 36_524;
    let n4 = rest / 1461;
    rest %= 1461;
    let n1 = (rest / 365).min(3);
    rest -= n1 * 365;
    let year = (n400 * 400 + n100 * 100 + n4 * 4 + n1 + 1) as i32;
    let mut month = 1;
    while month < 12 && rest >= i64::from(days_in_month(year, month)) {
        rest -= i64::from(days_in_month(year, month));
        month += 1;
    }
    (year, month, rest as u32 + 1)
}

/// `System.TimeSpan`: a signed number of ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeSpan(i64);

impl TimeSpan {
    /// From ticks.
    pub fn from_ticks(ticks: i64) -> Self {
        Self(ticks)
    }

    /// From a number of seconds, to the nearest tick; `None` when out of range.
    pub fn from_seconds(seconds: f64) -> Option<Self> {
        let ticks = seconds * SECOND as f64;
        (ticks.abs() < i64::MAX as f64).then_some(Self(ticks.round() as i64))
    }

    /// From a standard duration.
    pub fn from_duration(span: Duration) -> Self {
        Self(ticks_of(span))
    }

    /// The ticks.
    pub fn ticks(self) -> i64 {
        self.0
    }

    /// Whole days, towards zero.
    pub fn days(self) -> i64 {
        self.0 / DAY
    }

    /// Hours inside the day.
    pub fn hours(self) -> i64 {
        self.0 / (3600 * SECOND) % 24
    }

    /// Minutes inside the hour.
    pub fn minutes(self) -> i64 {
        self.0 / (60 * SECOND) % 60
    }

    /// Seconds inside the minute.
    pub fn seconds(self) -> i64 {
        self.0 / SECOND % 60
    }

    /// Ticks inside the second.
    pub fn fraction(self) -> i64 {
        self.0 % SECOND
    }

    /// All of it in seconds.
    pub fn total_seconds(self) -> f64 {
        self.0 as f64 / SECOND as f64
    }

    /// The constant format: `[-][d.]hh:mm:ss[.fffffff]`.
    pub fn text(self) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        let t = self.0.unsigned_abs();
        let second = SECOND as u64;
        let (days, rest) = (t / DAY as u64, t % DAY as u64);
        let seconds = rest / second;
        let mut text = String::from(sign);
        if days > 0 {
            text.push_str(&format!("{days}."));
        }
        text.push_str(&format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60));
        if rest % second != 0 {
            text.push_str(&format!(".{:07}", rest % second));
        }
        text
    }
}
