//! What the monitor and the ticket process say to each other.

use hop_secret::{SecretBytes, SecretString};

use crate::ipc::{IpcError, MAX_REASON, Reader, SessionId, Writer};

/// Largest credential cache or keytab in a message, in bytes.
const MAX_SECRET: usize = 128 * 1024;

/// What the monitor tells.
#[derive(Debug)]
pub(crate) enum Order {
    /// First message: whom to become.
    Start { user: Option<(u32, u32)> },
    /// The keys of this host, as a keytab file; again when they change.
    Keytab(SecretBytes),
    /// A session begins that gets its tickets here. Beside it travels the file that takes refusals.
    Open(Box<Opening>),
    /// A session has ended: its keys and tickets are forgotten.
    Close { session: SessionId },
    /// Somebody came without a ticket: get one.
    Login(Box<Login>),
}

/// A user for whom tickets are wanted.
#[derive(Debug)]
pub(crate) struct Login {
    /// The number for the answer.
    pub login: u64,
    /// Who it is: a principal, or with a password whatever users type (`DOMAIN\\user`, a user principal name).
    pub user: String,
    /// The user's password: the tickets are got with it. Without, the host asks in its own name (S4U2Self).
    pub password: Option<SecretString>,
    /// The service of this host that the evidence is for.
    pub service: String,
    /// The host's krb5.conf.
    pub config: String,
}

/// A session that gets its tickets from the ticket process.
#[derive(Debug)]
pub(crate) struct Opening {
    pub session: SessionId,
    /// The only user who may ask.
    pub uid: u32,
    /// A credential cache whose one entry is the ticket that the client came with.
    pub evidence: SecretBytes,
    /// The host's krb5.conf: this process may not be able to read it.
    pub config: String,
    /// A credential cache with the ticket-granting ticket that the client forwarded, if it stays out of the session.
    pub forwarded: Option<SecretBytes>,
}

/// What the ticket process tells.
#[derive(Debug)]
pub(crate) enum Notice {
    /// The session's tickets can be had.
    Opened(Box<Opened>),
    /// They cannot.
    Failed { session: SessionId, reason: String },
    /// Tickets for a user are there.
    LoggedIn(Box<LoggedIn>),
    /// There are none; `wrong` where the password is.
    LoginFailed { login: u64, wrong: bool, reason: String },
}

/// A user's tickets.
#[derive(Debug)]
pub(crate) struct LoggedIn {
    pub login: u64,
    /// A credential cache whose one entry is a ticket of the user for this host: evidence.
    pub evidence: SecretBytes,
    /// A credential cache with the user's ticket-granting ticket, if there was a password.
    pub tgt: Option<SecretBytes>,
}

/// What a session needs to get tickets.
#[derive(Debug)]
pub(crate) struct Opened {
    pub session: SessionId,
    /// The session's krb5.conf.
    pub config: String,
    /// Its credential cache, with tickets that only the ticket process can read.
    pub ccache: SecretBytes,
}

impl Order {
    pub fn encode(&self) -> SecretBytes {
        let mut w = Writer { bytes: Vec::new() };
        match self {
            Self::Start { user } => {
                w.tag(1).optional(*user, |w, (uid, gid)| w.u32(uid).u32(gid));
            }
            Self::Keytab(bytes) => {
                w.tag(2).bytes(bytes.expose());
            }
            Self::Open(o) => {
                w.tag(3).u64(o.session).u32(o.uid).bytes(o.evidence.expose());
                w.text(&o.config).optional(o.forwarded.as_ref(), |w, b| w.bytes(b.expose()));
            }
            Self::Close { session } => {
                w.tag(4).u64(*session);
            }
            Self::Login(l) => {
                w.tag(5).u64(l.login).text(&l.user);
                w.optional(l.password.as_ref(), |w, p| w.text(p.expose())).text(&l.service).text(&l.config);
            }
        }
        SecretBytes::new(w.bytes)
    }

    pub fn decode(packet: &[u8]) -> Result<Self, IpcError> {
        let mut r = Reader { rest: packet };
        let order = match r.tag()? {
            1 => Self::Start { user: r.optional(|r| Ok((r.u32()?, r.u32()?)))? },
            2 => Self::Keytab(SecretBytes::from(r.bytes("keytab", MAX_SECRET)?)),
            3 => Self::Open(Box::new(Opening {
                session: r.u64()?,
                uid: r.u32()?,
                evidence: SecretBytes::from(r.bytes("evidence", MAX_SECRET)?),
                config: r.text("configuration", MAX_SECRET)?,
                forwarded: r.optional(|r| Ok(SecretBytes::from(r.bytes("forwarded ticket", MAX_SECRET)?)))?,
            })),
            4 => Self::Close { session: r.u64()? },
            5 => Self::Login(Box::new(Login {
                login: r.u64()?,
                user: r.text("user", 4096)?,
                password: r.optional(|r| Ok(r.text("password", 4096)?.into()))?,
                service: r.text("service", 1024)?,
                config: r.text("configuration", MAX_SECRET)?,
            })),
            tag => return Err(IpcError::UnknownTag { what: "order", tag }),
        };
        r.end()?;
        Ok(order)
    }
}

impl Notice {
    pub fn encode(&self) -> SecretBytes {
        let mut w = Writer { bytes: Vec::new() };
        match self {
            Self::Opened(o) => {
                w.tag(1).u64(o.session).text(&o.config).bytes(o.ccache.expose());
            }
            Self::Failed { session, reason } => {
                w.tag(2).u64(*session).text_up_to(reason, MAX_REASON);
            }
            Self::LoggedIn(l) => {
                w.tag(3).u64(l.login).bytes(l.evidence.expose());
                w.optional(l.tgt.as_ref(), |w, b| w.bytes(b.expose()));
            }
            Self::LoginFailed { login, wrong, reason } => {
                w.tag(4).u64(*login).flag(*wrong).text_up_to(reason, MAX_REASON);
            }
        }
        SecretBytes::new(w.bytes)
    }

    pub fn decode(packet: &[u8]) -> Result<Self, IpcError> {
        let mut r = Reader { rest: packet };
        let notice = match r.tag()? {
            1 => Self::Opened(Box::new(Opened {
                session: r.u64()?,
                config: r.text("configuration", MAX_SECRET)?,
                ccache: SecretBytes::from(r.bytes("credential cache", MAX_SECRET)?),
            })),
            2 => Self::Failed { session: r.u64()?, reason: r.text("reason", MAX_REASON)? },
            3 => Self::LoggedIn(Box::new(LoggedIn {
                login: r.u64()?,
                evidence: SecretBytes::from(r.bytes("credential cache", MAX_SECRET)?),
                tgt: r.optional(|r| Ok(SecretBytes::from(r.bytes("credential cache", MAX_SECRET)?)))?,
            })),
            4 => {
                Self::LoginFailed { login: r.u64()?, wrong: r.flag()?, reason: r.text("reason", MAX_REASON)? }
            }
            tag => return Err(IpcError::UnknownTag { what: "notice", tag }),
        };
        r.end()?;
        Ok(notice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_round_trip_and_every_truncation_is_an_error() {
        let secret = || SecretBytes::from(vec![1, 2, 3]);
        let opening = Opening {
            session: 1,
            uid: 1000,
            evidence: secret(),
            config: "[libdefaults]".to_owned(),
            forwarded: Some(secret()),
        };
        let orders = [
            Order::Start { user: Some((65534, 65534)) },
            Order::Keytab(secret()),
            Order::Open(Box::new(opening)),
            Order::Close { session: 9 },
            Order::Login(Box::new(Login {
                login: 3,
                user: "HOP\\alice".to_owned(),
                password: Some("pä".into()),
                service: "HTTP/servera.hop.test@HOP.TEST".to_owned(),
                config: "[libdefaults]".to_owned(),
            })),
        ];
        for order in orders {
            let packet = order.encode();
            assert_eq!(Order::decode(packet.expose()).unwrap().encode().expose(), packet.expose());
            for end in 0..packet.expose().len() {
                assert!(Order::decode(&packet.expose()[..end]).is_err());
            }
        }
        let opened = Opened { session: 1, config: "[libdefaults]".to_owned(), ccache: secret() };
        let notices = [
            Notice::Opened(Box::new(opened)),
            Notice::Failed { session: 1, reason: "no".to_owned() },
            Notice::LoggedIn(Box::new(LoggedIn { login: 3, evidence: secret(), tgt: Some(secret()) })),
            Notice::LoginFailed { login: 3, wrong: true, reason: "no".to_owned() },
        ];
        for notice in notices {
            let packet = notice.encode();
            assert_eq!(Notice::decode(packet.expose()).unwrap().encode().expose(), packet.expose());
            for end in 0..packet.expose().len() {
                assert!(Notice::decode(&packet.expose()[..end]).is_err());
            }
        }
    }
}
