//! Our server end with the recorded clients.

use std::collections::BTreeMap;

use hop_psrp::clixml::Value;
use hop_psrp::fragment::Defragmenter;
use hop_psrp::stdio::{ERROR_PREFIX, Packet, ServerSession};
use hop_psrp::{Limits, Message, MessageType, Target, Uuid, body, server};
use rand::rngs::ThreadRng;

use crate::{Line, completed, good, messages, recordings};

/// What our server answers to a recorded client, with an engine that plays back the recorded results.
fn answers(lines: &[Line]) -> Vec<String> {
    let table = body::version_table("7.6.5", "Linux");
    let mut session = ServerSession::new(server::RunspacePool::new(Limits::default(), table));
    let mut results: BTreeMap<Uuid, Vec<Message>> = BTreeMap::new();
    for message in messages(lines.iter().filter(|l| !l.client).map(|l| l.text.as_str())) {
        results.entry(message.pipeline).or_default().push(message);
    }
    let mut out = Vec::new();
    let mut rng = rand::rng();
    for line in lines.iter().filter(|l| l.client) {
        session.handle_line(&line.text, &mut rng);
        play(&mut session, &results, &mut rng);
        while let Some(line) = session.poll_line() {
            out.push(line);
        }
    }
    session.handle_end();
    while let Some(line) = session.poll_line() {
        out.push(line);
    }
    out
}

fn play(session: &mut ServerSession, results: &BTreeMap<Uuid, Vec<Message>>, rng: &mut ThreadRng) {
    while let Some(event) = session.pool.poll_event() {
        let (server::Event::Run { id, .. }
        | server::Event::CommandMetadata { id, .. }
        | server::Event::Stop(id)) = event
        else {
            continue;
        };
        let stopping = matches!(event, server::Event::Stop(_));
        for message in results.get(&id).into_iter().flatten() {
            let value = body::parse(&message.data, &Limits::default().clixml).unwrap_or_default();
            match message.message_type {
                MessageType::PIPELINE_OUTPUT if !stopping => {
                    if matches!(value, Value::SecureString(_)) {
                        session.pool.prepare_secure_string(rng);
                    }
                    session.pool.send_output(id, &value);
                }
                MessageType::PIPELINE_STATE => {
                    let info = body::PipelineStateInfo::from_value(&value).unwrap();
                    // A pipeline that was stopped ran until then.
                    if stopping || info.state != body::PipelineState::Stopped {
                        session.pool.finish(id, info);
                    }
                }
                _ => {}
            }
        }
    }
}

/// What a server says, line by line: whom it is about (None: an error line) and its kind or text.
fn said<'l>(lines: impl Iterator<Item = &'l str>) -> Vec<(Option<Target>, String)> {
    let mut parts: BTreeMap<Target, Defragmenter> = BTreeMap::new();
    let mut out = Vec::new();
    for line in lines {
        if let Some(text) = line.strip_prefix(ERROR_PREFIX) {
            // PowerShell writes a stack trace behind some texts.
            out.push((None, text.split("   at ").next().unwrap().to_owned()));
            continue;
        }
        if line.starts_with("   at ") {
            continue;
        }
        let (packets, error) = Packet::decode(line);
        assert_eq!(error, None, "{line}");
        for packet in packets {
            let (name, target) = match packet {
                Packet::Data { target, bytes, .. } => {
                    let messages = completed(&mut parts, target, &bytes).into_iter();
                    out.extend(messages.map(|m| (Some(target), m.unwrap().message_type.to_string())));
                    continue;
                }
                Packet::DataAck(target) => (DATA_ACK, target),
                Packet::CommandAck(target) => ("CommandAck", target),
                Packet::SignalAck(target) => ("SignalAck", target),
                Packet::CloseAck(target) => ("CloseAck", target),
                other => panic!("{other:?} from a server"),
            };
            out.push((Some(target), name.to_owned()));
        }
    }
    out
}

const DATA_ACK: &str = "DataAck";

/// Per target, and without what the engine alone decides: only its output and states are played back.
fn by_target(said: Vec<(Option<Target>, String)>) -> BTreeMap<Option<Target>, (Vec<String>, usize)> {
    let mut out: BTreeMap<Option<Target>, (Vec<String>, usize)> = BTreeMap::new();
    for (target, what) in said {
        let (list, acknowledged) = out.entry(target).or_default();
        let of_pipeline = matches!(target, Some(Target::Pipeline(_)));
        if what == DATA_ACK {
            // It may stand before or after the engine's output.
            *acknowledged += 1;
        } else if what != "USER_EVENT"
            && (!of_pipeline
                || what.ends_with("Ack")
                || ["PIPELINE_OUTPUT", "PIPELINE_STATE"].contains(&what.as_str()))
        {
            list.push(what);
        }
    }
    out
}

/// Good sessions in which the two servers must differ, and why.
const EXPECTED: [(&str, &str); 5] = [
    ("configuration-missing", "the recorded server was told to use a configuration that does not exist"),
    ("host-refuses", "the recording ends when the client was killed, between two lines"),
    ("server-exits-itself", "the recorded server ended its own process"),
    ("server-killed", "the recorded server was killed"),
    ("stop-during-host-call", "PowerShell acknowledges the close before it has stopped; we stop first"),
];

#[test]
fn our_server_answers_a_recorded_client_as_powershell_does() {
    check(good, &EXPECTED, by_target);
}

/// Faults after which the two servers differ, and why.
const EXPECTED_FAULTS: [(&str, &str); 4] = [
    ("fault-c-capability-missing-field", "the text names the build, and ours is another"),
    (
        "fault-c-command-nil",
        "PowerShell takes the nil id for a pipeline's and waits for its close before it closes the session; the \
         nil id is the session's, which is not created by a command",
    ),
    (
        "fault-c-create-wrong-rpid",
        "PowerShell never acknowledges the close of a session that it has ended by itself while a pipeline was \
         open; we do",
    ),
    (
        "fault-c-input-not-waiting",
        "PowerShell handles lines at the same time and loses input; we keep their order and lose none",
    ),
];

/// All in one order, and the pipelines' messages apart.
type Ordered = (Vec<(Option<Target>, String)>, BTreeMap<Target, Vec<String>>);

fn in_order(said: Vec<(Option<Target>, String)>) -> Ordered {
    let mut out = Ordered::default();
    for (target, what) in said {
        match target {
            Some(target @ Target::Pipeline(_)) if !what.ends_with("Ack") => {
                out.1.entry(target).or_default().push(what);
            }
            _ => out.0.push((target, what)),
        }
    }
    out
}

#[test]
fn our_server_bears_faults_as_powershell_does() {
    check(|name| name.starts_with("fault-c-"), &EXPECTED_FAULTS, in_order);
}

fn check<T: PartialEq + std::fmt::Debug>(
    wanted: fn(&str) -> bool,
    expected: &[(&str, &str)],
    view: fn(Vec<(Option<Target>, String)>) -> T,
) {
    let mut different = Vec::new();
    let mut found = 0;
    for (name, lines) in recordings(wanted) {
        let ours = view(said(answers(&lines).iter().map(String::as_str)));
        let theirs = view(said(lines.iter().filter(|l| !l.client).map(|l| l.text.as_str())));
        if expected.iter().any(|(other, _)| *other == name) {
            found += 1;
            assert!(ours != theirs, "{name} is the same by now: take it out of the list");
        } else if ours != theirs {
            different.push(format!("{name}:\n  ours   {ours:?}\n  theirs {theirs:?}"));
        }
    }
    assert_eq!(found, expected.len(), "a name in the list is no recording's");
    assert!(different.is_empty(), "{} of them:\n{}", different.len(), different.join("\n"));
}
