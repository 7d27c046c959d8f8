//! Texts and numbers: `Join-String`, `ConvertFrom-StringData`, `Get-FileHash`, `Get-Random`, `New-Guid`.

use std::sync::Arc;

use hop_powershell_runtime::command::{Cmdlet, CmdletInfo, CommandTable, ParameterInfo as P, Validator};
use hop_powershell_runtime::context::CmdletContext;
use hop_powershell_runtime::convert::{to_f64, to_text};
use hop_powershell_runtime::flow::Run;
use hop_powershell_runtime::members;
use hop_powershell_runtime::operators::format_composite;
use hop_powershell_runtime::value::{Error, ErrorCategory, PsDict, System, Uuid, Value};
use sha2::Digest;

use super::UTILITY;
use crate::files;

pub(crate) fn register(table: &mut CommandTable) {
    table.add(
        CmdletInfo::new("Join-String", "Microsoft.PowerShell.Commands.JoinStringCommand", UTILITY, || {
            Box::<JoinString>::default()
        })
        .with(P::new("Property", "object").position(0))
        .with(P::new("Separator", "string").position(1).allow_empty())
        .with(P::new("OutputPrefix", "string").alias("op"))
        .with(P::new("OutputSuffix", "string").alias("os"))
        .with(P::switch("SingleQuote"))
        .with(P::switch("DoubleQuote"))
        .with(P::new("FormatString", "string"))
        .with(P::switch("UseCulture"))
        .with(P::new("InputObject", "psobject[]").pipeline()),
    );
    table.add(
        CmdletInfo::new(
            "ConvertFrom-StringData",
            "Microsoft.PowerShell.Commands.ConvertFromStringDataCommand",
            UTILITY,
            || Box::new(FromStringData),
        )
        .with({
            let mut p = P::new("StringData", "string").mandatory().position(0).pipeline();
            p.allow_empty_string = true;
            p
        })
        .with(P::new("Delimiter", "char").position(1)),
    );
    table.add(
        CmdletInfo::new("Get-FileHash", "Microsoft.PowerShell.Commands.GetFileHashCommand", UTILITY, || {
            Box::new(GetFileHash)
        })
        .default_set("Path")
        .with(P::new("Path", "string[]").in_sets(&["Path"]).mandatory().position(0))
        .with(
            P::new("LiteralPath", "string[]")
                .in_sets(&["LiteralPath"])
                .mandatory()
                .by_property()
                .alias("PSPath")
                .alias("LP"),
        )
        .with(P::new("InputStream", "object").in_sets(&["Stream"]).mandatory())
        .with(
            P::new("Algorithm", "string").position(1).one_of(&["SHA1", "SHA256", "SHA384", "SHA512", "MD5"]),
        ),
    );
    for name in ["Get-Random", "Get-SecureRandom"] {
        let class = if name == "Get-Random" {
            "Microsoft.PowerShell.Commands.GetRandomCommand"
        } else {
            "Microsoft.PowerShell.Commands.GetSecureRandomCommand"
        };
        table.add(
            CmdletInfo::new(name, class, UTILITY, || Box::<GetRandom>::default())
                .default_set("RandomNumberParameterSet")
                .with(P::new("SetSeed", "int"))
                .with(P::new("Maximum", "object").in_sets(&["RandomNumberParameterSet"]).position(0))
                .with(P::new("Minimum", "object").in_sets(&["RandomNumberParameterSet"]))
                .with(
                    P::new("InputObject", "object[]")
                        .in_sets(&["RandomListItemParameterSet", "ShuffleParameterSet"])
                        .mandatory()
                        .pipeline()
                        .position(0)
                        .allow_empty(),
                )
                .with(
                    P::new("Count", "int")
                        .validate(Validator::Range(Value::Int32(1), Value::Int32(i32::MAX)))
                        .in_sets(&["RandomNumberParameterSet", "RandomListItemParameterSet"]),
                )
                .with(P::switch("Shuffle").in_sets(&["ShuffleParameterSet"]).mandatory()),
        );
    }
    table.add(
        CmdletInfo::new("New-Guid", "Microsoft.PowerShell.Commands.NewGuidCommand", UTILITY, || {
            Box::new(NewGuid)
        })
        .with(P::switch("Empty"))
        .with(P::new("InputObject", "string").position(0).pipeline()),
    );
}

#[derive(Default)]
struct JoinString {
    parts: Vec<String>,
}

impl Cmdlet for JoinString {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let property = context.arg("Property").cloned();
        for item in context.items("InputObject") {
            let value = match &property {
                Some(block @ Value::ScriptBlock(_)) => {
                    Value::from_output(context.collect_block(block, Some(item.clone()))?)
                }
                Some(name) => {
                    let name = to_text(name);
                    match members::get(&item, &name, context.runspace)? {
                        Some(value) => value,
                        None => continue,
                    }
                }
                None => item.clone(),
            };
            let text = match context.text("FormatString") {
                Some(format) => format_composite(&format, &[value], Some(context.runspace))?,
                None => context.runspace.to_text(&value),
            };
            let text = if context.switch("SingleQuote") {
                format!("'{text}'")
            } else if context.switch("DoubleQuote") {
                format!("\"{text}\"")
            } else {
                text
            };
            self.parts.push(text);
        }
        Ok(())
    }

    fn end(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let separator = match context.text("Separator") {
            Some(separator) => separator,
            None if context.switch("UseCulture") => ",".to_owned(),
            None => {
                let ofs = context.runspace.variable_value("OFS");
                context.runspace.to_text(&ofs)
            }
        };
        let prefix = context.text("OutputPrefix").unwrap_or_default();
        let suffix = context.text("OutputSuffix").unwrap_or_default();
        context.write(format!("{prefix}{}{suffix}", self.parts.join(&separator)))
    }
}

struct FromStringData;

impl Cmdlet for FromStringData {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let text = context.text("StringData").unwrap_or_default();
        let delimiter = match context.arg("Delimiter").map(Value::base) {
            Some(Value::Char(unit)) => char::from_u32(u32::from(*unit)).unwrap_or('='),
            _ => '=',
        };
        let table = PsDict::hashtable();
        for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
            let fault = |message: String| {
                Error::new(
                    "System.Management.Automation.PSInvalidOperationException",
                    "InvalidOperation",
                    ErrorCategory::InvalidOperation,
                    message,
                )
            };
            let Some((name, value)) = line.split_once(delimiter) else {
                let error = fault(format!("Data line '{line}' is not in 'name=value' format. "));
                return Err(context.terminate(error));
            };
            let name = unescape(name.trim());
            if table.get_str(&name).is_some() {
                let error = fault(format!("Data item '{name}' in line '{line}' is already defined. "));
                return Err(context.terminate(error));
            }
            table.insert_str(&name, Value::from(unescape(value.trim())));
        }
        context.write(Value::Dict(Arc::new(table)))
    }
}

/// Backslash escapes, as in .NET's regular expressions.
fn unescape(text: &str) -> String {
    hop_powershell_runtime::regex::unescape(text)
}

struct GetFileHash;

fn hash(algorithm: &str, data: &[u8]) -> String {
    let bytes: Vec<u8> = match algorithm {
        "SHA1" => sha1::Sha1::digest(data).to_vec(),
        "SHA384" => sha2::Sha384::digest(data).to_vec(),
        "SHA512" => sha2::Sha512::digest(data).to_vec(),
        "MD5" => md5::Md5::digest(data).to_vec(),
        _ => sha2::Sha256::digest(data).to_vec(),
    };
    bytes.iter().map(|b| format!("{b:02X}")).collect()
}

impl Cmdlet for GetFileHash {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let algorithm =
            context.text("Algorithm").map_or_else(|| "SHA256".to_owned(), |a| a.to_ascii_uppercase());
        for (text, found) in files::places(context, None)? {
            for place in found {
                let data = if place.exists(context.runspace) {
                    std::fs::read(&place.path)
                } else {
                    Err(std::io::Error::from(std::io::ErrorKind::NotFound))
                };
                match data {
                    Ok(data) => context.write(Value::custom_typed(
                        "Microsoft.PowerShell.Commands.FileHashInfo",
                        [
                            ("Algorithm", Value::string(&algorithm)),
                            ("Hash", Value::from(hash(&algorithm, &data))),
                            ("Path", Value::string(&place.path)),
                        ],
                    ))?,
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                        let _ = &text;
                        let error = place.not_found();
                        let error = Error::new(
                            "System.Management.Automation.ItemNotFoundException",
                            "FileNotFound",
                            ErrorCategory::ObjectNotFound,
                            error.message(),
                        )
                        .with_target(Value::string(&place.path));
                        context.error(Arc::clone(error.record()))?;
                    }
                    Err(error) => {
                        let error = files::io_error(&error, &place.path);
                        context.error(Arc::clone(error.record()))?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct GetRandom {
    items: Vec<Value>,
}

/// A number below a bound, each equally likely.
fn below(system: &dyn System, bound: u64) -> u64 {
    if bound < 2 {
        return 0;
    }
    let limit = u64::MAX - u64::MAX % bound;
    loop {
        let mut bytes = [0; 8];
        system.random(&mut bytes);
        let n = u64::from_le_bytes(bytes);
        if n < limit {
            return n % bound;
        }
    }
}

impl Cmdlet for GetRandom {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        self.items.extend(context.items("InputObject"));
        Ok(())
    }

    fn end(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let platform = Arc::clone(&context.runspace.platform);
        let system: &dyn System = &*platform;
        let count = context.integer("Count").and_then(|n| usize::try_from(n).ok());
        if context.has("InputObject") || context.expects_input() {
            let mut items = std::mem::take(&mut self.items);
            let wanted =
                if context.switch("Shuffle") { items.len() } else { count.unwrap_or(1).min(items.len()) };
            for _ in 0..wanted {
                let at = usize::try_from(below(system, items.len() as u64)).unwrap_or(0);
                let item = items.swap_remove(at);
                context.write(item)?;
            }
            return Ok(());
        }
        let number = |context: &CmdletContext<'_>, name: &str| context.arg(name).cloned();
        let (low, high) = (number(context, "Minimum"), number(context, "Maximum"));
        let is_real = |v: &Option<Value>| {
            matches!(
                v.as_ref().map(Value::base),
                Some(Value::Double(_) | Value::Single(_) | Value::Decimal(_))
            )
        };
        let real = is_real(&low) || is_real(&high);
        let low_number = low.as_ref().and_then(to_f64).unwrap_or(0.0);
        let high_number = high.as_ref().and_then(to_f64).unwrap_or(f64::from(i32::MAX));
        if low_number >= high_number {
            let shown = |v: &Option<Value>, other: &str| v.as_ref().map_or(other.to_owned(), to_text);
            let error = Error::new(
                "System.ArgumentException",
                "MinGreaterThanOrEqualMax",
                ErrorCategory::InvalidArgument,
                format!(
                    "The Minimum value ({}) cannot be greater than or equal to the Maximum value ({}).",
                    shown(&low, "0"),
                    shown(&high, "2147483647")
                ),
            );
            return Err(context.terminate(error));
        }
        for _ in 0..count.unwrap_or(1) {
            let value = if real {
                let unit = below(system, 1 << 53) as f64 / (1u64 << 53) as f64;
                Value::Double(low_number + unit * (high_number - low_number))
            } else {
                let n = low_number as i64
                    + i64::try_from(below(system, (high_number - low_number) as u64)).unwrap_or(0);
                i32::try_from(n).map_or(Value::Int64(n), Value::Int32)
            };
            context.write(value)?;
        }
        Ok(())
    }
}

struct NewGuid;

impl Cmdlet for NewGuid {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        if let Some(text) = context.text("InputObject") {
            return match Uuid::parse_str(&text) {
                Ok(guid) => context.write(Value::Guid(guid)),
                Err(_) => context.error_with(
                    "System.FormatException",
                    "StringNotRecognizedAsGuid",
                    ErrorCategory::InvalidArgument,
                    Value::Null,
                    "Unrecognized Guid format.",
                ),
            };
        }
        if context.switch("Empty") {
            return context.write(Value::Guid(Uuid::nil()));
        }
        let mut bytes = [0; 16];
        let system: &dyn System = &*context.runspace.platform;
        system.random(&mut bytes);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        context.write(Value::Guid(Uuid::from_bytes(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::hash;

    #[test]
    fn hashes_are_upper_case_hex() {
        assert_eq!(hash("MD5", b"hello"), "5D41402ABC4B2A76B9719D911017C592");
        assert!(hash("SHA256", b"hello").starts_with("2CF24DBA"));
    }
}
