//! `ConvertTo-Json` and `ConvertFrom-Json`.

use hop_powershell_runtime::command::{Cmdlet, CmdletInfo, CommandTable, ParameterInfo as P, Validator};
use hop_powershell_runtime::context::CmdletContext;
use hop_powershell_runtime::convert::to_text_with;
use hop_powershell_runtime::flow::Run;
use hop_powershell_runtime::members;
use hop_powershell_runtime::operators::format_value;
use hop_powershell_runtime::value::{
    Callbacks, DateTimeKind, DictKind, Error, ErrorCategory, MemberType, Value,
};

use super::UTILITY;
use super::json_read::{DateKind, Settings, read};

pub(crate) fn register(table: &mut CommandTable) {
    table.add(
        CmdletInfo::new(
            "ConvertTo-Json",
            "Microsoft.PowerShell.Commands.ConvertToJsonCommand",
            UTILITY,
            || Box::<ToJson>::default(),
        )
        .with(P::new("InputObject", "object").mandatory().position(0).pipeline().allow_empty())
        .with(P::new("Depth", "int").validate(Validator::Range(Value::Int32(0), Value::Int32(100))))
        .with(P::switch("Compress"))
        .with(P::switch("EnumsAsStrings"))
        .with(P::switch("AsArray"))
        .with(P::new("EscapeHandling", "string").one_of(&[
            "Default",
            "EscapeNonAscii",
            "EscapeHtml",
        ])),
    );
    table.add(
        CmdletInfo::new(
            "ConvertFrom-Json",
            "Microsoft.PowerShell.Commands.ConvertFromJsonCommand",
            UTILITY,
            || Box::<FromJson>::default(),
        )
        .with({
            let mut p = P::new("InputObject", "string").mandatory().position(0).pipeline();
            p.allow_empty_string = true;
            p
        })
        .with(P::switch("AsHashtable"))
        .with(P::new("Depth", "int").validate(Validator::Range(Value::Int32(1), Value::Int32(i32::MAX))))
        .with(P::switch("NoEnumerate"))
        .with(P::new("DateKind", "string").one_of(&["Default", "Local", "Utc", "Offset", "String"])),
    );
}

#[derive(Default)]
struct ToJson {
    input: Vec<Value>,
}

struct Writer<'e> {
    engine: &'e mut dyn Callbacks,
    depth: usize,
    compress: bool,
    enums_as_text: bool,
    escape: Escape,
    truncated: bool,
    out: String,
}

#[derive(Clone, Copy, PartialEq)]
enum Escape {
    Default,
    NonAscii,
    Html,
}

impl Cmdlet for ToJson {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        self.input.push(context.arg("InputObject").cloned().unwrap_or_default());
        Ok(())
    }

    fn end(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let mut input = std::mem::take(&mut self.input);
        if input.is_empty() {
            return Ok(());
        }
        let one = input.len() == 1 && !context.switch("AsArray");
        let value = if one { input.pop().unwrap_or_default() } else { Value::array(input) };
        let depth = usize::try_from(context.integer("Depth").unwrap_or(2)).unwrap_or(2);
        let escape = match context.text("EscapeHandling").map(|t| t.to_ascii_lowercase()).as_deref() {
            Some("escapenonascii") => Escape::NonAscii,
            Some("escapehtml") => Escape::Html,
            _ => Escape::Default,
        };
        let (compress, enums_as_text) = (context.switch("Compress"), context.switch("EnumsAsStrings"));
        let mut writer = Writer {
            engine: context.runspace,
            depth,
            compress,
            enums_as_text,
            escape,
            truncated: false,
            out: String::new(),
        };
        let written = writer.value(&value, 0);
        let (truncated, out) = (writer.truncated, writer.out);
        if let Err(error) = written {
            return Err(context.terminate(error));
        }
        if truncated {
            context.warning(&format!(
                "Resulting JSON is truncated as serialization has exceeded the set depth of {depth}."
            ))?;
        }
        context.write(out)
    }
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, level: usize) -> Result<(), Error> {
        if let Some(text) = self.scalar(value)? {
            self.out.push_str(&text);
            return Ok(());
        }
        if level > self.depth {
            self.truncated = true;
            let text = to_text_with(value, self.engine);
            self.text(&text);
            return Ok(());
        }
        if let Value::Dict(dict) = value.base() {
            let mut entries = Vec::new();
            for (key, item) in dict.entries() {
                if !matches!(key.base(), Value::String(_)) {
                    return Err(Error::new(
                        "System.InvalidOperationException",
                        "NonStringKeyInDictionary",
                        ErrorCategory::InvalidOperation,
                        format!(
                            "The type '{}' is not supported for serialization or deserialization of a dictionary. Keys must be strings.",
                            value.base().type_name()
                        ),
                    )
                    .with_target(value.clone()));
                }
                entries.push((to_text_with(&key, self.engine), item));
            }
            return self.object(entries, level);
        }
        if let Some(items) = value.enumerate() {
            if items.is_empty() {
                self.out.push_str("[]");
                return Ok(());
            }
            self.out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    self.out.push(',');
                }
                self.line(level + 1);
                self.value(item, level + 1)?;
            }
            self.line(level);
            self.out.push(']');
            return Ok(());
        }
        let mut entries = Vec::new();
        let decorated = matches!(value, Value::Object(o) if o.base().is_some());
        for (name, kind) in members::properties(value) {
            if decorated && kind == MemberType::NoteProperty && name.starts_with("PS") {
                // What the provider added is no data of a file.
                if matches!(
                    &*name,
                    "PSPath" | "PSParentPath" | "PSChildName" | "PSDrive" | "PSProvider" | "PSIsContainer"
                ) {
                    continue;
                }
            }
            let found = members::get(value, &name, self.engine).ok().flatten().unwrap_or_default();
            entries.push((name.to_string(), found));
        }
        self.object(entries, level)
    }

    fn object(&mut self, entries: Vec<(String, Value)>, level: usize) -> Result<(), Error> {
        if entries.is_empty() {
            self.out.push_str("{}");
            return Ok(());
        }
        self.out.push('{');
        for (i, (name, value)) in entries.iter().enumerate() {
            if i > 0 {
                self.out.push(',');
            }
            self.line(level + 1);
            self.text(name);
            self.out.push_str(if self.compress { ":" } else { ": " });
            self.value(value, level + 1)?;
        }
        self.line(level);
        self.out.push('}');
        Ok(())
    }

    fn line(&mut self, level: usize) {
        if !self.compress {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n("  ", level));
        }
    }

    fn text(&mut self, text: &str) {
        let quoted = self.quoted(text);
        self.out.push_str(&quoted);
    }

    fn quoted(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + 2);
        out.push('"');
        for c in text.chars() {
            let escaped = match c {
                '"' => Some("\\\"".to_owned()),
                '\\' => Some("\\\\".to_owned()),
                '\n' => Some("\\n".to_owned()),
                '\r' => Some("\\r".to_owned()),
                '\t' => Some("\\t".to_owned()),
                '\u{8}' => Some("\\b".to_owned()),
                '\u{c}' => Some("\\f".to_owned()),
                '\u{85}' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => Some(String::new()),
                '<' | '>' | '&' | '\'' if self.escape == Escape::Html => Some(String::new()),
                c if self.escape == Escape::NonAscii && !c.is_ascii() => Some(String::new()),
                _ => None,
            };
            match escaped {
                Some(known) if !(known.is_empty() || c == '"' && self.escape == Escape::Html) => {
                    out.push_str(&known);
                }
                Some(_) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                None => out.push(c),
            }
        }
        out.push('"');
        out
    }

    /// The text of a value that has no parts.
    fn scalar(&mut self, value: &Value) -> Result<Option<String>, Error> {
        let base = value.base();
        Ok(Some(match base {
            Value::Null | Value::Empty => "null".to_owned(),
            Value::Bool(b) => b.to_string(),
            Value::String(s) => self.quoted(s),
            Value::Char(_) | Value::Guid(_) => {
                let text = to_text_with(base, self.engine);
                self.quoted(&text)
            }
            Value::Double(n) if !n.is_finite() => self.quoted(not_finite(*n)),
            Value::Single(n) if !n.is_finite() => self.quoted(not_finite(f64::from(*n))),
            Value::Double(_) | Value::Single(_) | Value::Decimal(_) => {
                let text = format_value(base, "", None)?;
                if text.contains(['.', 'E', 'e']) { text } else { format!("{text}.0") }
            }
            Value::Enum(kind, number) => {
                if self.enums_as_text {
                    let text = kind.text(*number);
                    self.quoted(&text)
                } else {
                    number.to_string()
                }
            }
            Value::DateTime(date) => {
                let pattern = match date.kind() {
                    DateTimeKind::Local => "yyyy-MM-ddTHH:mm:ss.FFFFFFFzzz",
                    _ => "yyyy-MM-ddTHH:mm:ss.FFFFFFFK",
                };
                let text = hop_powershell_runtime::datetime::format_datetime(*date, pattern, 0)?;
                self.quoted(&text)
            }
            Value::Native(native)
                if matches!(
                    native.type_ref().full_name(),
                    "System.Uri" | "System.DateTimeOffset" | "System.Net.IPAddress" | "System.Type"
                ) =>
            {
                let text = match native.type_ref().full_name() {
                    "System.DateTimeOffset" => native
                        .format("yyyy-MM-ddTHH:mm:ss.FFFFFFFzzz")
                        .unwrap_or_else(|| Ok(native.text()))?,
                    _ => native.text(),
                };
                if native.type_ref().is("System.Net.IPAddress") {
                    return Ok(None);
                }
                self.quoted(&text)
            }
            Value::Native(native) if native.type_ref().is("System.Management.Automation.SwitchParameter") => {
                return Ok(None);
            }
            Value::Type(kind) => self.quoted(&kind.assembly_qualified_name()),
            number if number.is_number() => to_text_with(number, self.engine),
            _ => return Ok(None),
        }))
    }
}

fn not_finite(n: f64) -> &'static str {
    if n.is_nan() {
        "NaN"
    } else if n > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

#[derive(Default)]
struct FromJson {
    lines: Vec<String>,
}

impl Cmdlet for FromJson {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let text = context.text("InputObject").unwrap_or_default();
        self.lines.push(text);
        Ok(())
    }

    fn end(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let lines = std::mem::take(&mut self.lines);
        if lines.is_empty() {
            return Ok(());
        }
        let settings = Settings {
            hashtable: context.switch("AsHashtable").then_some(DictKind::Ordered),
            max_depth: usize::try_from(context.integer("Depth").unwrap_or(1024)).unwrap_or(1024),
            dates: match context.text("DateKind").map(|t| t.to_ascii_lowercase()).as_deref() {
                Some("utc") => DateKind::Utc,
                Some("local") => DateKind::Local,
                Some("offset") => DateKind::Offset,
                Some("string") => DateKind::Text,
                _ => DateKind::Default,
            },
        };
        // Several texts are one document, unless the first is a document of its own.
        let documents =
            if lines.len() == 1 || read(&lines[0], &settings).is_ok() && !lines[0].trim().is_empty() {
                lines
            } else {
                vec![lines.join("\n")]
            };
        for text in documents {
            if text.trim().is_empty() {
                continue;
            }
            match read(&text, &settings) {
                Ok(value) if context.switch("NoEnumerate") => context.write(value)?,
                Ok(value) => match value {
                    Value::Array(_) => context.write_enumerated(value)?,
                    other => context.write(other)?,
                },
                Err(message) => {
                    let error = Error::new(
                        "System.ArgumentException",
                        "System.ArgumentException",
                        ErrorCategory::NotSpecified,
                        format!("Conversion from JSON failed with error: {message}"),
                    );
                    return Err(context.terminate(error));
                }
            }
        }
        Ok(())
    }
}
