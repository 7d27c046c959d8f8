//! `DateTimeOffset`.

use std::any::Any;
use std::sync::Arc;

use super::enum_value;
use crate::datetime::format_datetime;
use crate::value::{Callbacks, DateTime, DateTimeKind, Error, NativeObject, TimeSpan, TypeRef, Value};

/// A date and time with its offset from UTC in minutes.
#[derive(Debug, Clone, Copy)]
pub struct DateOffset {
    local: DateTime,
    minutes: i32,
}

impl DateOffset {
    /// A local date and time with its offset in minutes.
    pub fn value(local: DateTime, minutes: i32) -> Value {
        Value::native(Self { local: local.with_kind(DateTimeKind::Unspecified), minutes })
    }

    fn utc(&self) -> DateTime {
        DateTime::from_ticks(self.local.ticks() - i64::from(self.minutes) * 600_000_000, DateTimeKind::Utc)
            .unwrap_or(self.local)
    }

    fn offset_text(&self) -> String {
        let sign = if self.minutes < 0 { '-' } else { '+' };
        format!("{sign}{:02}:{:02}", self.minutes.abs() / 60, self.minutes.abs() % 60)
    }
}

impl NativeObject for DateOffset {
    fn type_ref(&self) -> TypeRef {
        TypeRef::named("System.DateTimeOffset")
    }

    fn text(&self) -> String {
        format!("{} {}", crate::datetime::datetime_invariant(self.local), self.offset_text())
    }

    fn properties(&self) -> Vec<Arc<str>> {
        [
            "DateTime",
            "UtcDateTime",
            "LocalDateTime",
            "Date",
            "Day",
            "DayOfWeek",
            "DayOfYear",
            "Hour",
            "Millisecond",
            "Microsecond",
            "Nanosecond",
            "Minute",
            "Month",
            "Offset",
            "TotalOffsetMinutes",
            "Second",
            "Ticks",
            "UtcTicks",
            "TimeOfDay",
            "Year",
        ]
        .into_iter()
        .map(Arc::from)
        .collect()
    }

    fn get(&self, name: &str) -> Option<Result<Value, Error>> {
        let lower = name.to_ascii_lowercase();
        Some(Ok(match lower.as_str() {
            "datetime" => Value::DateTime(self.local),
            "utcdatetime" => Value::DateTime(self.utc()),
            "localdatetime" => Value::DateTime(self.utc().with_kind(DateTimeKind::Local)),
            "offset" => Value::TimeSpan(TimeSpan::from_ticks(i64::from(self.minutes) * 600_000_000)),
            "totaloffsetminutes" => Value::Int32(self.minutes),
            "utcticks" => Value::Int64(self.utc().ticks()),
            "dayofweek" => enum_value(
                "System.DayOfWeek",
                crate::datetime::DAYS.get(self.local.day_of_week() as usize).copied().unwrap_or(""),
            ),
            "kind" => return None,
            _ => return super::dates::date_property(self.local, &lower).map(Ok),
        }))
    }

    fn invoke(&self, name: &str, args: &[Value], engine: &mut dyn Callbacks) -> Option<Result<Value, Error>> {
        let lower = name.to_ascii_lowercase();
        match lower.as_str() {
            "tounixtimeseconds" => {
                Some(Ok(Value::Int64((self.utc().ticks() - 621_355_968_000_000_000) / 10_000_000)))
            }
            "tounixtimemilliseconds" => {
                Some(Ok(Value::Int64((self.utc().ticks() - 621_355_968_000_000_000) / 10_000)))
            }
            "touniversaltime" => Some(Ok(Self::value(self.utc(), 0))),
            "tolocaltime" => Some(Ok(Self::value(self.utc(), 0))),
            "tostring" if args.is_empty() => Some(Ok(Value::from(format!(
                "{} {}",
                crate::datetime::datetime_text(self.local),
                self.offset_text()
            )))),
            _ if lower.starts_with("add") => {
                match super::dates::date_method(self.local, &lower, args, engine)? {
                    Ok(Value::DateTime(moved)) => Some(Ok(Self::value(moved, self.minutes))),
                    other => Some(other),
                }
            }
            _ => None,
        }
    }

    fn equals(&self, other: &dyn NativeObject) -> bool {
        other.as_any().downcast_ref::<Self>().is_some_and(|o| o.utc().ticks() == self.utc().ticks())
    }

    fn compare(&self, other: &Value) -> Option<std::cmp::Ordering> {
        match other.base() {
            Value::Native(native) => {
                let other = native.as_any().downcast_ref::<Self>()?;
                Some(self.utc().ticks().cmp(&other.utc().ticks()))
            }
            _ => None,
        }
    }

    fn hash_key(&self) -> Option<String> {
        Some(self.utc().ticks().to_string())
    }

    fn format(&self, format: &str) -> Option<Result<String, Error>> {
        if matches!(format, "o" | "O") {
            return Some(
                format_datetime(self.local, "yyyy-MM-ddTHH:mm:ss.fffffff", 0)
                    .map(|text| format!("{text}{}", self.offset_text())),
            );
        }
        // The offset's place is found by formatting it as text of the pattern.
        let pattern = format
            .replace("zzz", &format!("'{}'", self.offset_text()))
            .replace('K', &format!("'{}'", self.offset_text()));
        Some(format_datetime(self.local, &pattern, 0))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
