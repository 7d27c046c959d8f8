//! Runspace pools: pipelines of objects on another machine, [MS-PSRP] 3.1.

mod actor;
mod pipeline;

use std::{path::PathBuf, time::Duration};

use hop_psrp::{
    Limits, Uuid,
    body::{Command, CreatePipeline, HostInfo, InitRunspacePool, primitive_dictionary, version_table},
    client::{Output, RunspacePool as Machine},
    clixml::Value,
};
use hop_wsman::{ShellId, client::Options};
use tokio::sync::{mpsc, oneshot};

use self::actor::{Actor, Request};
pub use self::pipeline::{Pipeline, Stopper, wants_response};
use crate::{connection::Connection, error::Error, link::Link, stdio::Stdio, wsman::Wsman};

/// The version of PowerShell whose remoting this client speaks, as `$PSSenderInfo` shows it.
const POWERSHELL_VERSION: &str = "7.6.5";

/// How a pool is opened.
#[derive(Clone, Debug)]
pub struct PoolOptions {
    /// Most pipelines at a time.
    pub max_runspaces: i32,
    /// `$PSSenderInfo.ApplicationArguments` besides the version table, in order.
    pub application_arguments: Vec<(&'static str, Value)>,
    /// The client's host, as the other end sees it.
    pub host: HostInfo,
    /// How long opening may take.
    pub open_within: Duration,
    /// How long a pipeline may take to stop, and the pool to close.
    pub stop_within: Duration,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self {
            max_runspaces: 1,
            application_arguments: Vec::new(),
            host: HostInfo::none(),
            open_within: Duration::from_secs(180),
            stop_within: Duration::from_secs(60),
        }
    }
}

/// A program that speaks PSRP on its standard input and output: `pwsh -sshs`, `hop host`, `ssh HOST -s powershell`.
#[derive(Clone, Debug)]
pub struct Program {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Environment variables on top of the own ones.
    pub environment: Vec<(String, String)>,
}

/// An open pool. Dropping it, and its pipelines, closes it.
#[derive(Debug)]
pub struct RunspacePool {
    requests: mpsc::UnboundedSender<Request>,
    private_data: Value,
    id: Uuid,
}

impl RunspacePool {
    /// Opens a pool over WS-Management, in the session configuration of the connection's target.
    ///
    /// # Errors
    /// Whatever keeps the other end from opening it.
    pub async fn open(connection: &Connection, options: PoolOptions) -> Result<Self, Error> {
        let target = connection.target();
        let mut wsman = Options::powershell(&target.url(), &target.configuration);
        for option in &mut wsman.options {
            if option.name == "protocolversion" {
                option.value = hop_psrp::PROTOCOL_VERSION.to_string();
            }
        }
        let transport = connection.transport();
        Self::start(options, |id, opening| Ok(Box::new(Wsman::open(transport, wsman, id, opening.concat()))))
            .await
    }

    /// Opens a pool in a child process.
    ///
    /// # Errors
    /// The program cannot be started, or does not open a pool.
    pub async fn open_program(program: &Program, options: PoolOptions) -> Result<Self, Error> {
        Self::start(options, |_, opening| Ok(Box::new(Stdio::open(program, opening)?))).await
    }

    async fn start(
        options: PoolOptions,
        link: impl FnOnce(Uuid, Vec<Vec<u8>>) -> Result<Box<dyn Link>, Error>,
    ) -> Result<Self, Error> {
        let id = random_id();
        let (requests, asked) = mpsc::unbounded_channel();
        let (opened, opening) = oneshot::channel();
        let within = options.open_within;
        let table = version_table(POWERSHELL_VERSION, std::env::consts::OS);
        let arguments = options.application_arguments.into_iter().chain([("PSVersionTable", table)]);
        let init = InitRunspacePool {
            min_runspaces: 1,
            max_runspaces: options.max_runspaces,
            thread_options: 0,
            apartment_state: 2,
            application_arguments: primitive_dictionary(arguments),
            host: options.host,
        };
        let mut machine = Machine::new(id, &init, Limits::default());
        machine.open();
        let mut first = Vec::new();
        while let Some(output) = machine.poll_output() {
            if let Output::Data { bytes, .. } = output {
                first.push(bytes);
            }
        }
        let link = link(id, first)?;
        tokio::spawn(Actor::new(machine, link, asked, opened, options.stop_within).run());
        let private_data = match tokio::time::timeout(within, opening).await {
            Ok(Ok(result)) => result?,
            Ok(Err(_)) => return Err(Error::Closed),
            Err(_) => {
                return Err(Error::TimedOut {
                    host: "the other end".to_owned(),
                    action: "open the runspace pool",
                    within,
                });
            }
        };
        Ok(Self { requests, private_data, id })
    }

    /// The pool's id.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// What the other end told about itself: a dictionary with `PSVersionTable`. Null if it told nothing.
    pub fn application_private_data(&self) -> &Value {
        &self.private_data
    }

    /// Runs a script without input.
    pub fn run_script(&self, text: &str) -> Pipeline {
        self.run(CreatePipeline::script(text))
    }

    /// Runs commands without input.
    pub fn run_commands(&self, commands: impl IntoIterator<Item = Command>) -> Pipeline {
        self.run(CreatePipeline::new(commands))
    }

    /// Runs any pipeline. With `no_input` false, input must be ended with [`Pipeline::end_input`].
    pub fn run(&self, create: CreatePipeline) -> Pipeline {
        let id = random_id();
        let (events, receiver) = mpsc::unbounded_channel();
        let _ = self.requests.send(Request::Run { id, create: Box::new(create), events });
        Pipeline::new(id, self.requests.clone(), receiver)
    }

    /// Closes the pool and waits until it is done. Running pipelines are stopped by it.
    ///
    /// # Errors
    /// The other end does not say that it is closed.
    pub async fn close(self) -> Result<(), Error> {
        let (closed, closing) = oneshot::channel();
        let _ = self.requests.send(Request::Close(closed));
        closing.await.unwrap_or(Ok(()))
    }
}

fn random_id() -> Uuid {
    ShellId::random(&mut rand::rng()).uuid()
}
