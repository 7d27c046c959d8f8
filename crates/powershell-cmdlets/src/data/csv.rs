//! `ConvertTo-Csv`, `ConvertFrom-Csv`, `Export-Csv`, `Import-Csv`.

use std::io::Write;
use std::sync::Arc;

use hop_powershell_runtime::command::{Cmdlet, CmdletInfo, CommandTable, ParameterInfo as P};
use hop_powershell_runtime::context::CmdletContext;
use hop_powershell_runtime::flow::{Flow, Run};
use hop_powershell_runtime::members;
use hop_powershell_runtime::value::{Error, ErrorCategory, PsObject, Value};

use super::UTILITY;
use crate::files::{self, Encoding, encoding_parameter};

pub(crate) fn register(table: &mut CommandTable) {
    let shape = |info: CmdletInfo| {
        info.with(P::new("Delimiter", "char").position(1))
            .with(P::switch("UseCulture"))
            .with(P::switch("IncludeTypeInformation").alias("ITI"))
            .with(P::switch("NoTypeInformation").alias("NTI"))
            .with(P::new("QuoteFields", "string[]").alias("QF"))
            .with(P::new("UseQuotes", "string").alias("UQ").one_of(&["Never", "Always", "AsNeeded"]))
            .with(P::switch("NoHeader"))
    };
    table.add(shape(
        CmdletInfo::new(
            "ConvertTo-Csv",
            "Microsoft.PowerShell.Commands.ConvertToCsvCommand",
            UTILITY,
            || Box::<ToCsv>::default(),
        )
        .with(P::new("InputObject", "psobject").mandatory().position(0).pipeline()),
    ));
    table.add(shape(
        CmdletInfo::new("Export-Csv", "Microsoft.PowerShell.Commands.ExportCsvCommand", UTILITY, || {
            Box::<ExportCsv>::default()
        })
        .with(P::new("InputObject", "psobject").mandatory().pipeline())
        .with(P::new("Path", "string").position(0))
        .with(P::new("LiteralPath", "string").alias("PSPath").alias("LP"))
        .with(P::switch("Force"))
        .with(P::switch("NoClobber").alias("NoOverwrite"))
        .with(encoding_parameter())
        .with(P::switch("Append"))
        .should_process(),
    ));
    table.add(
        CmdletInfo::new(
            "ConvertFrom-Csv",
            "Microsoft.PowerShell.Commands.ConvertFromCsvCommand",
            UTILITY,
            || Box::<FromCsv>::default(),
        )
        .with({
            let mut p = P::new("InputObject", "psobject[]").mandatory().position(0).pipeline();
            p.allow_empty_string = true;
            p.allow_null = true;
            p
        })
        .with(P::new("Delimiter", "char").position(1))
        .with(P::switch("UseCulture"))
        .with(P::new("Header", "string[]")),
    );
    table.add(
        CmdletInfo::new("Import-Csv", "Microsoft.PowerShell.Commands.ImportCsvCommand", UTILITY, || {
            Box::new(ImportCsv)
        })
        .with(P::new("Path", "string[]").position(0).pipeline().by_property())
        .with(P::new("Delimiter", "char").position(1))
        .with(P::new("LiteralPath", "string[]").alias("PSPath").alias("LP").by_property())
        .with(P::switch("UseCulture"))
        .with(P::new("Header", "string[]"))
        .with(encoding_parameter()),
    );
    table.alias("epcsv", "Export-Csv");
    table.alias("ipcsv", "Import-Csv");
}

#[derive(Clone, Copy, PartialEq)]
enum Quotes {
    Always,
    Never,
    AsNeeded,
}

/// Turns objects into lines.
struct Writer {
    delimiter: char,
    quotes: Quotes,
    fields: Vec<String>,
    columns: Option<Vec<String>>,
}

impl Writer {
    fn of(context: &mut CmdletContext<'_>) -> Self {
        Self {
            delimiter: delimiter(context),
            quotes: match context.text("UseQuotes").map(|t| t.to_ascii_lowercase()).as_deref() {
                Some("never") => Quotes::Never,
                Some("asneeded") => Quotes::AsNeeded,
                _ => Quotes::Always,
            },
            fields: context.texts("QuoteFields"),
            columns: None,
        }
    }

    fn cell(&self, column: &str, text: &str) -> String {
        let quoted = if self.fields.is_empty() {
            match self.quotes {
                Quotes::Always => true,
                Quotes::Never => false,
                Quotes::AsNeeded => text.contains(self.delimiter) || text.contains(['"', '\n', '\r']),
            }
        } else {
            self.fields.iter().any(|f| f.eq_ignore_ascii_case(column))
        };
        if quoted { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
    }

    fn header(&self) -> String {
        let columns = self.columns.as_deref().unwrap_or(&[]);
        let cells: Vec<String> = columns.iter().map(|c| self.cell(c, c)).collect();
        cells.join(&self.delimiter.to_string())
    }

    fn row(&self, value: &Value, context: &mut CmdletContext<'_>) -> String {
        let mut cells = Vec::new();
        for column in self.columns.as_deref().unwrap_or(&[]) {
            let found = match value.base() {
                Value::Dict(dict) => dict.get_str(column),
                _ => members::get(value, column, context.runspace).ok().flatten(),
            };
            cells.push(match found {
                Some(v) if !v.is_null() => {
                    let text = match v.base() {
                        Value::DateTime(date) => {
                            hop_powershell_runtime::datetime::format_datetime(*date, "G", 0)
                                .unwrap_or_default()
                        }
                        Value::Array(_) | Value::List(_) => v.base().type_name(),
                        Value::Double(_) | Value::Single(_) => {
                            hop_powershell_runtime::operators::format_value(v.base(), "", None)
                                .unwrap_or_default()
                        }
                        _ => context.runspace.to_text(&v),
                    };
                    self.cell(column, &text)
                }
                _ => String::new(),
            });
        }
        cells.join(&self.delimiter.to_string())
    }
}

fn columns_of(value: &Value) -> Vec<String> {
    match value.base() {
        Value::Dict(dict) => dict.keys().iter().map(hop_powershell_runtime::convert::to_text).collect(),
        _ => members::properties(value).into_iter().map(|(name, _)| name.to_string()).collect(),
    }
}

fn delimiter(context: &CmdletContext<'_>) -> char {
    match context.arg("Delimiter").map(Value::base) {
        Some(Value::Char(unit)) => char::from_u32(u32::from(*unit)).unwrap_or(','),
        _ => ',',
    }
}

#[derive(Default)]
struct ToCsv {
    writer: Option<Writer>,
}

impl Cmdlet for ToCsv {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let Some(value) = context.arg("InputObject").cloned() else { return Ok(()) };
        if self.writer.is_none() {
            let mut writer = Writer::of(context);
            writer.columns = Some(columns_of(&value));
            if context.switch("IncludeTypeInformation") {
                context.write(type_line(&value))?;
            }
            if !context.switch("NoHeader") {
                context.write(writer.header())?;
            }
            self.writer = Some(writer);
        }
        if let Some(writer) = &self.writer {
            let line = writer.row(&value, context);
            context.write(line)?;
        }
        Ok(())
    }
}

fn type_line(value: &Value) -> String {
    let name = value.type_names().first().map(|n| n.to_string()).unwrap_or_default();
    format!("#TYPE {}", name.strip_prefix("CSV:").unwrap_or(&name))
}

#[derive(Default)]
struct ExportCsv {
    writer: Option<Writer>,
    file: Option<std::fs::File>,
    refused: bool,
}

impl ExportCsv {
    fn path(context: &mut CmdletContext<'_>) -> Run<(String, String)> {
        let given = context.text("LiteralPath").or_else(|| context.text("Path")).unwrap_or_default();
        if given.is_empty() {
            let error = Error::new(
                "System.InvalidOperationException",
                "CannotSpecifyPathAndLiteralPath",
                ErrorCategory::InvalidData,
                "You must specify either the -Path or -LiteralPath parameters, but not both.",
            );
            return Err(context.terminate(error));
        }
        match files::resolve(context.runspace, &given) {
            Ok(place) => Ok((given, place.path)),
            Err(error) => Err(context.terminate(error)),
        }
    }

    fn open(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let (given, path) = Self::path(context)?;
        if !context.should_process(&given, "Export-Csv")? {
            self.refused = true;
            return Ok(());
        }
        let append = context.switch("Append");
        let there = std::path::Path::new(&path).exists();
        if there && context.switch("NoClobber") && !append {
            let error = Error::new(
                "System.IO.IOException",
                "NoClobber",
                ErrorCategory::ResourceExists,
                format!("The file '{path}' already exists."),
            )
            .with_target(Value::string(&path));
            return Err(context.terminate(error));
        }
        let mut writer = Writer::of(context);
        if append && there {
            let bytes = std::fs::read(&path).unwrap_or_default();
            let text = Encoding::Utf8.decode_file(&bytes);
            let mut rows = parse(&text, writer.delimiter);
            if rows.first().is_some_and(|r| r.first().is_some_and(|c| c.text.starts_with("#TYPE"))) {
                rows.remove(0);
            }
            writer.columns = rows.first().map(|r| r.iter().map(|c| c.text.clone()).collect());
        }
        if context.switch("Force") && there {
            files::make_writable(&path);
        }
        match std::fs::OpenOptions::new()
            .create(true)
            .write(true)
            .append(append)
            .truncate(!append)
            .open(&path)
        {
            Ok(file) => self.file = Some(file),
            Err(error) => {
                let error = files::io_error(&error, &path);
                return Err(context.terminate(error));
            }
        }
        self.writer = Some(writer);
        Ok(())
    }

    fn line(&mut self, context: &mut CmdletContext<'_>, text: &str, start: bool) -> Run {
        let encoding = Encoding::of(context)?.unwrap_or(Encoding::Utf8);
        let mut bytes = if start { encoding.preamble().to_vec() } else { Vec::new() };
        bytes.extend(encoding.encode(&format!("{text}\n")));
        match self.file.as_mut().map(|f| f.write_all(&bytes)) {
            Some(Err(error)) => {
                let error = files::io_error(&error, "");
                Err(context.terminate(error))
            }
            _ => Ok(()),
        }
    }
}

impl Cmdlet for ExportCsv {
    fn begin(&mut self, context: &mut CmdletContext<'_>) -> Run {
        self.open(context)
    }

    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        if self.refused {
            return Ok(());
        }
        let Some(value) = context.arg("InputObject").cloned() else { return Ok(()) };
        let Some(writer) = self.writer.as_mut() else { return Ok(()) };
        match writer.columns.clone() {
            None => {
                writer.columns = Some(columns_of(&value));
                let header = writer.header();
                let mut start = true;
                if context.switch("IncludeTypeInformation") {
                    self.line(context, &type_line(&value), start)?;
                    start = false;
                }
                if !context.switch("NoHeader") {
                    self.line(context, &header, start)?;
                }
            }
            Some(columns) if context.switch("Append") && !context.switch("Force") => {
                let own = columns_of(&value);
                if let Some(missing) = columns.iter().find(|c| !own.iter().any(|o| o.eq_ignore_ascii_case(c)))
                {
                    let (given, _) = Self::path(context)?;
                    let error = Error::new(
                        "System.InvalidOperationException",
                        "CannotAppendCsvWithMismatchedPropertyNames",
                        ErrorCategory::InvalidData,
                        format!(
                            "Cannot append CSV content to the following file: {given}. The appended object does not have a property that corresponds to the following column: {missing}. To continue with mismatched properties, add the -Force parameter, and then retry the command."
                        ),
                    )
                    .with_target(Value::string(missing));
                    return Err(context.terminate(error));
                }
            }
            Some(_) => {}
        }
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let line = writer.row(&value, context);
        self.writer = Some(writer);
        self.line(context, &line, false)
    }
}

/// One cell, and whether anything stood there at all.
#[derive(Clone, Debug, PartialEq)]
struct Cell {
    text: String,
}

/// Splits a text into rows of cells.
fn parse(text: &str, delimiter: char) -> Vec<Vec<Cell>> {
    let mut rows = Vec::new();
    let mut row: Vec<Cell> = Vec::new();
    let mut cell = String::new();
    let mut quoted = false;
    let mut was_quoted = false;
    let mut chars = text.chars().peekable();
    let mut any = false;
    while let Some(c) = chars.next() {
        any = true;
        if quoted {
            match c {
                '"' if chars.peek() == Some(&'"') => {
                    chars.next();
                    cell.push('"');
                }
                '"' => quoted = false,
                c => cell.push(c),
            }
            continue;
        }
        match c {
            '"' if cell.trim().is_empty() && !was_quoted => {
                cell.clear();
                quoted = true;
                was_quoted = true;
            }
            c if c == delimiter => {
                row.push(Cell { text: std::mem::take(&mut cell) });
                was_quoted = false;
            }
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' | '\r' => {
                row.push(Cell { text: std::mem::take(&mut cell) });
                rows.push(std::mem::take(&mut row));
                was_quoted = false;
                any = false;
            }
            // Blanks before a cell are skipped.
            ' ' | '\t' if cell.is_empty() && !was_quoted => {}
            _ if was_quoted && c.is_whitespace() => {}
            c => cell.push(c),
        }
    }
    if any || !row.is_empty() {
        row.push(Cell { text: cell });
        rows.push(row);
    }
    rows.retain(|r| !matches!(r.as_slice(), [one] if one.text.is_empty()));
    rows
}

/// Rows as objects.
#[derive(Default)]
struct Reader {
    header: Option<Vec<String>>,
    type_name: Option<String>,
}

impl Reader {
    fn of(context: &mut CmdletContext<'_>) -> Self {
        let header = context.texts("Header");
        Self { header: (!header.is_empty()).then_some(header), type_name: None }
    }

    fn read(&mut self, context: &mut CmdletContext<'_>, text: &str) -> Run {
        let delimiter = delimiter(context);
        for row in parse(text, delimiter) {
            let Some(header) = &self.header else {
                let first = row.first().map(|c| c.text.as_str()).unwrap_or_default();
                if let Some(name) = first.strip_prefix("#TYPE ") {
                    self.type_name = Some(name.trim().to_owned());
                    continue;
                }
                let mut names: Vec<String> = Vec::new();
                let mut missing = false;
                let mut number = 1;
                for cell in &row {
                    if cell.text.is_empty() {
                        missing = true;
                        names.push(format!("H{number}"));
                        number += 1;
                        continue;
                    }
                    if names.iter().any(|n| n.eq_ignore_ascii_case(&cell.text)) {
                        let error = Error::new(
                            "System.Management.Automation.ExtendedTypeSystemException",
                            "AlreadyPresentPSMemberInfoInternalCollectionAdd",
                            ErrorCategory::NotSpecified,
                            format!("The member \"{}\" is already present.", cell.text),
                        );
                        return Err(context.terminate(error));
                    }
                    names.push(cell.text.clone());
                }
                if missing {
                    context.warning(
                        "One or more headers were not specified. Default names starting with \"H\" have been used in place of any missing headers.",
                    )?;
                }
                self.header = Some(names);
                continue;
            };
            let object = PsObject::custom(
                header
                    .iter()
                    .enumerate()
                    .map(|(i, name)| (name, row.get(i).map_or(Value::Null, |c| Value::string(&c.text)))),
            );
            if let Some(name) = &self.type_name {
                object.insert_type_name(&format!("CSV:{name}"));
                object.insert_type_name(name);
            }
            context.write(Value::Object(Arc::new(object)))?;
        }
        Ok(())
    }
}

#[derive(Default)]
struct FromCsv {
    reader: Option<Reader>,
    pending: String,
}

impl Cmdlet for FromCsv {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        for item in context.items("InputObject") {
            let text = context.runspace.to_text(&item);
            if !self.pending.is_empty() {
                self.pending.push('\n');
            }
            self.pending.push_str(&text);
            // A quoted cell may go on in the next line.
            if self.pending.matches('"').count() % 2 == 1 {
                continue;
            }
            let text = std::mem::take(&mut self.pending);
            let mut reader = self.reader.take().unwrap_or_else(|| Reader::of(context));
            let outcome = reader.read(context, &text);
            self.reader = Some(reader);
            outcome?;
        }
        Ok(())
    }

    fn end(&mut self, context: &mut CmdletContext<'_>) -> Run {
        if self.pending.is_empty() {
            return Ok(());
        }
        let text = std::mem::take(&mut self.pending);
        let mut reader = self.reader.take().unwrap_or_else(|| Reader::of(context));
        reader.read(context, &text)
    }
}

struct ImportCsv;

impl Cmdlet for ImportCsv {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let encoding = Encoding::of(context)?.unwrap_or(Encoding::Utf8);
        if !context.has("Path") && !context.has("LiteralPath") {
            let error = Error::new(
                "System.InvalidOperationException",
                "CannotSpecifyPathAndLiteralPath",
                ErrorCategory::InvalidData,
                "You must specify either the -Path or -LiteralPath parameters, but not both.",
            );
            return Err(context.terminate(error));
        }
        for (_, found) in files::places(context, None)? {
            for place in found {
                let bytes = match std::fs::read(&place.path) {
                    Ok(bytes) => bytes,
                    Err(error) => {
                        let error = files::io_error(&error, &place.path);
                        context.error(Arc::clone(error.record()))?;
                        continue;
                    }
                };
                let mut reader = Reader::of(context);
                match reader.read(context, &encoding.decode_file(&bytes)) {
                    Ok(()) => {}
                    Err(Flow::Error(error)) => return Err(Flow::Error(error)),
                    Err(other) => return Err(other),
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn rows(text: &str) -> Vec<Vec<String>> {
        parse(text, ',').into_iter().map(|r| r.into_iter().map(|c| c.text).collect()).collect()
    }

    #[test]
    fn cells_are_quoted_doubled_and_broken() {
        assert_eq!(rows("a,\"b \"\"c\"\"\"\n1,\"x\ny\"\n"), [["a", "b \"c\""], ["1", "x\ny"]]);
        assert_eq!(rows(" a , b \n\n,"), [vec!["a ", "b "], vec!["", ""]]);
        assert!(rows("").is_empty());
    }
}
