//! Data in text: JSON, CSV, lines of `name=value`, dates, joined strings, hashes.

mod csv;
mod dates;
mod json;
mod json_read;
mod search;
mod text;

use hop_powershell_runtime::command::CommandTable;

pub(crate) const UTILITY: &str = "Microsoft.PowerShell.Utility";

pub(crate) fn register(table: &mut CommandTable) {
    json::register(table);
    csv::register(table);
    dates::register(table);
    search::register(table);
    text::register(table);
}
