//! PowerShell cmdlets and providers of the embedded engine.
#![forbid(unsafe_code)]

mod clixml;
pub mod console;
pub mod credssp;
mod data;
mod engine;
mod files;
mod modules;
mod nettypes;
mod objects;
mod output;
pub mod platform;
pub mod serialize;
mod session;
mod system;

use std::sync::Arc;

use hop_powershell_runtime::command::CommandTable;
use hop_powershell_runtime::host::{Host, Platform};
use hop_powershell_runtime::runspace::Runspace;

/// All cmdlets and built-in aliases.
pub fn command_table() -> CommandTable {
    let mut table = CommandTable::new();
    engine::register(&mut table);
    objects::register(&mut table);
    output::register(&mut table);
    files::register(&mut table);
    clixml::register(&mut table);
    credssp::register(&mut table);
    data::register(&mut table);
    modules::register(&mut table);
    session::register(&mut table);
    system::register(&mut table);
    table
}

/// A session with all cmdlets and types of this crate.
pub fn runspace(host: Box<dyn Host>, platform: Arc<dyn Platform>) -> Runspace {
    let mut runspace = Runspace::new(host, platform, command_table());
    clixml::provide(&mut runspace);
    nettypes::provide(&mut runspace);
    runspace
}
