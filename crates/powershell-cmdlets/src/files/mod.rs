//! Files, folders, locations, paths, and the drives of the other providers.

mod change;
mod content;
mod encoding;
mod item;
mod location;
mod paths;
mod query;
mod words;

use std::sync::Arc;

use hop_powershell_runtime::command::{CommandTable, ParameterInfo as P};
use hop_powershell_runtime::context::CmdletContext;
use hop_powershell_runtime::flow::Run;
use hop_powershell_runtime::value::{Error, ErrorCategory, Value};

pub(crate) use content::{bytes_of, lines, make_writable};
pub(crate) use encoding::{Encoding, encoding_parameter};
pub(crate) use item::{FileItem, file_object};
pub(crate) use paths::{Place, children, expand, resolve};

pub(crate) const MANAGEMENT: &str = "Microsoft.PowerShell.Management";

pub(crate) fn register(table: &mut CommandTable) {
    query::register(table);
    words::register(table);
    change::register(table);
    content::register(table);
    location::register(table);
}

/// `-Path` and `-LiteralPath` in sets of their own. `pipeline`: whole objects bind to `-Path`, too.
pub(crate) fn path_parameters(mandatory: bool, pipeline: bool) -> [P; 2] {
    let mut path = P::new("Path", "string[]").in_sets(&["Path"]).position(0).by_property();
    let mut literal = P::new("LiteralPath", "string[]").in_sets(&["LiteralPath"]).by_property().mandatory();
    literal = literal.alias("PSPath").alias("LP");
    if mandatory {
        path = path.mandatory();
    }
    if pipeline {
        path = path.pipeline();
    }
    [path, literal]
}

/// The places that `-Path` and `-LiteralPath` name; what cannot be resolved is written as an error.
pub(crate) fn places(
    context: &mut CmdletContext<'_>,
    default: Option<&str>,
) -> Run<Vec<(String, Vec<Place>)>> {
    let literal = context.has("LiteralPath");
    let mut texts = context.texts(if literal { "LiteralPath" } else { "Path" });
    if texts.is_empty()
        && let Some(default) = default
    {
        texts.push(default.to_owned());
    }
    let force = context.switch("Force");
    let mut all = Vec::new();
    for text in texts {
        match expand(context.runspace, &text, literal, force) {
            Ok(found) => all.push((text, found)),
            Err(error) => context.error(std::sync::Arc::clone(error.record()))?,
        }
    }
    Ok(all)
}

/// Whether a path has wildcards that count.
pub(crate) fn is_pattern(context: &CmdletContext<'_>, text: &str) -> bool {
    !context.has("LiteralPath") && hop_powershell_runtime::wildcard::has_wildcard(text)
}

/// Whether a place exists; it is an error if not, unless a pattern found it.
pub(crate) fn stands(context: &mut CmdletContext<'_>, place: &Place, pattern: bool) -> Run<bool> {
    let stands = place.exists(context.runspace);
    if !stands && !pattern {
        let error = place.not_found();
        context.error(Arc::clone(error.record()))?;
    }
    Ok(stands)
}

/// .NET's exception and words for an operating system error about a path.
pub(crate) fn dotnet_io_error(error: &std::io::Error, path: &str) -> Error {
    let (exception, message) = words_of(error, path);
    Error::dotnet(exception, message)
}

fn words_of(error: &std::io::Error, path: &str) -> (&'static str, String) {
    match error.kind() {
        std::io::ErrorKind::NotFound => match item::parent(path) {
            Some(folder) if std::path::Path::new(folder).is_dir() => {
                ("System.IO.FileNotFoundException", format!("Could not find file '{path}'."))
            }
            _ => (
                "System.IO.DirectoryNotFoundException",
                format!("Could not find a part of the path '{path}'."),
            ),
        },
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::IsADirectory => {
            ("System.UnauthorizedAccessException", format!("Access to the path '{path}' is denied."))
        }
        std::io::ErrorKind::DirectoryNotEmpty => {
            ("System.IO.IOException", format!("Directory not empty : '{path}'"))
        }
        std::io::ErrorKind::AlreadyExists => {
            ("System.IO.IOException", format!("The file '{path}' already exists."))
        }
        _ => {
            let text = error.to_string();
            let plain = text.split(" (os error").next().unwrap_or("").to_owned();
            ("System.IO.IOException", format!("{plain} : '{path}'"))
        }
    }
}

/// An operating system error about a path as a cmdlet's error.
pub(crate) fn io_error(error: &std::io::Error, path: &str) -> Error {
    let (exception, message) = words_of(error, path);
    let category = match error.kind() {
        std::io::ErrorKind::NotFound => ErrorCategory::OpenError,
        std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::IsADirectory => {
            ErrorCategory::PermissionDenied
        }
        _ => ErrorCategory::WriteError,
    };
    Error::new(exception, "FileOpenFailure", category, message).with_target(Value::string(path))
}
