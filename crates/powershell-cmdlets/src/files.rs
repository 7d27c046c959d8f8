//! Files, folders, locations and paths.

use hop_powershell_runtime::command::CommandTable;
use hop_powershell_runtime::value::{Error, ErrorCategory, Value};

pub(crate) fn register(_table: &mut CommandTable) {}

/// An operating system error about a path, with .NET's words.
pub(crate) fn io_error(error: &std::io::Error, path: &str) -> Error {
    let (exception, message, category) = match error.kind() {
        std::io::ErrorKind::NotFound => (
            "System.IO.DirectoryNotFoundException",
            format!("Could not find a part of the path '{path}'."),
            ErrorCategory::OpenError,
        ),
        std::io::ErrorKind::PermissionDenied => (
            "System.UnauthorizedAccessException",
            format!("Access to the path '{path}' is denied."),
            ErrorCategory::PermissionDenied,
        ),
        _ => ("System.IO.IOException", format!("{error}: '{path}'"), ErrorCategory::WriteError),
    };
    Error::new(exception, "FileOpenFailure", category, message).with_target(Value::string(path))
}
