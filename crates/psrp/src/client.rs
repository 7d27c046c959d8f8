//! The client's end: a runspace pool and its pipelines ([MS-PSRP] 3.1).

use std::collections::{BTreeMap, VecDeque};

use hop_clixml::{Value, Version};
use uuid::Uuid;

use crate::body::{
    self, ApplicationPrivateData, Availability, AvailabilityRequest, BodyError, CreatePipeline, ErrorRecord,
    GetCommandMetadata, HostCall, HostResponse, InformationRecord, InformationalRecord, InitRunspacePool,
    PipelineState, PipelineStateInfo, PoolState, PoolStateInfo, ProgressRecord, SessionCapability, UserEvent,
};
use crate::fragment::{Defragmenter, FragmentError, Fragmenter};
use crate::keys::{KeyError, KeyPair, Protection};
use crate::message::MessageError;
use crate::{Destination, Limits, Message, MessageType, PROTOCOL_VERSION, Target};

/// What the transport must carry to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Announce a pipeline; its first [`Output::Data`] is its creation.
    Command(Uuid),
    /// The fragments of one message.
    Data {
        /// Whose.
        target: Target,
        /// Whether it answers a prompt (stream PromptResponse, `pr`).
        prompt_response: bool,
        /// One or more whole fragments.
        bytes: Vec<u8>,
    },
    /// Stop a pipeline.
    Signal(Uuid),
    /// Close a pipeline that has ended, or the pool.
    Close(Target),
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "the large one is the one that comes, by thousands")]
pub enum Event {
    /// The server's application data, `$PSVersionTable` among them.
    PrivateData(ApplicationPrivateData),
    /// The pool is open.
    Opened,
    /// The pool is in another state.
    State(PoolStateInfo),
    /// The pool is closed: the transport has acknowledged it.
    Closed,
    /// An answer to [`RunspacePool::ask`].
    Availability(i64, Availability),
    /// An event of the server's engine.
    UserEvent(UserEvent),
    /// The session key is there: secure strings can be sent now.
    KeyExchanged,
    /// The server asks for a key: call [`RunspacePool::exchange_key`].
    KeyRequested,
    /// The server calls the client's host outside any pipeline.
    PoolHostCall(HostCall),
    /// Something of a pipeline.
    Pipeline(Uuid, PipelineEvent),
}

/// What happened to a pipeline.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum PipelineEvent {
    /// An object.
    Output(Value),
    /// An error; the pipeline goes on.
    Error(Box<ErrorRecord>),
    /// A warning.
    Warning(InformationalRecord),
    /// A verbose message.
    Verbose(InformationalRecord),
    /// A debug message.
    Debug(InformationalRecord),
    /// An information record.
    Information(Box<InformationRecord>),
    /// Progress.
    Progress(ProgressRecord),
    /// The server calls the client's host. Answer with [`RunspacePool::respond`] unless `id` is
    /// [`body::NO_RESPONSE`].
    HostCall(HostCall),
    /// Another state. After Completed, Failed and Stopped nothing else comes but `Closed`.
    State(Box<PipelineStateInfo>),
    /// The server's messages for this pipeline cannot be read: it has failed, the pool lives.
    Broken(ProtocolError),
    /// The transport has acknowledged that the pipeline is closed.
    Closed,
}

/// What a server can do wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// Fragments that do not fit together.
    #[error("fragments from the server: {0}")]
    Fragment(#[from] FragmentError),
    /// A message that cannot be read.
    #[error("message from the server: {0}")]
    Message(#[from] MessageError),
    /// A body that cannot be read.
    #[error("{kind} from the server: {error}")]
    Body {
        /// The message.
        kind: MessageType,
        /// What is wrong with it.
        error: BodyError,
    },
    /// A message for the other end.
    #[error("expected a message for the client, got one for destination {0}")]
    Destination(u32),
    /// A message of another pool.
    #[error("expected a message of pool {expected}, got one of {got}")]
    Pool {
        /// This pool.
        expected: Uuid,
        /// The other one.
        got: Uuid,
    },
    /// A version of the protocol that this client does not speak.
    #[error("expected protocol version 2.1 to 2.4 from the server, got {0}")]
    Version(Version),
    /// The key exchange failed.
    #[error("key exchange: {0}")]
    Key(#[from] KeyError),
}

#[derive(Debug)]
struct Pipeline {
    defragmenter: Defragmenter,
    ended: bool,
    closing: bool,
}

/// The client's runspace pool.
#[derive(Debug)]
pub struct RunspacePool {
    limits: Limits,
    id: Uuid,
    init: Value,
    state: PoolState,
    version: Option<Version>,
    protection: Protection,
    key_pair: Option<KeyPair>,
    fragmenter: Fragmenter,
    defragmenter: Defragmenter,
    pipelines: BTreeMap<Uuid, Pipeline>,
    next_call: i64,
    outputs: VecDeque<Output>,
    events: VecDeque<Event>,
}

impl RunspacePool {
    /// A pool that has not been opened. The id names it for ever and should be random.
    pub fn new(id: Uuid, init: &InitRunspacePool, limits: Limits) -> Self {
        Self::with_fragment_size(id, init, limits, crate::fragment::MAX_FRAGMENT)
    }

    /// With another size of fragments in bytes, header included.
    pub fn with_fragment_size(
        id: Uuid,
        init: &InitRunspacePool,
        limits: Limits,
        max_fragment: usize,
    ) -> Self {
        Self {
            id,
            init: init.to_value(),
            state: PoolState::BeforeOpen,
            version: None,
            protection: Protection::Plain,
            key_pair: None,
            fragmenter: Fragmenter::new(max_fragment),
            defragmenter: Defragmenter::new(limits.max_message),
            pipelines: BTreeMap::new(),
            next_call: 1,
            outputs: VecDeque::new(),
            events: VecDeque::new(),
            limits,
        }
    }

    /// What to send next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// What happened next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The pool's id.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// The pool's state.
    pub fn state(&self) -> PoolState {
        self.state
    }

    /// The protocol's version, once the server has said it.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// How secure strings travel. [`Protection::NoKey`]: call [`exchange_key`](Self::exchange_key) first.
    pub fn protection(&self) -> &Protection {
        &self.protection
    }

    /// Begins: SESSION_CAPABILITY and INIT_RUNSPACEPOOL in one piece.
    pub fn open(&mut self) {
        let capability = SessionCapability::new(PROTOCOL_VERSION).to_value();
        let mut bytes = self.fragments(Target::Pool, MessageType::SESSION_CAPABILITY, &capability);
        let init = std::mem::take(&mut self.init);
        bytes.extend(self.fragments(Target::Pool, MessageType::INIT_RUNSPACEPOOL, &init));
        self.state = PoolState::Opening;
        self.outputs.push_back(Output::Data { target: Target::Pool, prompt_response: false, bytes });
    }

    /// Creates a pipeline. The id should be random.
    pub fn create_pipeline(&mut self, id: Uuid, pipeline: &CreatePipeline) {
        self.create(id, MessageType::CREATE_PIPELINE, &pipeline.to_value());
    }

    /// Asks for the metadata of commands; the answer is a pipeline's output.
    pub fn get_command_metadata(&mut self, id: Uuid, request: &GetCommandMetadata) {
        self.create(id, MessageType::GET_COMMAND_METADATA, &request.to_value());
    }

    fn create(&mut self, id: Uuid, message_type: MessageType, body: &Value) {
        let defragmenter = Defragmenter::new(self.limits.max_message);
        self.pipelines.insert(id, Pipeline { defragmenter, ended: false, closing: false });
        self.outputs.push_back(Output::Command(id));
        self.send(Target::Pipeline(id), message_type, body);
    }

    fn running(&self, id: Uuid) -> bool {
        self.pipelines.get(&id).is_some_and(|pipeline| !pipeline.ended)
    }

    /// An object for a pipeline's input; null is an empty message. Nothing happens if the pipeline has ended.
    pub fn send_input(&mut self, id: Uuid, value: &Value) {
        if self.running(id) {
            self.send(Target::Pipeline(id), MessageType::PIPELINE_INPUT, value);
        }
    }

    /// The end of a pipeline's input.
    pub fn end_input(&mut self, id: Uuid) {
        if self.running(id) {
            self.send(Target::Pipeline(id), MessageType::END_OF_PIPELINE_INPUT, &Value::Null);
        }
    }

    /// Stops a pipeline; it ends with the state Stopped.
    pub fn stop(&mut self, id: Uuid) {
        if self.running(id) {
            self.outputs.push_back(Output::Signal(id));
        }
    }

    /// Answers a host call of a pipeline.
    pub fn respond(&mut self, id: Uuid, response: &HostResponse) {
        if !self.running(id) {
            return;
        }
        let target = Target::Pipeline(id);
        let bytes = self.fragments(target, MessageType::PIPELINE_HOST_RESPONSE, &response.to_value());
        self.outputs.push_back(Output::Data { target, prompt_response: true, bytes });
    }

    /// Answers a host call of the pool.
    pub fn respond_pool(&mut self, response: &HostResponse) {
        let target = Target::Pool;
        let bytes = self.fragments(target, MessageType::RUNSPACEPOOL_HOST_RESPONSE, &response.to_value());
        self.outputs.push_back(Output::Data { target, prompt_response: true, bytes });
    }

    /// Asks something about runspaces; the answer bears the number given back.
    pub fn ask(&mut self, request: AvailabilityRequest) -> i64 {
        let call = self.next_call;
        self.next_call += 1;
        let message_type = match request {
            AvailabilityRequest::SetMax(_) => MessageType::SET_MAX_RUNSPACES,
            AvailabilityRequest::SetMin(_) => MessageType::SET_MIN_RUNSPACES,
            AvailabilityRequest::GetAvailable => MessageType::GET_AVAILABLE_RUNSPACES,
            AvailabilityRequest::Reset => MessageType::RESET_RUNSPACE_STATE,
        };
        self.send(Target::Pool, message_type, &request.to_value(call));
        call
    }

    /// Begins the key exchange with this key pair.
    pub fn exchange_key(&mut self, pair: KeyPair) {
        let body = body::object([("PublicKey", pair.public_key().into())]);
        self.key_pair = Some(pair);
        self.send(Target::Pool, MessageType::PUBLIC_KEY, &body);
    }

    /// Closes the pool, and all pipelines before it.
    pub fn close(&mut self) {
        let open: Vec<Uuid> = self.pipelines.iter().filter(|(_, p)| !p.closing).map(|(id, _)| *id).collect();
        for id in open {
            self.close_pipeline(id);
        }
        self.outputs.push_back(Output::Close(Target::Pool));
    }

    /// Closes a pipeline; one that runs is stopped.
    pub fn close_pipeline(&mut self, id: Uuid) {
        if let Some(pipeline) = self.pipelines.get_mut(&id)
            && !std::mem::replace(&mut pipeline.closing, true)
        {
            self.outputs.push_back(Output::Close(Target::Pipeline(id)));
        }
    }

    /// The transport says that something is closed.
    pub fn handle_closed(&mut self, target: Target) {
        match target {
            Target::Pool => {
                if self.state != PoolState::Broken {
                    self.state = PoolState::Closed;
                }
                self.events.push_back(Event::Closed);
            }
            Target::Pipeline(id) => {
                if self.pipelines.remove(&id).is_some() {
                    self.events.push_back(Event::Pipeline(id, PipelineEvent::Closed));
                }
            }
        }
    }

    /// Bytes from the server. What belongs to no known pipeline is ignored.
    ///
    /// # Errors
    /// If the pool cannot go on. A fault in a pipeline's messages is an event of that pipeline.
    pub fn handle_data(&mut self, target: Target, bytes: &[u8]) -> Result<(), ProtocolError> {
        match target {
            Target::Pool => self.defragmenter.push(bytes),
            Target::Pipeline(id) => match self.pipelines.get_mut(&id) {
                Some(pipeline) => pipeline.defragmenter.push(bytes),
                None => return Ok(()),
            },
        }
        loop {
            let message = match target {
                Target::Pool => self.defragmenter.next(),
                Target::Pipeline(id) => self.pipelines.get_mut(&id).and_then(|p| p.defragmenter.next()),
            };
            let Some(message) = message else { return Ok(()) };
            let message = message.map_err(ProtocolError::from).and_then(|bytes| Ok(Message::decode(&bytes)?));
            let result = message.and_then(|message| self.message(target, &message));
            match (result, target) {
                (Ok(()), _) => {}
                (Err(error), Target::Pool) => {
                    self.state = PoolState::Broken;
                    return Err(error);
                }
                (Err(error), Target::Pipeline(id)) => {
                    if let Some(pipeline) = self.pipelines.get_mut(&id).filter(|pipeline| !pipeline.ended) {
                        pipeline.ended = true;
                        self.events.push_back(Event::Pipeline(id, PipelineEvent::Broken(error)));
                        self.close_pipeline(id);
                    }
                }
            }
        }
    }

    fn message(&mut self, target: Target, message: &Message) -> Result<(), ProtocolError> {
        if message.destination != Destination::Client as u32 {
            return Err(ProtocolError::Destination(message.destination));
        }
        let kind = message.message_type;
        if message.pool != self.id && kind != MessageType::SESSION_CAPABILITY {
            return Err(ProtocolError::Pool { expected: self.id, got: message.pool });
        }
        let result = match target {
            Target::Pool => self.pool_message(message),
            Target::Pipeline(id) => self.pipeline_message(id, message).map_err(Fault::Body),
        };
        result.map_err(|fault| match fault {
            Fault::Body(error) => ProtocolError::Body { kind, error },
            Fault::Protocol(error) => error,
        })
    }

    fn pool_message(&mut self, message: &Message) -> Result<(), Fault> {
        let body = || body::parse(&message.data, &self.limits.clixml);
        match message.message_type {
            MessageType::SESSION_CAPABILITY => {
                let version = SessionCapability::from_value(&body()?)?.protocol;
                if version < Version::new(2, 1) || version > PROTOCOL_VERSION {
                    return Err(Fault::Protocol(ProtocolError::Version(version)));
                }
                self.version = Some(version);
                if version < PROTOCOL_VERSION {
                    self.protection = Protection::NoKey;
                }
            }
            MessageType::APPLICATION_PRIVATE_DATA => {
                let data = ApplicationPrivateData::from_value(&body()?)?;
                self.events.push_back(Event::PrivateData(data));
            }
            MessageType::RUNSPACEPOOL_STATE => {
                let info = PoolStateInfo::from_value(&body()?)?;
                self.state = info.state;
                if info.state == PoolState::Opened {
                    self.events.push_back(Event::Opened);
                } else {
                    self.events.push_back(Event::State(info));
                }
            }
            MessageType::RUNSPACE_AVAILABILITY => {
                let (call, answer) = Availability::from_value(&body()?)?;
                self.events.push_back(Event::Availability(call, answer));
            }
            MessageType::USER_EVENT => {
                let event = UserEvent::from_value(&body()?)?;
                self.events.push_back(Event::UserEvent(event));
            }
            MessageType::PUBLIC_KEY_REQUEST => self.events.push_back(Event::KeyRequested),
            MessageType::ENCRYPTED_SESSION_KEY => {
                let sealed = body::text(&body()?, "EncryptedSessionKey")?;
                let Some(pair) = &self.key_pair else { return Ok(()) };
                let key = pair.open(&sealed).map_err(|error| Fault::Protocol(error.into()))?;
                if self.version.is_some_and(|version| version < PROTOCOL_VERSION) {
                    self.protection = Protection::Key(key);
                }
                self.events.push_back(Event::KeyExchanged);
            }
            MessageType::RUNSPACEPOOL_HOST_CALL => {
                let call = HostCall::from_value(&body()?)?;
                self.events.push_back(Event::PoolHostCall(call));
            }
            _ => {}
        }
        Ok(())
    }

    fn pipeline_message(&mut self, id: Uuid, message: &Message) -> Result<(), BodyError> {
        let Some(pipeline) = self.pipelines.get_mut(&id).filter(|pipeline| !pipeline.ended) else {
            return Ok(());
        };
        let body = || body::parse(&message.data, &self.limits.clixml);
        let event = match message.message_type {
            MessageType::PIPELINE_OUTPUT if message.data.is_empty() => PipelineEvent::Output(Value::Null),
            MessageType::PIPELINE_OUTPUT => PipelineEvent::Output(body()?),
            MessageType::ERROR_RECORD => PipelineEvent::Error(Box::new(ErrorRecord::from_value(&body()?))),
            MessageType::WARNING_RECORD => PipelineEvent::Warning(InformationalRecord::from_value(&body()?)),
            MessageType::VERBOSE_RECORD => PipelineEvent::Verbose(InformationalRecord::from_value(&body()?)),
            MessageType::DEBUG_RECORD => PipelineEvent::Debug(InformationalRecord::from_value(&body()?)),
            MessageType::INFORMATION_RECORD => {
                PipelineEvent::Information(Box::new(InformationRecord::from_value(&body()?)))
            }
            MessageType::PROGRESS_RECORD => PipelineEvent::Progress(ProgressRecord::from_value(&body()?)?),
            MessageType::PIPELINE_HOST_CALL => PipelineEvent::HostCall(HostCall::from_value(&body()?)?),
            MessageType::PIPELINE_STATE => {
                let info = PipelineStateInfo::from_value(&body()?)?;
                pipeline.ended = matches!(
                    info.state,
                    PipelineState::Completed | PipelineState::Failed | PipelineState::Stopped
                );
                PipelineEvent::State(Box::new(info))
            }
            _ => return Ok(()),
        };
        let ended = pipeline.ended;
        self.events.push_back(Event::Pipeline(id, event));
        if ended {
            self.close_pipeline(id);
        }
        Ok(())
    }

    fn send(&mut self, target: Target, message_type: MessageType, value: &Value) {
        let bytes = self.fragments(target, message_type, value);
        self.outputs.push_back(Output::Data { target, prompt_response: false, bytes });
    }

    fn fragments(&mut self, target: Target, message_type: MessageType, value: &Value) -> Vec<u8> {
        let empty = value.is_null()
            && matches!(message_type, MessageType::PIPELINE_INPUT | MessageType::END_OF_PIPELINE_INPUT);
        let message = Message {
            destination: Destination::Server as u32,
            message_type,
            pool: self.id,
            pipeline: target.id(),
            data: if empty { String::new() } else { hop_clixml::write::value(value) },
        };
        self.fragmenter.fragment(&message.encode()).concat()
    }
}

enum Fault {
    Body(BodyError),
    Protocol(ProtocolError),
}

impl From<BodyError> for Fault {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}
