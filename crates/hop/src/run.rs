//! `hop run`: the same script on many machines.

mod identity;
mod winrs;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::ValueEnum;
use futures_util::StreamExt as _;
use hop_client::http::Settings;
use hop_client::{Connection, Hosts, Target, fan_out};
use hop_delegation::Mode;

use crate::advice;

/// Run a script or a command on other machines.
///
/// What Invoke-Command -ComputerName does: the script runs on every host, as you, up to 32 at a time; output is shown as
/// it comes, labelled by host when there are several, errors on standard error.
///
/// Exit code: 0 when all went well; 1 when the script failed or wrote an error on some host (with --shell winrs on one
/// host: the command's own exit code); 2 for wrong use; 3 when some host could not be reached or refused you.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Hosts, HOST[:PORT][,HOST…]; names may be entries of ~/.config/hop/hosts.toml
    #[arg(short = 'c', long = "computer", value_name = "HOST", value_delimiter = ',', required = true)]
    pub computers: Vec<String>,
    /// The script, or with --shell winrs the command line
    #[arg(value_name = "SCRIPT", required_unless_present = "file")]
    pub script: Option<String>,
    /// Read the script from a file
    #[arg(short, long, value_name = "FILE", conflicts_with = "script")]
    pub file: Option<PathBuf>,
    /// What runs it
    #[arg(long, value_enum, default_value_t = Shell::Powershell)]
    pub shell: Shell,
    /// Which of your credentials may travel on: auto (only to hosts the domain trusts for delegation), never, or
    /// forward (insist: the host can then act as you everywhere) [default: the host's entry, then auto]
    #[arg(long, value_name = "MODE", value_parser = |s: &str| s.parse::<Mode>())]
    pub delegate: Option<Mode>,
    /// Whom to be, USER@REALM [default: the credential cache's owner]
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// File that holds the password of --user; without it and without --keytab it is asked for
    #[arg(long, value_name = "FILE", requires = "user")]
    pub password_file: Option<PathBuf>,
    /// Keytab that holds the key of --user
    #[arg(long, value_name = "FILE", requires = "user", conflicts_with = "password_file")]
    pub keytab: Option<PathBuf>,
    /// How many hosts at a time
    #[arg(long, value_name = "N", default_value_t = fan_out::DEFAULT_THROTTLE)]
    pub throttle: usize,
}

/// What runs the script at the far end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// A PowerShell session (PSRP)
    Powershell,
    /// The system's command shell, /bin/sh or cmd.exe (WinRS)
    Winrs,
}

/// How one host ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The exit code of what ran there, 0 for success.
    Ran(i32),
    /// It did not run, or not to its end.
    NotReached,
}

/// Runs it everywhere.
pub fn run(arguments: Arguments) -> ExitCode {
    let script = match script(&arguments) {
        Ok(script) => script,
        Err(message) => return usage(&message),
    };
    let hosts = match Hosts::load(|name| std::env::var_os(name)) {
        Ok(hosts) => hosts,
        Err(error) => return advice::fail(2, &error),
    };
    let mut targets = Vec::new();
    for name in arguments.computers.iter().filter(|name| !name.is_empty()) {
        match hosts.resolve(name) {
            Ok(target) => targets.push(target),
            Err(error) => return advice::fail(2, &error),
        }
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return advice::fail(1, &error),
    };
    let code = runtime.block_on(everywhere(&arguments, &script, targets));
    // A name lookup that hangs must not keep the program.
    runtime.shutdown_background();
    code
}

async fn everywhere(arguments: &Arguments, script: &str, targets: Vec<Target>) -> ExitCode {
    let identity = match identity::of(arguments).await {
        Ok(identity) => Arc::new(identity),
        Err(error) => return advice::fail(3, &*error),
    };
    let many = targets.len() > 1;
    let work = |target: Target| {
        let identity = identity.clone();
        async move {
            let label = many.then(|| target.alias.clone());
            let connection = Connection::kerberos(target, identity, arguments.delegate, Settings::default());
            match arguments.shell {
                Shell::Winrs => winrs::run(&connection, script, label.as_deref()).await,
                Shell::Powershell => Outcome::NotReached,
            }
        }
    };
    let outcomes: Vec<Outcome> = fan_out::fan_out(targets, arguments.throttle, work).collect().await;
    exit_code(&outcomes)
}

fn exit_code(outcomes: &[Outcome]) -> ExitCode {
    if outcomes.contains(&Outcome::NotReached) {
        return ExitCode::from(3);
    }
    match outcomes {
        [Outcome::Ran(code)] => ExitCode::from(u8::try_from(*code & 0xFF).unwrap_or(1)),
        _ if outcomes.iter().all(|o| *o == Outcome::Ran(0)) => ExitCode::SUCCESS,
        _ => ExitCode::from(1),
    }
}

fn script(arguments: &Arguments) -> Result<String, String> {
    match (&arguments.file, &arguments.script) {
        (Some(path), _) => {
            std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
        }
        (None, Some(script)) => Ok(script.clone()),
        (None, None) => Err("no script".to_owned()),
    }
}

#[expect(clippy::print_stderr, reason = "an error of usage")]
fn usage(message: &str) -> ExitCode {
    eprintln!("hop: {message}");
    ExitCode::from(2)
}
