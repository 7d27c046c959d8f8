//! Static members and constructors.

use std::sync::Arc;

use super::{
    DictEntry, RegexObject, StringBuilder, Uri, convert_arg, enum_type, enum_value, no_overload, text_arg,
};
use crate::convert::{self, convert_to, to_bool, to_f64, to_i64, to_text};
use crate::datetime::{parse_datetime, parse_exact, parse_timespan};
use crate::members::method_error;
use crate::operators::{compare_for_sort, format_composite};
use crate::regex::{Regex, escape, unescape};
use crate::value::{
    Callbacks, DateParts, DateTime, DateTimeKind, Decimal, DictKind, Error, ErrorCategory, Exception,
    ListKind, PsDict, PsList, TimeSpan, TypeKind, TypeRef, Uuid, Value,
};

fn now(engine: &mut dyn Callbacks) -> (DateTime, i32) {
    let now = engine.system().now();
    (DateTime::from_system(now), engine.system().utc_offset(now))
}

fn local(engine: &mut dyn Callbacks) -> DateTime {
    let (utc, offset) = now(engine);
    DateTime::from_ticks(utc.ticks() + i64::from(offset) * 10_000_000, DateTimeKind::Local).unwrap_or(utc)
}

/// Reads a static member: `[int]::MaxValue`, `[datetime]::Now`, an enumeration's name.
pub fn static_get(kind: &TypeRef, name: &str, engine: &mut dyn Callbacks) -> Result<Option<Value>, Error> {
    if let TypeKind::Enum(e) = kind.kind()
        && let Some(n) = e.number(name)
    {
        return Ok(Some(Value::Enum(Arc::clone(e), n)));
    }
    if let Some(result) = engine.static_get(kind, name) {
        return result.map(Some);
    }
    let lower = name.to_ascii_lowercase();
    let limits = |min: Value, max: Value| match lower.as_str() {
        "minvalue" => Some(min),
        "maxvalue" => Some(max),
        _ => None,
    };
    let env = |engine: &dyn Callbacks, name: &str| engine.system().env(name).unwrap_or_default();
    Ok(match kind.full_name() {
        "System.Byte" => limits(u8::MIN.into(), u8::MAX.into()),
        "System.SByte" => limits(i8::MIN.into(), i8::MAX.into()),
        "System.Int16" => limits(i16::MIN.into(), i16::MAX.into()),
        "System.UInt16" => limits(Value::UInt16(0), Value::UInt16(u16::MAX)),
        "System.Int32" => limits(i32::MIN.into(), i32::MAX.into()),
        "System.UInt32" => limits(0u32.into(), u32::MAX.into()),
        "System.Int64" => limits(i64::MIN.into(), i64::MAX.into()),
        "System.UInt64" => limits(0u64.into(), u64::MAX.into()),
        "System.Char" => limits(Value::Char(0), Value::Char(u16::MAX)),
        "System.Decimal" => match lower.as_str() {
            "zero" => Some(Decimal::ZERO.into()),
            "one" => Some(Decimal::ONE.into()),
            "minusone" => Some(Decimal::NEGATIVE_ONE.into()),
            _ => limits(Decimal::MIN.into(), Decimal::MAX.into()),
        },
        "System.Single" => match lower.as_str() {
            "nan" => Some(f32::NAN.into()),
            "epsilon" => Some(f32::from_bits(1).into()),
            "positiveinfinity" => Some(f32::INFINITY.into()),
            "negativeinfinity" => Some(f32::NEG_INFINITY.into()),
            _ => limits(f32::MIN.into(), f32::MAX.into()),
        },
        "System.Double" => match lower.as_str() {
            "nan" => Some(f64::NAN.into()),
            "epsilon" => Some(f64::from_bits(1).into()),
            "positiveinfinity" => Some(f64::INFINITY.into()),
            "negativeinfinity" => Some(f64::NEG_INFINITY.into()),
            _ => limits(f64::MIN.into(), f64::MAX.into()),
        },
        "System.Numerics.BigInteger" => Some(Value::BigInt(Arc::new(match lower.as_str() {
            "zero" => 0.into(),
            "one" => 1.into(),
            "minusone" => (-1).into(),
            _ => return Ok(None),
        }))),
        "System.String" if lower == "empty" => Some(Value::string("")),
        "System.Boolean" if lower == "truestring" => Some(Value::string("True")),
        "System.Boolean" if lower == "falsestring" => Some(Value::string("False")),
        "System.Guid" if lower == "empty" => Some(Uuid::nil().into()),
        "System.Math" | "System.MathF" => match lower.as_str() {
            "pi" => Some(std::f64::consts::PI.into()),
            "e" => Some(std::f64::consts::E.into()),
            "tau" => Some(std::f64::consts::TAU.into()),
            _ => None,
        },
        "System.DateTime" => Some(Value::DateTime(match lower.as_str() {
            "now" => local(engine),
            "utcnow" => now(engine).0,
            "today" => local(engine).date(),
            "minvalue" => DateTime::MIN,
            "maxvalue" => DateTime::MAX,
            "unixepoch" => {
                DateTime::from_date(1970, 1, 1).unwrap_or(DateTime::MIN).with_kind(DateTimeKind::Utc)
            }
            _ => return Ok(None),
        })),
        "System.TimeSpan" => Some(match lower.as_str() {
            "zero" => Value::TimeSpan(TimeSpan::default()),
            "minvalue" => Value::TimeSpan(TimeSpan::from_ticks(i64::MIN)),
            "maxvalue" => Value::TimeSpan(TimeSpan::from_ticks(i64::MAX)),
            "ticksperday" => Value::Int64(864_000_000_000),
            "ticksperhour" => Value::Int64(36_000_000_000),
            "ticksperminute" => Value::Int64(600_000_000),
            "tickspersecond" => Value::Int64(10_000_000),
            "tickspermillisecond" => Value::Int64(10_000),
            _ => return Ok(None),
        }),
        "System.Environment" => Some(match lower.as_str() {
            "newline" => Value::string("\n"),
            "username" => Value::from(env(engine, "USER")),
            "machinename" | "userdomainname" => Value::from(env(engine, "HOSTNAME")),
            "is64bitprocess" | "is64bitoperatingsystem" => Value::Bool(true),
            "hasshutdownstarted" => Value::Bool(false),
            "tickcount64" => Value::Int64(engine.system().monotonic().as_millis() as i64),
            "tickcount" => Value::Int32(engine.system().monotonic().as_millis() as i32),
            _ => return Ok(None),
        }),
        "System.IO.Path" => Some(match lower.as_str() {
            "directoryseparatorchar" | "altdirectoryseparatorchar" | "volumeseparatorchar" => {
                Value::Char(u16::from(b'/'))
            }
            "pathseparator" => Value::Char(u16::from(b':')),
            _ => return Ok(None),
        }),
        "System.StringComparer" => Some(Value::custom_typed(
            "System.StringComparer",
            [("IgnoreCase", Value::Bool(lower.ends_with("ignorecase")))],
        )),
        "System.Globalization.CultureInfo" => Some(Value::string(match lower.as_str() {
            "invariantculture" => "",
            "currentculture" | "currentuiculture" => "en-US",
            _ => return Ok(None),
        })),
        "System.DBNull" if lower == "value" => Some(Value::Null),
        "System.Management.Automation.Internal.AutomationNull" if lower == "value" => Some(Value::Empty),
        _ => None,
    })
}

/// Writes a static member.
pub fn static_set(
    kind: &TypeRef,
    name: &str,
    value: &Value,
    engine: &mut dyn Callbacks,
) -> Result<(), Error> {
    match engine.static_set(kind, name, value) {
        Some(result) => result,
        None => Err(Error::runtime(
            "PropertyAssignmentException",
            ErrorCategory::InvalidOperation,
            format!(
                "The property '{name}' cannot be found on this object. Verify that the property exists and can be set."
            ),
        )),
    }
}

/// Calls a static method; `new` calls a constructor.
pub fn static_invoke(
    kind: &TypeRef,
    name: &str,
    args: &[Value],
    engine: &mut dyn Callbacks,
) -> Result<Value, Error> {
    let lower = name.to_ascii_lowercase();
    if let Some(result) = engine.static_invoke(kind, name, args) {
        return result.map_err(|e| method_error(name, args.len(), e));
    }
    if lower == "new" {
        return construct(kind, args, engine);
    }
    let made = match kind.full_name() {
        "System.Math" | "System.MathF" => math(&lower, args, engine),
        "System.String" => string(&lower, args, engine),
        "System.DateTime" => date(&lower, args, engine),
        "System.TimeSpan" => span(&lower, args, engine),
        "System.Convert" => convert_class(&lower, args, engine),
        "System.Text.RegularExpressions.Regex" => regex(&lower, args, engine),
        "System.IO.Path" => path(&lower, args, engine),
        "System.Array" => array(&lower, args, engine),
        "System.Enum" => enums(&lower, args, engine),
        "System.Char" => char_class(&lower, args),
        "System.Guid" => guid(&lower, args, engine),
        "System.Object" => match (lower.as_str(), args) {
            ("referenceequals" | "equals", [a, b]) => Ok(Some(Value::Bool(a.same(b)))),
            _ => Ok(None),
        },
        _ => Ok(None),
    };
    let made = match made {
        Ok(None) => parse_methods(kind, &lower, args, engine),
        other => other,
    };
    match made {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err(Error::runtime(
            "MethodNotFound",
            ErrorCategory::InvalidOperation,
            format!(
                "Method invocation failed because [{}] does not contain a method named '{name}'.",
                kind.full_name()
            ),
        )),
        Err(error) => Err(method_error(name, args.len(), error)),
    }
}

type Found = Result<Option<Value>, Error>;

/// `Parse`, `TryParse` and comparison of scalar types.
fn parse_methods(kind: &TypeRef, name: &str, args: &[Value], engine: &mut dyn Callbacks) -> Found {
    match name {
        "parse" => {
            let text = text_arg(args, 0);
            let hex = args.get(1).is_some_and(|a| to_text(a).to_ascii_lowercase().contains("hex"));
            if hex && let Some(n) = crate::number::scan_number(&format!("0x{text}")) {
                return convert_to(&n, kind, engine).map(Some);
            }
            if crate::convert::to_number(&Value::Int32(0), kind.full_name()).is_some()
                && !matches!(kind.full_name(), "System.String" | "System.Boolean")
                && kind.is_value_type()
                && text.trim().is_empty()
            {
                return Err(Error::dotnet(
                    "System.FormatException",
                    format!("The input string '{text}' was not in a correct format."),
                ));
            }
            if kind.is("System.Decimal")
                && let Ok(number) = text.trim().replace(',', "").parse::<Decimal>()
            {
                return Ok(Some(Value::Decimal(number)));
            }
            if kind.is("System.Boolean") {
                return match text.trim().to_ascii_lowercase().as_str() {
                    "true" => Ok(Some(Value::Bool(true))),
                    "false" => Ok(Some(Value::Bool(false))),
                    _ => Err(Error::dotnet(
                        "System.FormatException",
                        format!("String '{text}' was not recognized as a valid Boolean."),
                    )),
                };
            }
            let strict_int = kind.full_name().contains(".Int")
                || kind.full_name().contains(".UInt")
                || kind.is("System.Byte");
            if strict_int && crate::number::parse_integer(&text).is_none() {
                return Err(Error::dotnet(
                    "System.FormatException",
                    format!("The input string '{text}' was not in a correct format."),
                ));
            }
            convert_to(&Value::from(text), kind, engine).map(Some).map_err(inner)
        }
        "tryparse" => {
            let text = text_arg(args, 0);
            let attempt = match kind.full_name() {
                n if (n.contains(".Int") || n.contains(".UInt"))
                    && crate::number::parse_integer(&text).is_none() =>
                {
                    Err(())
                }
                "System.Boolean" => match text.trim().to_ascii_lowercase().as_str() {
                    "true" => Ok(Value::Bool(true)),
                    "false" => Ok(Value::Bool(false)),
                    _ => Err(()),
                },
                "System.Double" | "System.Decimal" | "System.Single"
                    if crate::number::parse_double(&text).is_none() =>
                {
                    Err(())
                }
                _ => convert_to(&Value::from(text), kind, engine).map_err(|_| ()),
            };
            let fallback = convert_to(&Value::Int32(0), kind, engine).unwrap_or_default();
            if let Some(Value::Native(target)) = args.last().map(Value::base) {
                let _ = target.set("Value", attempt.clone().unwrap_or(fallback));
            }
            Ok(Some(Value::Bool(attempt.is_ok())))
        }
        "equals" if args.len() == 2 => Ok(Some(Value::Bool(args[0].same(&args[1])))),
        "isnan" => Ok(Some(Value::Bool(args.first().and_then(to_f64).is_some_and(f64::is_nan)))),
        "isinfinity" => Ok(Some(Value::Bool(args.first().and_then(to_f64).is_some_and(f64::is_infinite)))),
        "pow" if kind.is("System.Numerics.BigInteger") => {
            let base = convert_arg(args, 0, "value", "Pow", "System.Numerics.BigInteger", engine)?;
            let power = args.get(1).and_then(to_i64).and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
            match base {
                Value::BigInt(n) if power <= 100_000 => Ok(Some(Value::BigInt(Arc::new(n.pow(power))))),
                _ => Ok(None),
            }
        }
        "round" | "floor" | "ceiling" | "truncate" if kind.is("System.Decimal") => math(name, args, engine),
        "isnullorempty" => Ok(None),
        "create" if kind.is("System.Management.Automation.ScriptBlock") => Ok(None),
        _ => Ok(None),
    }
}

/// The exception inside a conversion error: what the .NET member itself would throw.
fn inner(error: Error) -> Error {
    match error.exception().and_then(|e| e.inner()).cloned() {
        Some(inner) => Error::dotnet(inner.type_name(), &**inner.message()),
        None => error,
    }
}

fn math(name: &str, args: &[Value], engine: &mut dyn Callbacks) -> Found {
    let shown = match name {
        "sqrt" => "Sqrt",
        "round" => "Round",
        "max" => "Max",
        "min" => "Min",
        "abs" => "Abs",
        "pow" => "Pow",
        "floor" => "Floor",
        "ceiling" => "Ceiling",
        other => other,
    };
    let mut f = |at: usize, p: &str| -> Result<f64, Error> {
        convert_arg(args, at, p, shown, "System.Double", engine).map(|v| to_f64(&v).unwrap_or(0.0))
    };
    let first = args.first().map(|a| a.base().clone()).unwrap_or_default();
    let one = |f: fn(f64) -> f64, x: f64| Ok(Some(Value::Double(f(x))));
    Ok(Some(match name {
        "sqrt" => return one(f64::sqrt, f(0, "d")?),
        "cbrt" => return one(f64::cbrt, f(0, "d")?),
        "sin" => return one(f64::sin, f(0, "a")?),
        "cos" => return one(f64::cos, f(0, "d")?),
        "tan" => return one(f64::tan, f(0, "a")?),
        "asin" => return one(f64::asin, f(0, "d")?),
        "acos" => return one(f64::acos, f(0, "d")?),
        "atan" => return one(f64::atan, f(0, "d")?),
        "exp" => return one(f64::exp, f(0, "d")?),
        "log10" => return one(f64::log10, f(0, "d")?),
        "log2" => return one(f64::log2, f(0, "x")?),
        "log" => {
            let x = f(0, "d")?;
            Value::Double(if args.len() > 1 { x.ln() / f(1, "newBase")?.ln() } else { x.ln() })
        }
        "atan2" => Value::Double(f(0, "y")?.atan2(f(1, "x")?)),
        "pow" => Value::Double(f(0, "x")?.powf(f(1, "y")?)),
        "floor" | "ceiling" | "truncate" => match first {
            Value::Decimal(d) => Value::Decimal(match name {
                "floor" => d.floor(),
                "ceiling" => d.ceil(),
                _ => d.trunc(),
            }),
            _ => {
                let x = f(0, "d")?;
                Value::Double(match name {
                    "floor" => x.floor(),
                    "ceiling" => x.ceil(),
                    _ => x.trunc(),
                })
            }
        },
        "round" => {
            let mode_at = args.len().saturating_sub(1);
            let away = args.get(mode_at).is_some_and(|a| {
                matches!(a, Value::Enum(_, 1))
                    || (mode_at > 0 && to_text(a).eq_ignore_ascii_case("AwayFromZero"))
            });
            let has_mode = args.len() > 1 && (matches!(args.get(mode_at), Some(Value::Enum(..))) || away);
            let digits = if args.len() == 3 || (args.len() == 2 && !has_mode) {
                super::int_arg(args, 1, "digits", "Round", engine)?
            } else {
                0
            };
            match first {
                Value::Decimal(d) => {
                    use rust_decimal::RoundingStrategy::{MidpointAwayFromZero, MidpointNearestEven};
                    let how = if away { MidpointAwayFromZero } else { MidpointNearestEven };
                    Value::Decimal(d.round_dp_with_strategy(digits.max(0) as u32, how))
                }
                _ => {
                    let x = convert_arg(args, 0, "a", "Round", "System.Double", engine)
                        .map(|v| to_f64(&v).unwrap_or(0.0))?;
                    let power = 10f64.powi(digits as i32);
                    let scaled = x * power;
                    let rounded = if away { scaled.round() } else { scaled.round_ties_even() };
                    Value::Double(if scaled.is_finite() { rounded / power } else { x })
                }
            }
        }
        "abs" => match first {
            Value::Decimal(d) => Value::Decimal(d.abs()),
            Value::Double(x) => Value::Double(x.abs()),
            Value::Single(x) => Value::Single(x.abs()),
            Value::Int64(n) => Value::Int64(n.wrapping_abs()),
            other if other.as_integer().is_some() => {
                Value::Int32(other.as_integer().unwrap_or(0).abs() as i32)
            }
            _ => Value::Double(f(0, "value")?.abs()),
        },
        "sign" => Value::Int32(f(0, "value")?.partial_cmp(&0.0).map_or(0, |o| o as i32)),
        "max" | "min" => {
            if args.len() != 2 {
                return Err(no_overload(shown, args.len()));
            }
            let (a, b) = (args[0].base().clone(), args[1].base().clone());
            let keep = |v: &Value| !matches!(v, Value::String(_));
            let (a, b) = if keep(&a) && keep(&b) {
                (a, b)
            } else {
                (Value::Double(f(0, "val1")?), Value::Double(f(1, "val2")?))
            };
            let sum = crate::operators::subtract(&a, &b, engine)?;
            let kind = if matches!(a, Value::Double(_)) || matches!(b, Value::Double(_)) {
                TypeRef::named("System.Double")
            } else {
                sum.type_ref().unwrap_or_else(TypeRef::object)
            };
            let first_wins = (compare_for_sort(&a, &b) == std::cmp::Ordering::Greater) == (name == "max");
            convert_to(if first_wins { &a } else { &b }, &kind, engine)?
        }
        "divrem" => {
            let (a, b) = (to_i64(&first).unwrap_or(0), args.get(1).and_then(to_i64).unwrap_or(0));
            if b == 0 {
                return Err(Error::dotnet("System.DivideByZeroException", "Attempted to divide by zero."));
            }
            Value::array(vec![Value::Int64(a / b), Value::Int64(a % b)])
        }
        "clamp" => {
            let low = compare_for_sort(&args[0], args.get(1).unwrap_or(&Value::Null)).is_lt();
            let high = compare_for_sort(&args[0], args.get(2).unwrap_or(&Value::Null)).is_gt();
            args.get(if low {
                1
            } else if high {
                2
            } else {
                0
            })
            .cloned()
            .unwrap_or_default()
        }
        _ => return Ok(None),
    }))
}

fn string(name: &str, args: &[Value], engine: &mut dyn Callbacks) -> Found {
    let first = text_arg(args, 0);
    Ok(Some(match name {
        "isnullorempty" => Value::Bool(first.is_empty()),
        "isnullorwhitespace" => Value::Bool(first.trim().is_empty()),
        "join" => {
            let items: Vec<Value> = match args.get(1..) {
                Some([one]) => one.clone().into_items(),
                Some(several) => several.to_vec(),
                None => Vec::new(),
            };
            Value::from(items.iter().map(to_text).collect::<Vec<_>>().join(&first))
        }
        "concat" => {
            let items: Vec<Value> = args.iter().flat_map(|a| a.clone().into_items()).collect();
            Value::from(items.iter().map(to_text).collect::<String>())
        }
        "format" => {
            let list: Vec<Value> = match args.get(1..) {
                Some([one]) => one.clone().into_items(),
                Some(several) => several.to_vec(),
                None => Vec::new(),
            };
            Value::from(format_composite(&first, &list, Some(engine))?)
        }
        "compare" | "compareordinal" => {
            let second = text_arg(args, 1);
            let fold =
                args.get(2).is_some_and(|a| to_bool(a) && !matches!(a, Value::Enum(_, n) if n % 2 == 0));
            Value::Int32(if name == "compareordinal" {
                first.cmp(&second) as i32
            } else {
                crate::operators::compare_text(&first, &second, fold) as i32
            })
        }
        "equals" => {
            let second = text_arg(args, 1);
            let fold = args.get(2).is_some_and(|a| to_text(a).ends_with("IgnoreCase"));
            Value::Bool(first == second || (fold && first.to_lowercase() == second.to_lowercase()))
        }
        "copy" | "intern" => Value::from(first),
        _ => return Ok(None),
    }))
}

fn date(name: &str, args: &[Value], engine: &mut dyn Callbacks) -> Found {
    let (current, offset) = now(engine);
    let number = |at: usize| args.get(at).and_then(to_i64).unwrap_or(0);
    Ok(Some(match name {
        "parse" => Value::DateTime(parse_datetime(&text_arg(args, 0), current, offset)?),
        "parseexact" => {
            let formats = args.get(1).cloned().unwrap_or_default().into_items();
            let mut last = None;
            for format in formats {
                match parse_exact(&text_arg(args, 0), &to_text(&format), current, offset) {
                    Ok(date) => return Ok(Some(Value::DateTime(date))),
                    Err(error) => last = Some(error),
                }
            }
            return Err(last.unwrap_or_else(|| no_overload("ParseExact", args.len())));
        }
        "tryparse" | "tryparseexact" => {
            let text = text_arg(args, 0);
            let result = if name == "tryparse" {
                parse_datetime(&text, current, offset)
            } else {
                parse_exact(&text, &text_arg(args, 1), current, offset)
            };
            if let Some(Value::Native(target)) = args.last().map(Value::base) {
                let _ = target.set("Value", Value::DateTime(*result.as_ref().unwrap_or(&DateTime::MIN)));
            }
            Value::Bool(result.is_ok())
        }
        "isleapyear" => Value::Bool(DateTime::from_date(number(0) as i32, 2, 29).is_some()),
        "daysinmonth" => Value::Int32(
            (28..=31u32)
                .rev()
                .find(|d| DateTime::from_date(number(0) as i32, number(1) as u32, *d).is_some())
                .unwrap_or(0) as i32,
        ),
        "specifykind" => match args.first().map(Value::base) {
            Some(Value::DateTime(d)) => {
                Value::DateTime(d.with_kind(match args.get(1).map(to_text).as_deref() {
                    Some("Utc") => DateTimeKind::Utc,
                    Some("Local") => DateTimeKind::Local,
                    _ => DateTimeKind::Unspecified,
                }))
            }
            _ => return Ok(None),
        },
        "fromfiletime" | "fromfiletimeutc" => Value::DateTime(
            DateTime::from_ticks(number(0) + 504_911_232_000_000_000, DateTimeKind::Utc)
                .unwrap_or(DateTime::MIN),
        ),
        "compare" => Value::Int32(compare_for_sort(&args[0], args.get(1).unwrap_or(&Value::Null)) as i32),
        _ => return Ok(None),
    }))
}

fn span(name: &str, args: &[Value], engine: &mut dyn Callbacks) -> Found {
    let unit = match name {
        "fromdays" => 86_400.0,
        "fromhours" => 3600.0,
        "fromminutes" => 60.0,
        "fromseconds" => 1.0,
        "frommilliseconds" => 0.001,
        "fromticks" => {
            return Ok(Some(Value::TimeSpan(TimeSpan::from_ticks(
                args.first().and_then(to_i64).unwrap_or(0),
            ))));
        }
        "parse" => return parse_timespan(&text_arg(args, 0)).map(|t| Some(Value::TimeSpan(t))),
        _ => return Ok(None),
    };
    let n =
        convert_arg(args, 0, "value", name, "System.Double", engine).map(|v| to_f64(&v).unwrap_or(0.0))?;
    TimeSpan::from_seconds(n * unit).map(|t| Some(Value::TimeSpan(t))).ok_or_else(|| {
        Error::dotnet("System.OverflowException", "TimeSpan overflowed because the duration is too long.")
    })
}

fn convert_class(name: &str, args: &[Value], engine: &mut dyn Callbacks) -> Found {
    let bytes = |at: usize| -> Vec<u8> {
        args.get(at)
            .cloned()
            .unwrap_or_default()
            .into_items()
            .iter()
            .filter_map(|v| v.as_integer().map(|n| n as u8))
            .collect()
    };
    let radix = args.get(1).and_then(to_i64).filter(|r| matches!(r, 2 | 8 | 10 | 16)).map(|r| r as u32);
    let target = match name {
        "tobase64string" => return Ok(Some(Value::from(base64(&bytes(0))))),
        "frombase64string" => {
            return match unbase64(&text_arg(args, 0)) {
                Some(b) => Ok(Some(Value::bytes(&b))),
                None => Err(Error::dotnet(
                    "System.FormatException",
                    "The input is not a valid Base-64 string as it contains a non-base 64 character, more than two padding characters, or an illegal character among the padding characters.",
                )),
            };
        }
        "tohexstring" => {
            return Ok(Some(Value::from(bytes(0).iter().map(|b| format!("{b:02X}")).collect::<String>())));
        }
        "fromhexstring" => {
            let text = text_arg(args, 0);
            let list: Option<Vec<u8>> = (0..text.len())
                .step_by(2)
                .map(|i| u8::from_str_radix(text.get(i..i + 2)?, 16).ok())
                .collect();
            return Ok(list.map(|b| Value::bytes(&b)));
        }
        "tostring" => {
            return Ok(Some(match (args.first().and_then(Value::as_integer), radix) {
                (Some(n), Some(2)) => Value::from(format!(
                    "{:b}",
                    n as i64 as u64
                        & if matches!(args[0].base(), Value::Int64(_)) {
                            u64::MAX
                        } else {
                            u64::from(u32::MAX)
                        }
                )),
                (Some(n), Some(16)) => Value::from(format!(
                    "{:x}",
                    n as i64 as u64
                        & if matches!(args[0].base(), Value::Int64(_)) {
                            u64::MAX
                        } else {
                            u64::from(u32::MAX)
                        }
                )),
                (Some(n), Some(8)) => Value::from(format!("{:o}", n as u32)),
                _ => Value::from(text_arg(args, 0)),
            }));
        }
        "toint32" => "System.Int32",
        "toint64" => "System.Int64",
        "toint16" => "System.Int16",
        "touint16" => "System.UInt16",
        "touint32" => "System.UInt32",
        "touint64" => "System.UInt64",
        "tobyte" => "System.Byte",
        "tosbyte" => "System.SByte",
        "todouble" => "System.Double",
        "tosingle" => "System.Single",
        "todecimal" => "System.Decimal",
        "toboolean" => "System.Boolean",
        "tochar" => "System.Char",
        "todatetime" => "System.DateTime",
        "changetype" => {
            return match args.get(1).map(Value::base) {
                Some(Value::Type(t)) => convert_to(&args[0], t, engine).map(Some).map_err(inner),
                _ => Ok(None),
            };
        }
        _ => return Ok(None),
    };
    if let (Some(radix), Some(Value::String(text))) =
        (radix.filter(|r| *r != 10), args.first().map(Value::base))
    {
        let digits = text.trim_start_matches("0x").trim_start_matches("0X");
        let n = i128::from_str_radix(digits, radix).map_err(|_| {
            Error::dotnet("System.FormatException", "Could not find any recognizable digits.")
        })?;
        return Ok(Some(match target {
            "System.Int32" => Value::Int32(n as i32),
            "System.Int64" => Value::Int64(n as i64),
            "System.Byte" => Value::Byte(n as u8),
            "System.UInt32" => Value::UInt32(n as u32),
            _ => convert_to(&Value::Int64(n as i64), &TypeRef::named(target), engine)?,
        }));
    }
    convert_to(args.first().unwrap_or(&Value::Null), &TypeRef::named(target), engine).map(Some).map_err(inner)
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let n = chunk.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            if i <= chunk.len() {
                let at = (n >> (18 - 6 * i)) & 63;
                out.push(ALPHABET.get(at as usize).copied().map_or('=', char::from));
            } else {
                out.push('=');
            }
        }
    }
    out
}

fn unbase64(text: &str) -> Option<Vec<u8>> {
    let clean: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    if !clean.len().is_multiple_of(4) {
        return None;
    }
    let mut out = Vec::new();
    for chunk in clean.chunks(4) {
        let pad = chunk.iter().rev().take_while(|b| **b == b'=').count();
        if pad > 2 {
            return None;
        }
        let mut n = 0u32;
        for b in chunk.iter().take(4 - pad) {
            n = n << 6 | ALPHABET.iter().position(|a| a == b)? as u32;
        }
        n <<= 6 * pad;
        out.extend(n.to_be_bytes().iter().skip(1).take(3 - pad));
    }
    Some(out)
}

fn regex(name: &str, args: &[Value], engine: &mut dyn Callbacks) -> Found {
    match name {
        "escape" => return Ok(Some(Value::from(escape(&text_arg(args, 0))))),
        "unescape" => return Ok(Some(Value::from(unescape(&text_arg(args, 0))))),
        _ => {}
    }
    let kind = enum_type("System.Text.RegularExpressions.RegexOptions");
    let mut flags = 0;
    let mut rest: Vec<Value> = args.get(2..).unwrap_or(&[]).to_vec();
    let position = if name == "replace" { 1 } else { 0 };
    if let (Some(kind), Some(option)) = (kind, rest.get(position).cloned())
        && (matches!(option, Value::Enum(..)) || option.as_str().is_some())
        && let Ok(Value::Enum(_, n)) = convert::enum_from(&option, &kind)
    {
        flags = n;
        rest.remove(position);
    }
    let regex = Regex::cached(&text_arg(args, 1), flags)?;
    super::objects::regex_method(&regex, name, &text_arg(args, 0), &rest, engine).transpose()
}

fn path(name: &str, args: &[Value], engine: &mut dyn Callbacks) -> Found {
    let first = text_arg(args, 0);
    let file = first.rsplit('/').next().unwrap_or("").to_owned();
    let dot = file.rfind('.').filter(|i| *i + 1 < file.len() || file.ends_with('.'));
    Ok(Some(match name {
        "getfilename" => Value::from(file),
        "getextension" => {
            Value::string(dot.filter(|i| *i + 1 < file.len()).and_then(|i| file.get(i..)).unwrap_or(""))
        }
        "getfilenamewithoutextension" => Value::string(dot.and_then(|i| file.get(..i)).unwrap_or(&file)),
        "getdirectoryname" => match first.rfind('/') {
            Some(0) if first.len() > 1 => Value::string("/"),
            Some(0) => Value::Null,
            Some(i) => Value::string(first.get(..i).unwrap_or("")),
            None => Value::string(""),
        },
        "combine" | "join" => {
            let mut out = String::new();
            for part in args.iter().flat_map(|a| a.clone().into_items()) {
                let part = to_text(&part);
                if part.starts_with('/') && name == "combine" {
                    out.clear();
                }
                if !out.is_empty() && !out.ends_with('/') && !part.is_empty() {
                    out.push('/');
                }
                out.push_str(&part);
            }
            Value::from(out)
        }
        "changeextension" => {
            let stem = match dot {
                Some(i) => first.get(..first.len() - file.len() + i).unwrap_or("").to_owned(),
                None => first.clone(),
            };
            let extension = text_arg(args, 1);
            Value::from(if extension.is_empty() {
                stem
            } else if extension.starts_with('.') {
                format!("{stem}{extension}")
            } else {
                format!("{stem}.{extension}")
            })
        }
        "hasextension" => Value::Bool(dot.is_some()),
        "ispathrooted" | "ispathfullyqualified" => Value::Bool(first.starts_with('/')),
        "getpathroot" => Value::string(if first.starts_with('/') { "/" } else { "" }),
        "gettemppath" => Value::from(
            engine
                .system()
                .env("TMPDIR")
                .map_or("/tmp/".to_owned(), |t| format!("{}/", t.trim_end_matches('/'))),
        ),
        "getinvalidfilenamechars" => Value::typed_array(
            TypeRef::named("System.Char"),
            vec![Value::Char(0), Value::Char(u16::from(b'/'))],
        ),
        "getinvalidpathchars" => Value::typed_array(TypeRef::named("System.Char"), vec![Value::Char(0)]),
        "getrandomfilename" => {
            let mut bytes = [0u8; 11];
            engine.system().random(&mut bytes);
            let text: String = bytes
                .iter()
                .map(|b| char::from(b"abcdefghijklmnopqrstuvwxyz012345"[(*b % 32) as usize]))
                .collect();
            Value::from(format!("{}.{}", text.get(..8).unwrap_or(""), text.get(8..).unwrap_or("")))
        }
        _ => return Ok(None),
    }))
}

fn array(name: &str, args: &[Value], engine: &mut dyn Callbacks) -> Found {
    if name == "empty" {
        return Ok(Some(Value::array(Vec::new())));
    }
    if name == "createinstance" {
        if let (Some(Value::Type(t)), Some(n)) = (args.first().map(Value::base), args.get(1).and_then(to_i64))
        {
            return construct(&t.array(1), &[Value::Int64(n)], engine).map(Some);
        }
        return Ok(None);
    }
    let Some(Value::Array(target)) = args.first().map(Value::base) else { return Ok(None) };
    Ok(Some(match name {
        "sort" => {
            target.items_mut().sort_by(compare_for_sort);
            Value::Empty
        }
        "reverse" => {
            target.items_mut().reverse();
            Value::Empty
        }
        "indexof" => {
            let wanted = args.get(1).cloned().unwrap_or_default();
            Value::Int32(target.to_vec().iter().position(|i| i.same(&wanted)).map_or(-1, |i| i as i32))
        }
        "fill" => {
            let value = args.get(1).cloned().unwrap_or_default();
            target.items_mut().iter_mut().for_each(|i| *i = value.clone());
            Value::Empty
        }
        "copy" => {
            if let Some(Value::Array(to)) = args.get(1).map(Value::base) {
                let n = args.get(2).and_then(to_i64).unwrap_or(0).max(0) as usize;
                for (i, item) in target.to_vec().into_iter().take(n).enumerate() {
                    to.set(i, item);
                }
            }
            Value::Empty
        }
        _ => return Ok(None),
    }))
}

fn enums(name: &str, args: &[Value], engine: &mut dyn Callbacks) -> Found {
    let kind = match args.first().map(Value::base) {
        Some(Value::Type(t)) => t.clone(),
        Some(other) => match super::find_type(&to_text(other), &[], engine) {
            Some(t) => t,
            None => return Ok(None),
        },
        None => return Ok(None),
    };
    let TypeKind::Enum(e) = kind.kind() else {
        return Err(Error::dotnet(
            "System.ArgumentException",
            "Type provided must be an Enum. (Parameter 'enumType')",
        ));
    };
    let mut sorted: Vec<&(Arc<str>, i64)> = e.members().iter().collect();
    sorted.sort_by_key(|(_, n)| *n as u64);
    Ok(Some(match name {
        "getnames" => Value::strings(sorted.iter().map(|(n, _)| &**n)),
        "getvalues" => Value::typed_array(
            kind.clone(),
            sorted.iter().map(|(_, n)| Value::Enum(Arc::clone(e), *n)).collect(),
        ),
        "isdefined" => Value::Bool(match args.get(1).map(Value::base) {
            Some(Value::String(s)) => e.members().iter().any(|(n, _)| **n == **s),
            Some(other) => {
                other.as_integer().is_some_and(|i| e.members().iter().any(|(_, n)| i128::from(*n) == i))
            }
            None => false,
        }),
        "parse" => convert::enum_from(args.get(1).unwrap_or(&Value::Null), e).map_err(|_| {
            Error::dotnet(
                "System.ArgumentException",
                format!("Requested value '{}' was not found.", text_arg(args, 1)),
            )
        })?,
        "toobject" => Value::Enum(Arc::clone(e), args.get(1).and_then(to_i64).unwrap_or(0)),
        "getname" => {
            let n = args.get(1).and_then(to_i64).unwrap_or(0);
            e.members()
                .iter()
                .find(|(_, v)| *v == n)
                .map_or(Value::Null, |(name, _)| Value::String(Arc::clone(name)))
        }
        _ => return Ok(None),
    }))
}

fn char_class(name: &str, args: &[Value]) -> Found {
    let text = text_arg(args, 0);
    let at = args.get(1).and_then(to_i64).unwrap_or(0).max(0) as usize;
    let Some(c) = text.chars().nth(at) else { return Ok(None) };
    Ok(Some(match name {
        "isdigit" | "isnumber" => Value::Bool(c.is_numeric()),
        "isletter" => Value::Bool(c.is_alphabetic()),
        "isletterordigit" => Value::Bool(c.is_alphanumeric()),
        "isupper" => Value::Bool(c.is_uppercase()),
        "islower" => Value::Bool(c.is_lowercase()),
        "iswhitespace" => Value::Bool(c.is_whitespace()),
        "iscontrol" => Value::Bool(c.is_control()),
        "ispunctuation" => Value::Bool(c.is_ascii_punctuation() && !"$+<=>^`|~".contains(c)),
        "issymbol" => Value::Bool("$+<=>^`|~".contains(c)),
        "toupper" | "toupperinvariant" => first_unit(&c.to_uppercase().to_string()),
        "tolower" | "tolowerinvariant" => first_unit(&c.to_lowercase().to_string()),
        "getnumericvalue" => Value::Double(c.to_digit(10).map_or(-1.0, f64::from)),
        "tostring" => Value::from(c.to_string()),
        _ => return Ok(None),
    }))
}

fn first_unit(text: &str) -> Value {
    text.encode_utf16().next().map_or(Value::Null, Value::Char)
}

fn guid(name: &str, args: &[Value], engine: &mut dyn Callbacks) -> Found {
    Ok(Some(match name {
        "newguid" => {
            let mut bytes = [0u8; 16];
            engine.system().random(&mut bytes);
            Value::Guid(uuid::Builder::from_random_bytes(bytes).into_uuid())
        }
        "parse" => parse_guid(&text_arg(args, 0))?,
        "tryparse" => {
            let parsed = parse_guid(&text_arg(args, 0));
            if let Some(Value::Native(target)) = args.last().map(Value::base) {
                let _ = target.set("Value", parsed.clone().unwrap_or(Value::Guid(Uuid::nil())));
            }
            Value::Bool(parsed.is_ok())
        }
        _ => return Ok(None),
    }))
}

fn parse_guid(text: &str) -> Result<Value, Error> {
    let plain = text.trim();
    let plain = plain.strip_prefix('(').and_then(|t| t.strip_suffix(')')).unwrap_or(plain);
    Uuid::parse_str(plain)
        .map(Value::Guid)
        .map_err(|_| Error::dotnet("System.FormatException", "Unrecognized Guid format."))
}

fn parse_version(text: &str) -> Result<Value, Error> {
    let parts: Vec<&str> = text.trim().split('.').collect();
    if parts.len() < 2 || parts.len() > 4 {
        return Err(Error::dotnet(
            "System.ArgumentException",
            "Version string portion was too short or too long. (Parameter 'input')",
        ));
    }
    let mut numbers = [-1i32; 4];
    for (slot, part) in numbers.iter_mut().zip(&parts) {
        *slot = part.trim().parse::<i32>().ok().filter(|n| *n >= 0).ok_or_else(|| {
            Error::dotnet(
                "System.FormatException",
                format!("The input string '{part}' was not in a correct format."),
            )
        })?;
    }
    Ok(Value::Version(Arc::new(numbers)))
}

/// Converts through a constructor or `Parse` of the target type; `None` when the type has neither for the value.
pub fn convert_native(
    value: &Value,
    target: &TypeRef,
    engine: &mut dyn Callbacks,
) -> Option<Result<Value, Error>> {
    let text = value.as_str().map(str::to_owned);
    match (target.full_name(), text) {
        ("System.Guid", Some(text)) => Some(parse_guid(&text)),
        ("System.Version", Some(text)) => Some(parse_version(&text)),
        ("System.Uri", Some(text)) => Some(Uri::parse(&text).map(Value::native)),
        ("System.Text.RegularExpressions.Regex", Some(text)) => {
            Some(Regex::cached(&text, 0).map(|r| Value::native(RegexObject(r))))
        }
        ("System.Globalization.CultureInfo", Some(_)) => Some(Ok(value.clone())),
        ("System.Version", None) => match value.base() {
            Value::Double(_) | Value::Decimal(_) => Some(parse_version(&to_text(value))),
            _ => None,
        },
        (name, _) if crate::value::exception_type(name).is_some() && value.as_str().is_some() => {
            Some(construct(target, std::slice::from_ref(value), engine))
        }
        (_, Some(_)) => engine
            .static_invoke(target, "Parse", std::slice::from_ref(value))
            .or_else(|| engine.static_invoke(target, "new", std::slice::from_ref(value))),
        _ => engine.static_invoke(target, "new", std::slice::from_ref(value)),
    }
}

/// Calls a constructor.
pub fn construct(kind: &TypeRef, args: &[Value], engine: &mut dyn Callbacks) -> Result<Value, Error> {
    if let Some(result) = engine.static_invoke(kind, "new", args) {
        return result;
    }
    constructed(kind, args, engine)
        .and_then(|made| made.ok_or_else(|| no_overload(&kind.name(), args.len())))
        .map_err(|error| method_error(".ctor", args.len(), error))
}

fn constructed(kind: &TypeRef, args: &[Value], engine: &mut dyn Callbacks) -> Found {
    let int = |at: usize| args.get(at).and_then(to_i64).unwrap_or(0);
    let name = kind.full_name();
    if let TypeKind::Array(element, _) = kind.kind() {
        let length = usize::try_from(int(0)).unwrap_or(0).min(1 << 26);
        let default = if element.is_value_type() {
            convert_to(&Value::Null, element, engine).unwrap_or_default()
        } else {
            Value::Null
        };
        if args.len() > 1 {
            let dimensions: Vec<usize> =
                (0..args.len()).map(|i| usize::try_from(int(i)).unwrap_or(0)).collect();
            let total = dimensions.iter().product::<usize>().min(1 << 26);
            return Ok(Some(Value::Array(Arc::new(crate::value::PsArray::multi(
                element.clone(),
                dimensions,
                vec![default; total],
            )))));
        }
        return Ok(Some(Value::typed_array(element.clone(), vec![default; length])));
    }
    if let TypeKind::Generic(definition, arguments) = kind.kind() {
        let short = definition.rsplit('.').next().unwrap_or(definition);
        let fold = args
            .iter()
            .any(|a| matches!(a, Value::Object(o) if o.note("IgnoreCase").is_some_and(|v| to_bool(&v))));
        let items = args.first().and_then(Value::enumerate).unwrap_or_default();
        return Ok(Some(match (short, arguments.as_slice()) {
            ("Dictionary" | "SortedDictionary" | "ConcurrentDictionary" | "SortedList", [k, v]) => {
                let dict_kind = if short.starts_with("Sorted") {
                    DictKind::Sorted(k.clone(), v.clone())
                } else {
                    DictKind::Dictionary(k.clone(), v.clone())
                };
                let dict = PsDict::new(dict_kind, fold);
                if let Some(Value::Dict(from)) = args.first().map(Value::base) {
                    for (key, value) in from.entries() {
                        dict.insert(convert_to(&key, k, engine)?, convert_to(&value, v, engine)?);
                    }
                }
                Value::Dict(Arc::new(dict))
            }
            ("KeyValuePair", [k, v]) => DictEntry::value(
                &DictKind::Dictionary(k.clone(), v.clone()),
                args.first().cloned().unwrap_or_default(),
                args.get(1).cloned().unwrap_or_default(),
            ),
            (_, [t]) => {
                let list_kind = match short {
                    "List" => ListKind::List(t.clone()),
                    "Collection" => ListKind::Collection(t.clone()),
                    "Queue" | "ConcurrentQueue" => ListKind::QueueOf(t.clone()),
                    "Stack" => ListKind::StackOf(t.clone()),
                    "HashSet" => ListKind::HashSet(t.clone(), fold),
                    "SortedSet" => ListKind::SortedSet(t.clone()),
                    "LinkedList" => ListKind::LinkedList(t.clone()),
                    _ => return Ok(None),
                };
                let list = PsList::new(list_kind, Vec::new());
                for item in items {
                    super::list_add(&list, convert_to(&item, t, engine)?);
                }
                Value::List(Arc::new(list))
            }
            _ => return Ok(None),
        }));
    }
    Ok(Some(match name {
        "System.Object" | "System.Management.Automation.PSObject" => {
            Value::custom(Vec::<(String, Value)>::new())
        }
        "System.Collections.ArrayList" => Value::List(Arc::new(PsList::array_list(
            args.first().and_then(Value::enumerate).unwrap_or_default(),
        ))),
        "System.Collections.Queue" => Value::List(Arc::new(PsList::new(
            ListKind::Queue,
            args.first().and_then(Value::enumerate).unwrap_or_default(),
        ))),
        "System.Collections.Stack" => Value::List(Arc::new(PsList::new(
            ListKind::Stack,
            args.first().and_then(Value::enumerate).unwrap_or_default(),
        ))),
        "System.Collections.Hashtable" => {
            // Unlike `@{}`, the class itself compares keys with their case.
            let fold = matches!(args.last(), Some(Value::Object(o)) if o.note("IgnoreCase").is_some_and(|v| to_bool(&v)));
            let dict = PsDict::new(DictKind::Hashtable, fold);
            if let Some(Value::Dict(from)) = args.first().map(Value::base) {
                from.entries().into_iter().for_each(|(k, v)| dict.insert(k, v));
            }
            Value::Dict(Arc::new(dict))
        }
        "System.Collections.Specialized.OrderedDictionary" => {
            Value::Dict(Arc::new(PsDict::new(DictKind::Ordered, false)))
        }
        "System.Collections.SortedList" => Value::Dict(Arc::new(PsDict::new(DictKind::SortedList, false))),
        "System.Collections.DictionaryEntry" => DictEntry::value(
            &DictKind::Hashtable,
            args.first().cloned().unwrap_or_default(),
            args.get(1).cloned().unwrap_or_default(),
        ),
        "System.Text.StringBuilder" => Value::native(StringBuilder::new(&match args.first() {
            Some(v) if v.as_str().is_some() => to_text(v),
            _ => String::new(),
        })),
        "System.String" => match args {
            [c, n] if matches!(c.base(), Value::Char(_) | Value::String(_)) && to_i64(n).is_some() => {
                Value::from(to_text(c).repeat(usize::try_from(int(1)).unwrap_or(0).min(1 << 26)))
            }
            [one] => Value::from(one.clone().into_items().iter().map(to_text).collect::<String>()),
            _ => return Ok(None),
        },
        "System.DateTime" => match args.len() {
            0 => Value::DateTime(DateTime::MIN),
            1 => Value::DateTime(
                DateTime::from_ticks(int(0), DateTimeKind::Unspecified).unwrap_or(DateTime::MIN),
            ),
            n => {
                let part = |at: usize| u32::try_from(int(at)).unwrap_or(u32::MAX);
                let parts = DateParts {
                    year: int(0) as i32,
                    month: part(1),
                    day: part(2),
                    hour: if n > 3 { part(3) } else { 0 },
                    minute: if n > 4 { part(4) } else { 0 },
                    second: if n > 5 { part(5) } else { 0 },
                    fraction: if n > 6 && !matches!(args[6], Value::Enum(..)) {
                        part(6).saturating_mul(10_000)
                    } else {
                        0
                    },
                };
                let kind = match args.last() {
                    Some(Value::Enum(_, 1)) => DateTimeKind::Utc,
                    Some(Value::Enum(_, 2)) => DateTimeKind::Local,
                    _ => DateTimeKind::Unspecified,
                };
                Value::DateTime(DateTime::from_parts(parts, kind).ok_or_else(|| {
                    Error::dotnet(
                        "System.ArgumentOutOfRangeException",
                        "Year, Month, and Day parameters describe an un-representable DateTime.",
                    )
                })?)
            }
        },
        "System.TimeSpan" => {
            let seconds = match args.len() {
                0 => 0,
                1 => return Ok(Some(Value::TimeSpan(TimeSpan::from_ticks(int(0))))),
                3 => int(0) * 3600 + int(1) * 60 + int(2),
                _ => int(0) * 86_400 + int(1) * 3600 + int(2) * 60 + int(3),
            };
            let millis = if args.len() > 4 { int(4) } else { 0 };
            Value::TimeSpan(TimeSpan::from_ticks(seconds * 10_000_000 + millis * 10_000))
        }
        "System.Guid" => match args.first() {
            Some(text) => parse_guid(&to_text(text))?,
            None => Value::Guid(Uuid::nil()),
        },
        "System.Version" => match args {
            [one] => parse_version(&to_text(one))?,
            several if several.len() >= 2 => {
                let mut parts = [-1; 4];
                for (i, slot) in parts.iter_mut().enumerate().take(several.len()) {
                    *slot = int(i) as i32;
                }
                Value::Version(Arc::new(parts))
            }
            _ => Value::Version(Arc::new([0, 0, -1, -1])),
        },
        "System.Uri" => Value::native(Uri::parse(&text_arg(args, 0))?),
        "System.Text.RegularExpressions.Regex" => {
            let flags = match (args.get(1), enum_type("System.Text.RegularExpressions.RegexOptions")) {
                (Some(v), Some(kind)) => match convert::enum_from(v, &kind)? {
                    Value::Enum(_, n) => n,
                    _ => 0,
                },
                _ => 0,
            };
            Value::native(RegexObject(Regex::cached(&text_arg(args, 0), flags)?))
        }
        "System.Decimal" | "System.Int32" | "System.Int64" | "System.Double" => {
            convert_to(args.first().unwrap_or(&Value::Int32(0)), kind, engine)?
        }
        "System.Management.Automation.ErrorRecord" => {
            let exception = match args.first().map(Value::base) {
                Some(Value::Exception(e)) => Arc::clone(e),
                other => Arc::new(Exception::new("System.Exception", other.map(to_text).unwrap_or_default())),
            };
            let category = args
                .get(2)
                .and_then(|c| {
                    ErrorCategory::parse(&to_text(c))
                        .or_else(|| to_i64(c).and_then(ErrorCategory::from_number))
                })
                .unwrap_or_default();
            Value::ErrorRecord(Arc::new(crate::value::ErrorRecord::new(
                exception,
                &text_arg(args, 1),
                category,
                args.get(3).cloned().unwrap_or_default(),
            )))
        }
        "System.Management.Automation.PSNoteProperty" | "System.Management.Automation.PSVariable" => {
            Value::custom_typed(
                name,
                [
                    ("Name", args.first().cloned().unwrap_or_default()),
                    ("Value", args.get(1).cloned().unwrap_or_default()),
                ],
            )
        }
        exception if crate::value::exception_type(exception).is_some() => {
            let message = match args.first() {
                Some(m) => to_text(m),
                None => format!("Exception of type '{exception}' was thrown."),
            };
            let made = Exception::new(exception, message);
            Value::Exception(Arc::new(match args.get(1).map(Value::base) {
                Some(Value::Exception(inner)) => made.with_inner(Arc::clone(inner)),
                Some(Value::String(parameter)) if exception.contains("Argument") => {
                    let text = format!("{} (Parameter '{parameter}')", made.message());
                    Exception::new(exception, text)
                        .with_property("ParamName", Value::String(Arc::clone(parameter)))
                }
                _ => made,
            }))
        }
        _ => {
            let _ = enum_value;
            return Ok(None);
        }
    }))
}
