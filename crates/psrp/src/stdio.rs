//! Line packets: PSRP through pipes, as PowerShell speaks it over SSH and with child processes.
//!
//! One element per line. The server acknowledges every `Data`; the client has at most one `Data` unacknowledged per
//! target, because a server may handle lines at the same time.

use std::collections::{BTreeMap, VecDeque};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use quick_xml::events::{BytesStart, Event as XmlEvent};
use quick_xml::reader::Reader;
use rand_core::CryptoRng;
use uuid::Uuid;

use crate::{Target, client, server};

/// Begins the lines by which a server reports errors on its output.
pub const ERROR_PREFIX: &str = "__NamedPipeError__:";

/// Most bytes in one `Data` of a client.
const MAX_DATA: usize = 32_768;

/// One element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    /// Fragments.
    Data {
        /// Whose.
        target: Target,
        /// The stream: `Default` or `PromptResponse`.
        stream: String,
        /// The fragments.
        bytes: Vec<u8>,
    },
    /// The answer to [`Packet::Data`].
    DataAck(Target),
    /// Announces a pipeline.
    Command(Target),
    /// The answer to [`Packet::Command`].
    CommandAck(Target),
    /// Stops a pipeline.
    Signal(Target),
    /// The answer to [`Packet::Signal`].
    SignalAck(Target),
    /// Closes a pipeline or the pool.
    Close(Target),
    /// The answer to [`Packet::Close`].
    CloseAck(Target),
}

/// A line that is no packet. The texts are PowerShell's, for they go to the peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// Something else than an element.
    #[error("{0}")]
    NotAnElement(String),
    /// White space around an element.
    #[error(
        "Cannot process an element with node type \"Whitespace\". Only Element and EndElement node types are supported."
    )]
    Whitespace,
    /// An element of another name; none in an empty line.
    #[error(
        "An unknown element \"{0}\" was received. This can happen if the remote process closed or ended abnormally."
    )]
    UnknownElement(String),
    /// Attributes that do not belong there.
    #[error("{0}")]
    Attributes(String),
    /// PSGuid is no GUID.
    #[error("Unrecognized Guid format.")]
    Guid,
    /// `Data` without text.
    #[error(
        "Node type \"EndElement\" is unknown in the Data element. Only the \"Text\" node type is expected in the Data element."
    )]
    EmptyData,
    /// The text of `Data` is no base64.
    #[error(
        "The input is not a valid Base-64 string as it contains a non-base 64 character, more than two padding characters, or an illegal character among the padding characters."
    )]
    Base64,
}

impl Packet {
    /// The line, without a line end.
    pub fn encode(&self) -> String {
        let (name, target) = match self {
            Self::Data { target, stream, bytes } => {
                let mut line = format!("<Data Stream='{stream}' PSGuid='{}'>", target.id());
                STANDARD.encode_string(bytes, &mut line);
                line.push_str("</Data>");
                return line;
            }
            Self::DataAck(target) => ("DataAck", target),
            Self::Command(target) => ("Command", target),
            Self::CommandAck(target) => ("CommandAck", target),
            Self::Signal(target) => ("Signal", target),
            Self::SignalAck(target) => ("SignalAck", target),
            Self::Close(target) => ("Close", target),
            Self::CloseAck(target) => ("CloseAck", target),
        };
        format!("<{name} PSGuid='{}' />", target.id())
    }

    /// The packets of a line (mostly one) up to the first fault.
    pub fn decode(line: &str) -> (Vec<Self>, Option<PacketError>) {
        let mut packets = Vec::new();
        let error = decode(line, &mut packets).err();
        (packets, error)
    }
}

fn decode(line: &str, packets: &mut Vec<Packet>) -> Result<(), PacketError> {
    let line = line.strip_prefix('\u{FEFF}').unwrap_or(line);
    let line = line.strip_suffix('\n').unwrap_or(line);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(PacketError::UnknownElement(String::new()));
    }
    let other = || PacketError::NotAnElement(line.to_owned());
    let mut reader = Reader::from_str(line);
    loop {
        let (start, text) = match reader.read_event().map_err(|_| other())? {
            XmlEvent::Eof => return Ok(()),
            XmlEvent::Comment(_) => continue,
            XmlEvent::Empty(start) => (start, None),
            XmlEvent::Start(start) => match reader.read_event().map_err(|_| other())? {
                XmlEvent::End(_) => (start, None),
                XmlEvent::Text(text) => match reader.read_event().map_err(|_| other())? {
                    XmlEvent::End(_) => (start, Some(text)),
                    _ => return Err(other()),
                },
                _ => return Err(other()),
            },
            XmlEvent::Text(text) if text.trim().is_empty() => return Err(PacketError::Whitespace),
            _ => return Err(other()),
        };
        packets.push(packet(&start, text.as_deref())?);
    }
}

fn packet(start: &BytesStart<'_>, text: Option<&str>) -> Result<Packet, PacketError> {
    let name = start.name();
    let name = name.as_ref();
    let known = ["Data", "DataAck", "Command", "CommandAck", "Signal", "SignalAck", "Close", "CloseAck"];
    if !known.contains(&name) {
        return Err(PacketError::UnknownElement(name.to_owned()));
    }
    let is_data = name == "Data";
    let wrong = || {
        PacketError::Attributes(if is_data {
            "Expected only two attributes with the names \"Stream\" and \"PSGuid\" in the Data element."
                .to_owned()
        } else {
            format!("Expected only one attribute with the name \"PSGuid\" in the {name} element.")
        })
    };
    let (mut stream, mut id, mut count) = (None, None, 0);
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|_| wrong())?;
        count += 1;
        match attribute.key.as_ref() {
            "Stream" => stream = Some(attribute.value.into_owned()),
            "PSGuid" => id = Some(attribute.value.into_owned()),
            _ => return Err(wrong()),
        }
    }
    if count != 1 + usize::from(is_data) || stream.is_some() != is_data {
        return Err(wrong());
    }
    let id = Uuid::try_parse(id.ok_or_else(wrong)?.trim()).map_err(|_| PacketError::Guid)?;
    let target = Target::from_id(id);
    Ok(match name {
        "Data" => {
            let text = text.ok_or(PacketError::EmptyData)?;
            let bytes = match STANDARD.decode(text) {
                Ok(bytes) => bytes,
                Err(_) => {
                    let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
                    STANDARD.decode(compact).map_err(|_| PacketError::Base64)?
                }
            };
            Packet::Data { target, stream: stream.unwrap_or_default(), bytes }
        }
        "DataAck" => Packet::DataAck(target),
        "Command" => Packet::Command(target),
        "CommandAck" => Packet::CommandAck(target),
        "Signal" => Packet::Signal(target),
        "SignalAck" => Packet::SignalAck(target),
        "Close" => Packet::Close(target),
        _ => Packet::CloseAck(target),
    })
}

/// A server's end of the lines around its pool.
///
/// Lines go in by [`handle_line`](Self::handle_line), lines to write come out of [`poll_line`](Self::poll_line);
/// between the two the engine works on [`pool`](Self::pool).
#[derive(Debug)]
pub struct ServerSession {
    /// The pool: its events must be served.
    pub pool: server::RunspacePool,
    lines: VecDeque<String>,
    ended: bool,
}

impl ServerSession {
    /// A session that waits for its client.
    pub fn new(pool: server::RunspacePool) -> Self {
        Self { pool, lines: VecDeque::new(), ended: false }
    }

    /// Whether the process has to end now, after the lines are written. PowerShell's exit code is then 160.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The next line to write, without a line end.
    pub fn poll_line(&mut self) -> Option<String> {
        self.collect();
        self.lines.pop_front()
    }

    /// A line from the client, with or without its end.
    pub fn handle_line(&mut self, line: &str, rng: &mut dyn CryptoRng) {
        let (packets, error) = Packet::decode(line);
        for packet in packets {
            if self.ended {
                return;
            }
            match packet {
                Packet::Data { target, bytes, .. } => {
                    self.pool.handle_data(target, &bytes, rng);
                    self.collect();
                    if !self.ended {
                        self.lines.push_back(Packet::DataAck(target).encode());
                    }
                }
                Packet::Command(target) => self.pool.handle_command(target),
                Packet::Signal(target) => self.pool.handle_signal(target),
                Packet::Close(target) => self.pool.handle_close(target),
                Packet::DataAck(_) => self.fail(&PacketError::UnknownElement("DataAck".to_owned())),
                Packet::CommandAck(_) => self.fail(&PacketError::UnknownElement("CommandAck".to_owned())),
                Packet::SignalAck(_) => self.fail(&PacketError::UnknownElement("SignalAck".to_owned())),
                Packet::CloseAck(_) => self.fail(&PacketError::UnknownElement("CloseAck".to_owned())),
            }
            self.collect();
        }
        match error {
            Some(PacketError::UnknownElement(name)) if name.is_empty() => self.handle_end(),
            Some(error) => self.fail(&error),
            None => {}
        }
    }

    /// The client's end of the pipe is closed.
    pub fn handle_end(&mut self) {
        if !self.ended {
            self.pool.handle_end();
            self.collect();
            self.fail(&PacketError::UnknownElement(String::new()));
        }
    }

    fn fail(&mut self, error: &PacketError) {
        self.lines.push_back(format!("{ERROR_PREFIX}{error}"));
        self.ended = true;
    }

    fn collect(&mut self) {
        while let Some(output) = self.pool.poll_output() {
            if self.ended {
                continue;
            }
            let line = match output {
                server::Output::Data(target, bytes) => {
                    Packet::Data { target, stream: "Default".to_owned(), bytes }.encode()
                }
                server::Output::CommandAck(target) => Packet::CommandAck(target).encode(),
                server::Output::SignalAck(id) => Packet::SignalAck(Target::Pipeline(id)).encode(),
                server::Output::CloseAck(target) => Packet::CloseAck(target).encode(),
                server::Output::MessageError(text) => format!("{ERROR_PREFIX}Remote transport error: {text}"),
                server::Output::Fatal(text) => {
                    self.ended = true;
                    format!("{ERROR_PREFIX}{text}")
                }
            };
            self.lines.push_back(line);
        }
    }
}

/// A server that cannot be spoken to any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The server has written something else than packets.
    #[error("expected a packet from the server, got: {0}")]
    Garbage(String),
    /// The server has reported an error.
    #[error("the server reported: {0}")]
    Reported(String),
    /// The server's messages for the pool cannot be read.
    #[error(transparent)]
    Protocol(#[from] client::ProtocolError),
    /// The server has gone.
    #[error("the server ended before the session was closed")]
    Ended,
}

/// A client's end of the lines around its pool.
#[derive(Debug)]
pub struct ClientSession {
    /// The pool: to be told what to do, and its events served.
    pub pool: client::RunspacePool,
    queues: BTreeMap<Target, Queue>,
    lines: VecDeque<String>,
    closed: bool,
}

#[derive(Debug, Default)]
struct Queue {
    /// `Command` is not acknowledged yet.
    announced: bool,
    /// `Data` is not acknowledged yet.
    sent: bool,
    /// Bytes of one stream each.
    pending: VecDeque<(bool, Vec<u8>)>,
    /// What to send after the bytes.
    after: VecDeque<Packet>,
}

impl ClientSession {
    /// A session around a pool; call [`client::RunspacePool::open`] to begin.
    pub fn new(pool: client::RunspacePool) -> Self {
        Self { pool, queues: BTreeMap::new(), lines: VecDeque::new(), closed: false }
    }

    /// Whether the pool was closed and acknowledged: the pipe may be closed.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// The next line to write, without a line end.
    pub fn poll_line(&mut self) -> Option<String> {
        while let Some(output) = self.pool.poll_output() {
            match output {
                client::Output::Command(id) => {
                    let target = Target::Pipeline(id);
                    self.queues.entry(target).or_default().announced = true;
                    self.lines.push_back(Packet::Command(target).encode());
                }
                client::Output::Data { target, prompt_response, bytes } => {
                    let queue = self.queues.entry(target).or_default();
                    match queue.pending.back_mut().filter(|(prompt, _)| *prompt == prompt_response) {
                        Some((_, pending)) => pending.extend(bytes),
                        None => queue.pending.push_back((prompt_response, bytes)),
                    }
                    self.pump(target);
                }
                // A stop must not wait behind input that nobody reads.
                client::Output::Signal(id) => {
                    let target = Target::Pipeline(id);
                    let queue = self.queues.entry(target).or_default();
                    if queue.announced {
                        queue.after.push_back(Packet::Signal(target));
                    } else {
                        self.lines.push_back(Packet::Signal(target).encode());
                    }
                }
                client::Output::Close(target) => {
                    let queue = self.queues.entry(target).or_default();
                    queue.pending.clear();
                    if queue.announced {
                        queue.after.push_back(Packet::Close(target));
                    } else {
                        self.lines.push_back(Packet::Close(target).encode());
                    }
                }
            }
        }
        self.lines.pop_front()
    }

    fn pump(&mut self, target: Target) {
        let Some(queue) = self.queues.get_mut(&target) else { return };
        if queue.announced || queue.sent {
            return;
        }
        let Some((prompt, bytes)) = queue.pending.front_mut() else { return };
        let rest = bytes.split_off(bytes.len().min(MAX_DATA));
        let stream = if *prompt { "PromptResponse" } else { "Default" }.to_owned();
        let packet = Packet::Data { target, stream, bytes: std::mem::replace(bytes, rest) };
        if bytes.is_empty() {
            queue.pending.pop_front();
        }
        queue.sent = true;
        self.lines.push_back(packet.encode());
    }

    /// A line from the server, with or without its end.
    ///
    /// # Errors
    /// If the session cannot go on.
    pub fn handle_line(&mut self, line: &str) -> Result<(), SessionError> {
        if let Some(text) = line.strip_prefix(ERROR_PREFIX) {
            return Err(SessionError::Reported(text.trim_end().to_owned()));
        }
        let (packets, error) = Packet::decode(line);
        for packet in packets {
            match packet {
                Packet::Data { target, bytes, .. } => self.pool.handle_data(target, &bytes)?,
                Packet::DataAck(target) => {
                    if let Some(queue) = self.queues.get_mut(&target) {
                        queue.sent = false;
                    }
                    self.pump(target);
                }
                Packet::CommandAck(target) => {
                    if let Some(queue) = self.queues.get_mut(&target) {
                        queue.announced = false;
                        let after: Vec<Packet> = queue.after.drain(..).collect();
                        self.pump(target);
                        self.lines.extend(after.iter().map(Packet::encode));
                    }
                }
                Packet::SignalAck(_) => {}
                Packet::CloseAck(target) => {
                    self.queues.remove(&target);
                    self.closed |= target == Target::Pool;
                    self.pool.handle_closed(target);
                }
                Packet::Command(_) | Packet::Signal(_) | Packet::Close(_) => {
                    let name: String = line.chars().take(200).collect();
                    return Err(SessionError::Garbage(name));
                }
            }
        }
        match error {
            None => Ok(()),
            Some(PacketError::NotAnElement(text)) => {
                Err(SessionError::Garbage(text.chars().take(200).collect()))
            }
            Some(error) => Err(SessionError::Garbage(error.to_string())),
        }
    }

    /// The server's end of the pipe is closed.
    ///
    /// # Errors
    /// If the session was not closed before.
    pub fn handle_end(&mut self) -> Result<(), SessionError> {
        if self.closed { Ok(()) } else { Err(SessionError::Ended) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const G: &str = "0c836a49-3d23-45a0-84ad-a9f8a3344368";

    #[test]
    fn other_spellings_mean_the_same() {
        let target = Target::from_id(G.parse().unwrap());
        let upper = G.to_uppercase();
        let plain = G.replace('-', "");
        for line in [
            format!("<Signal PSGuid='{G}' />"),
            format!("<Signal PSGuid=\"{upper}\"></Signal>\r\n"),
            format!("<!-- c --><Signal   PSGuid = '{{{G}}}'  />"),
            format!("\u{FEFF}<Signal PSGuid='{plain}'/>"),
        ] {
            assert_eq!(Packet::decode(&line), (vec![Packet::Signal(target)], None), "{line}");
        }
        let data = Packet::Data { target, stream: "Default".into(), bytes: vec![1, 2, 3] };
        assert_eq!(Packet::decode(&data.encode()), (vec![data.clone()], None));
        let other = format!("<Data PSGuid='{G}' Stream='Default'>A Q\tID</Data>");
        assert_eq!(Packet::decode(&other), (vec![data], None));
    }

    #[test]
    fn faults_have_powershell_texts() {
        for (line, text) in [
            (" <Signal PSGuid='0' />".to_owned(), "node type \"Whitespace\""),
            ("hello".to_owned(), "hello"),
            (String::new(), "unknown element \"\""),
            ("<signal PSGuid='0' />".to_owned(), "unknown element \"signal\""),
            ("<Signal />".to_owned(), "Expected only one attribute"),
            ("<Signal PSGuid='x' />".to_owned(), "Unrecognized Guid"),
            (format!("<Data Stream='Default' PSGuid='{G}'></Data>"), "\"EndElement\""),
            (format!("<Data Stream='Default' PSGuid='{G}'>!</Data>"), "Base-64"),
        ] {
            let (packets, error) = Packet::decode(&line);
            assert!(packets.is_empty());
            assert!(error.unwrap().to_string().contains(text), "{line}");
        }
    }
}
