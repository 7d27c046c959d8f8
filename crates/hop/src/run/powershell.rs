//! A script in one host's PowerShell.

use std::sync::mpsc::Sender;

use hop_client::runspace_pool::{PoolOptions, Program};
use hop_client::{Connection, Error, RunspacePool};
use hop_delegation::Mode;
use hop_psrp::body::HostMethod;
use hop_psrp::client::PipelineEvent;
use tokio::sync::watch;

use super::Outcome;
use super::render::Piece;
use crate::advice;
use crate::pipeline::{self, Script};

/// How the far end is reached.
pub enum Way<'a> {
    /// WS-Management.
    Http(&'a Connection),
    /// A program that speaks PSRP on its standard input and output.
    Program(&'a Program),
}

/// Runs the script; what it writes goes to the renderer.
pub async fn run(
    way: Way<'_>,
    host: &str,
    script: &Script,
    delegate: Option<Mode>,
    stop: watch::Receiver<bool>,
    pieces: &Sender<Piece>,
) -> Outcome {
    let mut outcome = Outcome::Ran(0);
    let ran = transcript(way, host, script, delegate, stop, pieces, &mut outcome).await;
    let _ = pieces.send(Piece::Done { host: host.to_owned() });
    match ran {
        Ok(()) => outcome,
        Err(error) => {
            let _ = pieces.send(Piece::Failed { host: host.to_owned(), text: advice::text(&error) });
            Outcome::NotReached
        }
    }
}

async fn transcript(
    way: Way<'_>,
    host: &str,
    script: &Script,
    delegate: Option<Mode>,
    stop: watch::Receiver<bool>,
    pieces: &Sender<Piece>,
    outcome: &mut Outcome,
) -> Result<(), Error> {
    let pool = match &way {
        Way::Http(connection) => RunspacePool::open(connection, PoolOptions::default()).await?,
        Way::Program(program) => RunspacePool::open_program(program, PoolOptions::default()).await?,
    };
    if let Way::Http(connection) = &way
        && let Some(text) = advice::disappointment(connection, delegate)
    {
        let _ = pieces.send(Piece::Note { host: host.to_owned(), text });
    }
    let mut exit = None;
    let mut wrong = false;
    let mut on_event = |event: PipelineEvent| {
        wrong |= matches!(event, PipelineEvent::Error(_)) || pipeline::has_failed(&event);
        if let PipelineEvent::HostCall(call) = &event
            && call.method == HostMethod::SetShouldExit
        {
            exit = call.parameters.first().and_then(hop_clixml::Value::as_i32);
        }
        let _ = pieces.send(Piece::Event { host: host.to_owned(), event: Box::new(event) });
    };
    pipeline::run(&pool, script, stop, &mut on_event).await?;
    *outcome = Outcome::Ran(exit.unwrap_or(i32::from(wrong)));
    pool.close().await
}
