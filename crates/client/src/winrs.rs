//! Command shells: native commands on another machine, as `winrs` runs them.

use std::{collections::HashMap, sync::Arc};

use hop_wsman::{
    CommandId, CreateShell, Signal,
    client::{Event, Options},
};
use tokio::sync::{
    mpsc::{self, UnboundedReceiver, UnboundedSender},
    oneshot,
};

use crate::{
    error::Error,
    shell::{self, Happening, Order},
    transport::Transport,
};

/// How a command shell is opened.
#[derive(Clone, Debug, Default)]
pub struct ShellOptions {
    /// Folder to start in.
    pub working_directory: Option<String>,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
}

/// An open command shell. Dropping it, and its commands, deletes it on the server.
#[derive(Debug)]
pub struct Shell {
    orders: UnboundedSender<Order>,
    register: UnboundedSender<(CommandId, UnboundedSender<Result<CommandEvent, Error>>)>,
    closed: oneshot::Receiver<Result<(), Error>>,
}

/// What a command does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommandEvent {
    /// Bytes of its standard output.
    Stdout(Vec<u8>),
    /// Bytes of its standard error.
    Stderr(Vec<u8>),
    /// It has ended; nothing follows.
    Exit(i32),
}

/// A running command.
#[derive(Debug)]
pub struct Command {
    id: CommandId,
    orders: UnboundedSender<Order>,
    events: UnboundedReceiver<Result<CommandEvent, Error>>,
    /// The exit code or the error has been handed out.
    over: bool,
}

impl Shell {
    /// Opens a shell at a URL.
    ///
    /// # Errors
    /// Whatever keeps the server from opening it.
    pub async fn open(
        transport: Arc<dyn Transport>,
        url: &str,
        options: ShellOptions,
    ) -> Result<Self, Error> {
        let create = CreateShell {
            input_streams: vec!["stdin".to_owned()],
            output_streams: vec!["stdout".to_owned(), "stderr".to_owned()],
            working_directory: options.working_directory,
            environment: options.environment,
            ..CreateShell::default()
        };
        let (orders, mut happenings) = shell::start(transport, Options::cmd(url), create);
        loop {
            match happenings.recv().await {
                Some(Ok(Event::Opened(_))) => break,
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Err(Error::Closed),
            }
        }
        let (register, registrations) = mpsc::unbounded_channel();
        let (tell, closed) = oneshot::channel();
        tokio::spawn(distribute(happenings, registrations, orders.downgrade(), tell));
        Ok(Self { orders, register, closed })
    }

    /// Starts a command. The server decides how the line is interpreted; ours hands it to `/bin/sh -c`.
    pub fn run(&self, line: &str, arguments: &[String]) -> Command {
        let id = CommandId::random(&mut rand::rng());
        let (send, events) = mpsc::unbounded_channel();
        let _ = self.register.send((id, send));
        let order = Order::Run { command: id, line: line.to_owned(), arguments: arguments.to_vec() };
        let _ = self.orders.send(order);
        Command { id, orders: self.orders.clone(), events, over: false }
    }

    /// Deletes the shell and waits until it is done. Commands still held keep it open until they are dropped.
    ///
    /// # Errors
    /// The server does not say that it is closed.
    pub async fn close(self) -> Result<(), Error> {
        drop((self.orders, self.register));
        self.closed.await.unwrap_or(Ok(()))
    }
}

impl Command {
    /// The next thing that happens; `None` after the exit code or an error.
    pub async fn next(&mut self) -> Option<Result<CommandEvent, Error>> {
        if self.over {
            return None;
        }
        let event = self.events.recv().await.unwrap_or(Err(Error::Closed));
        self.over = matches!(event, Ok(CommandEvent::Exit(_)) | Err(_));
        Some(event)
    }

    /// Bytes for its standard input; `end` closes it.
    pub fn send_input(&self, data: Vec<u8>, end: bool) {
        let _ = self.orders.send(Order::Send { command: Some(self.id), stream: "stdin", data, end });
    }

    /// Interrupts it as Ctrl+C does.
    pub fn interrupt(&self) {
        let _ = self.orders.send(Order::Signal { command: self.id, signal: Signal::CtrlC });
    }

    /// Ends it.
    pub fn terminate(&self) {
        let _ = self.orders.send(Order::Signal { command: self.id, signal: Signal::Terminate });
    }
}

/// Hands the shell's events to its commands.
async fn distribute(
    mut happenings: UnboundedReceiver<Happening>,
    mut registrations: UnboundedReceiver<(CommandId, UnboundedSender<Result<CommandEvent, Error>>)>,
    orders: mpsc::WeakUnboundedSender<Order>,
    closed: oneshot::Sender<Result<(), Error>>,
) {
    let mut commands = HashMap::new();
    let mut result = Ok(());
    while let Some(happening) = happenings.recv().await {
        // Commands register before they are started.
        while let Ok((id, events)) = registrations.try_recv() {
            commands.insert(id, events);
        }
        let (command, event) = match happening {
            Ok(Event::Output { command: Some(command), stream, data }) => {
                let event =
                    if stream == "stderr" { CommandEvent::Stderr(data) } else { CommandEvent::Stdout(data) };
                (command, Ok(event))
            }
            Ok(Event::CommandDone { command, exit_code }) => {
                (command, Ok(CommandEvent::Exit(exit_code.unwrap_or(0))))
            }
            Ok(Event::CommandFailed { command, error }) => (command, Err(error.into())),
            Ok(_) => continue,
            Err(error) => {
                result = Err(error);
                break;
            }
        };
        let Some(events) = commands.get(&command) else { continue };
        let over = matches!(event, Ok(CommandEvent::Exit(_)) | Err(_));
        let unwanted = events.send(event).is_err();
        if over {
            commands.remove(&command);
        } else if unwanted && let Some(orders) = orders.upgrade() {
            commands.remove(&command);
            let _ = orders.send(Order::Signal { command, signal: Signal::Terminate });
        }
    }
    let Err(error) = result else {
        let _ = closed.send(Ok(()));
        return;
    };
    let error = Arc::new(error);
    while let Ok((id, events)) = registrations.try_recv() {
        commands.insert(id, events);
    }
    for events in commands.values() {
        let _ = events.send(Err(Error::Shared(error.clone())));
    }
    let _ = closed.send(Err(Error::Shared(error)));
}
