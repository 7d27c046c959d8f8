//! The writer: the bytes that PowerShell writes for the same value.

use std::collections::HashMap;
use std::fmt::Write as _;

use base64::Engine as _;

use crate::number::{format_double, format_single};
use crate::text::{Escapes, push_str, push_text};
use crate::{
    Content, Document, ListKind, NAMESPACE, Object, ObjectId, ProgressRecord, PropertyBag, Text, TypeNames,
    Value,
};

/// How elements are set out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// Everything on one line, as in messages.
    #[default]
    Compact,
    /// One element per line, two blanks per level, as in files.
    Indented,
}

/// Writes one value on one line, as a remoting message holds it.
pub fn value(value: &Value) -> String {
    let mut out = String::with_capacity(256);
    value_to(&mut out, value);
    out
}

/// Appends one value on one line.
pub fn value_to(out: &mut String, value: &Value) {
    Writer::new(out, Layout::Compact).value(value, None, None, 0);
}

/// Writes a document. No declaration, no line end behind it.
pub fn document(document: &Document, layout: Layout) -> String {
    let mut out = String::with_capacity(1024);
    out.push_str("<Objs");
    let mut writer = Writer::new(&mut out, layout);
    if let Some(version) = &document.version {
        writer.attribute("Version", version);
    }
    writer.out.push_str(" xmlns=\"");
    writer.out.push_str(NAMESPACE);
    writer.out.push('"');
    if document.roots.is_empty() {
        writer.out.push_str(" />");
        return out;
    }
    writer.out.push('>');
    for root in &document.roots {
        writer.newline(1);
        writer.value(&root.value, None, root.stream.as_ref(), 1);
    }
    writer.newline(0);
    writer.out.push_str("</Objs>");
    out
}

const TEXT: Escapes = Escapes { string: true, xml: true, quotes: false };
const ATTRIBUTE: Escapes = Escapes { string: true, xml: true, quotes: true };
const TYPE_NAME: Escapes = Escapes { string: false, xml: true, quotes: false };

struct Writer<'w, 'v> {
    out: &'w mut String,
    layout: Layout,
    next_object: u32,
    /// Numbers given to objects that something may refer to.
    objects: HashMap<ObjectId, u32>,
    names: Vec<&'v TypeNames>,
    by_content: HashMap<&'v [Text], u32>,
}

impl<'w, 'v> Writer<'w, 'v> {
    fn new(out: &'w mut String, layout: Layout) -> Self {
        Self {
            out,
            layout,
            next_object: 0,
            objects: HashMap::new(),
            names: Vec::new(),
            by_content: HashMap::new(),
        }
    }

    fn newline(&mut self, level: usize) {
        if self.layout == Layout::Indented {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n("  ", level));
        }
    }

    fn attribute(&mut self, name: &str, value: &Text) {
        self.out.push(' ');
        self.out.push_str(name);
        self.out.push_str("=\"");
        push_text(self.out, value, ATTRIBUTE);
        self.out.push('"');
    }

    /// `<Tag N=".." S=".."`, without the end of the tag.
    fn start(&mut self, tag: &str, name: Option<&Text>, stream: Option<&Text>) {
        self.out.push('<');
        self.out.push_str(tag);
        if let Some(name) = name {
            self.attribute("N", name);
        }
        if let Some(stream) = stream {
            self.attribute("S", stream);
        }
    }

    fn end(&mut self, tag: &str) {
        self.out.push_str("</");
        self.out.push_str(tag);
        self.out.push('>');
    }

    fn value(&mut self, value: &'v Value, name: Option<&Text>, stream: Option<&Text>, level: usize) {
        match value {
            Value::Object(object) => self.object(object, name, stream, level),
            Value::Progress(record) => self.progress(record, name, stream, level),
            Value::MemberSet(bag) => self.bag("MS", bag, name, level),
            Value::Null => {
                self.start("Nil", name, stream);
                self.out.push_str(" />");
            }
            Value::Ref(id) => {
                self.start("Ref", name, stream);
                self.out.push_str(" RefId=\"");
                // A reference to nothing keeps its own number: there is no better one.
                let number = self.objects.get(id).copied().unwrap_or(id.0);
                push_unsigned(self.out, u64::from(number));
                self.out.push_str("\" />");
            }
            Value::Bytes(bytes) if bytes.is_empty() => {
                self.start("BA", name, stream);
                self.out.push_str(" />");
            }
            primitive => {
                let tag = tag(primitive);
                self.start(tag, name, stream);
                self.out.push('>');
                primitive_xml(self.out, primitive);
                self.end(tag);
            }
        }
    }

    fn object(&mut self, object: &'v Object, name: Option<&Text>, stream: Option<&Text>, level: usize) {
        self.start("Obj", name, stream);
        let number = self.next_object;
        self.next_object += 1;
        if let Some(id) = object.id {
            self.objects.insert(id, number);
        }
        self.out.push_str(" RefId=\"");
        push_unsigned(self.out, u64::from(number));
        let body = !object.type_names.is_empty()
            || object.to_string.is_some()
            || object.adapted.is_some()
            || object.extended.is_some()
            || !matches!(object.content, Content::None);
        if !body {
            self.out.push_str("\" />");
            return;
        }
        self.out.push_str("\">");
        if !object.type_names.is_empty() {
            self.newline(level + 1);
            self.type_names(&object.type_names, level + 1);
        }
        if let Some(text) = &object.to_string {
            self.newline(level + 1);
            if text.is_empty() {
                self.out.push_str("<ToString />");
            } else {
                self.out.push_str("<ToString>");
                push_text(self.out, text, TEXT);
                self.end("ToString");
            }
        }
        match &object.content {
            Content::None => {}
            Content::Primitive(value) => {
                self.newline(level + 1);
                self.value(value, None, None, level + 1);
            }
            Content::List(kind, items) => {
                self.newline(level + 1);
                let tag = match kind {
                    ListKind::List => "LST",
                    ListKind::Enumerable => "IE",
                    ListKind::Stack => "STK",
                    ListKind::Queue => "QUE",
                };
                self.start(tag, None, None);
                if items.is_empty() {
                    self.out.push_str(" />");
                } else {
                    self.out.push('>');
                    for item in items {
                        self.newline(level + 2);
                        self.value(item, None, None, level + 2);
                    }
                    self.newline(level + 1);
                    self.end(tag);
                }
            }
            Content::Dictionary(entries) => {
                self.newline(level + 1);
                self.dictionary(entries, level + 1);
            }
        }
        if let Some(bag) = &object.adapted {
            self.newline(level + 1);
            self.bag("Props", bag, None, level + 1);
        }
        if let Some(bag) = &object.extended {
            self.newline(level + 1);
            self.bag("MS", bag, None, level + 1);
        }
        self.newline(level);
        self.end("Obj");
    }

    fn dictionary(&mut self, entries: &'v [(Value, Value)], level: usize) {
        if entries.is_empty() {
            self.out.push_str("<DCT />");
            return;
        }
        self.out.push_str("<DCT>");
        let (key_name, value_name) = (Text::from("Key"), Text::from("Value"));
        for (key, value) in entries {
            self.newline(level + 1);
            self.out.push_str("<En>");
            self.newline(level + 2);
            self.value(key, Some(&key_name), None, level + 2);
            self.newline(level + 2);
            self.value(value, Some(&value_name), None, level + 2);
            self.newline(level + 1);
            self.out.push_str("</En>");
        }
        self.newline(level);
        self.out.push_str("</DCT>");
    }

    fn bag(&mut self, tag: &str, bag: &'v PropertyBag, name: Option<&Text>, level: usize) {
        self.start(tag, name, None);
        if bag.0.is_empty() {
            self.out.push_str(" />");
            return;
        }
        self.out.push('>');
        for member in &bag.0 {
            self.newline(level + 1);
            self.value(&member.value, Some(&member.name), None, level + 1);
        }
        self.newline(level);
        self.end(tag);
    }

    fn type_names(&mut self, names: &'v TypeNames, level: usize) {
        let known = self.names.iter().position(|known| known.same(names)).filter(|_| self.names.len() <= 32);
        let known =
            known.and_then(|at| u32::try_from(at).ok()).or_else(|| self.by_content.get(&**names).copied());
        if let Some(number) = known {
            self.out.push_str("<TNRef RefId=\"");
            push_unsigned(self.out, u64::from(number));
            self.out.push_str("\" />");
            return;
        }
        let number = self.names.len();
        self.names.push(names);
        self.by_content.insert(names, u32::try_from(number).unwrap_or(u32::MAX));
        self.out.push_str("<TN RefId=\"");
        push_unsigned(self.out, number as u64);
        self.out.push_str("\">");
        for name in names.iter() {
            self.newline(level + 1);
            self.out.push_str("<T>");
            push_text(self.out, name, TYPE_NAME);
            self.end("T");
        }
        self.newline(level);
        self.end("TN");
    }

    fn progress(
        &mut self,
        record: &ProgressRecord,
        name: Option<&Text>,
        stream: Option<&Text>,
        level: usize,
    ) {
        self.start("PR", name, stream);
        self.out.push('>');
        let number = |number: i32| Text::from(number.to_string());
        let fields = [
            ("AV", Some(record.activity.clone())),
            ("AI", Some(number(record.activity_id))),
            ("S", record.current_operation.clone()),
            ("PI", Some(number(record.parent_activity_id))),
            ("PC", Some(number(record.percent_complete))),
            ("T", Some(record.record_type.clone())),
            ("SR", Some(number(record.seconds_remaining))),
            ("SD", Some(record.status.clone())),
        ];
        for (tag, text) in fields {
            self.newline(level + 1);
            match text {
                Some(text) => {
                    self.start(tag, None, None);
                    self.out.push('>');
                    push_text(self.out, &text, TEXT);
                    self.end(tag);
                }
                None => self.out.push_str("<Nil />"),
            }
        }
        self.newline(level);
        self.end("PR");
    }
}

fn tag(value: &Value) -> &'static str {
    match value {
        Value::Null => "Nil",
        Value::String(_) => "S",
        Value::Char(_) => "C",
        Value::Bool(_) => "B",
        Value::Byte(_) => "By",
        Value::SByte(_) => "SB",
        Value::Int16(_) => "I16",
        Value::UInt16(_) => "U16",
        Value::Int32(_) => "I32",
        Value::UInt32(_) => "U32",
        Value::Int64(_) => "I64",
        Value::UInt64(_) => "U64",
        Value::Single(_) => "Sg",
        Value::Double(_) => "Db",
        Value::Decimal(_) => "D",
        Value::DateTime(_) => "DT",
        Value::TimeSpan(_) => "TS",
        Value::Guid(_) => "G",
        Value::Uri(_) => "URI",
        Value::Version(_) => "Version",
        Value::Bytes(_) => "BA",
        Value::Xml(_) => "XD",
        Value::ScriptBlock(_) => "SBK",
        Value::SecureString(_) => "SS",
        Value::Progress(_) => "PR",
        Value::Object(_) => "Obj",
        Value::Ref(_) => "Ref",
        Value::MemberSet(_) => "MS",
    }
}

fn primitive_xml(out: &mut String, value: &Value) {
    match value {
        Value::String(text) | Value::Uri(text) | Value::Xml(text) | Value::ScriptBlock(text) => {
            push_text(out, text, TEXT);
        }
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Char(unit) => push_unsigned(out, u64::from(*unit)),
        Value::SecureString(secret) => push_str(out, secret.expose(), TYPE_NAME),
        other => primitive_text(out, other),
    }
}

/// The text of a primitive that needs no escaping.
pub(crate) fn primitive_text(out: &mut String, value: &Value) {
    match value {
        Value::Byte(n) => push_unsigned(out, u64::from(*n)),
        Value::UInt16(n) => push_unsigned(out, u64::from(*n)),
        Value::UInt32(n) => push_unsigned(out, u64::from(*n)),
        Value::UInt64(n) => push_unsigned(out, *n),
        Value::SByte(n) => push_signed(out, i64::from(*n)),
        Value::Int16(n) => push_signed(out, i64::from(*n)),
        Value::Int32(n) => push_signed(out, i64::from(*n)),
        Value::Int64(n) => push_signed(out, *n),
        Value::Single(n) => out.push_str(&format_single(*n)),
        Value::Double(n) => out.push_str(&format_double(*n)),
        Value::Decimal(n) => {
            let _ = write!(out, "{n}");
        }
        Value::DateTime(time) => time.write(out),
        Value::TimeSpan(span) => span.write(out),
        Value::Guid(guid) => {
            let _ = write!(out, "{}", guid.hyphenated());
        }
        Value::Version(version) => {
            let _ = write!(out, "{version}");
        }
        Value::Bytes(bytes) => base64::engine::general_purpose::STANDARD.encode_string(bytes, out),
        // The others have no text of their own, or text that must be escaped.
        _ => {}
    }
}

fn push_signed(out: &mut String, number: i64) {
    if number < 0 {
        out.push('-');
    }
    push_unsigned(out, number.unsigned_abs());
}

fn push_unsigned(out: &mut String, mut number: u64) {
    let mut buffer = [b'0'; 20];
    let mut at = buffer.len();
    for digit in buffer.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        at -= 1;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.push_str(buffer.get(at..).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or("0"));
}
