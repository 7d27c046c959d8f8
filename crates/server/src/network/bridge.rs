//! Between a PowerShell shell of WS-Management and a session process that speaks PSRP in stdio packets.
//!
//! Object bodies pass through unread. Of a message only the header is looked at, where the bridge must know it: which
//! pipeline a command is, when the pool is open, when a pipeline has ended.

#![expect(clippy::result_large_err, reason = "a fault is rare, and the answer when there is one")]

use std::collections::{HashMap, VecDeque};

use hop_psrp::Target;
use hop_psrp::stdio::Packet;
use hop_wsman::server::ExchangeId;
use hop_wsman::{CommandId, Fault};
use uuid::Uuid;

/// How much of a queue goes into one packet; what a PowerShell client sends at most.
const CHUNK: usize = 32_768;
/// Names of the streams of stdio packets.
const STDIN: &str = "Default";
const PROMPT_RESPONSE: &str = "PromptResponse";
const FRAGMENT_HEADER: usize = 21;
const MESSAGE_HEADER: usize = 40;
const RUNSPACEPOOL_STATE: u32 = 0x0002_1005;
const PIPELINE_STATE: u32 = 0x0004_1006;

/// What the bridge wants done.
#[derive(Debug, PartialEq)]
pub(crate) enum Event {
    /// Write this packet to the session process.
    Write(Packet),
    /// A request is done.
    Complete(ExchangeId),
    /// Output for the client: of a pipeline, or of the pool.
    Output(Option<CommandId>, Vec<u8>),
    /// The pool has said its first state: open, or broken with the reason.
    Opened,
    /// A pipeline has ended; its output was before.
    Finished(CommandId),
    /// The session process has closed the pool.
    Closed,
}

/// State of one shell.
#[derive(Debug, Default)]
pub(crate) struct Bridge {
    channels: HashMap<Uuid, Channel>,
    pipelines: HashMap<CommandId, Uuid>,
    opened: bool,
    events: VecDeque<Event>,
}

/// The way to and from the pool (nil) or a pipeline.
#[derive(Debug, Default)]
struct Channel {
    command: Option<CommandId>,
    queue: VecDeque<Chunk>,
    /// The process is ready for data of this channel.
    ready: bool,
    /// A packet is not acknowledged yet; there is never a second one.
    in_flight: bool,
    closing: bool,
    walker: Walker,
}

#[derive(Debug)]
struct Chunk {
    stream: &'static str,
    data: Vec<u8>,
    exchange: Option<ExchangeId>,
}

impl Bridge {
    /// Opens the pool with the fragments of the client's Create.
    pub fn open(&mut self, fragments: Vec<u8>) {
        self.channels.insert(Uuid::nil(), Channel { ready: true, ..Channel::default() });
        self.enqueue(Uuid::nil(), STDIN, fragments, None);
    }

    /// Starts a pipeline from the fragments of the client's Command, which begin with CREATE_PIPELINE.
    ///
    /// # Errors
    /// A fault for the client if they do not, or if the pipeline is there already.
    pub fn start(
        &mut self,
        exchange: Option<ExchangeId>,
        command: CommandId,
        fragments: Vec<u8>,
    ) -> Result<(), Fault> {
        let pipeline = pipeline_id(&fragments)
            .ok_or_else(|| Fault::schema("the arguments do not begin with a PSRP message of a pipeline"))?;
        if self.channels.contains_key(&pipeline) {
            return Err(Fault::schema("the shell has a pipeline with this id already"));
        }
        let channel = Channel { command: Some(command), ..Channel::default() };
        self.channels.insert(pipeline, channel);
        self.pipelines.insert(command, pipeline);
        self.events.push_back(Event::Write(Packet::Command(Target::from_id(pipeline))));
        self.enqueue(pipeline, STDIN, fragments, exchange);
        Ok(())
    }

    /// Input of the client; `exchange` is done when the last of it is on its way.
    pub fn input(
        &mut self,
        command: Option<CommandId>,
        stream: &str,
        data: Vec<u8>,
        exchange: Option<ExchangeId>,
    ) -> Result<(), Fault> {
        let stream = match stream {
            "stdin" => STDIN,
            "pr" => PROMPT_RESPONSE,
            _ => return Err(Fault::schema("streams to a PowerShell shell are stdin and pr")),
        };
        let channel = match command {
            None => Some(Uuid::nil()),
            Some(command) => self.pipelines.get(&command).copied(),
        };
        match channel.filter(|id| self.channels.get(id).is_some_and(|c| !c.closing)) {
            Some(id) => self.enqueue(id, stream, data, exchange),
            // The pipeline has ended meanwhile.
            None => self.events.extend(exchange.map(Event::Complete)),
        }
        Ok(())
    }

    /// Stops a pipeline: it says Stopped when it has.
    pub fn stop(&mut self, command: CommandId) {
        if let Some(&id) = self.pipelines.get(&command)
            && self.channels.get(&id).is_some_and(|c| !c.closing)
        {
            self.events.push_back(Event::Write(Packet::Signal(Target::from_id(id))));
        }
    }

    /// Releases a pipeline, stopping it if it runs.
    pub fn terminate(&mut self, command: CommandId) {
        if let Some(&id) = self.pipelines.get(&command) {
            self.close_channel(id);
        }
    }

    /// Closes the pool and all in it.
    pub fn close(&mut self) {
        let ids: Vec<Uuid> = self.pipelines.values().copied().collect();
        for id in ids {
            self.close_channel(id);
        }
        self.close_channel(Uuid::nil());
    }

    /// Takes a packet of the session process.
    pub fn packet(&mut self, packet: Packet) {
        match packet {
            Packet::Data { target, bytes, .. } => self.data(target.id(), bytes),
            Packet::DataAck(target) => {
                if let Some(channel) = self.channels.get_mut(&target.id()) {
                    channel.in_flight = false;
                }
                self.pump(target.id());
            }
            Packet::CommandAck(target) => {
                if let Some(channel) = self.channels.get_mut(&target.id()) {
                    channel.ready = true;
                }
                self.pump(target.id());
            }
            Packet::CloseAck(target) if target.id().is_nil() => self.events.push_back(Event::Closed),
            Packet::CloseAck(target) => {
                if let Some(channel) = self.channels.remove(&target.id()) {
                    self.settle(channel.queue);
                    if let Some(command) = channel.command {
                        self.pipelines.remove(&command);
                        // Of a pipeline that closes without having told a state; else the client knows already.
                        self.events.push_back(Event::Finished(command));
                    }
                }
            }
            // SignalAck needs no answer; the rest a server never sends.
            other => tracing::trace!(?other, "packet ignored"),
        }
    }

    /// The next thing to do.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn data(&mut self, id: Uuid, data: Vec<u8>) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let mut ended = false;
        let mut pool_state = false;
        channel.walker.walk(&data, |message| match message {
            Message { kind: PIPELINE_STATE, state } => ended |= state.is_none_or(|s| matches!(s, 3..=5)),
            Message { kind: RUNSPACEPOOL_STATE, .. } => pool_state = true,
            _ => {}
        });
        let command = channel.command;
        self.events.push_back(Event::Output(command, data));
        if pool_state && id.is_nil() && !self.opened {
            self.opened = true;
            self.events.push_back(Event::Opened);
        }
        if let (true, Some(command)) = (ended, command) {
            self.events.push_back(Event::Finished(command));
            self.close_channel(id);
        }
    }

    fn close_channel(&mut self, id: Uuid) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if channel.closing {
            return;
        }
        channel.closing = true;
        let queue = std::mem::take(&mut channel.queue);
        self.settle(queue);
        self.events.push_back(Event::Write(Packet::Close(Target::from_id(id))));
    }

    /// Answers the requests whose data will not be sent any more.
    fn settle(&mut self, queue: VecDeque<Chunk>) {
        self.events.extend(queue.into_iter().filter_map(|c| c.exchange).map(Event::Complete));
    }

    fn enqueue(&mut self, id: Uuid, stream: &'static str, data: Vec<u8>, exchange: Option<ExchangeId>) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let count = data.len().div_ceil(CHUNK);
        for (index, part) in data.chunks(CHUNK).enumerate() {
            let exchange = exchange.filter(|_| index + 1 == count);
            channel.queue.push_back(Chunk { stream, data: part.to_vec(), exchange });
        }
        if count == 0 {
            self.events.extend(exchange.map(Event::Complete));
        }
        self.pump(id);
    }

    fn pump(&mut self, id: Uuid) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if !channel.ready || channel.in_flight || channel.closing {
            return;
        }
        if let Some(Chunk { stream, data, exchange }) = channel.queue.pop_front() {
            channel.in_flight = true;
            let stream = stream.to_owned();
            let packet = Packet::Data { target: Target::from_id(id), stream, bytes: data };
            self.events.push_back(Event::Write(packet));
            self.events.extend(exchange.map(Event::Complete));
        }
    }
}

/// The pipeline id in the message with which `fragments` begin. [MS-PSRP] 2.2.1, 2.2.4
fn pipeline_id(fragments: &[u8]) -> Option<Uuid> {
    let (header, rest) = fragments.split_at_checked(FRAGMENT_HEADER)?;
    let starts = header.get(16)? & 1 == 1;
    let pid: [u8; 16] = rest.get(24..MESSAGE_HEADER)?.try_into().ok()?;
    let pid = Uuid::from_bytes_le(pid);
    (starts && !pid.is_nil()).then_some(pid)
}

/// A message that went by.
struct Message {
    kind: u32,
    /// Its state, where it is a PIPELINE_STATE and says it.
    state: Option<u32>,
}

/// Follows the fragments of a stream without keeping them: header, message type, and the beginning of a state.
#[derive(Debug, Default)]
struct Walker {
    /// Header bytes of a fragment that is not complete yet.
    header: Vec<u8>,
    /// Bytes that are left of the fragment.
    left: usize,
    ends: bool,
    /// The first bytes of the message.
    head: Vec<u8>,
}

/// As much of a message as can hold its header and the state of a pipeline, which may stand behind an error record only
/// in theory.
const HEAD: usize = 512;

impl Walker {
    fn walk(&mut self, mut data: &[u8], mut seen: impl FnMut(Message)) {
        while !data.is_empty() {
            if self.left == 0 {
                let missing = FRAGMENT_HEADER - self.header.len();
                let (part, rest) = data.split_at(missing.min(data.len()));
                self.header.extend(part);
                data = rest;
                let Ok(header) = <[u8; FRAGMENT_HEADER]>::try_from(self.header.as_slice()) else { return };
                self.header.clear();
                let [.., flags, a, b, c, d] = header;
                self.left = u32::from_be_bytes([a, b, c, d]) as usize;
                self.ends = flags & 2 != 0;
                if flags & 1 != 0 {
                    self.head.clear();
                }
            }
            let (part, rest) = data.split_at(self.left.min(data.len()));
            self.left -= part.len();
            data = rest;
            let room = HEAD.saturating_sub(self.head.len());
            self.head.extend(part.iter().take(room));
            if self.left == 0 && self.ends {
                if let Some(message) = self.message() {
                    seen(message);
                }
                self.head.clear();
            }
        }
    }

    fn message(&self) -> Option<Message> {
        let kind = u32::from_le_bytes(self.head.get(4..8)?.try_into().ok()?);
        let state = if kind == PIPELINE_STATE { state_of(self.head.get(MESSAGE_HEADER..)?) } else { None };
        Some(Message { kind, state })
    }
}

/// The number in `<I32 N="PipelineState">4</I32>`.
fn state_of(body: &[u8]) -> Option<u32> {
    const NAME: &[u8] = b"PipelineState";
    let at = body.windows(NAME.len()).position(|w| w == NAME)?;
    let rest = body.get(at + NAME.len()..)?;
    let digits = rest.iter().skip_while(|b| !b.is_ascii_digit()).take_while(|b| b.is_ascii_digit());
    std::str::from_utf8(&digits.copied().collect::<Vec<u8>>()).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
