//! `hop shell`: the embedded PowerShell on this machine.

use std::process::ExitCode;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hop_powershell_cmdlets::console;
use hop_powershell_runtime::runspace::RECOMMENDED_STACK;

use crate::remoting::Remote;

/// Run a script with the embedded PowerShell.
///
/// Takes PowerShell's own switches, with one dash or two: -NoProfile, -NonInteractive, -NoLogo and
/// -ExecutionPolicy are accepted (there is no profile and no prompt here), then -File SCRIPT ARGUMENT...,
/// -Command TEXT or -EncodedCommand BASE64; - in place of script or text reads it from standard input.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub struct Arguments {
    /// PowerShell's switches, then -File SCRIPT and its arguments, or -Command TEXT
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// What is to be run.
#[derive(Debug, PartialEq, Eq)]
enum Task {
    File(String, Vec<String>),
    Command(String),
    /// The script comes by standard input.
    Input,
}

/// PowerShell's exit code for a command line that it does not take.
const BAD_COMMAND_LINE: u8 = 64;

/// Runs the script and gives its exit code.
#[expect(clippy::print_stderr, reason = "the answer")]
pub fn run(arguments: &Arguments) -> ExitCode {
    let task = match task(&arguments.words) {
        Ok(task) => task,
        Err(message) => {
            eprintln!("hop: {message}");
            return ExitCode::from(BAD_COMMAND_LINE);
        }
    };
    let task = match task {
        Task::Input => match std::io::read_to_string(std::io::stdin()) {
            Ok(text) => Task::Command(text),
            Err(error) => {
                eprintln!("hop: cannot read the script from standard input: {error}");
                return ExitCode::FAILURE;
            }
        },
        task => task,
    };
    let work = move || match task {
        Task::Input => 0,
        Task::File(file, arguments) => console::run_file(&file, &arguments, Some(Box::new(Remote::new()))),
        Task::Command(text) => console::run_text(&text, Some(Box::new(Remote::new()))),
    };
    // Deep recursion of a script is the engine's to refuse, so its thread has room for it.
    match std::thread::Builder::new().stack_size(RECOMMENDED_STACK).spawn(work).map(|t| t.join()) {
        Ok(Ok(code)) => ExitCode::from(u8::try_from(code & 0xff).unwrap_or(1)),
        _ => ExitCode::FAILURE,
    }
}

fn task(words: &[String]) -> Result<Task, String> {
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if word == "-" {
            return Ok(Task::Input);
        }
        let dashes = ["--", "-", "/"];
        let Some(name) = dashes.iter().find_map(|dash| word.strip_prefix(dash).filter(|n| !n.contains('/')))
        else {
            return Ok(Task::File(word.clone(), rest.cloned().collect()));
        };
        let is = |full: &str, least: usize| {
            name.len() >= least
                && full.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
        };
        if is("file", 1) {
            let file = rest.next().ok_or("-File needs the path of a script")?;
            if file == "-" {
                return Ok(Task::Input);
            }
            return Ok(Task::File(file.clone(), rest.cloned().collect()));
        } else if is("command", 1) {
            let text = rest.cloned().collect::<Vec<_>>().join(" ");
            return Ok(if text == "-" { Task::Input } else { Task::Command(text) });
        } else if is("encodedcommand", 1) || is("ec", 2) {
            let encoded = rest.next().ok_or_else(|| format!("{word} needs a value"))?;
            return decoded(encoded).map(Task::Command);
        } else if is("executionpolicy", 2) || is("ep", 2) || is("outputformat", 1) || is("inputformat", 3) {
            rest.next().ok_or_else(|| format!("{word} needs a value"))?;
        } else if !(is("noprofile", 3) || is("noninteractive", 4) || is("nologo", 3) || is("login", 1)) {
            return Err(format!("{word} is not a switch of hop shell; give -File SCRIPT or -Command TEXT"));
        }
    }
    Err("give -File SCRIPT or -Command TEXT; there is no prompt here".into())
}

/// `-EncodedCommand`: base64 of UTF-16.
fn decoded(encoded: &str) -> Result<String, String> {
    let bad = || "-EncodedCommand takes base64 of the script in UTF-16LE".to_owned();
    let bytes = STANDARD.decode(encoded.trim()).map_err(|_| bad())?;
    let (units, []) = bytes.as_chunks::<2>() else { return Err(bad()) };
    let units: Vec<u16> = units.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
    String::from_utf16(&units).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::{Task, task};

    fn of(line: &str) -> Result<Task, String> {
        task(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn takes_powershells_switches() {
        let file = |args: &[&str]| Task::File("x.ps1".into(), args.iter().map(|a| (*a).into()).collect());
        assert_eq!(of("-NoProfile -NonInteractive -File x.ps1 -A 1"), Ok(file(&["-A", "1"])));
        assert_eq!(of("-nop --noni -ExecutionPolicy Bypass -f x.ps1"), Ok(file(&[])));
        assert_eq!(of("x.ps1 b"), Ok(file(&["b"])));
        assert_eq!(of("-NoProfile -EncodedCommand ZQBjAGgAbwAgADEA"), Ok(Task::Command("echo 1".into())));
        assert_eq!(of("-e ZQBjAGgAbwAgADEA"), Ok(Task::Command("echo 1".into())));
        assert_eq!(of("-EP Bypass -enc ZQBjAGgAbwAgADEA"), Ok(Task::Command("echo 1".into())));
        for input in ["-", "-NoProfile -Command -", "-File -"] {
            assert_eq!(of(input), Ok(Task::Input), "{input}");
        }
        assert_eq!(of("/usr/x.ps1"), Ok(Task::File("/usr/x.ps1".into(), vec![])));
        assert_eq!(of("-c Get-Date -Year 2020"), Ok(Task::Command("Get-Date -Year 2020".into())));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        assert!(of("-Foo x.ps1").is_err_and(|e| e.contains("-Foo")));
        assert!(of("-EncodedCommand YQ==").is_err() && of("-enc %").is_err() && of("-e").is_err());
        assert!(of("-NoProfile -File").is_err());
        assert!(of("-NoProfile").is_err());
    }
}
