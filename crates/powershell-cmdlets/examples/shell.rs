//! Runs a script file: `shell -NoProfile -NonInteractive -File x.ps1 [ARGUMENT...]`.
#![allow(clippy::print_stderr)]

use hop_powershell_cmdlets::console;
use hop_powershell_runtime::runspace::RECOMMENDED_STACK;

fn run() -> i32 {
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        if arg.eq_ignore_ascii_case("-File")
            && let Some(file) = args.next()
        {
            return console::run_file(&file, &args.collect::<Vec<_>>(), None);
        }
    }
    eprintln!("usage: shell -NoProfile -NonInteractive -File SCRIPT [ARGUMENT...]");
    64
}

fn main() {
    let thread = std::thread::Builder::new().stack_size(RECOMMENDED_STACK).spawn(run);
    let code = match thread.map(std::thread::JoinHandle::join) {
        Ok(Ok(code)) => code,
        _ => 70,
    };
    std::process::exit(code);
}
