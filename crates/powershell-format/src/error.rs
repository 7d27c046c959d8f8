//! Error records as text: ConciseView, NormalView and CategoryView.

use hop_powershell_runtime::convert::to_text;
use hop_powershell_runtime::value::{ErrorCategory, ErrorRecord, InvocationInfo, Value};

use crate::layout::display_width;

/// The text of an error record in a view, without a line end at its end.
pub fn format_error(record: &ErrorRecord, view: &str, width: usize) -> String {
    match view.to_ascii_lowercase().as_str() {
        "categoryview" => category_line(record),
        "normalview" => normal(record),
        _ => concise(record, width),
    }
}

fn category_line(record: &ErrorRecord) -> String {
    let target = record.target_name.clone().unwrap_or_else(|| to_text(&record.target));
    let kind = record
        .target_type
        .clone()
        .unwrap_or_else(|| record.target.type_ref().map(|t| t.name()).unwrap_or_default());
    format!("{}: ({target}:{kind}) [{}], {}", record.category.name(), record.activity(), record.reason)
}

fn normal(record: &ErrorRecord) -> String {
    let name = record.invocation.get().map(|i| command_name(i)).unwrap_or_default();
    let mut text = if name.is_empty() { record.message() } else { format!("{name} : {}", record.message()) };
    if let Some(info) = record.invocation.get().filter(|i| !i.position_message.is_empty()) {
        text.push('\n');
        text.push_str(&info.position_message);
    }
    text.push_str(&format!(
        "\n+ CategoryInfo          : {}\n+ FullyQualifiedErrorId : {}",
        category_line(record),
        record.fully_qualified_id()
    ));
    text
}

fn command_name(info: &InvocationInfo) -> String {
    match info.my_command.base() {
        Value::Native(native) => {
            native.get("Name").and_then(Result::ok).map(|v| to_text(&v)).unwrap_or_default()
        }
        Value::Object(object) => object.note("Name").map(|v| to_text(&v)).unwrap_or_default(),
        _ => String::new(),
    }
}

fn reason(record: &ErrorRecord) -> String {
    let activity = record.activity();
    let command = record.invocation.get().map(|i| command_name(i)).unwrap_or_default();
    let is_script = command.ends_with(".ps1");
    if !command.is_empty() && !is_script {
        command
    } else if !activity.is_empty() {
        activity
    } else if is_script {
        command
    } else if record.category != ErrorCategory::NotSpecified {
        record.category.name().to_owned()
    } else if !record.reason.is_empty() {
        record.reason.clone()
    } else {
        "Error".to_owned()
    }
}

/// What heads an error of a `throw` statement.
fn thrown_name(record: &ErrorRecord) -> String {
    match record.invocation.get().map(|i| command_name(i)).filter(|n| !n.is_empty() && !n.ends_with(".ps1")) {
        Some(name) => name,
        None => "Exception".to_owned(),
    }
}

fn concise(record: &ErrorRecord, width: usize) -> String {
    let message = record.message();
    if matches!(record.fully_qualified_id().as_str(), "NativeCommandErrorMessage" | "NativeCommandError") {
        return message;
    }
    // A parser error's message begins with its own position.
    let message = match message.split_once("~\n") {
        Some((_, rest)) if record.category == ErrorCategory::ParserError => rest.to_owned(),
        _ => message,
    };
    let thrown = record.thrown.get().is_some() && record.activity().is_empty();
    let reason = if thrown { thrown_name(record) } else { reason(record) };
    let recommended = record.details().map(|d| d.recommended_action).filter(|r| !r.is_empty());
    let tail = recommended.map(|r| format!("\n  {r}")).unwrap_or_default();
    let position = record.invocation.get().filter(|i| {
        (!i.script_name.is_empty()
            || i.script_line_number > 1
            || record.category == ErrorCategory::ParserError)
            && !i.line.is_empty()
            && command_name(i) != "Write-Error"
    });
    let Some(info) = position else { return format!("{reason}: {message}{tail}") };
    let place = if info.script_name.is_empty() {
        String::new()
    } else {
        format!("{}:{}", info.script_name, info.script_line_number)
    };
    let number = info.script_line_number.to_string();
    let gutter = number.len().max(4);
    let mut text = format!("{reason}: {place}\n{:<gutter$} |\n", "Line");
    let line = info.line.trim_end_matches(['\r', '\n']);
    let column = (info.offset_in_line.max(1) - 1) as usize;
    let units: Vec<u16> = line.encode_utf16().collect();
    let before = String::from_utf16_lossy(units.get(..column.min(units.len())).unwrap_or(&[]));
    let after = units.len().saturating_sub(column);
    let length = (info.extent_length as usize).clamp(1, after.max(1));
    let marked = String::from_utf16_lossy(units.get(column..column + length).unwrap_or(&[]));
    let before = before.replace('\t', "    ");
    let cut = cut_line(
        &line.replace('\t', "    "),
        before.chars().count(),
        marked.replace('\t', "    ").chars().count(),
        width.saturating_sub(gutter + 7),
    );
    text.push_str(&format!("{number:>gutter$} |  {}\n", cut.line));
    let indent = " ".repeat(display_width(&cut.before));
    let squiggle = "~".repeat(display_width(&cut.marked).max(1));
    let prefix = format!("{} | ", " ".repeat(gutter));
    text.push_str(&format!("{prefix} {indent}{squiggle}\n"));
    let room = width.saturating_sub(display_width(&prefix));
    let mut lines = Vec::new();
    lines.extend(wrap_words(&message.replace("\r\n", " ").replace('\n', " "), room));
    let body: Vec<String> = lines.iter().map(|l| format!("{prefix}{l}")).collect();
    text.push_str(&body.join("\n"));
    text.push_str(&tail);
    text
}

/// A line cut to the window, with the part before the mark and the marked part as they are shown.
struct Cut {
    line: String,
    before: String,
    marked: String,
}

/// Columns that stay visible before and behind what is marked.
const LEAD: usize = 12;
const TRAIL: usize = 8;

/// Cuts a line that is longer than the window so that what is marked can be seen.
fn cut_line(line: &str, offset: usize, length: usize, room: usize) -> Cut {
    let chars: Vec<char> = line.chars().collect();
    let part = |from: usize, to: usize| -> String {
        let to = to.min(chars.len());
        chars.get(from.min(to)..to).unwrap_or(&[]).iter().collect()
    };
    if chars.len() <= room {
        return Cut { line: line.to_owned(), before: part(0, offset), marked: part(offset, offset + length) };
    }
    let start = if offset + length + TRAIL > room {
        let end = chars.len().min(offset + length + TRAIL);
        end.saturating_sub(room).min(offset.saturating_sub(LEAD))
    } else {
        0
    };
    let end = chars.len().min(start + room);
    let (head, tail) = (if start > 0 { "… " } else { "" }, if end < chars.len() { " …" } else { "" });
    Cut {
        line: format!("{head}{}{tail}", part(start, end)),
        before: format!("{head}{}", part(start, offset)),
        marked: part(offset, (offset + length).min(end)),
    }
}

fn wrap_words(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let words: Vec<&str> = text.split(' ').collect();
    for (i, word) in words.iter().enumerate() {
        // The blank behind a word belongs to its line.
        let blank = usize::from(i + 1 < words.len());
        if i > 0 && display_width(&line) + 1 + display_width(word) + blank > width && !line.is_empty() {
            lines.push(std::mem::take(&mut line));
            line.push_str(word);
            continue;
        }
        if i > 0 {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::cut_line;

    #[test]
    fn long_lines_are_cut_around_the_mark() {
        let line = format!("{}MARK{}", "a".repeat(90), "b".repeat(90));
        let cut = cut_line(&line, 90, 4, 69);
        assert_eq!(cut.line, format!("… {}MARK{} …", "a".repeat(57), "b".repeat(8)));
        assert_eq!((cut.before.chars().count(), cut.marked.as_str()), (59, "MARK"));
        let cut = cut_line(&line, 3, 4, 69);
        assert_eq!(cut.line, format!("{} …", "a".repeat(69)));
        // What is longer than the window is shown from a little before its start.
        let cut = cut_line(&line, 40, 100, 69);
        assert!(cut.line.starts_with("… ") && cut.line.ends_with(" …"));
        assert_eq!(cut.before.chars().count(), 2 + 12);
        assert_eq!(cut.marked.chars().count(), 57);
        let short = cut_line("abc", 1, 1, 69);
        assert_eq!((short.line.as_str(), short.before.as_str(), short.marked.as_str()), ("abc", "a", "b"));
    }
}
