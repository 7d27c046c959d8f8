//! Runs a script file: `shell -NoProfile -NonInteractive -File x.ps1 [ARGUMENT...]`.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::Write;
use std::sync::Arc;

use hop_powershell_cmdlets::platform::LocalPlatform;
use hop_powershell_runtime::flow::{Flow, Run, Sink};
use hop_powershell_runtime::host::{Host, ProgressRecord};
use hop_powershell_runtime::runspace::{RECOMMENDED_STACK, Runspace};
use hop_powershell_runtime::value::{ErrorRecord, Value};

struct Console;

impl Host for Console {
    fn name(&self) -> String {
        "ConsoleHost".into()
    }

    fn write_error(&mut self, record: &Arc<ErrorRecord>, _view: &str) {
        println!("{}", error_text(record));
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

/// The concise view of an error.
fn error_text(record: &ErrorRecord) -> String {
    let Some(info) = record.invocation.get() else {
        return format!("{}: {}", record.reason, record.message());
    };
    let activity = record.activity();
    let head = if activity.is_empty() {
        if record.category.name() == "ParserError" { "ParserError".into() } else { record.reason.clone() }
    } else {
        activity
    };
    let message = record.message();
    let message = message.split_once("~\n").map_or(message.clone(), |(_, m)| m.to_string());
    if info.script_name.is_empty() && info.line.is_empty() {
        return format!("{head}: {message}");
    }
    let number = info.script_line_number.to_string();
    let wide = number.len().max(4);
    let indent = " ".repeat(wide);
    let column = (info.offset_in_line as usize).saturating_sub(1);
    let mut text =
        format!("{head}: {}:{number}\nLine {}|\n{number:>wide$} | ", info.script_name, " ".repeat(wide - 4));
    text.push_str(&format!(
        " {}\n{indent} |  {}{}\n",
        info.line,
        " ".repeat(column),
        "~".repeat((info.extent_length as usize).max(1))
    ));
    let mut line = String::new();
    for paragraph in message.split('\n') {
        for word in paragraph.split(' ') {
            if line.len() + word.len() + 1 > 80 - wide - 3 && !line.is_empty() {
                text.push_str(&format!("{indent} | {}\n", line.trim_end()));
                line.clear();
            }
            line.push_str(word);
            line.push(' ');
        }
        text.push_str(&format!("{indent} | {}\n", line.trim_end()));
        line.clear();
    }
    text.pop();
    text
}

struct Printer;

impl Sink for Printer {
    fn write(&mut self, runspace: &mut Runspace, value: Value) -> Run {
        match &value {
            Value::Null => {}
            Value::ErrorRecord(r) => println!("{}", error_text(r)),
            v => println!("{}", runspace.to_text(v)),
        }
        let _ = std::io::stdout().flush();
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
    match runspace.run_file(&path, &rest, None, &mut Printer) {
        Ok(()) => 0,
        Err(Flow::Exit(code)) => code & 0xff,
        Err(flow) => {
            if let Some(error) = flow.error() {
                println!("{}", error_text(error.record()));
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
