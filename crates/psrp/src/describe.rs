//! Messages as text for people, with the specification's names. Secrets are not shown.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use hop_clixml::{Value, describe as tree};
use uuid::Uuid;

use crate::body::{self, CreatePipeline, HostCall, PipelineStateInfo, PoolStateInfo};
use crate::fragment::{Defragmenter, Header};
use crate::stdio::Packet;
use crate::{Limits, Message, MessageType, Target};

/// Longest message that is put together, in bytes.
const MAX_MESSAGE: usize = 64 << 20;
/// Blanks before a message's body.
const INDENT: usize = 4;

/// One message.
pub fn message(message: &Message) -> String {
    let name =
        message.message_type.name().map_or_else(|| format!("{:08X}", message.message_type.0), str::to_owned);
    let end = match message.destination {
        1 => "to the client".to_owned(),
        2 => "to the server".to_owned(),
        other => format!("to destination {other}"),
    };
    let mut text = format!("{name} {end}");
    for (what, id) in [("pool", message.pool), ("pipeline", message.pipeline)] {
        if id != Uuid::nil() {
            let _ = write!(text, ", {what} {id}");
        }
    }
    text.push('\n');
    if message.data.is_empty() {
        return text;
    }
    if message.message_type == MessageType::ENCRYPTED_SESSION_KEY {
        text.push_str("    [session key, masked]\n");
        return text;
    }
    match body::parse(&message.data, &Limits::default().clixml) {
        Ok(value) => text.push_str(&body_text(message.message_type, &value)),
        Err(error) => {
            let _ = writeln!(text, "    unreadable body: {error}");
        }
    }
    text
}

fn body_text(kind: MessageType, value: &Value) -> String {
    let mut text = String::new();
    match kind {
        MessageType::CREATE_PIPELINE => {
            if let Ok(pipeline) = CreatePipeline::from_value(value) {
                return commands(&pipeline);
            }
        }
        MessageType::PIPELINE_STATE => {
            if let Ok(info) = PipelineStateInfo::from_value(value) {
                let _ = writeln!(text, "    state {:?}", info.state);
                if let Some(error) = &info.error {
                    error_text(&mut text, error);
                }
                return text;
            }
        }
        MessageType::RUNSPACEPOOL_STATE => {
            if let Ok(info) = PoolStateInfo::from_value(value) {
                let _ = writeln!(text, "    state {:?}", info.state);
                return text;
            }
        }
        MessageType::ERROR_RECORD => {
            error_text(&mut text, &body::ErrorRecord::from_value(value));
            return text;
        }
        MessageType::PIPELINE_HOST_CALL | MessageType::RUNSPACEPOOL_HOST_CALL => {
            if let Ok(call) = HostCall::from_value(value) {
                let _ = writeln!(text, "    {} (call {})", call.method.name(), call.id);
                for parameter in &call.parameters {
                    text.push_str(&tree::describe(parameter, INDENT + 2));
                }
                return text;
            }
        }
        _ => {}
    }
    tree::describe(value, INDENT)
}

fn error_text(text: &mut String, record: &body::ErrorRecord) {
    let _ = writeln!(text, "    error: {}", record.display_message().replace('\n', "\n           "));
    let _ = writeln!(text, "    id: {}", record.fully_qualified_error_id);
}

/// Commands with their arguments, as one would type them.
fn commands(pipeline: &CreatePipeline) -> String {
    let mut text = String::new();
    for statement in &pipeline.statements {
        let line: Vec<String> = statement
            .iter()
            .map(|command| {
                let mut line = match command.is_script {
                    true => format!("{{{}}}", command.text.trim()),
                    false => command.text.clone(),
                };
                for argument in &command.arguments {
                    if let Some(name) = &argument.name {
                        let _ = write!(line, " -{}", name.trim_start_matches('-'));
                    }
                    let _ = write!(line, " {}", tree::brief(&argument.value));
                }
                line
            })
            .collect();
        let _ = writeln!(text, "    {}", line.join(" | ").replace('\n', "\n    "));
    }
    if !pipeline.no_input {
        text.push_str("    (takes input)\n");
    }
    text
}

/// A conversation: fragments of several messages, put together as they come.
#[derive(Debug, Default)]
pub struct Log {
    parts: BTreeMap<(bool, Target), Defragmenter>,
}

impl Log {
    /// Fragments of one side; what they complete. None if they are no fragments.
    pub fn fragments(&mut self, from_client: bool, target: Target, bytes: &[u8]) -> Option<String> {
        Header::read(bytes)?;
        let part = self.parts.entry((from_client, target)).or_insert_with(|| Defragmenter::new(MAX_MESSAGE));
        part.push(bytes);
        let mut text = String::new();
        while let Some(next) = part.next() {
            match next {
                Ok(bytes) => match Message::decode(&bytes) {
                    Ok(found) => text.push_str(&message(&found)),
                    Err(error) => {
                        let _ = writeln!(text, "unreadable message: {error}");
                    }
                },
                Err(error) => {
                    let _ = writeln!(text, "unreadable fragments: {error}");
                    self.parts.remove(&(from_client, target));
                    return Some(text);
                }
            }
        }
        if text.is_empty() {
            text.push_str("(part of a message, more follows)\n");
        }
        Some(text)
    }

    /// A line of the stdio transport. None if it is none.
    pub fn stdio_line(&mut self, from_client: bool, line: &str) -> Option<String> {
        let (packets, error) = Packet::decode(line.trim());
        if packets.is_empty() || error.is_some() {
            return None;
        }
        let mut text = String::new();
        for packet in packets {
            match &packet {
                Packet::Data { target, bytes, .. } => {
                    let inner = self.fragments(from_client, *target, bytes);
                    text.push_str(
                        &inner.unwrap_or_else(|| format!("Data of {} bytes, no fragments\n", bytes.len())),
                    );
                }
                other => {
                    let shown = other.encode();
                    let _ = writeln!(text, "{}", shown.trim());
                }
            }
        }
        Some(text)
    }
}
