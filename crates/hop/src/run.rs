//! `hop run`: the same script on many machines.

mod authentication;
mod json;
mod powershell;
pub mod proxy;
mod render;
mod winrs;

use std::io::BufRead as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;

use clap::ValueEnum;
use futures_util::StreamExt as _;
use hop_client::authentication::Authentication;
use hop_client::http::Settings;
use hop_client::memory::Memory;
use hop_client::runspace_pool::Program;
use hop_client::{Connection, Hosts, Target, fan_out};
use hop_delegation::Mode;
use tokio::sync::watch;

use self::authentication::AuthenticationArguments;
use self::powershell::Way;
use self::proxy::ProxyArguments;
use self::render::{Form, Piece, Renderer};
use crate::advice;
use crate::domain::Domain;
use crate::pipeline::Script;

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
    #[arg(short = 'c', long = "computer", value_name = "HOST", value_delimiter = ',')]
    #[arg(required_unless_present = "stdio")]
    pub computers: Vec<String>,
    /// Instead of a host: a command line that speaks PSRP on its standard input and output, such as
    /// 'ssh HOST -s powershell' or 'pwsh -sshs'
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["computers", "delegate", "user"])]
    pub stdio: Option<String>,
    /// The script, or with --shell winrs the command line
    #[arg(value_name = "SCRIPT", required_unless_present = "file")]
    pub script: Option<String>,
    /// Read the script from a file
    #[arg(short, long, value_name = "FILE", conflicts_with = "script")]
    pub file: Option<PathBuf>,
    /// An argument for the script's parameters, in order; may be repeated
    #[arg(short, long = "argument", value_name = "TEXT", allow_hyphen_values = true)]
    pub arguments: Vec<String>,
    /// Lines of standard input become the script's $input
    #[arg(long)]
    pub stdin: bool,
    /// One JSON object per line: {"host", "stream", "value"}; everything on standard output
    #[arg(long, conflicts_with = "clixml")]
    pub json: bool,
    /// One CLIXML document of all output, as Export-Clixml writes it
    #[arg(long)]
    pub clixml: bool,
    /// What runs it
    #[arg(long, value_enum, default_value_t = Shell::Powershell)]
    pub shell: Shell,
    /// Which of your credentials may travel on: auto (only to hosts the domain trusts for delegation), never,
    /// constrained (none: the host reaches what the domain lets it reach for you), forward (insist: the host can then
    /// act as you everywhere), or credssp (the host gets your password) [default: the host's entry, then auto]
    #[arg(long, value_name = "MODE", value_parser = |s: &str| s.parse::<Mode>())]
    pub delegate: Option<Mode>,
    /// Whom to be: USER@REALM, a user principal name or DOMAIN\USER [default: the credential cache's owner]
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// File that holds the password of --user; without it and without --keytab it is asked for
    #[arg(long, value_name = "FILE", requires = "user")]
    pub password_file: Option<PathBuf>,
    /// Keytab that holds the key of --user
    #[arg(long, value_name = "FILE", requires = "user", conflicts_with = "password_file")]
    pub keytab: Option<PathBuf>,
    #[command(flatten)]
    pub domain: Domain,
    #[command(flatten)]
    pub authentication: AuthenticationArguments,
    #[command(flatten)]
    pub proxy: ProxyArguments,
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
    if arguments.shell == Shell::Winrs && (arguments.json || arguments.clixml || arguments.stdio.is_some()) {
        return usage(
            "--shell winrs has bytes, not objects: --json, --clixml and --stdio are for PowerShell",
        );
    }
    let hosts = match Hosts::load(|name| std::env::var_os(name)) {
        Ok(hosts) => hosts,
        Err(error) => return advice::fail(2, &error),
    };
    let mut targets = Vec::new();
    for name in arguments.computers.iter().filter(|name| !name.is_empty()) {
        match hosts.resolve(name) {
            Ok(target) if arguments.authentication.https => targets.push(target.with_https()),
            Ok(target) => targets.push(target),
            Err(error) => return advice::fail(2, &error),
        }
    }
    for target in &targets {
        let mode = arguments.delegate.or(target.delegation).unwrap_or_default();
        if let Err(message) = arguments.authentication.way(mode) {
            return usage(&format!("{}: {message}", target.alias));
        }
    }
    // Before anything is sent: HTTP has no proxies.
    let proxies = arguments.proxy.proxies();
    if let Some(error) = targets.iter().find_map(|target| proxies.choose(target).err()) {
        return advice::fail(2, &error);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return advice::fail(1, &error),
    };
    let code = runtime.block_on(everywhere(&arguments, script, targets));
    // A name lookup that hangs must not keep the program.
    runtime.shutdown_background();
    code
}

async fn everywhere(arguments: &Arguments, script: Script, targets: Vec<Target>) -> ExitCode {
    let program = match arguments.stdio.as_deref().map(program).transpose() {
        Ok(program) => program,
        Err(message) => return usage(&message),
    };
    let login = match program {
        Some(_) => None,
        None => match authentication::of(arguments).await {
            Ok(login) => Some(login),
            Err(error) => return advice::fail(3, &*error),
        },
    };
    let environment = arguments.domain.environment(arguments.user.as_deref());
    let ways = match arguments.proxy.ways(&targets, &environment) {
        Ok(ways) => ways,
        Err(error) => return advice::fail(3, &*error),
    };
    let form = match (arguments.json, arguments.clixml) {
        (true, _) => Form::Json,
        (_, true) => Form::Clixml,
        _ => Form::Text,
    };
    let memory = Memory::load(|name| std::env::var_os(name));
    let (pieces, shown) = mpsc::channel();
    let hosts = targets.len().max(1);
    let renderer = std::thread::spawn(move || Renderer::new(form, hosts).run(&shown));
    let (stop, stopped) = watch::channel(false);
    let interrupts = tokio::spawn(stop_on_interrupt(stop));

    let many = targets.len() > 1;
    let outcomes: Vec<Outcome> = if let Some((name, program)) = &program {
        let way = Way::Program(program);
        vec![powershell::run(way, name, &script, None, stopped.clone(), &pieces).await]
    } else {
        let work = |target: Target| {
            let (login, script, stopped, pieces) = (login.clone(), &script, stopped.clone(), pieces.clone());
            let (ways, memory) = (&ways, &memory);
            async move {
                let Some(login) = login else { return Outcome::NotReached };
                let host = target.alias.clone();
                let mode = arguments.delegate;
                let tls = arguments.authentication.tls();
                let settings = Settings { tls, proxy: ways.of(&target), ..Settings::default() };
                let connection = match Connection::open(target, login, settings) {
                    Ok(connection) => connection,
                    Err(error) => {
                        let text = advice::text(&error);
                        let _ = pieces.send(Piece::Failed { host, text });
                        return Outcome::NotReached;
                    }
                };
                let outcome = match arguments.shell {
                    Shell::Winrs => winrs::run(&connection, &script.text, many.then_some(&host)).await,
                    Shell::Powershell => {
                        let way = Way::Http(&connection);
                        powershell::run(way, &host, script, mode, stopped, &pieces).await
                    }
                };
                let by_choice = arguments.authentication.authentication == Some(Authentication::Ntlm);
                if let Some(text) = advice::lost_proof(&connection, memory).filter(|_| !by_choice) {
                    let _ = pieces.send(Piece::Note { host, text });
                }
                outcome
            }
        };
        fan_out::fan_out(targets, arguments.throttle, work).collect().await
    };
    interrupts.abort();
    drop(pieces);
    if let Err(error) = memory.save() {
        tracing::debug!(%error, "cannot remember hosts");
    }
    // Everything must be shown before the program ends.
    let _ = tokio::task::spawn_blocking(move || renderer.join()).await;
    if *stopped.borrow() { ExitCode::from(130) } else { exit_code(&outcomes) }
}

/// The first Ctrl+C stops the scripts in good order, the second one ends the program.
async fn stop_on_interrupt(stop: watch::Sender<bool>) {
    if tokio::signal::ctrl_c().await.is_ok() {
        let _ = stop.send(true);
        let _ = tokio::signal::ctrl_c().await;
        std::process::exit(130);
    }
}

/// Splits the command line at white space, as `-e` options do; quotes keep words together.
fn program(line: &str) -> Result<(String, Program), String> {
    let words = shlex::split(line).ok_or_else(|| format!("unbalanced quotes in {line:?}"))?;
    let mut words = words.into_iter();
    let program = words.next().ok_or("--stdio needs a command")?;
    let program = Program { program: program.into(), arguments: words.collect(), environment: Vec::new() };
    Ok((program.program.display().to_string(), program))
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

fn script(arguments: &Arguments) -> Result<Script, String> {
    let text = match (&arguments.file, &arguments.script) {
        (Some(path), _) => {
            std::fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?
        }
        (None, Some(script)) => script.clone(),
        (None, None) => return Err("no script".to_owned()),
    };
    let input = match arguments.stdin {
        false => None,
        true => {
            let lines: Result<Vec<String>, _> = std::io::stdin().lock().lines().collect();
            let lines = lines.map_err(|e| format!("cannot read standard input: {e}"))?;
            Some(lines.iter().map(|line| line.as_str().into()).collect())
        }
    };
    let values = arguments.arguments.iter().map(|argument| argument.as_str().into()).collect();
    Ok(Script { text, arguments: values, using: Vec::new(), input })
}

#[expect(clippy::print_stderr, reason = "an error of usage")]
fn usage(message: &str) -> ExitCode {
    eprintln!("hop: {message}");
    ExitCode::from(2)
}
