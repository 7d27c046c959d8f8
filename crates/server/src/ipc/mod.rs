//! What the network process and the monitor say to each other: few, typed messages over a sequenced-packet socket.
//!
//! One packet is one message: a tag byte and the fields in order, numbers little-endian, strings and byte strings
//! with a four-byte length. File descriptors travel beside the packet, never numbers of descriptors inside it.
//! Both ends treat the other as a stranger: every length is checked, trailing bytes are an error.

mod codec;

use hop_auth::{UserName, ntlm};
use hop_secret::{SecretBytes, SecretString};

pub(crate) use self::codec::{IpcError, Reader, Writer};
use crate::config::Limits;

/// Largest packet in bytes; a bigger one ends the connection between the processes.
pub(crate) const MAX_PACKET: usize = 160 * 1024;
/// Largest security token taken, in bytes: an AP-REQ with a big PAC and a forwarded ticket with the same PAC.
pub(crate) const MAX_TOKEN: usize = 128 * 1024;
/// Longest explanation, in bytes; more is cut off.
pub(crate) const MAX_REASON: usize = 4096;
/// Longest password, in bytes.
const MAX_PASSWORD: usize = 4096;

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
    /// A challenge for NTLM, good for one proof.
    Challenge,
    /// Accept this NTLM proof, over a challenge of this monitor's; `inside` CredSSP, a password follows.
    Prove { question: Box<ntlm::Question>, inside: bool, peer: String },
    /// Accept this name and password.
    Password { name: UserName, password: SecretString, peer: String },
    /// Whoever authenticated as this identity handed over a password by CredSSP.
    Delegate { identity: IdentityId, name: UserName, password: SecretString },
    /// Accept the client's certificate of a TLS connection, with the chain above it; the handshake proved the key.
    Certificate { chain: Vec<Vec<u8>>, peer: String },
    /// The server's certificate, if it is not the known one any more (0: none is known).
    ServerCertificate { known: u32 },
    /// Sign a TLS handshake with the key of a server certificate.
    Sign { generation: u32, scheme: u16, message: Vec<u8> },
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
    Start { limits: Limits, offer: Box<Offer>, user: Option<(u32, u32)> },
    /// Token, proof, password or certificate was good.
    Accepted(Box<Accepted>),
    /// A challenge for NTLM.
    Challenge([u8; 8]),
    /// The server's certificate.
    ServerCertificate(Box<ServerCertificate>),
    /// A signature.
    Signed { signature: Vec<u8> },
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
    /// What seals the connection: an established context as the Kerberos crate exports it, or NTLM's session base key;
    /// empty where TLS does.
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

/// What the network process offers to clients.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Offer {
    pub kerberos: bool,
    pub negotiate: bool,
    pub ntlm: Option<NtlmNames>,
    pub credssp: Option<CredSsp>,
    pub basic: bool,
    pub certificate: bool,
    pub allow_unencrypted: bool,
    /// 0 none, 1 relaxed, 2 strict.
    pub binding_policy: u8,
    /// How many of the listening sockets, from the last one, are for HTTPS.
    pub https: u32,
    /// The names of this host.
    pub hosts: Vec<String>,
    /// Authorities whose certificates may log users in, in DER.
    pub client_authorities: Vec<Vec<u8>>,
}

/// The server's names, as NTLM tells them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NtlmNames {
    pub computer: String,
    pub domain: String,
    pub dns_computer: String,
    pub dns_domain: String,
}

/// CredSSP, if it is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CredSsp {
    pub minimum_version: u32,
}

/// A certificate whose key the monitor has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerCertificate {
    /// Names the key in [`Request::Sign`].
    pub generation: u32,
    /// The certificate and the chain above it, in DER.
    pub chain: Vec<Vec<u8>>,
    /// TLS's number of the key's algorithm.
    pub algorithm: u8,
    /// TLS's numbers of the signature schemes that the key can do, the preferred one first.
    pub schemes: Vec<u16>,
}

/// A message with its number; answers carry the number of their request, messages of the monitor's own carry 0.
#[derive(Debug)]
pub(crate) struct Numbered<T> {
    pub number: u32,
    pub message: T,
}

impl Numbered<Request> {
    pub fn encode(&self) -> SecretBytes {
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
            Request::Challenge => {
                w.tag(7);
            }
            Request::Prove { question, inside, peer } => {
                w.tag(8).text(&question.name.domain).text(&question.name.user).text(&question.workstation);
                w.bytes(&question.server_challenge).bytes(&question.proof).bytes(&question.blob);
                w.flag(*inside).text(peer);
            }
            Request::Password { name, password, peer } => {
                w.tag(9).text(&name.domain).text(&name.user).text(password.expose()).text(peer);
            }
            Request::Delegate { identity, name, password } => {
                w.tag(10).u64(*identity).text(&name.domain).text(&name.user).text(password.expose());
            }
            Request::Certificate { chain, peer } => {
                w.tag(11).certificates(chain).text(peer);
            }
            Request::ServerCertificate { known } => {
                w.tag(12).u32(*known);
            }
            Request::Sign { generation, scheme, message } => {
                w.tag(13).u32(*generation).u16(*scheme).bytes(message);
            }
        }
        SecretBytes::new(w.bytes)
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
            7 => Request::Challenge,
            8 => Request::Prove {
                question: Box::new(ntlm::Question {
                    name: r.user_name()?,
                    workstation: r.text("workstation", 1024)?,
                    server_challenge: r.array()?,
                    proof: r.array()?,
                    blob: r.bytes("client challenge", MAX_TOKEN)?.to_vec(),
                }),
                inside: r.flag()?,
                peer: r.text("peer address", 256)?,
            },
            9 => Request::Password {
                name: r.user_name()?,
                password: r.text("password", MAX_PASSWORD)?.into(),
                peer: r.text("peer address", 256)?,
            },
            10 => Request::Delegate {
                identity: r.u64()?,
                name: r.user_name()?,
                password: r.text("password", MAX_PASSWORD)?.into(),
            },
            11 => Request::Certificate { chain: r.certificates()?, peer: r.text("peer address", 256)? },
            12 => Request::ServerCertificate { known: r.u32()? },
            13 => Request::Sign {
                generation: r.u32()?,
                scheme: r.u16()?,
                message: r.bytes("handshake", 1024)?.to_vec(),
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
            Reply::Start { limits, offer, user } => {
                w.tag(1).u32(limits.max_envelope_size).u32(limits.max_connections);
                w.u32(limits.max_shells_per_user).u32(limits.max_processes_per_shell);
                w.u64(limits.idle_timeout_ms).u64(limits.max_timeout_ms);
                offer.encode(&mut w);
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
                w.tag(3).optional(reply.as_deref(), Writer::bytes).flag(*denied);
                w.text_up_to(reason, MAX_REASON);
            }
            Reply::Opened { session } => {
                w.tag(4).u64(*session);
            }
            Reply::Spawned { process } => {
                w.tag(5).u64(*process);
            }
            Reply::Failed { reason } => {
                w.tag(6).text_up_to(reason, MAX_REASON);
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
            Reply::Challenge(challenge) => {
                w.tag(10).bytes(challenge);
            }
            Reply::ServerCertificate(c) => {
                w.tag(11).u32(c.generation).certificates(&c.chain).tag(c.algorithm);
                w.list(&c.schemes, |w, scheme| {
                    w.u16(*scheme);
                });
            }
            Reply::Signed { signature } => {
                w.tag(12).bytes(signature);
            }
        }
        SecretBytes::new(w.bytes)
    }

    pub fn decode(packet: &[u8]) -> Result<Self, IpcError> {
        let mut r = Reader { rest: packet };
        let number = r.u32()?;
        let message = match r.tag()? {
            1 => Reply::Start {
                limits: Limits {
                    max_envelope_size: r.u32()?,
                    max_connections: r.u32()?,
                    max_shells_per_user: r.u32()?,
                    max_processes_per_shell: r.u32()?,
                    idle_timeout_ms: r.u64()?,
                    max_timeout_ms: r.u64()?,
                },
                offer: Box::new(Offer::decode(&mut r)?),
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
                reason: r.text("reason", MAX_REASON)?,
            },
            4 => Reply::Opened { session: r.u64()? },
            5 => Reply::Spawned { process: r.u64()? },
            6 => Reply::Failed { reason: r.text("reason", MAX_REASON)? },
            7 => Reply::Done,
            8 => Reply::Exited {
                process: r.u64()?,
                code: r.optional(|r| Ok(r.u32()?.cast_signed()))?,
                signal: r.optional(|r| Ok(r.u32()?.cast_signed()))?,
            },
            9 => Reply::Stop,
            10 => Reply::Challenge(r.array()?),
            11 => Reply::ServerCertificate(Box::new(ServerCertificate {
                generation: r.u32()?,
                chain: r.certificates()?,
                algorithm: r.tag()?,
                schemes: r.list(Reader::u16)?,
            })),
            12 => Reply::Signed { signature: r.bytes("signature", 4096)?.to_vec() },
            tag => return Err(IpcError::UnknownTag { what: "reply", tag }),
        };
        r.end()?;
        Ok(Self { number, message })
    }
}

impl Offer {
    fn encode(&self, w: &mut Writer) {
        w.flag(self.kerberos).flag(self.negotiate).flag(self.basic).flag(self.certificate);
        w.flag(self.allow_unencrypted).tag(self.binding_policy).u32(self.https);
        w.optional(self.ntlm.as_ref(), |w, n| {
            w.text(&n.computer).text(&n.domain).text(&n.dns_computer).text(&n.dns_domain)
        });
        w.optional(self.credssp, |w, c| w.u32(c.minimum_version));
        w.list(&self.hosts, |w, host| {
            w.text(host);
        });
        w.certificates(&self.client_authorities);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, IpcError> {
        Ok(Self {
            kerberos: r.flag()?,
            negotiate: r.flag()?,
            basic: r.flag()?,
            certificate: r.flag()?,
            allow_unencrypted: r.flag()?,
            binding_policy: r.tag()?,
            https: r.u32()?,
            ntlm: r.optional(|r| {
                Ok(NtlmNames {
                    computer: r.text("name", 256)?,
                    domain: r.text("name", 256)?,
                    dns_computer: r.text("name", 256)?,
                    dns_domain: r.text("name", 256)?,
                })
            })?,
            credssp: r.optional(|r| Ok(CredSsp { minimum_version: r.u32()? }))?,
            hosts: r.list(|r| r.text("host name", 256))?,
            client_authorities: r.certificates()?,
        })
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
            Request::Challenge,
            Request::Prove {
                question: Box::new(ntlm::Question {
                    name: UserName::parse("HOP\\alice"),
                    workstation: "CLIENT".to_owned(),
                    server_challenge: [1; 8],
                    proof: [2; 16],
                    blob: vec![3; 40],
                }),
                inside: true,
                peer: "192.0.2.1:5".to_owned(),
            },
            Request::Password {
                name: UserName::parse("alice@hop.test"),
                password: "pä".into(),
                peer: String::new(),
            },
            Request::Delegate { identity: 7, name: UserName::parse("alice"), password: "".into() },
            Request::Certificate { chain: vec![vec![0x30, 0]], peer: String::new() },
            Request::ServerCertificate { known: 0 },
            Request::Sign { generation: 1, scheme: 0x0804, message: vec![0x20; 64] },
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
            let packet = packet.expose();
            let back = Numbered::<Request>::decode(packet).unwrap();
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
        let limits = crate::config::ServerConfig::default().limits();
        let offer = Offer {
            ntlm: Some(NtlmNames { computer: "SERVERA".to_owned(), ..NtlmNames::default() }),
            credssp: Some(CredSsp { minimum_version: 5 }),
            client_authorities: vec![vec![1, 2]],
            hosts: vec!["servera.hop.test".to_owned()],
            https: 1,
            ..Offer::default()
        };
        let replies = [
            Reply::Start { limits, offer: Box::new(offer), user: Some((65534, 65534)) },
            Reply::Challenge([7; 8]),
            Reply::ServerCertificate(Box::new(ServerCertificate {
                generation: 2,
                chain: vec![vec![9]],
                algorithm: 3,
                schemes: vec![0x0403],
            })),
            Reply::Signed { signature: vec![1] },
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
    fn explanations_are_cut_where_a_character_ends() {
        let reason = "ä".repeat(MAX_REASON);
        for message in [
            Reply::Failed { reason: reason.clone() },
            Reply::Refused { reply: None, denied: true, reason: format!("x{reason}") },
        ] {
            let packet = Numbered { number: 1, message }.encode();
            match Numbered::<Reply>::decode(packet.expose()).unwrap().message {
                Reply::Failed { reason } => assert_eq!(reason.len(), MAX_REASON),
                Reply::Refused { reason, .. } => assert_eq!(reason.len(), MAX_REASON - 1),
                other => panic!("{other:?}"),
            }
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
