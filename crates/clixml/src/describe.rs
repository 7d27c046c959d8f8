//! Values as indented text for people.
//!
//! Secure strings are never shown, whether they are encrypted or not. What a peer chose is quoted, with
//! control characters escaped, so that it cannot drive a terminal or pass for text of ours.

use std::fmt::{self, Write as _};

use crate::{Content, Document, ListKind, Object, Property, Value};

/// Most characters shown of one string.
const MAX_TEXT: usize = 400;

/// Most bytes shown of one byte array.
const MAX_BYTES: usize = 32;

/// Most items shown of one list, one dictionary or one property bag.
const MAX_ITEMS: usize = 200;

/// Deepest nesting shown.
const MAX_DEPTH: usize = 64;

/// Most lines shown of a script, and most characters of each.
const MAX_LINES: (usize, usize) = (500, 2000);

/// What stands in the place of a secret.
pub const HIDDEN: &str = "(hidden)";

/// Text that grows line by line, indented, up to a limit.
#[derive(Debug)]
pub struct Tree {
    out: String,
    depth: usize,
    limit: usize,
    full: bool,
}

impl Default for Tree {
    fn default() -> Self {
        Self::new(64 << 20)
    }
}

impl Tree {
    /// A text of about this many bytes at most; what is beyond is left out, and that is said.
    pub fn new(limit: usize) -> Self {
        Self { out: String::new(), depth: 0, limit, full: false }
    }

    /// The text.
    pub fn finish(self) -> String {
        self.out
    }

    /// One line.
    pub fn line(&mut self, line: fmt::Arguments<'_>) {
        if self.full {
            return;
        }
        if self.out.len() > self.limit {
            self.full = true;
            self.out.push_str("(the rest is left out: the text is too long)\n");
            return;
        }
        let _ = writeln!(self.out, "{:indent$}{line}", "", indent = self.depth * 2);
    }

    /// A line with a name and text from a peer.
    pub fn text(&mut self, name: &str, text: &str) {
        self.line(format_args!("{name}: {}", quoted(text)));
    }

    /// Text of several lines from a peer under a name, as it stands: for scripts, which are read as scripts.
    pub fn lines(&mut self, name: &str, text: &str) {
        self.line(format_args!("{name}:"));
        self.inside(|tree| {
            for line in text.lines().take(MAX_LINES.0) {
                match line.char_indices().nth(MAX_LINES.1) {
                    Some((end, _)) => {
                        let (start, all) = (line.get(..end).unwrap_or_default(), line.chars().count());
                        tree.line(format_args!("{}... ({all} characters)", Escaped(start)));
                    }
                    None => tree.line(format_args!("{}", Escaped(line))),
                }
            }
            let rest = text.lines().skip(MAX_LINES.0).count();
            if rest > 0 {
                tree.line(format_args!("(and {} more)", count(rest, "line")));
            }
        });
    }

    /// What `more` adds stands one step further in.
    pub fn inside(&mut self, more: impl FnOnce(&mut Self)) {
        self.depth += 1;
        more(self);
        self.depth -= 1;
    }

    /// A value under a name.
    pub fn value(&mut self, name: &str, value: &Value) {
        self.nested(name, value, 0);
    }

    /// The members, items or entries of a value without a line for the value itself; for message bodies.
    pub fn members(&mut self, value: &Value) {
        match value {
            Value::Object(object) => self.content(object, 0),
            other => self.value("value", other),
        }
    }

    /// Named values.
    pub fn properties(&mut self, properties: &[Property]) {
        self.bag(properties, 0);
    }

    fn nested(&mut self, name: &str, value: &Value, depth: usize) {
        match value {
            Value::Object(object) if may_be_secret(name) && holds_text(object) => {
                self.line(format_args!("{name}: {HIDDEN}"));
            }
            Value::Object(object) => self.object(name, object, depth),
            Value::MemberSet(bag) => {
                self.line(format_args!("{name}: member set"));
                self.deeper(depth, |tree| tree.bag(&bag.0, depth + 1));
            }
            Value::Progress(record) => {
                self.line(format_args!("{name}: progress record"));
                self.inside(|tree| {
                    tree.text("Activity", &record.activity);
                    tree.line(format_args!("ActivityId: {}", record.activity_id));
                    tree.text("StatusDescription", &record.status);
                    if let Some(operation) = &record.current_operation {
                        tree.text("CurrentOperation", operation);
                    }
                    tree.line(format_args!("ParentActivityId: {}", record.parent_activity_id));
                    tree.line(format_args!("PercentComplete: {}", record.percent_complete));
                    tree.text("Type", &record.record_type);
                    tree.line(format_args!("SecondsRemaining: {}", record.seconds_remaining));
                });
            }
            Value::String(_) if may_be_secret(name) => self.line(format_args!("{name}: {HIDDEN}")),
            primitive => self.line(format_args!("{name}: {}", Primitive(primitive))),
        }
    }

    fn object(&mut self, name: &str, object: &Object, depth: usize) {
        let mut head = match object.type_names.first() {
            Some(name) => Escaped(name).to_string(),
            None => "object".to_owned(),
        };
        match &object.content {
            Content::Primitive(value) => {
                // An enum's name says more than its number; both are shown.
                if let Some(text) = &object.to_string
                    && !matches!(value, Value::String(_) | Value::SecureString(_))
                {
                    let _ = write!(head, " {}", quoted(text));
                }
                let _ = write!(head, " {}", Primitive(value));
            }
            Content::List(kind, items) => {
                let kind = match kind {
                    ListKind::List => "list",
                    ListKind::Enumerable => "enumerable",
                    ListKind::Stack => "stack",
                    ListKind::Queue => "queue",
                };
                let _ = write!(head, " ({kind}, {})", count(items.len(), "item"));
            }
            Content::Dictionary(entries) => {
                let entries = if entries.len() == 1 {
                    "1 entry".to_owned()
                } else {
                    format!("{} entries", entries.len())
                };
                let _ = write!(head, " (dictionary, {entries})");
            }
            Content::None => {
                if let Some(text) = &object.to_string {
                    let _ = write!(head, " {}", quoted(text));
                }
            }
        }
        self.line(format_args!("{name}: {head}"));
        self.deeper(depth, |tree| tree.content(object, depth + 1));
    }

    fn deeper(&mut self, depth: usize, more: impl FnOnce(&mut Self)) {
        self.inside(|tree| {
            if depth < MAX_DEPTH {
                more(tree);
            } else {
                tree.line(format_args!("(what is nested deeper is left out)"));
            }
        });
    }

    fn content(&mut self, object: &Object, depth: usize) {
        match &object.content {
            Content::None | Content::Primitive(_) => {}
            Content::List(_, items) => {
                for (at, item) in items.iter().take(MAX_ITEMS).enumerate() {
                    self.nested(&format!("[{at}]"), item, depth);
                }
                self.more(items.len());
            }
            Content::Dictionary(entries) => {
                for (key, value) in entries.iter().take(MAX_ITEMS) {
                    self.nested(&format!("[{}]", Key(key)), value, depth);
                }
                self.more(entries.len());
            }
        }
        for bag in object.adapted.iter().chain(&object.extended) {
            self.bag(&bag.0, depth);
        }
    }

    fn bag(&mut self, properties: &[Property], depth: usize) {
        for property in properties.iter().take(MAX_ITEMS) {
            self.nested(&Escaped(&property.name).to_string(), &property.value, depth);
        }
        self.more(properties.len());
    }

    fn more(&mut self, total: usize) {
        if total > MAX_ITEMS {
            self.line(format_args!("(and {} more)", total - MAX_ITEMS));
        }
    }
}

/// Whether text under this name, of a member, an entry, an argument or an element, is better not shown.
pub fn may_be_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    // [MS-PSRP] 2.2.2.4: encrypted, but with the client's key all secure strings can be read by it.
    ["password", "passwd", "passphrase", "secret", "encryptedsessionkey"]
        .iter()
        .any(|part| name.contains(part))
}

fn holds_text(object: &Object) -> bool {
    match &object.content {
        Content::Primitive(value) => matches!(value, Value::String(_)),
        Content::None => object.to_string.is_some(),
        Content::List(..) | Content::Dictionary(_) => false,
    }
}

/// A value as a tree.
pub fn value(value: &Value) -> String {
    let mut tree = Tree::default();
    tree.value("value", value);
    tree.finish()
}

/// A document: each value with the stream it belongs to.
pub fn document(document: &Document) -> String {
    let mut tree = Tree::default();
    document_to(&mut tree, document);
    tree.finish()
}

/// Like [`document`], into a larger text.
pub fn document_to(tree: &mut Tree, document: &Document) {
    let version = document.version.as_ref().map(|v| format!(", version {}", Escaped(v))).unwrap_or_default();
    tree.line(format_args!("CLIXML{version}, {}", count(document.roots.len(), "value")));
    tree.inside(|tree| {
        for (at, root) in document.roots.iter().enumerate() {
            match &root.stream {
                Some(stream) => tree.value(&format!("[{at}] stream {}", Escaped(stream)), &root.value),
                None => tree.value(&format!("[{at}]"), &root.value),
            }
        }
    });
}

/// Text from a peer in quotes, on one line, cut where it is long.
pub fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => {
            let start = text.get(..end).unwrap_or_default();
            format!("\"{}\"... ({} characters)", InQuotes(start), text.chars().count())
        }
        None => format!("\"{}\"", InQuotes(text)),
    }
}

/// Text from a peer without quotes, safe to show.
#[derive(Debug)]
pub struct Escaped<'t>(pub &'t str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| if c == '\t' { f.write_char(c) } else { safe(f, c) })
    }
}

struct InQuotes<'t>(&'t str);

impl fmt::Display for InQuotes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '"' => f.write_str("\\\""),
            '\\' => f.write_str("\\\\"),
            c => safe(f, c),
        })
    }
}

/// Control characters and those that reorder or hide text are written as escapes.
fn safe(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        c if c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(c, '\u{2066}'..='\u{2069}' | '\u{feff}') =>
        {
            write!(f, "\\u{{{:x}}}", u32::from(c))
        }
        c => f.write_char(c),
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A value that has no members, with its type.
struct Primitive<'v>(&'v Value);

impl fmt::Display for Primitive<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            Value::Null => return f.write_str("null"),
            Value::String(text) => return f.write_str(&quoted(text)),
            Value::Bool(value) => return f.write_str(if *value { "True" } else { "False" }),
            Value::SecureString(_) => return write!(f, "SecureString {HIDDEN}"),
            Value::Ref(id) => return write!(f, "the same object as RefId {}", id.0),
            Value::Char(unit) => {
                let text = String::from_utf16_lossy(&[*unit]);
                return write!(f, "Char {} ({unit})", quoted(&text));
            }
            Value::Uri(text) => return write!(f, "Uri {}", quoted(text)),
            Value::Xml(text) => return write!(f, "XmlDocument {}", quoted(text)),
            Value::ScriptBlock(text) => return write!(f, "ScriptBlock {}", quoted(text)),
            Value::Bytes(bytes) => {
                write!(f, "Byte[] ({})", count(bytes.len(), "byte"))?;
                bytes.iter().take(MAX_BYTES).try_for_each(|byte| write!(f, " {byte:02x}"))?;
                return f.write_str(if bytes.len() > MAX_BYTES { " ..." } else { "" });
            }
            Value::Object(object) => {
                let name = object.type_names.first().map_or("object", |name| name.as_str());
                return write!(f, "({})", Escaped(name));
            }
            Value::MemberSet(_) => return f.write_str("member set"),
            Value::Progress(_) => return f.write_str("progress record"),
            Value::Byte(_) => "Byte",
            Value::SByte(_) => "SByte",
            Value::Int16(_) => "Int16",
            Value::UInt16(_) => "UInt16",
            Value::Int32(_) => "Int32",
            Value::UInt32(_) => "UInt32",
            Value::Int64(_) => "Int64",
            Value::UInt64(_) => "UInt64",
            Value::Single(_) => "Single",
            Value::Double(_) => "Double",
            Value::Decimal(_) => "Decimal",
            Value::DateTime(_) => "DateTime",
            Value::TimeSpan(_) => "TimeSpan",
            Value::Guid(_) => "Guid",
            Value::Version(_) => "Version",
        };
        write!(f, "{name} {}", self.0.display())
    }
}

/// A dictionary's key: a string bare, all else with its type.
struct Key<'v>(&'v Value);

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.primitive() {
            Value::String(text) => f.write_str(&quoted(text)),
            other => Primitive(other).fmt(f),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use super::*;
    use crate::{Limits, parse};

    fn shown(text: &str) -> String {
        value(&parse::value(text, &Limits::default()).unwrap())
    }

    #[test]
    fn objects_are_trees() {
        let text = shown(
            "<Obj RefId='0'><TN RefId='0'><T>PSCustomObject</T><T>System.Object</T></TN>\
             <ToString>it</ToString><MS><S N='Name'>a\"b_x001B_c</S><S N='EncryptedSessionKey'>AQID</S>\
             <I32 N='Count'>3</I32><Nil N='Nothing' />\
             <SS N='Password'>0123456789</SS><BA N='Bytes'>AQID</BA>\
             <Obj N='List' RefId='1'><LST><B>true</B><Ref RefId='0' /></LST></Obj>\
             <Obj N='Table' RefId='2'><DCT><En><S N='Key'>k</S><Db N='Value'>0.5</Db></En></DCT></Obj>\
             <Obj N='Kind' RefId='3'><TN RefId='1'><T>System.DayOfWeek</T></TN>\
             <ToString>Friday</ToString><I32>5</I32></Obj>\
             </MS></Obj>",
        );
        assert_eq!(
            text,
            "value: PSCustomObject \"it\"\n  Name: \"a\\\"b\\u{1b}c\"\n  EncryptedSessionKey: (hidden)\n  \
             Count: Int32 3\n  \
             Nothing: null\n  Password: SecureString (hidden)\n  Bytes: Byte[] (3 bytes) 01 02 03\n  \
             List: object (list, 2 items)\n    [0]: True\n    [1]: the same object as RefId 0\n  \
             Table: object (dictionary, 1 entry)\n    [\"k\"]: Double 0.5\n  \
             Kind: System.DayOfWeek \"Friday\" Int32 5\n"
        );
    }

    #[test]
    fn text_under_the_name_of_a_secret_is_hidden() {
        let text = shown(
            "<Obj RefId='0'><DCT><En><S N='Key'>Password</S><S N='Value'>hunter2</S></En>\
             <En><S N='Key'>User</S><S N='Value'>alice</S></En></DCT><MS><S N='ClientSecret'>hunter2</S>\
             <Obj N='AdminPasswd' RefId='1'><S>hunter2</S><MS><S N='More'>hunter2</S></MS></Obj>\
             <I32 N='PasswordLength'>7</I32></MS></Obj>",
        );
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("[\"User\"]: \"alice\"") && text.contains("PasswordLength: Int32 7"), "{text}");
    }

    #[test]
    fn what_is_long_is_cut_and_said() {
        let text = shown(&format!("<S>{}</S>", "ä".repeat(1000)));
        assert!(text.ends_with("ä\"... (1000 characters)\n") && text.chars().count() < 450, "{text}");
        let items = "<I32>1</I32>".repeat(250);
        let text = shown(&format!("<Obj RefId='0'><LST>{items}</LST></Obj>"));
        assert!(text.contains("250 items") && text.ends_with("  (and 50 more)\n"), "{text}");
        let mut tree = Tree::new(10);
        (0..5).for_each(|n| tree.line(format_args!("line {n}")));
        assert_eq!(tree.finish(), "line 0\nline 1\n(the rest is left out: the text is too long)\n");
    }
}
