//! The state of `Out-Default`: which view is open, what is held back, where blank lines go.

use hop_powershell_runtime::convert::{to_text, to_text_with};
use hop_powershell_runtime::dotnet::DictEntry;
use hop_powershell_runtime::value::{Callbacks, Value};

use crate::error::format_error;
use crate::layout::{TableOptions, list_lines, table_lines, wide_lines};
use crate::views::{Shape, View, default_view, generic_columns, is_scalar};

/// Turns objects into lines, as they come.
///
/// The first object that is more than a text opens a view; later ones of another type are written as lists of
/// their own inside it. A table's rows are held back until something else follows, to find its widths.
#[derive(Debug)]
pub struct Formatter {
    width: usize,
    forced: Option<View>,
    options: TableOptions,
    wide_columns: usize,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    view: View,
    rows: Vec<Value>,
    header_done: bool,
    group: Option<String>,
}

/// Whether a value is an instruction of a `Format-*` command: lines that are ready.
pub fn is_format_data(value: &Value) -> bool {
    value.type_names().first().is_some_and(|n| n.starts_with("Microsoft.PowerShell.Commands.Internal.Format"))
}

impl Formatter {
    /// A formatter that chooses views itself.
    pub fn new(width: usize) -> Self {
        Self { width, forced: None, options: TableOptions::default(), wide_columns: 2, open: None }
    }

    /// A formatter with a view of the caller's choice (`Format-Table`, `Format-List`, `Format-Wide`).
    pub fn with_view(width: usize, view: View, options: TableOptions, wide_columns: usize) -> Self {
        Self { width, forced: Some(view), options, wide_columns, open: None }
    }

    /// Takes an object; lines that are ready come back.
    pub fn push(&mut self, value: &Value, engine: &mut dyn Callbacks) -> Vec<String> {
        let mut out = Vec::new();
        match value {
            Value::Null | Value::Empty => return out,
            _ => {}
        }
        if let Some(items) = value.enumerate() {
            for item in items {
                out.extend(self.push(&item, engine));
            }
            return out;
        }
        if let Value::ErrorRecord(record) = value.base() {
            out.extend(self.flush(engine));
            out.extend(format_error(record, "ConciseView", self.width).lines().map(str::to_owned));
            return out;
        }
        if self.forced.is_none() {
            if is_format_data(value) {
                out.extend(self.finish(engine));
                let text = to_text(value);
                out.extend(text.split('\n').map(str::to_owned));
                return out;
            }
            if let Value::Dict(dict) = value.base() {
                for (k, v) in dict.entries() {
                    let entry = DictEntry::value(&hop_powershell_runtime::value::DictKind::Hashtable, k, v);
                    out.extend(self.push(&entry, engine));
                }
                return out;
            }
            if is_scalar(value) {
                out.extend(self.flush(engine));
                out.extend(scalar_lines(value, engine));
                return out;
            }
        } else if let Value::Dict(dict) = value.base() {
            for (k, v) in dict.entries() {
                let entry = DictEntry::value(&hop_powershell_runtime::value::DictKind::Hashtable, k, v);
                out.extend(self.push_view(&entry, engine));
            }
            return out;
        }
        out.extend(self.push_view(value, engine));
        out
    }

    fn push_view(&mut self, value: &Value, engine: &mut dyn Callbacks) -> Vec<String> {
        let mut out = Vec::new();
        if let Some(open) = &self.open {
            let applies = match &open.view.type_name {
                None => true,
                Some(name) => value.type_names().iter().any(|n| n == name),
            };
            if !applies && self.forced.is_none() {
                out.extend(self.flush(engine));
                out.extend(self.out_of_band(value, engine));
                return out;
            }
        }
        if self.open.is_none() {
            let view = self.forced.clone().unwrap_or_else(|| default_view(value, engine));
            self.open = Some(Open { view, rows: Vec::new(), header_done: false, group: None });
            out.push(String::new());
        }
        let Some(open) = &mut self.open else { return out };
        if let Some(by) = &open.view.group_by {
            let key = to_text_with(&by.value(value, engine), engine);
            if open.group.as_ref() != Some(&key) {
                let label = by.label.clone();
                let first = open.group.is_none();
                open.group = Some(key.clone());
                if !first {
                    out.extend(self.flush(engine));
                    out.push(String::new());
                }
                out.push(format!("{}{label}: {key}", " ".repeat(if label == "Directory" { 4 } else { 3 })));
                out.push(String::new());
                if let Some(open) = &mut self.open {
                    open.header_done = false;
                }
            }
        }
        let width = self.width;
        let Some(open) = &mut self.open else { return out };
        match &open.view.shape {
            Shape::Table(_) | Shape::Wide(_) => open.rows.push(value.clone()),
            Shape::List(columns) => {
                out.extend(list_lines(columns, value, width, engine));
                out.push(String::new());
            }
            Shape::Lines(lines) => out.extend(lines(value, engine)),
        }
        out
    }

    /// An object of another type than the open view's.
    fn out_of_band(&mut self, value: &Value, engine: &mut dyn Callbacks) -> Vec<String> {
        let view = default_view(value, engine);
        if let Shape::Lines(lines) = view.shape {
            return lines(value, engine);
        }
        let columns = generic_columns(value, engine);
        let mut out = vec![String::new()];
        out.extend(list_lines(&columns, value, self.width, engine));
        out.push(String::new());
        out
    }

    /// Writes the rows that were held back; the view stays open.
    pub fn flush(&mut self, engine: &mut dyn Callbacks) -> Vec<String> {
        let Some(open) = &mut self.open else { return Vec::new() };
        if open.rows.is_empty() {
            return Vec::new();
        }
        let rows = std::mem::take(&mut open.rows);
        match &open.view.shape {
            Shape::Table(columns) => {
                let lines = table_lines(columns, &rows, self.width, &self.options, !open.header_done, engine);
                if !open.header_done && !self.options.auto_size {
                    // Rows that follow keep the widths found now.
                    let widths = fixed_widths(columns, &rows, engine);
                    if let Shape::Table(columns) = &mut open.view.shape {
                        for (column, (width, align)) in columns.iter_mut().zip(widths) {
                            column.width.get_or_insert(width);
                            column.align.get_or_insert(align);
                        }
                    }
                }
                open.header_done = true;
                lines
            }
            Shape::Wide(column) => {
                let cells: Vec<String> = rows
                    .iter()
                    .map(|r| crate::layout::cell_text(&column.value(r, engine), None, engine))
                    .collect();
                wide_lines(&cells, self.wide_columns, self.width)
            }
            _ => Vec::new(),
        }
    }

    /// Ends the open view.
    pub fn finish(&mut self, engine: &mut dyn Callbacks) -> Vec<String> {
        let mut out = self.flush(engine);
        if let Some(open) = self.open.take()
            && !matches!(open.view.shape, Shape::List(_))
        {
            out.push(String::new());
        }
        out
    }

    /// Whether anything waits or a view is open.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }
}

fn fixed_widths(
    columns: &[crate::layout::Column],
    rows: &[Value],
    engine: &mut dyn Callbacks,
) -> Vec<(usize, crate::layout::Align)> {
    columns
        .iter()
        .map(|c| {
            let mut width = crate::layout::display_width(&c.label);
            let mut align = crate::layout::Align::Left;
            for (i, row) in rows.iter().enumerate() {
                let value = c.value(row, engine);
                if i == 0 && (value.is_number() || matches!(value.base(), Value::Bool(_))) {
                    align = crate::layout::Align::Right;
                }
                width = width.max(crate::layout::display_width(&crate::layout::table_cell(
                    &value,
                    c.format.as_deref(),
                    engine,
                )));
            }
            (width, align)
        })
        .collect()
}

fn scalar_lines(value: &Value, engine: &mut dyn Callbacks) -> Vec<String> {
    let text = match value.base() {
        Value::DateTime(date) => hop_powershell_runtime::datetime::datetime_text(*date),
        _ => to_text_with(value, engine),
    };
    text.split('\n').map(|l| l.trim_end_matches('\r').to_owned()).collect()
}
