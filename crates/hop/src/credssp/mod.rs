//! `hop credssp`: who may have a password, and whether this machine takes any.

mod refresh;
mod status;

use std::process::ExitCode;

use clap::ValueEnum;
use hop_powershell_cmdlets::credssp::{CAPTION, CLIENT_QUERY, SERVER_QUERY};

use crate::question::{self, Answer};
use crate::settings::Settings;

/// What can be asked about CredSSP and done with it.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Let hosts have passwords by CredSSP, or let this machine take them (Enable-WSManCredSSP)
    ///
    /// CredSSP is one way to the second hop: the host gets your password itself, and can be you on every other machine
    /// for as long as it wants. So it is off at both ends until somebody turns it on, and at the client only for hosts
    /// that are named: a host is compared with the list exactly as you type it, so servera is not
    /// servera.example.com. As root this writes /etc/hop/policy.toml for the whole machine, else
    /// ~/.config/hop/policy.toml for you. Group Policy comes before both.
    ///
    /// Exit code 0: done, and it counts. 1: Group Policy or another file overrides it, or it cannot be written. 2:
    /// wrong use.
    Enable(Enable),
    /// Let no host have passwords any more, or let this machine take none (Disable-WSManCredSSP)
    ///
    /// With --role client the switch is turned off and all entries for wsman are removed.
    Disable(Disable),
    /// Show what is in force, where every entry comes from, and what does not count (Get-WSManCredSSP)
    Status(status::Arguments),
    /// Read the domain's Group Policy now (gpupdate)
    ///
    /// What the domain says comes before this machine's own settings. It is kept, so that it holds where the domain
    /// cannot be reached, and read anew by itself when it is older than 90 minutes. It takes a Kerberos ticket
    /// (hop login) and the programs ldapsearch and smbclient.
    Refresh(refresh::Arguments),
}

/// Which end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// This machine as the one that sends passwords
    Client,
    /// This machine as the one that takes them (hop serve)
    Server,
}

/// `hop credssp enable`
#[derive(Debug, clap::Args)]
pub struct Enable {
    /// Which end of CredSSP this machine is to be
    #[arg(long, value_enum, ignore_case = true)]
    role: Role,
    /// With --role client: who may have passwords. Hosts as you type them, or patterns with one *, such as
    /// *.example.com; several by commas, or the option again
    #[arg(long, value_name = "PATTERN", value_delimiter = ',', num_args = 1..)]
    #[arg(required_if_eq_any = [("role", "client"), ("role", "Client")])]
    delegate_computer: Vec<String>,
    /// Also where NTLM is all the proof there is: then nothing says that the host is the one you mean
    #[arg(long, requires = "delegate_computer")]
    ntlm_only: bool,
    /// Do not ask
    #[arg(long)]
    force: bool,
}

/// `hop credssp disable`
#[derive(Debug, clap::Args)]
pub struct Disable {
    /// Which end of CredSSP this machine is no longer to be
    #[arg(long, value_enum, ignore_case = true)]
    role: Role,
}

/// Runs it.
pub fn run(command: &Command) -> ExitCode {
    match command {
        Command::Enable(arguments) => enable(arguments),
        Command::Disable(arguments) => disable(arguments),
        Command::Status(arguments) => status::run(arguments),
        Command::Refresh(arguments) => refresh::run(arguments),
    }
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the answer")]
fn enable(arguments: &Enable) -> ExitCode {
    let client = arguments.role == Role::Client;
    if !client && !arguments.delegate_computer.is_empty() {
        eprintln!(
            "hop: --delegate-computer goes with --role client only; a server does not choose whose password it gets"
        );
        return ExitCode::from(2);
    }
    if !arguments.force {
        match question::ask(CAPTION, if client { CLIENT_QUERY } else { SERVER_QUERY }) {
            Answer::Yes => {}
            Answer::No => return ExitCode::from(1),
            Answer::CannotAsk => return question::cannot_ask(),
        }
    }
    let settings = Settings::default();
    let done = match arguments.role {
        Role::Client => settings.allow(&arguments.delegate_computer, arguments.ntlm_only),
        Role::Server => settings.service(true),
    };
    match done {
        Ok(()) => {
            let file = settings.locations().own().map(|path| path.display().to_string()).unwrap_or_default();
            match arguments.role {
                Role::Client => {
                    println!("Passwords may go to: {} ({file})", arguments.delegate_computer.join(", "))
                }
                Role::Server => println!("This machine takes passwords by CredSSP ({file})."),
            }
            ExitCode::SUCCESS
        }
        Err(message) => failed(&message),
    }
}

#[expect(clippy::print_stdout, reason = "the answer")]
fn disable(arguments: &Disable) -> ExitCode {
    let settings = Settings::default();
    let done = match arguments.role {
        Role::Client => settings.forbid(),
        Role::Server => settings.service(false),
    };
    match done {
        Ok(()) => {
            println!(
                "{}",
                match arguments.role {
                    Role::Client => "Passwords go to no host.",
                    Role::Server => "This machine takes no passwords by CredSSP.",
                }
            );
            ExitCode::SUCCESS
        }
        Err(message) => failed(&message),
    }
}

#[expect(clippy::print_stderr, reason = "where errors are shown")]
fn failed(message: &str) -> ExitCode {
    eprintln!("hop: {message}");
    ExitCode::from(1)
}
