//! More cmdlets.

use hop_powershell_runtime::command::CommandTable;

pub(crate) fn register(_table: &mut CommandTable) {}
