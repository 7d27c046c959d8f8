//! Our client end with the recorded servers: it is told to do what the recorded client did.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use hop_psrp::body::{
    AvailabilityRequest, CreatePipeline, GetCommandMetadata, HostResponse, InitRunspacePool, parse,
};
use hop_psrp::client::{Event, PipelineEvent, RunspacePool};
use hop_psrp::clixml::Value;
use hop_psrp::fragment::{Defragmenter, Fragmenter};
use hop_psrp::keys::{KeyPair, SessionKey};
use hop_psrp::stdio::{ClientSession, Packet, SessionError};
use hop_psrp::{Limits, Message, MessageType, Target, Uuid};
use rand_core::{TryCryptoRng, TryRng};

use crate::{Line, completed, good, messages, recordings};

/// A recorded server with our client.
struct Replay<'l> {
    lines: &'l [Line],
    session: ClientSession,
    /// What our client has written.
    written: Vec<String>,
    events: Vec<Event>,
    /// How the session broke.
    broken: Option<SessionError>,
    keys: Keys,
}

/// The key exchange: nobody has the recorded client's private key, so the recorded answer is made anew.
#[derive(Default)]
struct Keys {
    ours: Option<KeyPair>,
}

impl<'l> Replay<'l> {
    fn new(lines: &'l [Line]) -> Self {
        let init = messages(lines.iter().filter(|l| l.client).map(|l| l.text.as_str()))
            .into_iter()
            .find(|message| message.message_type == MessageType::INIT_RUNSPACEPOOL)
            .unwrap();
        let body = InitRunspacePool::from_value(&value(&init)).unwrap();
        let pool = RunspacePool::new(init.pool, &body, Limits::default());
        Self {
            lines,
            session: ClientSession::new(pool),
            written: Vec::new(),
            events: Vec::new(),
            broken: None,
            keys: Keys::default(),
        }
    }

    fn run(&mut self) {
        self.session.pool.open();
        self.write();
        let mut parts: BTreeMap<Target, Defragmenter> = BTreeMap::new();
        let mut closed = BTreeSet::new();
        for (at, line) in self.lines.iter().enumerate() {
            if self.broken.is_some() {
                return;
            }
            if !line.client {
                self.read(&line.text);
                continue;
            }
            for packet in Packet::decode(&line.text).0 {
                match packet {
                    Packet::Command(Target::Pipeline(id)) => self.create(id, at),
                    Packet::Data { target, bytes, .. } => {
                        for message in completed(&mut parts, target, &bytes) {
                            self.act(target, &message.unwrap());
                        }
                    }
                    Packet::Signal(Target::Pipeline(id)) => self.session.pool.stop(id),
                    Packet::Close(Target::Pipeline(id)) => self.session.pool.close_pipeline(id),
                    // PowerShell often closes a session twice.
                    Packet::Close(Target::Pool) if closed.insert(Target::Pool) => self.session.pool.close(),
                    _ => {}
                }
            }
            self.write();
        }
    }

    /// The recorded client announces a pipeline and creates it later; ours does both.
    fn create(&mut self, id: Uuid, at: usize) {
        let later = self.lines[at..].iter().filter(|l| l.client).map(|l| l.text.as_str());
        let create = messages(later).into_iter().find(|message| message.pipeline == id);
        match create {
            Some(message) if message.message_type == MessageType::CREATE_PIPELINE => {
                let create = CreatePipeline::from_value(&value(&message)).unwrap();
                self.session.pool.create_pipeline(id, &create);
            }
            Some(message) => {
                let request = GetCommandMetadata::from_value(&value(&message)).unwrap();
                self.session.pool.get_command_metadata(id, &request);
            }
            // The server never let it come to that.
            None => self.session.pool.create_pipeline(id, &CreatePipeline::script("the command")),
        }
    }

    fn act(&mut self, target: Target, message: &Message) {
        let pool = &mut self.session.pool;
        let id = target.id();
        match message.message_type {
            MessageType::SESSION_CAPABILITY
            | MessageType::INIT_RUNSPACEPOOL
            | MessageType::CREATE_PIPELINE
            | MessageType::GET_COMMAND_METADATA => {}
            MessageType::PIPELINE_INPUT => pool.send_input(id, &value(message)),
            MessageType::END_OF_PIPELINE_INPUT => pool.end_input(id),
            MessageType::PIPELINE_HOST_RESPONSE => {
                pool.respond(id, &HostResponse::from_value(&value(message)).unwrap());
            }
            MessageType::PUBLIC_KEY => {
                let pair = KeyPair::generate(&mut rand::rng()).unwrap();
                pool.exchange_key(pair.clone());
                self.keys.ours = Some(pair);
            }
            MessageType::SET_MAX_RUNSPACES => {
                pool.ask(AvailabilityRequest::SetMax(number(message, "MaxRunspaces")));
            }
            MessageType::SET_MIN_RUNSPACES => {
                pool.ask(AvailabilityRequest::SetMin(number(message, "MinRunspaces")));
            }
            MessageType::GET_AVAILABLE_RUNSPACES => {
                pool.ask(AvailabilityRequest::GetAvailable);
            }
            MessageType::RESET_RUNSPACE_STATE => {
                pool.ask(AvailabilityRequest::Reset);
            }
            other => panic!("{other} from a client"),
        }
    }

    fn read(&mut self, line: &str) {
        // Ours are acknowledged as they are written.
        if line.starts_with("<DataAck") {
            return;
        }
        let line = self.with_our_key(line);
        if let Err(error) = self.session.handle_line(&line) {
            self.broken = Some(error);
        }
        self.write();
    }

    fn write(&mut self) {
        while let Some(line) = self.session.poll_line() {
            for packet in Packet::decode(&line).0 {
                if let Packet::Data { target, .. } = packet
                    && let Err(error) = self.session.handle_line(&Packet::DataAck(target).encode())
                {
                    self.broken = Some(error);
                }
            }
            self.written.push(line);
        }
        while let Some(event) = self.session.pool.poll_event() {
            self.events.push(event);
        }
    }

    fn with_our_key(&self, line: &str) -> String {
        let Some(ours) = &self.keys.ours else { return line.to_owned() };
        let found = messages(std::iter::once(line))
            .into_iter()
            .find(|message| message.message_type == MessageType::ENCRYPTED_SESSION_KEY);
        let Some(mut message) = found else { return line.to_owned() };
        let sealed =
            SessionKey::generate(&mut Counting(0)).seal_for(&ours.public_key(), &mut rand::rng()).unwrap();
        message.data = format!("<Obj RefId=\"0\"><MS><S N=\"EncryptedSessionKey\">{sealed}</S></MS></Obj>");
        let bytes = Fragmenter::default().fragment(&message.encode()).concat();
        Packet::Data { target: Target::Pool, stream: "Default".to_owned(), bytes }.encode()
    }
}

/// Gives the made-up server's session key: the bytes 00 to 1f.
struct Counting(u8);

impl TryRng for Counting {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes).map(|()| u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes).map(|()| u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for byte in bytes {
            *byte = self.0;
            self.0 = self.0.wrapping_add(1);
        }
        Ok(())
    }
}

impl TryCryptoRng for Counting {}

fn value(message: &Message) -> Value {
    if message.data.is_empty() {
        return Default::default();
    }
    parse(&message.data, &Limits::default().clixml).unwrap()
}

fn number(message: &Message, name: &str) -> i32 {
    match value(message).get(name) {
        Some(Value::Int32(number)) => *number,
        other => panic!("{name} is {other:?}"),
    }
}

/// What a client writes about each target: messages with their bodies, and the other packets.
fn written<'l>(lines: impl Iterator<Item = &'l str>) -> BTreeMap<Target, Vec<(String, String)>> {
    let mut parts: BTreeMap<Target, Defragmenter> = BTreeMap::new();
    let mut out: BTreeMap<Target, Vec<(String, String)>> = BTreeMap::new();
    for line in lines {
        for packet in Packet::decode(line).0 {
            let (name, target) = match packet {
                Packet::Data { target, stream, bytes } => {
                    for message in completed(&mut parts, target, &bytes) {
                        let message = message.unwrap();
                        let list = out.entry(target).or_default();
                        list.push((format!("{} on {stream}", message.message_type), message.data));
                    }
                    continue;
                }
                Packet::Command(target) => ("Command", target),
                Packet::Signal(target) => ("Signal", target),
                Packet::Close(target) => ("Close", target),
                other => panic!("{other:?} from a client"),
            };
            let list = out.entry(target).or_default();
            // PowerShell often closes a session twice.
            if list.last().is_none_or(|(last, _)| last != name) {
                list.push((name.to_owned(), String::new()));
            }
        }
    }
    out
}

/// Good sessions in which the two clients differ, and why.
const EXPECTED: [(&str, &str); 2] = [
    (
        "configuration-missing",
        "the server's error line has broken our session, so that nothing is left to close",
    ),
    ("stream-information", "the names of combined values of an enumeration are the sender's"),
];

#[test]
fn our_client_writes_what_powershell_writes() {
    let mut different = Vec::new();
    let mut found = 0;
    for (name, lines) in recordings(good) {
        let mut replay = Replay::new(&lines);
        replay.run();
        let theirs = written(lines.iter().filter(|l| l.client).map(|l| l.text.as_str()));
        let ours = written(replay.written.iter().map(String::as_str));
        let last_words = replay.broken.as_ref().is_none_or(
            |error| matches!(error, SessionError::Reported(text) if text.contains("unknown element \"\"")),
        );
        let expected = EXPECTED.iter().any(|(other, _)| *other == name);
        found += usize::from(expected);
        if expected {
            assert!(ours != theirs || !last_words, "{name} is the same by now: take it out of the list");
        } else if ours != theirs || !last_words {
            let kinds = |all: &BTreeMap<Target, Vec<(String, String)>>| -> Vec<String> {
                let lists = all.values().flatten();
                lists.map(|(kind, data)| format!("{kind} ({} bytes)", data.len())).collect()
            };
            let text = format!(
                "{name}, broken {:?}:\n  ours   {:?}\n  theirs {:?}",
                replay.broken,
                kinds(&ours),
                kinds(&theirs)
            );
            different.push(text);
        }
    }
    assert_eq!(found, EXPECTED.len(), "a name in the list is no recording's");
    assert!(different.is_empty(), "{} of them:\n{}", different.len(), different.join("\n"));
}

/// How a session with a faulty server ends.
fn outcome(name: &str, lines: &[Line]) -> String {
    let mut replay = Replay::new(lines);
    replay.run();
    // What the servers of these did and no line shows: they ended.
    if replay.broken.is_none() && ["fault-s-eof-running", "fault-s-exit-255"].contains(&name) {
        replay.broken = replay.session.handle_end().err();
    }
    let mut out = Vec::new();
    for event in &replay.events {
        match event {
            Event::PrivateData(_) | Event::KeyExchanged | Event::KeyRequested => {}
            Event::Opened => out.push("opened".to_owned()),
            Event::State(info) => {
                let error = info.error.as_ref().map(|error| format!(" ({})", error.display_message()));
                out.push(format!("session {:?}{}", info.state, error.unwrap_or_default()));
            }
            Event::Pipeline(_, PipelineEvent::Output(Value::SecureString(text))) => {
                let text = replay.session.pool.protection().open(text).unwrap();
                out.push(format!("secure {}", text.expose()));
            }
            Event::Pipeline(_, PipelineEvent::Output(value)) => out.push(value.display().to_string()),
            Event::Pipeline(_, PipelineEvent::State(info)) => {
                let error = info.error.as_ref().map(|error| format!(" ({})", error.display_message()));
                out.push(format!("{:?}{}", info.state, error.unwrap_or_default()));
            }
            Event::Pipeline(_, PipelineEvent::Broken(error)) => out.push(format!("failed ({error})")),
            Event::Pipeline(_, PipelineEvent::Closed) => out.push("closed".to_owned()),
            Event::Pipeline(_, PipelineEvent::HostCall(call)) => {
                out.push(format!("calls {:?} with {} parameters", call.method, call.parameters.len()));
            }
            other => out.push(format!("{other:?}")),
        }
    }
    if let Some(error) = &replay.broken {
        out.push(format!("broken ({error})"));
    }
    out.join("; ")
}

/// How they end. As with PowerShell: a line that is no packet breaks the session, what is wrong in a pipeline's
/// messages fails that pipeline, and what is merely unknown is ignored. Differences are noted.
const OUTCOMES: [(&str, &str); 41] = [
    (
        "bad-base64",
        "opened; broken (expected a packet from the server, got: The input is not a valid Base-64 \
         string as it contains a non-base 64 character, more than two padding characters, or an \
         illegal character among the padding characters.)",
    ),
    ("capability-1.0", "broken (expected protocol version 2.1 to 2.4 from the server, got 1.0)"),
    ("capability-2.2", "opened; hello; Completed; closed"),
    ("capability-3.0", "broken (expected protocol version 2.1 to 2.4 from the server, got 3.0)"),
    (
        "command-to-client",
        "opened; broken (expected a packet from the server, got: <Command \
         PSGuid='478c670c-6b78-40e8-bce6-9a9dfa2cfb16' />)",
    ),
    // PowerShell loses the output that came before the end.
    ("eof-running", "opened; hello; broken (the server ended before the session was closed)"),
    ("error-line-running", "opened; broken (the server reported: made up transport error)"),
    ("error-line", "broken (the server reported: made up transport error)"),
    ("exit-255", "broken (the server ended before the session was closed)"),
    ("extra-acks", "opened; hello; Completed; closed"),
    ("failed-no-record", "opened; Failed; closed"),
    ("failed", "opened; Failed (made up failure); closed"),
    ("fragment-order", "opened; failed (fragments from the server: expected fragment 1, got 2); closed"),
    // The host that is called says what is wrong; PowerShell fails the pipeline.
    ("hostcall-bad-args", "opened; calls PromptForChoice with 0 parameters; hello; Completed; closed"),
    (
        "hostcall-unknown",
        "opened; failed (PIPELINE_HOST_CALL from the server: member mi: 99 is no \
         RemoteHostMethodId); closed",
    ),
    ("keys-2.1", "opened; secure made-up-key-4; hello; Completed; closed"),
    ("keys-2.3", "opened; secure made-up-key-4; hello; Completed; closed"),
    ("keys-request-2.1", "opened; secure made-up-key-4; Completed; closed"),
    (
        "length-huge",
        "opened; failed (fragments from the server: a message of 2147483647 bytes or more is too \
         large); closed",
    ),
    // Nothing comes: how long to wait is the caller's to say.
    ("no-answer", ""),
    ("no-appdata", "opened; hello; Completed; closed"),
    ("no-bom", "opened; hello; Completed; closed"),
    // The pipeline is not closed: how long to wait is the caller's to say.
    ("no-closeack", "opened; hello; Completed"),
    // Nothing comes after the opening: how long to wait is the caller's to say.
    ("no-commandack", "opened"),
    ("no-dataack", "opened; hello; Completed; closed"),
    ("normal", "opened; hello; Completed; closed"),
    (
        "open-bad-base64",
        "broken (expected a packet from the server, got: The input is not a valid Base-64 string as it \
         contains a non-base 64 character, more than two padding characters, or an illegal \
         character among the padding characters.)",
    ),
    (
        "open-malformed",
        "broken (RUNSPACEPOOL_STATE from the server: start tag `I32` of line 1, position 21 is closed \
         by `MS` at line 1, position 46)",
    ),
    ("other-object", "opened; failed (fragments from the server: unexpected object id 9); closed"),
    ("output-after-completed", "opened; hello; Completed; closed"),
    (
        "output-malformed",
        "opened; failed (PIPELINE_OUTPUT from the server: the text ends inside `S` at line 1, position \
         10); closed",
    ),
    ("output-unknown-pipeline", "opened; hello; Completed; closed"),
    ("pool-broken", "session Broken (made up failure); session Closing; session Closed; Closed"),
    ("state-before-ack", "opened; hello; Completed; closed"),
    ("state-running", "opened; Running; hello; Completed; closed"),
    ("stderr-running", "opened; hello; Completed; closed"),
    (
        "truncated-fragment",
        "opened; failed (message from the server: the body of a message is not UTF-8); closed",
    ),
    (
        "unknown-element",
        "opened; broken (expected a packet from the server, got: An unknown element \"Hello\" was \
         received. This can happen if the remote process closed or ended abnormally.)",
    ),
    ("unknown-type", "opened; hello; Completed; closed"),
    (
        "wrong-destination",
        "opened; failed (expected a message for the client, got one for destination 2); closed",
    ),
    (
        "wrong-rpid",
        "opened; failed (expected a message of pool f2e557b2-e8d4-4cd1-b93b-5691fc63cf01, got one of \
         00000000-0000-0000-0000-000000000009); closed",
    ),
];

#[test]
fn our_client_bears_faults() {
    let mut outcomes = BTreeMap::from(OUTCOMES);
    let mut different = Vec::new();
    for (name, lines) in recordings(|name| name.starts_with("fault-s-")) {
        let outcome = outcome(&name, &lines);
        let expected = outcomes.remove(name.trim_start_matches("fault-s-"));
        if expected != Some(outcome.as_str()) {
            different.push(format!("{name}:\n  expected {expected:?}\n  got      {outcome:?}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert!(outcomes.is_empty(), "no recordings: {outcomes:?}");
}
