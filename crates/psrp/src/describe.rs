//! Messages, fragments and stdio lines as text for people, with the specification's names.
//!
//! Secrets are not shown. What cannot be read is said in a line that begins with `unreadable`; messages that
//! the capture cuts off in one that begins with `incomplete`.

use std::collections::BTreeMap;

use hop_clixml::Value;
use hop_clixml::describe::{Escaped, HIDDEN, Tree, quoted};
use uuid::Uuid;

use crate::body::{
    self, CreatePipeline, ErrorRecord, HostCall, HostInfo, HostMethod, HostResponse, NO_RESPONSE,
};
use crate::fragment::{HEADER_LENGTH, Header};
use crate::stdio::{ERROR_PREFIX, Packet};
use crate::{Destination, Limits, Message, MessageType, Target};

mod command;

/// Most messages that are kept unfinished at a time.
const MAX_PARTIAL: usize = 10_000;

/// A message with its body.
pub fn message(tree: &mut Tree, message: &Message, limits: &Limits) {
    let to = match message.destination {
        1 => "to the client".to_owned(),
        2 => "to the server".to_owned(),
        other => format!("to destination {other}, which does not exist"),
    };
    let name = match message.message_type.name() {
        Some(name) => name.to_owned(),
        None => format!("message of unknown type {}", message.message_type),
    };
    tree.line(format_args!("{name} {to}"));
    tree.inside(|tree| {
        if !message.pool.is_nil() {
            tree.line(format_args!("pool (RPID): {}", message.pool));
        }
        if !message.pipeline.is_nil() {
            tree.line(format_args!("pipeline (PID): {}", message.pipeline));
        }
        if message.data.is_empty() {
            return;
        }
        match body::parse(&message.data, &limits.clixml) {
            Ok(value) => body(tree, message.message_type, &value),
            Err(error) => tree.line(format_args!(
                "unreadable body of {} bytes: {}",
                message.data.len(),
                Escaped(&error.to_string())
            )),
        }
    });
}

fn body(tree: &mut Tree, kind: MessageType, value: &Value) {
    let understood = match kind {
        MessageType::CREATE_PIPELINE => {
            CreatePipeline::from_value(value).map(|create| pipeline(tree, &create))
        }
        MessageType::INIT_RUNSPACEPOOL => body::InitRunspacePool::from_value(value).map(|init| {
            tree.line(format_args!("MinRunspaces: {}", init.min_runspaces));
            tree.line(format_args!("MaxRunspaces: {}", init.max_runspaces));
            let options = ["Default", "UseNewThread", "ReuseThread", "UseCurrentThread"];
            let option = usize::try_from(init.thread_options).ok().and_then(|at| options.get(at));
            let option = option.unwrap_or(&"unknown");
            tree.line(format_args!("PSThreadOptions: {option} ({})", init.thread_options));
            apartment(tree, init.apartment_state);
            tree.line(format_args!("HostInfo: {}", host_info(&init.host)));
            tree.value("ApplicationArguments", &init.application_arguments);
        }),
        MessageType::RUNSPACEPOOL_STATE => body::PoolStateInfo::from_value(value).map(|info| {
            tree.line(format_args!("RunspaceState: {:?} ({})", info.state, info.state as i32));
            cause(tree, info.error.as_ref());
        }),
        MessageType::PIPELINE_STATE => body::PipelineStateInfo::from_value(value).map(|info| {
            tree.line(format_args!("PipelineState: {:?} ({})", info.state, info.state as i32));
            cause(tree, info.error.as_ref());
        }),
        MessageType::ERROR_RECORD => {
            error_record(tree, &ErrorRecord::from_value(value));
            Ok(())
        }
        MessageType::PIPELINE_HOST_CALL | MessageType::RUNSPACEPOOL_HOST_CALL => {
            HostCall::from_value(value).map(|call| host_call(tree, &call))
        }
        MessageType::PIPELINE_HOST_RESPONSE | MessageType::RUNSPACEPOOL_HOST_RESPONSE => {
            HostResponse::from_value(value).map(|response| host_response(tree, response))
        }
        MessageType::PIPELINE_INPUT | MessageType::PIPELINE_OUTPUT => {
            tree.value("value", value);
            Ok(())
        }
        MessageType::DEBUG_RECORD | MessageType::VERBOSE_RECORD | MessageType::WARNING_RECORD => {
            let record = body::InformationalRecord::from_value(value);
            tree.text("message", &record.message);
            tree.properties(&record.other);
            Ok(())
        }
        _ => {
            tree.members(value);
            Ok(())
        }
    };
    if let Err(error) = understood {
        tree.line(format_args!("not as the specification says: {}", Escaped(&error.to_string())));
        tree.members(value);
    }
}

fn pipeline(tree: &mut Tree, create: &CreatePipeline) {
    for statement in &create.statements {
        tree.lines("runs", &command::statement(statement));
    }
    for command in create.statements.iter().flatten() {
        let merged = command.merge.previous_results.0;
        if merged != 0 {
            tree.line(format_args!(
                "MergePreviousResults of {}: {merged}",
                Escaped(&first_line(&command.text))
            ));
        }
        if let Some(local) = command.use_local_scope {
            tree.line(format_args!("UseLocalScope of {}: {local}", Escaped(&first_line(&command.text))));
        }
    }
    if let Some(history) = &create.history {
        tree.text("History", history);
    }
    for (name, value) in [
        ("NoInput", create.no_input),
        ("AddToHistory", create.add_to_history),
        ("IsNested", create.is_nested),
        ("RedirectShellErrorOutputPipe", create.redirect_shell_error_output),
    ] {
        tree.line(format_args!("{name}: {}", if value { "True" } else { "False" }));
    }
    apartment(tree, create.apartment_state);
    tree.line(format_args!("RemoteStreamOptions: {}", create.remote_stream_options));
    tree.line(format_args!("HostInfo: {}", host_info(&create.host)));
}

fn apartment(tree: &mut Tree, state: i32) {
    let name = match state {
        0 => "STA",
        1 => "MTA",
        _ => "Unknown",
    };
    tree.line(format_args!("ApartmentState: {name} ({state})"));
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(60).collect()
}

fn host_info(host: &HostInfo) -> String {
    let mut text = if host.use_runspace_host {
        "the pool's host".to_owned()
    } else if host.host_null {
        "no host".to_owned()
    } else if host.ui_null {
        "a host without user interface".to_owned()
    } else if host.raw_ui_null {
        "a host without raw user interface".to_owned()
    } else {
        "a host with a screen".to_owned()
    };
    if let Some(screen) = &host.default_data {
        let (window, buffer) = (screen.window_size, screen.buffer_size);
        text.push_str(&format!(
            ", window {} x {}, buffer {} x {}, title {}",
            window.width,
            window.height,
            buffer.width,
            buffer.height,
            quoted(&screen.window_title)
        ));
    }
    text
}

fn cause(tree: &mut Tree, error: Option<&ErrorRecord>) {
    if let Some(error) = error {
        tree.line(format_args!("ExceptionAsErrorRecord:"));
        tree.inside(|tree| error_record(tree, error));
    }
}

fn error_record(tree: &mut Tree, error: &ErrorRecord) {
    tree.text("message", &error.message);
    if let Some(details) = &error.details_message {
        tree.text("ErrorDetails", details);
    }
    if let Some(action) = &error.recommended_action {
        tree.text("recommended action", action);
    }
    tree.line(format_args!("FullyQualifiedErrorId: {}", Escaped(&error.fully_qualified_error_id)));
    let category = if error.category_message.is_empty() {
        "(not told)".to_owned()
    } else {
        Escaped(&error.category_message).to_string()
    };
    tree.line(format_args!("category: {category} ({})", error.category));
    if let Some(name) = error.exception.as_object().and_then(|exception| exception.type_names.first()) {
        tree.line(format_args!("exception: {}", Escaped(name)));
    }
    if !error.target.is_null() {
        tree.value("TargetObject", &error.target);
    }
    if let Some(trace) = error.script_stack_trace.as_deref().filter(|trace| !trace.is_empty()) {
        tree.lines("script stack trace", trace);
    }
    tree.properties(&error.other);
}

fn host_call(tree: &mut Tree, call: &HostCall) {
    tree.line(format_args!("method: {} ({})", call.method.name(), call.method as i32));
    match call.id {
        NO_RESPONSE => tree.line(format_args!("call: {NO_RESPONSE}, no answer wanted")),
        id => tree.line(format_args!("call: {id}")),
    }
    for (at, parameter) in call.parameters.iter().enumerate() {
        tree.value(&format!("parameter {at}"), parameter);
    }
}

fn host_response(tree: &mut Tree, response: HostResponse) {
    tree.line(format_args!("method: {} ({})", response.method.name(), response.method as i32));
    tree.line(format_args!("call: {}", response.id));
    match response.result {
        // Which of the answers are secret only the call says, and it may not have been captured.
        Ok(Some(_)) if response.method == HostMethod::Prompt => {
            tree.line(format_args!("result: what was typed {HIDDEN}"));
        }
        Ok(Some(value)) => tree.value("result", &value),
        Ok(None) => tree.line(format_args!("result: nothing")),
        Err(error) => {
            tree.line(format_args!("error:"));
            tree.inside(|tree| error_record(tree, &error));
        }
    }
}

/// Whether bytes begin like fragments of messages: with a header and, in a first fragment, a message's.
pub fn looks_like_fragments(bytes: &[u8]) -> bool {
    let Some(header) = Header::read(bytes) else { return false };
    let flags = bytes.get(16).copied().unwrap_or(u8::MAX);
    let sensible = (1..1 << 48).contains(&header.object)
        && header.fragment < 1 << 32
        && flags < 4
        && header.start == (header.fragment == 0)
        && header.length > 0
        && header.length < 1 << 30;
    if !sensible || !header.start {
        return sensible;
    }
    match direction(bytes) {
        Some(_) => true,
        None => bytes.len() < HEADER_LENGTH + 8,
    }
}

/// Where the message goes whose first fragment stands at the front.
fn direction(bytes: &[u8]) -> Option<Destination> {
    Header::read(bytes).filter(|header| header.start)?;
    let message = bytes.get(HEADER_LENGTH..)?;
    match message.first_chunk::<4>().map(|field| u32::from_le_bytes(*field))? {
        1 => Some(Destination::Client),
        2 => Some(Destination::Server),
        _ => None,
    }
}

/// Which end of the connection says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sender {
    /// The client.
    Client,
    /// The server.
    Server,
}

impl Sender {
    fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// Follows a conversation: puts messages together from fragments that come in pieces, and describes them.
#[derive(Debug, Default)]
pub struct Conversation {
    limits: Limits,
    streams: BTreeMap<(Option<Sender>, Target), Stream>,
}

/// What one end sends for one target.
#[derive(Debug, Default)]
struct Stream {
    /// The beginning of a fragment.
    rest: Vec<u8>,
    /// Messages without their end, by object.
    partial: BTreeMap<u64, Partial>,
}

#[derive(Debug, Default)]
struct Partial {
    first: u64,
    next: u64,
    bytes: Vec<u8>,
}

impl Conversation {
    /// An empty conversation.
    pub fn new(limits: Limits) -> Self {
        Self { limits, streams: BTreeMap::new() }
    }

    /// A line of PSRP over stdio. Without a sender the packets themselves say mostly which end they are from.
    pub fn line(&mut self, tree: &mut Tree, from: Option<Sender>, line: &str) {
        let who = from.map(|from| format!("{}: ", from.name())).unwrap_or_default();
        if let Some(text) = line.strip_prefix(ERROR_PREFIX) {
            tree.line(format_args!("{who}error: {}", Escaped(text.trim_end())));
            return;
        }
        let (packets, error) = Packet::decode(line);
        for packet in packets {
            let (name, target) = match packet {
                Packet::Data { target, stream, bytes } => {
                    let from = from.or_else(|| self.guess(target, &bytes));
                    let who = from.map(|from| format!("{}: ", from.name())).unwrap_or_default();
                    tree.line(format_args!(
                        "{who}Data for {}, stream {}, {} bytes",
                        whose(target),
                        Escaped(&stream),
                        bytes.len()
                    ));
                    tree.inside(|tree| self.fragments(tree, from, target, &bytes));
                    continue;
                }
                Packet::DataAck(target) => ("DataAck", target),
                Packet::Command(target) => ("Command", target),
                Packet::CommandAck(target) => ("CommandAck", target),
                Packet::Signal(target) => ("Signal", target),
                Packet::SignalAck(target) => ("SignalAck", target),
                Packet::Close(target) => ("Close", target),
                Packet::CloseAck(target) => ("CloseAck", target),
            };
            tree.line(format_args!("{who}{name} for {}", whose(target)));
        }
        if let Some(error) = error {
            tree.line(format_args!(
                "{who}unreadable line: {}",
                first_line(&Escaped(&error.to_string()).to_string())
            ));
        }
    }

    /// Which end sends these bytes, when nothing else tells.
    fn guess(&self, target: Target, bytes: &[u8]) -> Option<Sender> {
        match direction(bytes) {
            Some(Destination::Client) => return Some(Sender::Server),
            Some(Destination::Server) => return Some(Sender::Client),
            None => {}
        }
        [Sender::Client, Sender::Server].into_iter().find(|from| self.expects(Some(*from), target))
    }

    /// Fragments, or a piece of them: what becomes complete is described.
    pub fn fragments(&mut self, tree: &mut Tree, from: Option<Sender>, target: Target, bytes: &[u8]) {
        let stream = self.streams.entry((from, target)).or_default();
        stream.rest.extend_from_slice(bytes);
        let mut rest = std::mem::take(&mut stream.rest);
        let mut at = 0;
        while let Some(header) = rest.get(at..).and_then(Header::read) {
            let length = usize::try_from(header.length).unwrap_or(usize::MAX);
            if length > self.limits.max_message {
                let left = rest.len() - at;
                tree.line(format_args!("unreadable: a fragment of {length} bytes; {left} bytes skipped"));
                return;
            }
            let start = at + HEADER_LENGTH;
            let Some(content) = rest.get(start..start + length) else { break };
            at = start + length;
            if let Some(whole) = stream.take(tree, header, content, self.limits.max_message) {
                match Message::decode(&whole) {
                    Ok(decoded) => message(tree, &decoded, &self.limits),
                    Err(error) => {
                        tree.line(format_args!("unreadable message of object {}: {error}", header.object));
                    }
                }
            }
        }
        rest.drain(..at);
        stream.rest = rest;
    }

    /// Whether bytes are awaited because a fragment or a message lacks its end.
    pub fn expects(&self, from: Option<Sender>, target: Target) -> bool {
        self.streams
            .get(&(from, target))
            .is_some_and(|stream| !stream.rest.is_empty() || !stream.partial.is_empty())
    }

    /// Says what is left over. Begins anew.
    pub fn finish(&mut self, tree: &mut Tree) {
        for ((from, target), stream) in std::mem::take(&mut self.streams) {
            let who = from.map(|from| format!(", from the {}", from.name())).unwrap_or_default();
            for (object, partial) in stream.partial {
                let what = if partial.first == 0 {
                    let kind = partial.bytes.get(4..8).and_then(|field| field.try_into().ok());
                    kind.map_or_else(String::new, |kind| {
                        format!(" ({})", MessageType(u32::from_le_bytes(kind)))
                    })
                } else {
                    format!(" (its beginning is missing: fragments from {})", partial.first)
                };
                tree.line(format_args!(
                    "incomplete: object {object} for {}{who}{what}: {} bytes without the end",
                    whose(target),
                    partial.bytes.len()
                ));
            }
            if stream.rest.is_empty() {
                continue;
            }
            let what = match Header::read(&stream.rest) {
                Some(header) => {
                    let content = stream.rest.get(HEADER_LENGTH..).unwrap_or_default();
                    let kind =
                        content.get(4..8).filter(|_| header.start).and_then(|field| field.try_into().ok());
                    let kind = kind.map_or_else(String::new, |kind| {
                        format!(" ({})", MessageType(u32::from_le_bytes(kind)))
                    });
                    format!(
                        "fragment {} of object {}{kind}: {} of its {} bytes",
                        header.fragment,
                        header.object,
                        content.len(),
                        header.length
                    )
                }
                None => format!("{} bytes, the beginning of a fragment's header", stream.rest.len()),
            };
            tree.line(format_args!("incomplete: for {}{who}: {what}", whose(target)));
        }
    }
}

impl Stream {
    /// Takes a fragment in; the message, if it is now complete.
    fn take(&mut self, tree: &mut Tree, header: Header, content: &[u8], limit: usize) -> Option<Vec<u8>> {
        let object = header.object;
        if header.start && self.partial.remove(&object).is_some() {
            tree.line(format_args!("incomplete: object {object} begins again without having ended"));
        }
        if self.partial.len() >= MAX_PARTIAL && !self.partial.contains_key(&object) {
            tree.line(format_args!(
                "incomplete: object {object} is left out, for too many messages have no end"
            ));
            return None;
        }
        let partial = self.partial.entry(object).or_insert_with(|| Partial {
            first: header.fragment,
            next: header.fragment,
            bytes: Vec::new(),
        });
        if header.fragment != partial.next || partial.bytes.len() + content.len() > limit {
            let (expected, got) = (partial.next, header.fragment);
            self.partial.remove(&object);
            tree.line(format_args!(
                "unreadable: fragment {got} of object {object}, expected {expected} within the limit"
            ));
            return None;
        }
        partial.next = header.fragment.wrapping_add(1);
        partial.bytes.extend_from_slice(content);
        if !header.end {
            return None;
        }
        let partial = self.partial.remove(&object)?;
        if partial.first == 0 {
            return Some(partial.bytes);
        }
        tree.line(format_args!(
            "incomplete: the end of object {object}, {} bytes; the fragments before {} are missing",
            partial.bytes.len(),
            partial.first
        ));
        None
    }
}

fn whose(target: Target) -> String {
    match target {
        Target::Pool => "the pool".to_owned(),
        Target::Pipeline(id) => format!("pipeline {id}"),
    }
}

/// A capture that is nothing but fragments.
pub fn fragments(bytes: &[u8], limits: Limits) -> String {
    let mut tree = Tree::default();
    let mut conversation = Conversation::new(limits);
    conversation.fragments(&mut tree, None, Target::from_id(Uuid::nil()), bytes);
    conversation.finish(&mut tree);
    tree.finish()
}
