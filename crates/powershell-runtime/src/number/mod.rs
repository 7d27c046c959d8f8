//! Numbers and text: .NET number format strings and PowerShell's number literals.

mod format;
mod parse;

pub use format::{double_text, format_number, number_text, single_text};
pub use parse::{parse_double, parse_integer, scan_number};
