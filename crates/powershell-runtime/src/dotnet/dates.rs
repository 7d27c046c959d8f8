//! Members of `DateTime` and `TimeSpan`.

use super::{convert_arg, enum_value, text_arg};
use crate::convert::{convert_to, to_f64};
use crate::datetime::{format_datetime, format_timespan};
use crate::value::{Callbacks, DateTime, DateTimeKind, Error, TimeSpan, TypeRef, Value};

pub(super) fn date_property(date: DateTime, name: &str) -> Option<Value> {
    let p = date.parts();
    Some(match name {
        "year" => Value::Int32(p.year),
        "month" => Value::Int32(p.month as i32),
        "day" => Value::Int32(p.day as i32),
        "hour" => Value::Int32(p.hour as i32),
        "minute" => Value::Int32(p.minute as i32),
        "second" => Value::Int32(p.second as i32),
        "millisecond" => Value::Int32((p.fraction / 10_000) as i32),
        "microsecond" => Value::Int32((p.fraction / 10 % 1000) as i32),
        "nanosecond" => Value::Int32((p.fraction % 10 * 100) as i32),
        "ticks" => Value::Int64(date.ticks()),
        "dayofweek" => enum_value(
            "System.DayOfWeek",
            crate::datetime::DAYS.get(date.day_of_week() as usize).copied().unwrap_or(""),
        ),
        "dayofyear" => Value::Int32(date.day_of_year() as i32),
        "date" => Value::DateTime(date.date()),
        "timeofday" => Value::TimeSpan(date.time_of_day()),
        "kind" => enum_value("System.DateTimeKind", date.kind().name()),
        "datetime" => Value::from(format_datetime(date, "F", 0).unwrap_or_default()),
        _ => return None,
    })
}

fn range() -> Error {
    Error::dotnet(
        "System.ArgumentOutOfRangeException",
        "The added or subtracted value results in an un-representable DateTime. (Parameter 'value')",
    )
}

pub(super) fn date_method(
    date: DateTime,
    name: &str,
    args: &[Value],
    engine: &mut dyn Callbacks,
) -> Option<Result<Value, Error>> {
    let mut result = || -> Result<Option<Value>, Error> {
        let number = |engine: &mut dyn Callbacks| -> Result<f64, Error> {
            convert_arg(args, 0, "value", name, "System.Double", engine).map(|v| to_f64(&v).unwrap_or(0.0))
        };
        let add = |seconds: f64| -> Result<Option<Value>, Error> {
            let ticks = (seconds * 10_000_000.0).round() as i64;
            date.checked_add(TimeSpan::from_ticks(ticks)).map(|d| Some(Value::DateTime(d))).ok_or_else(range)
        };
        let offset = {
            let now = engine.system().now();
            engine.system().utc_offset(now)
        };
        Ok(Some(match name {
            "adddays" => return add(number(engine)? * 86_400.0),
            "addhours" => return add(number(engine)? * 3600.0),
            "addminutes" => return add(number(engine)? * 60.0),
            "addseconds" => return add(number(engine)?),
            "addmilliseconds" => return add(number(engine)? / 1000.0),
            "addticks" => Value::DateTime(
                date.checked_add(TimeSpan::from_ticks(number(engine)? as i64)).ok_or_else(range)?,
            ),
            "addmonths" => Value::DateTime(date.add_months(number(engine)? as i64).ok_or_else(range)?),
            "addyears" => Value::DateTime(date.add_months(number(engine)? as i64 * 12).ok_or_else(range)?),
            "add" | "subtract" => {
                let arg = args.first().cloned().unwrap_or_default();
                if let (Value::DateTime(other), "subtract") = (arg.base(), name) {
                    return Ok(Some(Value::TimeSpan(date.since(*other))));
                }
                let Value::TimeSpan(span) = convert_to(&arg, &TypeRef::named("System.TimeSpan"), engine)?
                else {
                    return Ok(None);
                };
                let ticks = if name == "add" { span.ticks() } else { -span.ticks() };
                Value::DateTime(date.checked_add(TimeSpan::from_ticks(ticks)).ok_or_else(range)?)
            }
            "tostring" if !args.is_empty() => {
                let culture = args.get(1).map(crate::convert::to_text).unwrap_or_default();
                let format = text_arg(args, 0);
                if args.len() == 1 || !format.is_empty() {
                    let text = if format.is_empty() {
                        crate::datetime::datetime_text(date)
                    } else {
                        format_datetime(date, &format, offset)?
                    };
                    let _ = culture;
                    Value::from(text)
                } else {
                    Value::from(crate::datetime::datetime_invariant(date))
                }
            }
            "toshortdatestring" => Value::from(format_datetime(date, "d", offset)?),
            "tolongdatestring" => Value::from(format_datetime(date, "D", offset)?),
            "toshorttimestring" => Value::from(format_datetime(date, "t", offset)?),
            "tolongtimestring" => Value::from(format_datetime(date, "T", offset)?),
            "touniversaltime" => Value::DateTime(match date.kind() {
                DateTimeKind::Utc => date,
                _ => DateTime::from_ticks(date.ticks() - i64::from(offset) * 10_000_000, DateTimeKind::Utc)
                    .ok_or_else(range)?,
            }),
            "tolocaltime" => Value::DateTime(match date.kind() {
                DateTimeKind::Local => date,
                _ => DateTime::from_ticks(date.ticks() + i64::from(offset) * 10_000_000, DateTimeKind::Local)
                    .ok_or_else(range)?,
            }),
            "tofiletime" | "tofiletimeutc" => Value::Int64(date.ticks() - 504_911_232_000_000_000),
            "tooadate" => Value::Double((date.ticks() - 599_264_352_000_000_000) as f64 / 864_000_000_000.0),
            "isdaylightsavingtime" => Value::Bool(false),
            _ => return Ok(None),
        }))
    };
    result().transpose()
}

pub(super) fn span_property(span: TimeSpan, name: &str) -> Option<Value> {
    let total = |unit: f64| Value::Double(span.ticks() as f64 / unit);
    Some(match name {
        "days" => Value::Int32(span.days() as i32),
        "hours" => Value::Int32(span.hours() as i32),
        "minutes" => Value::Int32(span.minutes() as i32),
        "seconds" => Value::Int32(span.seconds() as i32),
        "milliseconds" => Value::Int32((span.fraction() / 10_000) as i32),
        "microseconds" => Value::Int32((span.fraction() / 10 % 1000) as i32),
        "nanoseconds" => Value::Int32((span.fraction() % 10 * 100) as i32),
        "ticks" => Value::Int64(span.ticks()),
        "totaldays" => total(864_000_000_000.0),
        "totalhours" => total(36_000_000_000.0),
        "totalminutes" => total(600_000_000.0),
        "totalseconds" => total(10_000_000.0),
        "totalmilliseconds" => total(10_000.0),
        "totalmicroseconds" => total(10.0),
        "totalnanoseconds" => Value::Double(span.ticks() as f64 * 100.0),
        _ => return None,
    })
}

pub(super) fn span_method(
    span: TimeSpan,
    name: &str,
    args: &[Value],
    engine: &mut dyn Callbacks,
) -> Option<Result<Value, Error>> {
    let mut result = || -> Result<Option<Value>, Error> {
        let other = |engine: &mut dyn Callbacks| -> Result<i64, Error> {
            match convert_arg(args, 0, "ts", name, "System.TimeSpan", engine)? {
                Value::TimeSpan(t) => Ok(t.ticks()),
                _ => Ok(0),
            }
        };
        Ok(Some(match name {
            "add" => Value::TimeSpan(TimeSpan::from_ticks(span.ticks() + other(engine)?)),
            "subtract" => Value::TimeSpan(TimeSpan::from_ticks(span.ticks() - other(engine)?)),
            "negate" => Value::TimeSpan(TimeSpan::from_ticks(-span.ticks())),
            "duration" => Value::TimeSpan(TimeSpan::from_ticks(span.ticks().abs())),
            "tostring" if !args.is_empty() => Value::from(format_timespan(span, &text_arg(args, 0))?),
            _ => return Ok(None),
        }))
    };
    result().transpose()
}
