//! What the monitor decides, apart from its loop: an answer for each request, now or when somebody else has answered.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Instant, SystemTime};

use hop_delegation::{CameBy, Constrained, SessionIdentity, SessionReport};
use hop_kerberos::ccache::{CcacheError, CredentialCache};
use hop_kerberos::{Credential, Principal};
use hop_secret::{SecretBytes, SecretString};
use nix::unistd::Uid;

use super::certificate::Certificate;
use super::identity::Authenticated;
use super::kerberos::KerberosAuthority;
use super::logins::Logins;
use super::newcomers::Pending;
use super::sessions::{Credentials, SessionError, Sessions};
use super::tickets::Tickets;
use super::users::LocalUser;
use super::winbind;
use crate::ipc::{Accepted, IdentityId, Reply, Request};
use crate::mapping::{Accounts, Mapped, Mapping, MappingError};
use crate::tickets::Opening;

/// An answer, with descriptors beside it.
pub(crate) type Answer = (Reply, Vec<OwnedFd>);

pub(crate) struct Core {
    pub kerberos: Option<KerberosAuthority>,
    pub logins: Logins,
    pub certificate: Option<Certificate>,
    pub mapping: Mapping,
    pub accounts: Box<dyn Accounts>,
    pub sessions: Sessions,
    pub tickets: Tickets,
    /// What the server may do for sessions whose clients bring no ticket.
    pub constrained: Constrained,
    /// CredSSP is allowed.
    pub credssp: bool,
    /// Where no realm knows the user, the session keeps the password.
    pub keep_password: bool,
    pub(super) identities: HashMap<IdentityId, Identity>,
    /// Twice the connections: one has one identity, but a released one may still be on its way.
    pub max_identities: usize,
    pub(super) pending: HashMap<u64, Pending>,
    pub(super) last_job: u64,
}

/// Somebody who authenticated on a connection that still stands.
pub(super) struct Identity {
    pub who: Authenticated,
    pub user: String,
    pub peer: String,
}

impl Core {
    /// Answers a request; `None` if the answer follows by [`Core::late_answers`].
    pub fn answer(
        &mut self,
        number: u32,
        request: Request,
        time: SystemTime,
        now: Instant,
    ) -> Option<Answer> {
        let failed = |error: &dyn std::fmt::Display| Reply::Failed { reason: error.to_string() };
        let reply = match request {
            Request::Accept { token, bindings, peer } => self.accept(&token, bindings.as_deref(), peer, time),
            Request::Challenge => Reply::Challenge(self.logins.challenge()),
            Request::Prove { question, inside, peer } => {
                return self.prove(number, &question, inside, peer, time, now).map(alone);
            }
            Request::Password { name, password, peer } => {
                return self.password(number, &name, password, peer, time, now).map(alone);
            }
            Request::Delegate { identity, name, password } => {
                return self.delegate(number, identity, &name, password, now).map(alone);
            }
            Request::Certificate { chain, peer } => match self.logins.certificate(&chain, time) {
                Ok(client) => {
                    if let Err(reply) = self.of_a_realm(&client, &peer) {
                        return Some(alone(reply));
                    }
                    let who = self.newcomer(client, CameBy::Certificate, SecretBytes::default(), time);
                    return self.admit(number, who, peer, true, now).map(alone);
                }
                Err(reason) => refused(&peer, reason),
            },
            Request::ServerCertificate { known } => match &mut self.certificate {
                None => Reply::Failed { reason: "there is no certificate".to_owned() },
                Some(certificate) => match certificate.newer_than(known) {
                    None => Reply::Done,
                    Some(public) => Reply::ServerCertificate(Box::new(public.clone())),
                },
            },
            Request::Sign { generation, scheme, message } => {
                let signed = match &self.certificate {
                    None => Err("there is no certificate".to_owned()),
                    Some(certificate) => certificate.sign(generation, scheme, &message),
                };
                match signed {
                    Ok(signature) => Reply::Signed { signature },
                    Err(reason) => Reply::Failed { reason },
                }
            }
            Request::Release { identity } => {
                self.identities.remove(&identity);
                Reply::Done
            }
            Request::Open { identity } => match self.open(identity, time) {
                Ok(session) => Reply::Opened { session },
                Err(error) => {
                    tracing::warn!(identity, %error, "session refused");
                    failed(&error)
                }
            },
            Request::Close { session } => {
                self.tickets.close(session);
                match self.sessions.close(session, now) {
                    Ok(()) => Reply::Done,
                    Err(error) => failed(&error),
                }
            }
            Request::Spawn { session, program, environment, directory } => {
                match self.sessions.spawn(session, program, environment, directory) {
                    Ok(started) => {
                        let reply = Reply::Spawned { process: started.process };
                        return Some((reply, started.descriptors.into()));
                    }
                    Err(error) => {
                        tracing::warn!(session, %error, "process refused");
                        failed(&error)
                    }
                }
            }
            Request::Signal { process, signal } => match self.sessions.signal(process, signal) {
                Ok(()) => Reply::Done,
                Err(error) => failed(&error),
            },
        };
        Some(alone(reply))
    }

    /// The answers that others have made possible, with the numbers of their requests.
    pub fn late_answers(&mut self, time: SystemTime, now: Instant) -> Vec<(u32, Reply)> {
        let mut answers = Vec::new();
        let proofs = self.logins.winbind.as_mut().map(|w| w.answers(now)).unwrap_or_default();
        for (job, result) in proofs {
            answers.extend(self.proved(job, result, time, now));
        }
        for answer in self.tickets.logins(now) {
            answers.extend(self.logged_in(answer.login, answer.outcome, time, now));
        }
        answers
    }

    /// When there may be something in [`Core::late_answers`] although nobody has said anything.
    pub fn next_deadline(&self) -> Option<Instant> {
        let winbind = self.logins.winbind.as_ref().and_then(winbind::Winbind::next_deadline);
        winbind.into_iter().chain(self.tickets.next_deadline()).chain(self.sessions.next_deadline()).min()
    }

    fn accept(&mut self, token: &[u8], bindings: Option<&[u8]>, peer: String, time: SystemTime) -> Reply {
        let Some(kerberos) = &mut self.kerberos else {
            return refused(&peer, "Kerberos is not allowed".to_owned());
        };
        match kerberos.accept(token, bindings, time) {
            Ok(who) => {
                match self.of_a_realm(&who.client, &peer).and_then(|()| self.mapped(&who.client, &peer)) {
                    Ok(mapped) => self.admitted(who, mapped.user, peer),
                    Err(reply) => reply,
                }
            }
            Err(rejection) => {
                tracing::warn!(%peer, reason = %rejection.reason, "authentication refused");
                Reply::Refused { reply: rejection.reply, denied: false, reason: rejection.reason }
            }
        }
    }

    pub(super) fn admitted(&mut self, mut who: Authenticated, user: String, peer: String) -> Reply {
        if self.identities.len() >= self.max_identities {
            return Reply::Refused { reply: None, denied: false, reason: "too many connections".to_owned() };
        }
        let identity = loop {
            // Not guessable, so that a mix-up of numbers cannot name somebody else.
            let id = rand::random::<u64>();
            if id != 0 && !self.identities.contains_key(&id) {
                break id;
            }
        };
        let accepted = Accepted {
            identity,
            context: std::mem::take(&mut who.context),
            reply: who.reply.take(),
            client: who.client.to_string(),
            user: user.clone(),
            delegation: delegation_code(&who.report),
        };
        self.identities.insert(identity, Identity { who, user, peer });
        Reply::Accepted(Box::new(accepted))
    }

    pub(super) fn mapped(&self, client: &Principal, peer: &str) -> Result<Mapped, Reply> {
        self.local_user(client).map_err(|error| {
            tracing::warn!(%peer, %client, reason = %error, "access denied");
            Reply::Refused { reply: None, denied: true, reason: error.to_string() }
        })
    }

    /// The host's name stands for the realm of its own users, whom nobody else may name.
    pub(super) fn of_a_realm(&self, client: &Principal, peer: &str) -> Result<(), Reply> {
        if client.realm != self.mapping.host {
            return Ok(());
        }
        tracing::warn!(%peer, %client, "access denied: a realm has the name of this host");
        let reason = "the realm has the name of this host".to_owned();
        Err(Reply::Refused { reply: None, denied: true, reason })
    }

    fn local_user(&self, client: &Principal) -> Result<Mapped, DeniedError> {
        let mapped = self.mapping.user_for(client, self.accounts.as_ref())?;
        let me = Uid::effective();
        if !me.is_root() && self.accounts.uid_of(&mapped.user).ok().flatten() != Some(me.as_raw()) {
            return Err(DeniedError::OtherUser { user: mapped.user, uid: me.as_raw() });
        }
        Ok(mapped)
    }

    fn open(&mut self, identity: IdentityId, time: SystemTime) -> Result<u64, OpenError> {
        let identity = self.identities.get(&identity).ok_or(OpenError::NoIdentity)?;
        let who = &identity.who;
        if who.expires < time {
            return Err(OpenError::Expired { client: who.client.to_string() });
        }
        let user = LocalUser::named(&identity.user)
            .map_err(OpenError::Lookup)?
            .ok_or_else(|| OpenError::NoAccount { user: identity.user.clone() })?;
        let mut report = who.report.clone();
        let constrained = matches!(report.identity(), Ok(SessionIdentity::Constrained { .. }));
        let tickets = &mut self.tickets;
        let uid = user.uid.as_raw();
        let session = self.sessions.open(&who.client, user, |session, refusals| {
            let mut credentials = Credentials::default();
            if let Some(evidence) = who.evidence.as_ref().filter(|_| constrained) {
                let evidence = ccache_of(evidence)?;
                let forwarded = who.delegated.as_ref().map(ccache_of).transpose()?;
                // Read for each session, so that a changed krb5.conf counts.
                let config = hop_kerberos_io::Environment::from_process().load_config();
                let opened = config.map_err(io::Error::other).and_then(|config| {
                    let config = config.to_text();
                    tickets.open(Opening { session, uid, evidence, config, forwarded }, refusals)
                });
                match opened {
                    Ok(opened) => {
                        credentials.ccache = Some(opened.ccache);
                        credentials.config = Some(opened.config);
                    }
                    Err(error) => {
                        tracing::error!(session, %error, "no tickets by constrained delegation");
                        report = report.clone().without_constrained();
                    }
                }
            }
            if credentials.ccache.is_none() {
                credentials.ccache = who.delegated.as_ref().map(ccache_of).transpose()?;
            }
            if let Some((user, password)) = &who.password {
                credentials.password = Some(password_file(user, password));
            }
            credentials.report = report.to_json();
            Ok(credentials)
        })?;
        tracing::info!(
            session,
            client = %who.client,
            by = who.came_by.as_str(),
            from = %identity.peer,
            user = %identity.user,
            delegation = %delegation_code(&report),
            "session opened"
        );
        Ok(session)
    }
}

fn alone(reply: Reply) -> Answer {
    (reply, Vec::new())
}

/// The peer did not prove an identity.
pub(super) fn refused(peer: &str, reason: String) -> Reply {
    tracing::warn!(%peer, %reason, "authentication refused");
    Reply::Refused { reply: None, denied: false, reason }
}

/// Why an authenticated principal may not use this server.
#[derive(Debug, thiserror::Error)]
enum DeniedError {
    #[error(transparent)]
    Mapping(#[from] MappingError),
    #[error(
        "would be local user \"{user}\", but the server runs as uid {uid} and can start sessions for that user only"
    )]
    OtherUser { user: String, uid: u32 },
}

/// Why a session could not be opened.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error("no connection authenticated as this identity")]
    NoIdentity,
    #[error("the login of {client} has expired")]
    Expired { client: String },
    #[error("cannot look up the local user: {0}")]
    Lookup(io::Error),
    #[error("local user \"{user}\" is gone")]
    NoAccount { user: String },
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// The stable code of a session's second hop, for logs.
fn delegation_code(report: &SessionReport) -> String {
    match report.identity() {
        Ok(SessionIdentity::Forwarded) if report.came_by == CameBy::CredSsp => "credssp".to_owned(),
        Ok(SessionIdentity::Forwarded) => "forwarded".to_owned(),
        Ok(SessionIdentity::Constrained { .. }) => "constrained".to_owned(),
        Ok(SessionIdentity::None { reason }) => reason.to_string(),
        _ => "none".to_owned(),
    }
}

/// The text of [`hop_delegation::PASSWORD_FILE`].
fn password_file(user: &str, password: &SecretString) -> SecretBytes {
    let json = |text: &str| serde_json::to_string(text).map(zeroize::Zeroizing::new).unwrap_or_default();
    let (user, password) = (json(user), json(password.expose()));
    let parts: [&str; 5] = ["{\"user\":", &user, ",\"password\":", &password, "}"];
    // Large enough from the start, so that no copy of a password is left behind.
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
    parts.iter().for_each(|part| bytes.extend_from_slice(part.as_bytes()));
    SecretBytes::new(bytes)
}

/// A credential cache of this one ticket.
fn ccache_of(tgt: &Credential) -> Result<SecretBytes, CcacheError> {
    let mut cache = CredentialCache::new(tgt.client.clone());
    cache.store(tgt.clone());
    Ok(SecretBytes::new(cache.to_bytes()?))
}
