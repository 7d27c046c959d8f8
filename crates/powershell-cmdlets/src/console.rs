//! A console: a host that writes text, and the end of every pipeline (`Out-Default`).

use std::io::Write;
use std::sync::Arc;

use hop_powershell_format::{Formatter, format_error};
use hop_powershell_runtime::flow::{Flow, Run, Sink};
use hop_powershell_runtime::host::{Host, ProgressRecord, Remoting};
use hop_powershell_runtime::runspace::Runspace;
use hop_powershell_runtime::value::{ErrorRecord, Value};

use crate::platform::LocalPlatform;

/// A host on standard output and standard error.
#[derive(Debug, Default)]
pub struct ConsoleHost;

fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody reads any more when writing fails; the script still ends by itself.
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

fn print_error(text: &str) {
    let mut out = std::io::stderr().lock();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

impl Host for ConsoleHost {
    fn name(&self) -> String {
        "ConsoleHost".into()
    }
    fn write_error(&mut self, record: &Arc<ErrorRecord>, view: &str) {
        print_error(&format!("{}\n", format_error(record, view, self.width())));
    }
    fn write_warning(&mut self, text: &str) {
        print(&format!("WARNING: {text}\n"));
    }
    fn write_verbose(&mut self, text: &str) {
        print(&format!("VERBOSE: {text}\n"));
    }
    fn write_debug(&mut self, text: &str) {
        print(&format!("DEBUG: {text}\n"));
    }
    fn write_information(&mut self, _record: &Value) {}
    fn write_progress(&mut self, _source_id: i64, _record: &ProgressRecord) {}
    fn write(&mut self, text: &str, _foreground: Option<u8>, _background: Option<u8>) {
        print(text);
    }
}

/// Formats what a pipeline writes and prints it.
#[derive(Debug)]
pub struct OutDefault(Formatter);

impl OutDefault {
    /// For a window of that many columns.
    pub fn new(width: usize) -> Self {
        Self(Formatter::new(width))
    }

    /// Prints what was held back.
    pub fn finish(&mut self, runspace: &mut Runspace) {
        let lines = self.0.finish(runspace);
        show(runspace, lines);
    }
}

fn show(runspace: &mut Runspace, lines: Vec<String>) {
    for line in lines {
        runspace.host.write_line(&line);
    }
}

impl Sink for OutDefault {
    fn write(&mut self, runspace: &mut Runspace, value: Value) -> Run {
        let lines = self.0.push(&value, runspace);
        show(runspace, lines);
        Ok(())
    }
}

/// Runs a script file on a console and gives the exit code. Call it on a thread with
/// [`RECOMMENDED_STACK`](hop_powershell_runtime::runspace::RECOMMENDED_STACK).
pub fn run_file(path: &str, arguments: &[String], remoting: Option<Box<dyn Remoting>>) -> i32 {
    let arguments: Vec<(Option<String>, Value)> =
        arguments.iter().map(|a| (None, Value::string(a))).collect();
    run(remoting, |runspace, out| {
        let path = runspace.full_path(path);
        runspace.run_file(&path, &arguments, None, out)
    })
}

/// Runs a script text on a console and gives the exit code. Call it on a thread like [`run_file`].
pub fn run_text(text: &str, remoting: Option<Box<dyn Remoting>>) -> i32 {
    run(remoting, |runspace, out| runspace.run_script(text, &[], None, out))
}

fn run(remoting: Option<Box<dyn Remoting>>, work: impl FnOnce(&mut Runspace, &mut OutDefault) -> Run) -> i32 {
    let mut runspace = crate::runspace(Box::new(ConsoleHost), Arc::new(LocalPlatform::new()));
    runspace.remoting = remoting;
    let mut out = OutDefault::new(80);
    let result = work(&mut runspace, &mut out);
    out.finish(&mut runspace);
    match result {
        Ok(()) => 0,
        Err(Flow::Exit(code)) => code & 0xff,
        Err(flow) => match flow.error() {
            Some(error) => {
                runspace.host.write_error(error.record(), "ConciseView");
                1
            }
            None => 0,
        },
    }
}
