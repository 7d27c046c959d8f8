//! `hop lab`.

use std::io;
use std::process::ExitCode;

use hop_lab::Options;

use crate::advice;

/// A whole domain on this machine, to see both hops with nothing installed.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show the first hop, the second hop refused and explained, and the second hop working
    Demo(Arguments),
    /// Keep the domain running and say what to try; Ctrl+C ends it
    Up(Arguments),
}

/// What the domain is like.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The domain trusts servera for delegation: the second hop then needs no option
    #[arg(long)]
    trust_servera: bool,
}

/// Runs it.
pub fn run(command: &Command) -> ExitCode {
    let (Command::Demo(arguments) | Command::Up(arguments)) = command;
    let mut options = match Options::new() {
        Ok(options) => options,
        Err(error) => return advice::fail(1, &error),
    };
    options.trust_servera = arguments.trust_servera;
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return advice::fail(1, &error),
    };
    let result = runtime.block_on(async {
        let mut out = io::stdout();
        match command {
            Command::Demo(_) => hop_lab::demo(&options, &mut out).await,
            Command::Up(_) => hop_lab::up(&options, &mut out).await.map(|()| true),
        }
    });
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => advice::fail(1, &error),
    }
}
