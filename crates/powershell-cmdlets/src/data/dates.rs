//! `Get-Date`, `New-TimeSpan`, `Measure-Command`.

use hop_powershell_runtime::command::{Cmdlet, CmdletInfo, CommandTable, ParameterInfo as P, Validator};
use hop_powershell_runtime::context::CmdletContext;
use hop_powershell_runtime::datetime::{DAYS, MONTHS, format_datetime};
use hop_powershell_runtime::dotnet;
use hop_powershell_runtime::flow::{NullSink, Run};
use hop_powershell_runtime::value::{
    DateParts, DateTime, DateTimeKind, Error, ErrorCategory, PsObject, System, TimeSpan, Value,
};

use super::UTILITY;

pub(crate) fn register(table: &mut CommandTable) {
    let range = |name: &str, low: i32, high: i32| {
        P::new(name, "int").validate(Validator::Range(Value::Int32(low), Value::Int32(high)))
    };
    table.add(
        CmdletInfo::new("Get-Date", "Microsoft.PowerShell.Commands.GetDateCommand", UTILITY, || {
            Box::new(GetDate)
        })
        .with(P::new("Date", "datetime").position(0).pipeline().by_property().alias("LastWriteTime"))
        .with(P::new("UnixTimeSeconds", "double").alias("UnixTime"))
        .with(range("Year", 1, 9999))
        .with(range("Month", 1, 12))
        .with(range("Day", 1, 31))
        .with(range("Hour", 0, 23))
        .with(range("Minute", 0, 59))
        .with(range("Second", 0, 59))
        .with(range("Millisecond", 0, 999))
        .with(P::new("DisplayHint", "string").one_of(&["Date", "Time", "DateTime"]))
        .with(P::new("UFormat", "string"))
        .with(P::new("Format", "string"))
        .with(P::switch("AsUTC")),
    );
    table.add(
        CmdletInfo::new("New-TimeSpan", "Microsoft.PowerShell.Commands.NewTimeSpanCommand", UTILITY, || {
            Box::new(NewTimeSpan)
        })
        .default_set("Date")
        .with(
            P::new("Start", "datetime")
                .in_sets(&["Date"])
                .position(0)
                .pipeline()
                .by_property()
                .alias("LastWriteTime"),
        )
        .with(P::new("End", "datetime").in_sets(&["Date"]).position(1).by_property())
        .with(P::new("Days", "int").in_sets(&["Time"]))
        .with(P::new("Hours", "int").in_sets(&["Time"]))
        .with(P::new("Minutes", "int").in_sets(&["Time"]))
        .with(P::new("Seconds", "int").in_sets(&["Time"]))
        .with(P::new("Milliseconds", "int").in_sets(&["Time"])),
    );
    table.add(
        CmdletInfo::new(
            "Measure-Command",
            "Microsoft.PowerShell.Commands.MeasureCommandCommand",
            UTILITY,
            || Box::<MeasureCommand>::default(),
        )
        .with(P::new("Expression", "scriptblock").mandatory().position(0))
        .with(P::new("InputObject", "psobject").pipeline()),
    );
}

fn local_now(context: &CmdletContext<'_>) -> DateTime {
    let system: &dyn System = &*context.runspace.platform;
    let now = system.now();
    let utc = DateTime::from_system(now);
    DateTime::from_ticks(utc.ticks() + i64::from(system.utc_offset(now)) * 10_000_000, DateTimeKind::Local)
        .unwrap_or(utc)
}

struct GetDate;

impl Cmdlet for GetDate {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let mut date = match context.arg("Date").map(Value::base) {
            Some(Value::DateTime(date)) => *date,
            _ => local_now(context),
        };
        if let Some(Value::Double(seconds)) = context.arg("UnixTimeSeconds").map(Value::base) {
            let start = DateTime::from_date(1970, 1, 1).unwrap_or(DateTime::MIN);
            let span = TimeSpan::from_seconds(*seconds).unwrap_or_default();
            date = start.checked_add(span).unwrap_or(start).with_kind(DateTimeKind::Local);
        }
        let part = |name: &str| context.integer(name).and_then(|n| u32::try_from(n).ok());
        let mut parts = date.parts();
        if let Some(year) = context.integer("Year").and_then(|n| i32::try_from(n).ok()) {
            parts.year = year;
        }
        let fields: [(&str, &mut u32); 5] = [
            ("Month", &mut parts.month),
            ("Day", &mut parts.day),
            ("Hour", &mut parts.hour),
            ("Minute", &mut parts.minute),
            ("Second", &mut parts.second),
        ];
        let mut changed = context.has("Year");
        for (name, field) in fields {
            if let Some(n) = part(name) {
                *field = n;
                changed = true;
            }
        }
        if let Some(n) = part("Millisecond") {
            parts.fraction = n * 10_000;
            changed = true;
        }
        if changed {
            // A day that the month does not have moves on, as adding days would.
            let DateParts { day, .. } = parts;
            let first = DateTime::from_parts(DateParts { day: 1, ..parts }, date.kind());
            let moved =
                first.and_then(|d| d.checked_add(TimeSpan::from_ticks(i64::from(day - 1) * 864_000_000_000)));
            date = moved.unwrap_or(date);
        }
        if context.switch("AsUTC") && date.kind() != DateTimeKind::Utc {
            date = date.with_kind(DateTimeKind::Utc);
        }
        if let Some(pattern) = context.text("UFormat") {
            return context.write(unix_format(date, &pattern));
        }
        if let Some(pattern) = context.text("Format") {
            let pattern = match pattern.to_ascii_lowercase().as_str() {
                "filedate" => "yyyyMMdd".to_owned(),
                "filedateuniversal" => "yyyyMMddZ".to_owned(),
                "filedatetime" => "yyyyMMddTHHmmssffff".to_owned(),
                "filedatetimeuniversal" => "yyyyMMddTHHmmssffffZ".to_owned(),
                _ => pattern,
            };
            return match format_datetime(date, &pattern, 0) {
                Ok(text) => context.write(text),
                Err(error) => Err(context.terminate(error)),
            };
        }
        let object = PsObject::wrapping(Value::DateTime(date));
        let hint = context.text("DisplayHint").unwrap_or_else(|| "DateTime".to_owned());
        object.set_note(
            "DisplayHint",
            dotnet::enum_value("Microsoft.PowerShell.Commands.DisplayHintType", &hint),
        );
        context.write(Value::Object(std::sync::Arc::new(object)))
    }
}

/// The week of ISO 8601 that a date is in.
fn iso_week(date: DateTime) -> i64 {
    // The week's Thursday decides the year it belongs to.
    let weekday = i64::from((date.day_of_week() + 6) % 7);
    let thursday = date.checked_add(TimeSpan::from_ticks((3 - weekday) * 864_000_000_000)).unwrap_or(date);
    i64::from(thursday.day_of_year() - 1) / 7 + 1
}

/// `Get-Date -UFormat`: the conversions of `date(1)`.
fn unix_format(date: DateTime, pattern: &str) -> String {
    let p = date.parts();
    let (day_name, month_name) = (
        DAYS.get(date.day_of_week() as usize).copied().unwrap_or(""),
        MONTHS.get(p.month.saturating_sub(1) as usize).copied().unwrap_or(""),
    );
    let short = |name: &str| name.get(..3).unwrap_or(name).to_owned();
    let hour12 = if p.hour.is_multiple_of(12) { 12 } else { p.hour % 12 };
    let half = if p.hour < 12 { "AM" } else { "PM" };
    let mut out = String::new();
    let mut chars = pattern.strip_prefix('+').unwrap_or(pattern).chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let Some(code) = chars.next() else {
            out.push('%');
            break;
        };
        out.push_str(&match code {
            'A' => day_name.to_owned(),
            'a' => short(day_name),
            'B' => month_name.to_owned(),
            'b' | 'h' => short(month_name),
            'C' => (p.year / 100).to_string(),
            'c' => format!(
                "{} {:02} {} {} {:02}:{:02}:{:02}",
                short(day_name),
                p.day,
                short(month_name),
                p.year,
                p.hour,
                p.minute,
                p.second
            ),
            'D' | 'x' => format!("{:02}/{:02}/{:02}", p.month, p.day, p.year % 100),
            'd' => format!("{:02}", p.day),
            'e' => format!("{:>2}", p.day),
            'F' => format!("{:04}-{:02}-{:02}", p.year, p.month, p.day),
            'G' => p.year.to_string(),
            'g' | 'y' => format!("{:02}", p.year % 100),
            'H' => format!("{:02}", p.hour),
            'I' => format!("{hour12:02}"),
            'j' => format!("{:03}", date.day_of_year()),
            'k' => format!("{:>2}", p.hour),
            'l' => format!("{hour12:>2}"),
            'M' => format!("{:02}", p.minute),
            'm' => format!("{:02}", p.month),
            'n' => "\n".to_owned(),
            'p' => half.to_owned(),
            'R' => format!("{:02}:{:02}", p.hour, p.minute),
            'r' => format!("{hour12:02}:{:02}:{:02} {half}", p.minute, p.second),
            'S' => format!("{:02}", p.second),
            's' => ((date.ticks() - 621_355_968_000_000_000) / 10_000_000).to_string(),
            'T' | 'X' => format!("{:02}:{:02}:{:02}", p.hour, p.minute, p.second),
            't' => "\t".to_owned(),
            'U' | 'W' => (date.day_of_year() / 7).to_string(),
            'u' => match date.day_of_week() {
                0 => 7,
                n => n,
            }
            .to_string(),
            'V' => format!("{:02}", iso_week(date)),
            'w' => date.day_of_week().to_string(),
            'Y' => p.year.to_string(),
            'Z' => "+00".to_owned(),
            '%' => "%".to_owned(),
            other => other.to_string(),
        });
    }
    out
}

struct NewTimeSpan;

impl Cmdlet for NewTimeSpan {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let date = |context: &CmdletContext<'_>, name: &str| match context.arg(name).map(Value::base) {
            Some(Value::DateTime(date)) => Some(*date),
            _ => None,
        };
        let units = [
            ("Days", 864_000_000_000),
            ("Hours", 36_000_000_000),
            ("Minutes", 600_000_000),
            ("Seconds", 10_000_000),
            ("Milliseconds", 10_000i64),
        ];
        let (start, end) = (date(context, "Start"), date(context, "End"));
        let ticks = if start.is_some() || end.is_some() {
            let now = local_now(context);
            end.unwrap_or(now).ticks().checked_sub(start.unwrap_or(now).ticks())
        } else {
            units.iter().try_fold(0i64, |sum, (name, ticks)| {
                sum.checked_add(context.integer(name).unwrap_or(0).checked_mul(*ticks)?)
            })
        };
        match ticks {
            Some(ticks) => context.write(Value::TimeSpan(TimeSpan::from_ticks(ticks))),
            None => {
                let error = Error::new(
                    "System.OverflowException",
                    "System.OverflowException",
                    ErrorCategory::InvalidArgument,
                    "TimeSpan overflowed because the duration is too long.",
                );
                Err(context.terminate(error))
            }
        }
    }
}

#[derive(Default)]
struct MeasureCommand {
    total: std::time::Duration,
}

impl Cmdlet for MeasureCommand {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let Some(block) = context.arg("Expression").cloned() else { return Ok(()) };
        let input = context.arg("InputObject").cloned();
        let start = context.runspace.platform.monotonic();
        let outcome = context.runspace.run_block_in_scope(&block, input, Vec::new(), &mut NullSink);
        self.total += context.runspace.platform.monotonic().saturating_sub(start);
        outcome
    }

    fn end(&mut self, context: &mut CmdletContext<'_>) -> Run {
        context.write(Value::TimeSpan(TimeSpan::from_duration(self.total)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_conversions() {
        let parts = DateParts { year: 2024, month: 3, day: 5, hour: 14, minute: 7, second: 9, fraction: 0 };
        let date = DateTime::from_parts(parts, DateTimeKind::Unspecified).unwrap();
        assert_eq!(unix_format(date, "%Y-%m-%d %I:%M %p %j %V%%"), "2024-03-05 02:07 PM 065 10%");
        let new_year = DateTime::from_date(2021, 1, 3).unwrap();
        assert_eq!(iso_week(new_year), 53);
    }
}
