//! One remote shell, seen from the client: which request comes next, and what the answers mean.
//!
//! [`Shell`] sends nothing itself. Take every [`Transmit`] from [`Shell::poll_transmit`], post it (several may be
//! under way at once), hand the answer to [`Shell::handle_response`], and take the [`Event`]s.
//!
//! It is sparing with requests: output that the server hands out with the answer to Create saves the first Receive
//! of the shell, finished commands are released only when another one starts, and Delete releases the rest.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::Duration,
};

use rand_core::CryptoRng;

use crate::{
    envelope::{Envelope, Header, Limits, ParseError},
    fault::{Fault, FaultCode},
    ids::{CommandId, MessageId, ShellId},
    message::{
        CommandLine, CommandState, CreateResponse, CreateShell, Operation, OperationResponse,
        ReceiveResponse, Response, Selector, Signal, Stream,
    },
    uri,
    write::RECEIVE_OVERHEAD,
};

/// How a shell is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// `a:To`: the URL.
    pub to: String,
    /// Resource URI: `…/powershell/NAME` or [`uri::CMD`].
    pub resource_uri: String,
    /// `w:OperationTimeout`: how long one Receive may wait.
    pub operation_timeout: Duration,
    /// `w:MaxEnvelopeSize`, for answers and for what is sent. Bytes.
    pub max_envelope_size: u32,
    /// `w:Locale`.
    pub locale: String,
    /// `p:DataLocale`.
    pub data_locale: String,
    /// Options of Create and Delete, such as `protocolversion`.
    pub options: Vec<Selector>,
    /// Limits of answers.
    pub limits: Limits,
}

impl Options {
    /// A PowerShell session configuration, with the usual values.
    pub fn powershell(to: &str, configuration: &str) -> Self {
        let protocol = Selector { name: "protocolversion".to_owned(), value: "2.3".to_owned() };
        Self {
            options: vec![protocol],
            ..Self::new(to, format!("{}{configuration}", uri::POWERSHELL_PREFIX))
        }
    }

    /// A command shell, with the usual values.
    pub fn cmd(to: &str) -> Self {
        let profile = Selector { name: "WINRS_NOPROFILE".to_owned(), value: "TRUE".to_owned() };
        let codepage = Selector { name: "WINRS_CODEPAGE".to_owned(), value: "65001".to_owned() };
        Self { options: vec![profile, codepage], ..Self::new(to, uri::CMD.to_owned()) }
    }

    fn new(to: &str, resource_uri: String) -> Self {
        Self {
            to: to.to_owned(),
            resource_uri,
            operation_timeout: Duration::from_secs(60),
            max_envelope_size: 512_000,
            locale: "en-US".to_owned(),
            data_locale: "en-US".to_owned(),
            options: Vec::new(),
            limits: Limits { max_bytes: 64 << 20, ..Limits::default() },
        }
    }
}

/// Names a request until it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(u64);

/// A request to post.
#[derive(Debug)]
pub struct Transmit {
    /// Its name.
    pub id: RequestId,
    /// `Create`, `Receive` and so on, for messages.
    pub operation: &'static str,
    /// The envelope.
    pub body: Vec<u8>,
    /// The server answers within this time; after it and some seconds for the network there is no server any more.
    pub answered_within: Duration,
}

/// What has happened.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The shell exists.
    Opened(Box<CreateResponse>),
    /// The command has been started.
    CommandStarted(CommandId),
    /// Output of the shell itself (no command) or of a command.
    Output {
        /// The command.
        command: Option<CommandId>,
        /// `stdout` or `stderr`.
        stream: String,
        /// The bytes.
        data: Vec<u8>,
    },
    /// The server says that nothing more comes from the command.
    CommandDone {
        /// The command.
        command: CommandId,
        /// Its exit code, if the server told it.
        exit_code: Option<i32>,
    },
    /// All input that was handed over so far has been taken by the server.
    InputTaken,
    /// The command failed; the shell goes on.
    CommandFailed {
        /// The command.
        command: CommandId,
        /// Why.
        error: Error,
    },
    /// The shell cannot be used any more.
    Failed(Error),
    /// The shell has been closed.
    Closed,
}

/// Why a request did not do what it was for.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server refused.
    #[error("{operation} was refused: {fault}")]
    Fault {
        /// The request.
        operation: &'static str,
        /// What the server said.
        fault: Box<Fault>,
    },
    /// An HTTP error without a fault in it.
    #[error("{operation} was answered with HTTP status {status}")]
    Status {
        /// The request.
        operation: &'static str,
        /// HTTP status.
        status: u16,
    },
    /// The answer is no envelope.
    #[error("the answer to {operation} cannot be read: {error}")]
    Unreadable {
        /// The request.
        operation: &'static str,
        /// What is wrong with it.
        error: ParseError,
    },
    /// The answer belongs to another request.
    #[error("the answer to {operation} belongs to another request")]
    Mismatch {
        /// The request.
        operation: &'static str,
    },
    /// No answer came.
    #[error("{operation} was not answered")]
    Unanswered {
        /// The request.
        operation: &'static str,
    },
}

impl Error {
    /// The fault, if it is one.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Fault { fault, .. } => Some(fault),
            _ => None,
        }
    }
}

#[derive(Debug)]
struct Outstanding {
    message_id: MessageId,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Create,
    Command(CommandId),
    Send(Vec<CommandId>),
    Receive(Option<CommandId>),
    Signal(CommandId, Signal),
    Delete,
}

impl What {
    fn name(&self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::Command(_) => "Command",
            Self::Send(_) => "Send",
            Self::Receive(_) => "Receive",
            Self::Signal(..) => "Signal",
            Self::Delete => "Delete",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    /// Output is wanted; `true` while a Receive is under way.
    Running(bool),
    /// Done, or not interesting any more.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Opening,
    Open,
    Closing,
    Closed,
}

/// The client's side of one shell.
#[derive(Debug)]
pub struct Shell {
    options: Options,
    state: State,
    shell_id: Option<ShellId>,
    streams: Vec<String>,
    commands: BTreeMap<CommandId, Phase>,
    /// The shell's own output: wanted, and a Receive is under way.
    pool: (bool, bool),
    /// Requests that only wait for being sent.
    queue: VecDeque<(What, Operation)>,
    /// Input that waits for the Send before it.
    input: VecDeque<Stream>,
    sending: bool,
    /// Commands that are over but not released.
    unreleased: Vec<CommandId>,
    close_wanted: bool,
    outstanding: HashMap<RequestId, Outstanding>,
    events: VecDeque<Event>,
    counter: u64,
}

impl Shell {
    /// A shell that does not exist yet.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            state: State::New,
            shell_id: None,
            streams: Vec::new(),
            commands: BTreeMap::new(),
            pool: (false, false),
            queue: VecDeque::new(),
            input: VecDeque::new(),
            sending: false,
            unreleased: Vec::new(),
            close_wanted: false,
            outstanding: HashMap::new(),
            events: VecDeque::new(),
            counter: 0,
        }
    }

    /// Asks for the shell. Only the first call counts.
    pub fn open(&mut self, create: CreateShell) {
        if self.state == State::New {
            self.state = State::Opening;
            self.streams = create.output_streams.clone();
            self.shell_id = create.shell_id;
            self.queue.push_back((What::Create, Operation::Create(create)));
        }
    }

    /// Starts a command of a command shell; its output follows as events.
    pub fn run(&mut self, command: CommandId, line: &str, arguments: &[String]) {
        self.start(command, line, arguments.to_vec());
    }

    /// Starts a pipeline: as many fragments as fit go with the Command, the rest as input.
    pub fn run_pipeline(&mut self, command: CommandId, text: &str, fragments: Vec<Vec<u8>>) {
        use base64::prelude::{BASE64_STANDARD, Engine as _};
        let room = self.room().saturating_sub(text.len().saturating_mul(6));
        let (mut first, mut rest) = (Vec::new(), Vec::new());
        for fragment in fragments {
            if rest.is_empty() && (first.is_empty() || first.len() + fragment.len() <= room) {
                first.extend(fragment);
            } else {
                rest.push(fragment);
            }
        }
        self.start(command, text, vec![BASE64_STANDARD.encode(first)]);
        for fragment in rest {
            self.send(Some(command), "stdin", fragment, false);
        }
    }

    /// Input for a command or, without one, the shell. [`Event::InputTaken`] follows when all of it is taken.
    pub fn send(&mut self, command: Option<CommandId>, stream: &str, data: Vec<u8>, end: bool) {
        self.input.push_back(Stream { name: stream.to_owned(), command, data, end });
    }

    /// Sends a signal to a command.
    pub fn signal(&mut self, command: CommandId, signal: Signal) {
        if signal == Signal::Terminate {
            self.unreleased.retain(|id| *id != command);
            self.commands.remove(&command);
        }
        let operation = Operation::Signal { command: Some(command), signal: signal.clone() };
        self.queue.push_back((What::Signal(command, signal), operation));
    }

    /// The command is over for the caller: no more Receives for it. It is released with the next command or with
    /// the shell.
    pub fn finish(&mut self, command: CommandId) {
        if let Some(phase) = self.commands.get_mut(&command)
            && *phase != Phase::Over
        {
            *phase = Phase::Over;
            self.unreleased.push(command);
        }
    }

    /// Whether the shell's own output is wanted. Holds until some has come; then it must be asked for again, so that
    /// no Receive is under way that nobody needs.
    pub fn receive_shell_output(&mut self, wanted: bool) {
        self.pool.0 = wanted;
    }

    /// Closes the shell: waits for the answer to Create if it is outstanding, drops what was not sent yet.
    pub fn close(&mut self) {
        self.close_wanted = true;
    }

    /// The next request to post. Call until it is `None`, after every other call.
    pub fn poll_transmit(&mut self, rng: &mut dyn CryptoRng) -> Option<Transmit> {
        if self.close_wanted {
            return self.transmit_close(rng);
        }
        match self.state {
            State::Opening if matches!(self.queue.front(), Some((What::Create, _))) => {}
            State::Open => {}
            _ => return None,
        }
        if let Some((what, operation)) = self.queue.pop_front() {
            return Some(self.transmit(what, operation, rng));
        }
        if let Some((what, operation)) = self.next_send() {
            return Some(self.transmit(what, operation, rng));
        }
        if self.pool == (true, false) {
            self.pool.1 = true;
            return Some(self.receive(None, rng));
        }
        let next = self.commands.iter_mut().find(|(_, phase)| **phase == Phase::Running(false));
        if let Some((&command, phase)) = next {
            *phase = Phase::Running(true);
            return Some(self.receive(Some(command), rng));
        }
        None
    }

    /// The answer to a request. Names that are not known are ignored.
    pub fn handle_response(&mut self, id: RequestId, status: u16, body: &[u8]) {
        let Some(Outstanding { message_id, what }) = self.outstanding.remove(&id) else { return };
        let operation = what.name();
        let answer = match Response::parse(body, &self.options.limits) {
            Ok(response) if response.header.relates_to.as_ref().is_some_and(|id| *id != message_id) => {
                Err(Error::Mismatch { operation })
            }
            Ok(Response { body: Ok(answer), .. }) => Ok(answer),
            Ok(Response { body: Err(fault), .. }) => Err(Error::Fault { operation, fault: Box::new(fault) }),
            Err(_) if !(200..300).contains(&status) => Err(Error::Status { operation, status }),
            Err(error) => Err(Error::Unreadable { operation, error }),
        };
        match answer {
            Ok(answer) => self.answered(what, answer),
            Err(error) => self.refused(what, error),
        }
    }

    /// No answer will come to this request.
    pub fn handle_failure(&mut self, id: RequestId) {
        let Some(Outstanding { what, .. }) = self.outstanding.remove(&id) else { return };
        let error = Error::Unanswered { operation: what.name() };
        if matches!(what, What::Delete) {
            self.state = State::Closed;
        }
        self.fail(error);
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// True once nothing can be done with the shell any more.
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Bytes that fit into one request.
    pub fn room(&self) -> usize {
        let envelope = usize::try_from(self.options.max_envelope_size).unwrap_or(usize::MAX);
        (envelope.saturating_sub(RECEIVE_OVERHEAD) / 4 * 3).max(1024)
    }

    fn start(&mut self, command: CommandId, line: &str, arguments: Vec<String>) {
        let line = CommandLine { command_id: Some(command), command: line.to_owned(), arguments };
        self.commands.insert(command, Phase::Starting);
        self.queue.push_back((What::Command(command), Operation::Command(line)));
        for over in std::mem::take(&mut self.unreleased) {
            self.signal(over, Signal::Terminate);
        }
    }

    fn transmit_close(&mut self, rng: &mut dyn CryptoRng) -> Option<Transmit> {
        match self.state {
            State::Open => {
                self.state = State::Closing;
                self.queue.clear();
                self.input.clear();
                Some(self.transmit(What::Delete, Operation::Delete, rng))
            }
            State::New => {
                self.state = State::Closed;
                self.events.push_back(Event::Closed);
                None
            }
            State::Opening if matches!(self.queue.front(), Some((What::Create, _))) => {
                self.queue.clear();
                self.state = State::Closed;
                self.events.push_back(Event::Closed);
                None
            }
            _ => None,
        }
    }

    fn next_send(&mut self) -> Option<(What, Operation)> {
        if self.sending || self.input.is_empty() {
            return None;
        }
        let mut room = self.room();
        let mut streams: Vec<Stream> = Vec::new();
        let mut commands = Vec::new();
        while let Some(piece) = self.input.pop_front() {
            // Input of a command that has not been started yet waits, and what stands behind it as well.
            if piece.command.is_some_and(|id| self.commands.get(&id) == Some(&Phase::Starting)) {
                self.input.push_front(piece);
                break;
            }
            if piece.command.is_some_and(|id| matches!(self.commands.get(&id), None | Some(Phase::Over))) {
                continue;
            }
            let Stream { name, command, mut data, mut end } = piece;
            if data.len() > room {
                if !streams.is_empty() {
                    self.input.push_front(Stream { name, command, data, end });
                    break;
                }
                let rest = data.split_off(room);
                self.input.push_front(Stream { name: name.clone(), command, data: rest, end });
                end = false;
            }
            room = room.saturating_sub(data.len());
            if let Some(id) = command
                && !commands.contains(&id)
            {
                commands.push(id);
            }
            match streams.last_mut() {
                Some(last) if last.name == name && last.command == command && !last.end => {
                    last.data.append(&mut data);
                    last.end = end;
                }
                _ => streams.push(Stream { name, command, data, end }),
            }
            if room == 0 {
                break;
            }
        }
        if streams.is_empty() {
            return None;
        }
        self.sending = true;
        Some((What::Send(commands), Operation::Send(streams)))
    }

    fn receive(&mut self, command: Option<CommandId>, rng: &mut dyn CryptoRng) -> Transmit {
        let streams = self.streams.clone();
        self.transmit(What::Receive(command), Operation::Receive { command, streams }, rng)
    }

    fn transmit(&mut self, what: What, operation: Operation, rng: &mut dyn CryptoRng) -> Transmit {
        self.counter += 1;
        let id = RequestId(self.counter);
        let message_id = MessageId::random(rng);
        let shell_id = self.shell_id.filter(|_| !matches!(what, What::Create));
        let selector = |id: ShellId| Selector { name: "ShellId".to_owned(), value: id.to_string() };
        let mut options = Vec::new();
        if matches!(what, What::Create) {
            options.clone_from(&self.options.options);
            options.push(Selector { name: uri::OPTION_EARLY_OUTPUT.to_owned(), value: "TRUE".to_owned() });
        }
        let header = Header {
            to: Some(self.options.to.clone()),
            message_id: Some(message_id.clone()),
            relates_to: None,
            resource_uri: Some(self.options.resource_uri.clone()),
            selectors: shell_id.map(selector).into_iter().collect(),
            options,
            max_envelope_size: Some(self.options.max_envelope_size),
            operation_timeout: Some(self.options.operation_timeout),
            locale: Some(self.options.locale.clone()),
            data_locale: Some(self.options.data_locale.clone()),
            session_id: None,
        };
        let operation_name = what.name();
        let body = Envelope { header, body: operation }.to_bytes();
        self.outstanding.insert(id, Outstanding { message_id, what });
        Transmit { id, operation: operation_name, body, answered_within: self.options.operation_timeout }
    }

    fn answered(&mut self, what: What, answer: OperationResponse) {
        match (what, answer) {
            (What::Create, OperationResponse::Create(created)) => {
                self.state = State::Open;
                self.shell_id = Some(created.shell_id);
                let early = created.early_output.clone().filter(|data| !data.is_empty());
                self.events.push_back(Event::Opened(Box::new(created)));
                if let Some(data) = early {
                    self.events.push_back(Event::Output { command: None, stream: "stdout".to_owned(), data });
                }
            }
            (What::Command(command), OperationResponse::Command(given)) => {
                if given != command {
                    // The server insists on an id of its own; nothing we hold would find the command again.
                    self.commands.remove(&command);
                    let error = Error::Mismatch { operation: "Command" };
                    self.events.push_back(Event::CommandFailed { command, error });
                    return;
                }
                if let Some(phase @ Phase::Starting) = self.commands.get_mut(&command) {
                    *phase = Phase::Running(false);
                }
                self.events.push_back(Event::CommandStarted(command));
            }
            (What::Send(_), OperationResponse::Send) => {
                self.sending = false;
                if self.input.is_empty() {
                    self.events.push_back(Event::InputTaken);
                }
            }
            (What::Receive(command), OperationResponse::Receive(received)) => {
                self.received(command, received)
            }
            (What::Signal(..), OperationResponse::Signal) => {}
            (What::Delete, OperationResponse::Delete) => {
                self.state = State::Closed;
                self.events.push_back(Event::Closed);
            }
            (what, _) => {
                let error = Error::Mismatch { operation: what.name() };
                self.refused(what, error);
            }
        }
    }

    fn received(&mut self, command: Option<CommandId>, received: ReceiveResponse) {
        self.receive_ended(command);
        if command.is_none() && !received.streams.is_empty() {
            self.pool.0 = false;
        }
        for stream in received.streams {
            let (command, data) = (stream.command.or(command), stream.data);
            self.events.push_back(Event::Output { command, stream: stream.name, data });
        }
        if let Some(CommandState::Done { command, exit_code }) = received.state {
            self.finish(command);
            self.events.push_back(Event::CommandDone { command, exit_code });
        }
    }

    fn receive_ended(&mut self, command: Option<CommandId>) {
        match command {
            None => self.pool.1 = false,
            Some(id) => {
                if let Some(phase @ Phase::Running(true)) = self.commands.get_mut(&id) {
                    *phase = Phase::Running(false);
                }
            }
        }
    }

    fn refused(&mut self, what: What, error: Error) {
        let closing = matches!(self.state, State::Closing | State::Closed);
        match what {
            What::Receive(command) if error.fault().is_some_and(Fault::is_timed_out) => {
                self.receive_ended(command)
            }
            What::Delete => {
                // A shell that is gone already is closed.
                self.state = State::Closed;
                let gone = error.fault().is_some_and(|fault| fault.code == FaultCode::UNKNOWN_SHELL);
                self.events.push_back(if gone { Event::Closed } else { Event::Failed(error) });
            }
            _ if closing => {}
            What::Create | What::Receive(None) => self.fail(error),
            What::Command(command) | What::Receive(Some(command)) => {
                if self.commands.remove(&command).is_some() {
                    self.events.push_back(Event::CommandFailed { command, error });
                }
            }
            What::Send(commands) => {
                self.sending = false;
                if commands.is_empty() {
                    return self.fail(error);
                }
                for command in commands {
                    self.input.retain(|piece| piece.command != Some(command));
                    if !matches!(self.commands.get(&command), None | Some(Phase::Over)) {
                        self.finish(command);
                        self.events.push_back(Event::CommandFailed { command, error: error.clone() });
                    }
                }
            }
            What::Signal(command, signal) => {
                if signal != Signal::Terminate && self.commands.contains_key(&command) {
                    self.finish(command);
                    self.events.push_back(Event::CommandFailed { command, error });
                }
            }
        }
    }

    fn fail(&mut self, error: Error) {
        let silent = matches!(error, Error::Unanswered { .. }) && self.state == State::Closing;
        if self.state == State::New || silent {
            return;
        }
        // A shell that was opened may still exist, so that Delete stays possible; an unopened one does not.
        if self.state == State::Opening {
            self.state = State::Closed;
        }
        self.queue.clear();
        self.input.clear();
        self.pool.0 = false;
        self.commands.clear();
        self.events.push_back(Event::Failed(error));
    }
}
