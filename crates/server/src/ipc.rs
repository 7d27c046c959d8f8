//! What the network process and the monitor say to each other: few, typed messages over a sequenced-packet socket.
//!
//! One packet is one message: a tag byte and the fields in order, numbers little-endian, strings and byte strings
//! with a four-byte length. File descriptors travel beside the packet, never numbers of descriptors inside it.
//! Both ends treat the other as a stranger: every length is checked, trailing bytes are an error.

use hop_secret::SecretBytes;

use crate::config::NetworkSettings;

/// Largest packet in bytes; a bigger one ends the connection between the processes.
pub(crate) const MAX_PACKET: usize = 160 * 1024;
/// Largest security token taken, in bytes: an AP-REQ with a big PAC and a forwarded ticket with the same PAC.
pub(crate) const MAX_TOKEN: usize = 128 * 1024;
/// Most items in a list (arguments, variables).
const MAX_ITEMS: usize = 4096;

/// An authenticated peer, named by the monitor.
pub(crate) type IdentityId = u64;
/// One shell: a private directory with the credentials of its owner.
pub(crate) type SessionId = u64;
/// One child process of a session.
pub(crate) type ProcessId = u64;

/// What the network process may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    /// Accept this GSS-API token (an AP-REQ) for the channel with these bindings.
    Accept { token: Vec<u8>, bindings: Option<Vec<u8>>, peer: String },
    /// The connection that authenticated as this identity has ended.
    Release { identity: IdentityId },
    /// Open a session for an identity that authenticated.
    Open { identity: IdentityId },
    /// End the session: its processes and its credentials.
    Close { session: SessionId },
    /// Start a process in a session.
    Spawn {
        session: SessionId,
        program: Program,
        environment: Vec<(String, String)>,
        directory: Option<String>,
    },
    /// Signal a process of a session and what it started.
    Signal { process: ProcessId, signal: Signal },
}

/// What a session process runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Program {
    /// The PowerShell of the configuration, speaking PSRP on stdin and stdout.
    PowerShell,
    /// A command line for `/bin/sh -c`.
    Shell { line: String },
    /// A program found on PATH, without a shell.
    Direct { program: String, arguments: Vec<String> },
}

/// The signals a client can cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGKILL.
    Kill,
}

/// What the monitor says.
#[derive(Debug)]
pub(crate) enum Reply {
    /// First message: settings; the listening sockets travel beside it.
    Start { settings: NetworkSettings, user: Option<(u32, u32)> },
    /// The token was good.
    Accepted(Box<Accepted>),
    /// The token was not good, or its owner may not use this server.
    Refused { reply: Option<Vec<u8>>, denied: bool, reason: String },
    /// The session is open.
    Opened { session: SessionId },
    /// The process runs; stdin, stdout and stderr travel beside it.
    Spawned { process: ProcessId },
    /// The request could not be met.
    Failed { reason: String },
    /// Done, for requests with nothing more to say.
    Done,
    /// A process ended: exit code, or the number of the signal that killed it.
    Exited { process: ProcessId, code: Option<i32>, signal: Option<i32> },
    /// The server is to stop: close everything in good order.
    Stop,
}

/// An accepted security context.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub identity: IdentityId,
    /// The established context, as the Kerberos crate exports it.
    pub context: SecretBytes,
    /// The AP-REP token, if the client asked for mutual authentication.
    pub reply: Option<Vec<u8>>,
    /// The client's principal.
    pub client: String,
    /// The local user it maps to.
    pub user: String,
    /// Stable code of how the session can make a second hop.
    pub delegation: String,
}

/// A message with its number; answers carry the number of their request, messages of the monitor's own carry 0.
#[derive(Debug)]
pub(crate) struct Numbered<T> {
    pub number: u32,
    pub message: T,
}

/// A packet that is no message.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum IpcError {
    #[error("message ends early")]
    Truncated,
    #[error("{0} bytes after the end of the message")]
    Trailing(usize),
    #[error("unknown {what} {tag}")]
    UnknownTag { what: &'static str, tag: u8 },
    #[error("{what} of {length} is longer than {limit}")]
    TooLong { what: &'static str, length: usize, limit: usize },
    #[error("string is not UTF-8")]
    NotUtf8,
}

impl Numbered<Request> {
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(self.number);
        match &self.message {
            Request::Accept { token, bindings, peer } => {
                w.tag(1).bytes(token).optional(bindings.as_deref(), Writer::bytes).text(peer);
            }
            Request::Release { identity } => {
                w.tag(2).u64(*identity);
            }
            Request::Open { identity } => {
                w.tag(3).u64(*identity);
            }
            Request::Close { session } => {
                w.tag(4).u64(*session);
            }
            Request::Spawn { session, program, environment, directory } => {
                w.tag(5).u64(*session);
                match program {
                    Program::PowerShell => w.tag(1),
                    Program::Shell { line } => w.tag(2).text(line),
                    Program::Direct { program, arguments } => {
                        w.tag(3).text(program).list(arguments, |w, a| {
                            w.text(a);
                        })
                    }
                };
                w.list(environment, |w, (name, value)| {
                    w.text(name).text(value);
                });
                w.optional(directory.as_deref(), Writer::text);
            }
            Request::Signal { process, signal } => {
                let signal = match signal {
                    Signal::Interrupt => 1,
                    Signal::Terminate => 2,
                    Signal::Kill => 3,
                };
                w.tag(6).u64(*process).tag(signal);
            }
        }
        w.bytes
    }

    pub fn decode(packet: &[u8]) -> Result<Self, IpcError> {
        let mut r = Reader { rest: packet };
        let number = r.u32()?;
        let message = match r.tag()? {
            1 => Request::Accept {
                token: r.bytes("token", MAX_TOKEN)?.to_vec(),
                bindings: r.optional(|r| Ok(r.bytes("channel bindings", 1024)?.to_vec()))?,
                peer: r.text("peer address", 256)?,
            },
            2 => Request::Release { identity: r.u64()? },
            3 => Request::Open { identity: r.u64()? },
            4 => Request::Close { session: r.u64()? },
            5 => Request::Spawn {
                session: r.u64()?,
                program: match r.tag()? {
                    1 => Program::PowerShell,
                    2 => Program::Shell { line: r.text("command line", MAX_TOKEN)? },
                    3 => Program::Direct {
                        program: r.text("program", 4096)?,
                        arguments: r.list(|r| r.text("argument", MAX_TOKEN))?,
                    },
                    tag => return Err(IpcError::UnknownTag { what: "program", tag }),
                },
                environment: r.list(|r| Ok((r.text("variable", 1024)?, r.text("value", MAX_TOKEN)?)))?,
                directory: r.optional(|r| r.text("directory", 4096))?,
            },
            6 => Request::Signal {
                process: r.u64()?,
                signal: match r.tag()? {
                    1 => Signal::Interrupt,
                    2 => Signal::Terminate,
                    3 => Signal::Kill,
                    tag => return Err(IpcError::UnknownTag { what: "signal", tag }),
                },
            },
            tag => return Err(IpcError::UnknownTag { what: "request", tag }),
        };
        r.end()?;
        Ok(Self { number, message })
    }
}

impl Numbered<Reply> {
    pub fn encode(&self) -> SecretBytes {
        let mut w = Writer::new(self.number);
        match &self.message {
            Reply::Start { settings, user } => {
                w.tag(1).u32(settings.max_envelope_size).u32(settings.max_connections);
                w.u32(settings.max_shells_per_user).u32(settings.max_processes_per_shell);
                w.u64(settings.idle_timeout_ms).u64(settings.max_timeout_ms);
                w.optional(*user, |w, (uid, gid)| w.u32(uid).u32(gid));
            }
            Reply::Accepted(a) => {
                w.tag(2)
                    .u64(a.identity)
                    .bytes(a.context.expose())
                    .optional(a.reply.as_deref(), Writer::bytes);
                w.text(&a.client).text(&a.user).text(&a.delegation);
            }
            Reply::Refused { reply, denied, reason } => {
                w.tag(3).optional(reply.as_deref(), Writer::bytes).tag(u8::from(*denied)).text(reason);
            }
            Reply::Opened { session } => {
                w.tag(4).u64(*session);
            }
            Reply::Spawned { process } => {
                w.tag(5).u64(*process);
            }
            Reply::Failed { reason } => {
                w.tag(6).text(reason);
            }
            Reply::Done => {
                w.tag(7);
            }
            Reply::Exited { process, code, signal } => {
                w.tag(8).u64(*process);
                w.optional(*code, |w, c| w.u32(c.cast_unsigned()));
                w.optional(*signal, |w, s| w.u32(s.cast_unsigned()));
            }
            Reply::Stop => {
                w.tag(9);
            }
        }
        SecretBytes::new(w.bytes)
    }

    pub fn decode(packet: &[u8]) -> Result<Self, IpcError> {
        let mut r = Reader { rest: packet };
        let number = r.u32()?;
        let message = match r.tag()? {
            1 => Reply::Start {
                settings: NetworkSettings {
                    max_envelope_size: r.u32()?,
                    max_connections: r.u32()?,
                    max_shells_per_user: r.u32()?,
                    max_processes_per_shell: r.u32()?,
                    idle_timeout_ms: r.u64()?,
                    max_timeout_ms: r.u64()?,
                },
                user: r.optional(|r| Ok((r.u32()?, r.u32()?)))?,
            },
            2 => Reply::Accepted(Box::new(Accepted {
                identity: r.u64()?,
                context: SecretBytes::from(r.bytes("context", 4096)?),
                reply: r.optional(|r| Ok(r.bytes("token", MAX_TOKEN)?.to_vec()))?,
                client: r.text("principal", 1024)?,
                user: r.text("user", 256)?,
                delegation: r.text("delegation", 256)?,
            })),
            3 => Reply::Refused {
                reply: r.optional(|r| Ok(r.bytes("token", MAX_TOKEN)?.to_vec()))?,
                denied: r.flag()?,
                reason: r.text("reason", 4096)?,
            },
            4 => Reply::Opened { session: r.u64()? },
            5 => Reply::Spawned { process: r.u64()? },
            6 => Reply::Failed { reason: r.text("reason", 4096)? },
            7 => Reply::Done,
            8 => Reply::Exited {
                process: r.u64()?,
                code: r.optional(|r| Ok(r.u32()?.cast_signed()))?,
                signal: r.optional(|r| Ok(r.u32()?.cast_signed()))?,
            },
            9 => Reply::Stop,
            tag => return Err(IpcError::UnknownTag { what: "reply", tag }),
        };
        r.end()?;
        Ok(Self { number, message })
    }
}

pub(crate) struct Writer {
    pub bytes: Vec<u8>,
}

impl Writer {
    pub fn new(number: u32) -> Self {
        Self { bytes: number.to_le_bytes().to_vec() }
    }

    pub fn tag(&mut self, tag: u8) -> &mut Self {
        self.bytes.push(tag);
        self
    }

    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes.extend(value.to_le_bytes());
        self
    }

    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes.extend(value.to_le_bytes());
        self
    }

    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        // A length that does not fit makes a packet over MAX_PACKET, which the sender refuses.
        self.u32(u32::try_from(value.len()).unwrap_or(u32::MAX));
        self.bytes.extend(value);
        self
    }

    pub fn text(&mut self, value: &str) -> &mut Self {
        self.bytes(value.as_bytes())
    }

    pub fn optional<T>(
        &mut self,
        value: Option<T>,
        write: impl FnOnce(&mut Self, T) -> &mut Self,
    ) -> &mut Self {
        match value {
            None => self.tag(0),
            Some(value) => write(self.tag(1), value),
        }
    }

    pub fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Self, &T)) -> &mut Self {
        self.u32(u32::try_from(items.len()).unwrap_or(u32::MAX));
        for item in items {
            write(self, item);
        }
        self
    }
}

pub(crate) struct Reader<'a> {
    pub rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], IpcError> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(IpcError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    pub fn tag(&mut self) -> Result<u8, IpcError> {
        self.take(1)?.first().copied().ok_or(IpcError::Truncated)
    }

    pub fn flag(&mut self) -> Result<bool, IpcError> {
        match self.tag()? {
            0 => Ok(false),
            1 => Ok(true),
            tag => Err(IpcError::UnknownTag { what: "flag", tag }),
        }
    }

    pub fn u32(&mut self) -> Result<u32, IpcError> {
        let bytes = self.take(4)?.try_into().map_err(|_| IpcError::Truncated)?;
        Ok(u32::from_le_bytes(bytes))
    }

    pub fn u64(&mut self) -> Result<u64, IpcError> {
        let bytes = self.take(8)?.try_into().map_err(|_| IpcError::Truncated)?;
        Ok(u64::from_le_bytes(bytes))
    }

    pub fn bytes(&mut self, what: &'static str, limit: usize) -> Result<&'a [u8], IpcError> {
        let length = self.u32()? as usize;
        if length > limit {
            return Err(IpcError::TooLong { what, length, limit });
        }
        self.take(length)
    }

    pub fn text(&mut self, what: &'static str, limit: usize) -> Result<String, IpcError> {
        let bytes = self.bytes(what, limit)?;
        Ok(std::str::from_utf8(bytes).map_err(|_| IpcError::NotUtf8)?.to_owned())
    }

    pub fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, IpcError>,
    ) -> Result<Option<T>, IpcError> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }

    pub fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, IpcError>,
    ) -> Result<Vec<T>, IpcError> {
        let length = self.u32()? as usize;
        if length > MAX_ITEMS {
            return Err(IpcError::TooLong { what: "list", length, limit: MAX_ITEMS });
        }
        (0..length).map(|_| read(self)).collect()
    }

    pub fn end(&self) -> Result<(), IpcError> {
        if self.rest.is_empty() { Ok(()) } else { Err(IpcError::Trailing(self.rest.len())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests() -> Vec<Request> {
        vec![
            Request::Accept {
                token: vec![0x60, 1, 2],
                bindings: Some(vec![9; 16]),
                peer: "192.0.2.1:5".to_owned(),
            },
            Request::Release { identity: 7 },
            Request::Open { identity: u64::MAX },
            Request::Close { session: 1 },
            Request::Spawn {
                session: 2,
                program: Program::Direct { program: "id".to_owned(), arguments: vec!["-u".to_owned()] },
                environment: vec![("A".to_owned(), "b=c".to_owned())],
                directory: Some("/tmp".to_owned()),
            },
            Request::Spawn {
                session: 2,
                program: Program::Shell { line: "echo ä".to_owned() },
                environment: vec![],
                directory: None,
            },
            Request::Spawn { session: 2, program: Program::PowerShell, environment: vec![], directory: None },
            Request::Signal { process: 3, signal: Signal::Kill },
        ]
    }

    #[test]
    fn requests_round_trip_and_every_truncation_is_an_error() {
        for message in requests() {
            let packet = Numbered { number: 5, message: message.clone() }.encode();
            let back = Numbered::<Request>::decode(&packet).unwrap();
            assert_eq!((back.number, back.message), (5, message));
            for end in 0..packet.len() {
                assert!(Numbered::<Request>::decode(&packet[..end]).is_err());
            }
            let longer = [&packet[..], &[0]].concat();
            assert_eq!(Numbered::<Request>::decode(&longer).unwrap_err(), IpcError::Trailing(1));
        }
    }

    #[test]
    fn replies_round_trip() {
        let settings = crate::config::ServerConfig::default().network_settings();
        let replies = [
            Reply::Start { settings, user: Some((65534, 65534)) },
            Reply::Accepted(Box::new(Accepted {
                identity: 1,
                context: SecretBytes::from(vec![1, 2, 3]),
                reply: Some(vec![4]),
                client: "alice@HOP.TEST".to_owned(),
                user: "alice".to_owned(),
                delegation: "forwarded".to_owned(),
            })),
            Reply::Refused { reply: None, denied: true, reason: "no".to_owned() },
            Reply::Opened { session: 1 },
            Reply::Spawned { process: 1 },
            Reply::Failed { reason: "x".to_owned() },
            Reply::Done,
            Reply::Exited { process: 1, code: Some(-1), signal: None },
            Reply::Stop,
        ];
        for message in replies {
            let packet = Numbered { number: 1, message }.encode();
            let back = Numbered::<Reply>::decode(packet.expose()).unwrap();
            assert_eq!(back.encode().expose(), packet.expose());
        }
    }

    #[test]
    fn lengths_are_limited_before_anything_is_kept() {
        let mut packet = vec![0, 0, 0, 0, 1];
        packet.extend(u32::MAX.to_le_bytes());
        assert!(matches!(Numbered::<Request>::decode(&packet), Err(IpcError::TooLong { what: "token", .. })));
        let mut packet = vec![0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        packet.extend(u32::MAX.to_le_bytes());
        assert!(matches!(Numbered::<Request>::decode(&packet), Err(IpcError::TooLong { what: "list", .. })));
    }
}
