//! Values as indented text for people. Secrets are not shown.

use std::fmt::Write as _;

use crate::{Content, Object, PropertyBag, Value};

/// Longest text shown of one value, in characters.
const MAX_TEXT: usize = 200;
/// Deeper values are not shown.
const MAX_DEPTH: usize = 24;
/// Most lines of one value.
const MAX_LINES: usize = 2000;

/// The value as a tree, each line with so many blanks before it.
pub fn describe(value: &Value, indent: usize) -> String {
    let mut tree = Tree { text: String::new(), lines: 0 };
    tree.value("", value, indent, 0);
    tree.text
}

/// One value on one line: a primitive as its text, an object by its type.
pub fn brief(value: &Value) -> String {
    match value {
        Value::Null => "$null".to_owned(),
        Value::SecureString(_) => "[secure string]".to_owned(),
        Value::String(text) => format!("\"{}\"", cut(text.as_str())),
        Value::ScriptBlock(text) => format!("{{{}}}", cut(text.as_str())),
        Value::Bytes(bytes) => format!("[{} bytes]", bytes.len()),
        Value::Ref(id) => format!("[object {} again]", id.0),
        Value::Object(object) => match &object.content {
            Content::Primitive(inner) => brief(inner),
            Content::List(_, items) => format!("[{} items]", items.len()),
            Content::Dictionary(entries) => format!("[{} entries]", entries.len()),
            Content::None => match (&object.to_string, type_name(object)) {
                (Some(text), _) => cut(text.as_str()),
                (None, Some(name)) => format!("[{name}]"),
                (None, None) => "[object]".to_owned(),
            },
        },
        Value::MemberSet(_) => "[member set]".to_owned(),
        other => cut(&other.display()),
    }
}

struct Tree {
    text: String,
    lines: usize,
}

impl Tree {
    fn line(&mut self, indent: usize, name: &str, text: &str) -> bool {
        self.lines += 1;
        if self.lines > MAX_LINES {
            if self.lines == MAX_LINES + 1 {
                let _ = writeln!(self.text, "{:indent$}… (more is not shown)", "");
            }
            return false;
        }
        let colon = if name.is_empty() { "" } else { ": " };
        let _ = writeln!(self.text, "{:indent$}{name}{colon}{text}", "");
        true
    }

    fn value(&mut self, name: &str, value: &Value, indent: usize, depth: usize) {
        let Value::Object(object) = value else {
            if let Value::MemberSet(bag) = value {
                if self.line(indent, name, "") {
                    self.bag(bag, indent + 2, depth + 1);
                }
                return;
            }
            self.line(indent, name, &brief(value));
            return;
        };
        let head = match type_name(object) {
            Some(kind) if matches!(object.content, Content::Primitive(_)) || object.to_string.is_some() => {
                format!("{} [{kind}]", brief(value))
            }
            Some(kind) => format!("[{kind}]"),
            None => brief(value),
        };
        if !self.line(indent, name, &head) {
            return;
        }
        if depth >= MAX_DEPTH {
            self.line(indent + 2, "", "… (deeper values are not shown)");
            return;
        }
        match &object.content {
            Content::List(_, items) => {
                items.iter().for_each(|item| self.value("-", item, indent + 2, depth + 1));
            }
            Content::Dictionary(entries) => {
                for (key, value) in entries {
                    self.value(&brief(key), value, indent + 2, depth + 1);
                }
            }
            Content::Primitive(_) | Content::None => {}
        }
        for bag in [&object.adapted, &object.extended].into_iter().flatten() {
            self.bag(bag, indent + 2, depth + 1);
        }
    }

    fn bag(&mut self, bag: &PropertyBag, indent: usize, depth: usize) {
        for property in &bag.0 {
            self.value(property.name.as_str(), &property.value, indent, depth);
        }
    }
}

fn type_name(object: &Object) -> Option<&str> {
    object.type_names.iter().next().map(|name| name.as_str())
}

/// On one line, control characters as escapes, cut with its length told.
fn cut(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_TEXT).flat_map(escaped).collect();
    let length = text.chars().count();
    if length > MAX_TEXT {
        let _ = write!(shown, "… ({length} characters)");
    }
    shown
}

fn escaped(c: char) -> Vec<char> {
    match c {
        '\n' | '\r' | '\t' => c.escape_default().collect(),
        c if c.is_control() => c.escape_unicode().collect(),
        c => vec![c],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, parse};

    #[test]
    fn objects_are_trees_and_secrets_are_masked() {
        let text = "<Obj RefId=\"0\"><TN RefId=\"0\"><T>My.Type</T></TN><MS><S N=\"A\">x_x000A_y</S>\
                    <SS N=\"P\">c2VjcmV0</SS><Obj N=\"L\" RefId=\"1\"><LST><I32>1</I32><Nil /></LST></Obj></MS></Obj>";
        let value = parse::value(text, &Limits::default()).unwrap();
        let expected =
            "[My.Type]\n  A: \"x\\ny\"\n  P: [secure string]\n  L: [2 items]\n    -: 1\n    -: $null\n";
        assert_eq!(describe(&value, 0), expected);
        assert!(cut(&"x".repeat(500)).ends_with("… (500 characters)"));
    }
}
