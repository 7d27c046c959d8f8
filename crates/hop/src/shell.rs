//! `hop shell`: the embedded PowerShell without any network.

use std::path::PathBuf;
use std::process::ExitCode;

use hop_powershell_cmdlets::console;
use hop_powershell_runtime::runspace::RECOMMENDED_STACK;

use crate::{advice, remoting};

/// Run a script here, with the embedded PowerShell
///
/// The switches are pwsh's. Exit codes are pwsh's too: that of `exit N`, 1 after an uncaught error, 64 for wrong use.
#[derive(Debug, clap::Args)]
#[command(override_usage = "hop shell [-NoProfile] [-NonInteractive] -File SCRIPT [ARGUMENT]...")]
pub struct Arguments {
    /// -NoProfile, -NonInteractive, -NoLogo (accepted, the only way there is), -File SCRIPT [ARGUMENT]...
    #[arg(value_name = "OPTION", trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Call {
    file: PathBuf,
    arguments: Vec<String>,
}

/// Runs it.
pub fn run(arguments: Arguments) -> ExitCode {
    let call = match parse(arguments.words) {
        Ok(call) => call,
        Err(message) => return usage(&message),
    };
    // Scripts recurse deeper than a thread's usual stack allows.
    let work = move || {
        let file = call.file.to_string_lossy().into_owned();
        console::run_file(&file, &call.arguments, Some(Box::new(remoting::Remote::new())))
    };
    let thread = std::thread::Builder::new().name("engine".into()).stack_size(RECOMMENDED_STACK).spawn(work);
    match thread.map(std::thread::JoinHandle::join) {
        Ok(Ok(code)) => ExitCode::from(u8::try_from(code & 0xFF).unwrap_or(1)),
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(error) => advice::fail(70, &error),
    }
}

/// Reads pwsh's switches: any case, any abbreviation that PowerShell takes, one dash or two.
fn parse(words: Vec<String>) -> Result<Call, String> {
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let Some(name) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else {
            return Ok(Call { file: word.into(), arguments: words.collect() });
        };
        match name.to_ascii_lowercase().as_str() {
            "noprofile" | "nop" | "noninteractive" | "noni" | "nologo" | "nol" => {}
            "executionpolicy" | "ex" | "ep" => {
                words.next();
            }
            "file" | "f" => {
                let file = words.next().ok_or("-File needs the path of a script")?;
                return Ok(Call { file: file.into(), arguments: words.collect() });
            }
            _ => return Err(format!("{word} is no option of hop shell")),
        }
    }
    Err("no script was named".to_owned())
}

#[expect(clippy::print_stderr, reason = "an error of usage")]
fn usage(message: &str) -> ExitCode {
    eprintln!(
        "hop shell: {message}; usage: hop shell [-NoProfile] [-NonInteractive] -File SCRIPT [ARGUMENT]..."
    );
    ExitCode::from(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_are_those_of_pwsh() {
        let call = |line: &str| parse(line.split_whitespace().map(str::to_owned).collect());
        let expected = Call { file: "a.ps1".into(), arguments: vec!["-x".into(), "1".into()] };
        assert_eq!(call("-NoProfile -NonInteractive -File a.ps1 -x 1"), Ok(Call { ..expected }));
        assert_eq!(call("-nop -ep Bypass a.ps1").map(|c| c.file), Ok("a.ps1".into()));
        for wrong in ["", "-File", "-Bogus a.ps1"] {
            assert!(call(wrong).is_err(), "{wrong}");
        }
    }
}
