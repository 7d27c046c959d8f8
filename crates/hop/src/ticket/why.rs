//! `hop ticket why`.

use std::error::Error;
use std::process::ExitCode;

use hop_delegation::{REPORT_ENV, SessionReport};

use crate::advice;

#[expect(clippy::print_stdout, reason = "the answer")]
pub(super) fn run() -> Result<ExitCode, Box<dyn Error>> {
    let report = match session_report() {
        Ok(report) => report,
        Err(error) => return Ok(advice::fail(2, &*error)),
    };
    match report.explanation() {
        Some(text) => {
            println!("{}", text.trim_end());
            Ok(ExitCode::from(1))
        }
        None => {
            println!(
                "This session has the forwarded ticket of {}: programs in it can go on as you.",
                report.client
            );
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// The report about the session this program runs in.
///
/// # Errors
/// This is no session of a hop server, or its report cannot be read.
pub fn session_report() -> Result<SessionReport, Box<dyn Error>> {
    let file = std::env::var_os(REPORT_ENV).filter(|name| !name.is_empty()).ok_or_else(|| {
        format!(
            "this is not a session of `hop serve`: {REPORT_ENV} is not set; run it inside a remote session"
        )
    })?;
    let json = std::fs::read(&file).map_err(|e| format!("cannot read {}: {e}", file.display()))?;
    Ok(SessionReport::from_json(&json)?)
}
