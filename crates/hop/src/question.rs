//! Questions before something that widens who may have a secret.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

/// What the user said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Go on.
    Yes,
    /// Do nothing.
    No,
    /// Nobody sits there.
    CannotAsk,
}

/// Asks as PowerShell does.
#[expect(clippy::print_stderr, reason = "a question to who sits at the terminal")]
pub fn ask(caption: &str, query: &str) -> Answer {
    if !std::io::stdin().is_terminal() {
        return Answer::CannotAsk;
    }
    loop {
        eprint!("{caption}\n{query}\n[Y] Yes  [N] No  (default is \"Y\"): ");
        let _ = std::io::stderr().flush();
        let mut line = String::new();
        match std::io::stdin().lock().read_line(&mut line) {
            Ok(0) | Err(_) => return Answer::No,
            Ok(_) => {}
        }
        match line.trim().to_ascii_lowercase().as_str() {
            "" | "y" | "yes" => return Answer::Yes,
            "n" | "no" => return Answer::No,
            _ => {}
        }
    }
}

/// Says why nothing was done.
#[expect(clippy::print_stderr, reason = "an error of usage")]
pub fn cannot_ask() -> ExitCode {
    eprintln!(
        "hop: standard input is no terminal, so nobody can be asked; nothing was changed. Say --force."
    );
    ExitCode::from(2)
}
