//! WS-Management envelopes, with the PSRP inside them.

use std::fmt::Write as _;

use hop_psrp::Target;
use hop_psrp::describe::Log;
use hop_wsman::envelope::{Envelope, Header, Limits};
use hop_wsman::{Operation, OperationResponse, Stream};

const END: &str = "Envelope>";

/// All envelopes in a capture, whatever stands between them.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut log = Log::default();
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = next_start(rest) {
        let from = rest.get(start..)?;
        // The end tag: the second place where the element's name ends.
        let end = from
            .match_indices(END)
            .nth(usize::from(from.get(..200).is_some_and(|h| h.contains(END))))
            .or_else(|| from.match_indices(END).next())
            .map_or(from.len(), |(at, _)| at + END.len());
        one(from.get(..end)?.as_bytes(), &mut log, &mut out);
        rest = from.get(end..)?;
    }
    (!out.is_empty()).then_some(out)
}

/// Where the next envelope's start tag is.
fn next_start(text: &str) -> Option<usize> {
    let at = text.find("Envelope ").or_else(|| text.find("Envelope>"))?;
    text.get(..at)?.rfind('<').filter(|open| at - open < 20)
}

fn one(bytes: &[u8], log: &mut Log, out: &mut String) {
    let limits = Limits::default();
    match Envelope::<Operation>::parse(bytes, &limits) {
        Ok(envelope) => request(&envelope, log, out),
        Err(first) => match Envelope::<Result<OperationResponse, hop_wsman::Fault>>::parse(bytes, &limits) {
            Ok(envelope) => response(&envelope, log, out),
            Err(_) => {
                let _ = writeln!(out, "unreadable envelope: {}", first.error);
            }
        },
    }
}

fn request(envelope: &Envelope<Operation>, log: &mut Log, out: &mut String) {
    let (name, detail): (&str, String) = match &envelope.body {
        Operation::Identify => ("Identify", String::new()),
        Operation::Create(create) => ("Create", create.name.clone().unwrap_or_default()),
        Operation::Command(line) => ("Command", format!("{} {}", line.command, line.arguments.len())),
        Operation::Send(_) => ("Send", String::new()),
        Operation::Receive { streams, .. } => ("Receive", streams.join(" ")),
        Operation::Signal { signal, .. } => ("Signal", format!("{signal:?}")),
        Operation::Delete => ("Delete", String::new()),
        other => ("", format!("{other:?}")),
    };
    let _ = writeln!(out, "request {name} {}", detail.trim());
    header(&envelope.header, out);
    match &envelope.body {
        Operation::Create(create) => {
            if let Some(opening) = &create.creation_xml {
                inner(true, Target::Pool, opening, log, out);
            }
        }
        Operation::Command(line) => {
            if let Ok(fragments) = line.fragments() {
                inner(true, Target::Pool, &fragments, log, out);
            }
        }
        Operation::Send(pieces) => streams(true, pieces, log, out),
        _ => {}
    }
}

fn response(
    envelope: &Envelope<Result<OperationResponse, hop_wsman::Fault>>,
    log: &mut Log,
    out: &mut String,
) {
    match &envelope.body {
        Err(fault) => {
            let name = fault.code.name().unwrap_or("unknown");
            let _ = writeln!(out, "fault {} ({name}): {fault}", fault.code.0);
        }
        Ok(OperationResponse::Receive(received)) => {
            let state =
                received.state.as_ref().map(|state| format!(", command {state:?}")).unwrap_or_default();
            let _ = writeln!(out, "answer to Receive{state}");
            streams(false, &received.streams, log, out);
        }
        Ok(OperationResponse::Create(create)) => {
            let _ = writeln!(out, "answer to Create: shell {}", create.shell_id);
        }
        Ok(OperationResponse::Command(id)) => {
            let _ = writeln!(out, "answer to Command: command {id}");
        }
        Ok(other) => {
            let _ = writeln!(out, "answer: {other:?}");
        }
    }
}

fn header(header: &Header, out: &mut String) {
    for (name, value) in [("to", &header.to), ("resource", &header.resource_uri)] {
        if let Some(value) = value {
            let _ = writeln!(out, "  {name} {value}");
        }
    }
    for selector in header.selectors.iter().chain(&header.options) {
        let _ = writeln!(out, "  {} = {}", selector.name, selector.value);
    }
}

fn streams(from_client: bool, pieces: &[Stream], log: &mut Log, out: &mut String) {
    for piece in pieces {
        let command = piece.command.map(|id| format!(" of command {id}")).unwrap_or_default();
        let _ = writeln!(out, "  stream {}{command}, {} bytes", piece.name, piece.data.len());
        let target = piece.command.map_or(Target::Pool, |id| Target::Pipeline(id.uuid()));
        inner(from_client, target, &piece.data, log, out);
    }
}

/// PSRP, or the text of a command shell.
fn inner(from_client: bool, target: Target, bytes: &[u8], log: &mut Log, out: &mut String) {
    if bytes.is_empty() {
        return;
    }
    let text = match log.fragments(from_client, target, bytes) {
        Some(text) => text,
        None => String::from_utf8_lossy(bytes).chars().take(2000).collect(),
    };
    for line in text.lines() {
        let _ = writeln!(out, "    {line}");
    }
}
