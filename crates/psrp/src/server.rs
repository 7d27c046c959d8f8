//! The server's end: a runspace pool and its pipelines ([MS-PSRP] 3.2).
//!
//! [`RunspacePool`] is told what the transport brought (`handle_*`), says what the engine must do
//! ([`poll_event`](RunspacePool::poll_event)), is told what the engine did (`send_*`, `finish`) and says what the
//! transport must carry ([`poll_output`](RunspacePool::poll_output)).

use std::collections::{BTreeMap, VecDeque};

use hop_clixml::{Value, Version};
use rand_core::CryptoRng;
use uuid::Uuid;

use crate::body::{
    self, ApplicationPrivateData, Availability, BodyError, CreatePipeline, ErrorRecord, GetCommandMetadata,
    HostCall, HostMethod, HostResponse, InformationRecord, InformationalRecord, InitRunspacePool,
    NO_RESPONSE, PipelineState, PipelineStateInfo, PoolState, PoolStateInfo, ProgressRecord,
    SessionCapability, UserEvent,
};
use crate::fragment::{Defragmenter, Fragmenter};
use crate::keys::{Protection, SessionKey};
use crate::{Destination, Limits, Message, MessageType, PROTOCOL_VERSION, Target};

/// What the transport must carry to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// One fragment.
    Data(Target, Vec<u8>),
    /// A pipeline may be created now.
    CommandAck(Target),
    /// A pipeline was stopped, or was not running.
    SignalAck(Uuid),
    /// A pipeline or the pool is closed.
    CloseAck(Target),
    /// A message could not be processed; the session goes on. The text is empty for a pipeline's message.
    MessageError(String),
    /// The session cannot go on.
    Fatal(String),
}

/// What the engine must do.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The pool is open.
    Opened(Box<InitRunspacePool>),
    /// Run a pipeline.
    Run {
        /// The pipeline.
        id: Uuid,
        /// What it is made of.
        pipeline: Box<CreatePipeline>,
    },
    /// Answer a question about commands as the output of a pipeline.
    CommandMetadata {
        /// The pipeline.
        id: Uuid,
        /// The question.
        request: Box<GetCommandMetadata>,
    },
    /// An object for a pipeline's input.
    Input {
        /// The pipeline.
        id: Uuid,
        /// The object.
        value: Value,
    },
    /// The end of a pipeline's input.
    InputEnd(Uuid),
    /// Stop a pipeline, then call [`RunspacePool::finish`].
    Stop(Uuid),
    /// The client's host has answered.
    HostResponse {
        /// The pipeline whose call it was; None: the pool's.
        id: Option<Uuid>,
        /// The answer.
        response: Box<HostResponse>,
    },
    /// Forget the runspace's variables.
    Reset,
    /// The pool is closed.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Waiting for SESSION_CAPABILITY.
    Start,
    /// Waiting for INIT_RUNSPACEPOOL.
    Negotiated,
    Opened,
    /// Closed by the client; another session may follow.
    Closed,
    /// Refused or broken: answers nothing but acknowledgements.
    Dead,
}

#[derive(Debug)]
struct Pipeline {
    defragmenter: Defragmenter,
    state: Phase,
    waiting: Option<Event>,
    no_input: bool,
    input_ended: bool,
    nested: bool,
    signalled: bool,
    closing: bool,
    next_call: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The command was announced, nothing was created.
    Announced,
    /// Waiting for a free runspace.
    Queued,
    Running,
    Finished,
}

/// The server's runspace pool.
#[derive(Debug)]
pub struct RunspacePool {
    limits: Limits,
    private_data: Value,
    state: State,
    id: Uuid,
    version: Version,
    min_runspaces: i32,
    max_runspaces: i32,
    protection: Protection,
    fragmenter: Fragmenter,
    defragmenter: Defragmenter,
    pipelines: BTreeMap<Uuid, Pipeline>,
    queue: VecDeque<Uuid>,
    closing: usize,
    next_pool_call: i64,
    /// Output held back until the client has sent its key.
    held: VecDeque<(Target, MessageType, Value)>,
    outputs: VecDeque<Output>,
    events: VecDeque<Event>,
}

/// Failures of one message.
enum Fault {
    /// Told as an error line.
    Text(String),
}

impl From<BodyError> for Fault {
    fn from(error: BodyError) -> Self {
        Self::Text(error.powershell_message())
    }
}

impl RunspacePool {
    /// A pool that waits for its client. `version_table` is told as `$PSVersionTable`
    /// ([`body::version_table`]).
    pub fn new(limits: Limits, version_table: Value) -> Self {
        Self {
            private_data: ApplicationPrivateData::new(version_table).to_value(),
            state: State::Start,
            id: Uuid::nil(),
            version: PROTOCOL_VERSION,
            min_runspaces: 1,
            max_runspaces: 1,
            protection: Protection::Plain,
            fragmenter: Fragmenter::default(),
            defragmenter: Defragmenter::new(limits.max_message),
            pipelines: BTreeMap::new(),
            queue: VecDeque::new(),
            closing: 0,
            next_pool_call: 1,
            held: VecDeque::new(),
            outputs: VecDeque::new(),
            events: VecDeque::new(),
            limits,
        }
    }

    /// What to send next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// What to do next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The pool's id, nil before INIT_RUNSPACEPOOL.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Whether the pool is open.
    pub fn is_open(&self) -> bool {
        self.state == State::Opened
    }

    /// How secure strings of this session travel.
    pub fn protection(&self) -> &Protection {
        &self.protection
    }

    /// The transport announces a pipeline (stdio: `Command`).
    pub fn handle_command(&mut self, target: Target) {
        let Target::Pipeline(id) = target else {
            self.outputs.push_back(Output::CommandAck(target));
            return;
        };
        if self.pipelines.contains_key(&id) {
            let text = format!("An item with the same key has already been added. Key: {id}");
            self.outputs.push_back(Output::Fatal(text));
            return;
        }
        if self.state == State::Opened && self.pipelines.len() < self.limits.max_pipelines {
            let pipeline = Pipeline {
                defragmenter: Defragmenter::new(self.limits.max_message),
                state: Phase::Announced,
                waiting: None,
                no_input: true,
                input_ended: false,
                nested: false,
                signalled: false,
                closing: false,
                next_call: 1,
            };
            self.pipelines.insert(id, pipeline);
        }
        self.outputs.push_back(Output::CommandAck(target));
    }

    /// Fragments from the client. `rng` makes session keys.
    pub fn handle_data(&mut self, target: Target, bytes: &[u8], rng: &mut dyn CryptoRng) {
        self.defragmenter_of(target).into_iter().for_each(|defragmenter| defragmenter.push(bytes));
        while let Some(message) = self.defragmenter_of(target).and_then(Defragmenter::next) {
            let result = match message {
                Ok(bytes) => match Message::decode(&bytes) {
                    Ok(message) => self.message(target, &message, rng),
                    Err(error) => Err(Fault::Text(error.powershell_message().to_owned())),
                },
                Err(error) => Err(Fault::Text(error.powershell_message().to_owned())),
            };
            if let Err(Fault::Text(text)) = result {
                // PowerShell does not say what is wrong with a pipeline's message.
                let text = if target == Target::Pool { text } else { String::new() };
                self.outputs.push_back(Output::MessageError(text));
            }
        }
    }

    fn defragmenter_of(&mut self, target: Target) -> Option<&mut Defragmenter> {
        match target {
            Target::Pool => Some(&mut self.defragmenter),
            Target::Pipeline(id) => self.pipelines.get_mut(&id).map(|pipeline| &mut pipeline.defragmenter),
        }
    }

    fn message(&mut self, target: Target, message: &Message, rng: &mut dyn CryptoRng) -> Result<(), Fault> {
        if message.destination != Destination::Server as u32 {
            return Err(Fault::Text(
                "Received packet not destined for logged-on user: user = Server, packet destination = Client."
                    .to_owned(),
            ));
        }
        match target {
            Target::Pool => self.pool_message(message, rng),
            Target::Pipeline(id) => self.pipeline_message(id, message),
        }
    }

    fn body(&self, message: &Message) -> Result<Value, Fault> {
        Ok(body::parse(&message.data, &self.limits.clixml)?)
    }

    fn pool_message(&mut self, message: &Message, rng: &mut dyn CryptoRng) -> Result<(), Fault> {
        match message.message_type {
            MessageType::SESSION_CAPABILITY => {
                let capability = SessionCapability::from_value(&self.body(message)?).map_err(|error| {
                    Fault::Text(format!(
                        "{}. Negotiation with the client failed. Make sure the client is compatible with the build \
                         {} and the protocol version {PROTOCOL_VERSION} of PowerShell.",
                        error.powershell_message(),
                        env!("CARGO_PKG_VERSION"),
                    ))
                })?;
                self.capability(capability);
                Ok(())
            }
            MessageType::INIT_RUNSPACEPOOL => self.init(message),
            _ if self.state != State::Opened => Ok(()),
            MessageType::PUBLIC_KEY => {
                let value = self.body(message)?;
                let invalid = || Fault::Text("Invalid public key data.".to_owned());
                let public_key = body::text(&value, "PublicKey")?;
                let key = match &self.protection {
                    Protection::Key(key) => key.clone(),
                    _ => SessionKey::generate(rng),
                };
                let sealed = key.seal_for(&public_key, rng).map_err(|_| invalid())?;
                if self.version < PROTOCOL_VERSION {
                    self.protection = Protection::Key(key);
                }
                let body = body::object([("EncryptedSessionKey", sealed.into())]);
                self.send(Target::Pool, MessageType::ENCRYPTED_SESSION_KEY, &body);
                for (target, message_type, value) in std::mem::take(&mut self.held) {
                    self.send(target, message_type, &value);
                }
                Ok(())
            }
            MessageType::SET_MAX_RUNSPACES => {
                let value = self.body(message)?;
                let call = body::long(&value, "ci")?;
                let count = body::int(&value, "MaxRunspaces")?;
                let done = count >= self.min_runspaces && count >= 1;
                if done {
                    self.max_runspaces = count;
                }
                self.answer(call, Availability::Done(done));
                self.start_queued();
                Ok(())
            }
            MessageType::SET_MIN_RUNSPACES => {
                let value = self.body(message)?;
                let call = body::long(&value, "ci")?;
                let count = body::int(&value, "MinRunspaces")?;
                let done = (1..=self.max_runspaces).contains(&count);
                if done {
                    self.min_runspaces = count;
                }
                self.answer(call, Availability::Done(done));
                Ok(())
            }
            MessageType::GET_AVAILABLE_RUNSPACES => {
                let call = body::long(&self.body(message)?, "ci")?;
                let running = i32::try_from(self.running()).unwrap_or(i32::MAX);
                self.answer(call, Availability::Free((self.max_runspaces - running).max(0)));
                Ok(())
            }
            MessageType::RESET_RUNSPACE_STATE => {
                let call = body::long(&self.body(message)?, "ci")?;
                let done = self.running() == 0;
                if done {
                    self.events.push_back(Event::Reset);
                }
                self.answer(call, Availability::Done(done));
                Ok(())
            }
            MessageType::RUNSPACEPOOL_HOST_RESPONSE => {
                let response = Box::new(HostResponse::from_value(&self.body(message)?)?);
                self.events.push_back(Event::HostResponse { id: None, response });
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn capability(&mut self, capability: SessionCapability) {
        match self.state {
            State::Opened => {
                self.end_pool(State::Dead);
                return;
            }
            State::Dead => return,
            State::Start | State::Negotiated | State::Closed => {}
        }
        let client = capability.protocol;
        let usual = SessionCapability::new(PROTOCOL_VERSION);
        let version = if client.major == 2 && client <= PROTOCOL_VERSION { client } else { PROTOCOL_VERSION };
        let fits = client.major == 2
            && capability.powershell == usual.powershell
            && capability.serialization == usual.serialization;
        self.state = if fits { State::Negotiated } else { State::Dead };
        self.version = version;
        self.protection = if version < PROTOCOL_VERSION { Protection::NoKey } else { Protection::Plain };
        // The pool's id is not known yet.
        self.id = Uuid::nil();
        let answer = SessionCapability { protocol: version, ..usual };
        self.send(Target::Pool, MessageType::SESSION_CAPABILITY, &answer.to_value());
    }

    fn init(&mut self, message: &Message) -> Result<(), Fault> {
        match self.state {
            State::Opened => {
                return Err(Fault::Text(format!(
                    "The session already exists. Trying to create the session again with the same InstanceId {} is \
                     not allowed.",
                    self.id
                )));
            }
            State::Negotiated => {}
            State::Start | State::Closed | State::Dead => return Ok(()),
        }
        let init = InitRunspacePool::from_value(&self.body(message)?)?;
        if init.min_runspaces < 1 {
            return Err(Fault::Text("The minimum pool size cannot be less than 1.".to_owned()));
        }
        if init.max_runspaces < init.min_runspaces {
            return Err(Fault::Text(
                "The minimum pool size cannot be greater than the maximum pool size.".to_owned(),
            ));
        }
        self.id = message.pool;
        self.min_runspaces = init.min_runspaces;
        self.max_runspaces = init.max_runspaces;
        self.state = State::Opened;
        let private_data = self.private_data.clone();
        self.send(Target::Pool, MessageType::APPLICATION_PRIVATE_DATA, &private_data);
        self.send_pool_state(PoolState::Opened, None);
        self.events.push_back(Event::Opened(Box::new(init)));
        Ok(())
    }

    fn pipeline_message(&mut self, id: Uuid, message: &Message) -> Result<(), Fault> {
        if message.pool != self.id {
            self.end_pool(State::Dead);
            return Ok(());
        }
        let mismatch = message.pipeline != id;
        let body = match message.data.is_empty() {
            true => Ok(Value::Null),
            false => self.body(message),
        };
        let Some(pipeline) = self.pipelines.get_mut(&id) else { return Ok(()) };
        match message.message_type {
            MessageType::CREATE_PIPELINE | MessageType::GET_COMMAND_METADATA => {
                if mismatch || pipeline.state != Phase::Announced {
                    return Err(Fault::Text(String::new()));
                }
                let body = body?;
                let event = if message.message_type == MessageType::CREATE_PIPELINE {
                    let create = CreatePipeline::from_value(&body)?;
                    pipeline.no_input = create.no_input;
                    pipeline.nested = create.is_nested;
                    Event::Run { id, pipeline: Box::new(create) }
                } else {
                    let request = Box::new(GetCommandMetadata::from_value(&body)?);
                    Event::CommandMetadata { id, request }
                };
                pipeline.state = Phase::Queued;
                pipeline.waiting = Some(event);
                self.queue.push_back(id);
                self.start_queued();
            }
            MessageType::PIPELINE_INPUT => {
                if pipeline.input_ended {
                    return Err(Fault::Text(String::new()));
                }
                let value = body?;
                if matches!(pipeline.state, Phase::Queued | Phase::Running) && !pipeline.no_input {
                    self.events.push_back(Event::Input { id, value });
                }
            }
            MessageType::END_OF_PIPELINE_INPUT => {
                if !pipeline.input_ended && !pipeline.no_input {
                    self.events.push_back(Event::InputEnd(id));
                }
                pipeline.input_ended = true;
            }
            MessageType::PIPELINE_HOST_RESPONSE => {
                let response = Box::new(HostResponse::from_value(&body?)?);
                self.events.push_back(Event::HostResponse { id: Some(id), response });
            }
            _ => {}
        }
        Ok(())
    }

    fn running(&self) -> usize {
        self.pipelines
            .values()
            .filter(|pipeline| pipeline.state == Phase::Running && !pipeline.nested)
            .count()
    }

    fn start_queued(&mut self) {
        let mut waiting = VecDeque::new();
        while let Some(id) = self.queue.pop_front() {
            let free = self.running() < usize::try_from(self.max_runspaces).unwrap_or(1);
            let Some(pipeline) =
                self.pipelines.get_mut(&id).filter(|pipeline| pipeline.state == Phase::Queued)
            else {
                continue;
            };
            if !free && !pipeline.nested {
                waiting.push_back(id);
                continue;
            }
            pipeline.state = Phase::Running;
            // The pipeline's input may have come before it was its turn.
            let at = self.events.iter().position(|event| match event {
                Event::Input { id: other, .. } | Event::InputEnd(other) => *other == id,
                _ => false,
            });
            if let Some(event) = pipeline.waiting.take() {
                self.events.insert(at.unwrap_or(self.events.len()), event);
            }
        }
        self.queue = waiting;
    }

    /// The client wants a pipeline stopped.
    pub fn handle_signal(&mut self, target: Target) {
        let Target::Pipeline(id) = target else {
            let text = "A Signal message to a session is not supported. A Signal message can be sent only to a command.";
            self.outputs.push_back(Output::Fatal(text.to_owned()));
            return;
        };
        match self.pipelines.get_mut(&id) {
            Some(pipeline) if matches!(pipeline.state, Phase::Queued | Phase::Running) => {
                pipeline.signalled = true;
                self.stop(id);
            }
            _ => self.outputs.push_back(Output::SignalAck(id)),
        }
    }

    fn stop(&mut self, id: Uuid) {
        let Some(pipeline) = self.pipelines.get(&id) else { return };
        if pipeline.state == Phase::Queued {
            // It never began.
            self.finish(
                id,
                PipelineStateInfo { state: PipelineState::Stopped, error: Some(ErrorRecord::stopped()) },
            );
        } else {
            self.events.push_back(Event::Stop(id));
        }
    }

    /// The client closes a pipeline or the pool.
    pub fn handle_close(&mut self, target: Target) {
        match target {
            Target::Pool => {
                if self.state != State::Opened {
                    self.outputs.push_back(Output::CloseAck(Target::Pool));
                    return;
                }
                self.closing += 1;
                self.close_if_empty();
            }
            Target::Pipeline(id) => match self.pipelines.get_mut(&id) {
                Some(pipeline) if matches!(pipeline.state, Phase::Queued | Phase::Running) => {
                    let first = !std::mem::replace(&mut pipeline.closing, true);
                    if first && !pipeline.signalled {
                        self.stop(id);
                    }
                }
                _ => self.remove(id),
            },
        }
    }

    fn remove(&mut self, id: Uuid) {
        self.pipelines.remove(&id);
        self.outputs.push_back(Output::CloseAck(Target::Pipeline(id)));
        self.close_if_empty();
    }

    fn close_if_empty(&mut self) {
        if self.closing > 0 && self.pipelines.is_empty() {
            self.end_pool(State::Closed);
            for _ in 0..std::mem::take(&mut self.closing) {
                self.outputs.push_back(Output::CloseAck(Target::Pool));
            }
        }
    }

    fn end_pool(&mut self, state: State) {
        if self.state == State::Opened {
            let ids: Vec<Uuid> = self.pipelines.keys().copied().collect();
            for id in ids {
                self.events.push_back(Event::Stop(id));
            }
            self.send_pool_state(PoolState::Closing, None);
            self.send_pool_state(PoolState::Closed, None);
            self.events.push_back(Event::Closed);
        }
        self.pipelines.clear();
        self.queue.clear();
        self.state = state;
    }

    /// The transport is gone: closes whatever is open.
    pub fn handle_end(&mut self) {
        self.end_pool(State::Dead);
    }

    /// An object of a pipeline's output; null is an empty message.
    pub fn send_output(&mut self, id: Uuid, value: &Value) {
        self.send_record(id, MessageType::PIPELINE_OUTPUT, value);
    }

    /// An error of a pipeline.
    pub fn send_error(&mut self, id: Uuid, record: &ErrorRecord) {
        self.send_record(id, MessageType::ERROR_RECORD, &record.to_value());
    }

    /// A warning.
    pub fn send_warning(&mut self, id: Uuid, record: &InformationalRecord) {
        self.send_record(id, MessageType::WARNING_RECORD, &record.to_value("Warning"));
    }

    /// A verbose message.
    pub fn send_verbose(&mut self, id: Uuid, record: &InformationalRecord) {
        self.send_record(id, MessageType::VERBOSE_RECORD, &record.to_value("Verbose"));
    }

    /// A debug message.
    pub fn send_debug(&mut self, id: Uuid, record: &InformationalRecord) {
        self.send_record(id, MessageType::DEBUG_RECORD, &record.to_value("Debug"));
    }

    /// Progress.
    pub fn send_progress(&mut self, id: Uuid, record: &ProgressRecord) {
        self.send_record(id, MessageType::PROGRESS_RECORD, &record.to_value());
    }

    /// An information record.
    pub fn send_information(&mut self, id: Uuid, record: &InformationRecord) {
        self.send_record(id, MessageType::INFORMATION_RECORD, &record.to_value());
    }

    /// An event of the engine.
    pub fn send_event(&mut self, event: &UserEvent) {
        if self.state == State::Opened {
            self.send(Target::Pool, MessageType::USER_EVENT, &event.to_value());
        }
    }

    /// Calls the client's host. The answer comes as [`Event::HostResponse`] with the number given back here; None if
    /// the method has no answer or the pipeline is gone.
    pub fn call_host(&mut self, id: Uuid, method: HostMethod, parameters: Vec<Value>) -> Option<i64> {
        let pipeline = self.pipelines.get_mut(&id).filter(|pipeline| pipeline.state == Phase::Running)?;
        let call = if method.has_result() {
            pipeline.next_call += 1;
            pipeline.next_call - 1
        } else {
            NO_RESPONSE
        };
        let body = HostCall { id: call, method, parameters }.to_value();
        self.send_record(id, MessageType::PIPELINE_HOST_CALL, &body);
        (call != NO_RESPONSE).then_some(call)
    }

    /// Calls the client's host for the pool, outside any pipeline.
    pub fn call_pool_host(&mut self, method: HostMethod, parameters: Vec<Value>) -> Option<i64> {
        let call = if method.has_result() {
            self.next_pool_call += 1;
            self.next_pool_call - 1
        } else {
            NO_RESPONSE
        };
        let body = HostCall { id: call, method, parameters }.to_value();
        self.send(Target::Pool, MessageType::RUNSPACEPOOL_HOST_CALL, &body);
        (call != NO_RESPONSE).then_some(call)
    }

    /// A pipeline has ended.
    pub fn finish(&mut self, id: Uuid, info: PipelineStateInfo) {
        let Some(pipeline) = self.pipelines.get_mut(&id) else { return };
        if pipeline.state == Phase::Finished {
            return;
        }
        self.send_record(id, MessageType::PIPELINE_STATE, &info.to_value());
        let Some(pipeline) = self.pipelines.get_mut(&id) else { return };
        pipeline.state = Phase::Finished;
        if std::mem::take(&mut pipeline.signalled) {
            self.outputs.push_back(Output::SignalAck(id));
        }
        if pipeline.closing {
            self.remove(id);
        }
        self.start_queued();
    }

    fn answer(&mut self, call: i64, availability: Availability) {
        self.send(Target::Pool, MessageType::RUNSPACE_AVAILABILITY, &availability.to_value(call));
    }

    fn send_pool_state(&mut self, state: PoolState, error: Option<ErrorRecord>) {
        let body = PoolStateInfo { state, error }.to_value();
        self.send(Target::Pool, MessageType::RUNSPACEPOOL_STATE, &body);
    }

    fn send_record(&mut self, id: Uuid, message_type: MessageType, value: &Value) {
        if !self.pipelines.get(&id).is_some_and(|pipeline| pipeline.state != Phase::Finished) {
            return;
        }
        let target = Target::Pipeline(id);
        // Once something waits for the key, everything behind it does.
        if !self.held.is_empty() {
            self.held.push_back((target, message_type, value.clone()));
            return;
        }
        self.send(target, message_type, value);
    }

    fn send(&mut self, target: Target, message_type: MessageType, value: &Value) {
        let empty = value.is_null()
            && matches!(message_type, MessageType::PIPELINE_OUTPUT | MessageType::PIPELINE_INPUT);
        let message = Message {
            destination: Destination::Client as u32,
            message_type,
            pool: self.id,
            pipeline: target.id(),
            data: if empty { String::new() } else { hop_clixml::write::value(value) },
        };
        for fragment in self.fragmenter.fragment(&message.encode()) {
            self.outputs.push_back(Output::Data(target, fragment));
        }
    }

    /// Asks for the client's key, needed before a secure string can go out below protocol 2.2, and makes sure that a
    /// key exists. Versions 2.2 and 2.3 make up the key at once, as PowerShell does.
    pub fn prepare_secure_string(&mut self, rng: &mut dyn CryptoRng) {
        if matches!(self.protection, Protection::NoKey) {
            self.protection = Protection::Key(SessionKey::generate(rng));
            if self.version < Version::new(2, 2) {
                self.send(Target::Pool, MessageType::PUBLIC_KEY_REQUEST, &Value::from(""));
            }
        }
    }
}
