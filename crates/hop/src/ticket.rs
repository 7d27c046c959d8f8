//! `hop ticket`.

use std::process::ExitCode;

use hop_delegation::{REPORT_ENV, SessionReport};

use crate::advice;

/// What can be asked about tickets.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Say why this session cannot go on to other servers as you, and what would mend it
    ///
    /// Type it in a remote session after any program failed with "Access is denied" or "no credentials". Exit code
    /// 0: the session has your delegated ticket. 1: it has none; the text says why. 2: this is no session of hop.
    Why,
}

/// Runs it.
pub fn run(command: &Command) -> ExitCode {
    match command {
        Command::Why => why(),
    }
}

#[expect(clippy::print_stdout, reason = "the answer")]
fn why() -> ExitCode {
    match session_report() {
        Ok(report) => match report.explanation() {
            Some(text) => {
                println!("{}", text.trim_end());
                ExitCode::from(1)
            }
            None => {
                println!(
                    "This session has the forwarded ticket of {}: programs in it can go on as you.",
                    report.client
                );
                ExitCode::SUCCESS
            }
        },
        Err(error) => advice::fail(2, &*error),
    }
}

/// The report about the session this program runs in.
///
/// # Errors
/// This is no session of a hop server, or its report cannot be read.
pub fn session_report() -> Result<SessionReport, Box<dyn std::error::Error>> {
    let file = std::env::var_os(REPORT_ENV).filter(|name| !name.is_empty()).ok_or_else(|| {
        format!(
            "this is not a session of `hop serve`: {REPORT_ENV} is not set; run it inside a remote session"
        )
    })?;
    let json = std::fs::read(&file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
    Ok(SessionReport::from_json(&json)?)
}
