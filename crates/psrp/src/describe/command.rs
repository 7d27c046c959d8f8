//! Commands as one would type them.

use std::fmt::Write as _;

use hop_clixml::Value;
use hop_clixml::describe::{HIDDEN, may_be_secret};

use crate::body::{Argument, Command, PipelineResultTypes};

/// Most characters shown of one argument.
const MAX_ARGUMENT: usize = 400;

/// Most items shown of a list or dictionary.
const MAX_ITEMS: usize = 50;

/// Deepest list in a list that is written out.
const MAX_DEPTH: usize = 4;

/// A statement: its commands with bars between them.
pub(super) fn statement(commands: &[Command]) -> String {
    let alone = commands.len() == 1;
    commands.iter().map(|one| command(one, alone)).collect::<Vec<_>>().join(" | ")
}

fn command(command: &Command, alone: bool) -> String {
    let mut out = match (command.is_script, alone && command.arguments.is_empty()) {
        (true, true) => command.text.clone(),
        (true, false) => format!("& {{ {} }}", command.text.trim()),
        (false, _) if command.text.contains(char::is_whitespace) => format!("& {}", quote(&command.text)),
        (false, _) => command.text.clone(),
    };
    for argument in &command.arguments {
        out.push(' ');
        out.push_str(&self::argument(argument));
    }
    out.push_str(&redirections(command));
    out
}

fn argument(argument: &Argument) -> String {
    let Some(name) = &argument.name else { return literal(&argument.value, 0) };
    let mut out = if name.starts_with('-') { name.clone() } else { format!("-{name}") };
    if may_be_secret(name) && argument.value.as_str().is_some() {
        let _ = write!(out, " {HIDDEN}");
        return out;
    }
    match argument.value.primitive() {
        Value::Null if out.ends_with(':') => out.push_str("$null"),
        Value::Null => {}
        Value::Bool(value) => {
            out = format!("{}:{}", out.trim_end_matches(':'), boolean(*value));
        }
        _ if out.ends_with(':') => out.push_str(&literal(&argument.value, 0)),
        _ => {
            out.push(' ');
            out.push_str(&literal(&argument.value, 0));
        }
    }
    out
}

/// A value as an expression; what has no short one is named by its type in brackets.
fn literal(value: &Value, depth: usize) -> String {
    match value.primitive() {
        Value::Null => "$null".to_owned(),
        Value::String(text) | Value::Uri(text) => quote(text),
        Value::Bool(value) => boolean(*value).to_owned(),
        Value::ScriptBlock(text) => format!("{{{}}}", cut(text)),
        Value::SecureString(_) => format!("<SecureString {HIDDEN}>"),
        Value::Guid(_) | Value::DateTime(_) | Value::TimeSpan(_) | Value::Version(_) | Value::Char(_) => {
            quote(&value.display())
        }
        Value::Xml(_) => "<XmlDocument>".to_owned(),
        Value::Bytes(bytes) => format!("<Byte[] of {}>", bytes.len()),
        Value::Ref(_) => "<the same object as before>".to_owned(),
        Value::MemberSet(_) | Value::Progress(_) => "<object>".to_owned(),
        Value::Object(object) if depth < MAX_DEPTH => {
            if let Some(items) = object.items() {
                let mut texts: Vec<String> =
                    items.iter().take(MAX_ITEMS).map(|item| literal(item, depth + 1)).collect();
                texts
                    .extend((items.len() > MAX_ITEMS).then(|| format!("<{} more>", items.len() - MAX_ITEMS)));
                // One item in a comma-separated list would be no list.
                return if depth > 0 || texts.len() < 2 {
                    format!("@({})", texts.join(", "))
                } else {
                    texts.join(", ")
                };
            }
            if let Some(entries) = object.entries() {
                let mut texts: Vec<String> = entries
                    .iter()
                    .take(MAX_ITEMS)
                    .map(|(key, value)| {
                        format!("{} = {}", literal(key, depth + 1), literal(value, depth + 1))
                    })
                    .collect();
                texts.extend(
                    (entries.len() > MAX_ITEMS).then(|| format!("<{} more>", entries.len() - MAX_ITEMS)),
                );
                return format!("@{{{}}}", texts.join("; "));
            }
            named(object)
        }
        Value::Object(object) => named(object),
        _ => value.primitive().display(),
    }
}

fn named(object: &hop_clixml::Object) -> String {
    format!("<{}>", object.type_names.first().map_or("object", |name| name.as_str()))
}

fn boolean(value: bool) -> &'static str {
    if value { "$true" } else { "$false" }
}

/// Single quotes, unless the text is plainly a word.
fn quote(text: &str) -> String {
    let word = text.chars().next().is_some_and(char::is_alphabetic)
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '\\' | ':' | '*' | '?'));
    if word && text.chars().count() <= MAX_ARGUMENT {
        return text.to_owned();
    }
    let end = text.char_indices().nth(MAX_ARGUMENT).map(|(end, _)| end);
    let shown = text.get(..end.unwrap_or(text.len())).unwrap_or_default().replace('\'', "''");
    match end {
        Some(_) => format!("'{shown}'<... {} characters>", text.chars().count()),
        None => format!("'{shown}'"),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_ARGUMENT) {
        Some((end, _)) => {
            format!("{}<... {} characters>", text.get(..end).unwrap_or_default(), text.chars().count())
        }
        None => text.to_owned(),
    }
}

fn redirections(command: &Command) -> String {
    let merge = &command.merge;
    // Protocol 2.1 and older know only the way of errors.
    let old = merge.my_result == PipelineResultTypes::ERROR && merge.error == PipelineResultTypes::NONE;
    let error = if old { merge.to_result } else { merge.error };
    let streams =
        [(2, error), (3, merge.warning), (4, merge.verbose), (5, merge.debug), (6, merge.information)];
    let mut out = String::new();
    for (number, to) in streams {
        match to {
            PipelineResultTypes::OUTPUT => {
                let _ = write!(out, " {number}>&1");
            }
            PipelineResultTypes::NULL => {
                let _ = write!(out, " {number}>$null");
            }
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use hop_clixml::{ListKind, Object};

    use super::*;

    #[test]
    fn commands_are_written_as_typed() {
        let list = |items: Vec<Value>| Value::from(Object::list(["System.Object[]"], ListKind::List, items));
        let mut get = Command::new("Get-Process")
            .with(Argument::named("Name", list(vec!["pwsh".into(), "it's 1".into()])))
            .with(Argument::named("-Id:", 5))
            .with(Argument::named("NewPassword", "clear text"))
            .with(Argument::named("Force", true))
            .with(Argument::named("-Switch", Value::Null))
            .with(Argument::positional(list(vec![1.into()])))
            .with(Argument::positional(Value::SecureString("abc".to_owned().into())));
        get.merge.error = PipelineResultTypes::OUTPUT;
        let script = Command::script("$input\n");
        assert_eq!(
            statement(&[get, script.clone()]),
            "Get-Process -Name pwsh, 'it''s 1' -Id:5 -NewPassword (hidden) \
             -Force:$true -Switch @(1) <SecureString (hidden)> 2>&1 \
             | & { $input }"
        );
        assert_eq!(statement(&[script]), "$input\n");
        let table = Object::dictionary(["System.Collections.Hashtable"], [("k".into(), Value::Null)]);
        assert_eq!(literal(&table.into(), 0), "@{k = $null}");
    }
}
