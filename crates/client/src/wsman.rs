//! A runspace pool's way over WS-Management.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use hop_psrp::{Target, Uuid};
use hop_wsman::{
    CommandId, CreateShell, ShellId, Signal,
    client::{Event, Options},
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use crate::{
    error::Error,
    link::{Incoming, Link, Queue},
    shell::{self, Happening, Order},
    transport::Transport,
};

pub(crate) struct Wsman {
    orders: Option<UnboundedSender<Order>>,
    happenings: UnboundedReceiver<Happening>,
    /// The pool has not said yet that it is open.
    opening: bool,
    /// The shell's output must be asked for (again).
    ask: bool,
}

impl Wsman {
    /// Asks for the shell of a pool; the shell's id is the pool's.
    pub(crate) fn open(
        transport: Arc<dyn Transport>,
        options: Options,
        pool: Uuid,
        opening: Vec<u8>,
    ) -> Self {
        let create = CreateShell {
            name: Some("Runspace1".to_owned()),
            shell_id: Some(ShellId::from(pool)),
            input_streams: vec!["stdin".to_owned(), "pr".to_owned()],
            output_streams: vec!["stdout".to_owned()],
            creation_xml: Some(opening),
            ..CreateShell::default()
        };
        let (orders, happenings) = shell::start(transport, options, create);
        Self { orders: Some(orders), happenings, opening: true, ask: false }
    }

    fn order(&self, order: Order) {
        if let Some(orders) = &self.orders {
            let _ = orders.send(order);
        }
    }
}

impl Link for Wsman {
    fn start(&mut self, pipeline: Uuid, text: &str, fragments: Vec<Vec<u8>>) {
        self.order(Order::RunPipeline {
            command: CommandId::from(pipeline),
            text: text.to_owned(),
            fragments,
        });
    }

    fn send(&mut self, target: Target, queue: Queue, fragments: Vec<Vec<u8>>) {
        let command = match target {
            Target::Pool => None,
            Target::Pipeline(id) => Some(CommandId::from(id)),
        };
        let stream = match queue {
            Queue::Default => "stdin",
            Queue::PromptResponse => "pr",
        };
        for data in fragments {
            self.order(Order::Send { command, stream, data, end: false });
        }
    }

    fn stop(&mut self, pipeline: Uuid) {
        self.order(Order::Signal { command: CommandId::from(pipeline), signal: Signal::StopPipeline });
    }

    fn finish(&mut self, pipeline: Uuid) {
        self.order(Order::Finish(CommandId::from(pipeline)));
    }

    fn pool_opened(&mut self) {
        self.opening = false;
    }

    fn close(&mut self) {
        self.orders = None;
    }

    fn next(&mut self) -> BoxFuture<'_, Option<Result<Incoming, Error>>> {
        Box::pin(async {
            loop {
                if std::mem::take(&mut self.ask) && self.opening {
                    self.order(Order::ReceiveShellOutput(true));
                }
                let incoming = match self.happenings.recv().await? {
                    Ok(Event::Opened(created)) => {
                        // A server that hands nothing out with its answer must be asked.
                        if created.early_output.as_ref().is_none_or(Vec::is_empty) {
                            self.ask = true;
                        }
                        continue;
                    }
                    Ok(Event::Output { command, data, .. }) => {
                        self.ask |= command.is_none();
                        let target = command.map_or(Target::Pool, |id| Target::Pipeline(id.uuid()));
                        Incoming::Data { target, bytes: data }
                    }
                    Ok(Event::CommandDone { command, .. }) => Incoming::Done(command.uuid()),
                    Ok(Event::CommandFailed { command, error }) => {
                        Incoming::Failed { pipeline: command.uuid(), error: error.into() }
                    }
                    Ok(_) => continue,
                    Err(error) => return Some(Err(error)),
                };
                return Some(Ok(incoming));
            }
        })
    }
}
