//! PowerShell cmdlets and providers of the embedded engine.
#![forbid(unsafe_code)]

pub mod console;
mod data;
mod engine;
mod files;
mod objects;
mod output;
pub mod platform;
pub mod serialize;
mod system;

use hop_powershell_runtime::command::CommandTable;

/// All cmdlets and built-in aliases.
pub fn command_table() -> CommandTable {
    let mut table = CommandTable::new();
    engine::register(&mut table);
    objects::register(&mut table);
    output::register(&mut table);
    files::register(&mut table);
    data::register(&mut table);
    system::register(&mut table);
    table
}
