//! Errors as a person reads them: what happened, why, and what to do about it.

use std::error::Error;
use std::process::ExitCode;

use hop_client::{Connection, Error as ClientError};
use hop_delegation::{Mode, Names};

/// Prints the error with its causes and any advice; gives the exit code back.
#[expect(clippy::print_stderr, reason = "this is where errors are shown")]
pub fn fail(code: u8, error: &(dyn Error + 'static)) -> ExitCode {
    eprintln!("hop: {}", text(error));
    ExitCode::from(code)
}

/// The error and its causes on one line, then advice on lines of its own.
pub fn text(error: &(dyn Error + 'static)) -> String {
    let mut text = chain(error);
    for line in advice(error, &text) {
        text.push_str("\n  ");
        text.push_str(&line);
    }
    text
}

/// The error and those causes that it does not repeat already.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = cause.source();
    }
    text
}

/// What to say before the session starts when the user insisted on forwarding and does not get it.
pub fn disappointment(connection: &Connection, mode: Option<Mode>) -> Option<String> {
    let mode = mode.or(connection.target().delegation).unwrap_or_default();
    let decision = connection.delegation().get().filter(|decision| decision.disappoints(mode))?;
    let names = Names { host: connection.target().host_name.clone(), user: "your account".to_owned() };
    decision.reason().map(|reason| format!("your ticket was not forwarded: {}", reason.sentence(&names)))
}

fn advice(error: &(dyn Error + 'static), text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let lower = text.to_lowercase();
    match error.downcast_ref::<ClientError>().map(ClientError::root) {
        Some(ClientError::NameResolution { host, .. }) => lines.push(format!(
            "Check the name, or give {host} an address in ~/.config/hop/hosts.toml (docs/hosts.md)."
        )),
        Some(ClientError::Refused { host, port }) => lines.push(format!(
            "Is `hop serve` (or WinRM) running on {host} and listening on port {port}? Is a firewall in between?"
        )),
        Some(ClientError::Unauthorized { .. }) => {
            lines.push("The server's log says why it refused. Common causes: the keytab is older than the account's \
                        password, or your principal maps to no local user (docs/serve.md).".to_owned());
        }
        _ => {}
    }
    if lower.contains("no credentials") && (lower.contains("cache") || lower.contains("ccache")) {
        lines.push(
            "Get a ticket first: `kinit -f USER@REALM`; or use --user with --password-file, or --keytab."
                .into(),
        );
    }
    if lower.contains("skew") {
        lines.push(
            "The clocks differ by more than five minutes: synchronise them (NTP) and try again.".into(),
        );
    }
    if lower.contains("s_principal_unknown") || lower.contains("server not found") {
        lines.push("The domain has no such service principal: use the host's full name, or register HTTP/HOST for its \
                    account (`setspn -S`, `samba-tool spn add`, `addprinc`)."
            .into());
    }
    lines
}
