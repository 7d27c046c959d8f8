//! Runs things.
use crate::flow::{Run, Sink};
use crate::runspace::{CommandCall, Runspace};
use crate::value::Value;

impl Runspace {
    /// Runs a script block in the running scope with `$_` set.
    pub fn run_block_in_scope(
        &mut self,
        _block: &Value,
        _underscore: Option<Value>,
        _input: Vec<Value>,
        _out: &mut dyn Sink,
    ) -> Run {
        Ok(())
    }

    /// Runs commands as one or several pipelines (PSRP command lists).
    pub fn invoke_commands(
        &mut self,
        _commands: &[CommandCall],
        _input: Option<Vec<Value>>,
        _out: &mut dyn Sink,
    ) -> Run {
        Ok(())
    }
}
