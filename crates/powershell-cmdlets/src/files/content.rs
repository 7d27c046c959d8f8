//! `Get-Content`, `Set-Content`, `Add-Content`, `Clear-Content`.

use std::io::Write;
use std::sync::Arc;

use hop_powershell_runtime::command::{Cmdlet, CmdletInfo, CommandTable, ParameterInfo as P};
use hop_powershell_runtime::context::CmdletContext;
use hop_powershell_runtime::convert;
use hop_powershell_runtime::flow::Run;
use hop_powershell_runtime::value::{Error, ErrorCategory, PsObject, TypeRef, Value};

use super::encoding::{Encoding, encoding_parameter};
use super::item::note_place;
use super::paths::{Place, Provider};
use super::{MANAGEMENT, is_pattern, path_parameters, places, stands};

pub(crate) fn register(table: &mut CommandTable) {
    let with_paths = |mut info: CmdletInfo| {
        for p in path_parameters(true, false) {
            info = info.with(p);
        }
        info.default_set("Path")
            .with(P::new("Filter", "string"))
            .with(P::new("Include", "string[]"))
            .with(P::new("Exclude", "string[]"))
            .with(P::switch("Force"))
            .with(P::new("Credential", "object"))
    };
    table.add(
        with_paths(CmdletInfo::new(
            "Get-Content",
            "Microsoft.PowerShell.Commands.GetContentCommand",
            MANAGEMENT,
            || Box::new(GetContent),
        ))
        .with(P::new("ReadCount", "long").by_property())
        .with(P::new("TotalCount", "long").by_property().alias("First").alias("Head"))
        .with(P::new("Tail", "int").by_property().alias("Last"))
        .with(P::new("Delimiter", "string"))
        .with(P::switch("Wait"))
        .with(P::switch("Raw"))
        .with(encoding_parameter())
        .with(P::switch("AsByteStream"))
        .with(P::new("Stream", "string")),
    );
    for (name, class, append) in [
        ("Set-Content", "Microsoft.PowerShell.Commands.SetContentCommand", false),
        ("Add-Content", "Microsoft.PowerShell.Commands.AddContentCommand", true),
    ] {
        let make: fn() -> Box<dyn Cmdlet> = if append {
            || Box::new(WriteContent { append: true, ..WriteContent::default() })
        } else {
            || Box::<WriteContent>::default()
        };
        table.add(
            with_paths(CmdletInfo::new(name, class, MANAGEMENT, make))
                .with(
                    P::new("Value", "object[]")
                        .mandatory()
                        .position(1)
                        .pipeline()
                        .by_property()
                        .allow_empty(),
                )
                .with(P::switch("PassThru"))
                .with(encoding_parameter())
                .with(P::switch("NoNewline"))
                .with(P::switch("AsByteStream"))
                .with(P::new("Stream", "string"))
                .should_process(),
        );
    }
    table.add(
        with_paths(CmdletInfo::new(
            "Clear-Content",
            "Microsoft.PowerShell.Commands.ClearContentCommand",
            MANAGEMENT,
            || Box::new(ClearContent),
        ))
        .should_process(),
    );
    for (name, target) in [
        ("gc", "Get-Content"),
        ("cat", "Get-Content"),
        ("type", "Get-Content"),
        ("ac", "Add-Content"),
        ("clc", "Clear-Content"),
    ] {
        table.alias(name, target);
    }
}

struct GetContent;

/// Splits text into lines; a line ends in LF, CR LF or CR.
pub(crate) fn lines(text: &str) -> Vec<&str> {
    let mut list = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['\n', '\r']) {
        let (line, tail) = rest.split_at(at);
        list.push(line);
        rest = tail.strip_prefix("\r\n").or_else(|| tail.get(1..)).unwrap_or("");
    }
    if !rest.is_empty() {
        list.push(rest);
    }
    list
}

impl Cmdlet for GetContent {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        let encoding = Encoding::of(context)?.unwrap_or(Encoding::Utf8);
        if context.has("TotalCount") && context.has("Tail") {
            return refuse(
                context,
                "The parameters TotalCount and Tail cannot be used together. Please specify only one parameter.",
            );
        }
        if context.switch("Raw") && context.has("Delimiter") {
            return refuse(
                context,
                "The 'Raw' and 'Delimiter' parameters cannot be specified in the same command.",
            );
        }
        for (text, found) in places(context, None)? {
            if found.is_empty() {
                let error = Error::new(
                    "System.Exception",
                    "ItemNotFound",
                    ErrorCategory::ObjectNotFound,
                    format!(
                        "An object at the specified path {text} does not exist, or has been filtered by the -Include or -Exclude parameter."
                    ),
                )
                .with_target(Value::string(&text));
                context.error(Arc::clone(error.record()))?;
            }
            let filter = super::query::NameFilter::of(context);
            for place in found {
                if is_pattern(context, &text) && !filter.takes(super::item::file_name(&place.path)) {
                    continue;
                }
                self.read(context, &place, &text, encoding)?;
            }
        }
        Ok(())
    }
}

fn refuse(context: &mut CmdletContext<'_>, message: &str) -> Run {
    let error = Error::new(
        "System.InvalidOperationException",
        "System.InvalidOperationException",
        ErrorCategory::InvalidOperation,
        message,
    );
    Err(context.terminate(error))
}

impl GetContent {
    fn read(&self, context: &mut CmdletContext<'_>, place: &Place, asked: &str, encoding: Encoding) -> Run {
        if !place.exists(context.runspace) {
            let error = if context.has("LiteralPath") && place.provider == Provider::FileSystem {
                super::paths::not_found(asked)
            } else {
                place.not_found()
            };
            return context.error(Arc::clone(error.record()));
        }
        if place.provider != Provider::FileSystem {
            let item = super::item::item_value(context.runspace, place);
            let name = match place.provider {
                Provider::Function => "ScriptBlock",
                Provider::Alias => "Definition",
                _ => "Value",
            };
            let value = hop_powershell_runtime::members::get(&item, name, context.runspace)?;
            return context.write_enumerated(value.unwrap_or_default());
        }
        if place.is_container() {
            return context.error_with(
                "System.UnauthorizedAccessException",
                "GetContainerContentException",
                ErrorCategory::InvalidOperation,
                Value::string(&place.path),
                format!(
                    "Unable to get content because it is a directory: '{}'. Please use 'Get-ChildItem' instead.",
                    place.path
                ),
            );
        }
        let bytes = match std::fs::read(&place.path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let error = super::dotnet_io_error(&error, &place.path);
                let error = Error::from_exception(
                    hop_powershell_runtime::value::Exception::new(
                        error.exception().map_or("System.IO.IOException", |e| e.type_name()),
                        error.message(),
                    ),
                    "GetContentReaderUnauthorizedAccessError",
                    ErrorCategory::PermissionDenied,
                    Value::string(&place.path),
                );
                return context.error(Arc::clone(error.record()));
            }
        };
        let total = context.integer("TotalCount").and_then(|n| usize::try_from(n).ok());
        let tail = context.integer("Tail").and_then(|n| usize::try_from(n).ok());
        let pick = |count: usize| -> std::ops::Range<usize> {
            match (total, tail) {
                (Some(n), _) => 0..n.min(count),
                (None, Some(n)) => count - n.min(count)..count,
                _ => 0..count,
            }
        };
        if context.switch("AsByteStream") {
            if context.switch("Raw") {
                return context.write(Value::bytes(&bytes));
            }
            let range = pick(bytes.len());
            for byte in bytes.get(range).unwrap_or(&[]) {
                context.write(Value::Byte(*byte))?;
            }
            return Ok(());
        }
        let text = encoding.decode_file(&bytes);
        if context.switch("Raw") {
            if text.is_empty() && bytes.is_empty() {
                // An empty file gives an empty text, which the pipeline shows as nothing.
                return Ok(());
            }
            let line = self.noted(place, &text, 1);
            return context.write(line);
        }
        let delimiter = context.text("Delimiter").filter(|d| !d.is_empty());
        let list: Vec<&str> = match &delimiter {
            Some(delimiter) => {
                let mut parts: Vec<&str> = text.split(delimiter.as_str()).collect();
                if parts.last() == Some(&"") {
                    parts.pop();
                }
                parts
            }
            None => lines(&text),
        };
        let range = pick(list.len());
        let read_count = context.integer("ReadCount").unwrap_or(1);
        let chosen: Vec<Value> = list
            .get(range.clone())
            .unwrap_or(&[])
            .iter()
            .enumerate()
            .map(|(i, line)| self.noted(place, line, range.start + i + 1))
            .collect();
        match usize::try_from(read_count) {
            Ok(1) => chosen.into_iter().try_for_each(|line| context.write(line)),
            Ok(n) if n > 1 => chosen.chunks(n).try_for_each(|c| context.write(Value::array(c.to_vec()))),
            _ if chosen.is_empty() => Ok(()),
            _ => context.write(Value::array(chosen)),
        }
    }

    /// A line with the notes about where it comes from.
    fn noted(&self, place: &Place, line: &str, number: usize) -> Value {
        let object = PsObject::wrapping(Value::string(line));
        note_place(&object, place);
        object.with_members_mut(|m| {
            m.remove("PSIsContainer");
        });
        object.set_note("ReadCount", Value::Int64(i64::try_from(number).unwrap_or(i64::MAX)));
        Value::Object(Arc::new(object))
    }
}

#[derive(Default)]
struct WriteContent {
    append: bool,
    /// Open files; `None` until the first object comes.
    open: Option<Vec<(Place, std::fs::File)>>,
    /// What goes to items of other providers.
    values: Vec<Value>,
    others: Vec<Place>,
}

impl WriteContent {
    fn open(&mut self, context: &mut CmdletContext<'_>) -> Run {
        if self.open.is_some() {
            return Ok(());
        }
        let encoding = Encoding::of(context)?.unwrap_or(Encoding::Utf8);
        let bytes = context.switch("AsByteStream");
        let mut open = Vec::new();
        let append = self.append;
        for (_, found) in places(context, None)? {
            for place in found {
                if place.provider != Provider::FileSystem {
                    self.others.push(place);
                    continue;
                }
                let action = if append { "Add Content" } else { "Set Content" };
                if !context.should_process(&format!("Path: {}", place.path), action)? {
                    continue;
                }
                if place.is_container() {
                    let (id, message) = if append {
                        (
                            "GetContentWriterUnauthorizedAccessError",
                            format!("Access to the path '{}' is denied.", place.path),
                        )
                    } else {
                        (
                            "ClearDirectoryContent",
                            format!(
                                "Unable to clear content of '{}' because it is a directory. Clear-Content is only supported on files.",
                                place.path
                            ),
                        )
                    };
                    context.error_with(
                        "System.UnauthorizedAccessException",
                        id,
                        ErrorCategory::InvalidOperation,
                        Value::string(&place.path),
                        message,
                    )?;
                    continue;
                }
                if context.switch("Force") {
                    make_writable(&place.path);
                }
                let fresh = !append || std::fs::metadata(&place.path).map_or(true, |m| m.len() == 0);
                let file = std::fs::OpenOptions::new()
                    .create(true)
                    .write(true)
                    .append(append)
                    .truncate(!append)
                    .open(&place.path);
                match file {
                    Ok(mut file) => {
                        if fresh && !bytes {
                            let _ = file.write_all(encoding.preamble());
                        }
                        open.push((place, file));
                    }
                    Err(error) => {
                        let found = super::dotnet_io_error(&error, &place.path);
                        let id = if error.kind() == std::io::ErrorKind::PermissionDenied {
                            ("GetContentWriterUnauthorizedAccessError", ErrorCategory::PermissionDenied)
                        } else {
                            ("GetContentWriterDirectoryNotFoundError", ErrorCategory::ObjectNotFound)
                        };
                        // The writer needs the folder, whether or not the file is there.
                        let missing = error.kind() == std::io::ErrorKind::NotFound;
                        let message = if missing {
                            format!("Could not find a part of the path '{}'.", place.path)
                        } else {
                            found.message()
                        };
                        let kind = if missing {
                            "System.IO.DirectoryNotFoundException"
                        } else {
                            found.exception().map_or("System.IO.IOException", |e| e.type_name())
                        };
                        context.error_with(kind, id.0, id.1, Value::string(&place.path), message)?;
                    }
                }
            }
        }
        self.open = Some(open);
        Ok(())
    }
}

/// Takes the read-only state from a file.
pub(crate) fn make_writable(path: &str) {
    use std::os::unix::fs::PermissionsExt;
    if let Ok(meta) = std::fs::metadata(path) {
        let mode = meta.permissions().mode();
        let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode | 0o200));
    }
}

impl Cmdlet for WriteContent {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        self.open(context)?;
        let encoding = Encoding::of(context)?.unwrap_or(Encoding::Utf8);
        let end = if context.switch("NoNewline") { "" } else { "\n" };
        let bytes = context.switch("AsByteStream");
        let items = context.items("Value");
        let null = context.arg("Value").is_some_and(Value::is_null);
        if self.open.as_ref().is_some_and(Vec::is_empty) && self.others.is_empty() {
            return Ok(());
        }
        let mut data = Vec::new();
        for item in &items {
            if bytes {
                match item.base().as_integer().and_then(|n| u8::try_from(n).ok()) {
                    Some(byte) if !matches!(item.base(), Value::String(_)) => data.push(byte),
                    _ => {
                        let error = Error::new(
                            "System.Management.Automation.PSArgumentException",
                            "System.Management.Automation.PSArgumentException",
                            ErrorCategory::InvalidArgument,
                            "Cannot proceed with byte encoding. When using byte encoding the content must be of type byte.",
                        );
                        return Err(context.terminate(error));
                    }
                }
                continue;
            }
            if item.is_null() {
                continue;
            }
            let parts = item.enumerate().unwrap_or_else(|| vec![item.clone()]);
            for part in parts {
                let text = context.runspace.to_text(&part);
                data.extend(encoding.encode(&text));
                data.extend(encoding.encode(end));
            }
        }
        if !self.others.is_empty() {
            self.values.extend(items);
        }
        for (place, file) in self.open.iter_mut().flatten() {
            if let Err(error) = file.write_all(&data) {
                let error = super::io_error(&error, &place.path);
                return Err(context.terminate(error));
            }
        }
        if context.switch("PassThru") && !null {
            for item in context.items("Value") {
                context.write(item)?;
            }
        }
        Ok(())
    }

    fn end(&mut self, context: &mut CmdletContext<'_>) -> Run {
        self.open = None;
        let values = std::mem::take(&mut self.values);
        for place in std::mem::take(&mut self.others) {
            let drive = place.drive.clone();
            let value = Value::from_output(values.clone());
            context.runspace.set_drive_variable(&drive, &place.path, value)?;
        }
        Ok(())
    }
}

struct ClearContent;

impl Cmdlet for ClearContent {
    fn process(&mut self, context: &mut CmdletContext<'_>) -> Run {
        for (text, found) in places(context, None)? {
            let pattern = is_pattern(context, &text);
            for place in found {
                if !stands(context, &place, pattern)? {
                    continue;
                }
                if place.provider != Provider::FileSystem {
                    context.runspace.set_drive_variable(&place.drive, &place.path, Value::Null)?;
                    continue;
                }
                if place.is_container() {
                    context.error_with(
                        "System.UnauthorizedAccessException",
                        "ClearDirectoryContent",
                        ErrorCategory::InvalidOperation,
                        Value::string(&place.path),
                        format!(
                            "Unable to clear content of '{}' because it is a directory. Clear-Content is only supported on files.",
                            place.path
                        ),
                    )?;
                    continue;
                }
                if !context.should_process(&format!("Item: {}", place.path), "Clear Content")? {
                    continue;
                }
                if context.switch("Force") {
                    make_writable(&place.path);
                }
                if let Err(error) = std::fs::File::create(&place.path) {
                    let error = super::io_error(&error, &place.path);
                    context.error(Arc::clone(error.record()))?;
                }
            }
        }
        Ok(())
    }
}

/// The bytes in a value: a byte array, or numbers that fit.
pub(crate) fn bytes_of(
    value: &Value,
    engine: &mut dyn hop_powershell_runtime::value::Callbacks,
) -> Option<Vec<u8>> {
    match value.base() {
        Value::Array(array) if array.as_bytes().is_some() => array.as_bytes(),
        other => {
            let array = convert::convert_to(other, &TypeRef::named("System.Byte").array(1), engine).ok()?;
            match array {
                Value::Array(array) => array.as_bytes(),
                _ => None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn lines_end_in_lf_crlf_or_cr() {
        assert_eq!(lines("unix\nwin\r\nmac\rend\n\nlast"), ["unix", "win", "mac", "end", "", "last"]);
        assert_eq!(lines("a\n"), ["a"]);
        assert!(lines("").is_empty());
    }
}
