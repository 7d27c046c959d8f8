//! `hop trust`: TrustedHosts.

use std::process::ExitCode;

use crate::advice;
use crate::question::{self, Answer};
use crate::settings::Settings;

/// The title and the question of WinRM.
const CAPTION: &str = "WinRM Security Configuration.";
const QUERY: &str = "This command modifies the TrustedHosts list for the WinRM client. The computers in the \
    TrustedHosts list might not be authenticated. The client might send credential information to these computers. Are \
    you sure that you want to modify this list?";

/// What can be done with TrustedHosts.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Let NTLM speak to hosts though nothing proves who they are (Set-Item WSMan:\localhost\Client\TrustedHosts)
    ///
    /// NTLM proves you to the host, but not the host to you. Over plain HTTP, or HTTPS whose certificate is not
    /// checked, whoever answers in the host's place can pass your proof on to other hosts. Kerberos needs no entry here,
    /// nor does HTTPS with a certificate that is verified.
    Add(Change),
    /// Take hosts off the list
    Rm(Change),
    /// Show the list, with where each entry comes from
    Ls,
}

/// Which hosts.
#[derive(Debug, clap::Args)]
pub struct Change {
    /// Hosts as you type them: names, addresses, patterns with *, or <local> for all names without a dot
    #[arg(value_name = "HOST", required = true)]
    hosts: Vec<String>,
    /// Do not ask
    #[arg(long)]
    force: bool,
}

/// Runs it.
#[expect(clippy::print_stdout, reason = "the answer")]
pub fn run(command: &Command) -> ExitCode {
    let settings = Settings::default();
    let change = match command {
        Command::Ls => return list(&settings),
        Command::Add(change) | Command::Rm(change) => change,
    };
    if !change.force {
        match question::ask(CAPTION, QUERY) {
            Answer::Yes => {}
            Answer::No => return ExitCode::from(1),
            Answer::CannotAsk => return question::cannot_ask(),
        }
    }
    let changed = settings.edit(|edit| match command {
        Command::Add(_) => edit.trust(&change.hosts),
        _ => Ok(edit.distrust(&change.hosts)),
    });
    match changed {
        Ok(hosts) if hosts.is_empty() => println!("Nothing to change."),
        Ok(hosts) => {
            let done = if matches!(command, Command::Add(_)) { "Added" } else { "Removed" };
            println!("{done}: {}", hosts.join(", "));
        }
        Err(error) => return advice::fail(1, &error),
    }
    match settings.policy() {
        Ok(policy) if policy.overridden.iter().any(|it| it.setting == "TrustedHosts") => {
            println!(
                "Group Policy sets TrustedHosts, so this machine's own list does not count (`hop trust ls`)."
            );
            ExitCode::from(1)
        }
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => advice::fail(1, &error),
    }
}

#[expect(clippy::print_stdout, reason = "the answer")]
fn list(settings: &Settings) -> ExitCode {
    let policy = match settings.policy() {
        Ok(policy) => policy,
        Err(error) => return advice::fail(1, &error),
    };
    let list = &policy.effective.trusted_hosts;
    for entry in list.effective() {
        println!("{:<40} {}", entry.value, entry.source);
    }
    for entry in policy.overridden.iter().filter(|it| it.setting == "TrustedHosts") {
        println!("{:<40} {} (does not count: Group Policy sets the list)", entry.value, entry.source);
    }
    if list.effective().is_empty() {
        println!("No host is trusted: NTLM speaks only to hosts with a certificate that is verified.");
    }
    ExitCode::SUCCESS
}
