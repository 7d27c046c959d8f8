//! Command shells (WinRS): each command is a process, its streams are the shell's streams.

use std::collections::HashMap;
use std::time::Duration;

use hop_wsman::server::{ExchangeId, Open};
use hop_wsman::{CommandId, CommandLine, Fault, Selector, Signal, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

use super::hub::{CompleteOnDrop, Order, Owner, ShellHandle};
use super::monitor::{Child, MonitorError};
use crate::ipc::{self, ProcessId, Program, SessionId};

/// How much is read from a process at a time.
const CHUNK: usize = 32 * 1024;
/// How long output is waited for after a process has ended, should something else still hold its streams.
const TAIL: Duration = Duration::from_secs(1);
/// How long a terminated command may take before it is killed.
const GRACE: Duration = Duration::from_secs(1);

/// Runs a command shell until it is closed.
pub(crate) async fn run(
    shell: &ShellHandle,
    exchange: ExchangeId,
    owner: Owner,
    open: Open,
    mut orders: mpsc::UnboundedReceiver<Order>,
) {
    let monitor = &shell.hub.monitor;
    let session = match monitor.open(owner.identity).await {
        Ok(session) => session,
        Err(error) => return shell.complete(exchange, Err(refused(&error))),
    };
    shell.complete(exchange, Ok(()));
    let mut commands = Commands {
        shell,
        session,
        environment: open.create.environment,
        directory: open.create.working_directory,
        running: HashMap::new(),
    };
    while let Some(order) = orders.recv().await {
        match order {
            Order::Run { exchange, command, line, options } => {
                let started = commands.start(command, line, &options).await;
                shell.complete(exchange, started);
            }
            Order::Input { exchange, streams } => commands.input(exchange, streams),
            Order::Signal { exchange, command, signal } => {
                commands.signal(command, &signal);
                shell.complete(exchange, Ok(()));
            }
            Order::Close { exchange } => {
                monitor.close(session);
                if let Some(exchange) = exchange {
                    shell.complete(exchange, Ok(()));
                }
                return;
            }
        }
    }
    monitor.close(session);
}

/// The fault for a session or process that the monitor refused.
pub(crate) fn refused(error: &MonitorError) -> Fault {
    match error {
        MonitorError::Failed(reason) => Fault::run_as_failed(reason.as_str()),
        other => Fault::internal(other.to_string()),
    }
}

struct Commands<'a> {
    shell: &'a ShellHandle,
    session: SessionId,
    environment: Vec<(String, String)>,
    directory: Option<String>,
    running: HashMap<CommandId, Running>,
}

struct Running {
    process: ProcessId,
    stdin: mpsc::UnboundedSender<Piece>,
}

struct Piece {
    data: Vec<u8>,
    end: bool,
    /// Answers the request when the piece is written or can no longer be: too late for the command is no fault.
    _done: Option<CompleteOnDrop>,
}

impl Commands<'_> {
    async fn start(
        &mut self,
        command: CommandId,
        line: CommandLine,
        options: &[Selector],
    ) -> Result<(), Fault> {
        let program = program(line, options);
        let monitor = &self.shell.hub.monitor;
        let child = monitor
            .spawn(self.session, program, self.environment.clone(), self.directory.clone())
            .await
            .map_err(|error| refused(&error))?;
        let (stdin, pieces) = mpsc::unbounded_channel();
        self.running.insert(command, Running { process: child.process, stdin });
        let shell = self.shell.clone();
        tokio::spawn(async move {
            let ended = shell.ended.clone();
            let code = tokio::select! {
                code = follow(&shell, command, child, pieces) => code,
                () = ended.cancelled() => return,
            };
            match code {
                Ok(code) => shell.finish(command, code),
                Err(error) => {
                    tracing::warn!(%error, "lost a command");
                    shell.finish(command, -1);
                }
            }
        });
        Ok(())
    }

    fn input(&mut self, exchange: ExchangeId, streams: Vec<Stream>) {
        let mut done = Some(CompleteOnDrop::new(self.shell, exchange));
        let last = streams.len().saturating_sub(1);
        for (index, stream) in streams.into_iter().enumerate() {
            let done = if index == last { done.take() } else { None };
            if let Some(running) = stream.command.and_then(|id| self.running.get(&id)) {
                let _ = running.stdin.send(Piece { data: stream.data, end: stream.end, _done: done });
            }
        }
    }

    fn signal(&mut self, command: CommandId, signal: &Signal) {
        let monitor = self.shell.hub.monitor.clone();
        match signal {
            Signal::Terminate => {
                if let Some(running) = self.running.remove(&command) {
                    tokio::spawn(async move {
                        monitor.signal(running.process, ipc::Signal::Terminate);
                        tokio::time::sleep(GRACE).await;
                        monitor.signal(running.process, ipc::Signal::Kill);
                    });
                }
            }
            Signal::CtrlC | Signal::CtrlBreak | Signal::StopPipeline => {
                if let Some(running) = self.running.get(&command) {
                    monitor.signal(running.process, ipc::Signal::Interrupt);
                }
            }
            other => tracing::debug!(?other, "unknown signal"),
        }
    }
}

/// [MS-WSMV] 2.2.4.7: the command with its arguments is a line for the shell, unless the client skips the shell.
fn program(line: CommandLine, options: &[Selector]) -> Program {
    let skip = options
        .iter()
        .find(|o| o.name.eq_ignore_ascii_case("WINRS_SKIP_CMD_SHELL"))
        .is_some_and(|o| o.value == "1" || o.value.eq_ignore_ascii_case("true"));
    if skip {
        return Program::Direct { program: line.command, arguments: line.arguments };
    }
    let mut text = line.command;
    for argument in line.arguments {
        text.push(' ');
        text.push_str(&argument);
    }
    Program::Shell { line: text }
}

/// Passes streams in both directions until the process has ended; its exit code.
async fn follow(
    shell: &ShellHandle,
    command: CommandId,
    child: Child,
    pieces: mpsc::UnboundedReceiver<Piece>,
) -> Result<i32, std::io::Error> {
    let stdin = pipe::Sender::from_owned_fd(child.stdin)?;
    let stdout = pipe::Receiver::from_owned_fd(child.stdout)?;
    let stderr = pipe::Receiver::from_owned_fd(child.stderr)?;
    let output = async {
        tokio::join!(copy(shell, command, "stdout", stdout), copy(shell, command, "stderr", stderr));
    };
    tokio::pin!(output);
    let mut exit = child.exit;
    let writing = write(stdin, pieces);
    tokio::pin!(writing);
    let mut written = false;
    let mut read = false;
    let exit = loop {
        tokio::select! {
            () = &mut output, if !read => read = true,
            () = &mut writing, if !written => written = true,
            exit = &mut exit => break exit,
        }
    };
    if !read {
        let _ = tokio::time::timeout(TAIL, output).await;
    }
    let exit = exit.map_err(|_| std::io::Error::other("the monitor has gone"))?;
    Ok(exit.code.unwrap_or_else(|| 128 + exit.signal.unwrap_or_default()))
}

async fn copy(shell: &ShellHandle, command: CommandId, stream: &str, mut from: pipe::Receiver) {
    let mut buffer = vec![0; CHUNK];
    loop {
        match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(length) => {
                let data = buffer.get(..length).unwrap_or_default().to_vec();
                shell.output(Some(command), stream, data);
                shell.uncongested().await;
            }
        }
    }
}

async fn write(to: pipe::Sender, mut pieces: mpsc::UnboundedReceiver<Piece>) {
    let mut to = Some(to);
    while let Some(piece) = pieces.recv().await {
        if let Some(pipe) = &mut to
            && pipe.write_all(&piece.data).await.is_err()
        {
            to = None;
        }
        if piece.end {
            to = None;
        }
    }
}
