//! Drives one remote shell: the wsman client machine on a transport.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use hop_wsman::{
    CommandId, CreateShell, Signal,
    client::{self, Event, RequestId},
};
use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    time::{Instant, timeout_at},
};

use crate::{
    error::Error,
    transport::{Answer, Transport},
};

/// How long closing may take before the shell is left to the server's idle time-out.
const CLOSE_WITHIN: Duration = Duration::from_secs(15);

/// What the owner of a shell wants next.
#[derive(Debug)]
pub(crate) enum Order {
    Run { command: CommandId, line: String, arguments: Vec<String> },
    RunPipeline { command: CommandId, text: String, fragments: Vec<Vec<u8>> },
    Send { command: Option<CommandId>, stream: &'static str, data: Vec<u8>, end: bool },
    Signal { command: CommandId, signal: Signal },
    Finish(CommandId),
    ReceiveShellOutput(bool),
}

/// Something happened, or nothing will any more.
pub(crate) type Happening = Result<Event, Error>;

/// Starts the task of a shell. It asks for the shell at once and deletes it when the sender of orders is gone; it
/// ends, and the happenings with it, when the shell is closed or broken.
pub(crate) fn start(
    transport: Arc<dyn Transport>,
    options: client::Options,
    create: CreateShell,
) -> (UnboundedSender<Order>, UnboundedReceiver<Happening>) {
    let (orders, wanted) = mpsc::unbounded_channel();
    let (happened, happenings) = mpsc::unbounded_channel();
    let mut machine = client::Shell::new(options);
    machine.open(create);
    let driver =
        Driver { transport, machine, wanted, happened, under_way: FuturesUnordered::new(), broken: false };
    tokio::spawn(driver.run());
    (orders, happenings)
}

struct Driver {
    transport: Arc<dyn Transport>,
    machine: client::Shell,
    wanted: UnboundedReceiver<Order>,
    happened: UnboundedSender<Happening>,
    under_way: FuturesUnordered<BoxFuture<'static, (RequestId, Result<Answer, Error>)>>,
    /// The transport failed: nothing more can be sent.
    broken: bool,
}

impl Driver {
    async fn run(mut self) {
        let mut closing: Option<Instant> = None;
        loop {
            self.work();
            if self.machine.is_closed() || self.broken {
                return;
            }
            let deadline = closing.unwrap_or_else(|| Instant::now() + Duration::from_secs(86_400));
            tokio::select! {
                order = self.wanted.recv(), if closing.is_none() => match order {
                    Some(order) => self.obey(order),
                    None => {
                        closing = Some(Instant::now() + CLOSE_WITHIN);
                        self.machine.close();
                    }
                },
                answered = timeout_at(deadline, self.under_way.next()), if !self.under_way.is_empty() => match answered {
                    Ok(Some((id, answer))) => self.answered(id, answer),
                    Ok(None) => {}
                    Err(_) => return,
                },
                // Closing, and nothing is under way: the machine has nothing to say any more.
                () = std::future::ready(()), if closing.is_some() && self.under_way.is_empty() => return,
            }
        }
    }

    /// Sends what is to be sent and tells what happened.
    fn work(&mut self) {
        // Orders that are there already may go into one request.
        while let Some(Some(order)) = self.wanted.recv().now_or_never() {
            self.obey(order);
        }
        while let Some(request) = self.machine.poll_transmit(&mut rand::rng()) {
            tracing::debug!(operation = request.operation, bytes = request.body.len(), "request");
            let transport = self.transport.clone();
            self.under_way.push(Box::pin(async move {
                (request.id, transport.post(request.body, request.answered_within).await)
            }));
        }
        while let Some(event) = self.machine.poll_event() {
            let _ = self.happened.send(match event {
                Event::Failed(error) => Err(error.into()),
                event => Ok(event),
            });
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Run { command, line, arguments } => self.machine.run(command, &line, &arguments),
            Order::RunPipeline { command, text, fragments } => {
                self.machine.run_pipeline(command, &text, fragments)
            }
            Order::Send { command, stream, data, end } => self.machine.send(command, stream, data, end),
            Order::Signal { command, signal } => self.machine.signal(command, signal),
            Order::Finish(command) => self.machine.finish(command),
            Order::ReceiveShellOutput(wanted) => self.machine.receive_shell_output(wanted),
        }
    }

    fn answered(&mut self, id: RequestId, answer: Result<Answer, Error>) {
        match answer {
            Ok(answer) => self.machine.handle_response(id, answer.status, &answer.body),
            Err(error) => {
                self.broken = true;
                let _ = self.happened.send(Err(error));
            }
        }
    }
}
