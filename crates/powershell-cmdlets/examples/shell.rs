//! Runs a script file: `shell -NoProfile -NonInteractive -File x.ps1 [ARGUMENT...]`.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::Write;
use std::sync::Arc;

use hop_powershell_cmdlets::platform::LocalPlatform;
use hop_powershell_format::Formatter;
use hop_powershell_runtime::flow::{Flow, Run, Sink};
use hop_powershell_runtime::host::{Host, ProgressRecord};
use hop_powershell_runtime::runspace::{RECOMMENDED_STACK, Runspace};
use hop_powershell_runtime::value::{ErrorRecord, Value};

struct Console;

impl Host for Console {
    fn name(&self) -> String {
        "ConsoleHost".into()
    }

    fn write_error(&mut self, record: &Arc<ErrorRecord>, view: &str) {
        println!("{}", error_text(record, view));
    }

    fn write_warning(&mut self, text: &str) {
        println!("WARNING: {text}");
    }

    fn write_verbose(&mut self, text: &str) {
        println!("VERBOSE: {text}");
    }

    fn write_debug(&mut self, text: &str) {
        println!("DEBUG: {text}");
    }

    fn write_information(&mut self, _record: &Value) {}

    fn write_progress(&mut self, _source_id: i64, _record: &ProgressRecord) {}

    fn write(&mut self, text: &str, _foreground: Option<u8>, _background: Option<u8>) {
        print!("{text}");
        let _ = std::io::stdout().flush();
    }
}

fn error_text(record: &ErrorRecord, view: &str) -> String {
    hop_powershell_format::format_error(record, view, 80)
}

struct Printer(Formatter);

fn print_lines(lines: Vec<String>) {
    let mut out = std::io::stdout().lock();
    for line in lines {
        let _ = writeln!(out, "{line}");
    }
    let _ = out.flush();
}

impl Sink for Printer {
    fn write(&mut self, runspace: &mut Runspace, value: Value) -> Run {
        if let Value::ErrorRecord(r) = &value {
            let view = runspace.variable_value("ErrorView");
            println!("{}", error_text(r, view.as_str().unwrap_or("")));
            return Ok(());
        }
        print_lines(self.0.push(&value, runspace));
        Ok(())
    }
}

fn run() -> i32 {
    let mut args = std::env::args().skip(1);
    let mut file = None;
    let mut rest = Vec::new();
    while let Some(arg) = args.next() {
        if arg.eq_ignore_ascii_case("-File") {
            file = args.next();
            rest.extend(args.by_ref().map(|a| (None, Value::from(a))));
        }
    }
    let Some(file) = file else {
        eprintln!("usage: shell -NoProfile -NonInteractive -File SCRIPT [ARGUMENT...]");
        return 64;
    };
    let mut runspace = Runspace::new(
        Box::new(Console),
        Arc::new(LocalPlatform::new()),
        hop_powershell_cmdlets::command_table(),
    );
    let path = runspace.full_path(&file);
    let mut printer = Printer(Formatter::new(80));
    let result = runspace.run_file(&path, &rest, None, &mut printer);
    print_lines(printer.0.finish(&mut runspace));
    match result {
        Ok(()) => 0,
        Err(Flow::Exit(code)) => code & 0xff,
        Err(flow) => {
            if let Some(error) = flow.error() {
                println!("{}", error_text(error.record(), "ConciseView"));
                return 1;
            }
            0
        }
    }
}

fn main() {
    let thread = std::thread::Builder::new().stack_size(RECOMMENDED_STACK).spawn(run);
    let code = match thread.map(std::thread::JoinHandle::join) {
        Ok(Ok(code)) => code,
        _ => 70,
    };
    std::process::exit(code);
}
