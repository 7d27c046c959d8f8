//! `hop ticket why`.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use hop_auth::UserName;
use hop_client::authentication::Password;
use hop_delegation::{PASSWORD_FILE, REFUSALS_FILE, REPORT_ENV, Refusal, SessionReport};
use hop_secret::{SecretBytes, SecretString};

use crate::advice;

#[expect(clippy::print_stdout, reason = "the answer")]
pub(super) fn run() -> Result<ExitCode, Box<dyn Error>> {
    let report = match session_report() {
        Ok(report) => report,
        Err(error) => return Ok(advice::fail(2, &*error)),
    };
    match report.explanation(&refusals()) {
        Some(text) => {
            println!("{}", text.trim_end());
            Ok(ExitCode::from(1))
        }
        None => {
            println!("{}", report.summary());
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What the domain has refused to this session so far; nothing where that cannot be read.
pub fn refusals() -> Vec<Refusal> {
    let Some(report) = std::env::var_os(REPORT_ENV) else { return Vec::new() };
    let file = Path::new(&report).with_file_name(REFUSALS_FILE);
    std::fs::read(file).map(|text| Refusal::parse_lines(&text)).unwrap_or_default()
}

/// The password that this session keeps, if its server lets it.
pub fn session_password() -> Option<Password> {
    #[derive(serde::Deserialize)]
    struct Kept {
        user: String,
        password: String,
    }
    let report = std::env::var_os(REPORT_ENV)?;
    let text = std::fs::read(Path::new(&report).with_file_name(PASSWORD_FILE)).ok()?;
    let text = SecretBytes::new(text);
    let Kept { user, password } = serde_json::from_slice(text.expose()).ok()?;
    Some(Password { name: UserName { domain: String::new(), user }, password: SecretString::new(password) })
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
