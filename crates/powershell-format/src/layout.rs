//! Tables, lists and wide lists as lines of text.

use hop_powershell_runtime::convert::to_text_with;
use hop_powershell_runtime::members;
use hop_powershell_runtime::value::{Callbacks, ScriptCall, Value};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Alignment of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// At the left.
    Left,
    /// At the right.
    Right,
    /// In the middle.
    Center,
}

/// A column of a table or a line of a list.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its heading.
    pub label: String,
    /// A property name, or a script block with `$_`.
    pub source: Value,
    /// A .NET format for the value.
    pub format: Option<String>,
    /// Fixed width.
    pub width: Option<usize>,
    /// Fixed alignment; else by the first row's value.
    pub align: Option<Align>,
}

impl Column {
    /// A column that shows a property under its own name.
    pub fn property(name: &str) -> Self {
        Self { label: name.to_owned(), source: Value::string(name), format: None, width: None, align: None }
    }

    /// The same with another heading.
    #[must_use]
    pub fn labelled(mut self, label: &str) -> Self {
        label.clone_into(&mut self.label);
        self
    }

    /// The same with a fixed width.
    #[must_use]
    pub fn wide(mut self, width: usize) -> Self {
        self.width = Some(width);
        self
    }

    /// The same with a fixed alignment.
    #[must_use]
    pub fn aligned(mut self, align: Align) -> Self {
        self.align = Some(align);
        self
    }

    /// The column's value for an object.
    pub fn value(&self, object: &Value, engine: &mut dyn Callbacks) -> Value {
        match self.source.base() {
            Value::ScriptBlock(_) => {
                let call = ScriptCall {
                    underscore: Some(object.clone()),
                    in_caller_scope: true,
                    ..ScriptCall::default()
                };
                engine.call_script(&self.source, call).map(Value::from_output).unwrap_or_default()
            }
            Value::String(name) => members::get(object, name, engine).ok().flatten().unwrap_or_default(),
            _ => Value::Null,
        }
    }
}

/// How a table is laid out.
#[derive(Clone, Debug, Default)]
pub struct TableOptions {
    /// Widths by content even for fixed columns.
    pub auto_size: bool,
    /// Without headings.
    pub hide_headers: bool,
    /// Long values go on in the next line.
    pub wrap: bool,
}

/// Columns a text takes on a terminal.
pub fn display_width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// A value as a cell shows it: collections in braces with four items, without line breaks of their own.
pub fn cell_text(value: &Value, format: Option<&str>, engine: &mut dyn Callbacks) -> String {
    if let Some(format) = format {
        let composite = if format.contains("{0") { format.to_owned() } else { format!("{{0:{format}}}") };
        if let Ok(text) = hop_powershell_runtime::operators::format_composite(
            &composite,
            std::slice::from_ref(value),
            Some(engine),
        ) {
            return text;
        }
    }
    const LIMIT: usize = 4;
    match value.base() {
        Value::Dict(dict) => {
            let entries = dict.entries();
            let mut parts: Vec<String> = entries
                .iter()
                .take(LIMIT)
                .map(|(k, v)| format!("[{}, {}]", scalar(k, engine), scalar(v, engine)))
                .collect();
            if entries.len() > LIMIT {
                parts.push("…".to_owned());
            }
            format!("{{{}}}", parts.join(", "))
        }
        base => match base.enumerate() {
            Some(items) => {
                let mut parts: Vec<String> = items.iter().take(LIMIT).map(|i| scalar(i, engine)).collect();
                if items.len() > LIMIT {
                    parts[LIMIT - 1].push('…');
                }
                format!("{{{}}}", parts.join(", "))
            }
            None => scalar(value, engine),
        },
    }
}

/// A value as a cell of a table: numbers with a fraction have three digits of it.
pub fn table_cell(value: &Value, format: Option<&str>, engine: &mut dyn Callbacks) -> String {
    let fraction = match value.base() {
        Value::Double(n) => n.is_finite(),
        Value::Single(n) => n.is_finite(),
        Value::Decimal(_) => true,
        _ => false,
    };
    cell_text(value, if fraction { format.or(Some("F3")) } else { format }, engine)
}

fn scalar(value: &Value, engine: &mut dyn Callbacks) -> String {
    match value.base() {
        Value::DateTime(date) => hop_powershell_runtime::datetime::datetime_text(*date),
        Value::Type(kind) => kind.full_name().to_owned(),
        _ => to_text_with(value, engine),
    }
}

/// A text brought to a width: cut with an ellipsis, or padded.
pub fn pad(text: &str, width: usize, align: Align, last: bool) -> String {
    let length = display_width(text);
    if length > width {
        return match align {
            Align::Right => {
                let kept = keep_end(text, width.saturating_sub(1));
                format!("…{kept}")
            }
            _ => format!("{}…", keep_start(text, width.saturating_sub(1))),
        };
    }
    let fill = width - length;
    match align {
        Align::Left if last => text.to_owned(),
        Align::Left => format!("{text}{}", " ".repeat(fill)),
        Align::Right => format!("{}{text}", " ".repeat(fill)),
        Align::Center => {
            let left = fill / 2;
            let right = if last { 0 } else { fill - left };
            format!("{}{text}{}", " ".repeat(left), " ".repeat(right))
        }
    }
}

fn keep_start(text: &str, width: usize) -> String {
    let mut used = 0;
    text.chars()
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used <= width
        })
        .collect()
}

fn keep_end(text: &str, width: usize) -> String {
    let mut used = 0;
    let tail: Vec<char> = text
        .chars()
        .rev()
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used <= width
        })
        .collect();
    tail.into_iter().rev().collect()
}

/// Breaks a text at blanks so that every line fits; words that are too long are cut.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let paragraph = paragraph.trim_end_matches('\r');
        let mut line = String::new();
        for piece in paragraph.split_inclusive(' ') {
            let mut piece = piece.to_owned();
            loop {
                let fits = display_width(&line) + display_width(&piece) <= width;
                if fits {
                    line.push_str(&piece);
                    break;
                }
                if !line.is_empty() {
                    lines.push(std::mem::take(&mut line));
                    continue;
                }
                let start = keep_start(&piece, width);
                let rest: String = piece.chars().skip(start.chars().count()).collect();
                if start.is_empty() {
                    line.push_str(&piece);
                    break;
                }
                lines.push(start);
                piece = rest;
                if piece.is_empty() {
                    break;
                }
            }
        }
        lines.push(line);
    }
    lines
}

/// A table's lines: headings, dashes and rows.
pub fn table_lines(
    columns: &[Column],
    rows: &[Value],
    width: usize,
    options: &TableOptions,
    with_header: bool,
    engine: &mut dyn Callbacks,
) -> Vec<String> {
    let values: Vec<Vec<Value>> =
        rows.iter().map(|row| columns.iter().map(|c| c.value(row, engine)).collect()).collect();
    let aligns: Vec<Align> = columns
        .iter()
        .enumerate()
        .map(|(i, c)| {
            c.align.unwrap_or_else(|| {
                let first = values.first().and_then(|r| r.get(i));
                let right = first.is_some_and(|v| v.is_number() || matches!(v.base(), Value::Bool(_)));
                if right && c.format.is_none() { Align::Right } else { Align::Left }
            })
        })
        .collect();
    let cells: Vec<Vec<String>> = values
        .iter()
        .map(|row| {
            row.iter()
                .zip(columns)
                .map(|(v, c)| {
                    let text = table_cell(v, c.format.as_deref(), engine).replace('\t', "    ");
                    if options.wrap {
                        return text;
                    }
                    match text.find(['\n', '\r']) {
                        Some(at) => format!("{}…", text.get(..at).unwrap_or("")),
                        None => text,
                    }
                })
                .collect()
        })
        .collect();
    let mut widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(i, c)| match c.width.filter(|_| !options.auto_size) {
            Some(width) => width,
            None => {
                let longest =
                    cells.iter().filter_map(|r| r.get(i)).map(|t| display_width(t)).max().unwrap_or(0);
                longest.max(display_width(&c.label)).max(1)
            }
        })
        .collect();
    // Columns that do not fit are narrowed, then dropped, from the right.
    let mut shown = 0usize;
    let mut used = 0;
    for width_of in &mut widths {
        let gap = usize::from(shown > 0);
        if used + gap >= width || (width - used - gap < 1) {
            break;
        }
        let room = width - used - gap;
        if *width_of > room {
            if room < 5 && shown > 0 {
                break;
            }
            *width_of = room;
        }
        used += gap + *width_of;
        shown += 1;
    }
    let mut lines = Vec::new();
    let assemble = |parts: Vec<String>| parts.join(" ");
    let last = shown.saturating_sub(1);
    if with_header && !options.hide_headers {
        let heading = (0..shown)
            .filter_map(|i| Some(pad(&columns.get(i)?.label, *widths.get(i)?, *aligns.get(i)?, i == last)))
            .collect();
        lines.push(assemble(heading));
        let dashes = (0..shown)
            .filter_map(|i| {
                let dashes = "-".repeat(display_width(&columns.get(i)?.label).min(*widths.get(i)?));
                Some(pad(&dashes, *widths.get(i)?, *aligns.get(i)?, i == last))
            })
            .collect();
        lines.push(assemble(dashes));
    }
    for row in &cells {
        if options.wrap {
            let parts: Vec<Vec<String>> = (0..shown)
                .map(|i| wrap(row.get(i).map_or("", String::as_str), widths.get(i).copied().unwrap_or(1)))
                .collect();
            let height = parts.iter().map(Vec::len).max().unwrap_or(1);
            for n in 0..height {
                let line = (0..shown)
                    .filter_map(|i| {
                        let text = parts.get(i)?.get(n).map_or("", |s| s.trim_end());
                        Some(pad(text, *widths.get(i)?, *aligns.get(i)?, i == last))
                    })
                    .collect();
                lines.push(assemble(line));
            }
        } else {
            let line = (0..shown)
                .filter_map(|i| Some(pad(row.get(i)?, *widths.get(i)?, *aligns.get(i)?, i == last)))
                .collect();
            lines.push(assemble(line));
        }
    }
    lines
}

/// One object's lines in a list.
pub fn list_lines(
    columns: &[Column],
    object: &Value,
    width: usize,
    engine: &mut dyn Callbacks,
) -> Vec<String> {
    let label = columns.iter().map(|c| display_width(&c.label)).max().unwrap_or(0);
    let mut lines = Vec::new();
    for column in columns {
        let value = column.value(object, engine);
        let text = cell_text(&value, column.format.as_deref(), engine).replace('\t', "    ");
        let head = format!("{}{} : ", column.label, " ".repeat(label - display_width(&column.label)));
        let indent = " ".repeat(label + 3);
        for (i, part) in wrap(&text, width.saturating_sub(label + 3)).into_iter().enumerate() {
            lines.push(format!("{}{part}", if i == 0 { &head } else { &indent }));
        }
    }
    lines
}

/// Lines of a wide list.
pub fn wide_lines(cells: &[String], columns: usize, width: usize) -> Vec<String> {
    let columns = columns.max(1);
    let each = width / columns;
    cells
        .chunks(columns)
        .map(|row| {
            let mut line = String::new();
            for i in 0..columns {
                let text = row.get(i).map_or("", String::as_str);
                let last = i + 1 == columns;
                line.push_str(&pad(
                    text,
                    each.saturating_sub(1),
                    Align::Left,
                    last && (!text.is_empty() || columns == 1),
                ));
                if !last {
                    line.push(' ');
                } else if text.is_empty() {
                    line.truncate(each * (columns - 1));
                }
            }
            line
        })
        .collect()
}
