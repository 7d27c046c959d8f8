//! PowerShell cmdlets and providers of the embedded engine.

mod engine;
pub mod platform;

use hop_powershell_runtime::command::CommandTable;

/// All cmdlets and built-in aliases.
pub fn command_table() -> CommandTable {
    let mut table = CommandTable::new();
    engine::register(&mut table);
    table
}
