//! All shells of the server: the WS-Management machine, the requests that wait for it, and the tasks behind it.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hop_wsman::server::{Caller, Config, ExchangeId, Open, Output, ShellKey, Shells};
use hop_wsman::{CommandId, CommandLine, Fault, Selector, Signal, Stream, uri};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::monitor::MonitorClient;
use super::{powershell, winrs};
use crate::config::Limits;
use crate::ipc::IdentityId;

/// Who owns a shell.
///
/// Two connections of one principal are one owner, so a shell opened on one is there on the other. The identity is
/// that of the connection the request came on, and is what the monitor opens a session for.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub client: String,
    pub user: String,
    pub identity: IdentityId,
}

impl PartialEq for Owner {
    fn eq(&self, other: &Self) -> bool {
        self.client == other.client && self.user == other.user
    }
}

impl Eq for Owner {}

impl Hash for Owner {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.client.hash(state);
        self.user.hash(state);
    }
}

/// A SOAP answer: HTTP status and envelope.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// What a shell's task is to do.
#[derive(Debug)]
pub(crate) enum Order {
    Run { exchange: ExchangeId, command: CommandId, line: CommandLine, options: Vec<Selector> },
    Input { exchange: ExchangeId, streams: Vec<Stream> },
    Signal { exchange: ExchangeId, command: CommandId, signal: Signal },
    Close { exchange: Option<ExchangeId> },
}

pub(crate) struct Hub {
    state: Mutex<State>,
    wake: Notify,
    /// No shell is left: what a stop waits for.
    empty: Notify,
    pub monitor: MonitorClient,
}

struct State {
    shells: Shells<Owner>,
    waiting: HashMap<ExchangeId, oneshot::Sender<Answer>>,
    backs: HashMap<ShellKey, Back>,
}

struct Back {
    orders: mpsc::UnboundedSender<Order>,
    drained: Arc<Notify>,
}

impl Hub {
    pub fn new(settings: &Limits, monitor: MonitorClient, machine: String) -> Arc<Self> {
        let mut config = Config {
            max_shells_per_owner: settings.max_shells_per_user as usize,
            max_commands_per_shell: settings.max_processes_per_shell as usize,
            max_operation_timeout: settings.max_timeout(),
            default_idle_timeout: settings.idle_timeout(),
            machine,
            ..Config::default()
        };
        config.limits.max_bytes = settings.max_envelope_size as usize;
        config.default_operation_timeout = config.default_operation_timeout.min(config.max_operation_timeout);
        let state = State { shells: Shells::new(config), waiting: HashMap::new(), backs: HashMap::new() };
        let hub =
            Arc::new(Self { state: Mutex::new(state), wake: Notify::new(), empty: Notify::new(), monitor });
        tokio::spawn(Arc::clone(&hub).keep_time());
        hub
    }

    /// Answers an unsealed request of an authenticated caller. Dropping the future abandons the request.
    pub async fn request(self: &Arc<Self>, caller: &Caller<Owner>, body: &[u8]) -> Option<Answer> {
        let (sender, receiver) = oneshot::channel();
        let exchange = self.with(|state, now| {
            let exchange = state.shells.handle_request(caller, body, now, &mut rand::rng());
            state.waiting.insert(exchange, sender);
            exchange
        });
        let _abandon = AbandonOnDrop { hub: self, exchange };
        receiver.await.ok()
    }

    /// The answer to a request to identify the server, which needs no authentication.
    pub fn identify(&self, body: &[u8]) -> Option<Vec<u8>> {
        self.lock().shells.identify(body)
    }

    /// Closes every shell and waits until they are closed.
    pub async fn close_all(&self) {
        let orders: Vec<_> = self.lock().backs.values().map(|b| b.orders.clone()).collect();
        for orders in orders {
            let _ = orders.send(Order::Close { exchange: None });
        }
        loop {
            let emptied = self.empty.notified();
            if self.lock().backs.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the machine, then does what it wants done.
    fn with<T>(self: &Arc<Self>, change: impl FnOnce(&mut State, Instant) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state, Instant::now());
        while let Some(output) = state.shells.poll_output(&mut rand::rng()) {
            self.obey(&mut state, output);
        }
        drop(state);
        self.wake.notify_one();
        result
    }

    fn obey(self: &Arc<Self>, state: &mut State, output: Output<Owner>) {
        match output {
            Output::Respond { exchange, status, body } => {
                if let Some(waiting) = state.waiting.remove(&exchange) {
                    let _ = waiting.send(Answer { status, body });
                }
            }
            Output::Open { exchange, shell, owner, open } => self.open(state, exchange, shell, owner, *open),
            Output::Run { exchange, shell, command, line, options } => {
                self.order(state, shell, exchange, Order::Run { exchange, command, line, options });
            }
            Output::Input { exchange, shell, streams } => {
                self.order(state, shell, exchange, Order::Input { exchange, streams });
            }
            Output::Signal { exchange, shell, command, signal } => {
                self.order(state, shell, exchange, Order::Signal { exchange, command, signal });
            }
            Output::Close { exchange, shell, .. } => {
                let sent =
                    state.backs.get(&shell).is_some_and(|b| b.orders.send(Order::Close { exchange }).is_ok());
                if let (false, Some(exchange)) = (sent, exchange) {
                    state.shells.complete(exchange, Ok(()), Instant::now());
                }
            }
            Output::Drained { shell } => {
                if let Some(back) = state.backs.get(&shell) {
                    back.drained.notify_waiters();
                }
            }
            other => tracing::error!(?other, "the shell machine wants something unknown"),
        }
    }

    fn order(&self, state: &mut State, shell: ShellKey, exchange: ExchangeId, order: Order) {
        let sent = state.backs.get(&shell).is_some_and(|back| back.orders.send(order).is_ok());
        if !sent {
            state.shells.complete(exchange, Err(Fault::unknown_shell()), Instant::now());
        }
    }

    fn open(
        self: &Arc<Self>,
        state: &mut State,
        exchange: ExchangeId,
        key: ShellKey,
        owner: Owner,
        open: Open,
    ) {
        let powershell = open.resource_uri.starts_with(uri::POWERSHELL_PREFIX);
        if !powershell && !open.resource_uri.eq_ignore_ascii_case(uri::CMD) {
            state.shells.complete(exchange, Err(Fault::unknown_resource(&open.resource_uri)), Instant::now());
            return;
        }
        let (orders, inbox) = mpsc::unbounded_channel();
        let drained = Arc::new(Notify::new());
        state.backs.insert(key, Back { orders, drained: Arc::clone(&drained) });
        let shell = ShellHandle { hub: Arc::clone(self), key, drained, ended: CancellationToken::new() };
        let end = EndOnDrop(shell.clone());
        tokio::spawn(async move {
            if powershell {
                powershell::run(&end.0, exchange, owner, open, inbox).await;
            } else {
                winrs::run(&end.0, exchange, owner, open, inbox).await;
            }
        });
    }

    async fn keep_time(self: Arc<Self>) {
        loop {
            let next = self.lock().shells.poll_timeout();
            match next {
                None => self.wake.notified().await,
                Some(at) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(at.into()) => {
                            self.with(|state, now| state.shells.handle_timeout(now));
                        }
                        () = self.wake.notified() => {}
                    }
                }
            }
        }
    }
}

struct AbandonOnDrop<'a> {
    hub: &'a Arc<Hub>,
    exchange: ExchangeId,
}

impl Drop for AbandonOnDrop<'_> {
    fn drop(&mut self) {
        let exchange = self.exchange;
        self.hub.with(|state, now| {
            // Still waiting: the client went away before the answer.
            if state.waiting.remove(&exchange).is_some() {
                state.shells.abandon(exchange, now);
            }
        });
    }
}

/// A shell, as the task behind it sees it.
#[derive(Clone)]
pub(crate) struct ShellHandle {
    pub hub: Arc<Hub>,
    key: ShellKey,
    drained: Arc<Notify>,
    /// Cancelled when the shell's task has ended: then its helpers end too.
    pub ended: CancellationToken,
}

impl ShellHandle {
    /// Answers a request that the machine handed on.
    pub fn complete(&self, exchange: ExchangeId, result: Result<(), Fault>) {
        self.hub.with(|state, now| state.shells.complete(exchange, result, now));
    }

    /// Hands output on. Who produces more waits for [`ShellHandle::uncongested`] before.
    pub fn output(&self, command: Option<CommandId>, stream: &str, data: Vec<u8>) {
        self.hub.with(|state, now| state.shells.push_output(self.key, command, stream, data, now));
    }

    /// Waits while the client does not keep up with the output.
    pub async fn uncongested(&self) {
        loop {
            let drained = self.drained.notified();
            tokio::pin!(drained);
            drained.as_mut().enable();
            if !self.hub.lock().shells.is_congested(self.key) {
                return;
            }
            tokio::select! {
                () = drained => {}
                () = self.ended.cancelled() => return,
            }
        }
    }

    /// The command has ended.
    pub fn finish(&self, command: CommandId, exit_code: i32) {
        self.hub.with(|state, now| state.shells.finish_command(self.key, command, exit_code, now));
    }

    /// The session has ended without having been asked to.
    pub fn end(&self, fault: Fault) {
        self.hub.with(|state, now| state.shells.end_shell(self.key, fault, now));
    }
}

/// Answers a request with success when dropped: for what must be answered once, whatever becomes of it.
pub(crate) struct CompleteOnDrop {
    shell: ShellHandle,
    exchange: ExchangeId,
}

impl CompleteOnDrop {
    pub fn new(shell: &ShellHandle, exchange: ExchangeId) -> Self {
        Self { shell: shell.clone(), exchange }
    }
}

impl Drop for CompleteOnDrop {
    fn drop(&mut self) {
        self.shell.complete(self.exchange, Ok(()));
    }
}

/// Takes a shell's task out of the hub, also when it panics.
struct EndOnDrop(ShellHandle);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        let shell = &self.0;
        shell.ended.cancel();
        shell.hub.with(|state, now| {
            state.backs.remove(&shell.key);
            // No effect on a shell that was closed in good order.
            state.shells.end_shell(shell.key, Fault::unknown_shell(), now);
        });
        shell.hub.empty.notify_waiters();
    }
}
