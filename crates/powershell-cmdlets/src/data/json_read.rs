//! A JSON reader as lenient as PowerShell's: comments, trailing commas, single quotes, bare names.

use std::sync::Arc;

use hop_powershell_runtime::datetime::parse_exact;
use hop_powershell_runtime::dotnet;
use hop_powershell_runtime::value::{DateTime, DateTimeKind, DictKind, PsDict, PsObject, Value};

/// What becomes of texts that are dates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DateKind {
    Default,
    Utc,
    Local,
    Offset,
    Text,
}

/// How a text is read.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// Objects become dictionaries of this kind.
    pub hashtable: Option<DictKind>,
    pub max_depth: usize,
    pub dates: DateKind,
}

/// No text needs more nesting on our own stack than this.
const HARD_LIMIT: usize = 1024;

struct Reader<'t> {
    chars: Vec<char>,
    at: usize,
    line: usize,
    line_start: usize,
    path: Vec<Step>,
    depth: usize,
    settings: &'t Settings,
}

enum Step {
    Index(usize),
    Name(String),
}

type Found<T> = Result<T, String>;

/// Reads a document; the error is the message without its beginning.
pub(super) fn read(text: &str, settings: &Settings) -> Found<Value> {
    let mut reader = Reader {
        chars: text.chars().collect(),
        at: 0,
        line: 1,
        line_start: 0,
        path: Vec::new(),
        depth: 0,
        settings,
    };
    let value = reader.value()?;
    reader.blank()?;
    match reader.peek() {
        None => Ok(value),
        Some(c) => Err(format!(
            "Additional text encountered after finished reading JSON content: {c}. {}",
            reader.place()
        )),
    }
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        if c == '\n' {
            self.line += 1;
            self.line_start = self.at;
        }
        Some(c)
    }

    fn path_text(&self) -> String {
        let mut text = String::new();
        for step in &self.path {
            match step {
                Step::Index(i) => text.push_str(&format!("[{i}]")),
                Step::Name(n) if n.contains(['.', ' ', '[', ']', '\'', '"']) => {
                    text.push_str(&format!("['{n}']"));
                }
                Step::Name(n) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(n);
                }
            }
        }
        text
    }

    fn place(&self) -> String {
        format!("Path '{}', line {}, position {}.", self.path_text(), self.line, self.at - self.line_start)
    }

    /// Skips blanks and comments.
    fn blank(&mut self) -> Found<()> {
        loop {
            match self.peek() {
                Some(c) if c.is_whitespace() => {
                    self.next();
                }
                Some('/') => {
                    self.next();
                    match self.next() {
                        Some('/') => {
                            while self.peek().is_some_and(|c| c != '\n') {
                                self.next();
                            }
                        }
                        Some('*') => loop {
                            match self.next() {
                                Some('*') if self.peek() == Some('/') => {
                                    self.next();
                                    break;
                                }
                                Some(_) => {}
                                None => {
                                    return Err(format!(
                                        "Unexpected end while parsing comment. {}",
                                        self.place()
                                    ));
                                }
                            }
                        },
                        _ => return Err(format!("Error parsing comment. {}", self.place())),
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    fn unexpected(&self, c: char) -> String {
        format!("Unexpected character encountered while parsing value: {c}. {}", self.place())
    }

    fn value(&mut self) -> Found<Value> {
        self.blank()?;
        match self.peek() {
            None if self.path.is_empty() => Err("Unexpected end when reading token. Path ''.".to_owned()),
            None => Err("Unexpected end when reading token. Path ''.".to_owned()),
            Some('{') => self.nested(Self::object),
            Some('[') => self.nested(Self::array),
            Some(quote @ ('"' | '\'')) => {
                let text = self.string(quote)?;
                Ok(self.dated(text))
            }
            Some(c) if c == '-' || c == '.' || c.is_ascii_digit() => self.number(),
            Some(c) if c.is_alphabetic() => self.word(c),
            Some(c) => Err(self.unexpected(c)),
        }
    }

    fn nested(&mut self, body: fn(&mut Self) -> Found<Value>) -> Found<Value> {
        self.next();
        self.depth += 1;
        if self.depth > self.settings.max_depth.min(HARD_LIMIT) {
            return Err(format!(
                "The reader's MaxDepth of {} has been exceeded. {}",
                self.settings.max_depth,
                self.place()
            ));
        }
        let value = body(self);
        self.depth -= 1;
        value
    }

    fn array(&mut self) -> Found<Value> {
        let mut items = Vec::new();
        self.path.push(Step::Index(0));
        loop {
            self.blank()?;
            if self.peek() == Some(']') {
                self.next();
                break;
            }
            items.push(self.value()?);
            self.blank()?;
            match self.peek() {
                Some(',') => {
                    self.next();
                    if let Some(Step::Index(i)) = self.path.last_mut() {
                        *i += 1;
                    }
                }
                Some(']') => {}
                // An array that just ends is taken as it is.
                None if self.depth == 1 => break,
                None => return Err(self.ended("array")),
                Some(c) => {
                    return Err(format!(
                        "After parsing a value an unexpected character was encountered: {c}. {}",
                        self.place()
                    ));
                }
            }
        }
        self.path.pop();
        Ok(Value::array(items))
    }

    fn ended(&self, what: &str) -> String {
        format!("Unexpected end when deserializing {what}. {}", self.place())
    }

    fn object(&mut self) -> Found<Value> {
        let dict = self.settings.hashtable.clone().map(|kind| PsDict::new(kind, false));
        let object = PsObject::custom(Vec::<(&str, Value)>::new());
        loop {
            self.blank()?;
            let name = match self.peek() {
                Some('}') => {
                    self.next();
                    break;
                }
                Some(quote @ ('"' | '\'')) => self.string(quote)?,
                Some(c) if c.is_alphanumeric() || c == '_' || c == '$' => {
                    let mut name = String::new();
                    while let Some(c) = self.peek().filter(|c| c.is_alphanumeric() || matches!(c, '_' | '$'))
                    {
                        name.push(c);
                        self.next();
                    }
                    name
                }
                None => return Err(self.ended("object")),
                Some(c) => {
                    return Err(format!("Invalid property identifier character: {c}. {}", self.place()));
                }
            };
            self.path.push(Step::Name(name.clone()));
            self.blank()?;
            match self.peek() {
                Some(':') => {
                    self.next();
                }
                None => return Err(self.ended("object")),
                Some(c) => {
                    return Err(format!(
                        "Invalid character after parsing property name. Expected ':' but got: {c}. {}",
                        self.place()
                    ));
                }
            }
            let value = self.value()?;
            match &dict {
                Some(dict) => dict.insert_str(&name, value),
                None => {
                    if name.is_empty() {
                        return Err("The provided JSON includes a property whose name is an empty string, this is only supported using the -AsHashTable switch.".to_owned());
                    }
                    if let Some(other) = object.member(&name).filter(|m| *m.name != *name) {
                        return Err(format!(
                            "Cannot convert the JSON string because it contains keys with different casing. Please use the -AsHashTable switch instead. The key that was attempted to be added to the existing key '{}' was '{name}'.",
                            other.name
                        ));
                    }
                    object.set_note(&name, value);
                }
            }
            self.blank()?;
            match self.peek() {
                Some(',') => {
                    self.next();
                    self.path.pop();
                }
                Some('}') => {
                    self.path.pop();
                }
                None => return Err(self.ended("object")),
                Some(c) => {
                    return Err(format!(
                        "After parsing a value an unexpected character was encountered: {c}. {}",
                        self.place()
                    ));
                }
            }
        }
        Ok(match dict {
            Some(dict) => Value::Dict(Arc::new(dict)),
            None => Value::Object(Arc::new(object)),
        })
    }

    fn string(&mut self, quote: char) -> Found<String> {
        self.next();
        let mut units: Vec<u16> = Vec::new();
        loop {
            match self.next() {
                None => {
                    return Err(format!(
                        "Unterminated string. Expected delimiter: {quote}. {}",
                        self.place()
                    ));
                }
                Some(c) if c == quote => break,
                Some('\\') => match self.next() {
                    Some('n') => units.push(10),
                    Some('r') => units.push(13),
                    Some('t') => units.push(9),
                    Some('b') => units.push(8),
                    Some('f') => units.push(12),
                    Some('u') => {
                        let hex: String = (0..4).filter_map(|_| self.next()).collect();
                        match u16::from_str_radix(&hex, 16) {
                            Ok(unit) if hex.len() == 4 => units.push(unit),
                            _ => {
                                return Err(format!(
                                    "Could not convert string to integer: {hex}. {}",
                                    self.place()
                                ));
                            }
                        }
                    }
                    Some(c @ ('"' | '\'' | '\\' | '/')) => units.push(c as u16),
                    Some(c) => return Err(format!("Bad JSON escape sequence: \\{c}. {}", self.place())),
                    None => {
                        return Err(format!(
                            "Unterminated string. Expected delimiter: {quote}. {}",
                            self.place()
                        ));
                    }
                },
                Some(c) => units.extend_from_slice(c.encode_utf16(&mut [0; 2])),
            }
        }
        Ok(String::from_utf16_lossy(&units))
    }

    /// A text that looks like a round-trip date becomes one.
    fn dated(&self, text: String) -> Value {
        if self.settings.dates == DateKind::Text || text.len() < 19 || !text.is_ascii() {
            return Value::from(text);
        }
        let shape = text.as_bytes();
        if shape.get(4) != Some(&b'-') || shape.get(10) != Some(&b'T') || shape.get(13) != Some(&b':') {
            return Value::from(text);
        }
        let (head, zone) = match text.get(19..).and_then(|tail| tail.find(['Z', '+', '-'])) {
            Some(at) => text.split_at(19 + at),
            None => (text.as_str(), ""),
        };
        let digits = head.len().saturating_sub(20);
        let pattern = match digits {
            0 => "yyyy-MM-ddTHH:mm:ss".to_owned(),
            n if n <= 7 => format!("yyyy-MM-ddTHH:mm:ss.{}", "f".repeat(n)),
            _ => return Value::from(text),
        };
        let Ok(date) = parse_exact(head, &pattern, DateTime::MIN, 0) else { return Value::from(text) };
        let offset = match zone {
            "" | "Z" => Some(0),
            zone => {
                let sign = if zone.starts_with('-') { -1 } else { 1 };
                let part =
                    |range: std::ops::Range<usize>| zone.get(range).and_then(|t| t.parse::<i64>().ok());
                part(1..3).zip(part(4..6)).map(|(h, m)| sign * (h * 60 + m))
            }
        };
        let Some(minutes) = offset else { return Value::from(text) };
        let utc =
            DateTime::from_ticks(date.ticks() - minutes * 600_000_000, DateTimeKind::Utc).unwrap_or(date);
        match self.settings.dates {
            DateKind::Offset => dotnet::DateOffset::value(date, i32::try_from(minutes).unwrap_or(0)),
            DateKind::Utc => Value::DateTime(utc),
            DateKind::Local => Value::DateTime(utc.with_kind(DateTimeKind::Local)),
            _ => Value::DateTime(match zone {
                "" => date.with_kind(DateTimeKind::Unspecified),
                "Z" => utc,
                _ => utc.with_kind(DateTimeKind::Local),
            }),
        }
    }

    fn number(&mut self) -> Found<Value> {
        let mut text = String::new();
        while let Some(c) = self.peek().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
        {
            text.push(c);
            self.next();
        }
        if text == "-Infinity" {
            return Ok(Value::Double(f64::NEG_INFINITY));
        }
        if let Some(hex) = text.strip_prefix("0x")
            && let Ok(n) = i64::from_str_radix(hex, 16)
        {
            return Ok(Value::Int64(n));
        }
        if text.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
            if let Ok(n) = text.parse::<i64>() {
                return Ok(Value::Int64(n));
            }
            if let Some(n) = hop_powershell_runtime::number::parse_integer(&text) {
                return Ok(Value::BigInt(Arc::new(n)));
            }
        }
        match text.parse::<f64>() {
            Ok(n) => Ok(Value::Double(n)),
            Err(_) => Err(format!("Input string '{text}' is not a valid number. {}", self.place())),
        }
    }

    fn word(&mut self, first: char) -> Found<Value> {
        let start = self.at;
        let mut text = String::new();
        while let Some(c) = self.peek().filter(|c| c.is_alphanumeric()) {
            text.push(c);
            self.next();
        }
        Ok(match text.as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" | "undefined" => Value::Null,
            "NaN" => Value::Double(f64::NAN),
            "Infinity" => Value::Double(f64::INFINITY),
            _ => {
                self.at = start;
                return Err(self.unexpected(first));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{DateKind, Settings, read};
    use hop_powershell_runtime::value::Value;

    fn settings() -> Settings {
        Settings { hashtable: None, max_depth: 64, dates: DateKind::Default }
    }

    #[test]
    fn reads_what_newtonsoft_forgives() {
        for text in ["[1,2,]", "// c\n[1,2]", "[1,/* x */2]", "[1, 2"] {
            let value = read(text, &settings()).unwrap();
            assert_eq!(value.enumerate().unwrap().len(), 2, "{text}");
        }
        assert!(matches!(read("'q'", &settings()), Ok(Value::String(s)) if &*s == "q"));
    }

    #[test]
    fn refuses_what_is_no_json() {
        for text in ["{", "[1 2]", "{\"a\"}", "nope", "\"x", "[\"\\q\"]", "1 2"] {
            assert!(read(text, &settings()).is_err(), "{text}");
        }
        let deep = "[".repeat(100_000);
        let limit = Settings { max_depth: usize::MAX, ..settings() };
        assert!(read(&deep, &limit).unwrap_err().contains("MaxDepth"));
    }
}
