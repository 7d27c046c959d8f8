//! The server's shells: requests come in, answers and orders to the back end go out.
//!
//! [`Shells`] knows nothing of HTTP and of the processes behind the shells. Its user feeds it with request bodies
//! ([`Shells::handle_request`]), the passing of time ([`Shells::handle_timeout`]) and what the back end says
//! ([`Shells::push_output`], [`Shells::finish_command`], [`Shells::end_shell`], [`Shells::complete`]), and after
//! each of them takes every [`Output`] that [`Shells::poll_output`] has.

mod channel;
mod shell;

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::{Duration, Instant},
};

use rand_core::CryptoRng;

use self::shell::{Command, Shell};
use crate::{
    envelope::{Header, Limits},
    fault::{Fault, FaultCode},
    ids::{CommandId, MessageId, ShellId},
    message::{
        CommandLine, CreateResponse, CreateShell, IdentifyResponse, Operation, OperationResponse, Request,
        Response, Selector, Signal, Stream,
    },
    uri,
    write::RECEIVE_OVERHEAD,
};

/// Names one request until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeId(u64);

/// Names one shell inside the server. Never used twice, unlike a [`ShellId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShellKey(u64);

/// What a server allows. All sizes in bytes.
#[derive(Clone, Debug)]
pub struct Config {
    /// Limits of requests.
    pub limits: Limits,
    /// Shells of one owner (`MaxShellsPerUser`).
    pub max_shells_per_owner: usize,
    /// Commands of one shell that are not terminated (`MaxProcessesPerShell`).
    pub max_commands_per_shell: usize,
    /// Operation time-out of requests that have none.
    pub default_operation_timeout: Duration,
    /// Longest operation time-out; longer ones are shortened (`MaxTimeoutms`).
    pub max_operation_timeout: Duration,
    /// Idle time-out of shells that ask for none.
    pub default_idle_timeout: Duration,
    /// Shortest and longest idle time-out.
    pub idle_timeout_bounds: (Duration, Duration),
    /// Largest answer to Receive, if the client allows it.
    pub max_response: usize,
    /// How long output waits for company before a Receive is answered.
    pub linger: Duration,
    /// A shell with more output than this is [congested](Shells::is_congested).
    pub high_water: usize,
    /// `Machine` of faults.
    pub machine: String,
    /// For Identify.
    pub identify: IdentifyResponse,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            max_shells_per_owner: 30,
            max_commands_per_shell: 100,
            default_operation_timeout: Duration::from_secs(60),
            max_operation_timeout: Duration::from_secs(600),
            default_idle_timeout: Duration::from_secs(7200),
            idle_timeout_bounds: (Duration::from_secs(60), Duration::from_secs(43_200)),
            max_response: 512_000,
            linger: Duration::from_millis(10),
            high_water: 4 << 20,
            machine: String::new(),
            identify: IdentifyResponse {
                protocol_version: uri::WSMAN.to_owned(),
                product_vendor: "secondhop".to_owned(),
                product_version: env!("CARGO_PKG_VERSION").to_owned(),
            },
        }
    }
}

/// Who sends a request. Shells of one owner do not exist for another.
#[derive(Clone, Debug)]
pub struct Caller<O> {
    /// The authenticated identity.
    pub owner: O,
    /// How the server writes it in `rsp:Owner`.
    pub name: String,
    /// The client's address for `rsp:ClientIP`.
    pub address: Option<String>,
}

/// What to do next.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output<O> {
    /// Send this answer.
    Respond {
        /// To which request.
        exchange: ExchangeId,
        /// HTTP status.
        status: u16,
        /// The envelope.
        body: Vec<u8>,
    },
    /// Start a session for the owner. Answer with [`Shells::complete`]: best when it is open, because a refusal
    /// then reaches the client as a fault, and our own client gets the opening messages with the answer.
    Open {
        /// The request.
        exchange: ExchangeId,
        /// The new shell.
        shell: ShellKey,
        /// Whose.
        owner: O,
        /// What was asked for.
        open: Box<Open>,
    },
    /// Start a command. Answer with [`Shells::complete`].
    Run {
        /// The request.
        exchange: ExchangeId,
        /// The shell.
        shell: ShellKey,
        /// The command's id; it need not be the pipeline id of PSRP.
        command: CommandId,
        /// The command line.
        line: CommandLine,
        /// Options of the request, such as `WINRS_SKIP_CMD_SHELL`.
        options: Vec<Selector>,
    },
    /// Input for the shell or its commands. Answer with [`Shells::complete`] when it is taken.
    Input {
        /// The request.
        exchange: ExchangeId,
        /// The shell.
        shell: ShellKey,
        /// The pieces, in order.
        streams: Vec<Stream>,
    },
    /// Stop or release a command. Answer with [`Shells::complete`].
    Signal {
        /// The request.
        exchange: ExchangeId,
        /// The shell.
        shell: ShellKey,
        /// The command.
        command: CommandId,
        /// What to do.
        signal: Signal,
    },
    /// End the session: the client deleted it, it was idle for too long, or nobody waits for its opening any more.
    Close {
        /// The request, to be answered with [`Shells::complete`]; none if the server itself decided.
        exchange: Option<ExchangeId>,
        /// The shell.
        shell: ShellKey,
        /// Whose.
        owner: O,
    },
    /// The shell was congested and is not any more: read on.
    Drained {
        /// The shell.
        shell: ShellKey,
    },
}

/// A shell as it was asked for.
#[derive(Clone, Debug)]
pub struct Open {
    /// The id by which the client knows it.
    pub shell_id: ShellId,
    /// Resource URI: `…/powershell/NAME` or [`uri::CMD`].
    pub resource_uri: String,
    /// `rsp:Shell`.
    pub create: CreateShell,
    /// Options, such as `protocolversion`, `WINRS_NOPROFILE`, `WINRS_CODEPAGE`.
    pub options: Vec<Selector>,
    /// `w:Locale`.
    pub locale: Option<String>,
    /// `p:DataLocale`.
    pub data_locale: Option<String>,
    /// Name of the owner as in [`Caller::name`].
    pub owner_name: String,
    /// Address of the client.
    pub address: Option<String>,
}

/// A request that waits for its answer.
#[derive(Debug)]
struct Exchange {
    id: ExchangeId,
    relates_to: Option<MessageId>,
}

/// A request that waits for the back end.
#[derive(Debug)]
struct Pending {
    exchange: Exchange,
    shell: ShellKey,
    deadline: Instant,
    then: Then,
}

#[derive(Debug)]
enum Then {
    Open { early: bool },
    Run(CommandId),
    Send,
    Signal(CommandId, Signal),
    Close,
}

/// All shells of a server. `O` is the identity of an owner.
#[derive(Debug)]
pub struct Shells<O> {
    config: Config,
    names: HashMap<(O, ShellId), ShellKey>,
    shells: HashMap<ShellKey, Shell<O>>,
    pending: HashMap<ExchangeId, Pending>,
    outputs: VecDeque<Queued<O>>,
    counter: u64,
}

#[derive(Debug)]
enum Queued<O> {
    Respond(Exchange, Box<Result<OperationResponse, Fault>>),
    Output(Output<O>),
}

impl<O: Clone + Eq + Hash> Shells<O> {
    /// No shells yet.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            names: HashMap::new(),
            shells: HashMap::new(),
            pending: HashMap::new(),
            outputs: VecDeque::new(),
            counter: 0,
        }
    }

    /// The answer to an unauthenticated Identify request; `None` for anything else, which nobody may ask without
    /// authentication.
    pub fn identify(&self, body: &[u8]) -> Option<Vec<u8>> {
        let request = Request::parse(body, &self.config.limits).ok()?;
        matches!(request.body, Operation::Identify).then(|| {
            let identify = OperationResponse::Identify(self.config.identify.clone());
            Response { header: Header::default(), body: Ok(identify) }.to_bytes()
        })
    }

    /// Takes a request body, unsealed and authenticated. The answer comes, now or later, as [`Output::Respond`] with
    /// the returned name.
    pub fn handle_request(
        &mut self,
        caller: &Caller<O>,
        body: &[u8],
        now: Instant,
        rng: &mut dyn CryptoRng,
    ) -> ExchangeId {
        let id = ExchangeId(self.next());
        match Request::parse(body, &self.config.limits) {
            Ok(request) => {
                let relates_to = request.header.message_id.clone();
                let exchange = Exchange { id, relates_to };
                if let Err((exchange, fault)) = self.request(exchange, caller, request, now, rng) {
                    self.respond(exchange, Err(fault));
                }
            }
            Err(rejected) => {
                let exchange = Exchange { id, relates_to: rejected.message_id };
                self.respond(exchange, Err(rejected.error.to_fault()));
            }
        }
        id
    }

    /// The client of this request is gone. A parked Receive loses nothing; a shell that nobody learns of is closed.
    pub fn abandon(&mut self, exchange: ExchangeId, now: Instant) {
        if let Some(pending) = self.pending.get(&exchange) {
            if matches!(pending.then, Then::Open { .. }) {
                let shell = pending.shell;
                self.pending.remove(&exchange);
                self.drop_shell(shell, None);
            }
            return;
        }
        for shell in self.shells.values_mut() {
            if shell.channels().any(|(_, channel)| channel.unpark_if(exchange)) {
                shell.last_activity = now;
                return;
            }
        }
    }

    /// The back end has done, or refuses, what an [`Output`] with this exchange asked for. Unknown names (the
    /// request timed out meanwhile) are ignored.
    pub fn complete(&mut self, exchange: ExchangeId, result: Result<(), Fault>, now: Instant) {
        let Some(pending) = self.pending.remove(&exchange) else { return };
        let key = pending.shell;
        if let Some(shell) = self.shells.get_mut(&key) {
            shell.last_activity = now;
        }
        let answer = match (pending.then, result) {
            (Then::Open { early }, Ok(())) => match self.shells.get_mut(&key) {
                Some(shell) => Ok(OperationResponse::Create(shell.opened(early))),
                None => Err(Fault::aborted("the session ended while it was opened")),
            },
            (Then::Open { .. }, Err(fault)) => {
                self.forget(key);
                Err(fault)
            }
            (Then::Run(command), Ok(())) => Ok(OperationResponse::Command(command)),
            (Then::Run(command), Err(fault)) => {
                if let Some(shell) = self.shells.get_mut(&key) {
                    shell.commands.remove(&command);
                }
                Err(fault)
            }
            (Then::Send, Ok(())) => Ok(OperationResponse::Send),
            (Then::Signal(..), Ok(())) => Ok(OperationResponse::Signal),
            (Then::Signal(command, signal), Err(fault)) => {
                // Releasing a command that is gone already is no error.
                match self.shells.get(&key) {
                    Some(shell) if signal == Signal::Terminate && !shell.commands.contains_key(&command) => {
                        Ok(OperationResponse::Signal)
                    }
                    _ => Err(fault),
                }
            }
            (Then::Close, Ok(())) => {
                self.forget(key);
                Ok(OperationResponse::Delete)
            }
            (Then::Close, Err(fault)) => {
                self.forget(key);
                Err(fault)
            }
            (Then::Send, Err(fault)) => Err(fault),
        };
        self.respond(pending.exchange, answer);
    }

    /// Output of the shell itself (no command) or of a command. Output of a terminated command is dropped.
    pub fn push_output(
        &mut self,
        key: ShellKey,
        command: Option<CommandId>,
        stream: &str,
        data: Vec<u8>,
        now: Instant,
    ) {
        let high_water = self.config.high_water;
        let Some(shell) = self.shells.get_mut(&key) else { return };
        if let Some(channel) = shell.channel(command) {
            channel.push(stream, data, now);
        }
        shell.congested |= shell.buffered() > high_water;
        self.serve(key, now);
    }

    /// The command has ended; there is no output after this. PowerShell pipelines end with code 0.
    pub fn finish_command(&mut self, key: ShellKey, command: CommandId, exit_code: i32, now: Instant) {
        let Some(shell) = self.shells.get_mut(&key) else { return };
        if let Some(command) = shell.commands.get_mut(&command) {
            command.channel.done.get_or_insert(exit_code);
        }
        self.serve(key, now);
    }

    /// The session has ended without having been asked to. Clients get the output that is left, then the fault, to
    /// every request until they delete the shell or its idle time-out passes.
    pub fn end_shell(&mut self, key: ShellKey, fault: Fault, now: Instant) {
        let Some(shell) = self.shells.get_mut(&key) else { return };
        shell.ended.get_or_insert(fault.clone());
        let waiting: Vec<ExchangeId> =
            self.pending.iter().filter(|(_, p)| p.shell == key).map(|(id, _)| *id).collect();
        for exchange in waiting {
            let close = self.pending.get(&exchange).is_some_and(|p| matches!(p.then, Then::Close));
            self.complete(exchange, if close { Ok(()) } else { Err(fault.clone()) }, now);
        }
        self.serve(key, now);
    }

    /// True if so much output waits that the back end should not be read further until [`Output::Drained`].
    pub fn is_congested(&self, shell: ShellKey) -> bool {
        self.shells.get(&shell).is_some_and(|shell| shell.congested)
    }

    /// Number of shells, those that are being opened or closed included.
    pub fn len(&self) -> usize {
        self.shells.len()
    }

    /// True if there is no shell.
    pub fn is_empty(&self) -> bool {
        self.shells.is_empty()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due. Changes with every other call.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let pending = self.pending.values().map(|p| p.deadline);
        let shells = self.shells.values().flat_map(|shell| shell.wake_at(self.config.linger));
        pending.chain(shells).min()
    }

    /// Does what is due: answers Receives, times requests out, closes idle shells.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due: Vec<ExchangeId> =
            self.pending.values().filter(|p| p.deadline <= now).map(|p| p.exchange.id).collect();
        for id in due {
            let Some(pending) = self.pending.remove(&id) else { continue };
            match pending.then {
                Then::Open { .. } => self.drop_shell(pending.shell, None),
                Then::Close => self.forget(pending.shell),
                Then::Run(_) | Then::Send | Then::Signal(..) => {}
            }
            self.respond(pending.exchange, Err(Fault::timed_out()));
        }
        let keys: Vec<ShellKey> = self.shells.keys().copied().collect();
        for key in keys {
            self.serve(key, now);
            let idle = self.shells.get(&key).and_then(Shell::idle_deadline).is_some_and(|at| at <= now);
            if !idle {
                continue;
            }
            if self.pending.values().any(|p| p.shell == key) {
                if let Some(shell) = self.shells.get_mut(&key) {
                    shell.last_activity = now;
                }
            } else {
                self.drop_shell(key, None);
            }
        }
    }

    /// The next thing to do; call until it is `None`.
    pub fn poll_output(&mut self, rng: &mut dyn CryptoRng) -> Option<Output<O>> {
        match self.outputs.pop_front()? {
            Queued::Output(output) => Some(output),
            Queued::Respond(exchange, body) => {
                let header = Header {
                    message_id: Some(MessageId::random(rng)),
                    relates_to: exchange.relates_to,
                    ..Header::default()
                };
                let mut response = Response { header, body: *body };
                if let Err(fault) = &mut response.body {
                    fault.machine.get_or_insert_with(|| self.config.machine.clone());
                }
                let status = response.http_status();
                Some(Output::Respond { exchange: exchange.id, status, body: response.to_bytes() })
            }
        }
    }

    fn request(
        &mut self,
        exchange: Exchange,
        caller: &Caller<O>,
        request: Request,
        now: Instant,
        rng: &mut dyn CryptoRng,
    ) -> Result<(), (Exchange, Fault)> {
        let Request { header, body } = request;
        let budget = match self.budget(&header) {
            Ok(budget) => budget,
            Err(fault) => return Err((exchange, fault)),
        };
        let timeout = header.operation_timeout.unwrap_or(self.config.default_operation_timeout);
        let deadline = now + timeout.clamp(Duration::from_millis(500), self.config.max_operation_timeout);
        match body {
            Operation::Identify => {
                let identify = OperationResponse::Identify(self.config.identify.clone());
                self.respond(exchange, Ok(identify));
                return Ok(());
            }
            Operation::Create(create) => {
                return self.create(exchange, caller, header, create, deadline, now, rng);
            }
            Operation::Get | Operation::Enumerate => {
                let reason = "this server has no resources to read or enumerate";
                return Err((
                    exchange,
                    Fault::new(FaultCode::ACTION_NOT_SUPPORTED, true, "ActionNotSupported", reason),
                ));
            }
            _ => {}
        }
        let Some(key) = self.find(caller, &header) else { return Err((exchange, Fault::unknown_shell())) };
        let Some(shell) = self.shells.get_mut(&key) else { return Err((exchange, Fault::unknown_shell())) };
        shell.last_activity = now;
        let wait = |exchange, then| Pending { exchange, shell: key, deadline, then };
        let (pending, output) = match body {
            Operation::Receive { command, .. } => {
                let Some(channel) = shell.channel(command) else {
                    // A command that is released already has nothing more to say; that is no fault.
                    let answer = match command.and_then(|command| shell.released(command)) {
                        Some(done) => Ok(OperationResponse::Receive(done)),
                        None => Err(Fault::unknown_command()),
                    };
                    self.respond(exchange, answer);
                    return Ok(());
                };
                if let Some(older) = channel.park(exchange, deadline, budget) {
                    self.respond(older, Err(Fault::aborted("another Receive took the place of this one")));
                }
                self.serve(key, now);
                return Ok(());
            }
            Operation::Delete => {
                if shell.ended.is_some() {
                    self.forget(key);
                    self.respond(exchange, Ok(OperationResponse::Delete));
                    return Ok(());
                }
                self.drop_shell(key, Some((exchange, deadline)));
                return Ok(());
            }
            Operation::Connect | Operation::Disconnect | Operation::Reconnect => {
                let reason = "shells cannot be disconnected on this server";
                let fault =
                    Fault::new(FaultCode::DISCONNECT_NOT_SUPPORTED, true, "UnsupportedFeature", reason);
                return Err((exchange, fault));
            }
            _ if shell.ended.is_some() => {
                return Err((exchange, shell.ended.clone().unwrap_or_else(Fault::unknown_shell)));
            }
            Operation::Command(line) => {
                let command = line.command_id.unwrap_or_else(|| CommandId::random(rng));
                if shell.knows(command) {
                    let reason = "the shell has a command with this CommandId already";
                    return Err((
                        exchange,
                        Fault::new(FaultCode::ALREADY_EXISTS, true, "AlreadyExists", reason),
                    ));
                }
                if shell.commands.len() >= self.config.max_commands_per_shell {
                    let reason = "the shell has as many commands as the server allows";
                    return Err((
                        exchange,
                        Fault::new(FaultCode::MAX_OPERATIONS, false, "QuotaLimit", reason),
                    ));
                }
                shell.commands.insert(command, Command::default());
                let options = header.options;
                let id = exchange.id;
                (
                    wait(exchange, Then::Run(command)),
                    Output::Run { exchange: id, shell: key, command, line, options },
                )
            }
            Operation::Send(mut streams) => {
                let stranger = streams.iter().any(|s| s.command.is_some_and(|id| !shell.knows(id)));
                if stranger {
                    return Err((exchange, Fault::unknown_command()));
                }
                // Input that comes too late for its command is no fault of the client.
                streams.retain(|s| s.command.is_none_or(|id| shell.takes_input(id)));
                if streams.is_empty() {
                    self.respond(exchange, Ok(OperationResponse::Send));
                    return Ok(());
                }
                let id = exchange.id;
                (wait(exchange, Then::Send), Output::Input { exchange: id, shell: key, streams })
            }
            Operation::Signal { command: None, .. } => {
                return Err((exchange, Fault::schema("Signal needs a CommandId")));
            }
            Operation::Signal { command: Some(command), signal } => {
                if !shell.commands.contains_key(&command) {
                    self.respond(exchange, Ok(OperationResponse::Signal));
                    return Ok(());
                }
                if signal == Signal::Terminate {
                    shell.release(command);
                }
                let id = exchange.id;
                let then = Then::Signal(command, signal.clone());
                let output = Output::Signal { exchange: id, shell: key, command, signal };
                let pending = wait(exchange, then);
                self.release_parked(key, command);
                (pending, output)
            }
            Operation::Identify | Operation::Create(_) | Operation::Get | Operation::Enumerate => {
                return Ok(());
            }
        };
        self.pending.insert(pending.exchange.id, pending);
        self.outputs.push_back(Queued::Output(output));
        Ok(())
    }

    #[allow(clippy::too_many_arguments)]
    fn create(
        &mut self,
        exchange: Exchange,
        caller: &Caller<O>,
        header: Header,
        create: CreateShell,
        deadline: Instant,
        now: Instant,
        rng: &mut dyn CryptoRng,
    ) -> Result<(), (Exchange, Fault)> {
        let Some(resource_uri) = header.resource_uri.clone() else {
            return Err((exchange, Fault::schema("ResourceURI is missing")));
        };
        let shell_id = create.shell_id.unwrap_or_else(|| ShellId::random(rng));
        let name = (caller.owner.clone(), shell_id);
        if self.names.contains_key(&name) {
            let reason = "a shell with this ShellId exists already";
            return Err((exchange, Fault::new(FaultCode::ALREADY_EXISTS, true, "AlreadyExists", reason)));
        }
        let mine = self.shells.values().filter(|shell| shell.owner == caller.owner).count();
        if mine >= self.config.max_shells_per_owner {
            let reason = "the user has as many shells as the server allows";
            return Err((exchange, Fault::new(FaultCode::MAX_SHELLS, false, "QuotaLimit", reason)));
        }
        let (least, most) = self.config.idle_timeout_bounds;
        let idle_timeout = create.idle_timeout.unwrap_or(self.config.default_idle_timeout);
        if create.idle_timeout.is_some_and(|wanted| wanted > most) {
            let reason = format!("the idle time-out is longer than {} s", most.as_secs());
            return Err((
                exchange,
                Fault::new(FaultCode::IDLE_TIMEOUT_OUT_OF_BOUNDS, true, "InvalidParameter", reason),
            ));
        }
        let early = header.option_is_set(uri::OPTION_EARLY_OUTPUT);
        let response = CreateResponse {
            shell_id,
            resource_uri: resource_uri.clone(),
            owner: Some(caller.name.clone()),
            client_ip: caller.address.clone(),
            idle_timeout: Some(idle_timeout.max(least)),
            input_streams: create.input_streams.clone(),
            output_streams: create.output_streams.clone(),
            early_output: None,
        };
        let key = ShellKey(self.next());
        let id = exchange.id;
        self.names.insert(name, key);
        self.shells.insert(key, Shell::new(caller.owner.clone(), response, now));
        self.pending.insert(id, Pending { exchange, shell: key, deadline, then: Then::Open { early } });
        let open = Box::new(Open {
            shell_id,
            resource_uri,
            create,
            options: header.options,
            locale: header.locale,
            data_locale: header.data_locale,
            owner_name: caller.name.clone(),
            address: caller.address.clone(),
        });
        self.outputs.push_back(Queued::Output(Output::Open {
            exchange: id,
            shell: key,
            owner: caller.owner.clone(),
            open,
        }));
        Ok(())
    }

    /// How many bytes of output fit into the answer.
    fn budget(&self, header: &Header) -> Result<usize, Fault> {
        const LEAST: u32 = 8192;
        const USUAL: u32 = 153_600;
        let wanted = header.max_envelope_size.unwrap_or(USUAL);
        if wanted < LEAST {
            let reason = format!("MaxEnvelopeSize {wanted} is less than {LEAST}");
            return Err(Fault::new(FaultCode::ENCODING_LIMIT, true, "EncodingLimit", reason)
                .with_detail("MaxEnvelopeSize"));
        }
        let envelope = usize::try_from(wanted).unwrap_or(usize::MAX).min(self.config.max_response);
        Ok(envelope.saturating_sub(RECEIVE_OVERHEAD) / 4 * 3)
    }

    /// The open shell that the request names, if it is the caller's.
    fn find(&self, caller: &Caller<O>, header: &Header) -> Option<ShellKey> {
        let shell_id = header.shell_id().flatten()?;
        let key = *self.names.get(&(caller.owner.clone(), shell_id))?;
        let shell = self.shells.get(&key).filter(|shell| shell.is_open)?;
        let uri = header.resource_uri.as_deref()?;
        shell.response.resource_uri.eq_ignore_ascii_case(uri).then_some(key)
    }

    /// Answers the Receives of a shell that can be answered.
    fn serve(&mut self, key: ShellKey, now: Instant) {
        let linger = self.config.linger;
        let Some(shell) = self.shells.get_mut(&key) else { return };
        let ended = shell.ended.clone();
        let mut answers = Vec::new();
        for (command, channel) in shell.channels() {
            answers.extend(channel.serve(command, ended.as_ref(), linger, now));
        }
        if !answers.is_empty() {
            shell.last_activity = now;
        }
        if shell.congested && shell.buffered() <= self.config.high_water / 2 {
            shell.congested = false;
            self.outputs.push_back(Queued::Output(Output::Drained { shell: key }));
        }
        for (exchange, answer) in answers {
            self.respond(exchange, answer.map(OperationResponse::Receive));
        }
    }

    /// Answers the Receive that waits for a command that was just released.
    fn release_parked(&mut self, key: ShellKey, command: CommandId) {
        let Some(shell) = self.shells.get_mut(&key) else { return };
        if let Some(exchange) = shell.parked_of_released.take()
            && let Some(done) = shell.released(command)
        {
            self.respond(exchange, Ok(OperationResponse::Receive(done)));
        }
    }

    /// Takes a shell out of the clients' sight, ends its Receives and has the back end close it.
    fn drop_shell(&mut self, key: ShellKey, request: Option<(Exchange, Instant)>) {
        self.names.retain(|_, named| *named != key);
        let Some(shell) = self.shells.get_mut(&key) else { return };
        let owner = shell.owner.clone();
        let ids: Vec<ExchangeId> =
            self.pending.iter().filter(|(_, p)| p.shell == key).map(|(id, _)| *id).collect();
        let waiting: Vec<Exchange> =
            ids.iter().filter_map(|id| self.pending.remove(id)).map(|p| p.exchange).collect();
        for exchange in waiting {
            self.respond(exchange, Err(Fault::aborted("the shell was closed")));
        }
        let ended = self.shells.get(&key).is_some_and(|shell| shell.ended.is_some());
        let exchange = request.as_ref().map(|(exchange, _)| exchange.id);
        match request {
            Some((exchange, deadline)) => {
                let pending = Pending { exchange, shell: key, deadline, then: Then::Close };
                self.pending.insert(pending.exchange.id, pending);
            }
            None => self.forget(key),
        }
        if !ended {
            self.outputs.push_back(Queued::Output(Output::Close { exchange, shell: key, owner }));
        }
    }

    /// Removes the shell. A Receive that waits gets what is there (the last messages of a session), or a fault.
    fn forget(&mut self, key: ShellKey) {
        self.names.retain(|_, named| *named != key);
        let Some(mut shell) = self.shells.remove(&key) else { return };
        let closed = Fault::aborted("the shell was closed");
        let answers: Vec<_> =
            shell.channels().filter_map(|(command, channel)| channel.close(command, &closed)).collect();
        for (exchange, answer) in answers {
            self.respond(exchange, answer.map(OperationResponse::Receive));
        }
    }

    fn respond(&mut self, exchange: Exchange, body: Result<OperationResponse, Fault>) {
        self.outputs.push_back(Queued::Respond(exchange, Box::new(body)));
    }

    fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }
}
