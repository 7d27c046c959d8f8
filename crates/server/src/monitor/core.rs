//! What the monitor decides, apart from its loop: an answer for each request, now or when somebody else has answered.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant, SystemTime};

use hop_auth::UserName;
use hop_auth::ntlm::{NtlmError, Question};
use hop_delegation::{CameBy, Constrained, ServerFacts, SessionIdentity, SessionReport};
use hop_kerberos::ccache::{CcacheError, CredentialCache};
use hop_kerberos::{Credential, Principal, TicketFlags};
use hop_secret::{SecretBytes, SecretString};
use nix::unistd::Uid;

use super::certificate::Certificate;
use super::identity::Authenticated;
use super::kerberos::KerberosAuthority;
use super::logins::{Logins, Verdict};
use super::sessions::{Credentials, SessionError, Sessions};
use super::tickets::{LoginFailure, Tickets};
use super::users::LocalUser;
use super::winbind;
use crate::ipc::{Accepted, IdentityId, Reply, Request};
use crate::mapping::{Accounts, Mapped, Mapping, MappingError};
use crate::tickets::{LoggedIn, Login, Opening};

/// How long whoever came without a ticket may open sessions, where nothing else ends.
const LOGIN_LIFETIME: Duration = Duration::from_secs(10 * 60 * 60);

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
    identities: HashMap<IdentityId, Identity>,
    max_identities: usize,
    pending: HashMap<u64, Pending>,
    last_job: u64,
}

/// What a [`Core`] is made of.
pub(crate) struct Parts {
    pub kerberos: Option<KerberosAuthority>,
    pub logins: Logins,
    pub certificate: Option<Certificate>,
    pub mapping: Mapping,
    pub accounts: Box<dyn Accounts>,
    pub sessions: Sessions,
    pub tickets: Tickets,
    pub constrained: Constrained,
    pub credssp: bool,
    pub connections: u32,
}

/// Somebody who authenticated on a connection that still stands.
struct Identity {
    who: Authenticated,
    user: String,
    peer: String,
}

/// A request whose answer somebody else must give first.
struct Pending {
    number: u32,
    waits_for: WaitsFor,
}

enum WaitsFor {
    /// The domain checks an NTLM proof.
    Proof { name: UserName, peer: String, inside: bool },
    /// The realm checks a password.
    Password { peer: String },
    /// The realm makes a ticket of a password that CredSSP brought.
    Delegation { identity: IdentityId },
    /// The realm gives evidence in the name of somebody who is known already.
    Evidence { who: Box<Authenticated>, user: String, peer: String },
}

impl Core {
    pub fn new(parts: Parts) -> Self {
        Self {
            kerberos: parts.kerberos,
            logins: parts.logins,
            certificate: parts.certificate,
            mapping: parts.mapping,
            accounts: parts.accounts,
            sessions: parts.sessions,
            tickets: parts.tickets,
            constrained: parts.constrained,
            credssp: parts.credssp,
            identities: HashMap::new(),
            // A connection has one identity; a released one may still be on its way.
            max_identities: parts.connections as usize * 2,
            pending: HashMap::new(),
            last_job: 0,
        }
    }

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
            Ok(who) => match self.mapped(&who.client, &peer) {
                Ok(mapped) => self.admitted(who, mapped.user, peer),
                Err(reply) => reply,
            },
            Err(rejection) => {
                tracing::warn!(%peer, reason = %rejection.reason, "authentication refused");
                Reply::Refused { reply: rejection.reply, denied: false, reason: rejection.reason }
            }
        }
    }

    fn prove(
        &mut self,
        number: u32,
        question: &Question,
        inside: bool,
        peer: String,
        time: SystemTime,
        now: Instant,
    ) -> Option<Reply> {
        let verdict = self.logins.prove(question);
        match verdict {
            Ok(Verdict::Known(client, key)) => {
                let who =
                    self.newcomer(client, CameBy::Ntlm, SecretBytes::from(key.expose().as_slice()), time);
                self.admit(number, who, peer, !inside, now)
            }
            Ok(Verdict::Ask) => {
                let job = self.new_job();
                if let Err(error) = self.logins.ask_domain(job, question, now) {
                    return Some(refused(&peer, error.to_string()));
                }
                let name = question.name.clone();
                self.wait(job, number, WaitsFor::Proof { name, peer, inside })
            }
            Err(error) => Some(refused(&peer, format!("NTLM of {}: {error}", question.name))),
        }
    }

    fn proved(
        &mut self,
        job: u64,
        result: Result<hop_auth::ntlm::SessionBaseKey, NtlmError>,
        time: SystemTime,
        now: Instant,
    ) -> Option<(u32, Reply)> {
        let Pending { number, waits_for } = self.pending.remove(&job)?;
        let WaitsFor::Proof { name, peer, inside } = waits_for else { return None };
        let reply = match result {
            Err(error) => refused(&peer, format!("NTLM of {name}: {error}")),
            Ok(key) => match self.logins.domain_principal(&name) {
                Err(reason) => refused(&peer, reason),
                Ok(client) => {
                    let key = SecretBytes::from(key.expose().as_slice());
                    let who = self.newcomer(client, CameBy::Ntlm, key, time);
                    return self.admit(number, who, peer, !inside, now).map(|reply| (number, reply));
                }
            },
        };
        Some((number, reply))
    }

    fn password(
        &mut self,
        number: u32,
        name: &UserName,
        password: SecretString,
        peer: String,
        time: SystemTime,
        now: Instant,
    ) -> Option<Reply> {
        match self.logins.password(name, &password) {
            Ok(Verdict::Known(client, ())) => {
                let who = self.newcomer(client, CameBy::Basic, SecretBytes::default(), time);
                self.admit(number, who, peer, true, now)
            }
            Ok(Verdict::Ask) => {
                let user = self.logins.kdc_name(name);
                match self.ask_realm(user, Some(password), now) {
                    Ok(job) => self.wait(job, number, WaitsFor::Password { peer }),
                    Err(error) => Some(refused(&peer, error.to_string())),
                }
            }
            Err(reason) => Some(refused(&peer, format!("password of {name}: {reason}"))),
        }
    }

    fn delegate(
        &mut self,
        number: u32,
        identity: IdentityId,
        name: &UserName,
        password: SecretString,
        now: Instant,
    ) -> Option<Reply> {
        let known = self.identities.get_mut(&identity).filter(|_| self.credssp);
        let Some(known) = known else {
            return Some(Reply::Failed { reason: "nobody authenticated as this identity".to_owned() });
        };
        let peer = known.peer.clone();
        let client = known.who.client.clone();
        known.who.came_by = CameBy::CredSsp;
        if !is_name_of(name, &client) {
            return Some(refused(&peer, format!("{client} handed over the password of {name} by CredSSP")));
        }
        if self.logins.is_local(&client) {
            // Only this host knows the user: there is no ticket to be had.
            return Some(match self.logins.is_local_password(&client, &password) {
                true => {
                    self.delegated(identity, None);
                    Reply::Done
                }
                false => refused(&peer, format!("the password that {client} handed over is not its own")),
            });
        }
        match self.ask_realm(client.to_string(), Some(password), now) {
            Ok(job) => self.wait(job, number, WaitsFor::Delegation { identity }),
            Err(error) => Some(Reply::Failed { reason: error.to_string() }),
        }
    }

    /// The realm has answered.
    fn logged_in(
        &mut self,
        job: u64,
        outcome: Result<Box<LoggedIn>, LoginFailure>,
        time: SystemTime,
        now: Instant,
    ) -> Option<(u32, Reply)> {
        let Pending { number, waits_for } = self.pending.remove(&job)?;
        let tickets = outcome.map(|tickets| {
            let tgt = tickets.tgt.as_ref().and_then(only_ticket);
            (only_ticket(&tickets.evidence), tgt)
        });
        let reply = match (waits_for, tickets) {
            (WaitsFor::Password { peer }, Ok((Some(evidence), _))) => {
                let mut who =
                    self.newcomer(evidence.client.clone(), CameBy::Basic, SecretBytes::default(), time);
                who.evidence = Some(evidence);
                // The evidence is there: nobody else is to be asked.
                return self.admit(number, who, peer, false, now).map(|reply| (number, reply));
            }
            (WaitsFor::Password { peer }, outcome) => {
                refused(&peer, format!("password: {}", why(outcome.err())))
            }
            (WaitsFor::Delegation { identity }, Ok((Some(evidence), Some(tgt)))) => {
                match self.identities.get(&identity) {
                    Some(known) if known.who.client == tgt.client => {
                        self.delegated(identity, Some((evidence, tgt)));
                        Reply::Done
                    }
                    Some(known) => {
                        let client = &known.who.client;
                        refused(
                            &known.peer,
                            format!("the password that {client} handed over is that of {}", tgt.client),
                        )
                    }
                    None => Reply::Failed { reason: "the connection has ended".to_owned() },
                }
            }
            (WaitsFor::Delegation { identity }, outcome) => {
                let wrong = outcome.as_ref().err().is_some_and(|failure| failure.wrong);
                let reason = why(outcome.err());
                match self.identities.get(&identity) {
                    Some(known) if wrong => refused(
                        &known.peer,
                        format!("the password that {} handed over: {reason}", known.who.client),
                    ),
                    // The user has authenticated; what the realm's trouble costs is the second hop, and the session
                    // tells it.
                    Some(known) => {
                        tracing::warn!(client = %known.who.client, reason, "no ticket for the password of CredSSP");
                        self.delegated(identity, None);
                        Reply::Done
                    }
                    None => Reply::Failed { reason },
                }
            }
            (WaitsFor::Evidence { mut who, user, peer }, outcome) => {
                match outcome {
                    Ok((evidence, _)) => who.evidence = evidence,
                    Err(failure) => {
                        tracing::warn!(client = %who.client, reason = failure.reason, "no protocol transition");
                    }
                }
                who.report = self.report(&who);
                self.admitted(*who, user, peer)
            }
            (WaitsFor::Proof { .. }, _) => return None,
        };
        Some((number, reply))
    }

    /// What CredSSP brought: the user's tickets, or nothing that could be made one.
    fn delegated(&mut self, identity: IdentityId, tickets: Option<(Credential, Credential)>) {
        let Some(mut known) = self.identities.remove(&identity) else { return };
        if let Some((evidence, tgt)) = tickets {
            known.who.expires = tgt.end_time;
            known.who.evidence = Some(evidence);
            known.who.delegated = Some(tgt);
        }
        known.who.report = self.report(&known.who);
        self.identities.insert(identity, known);
    }

    /// Somebody who has just proved to be this principal.
    fn newcomer(
        &self,
        client: Principal,
        came_by: CameBy,
        context: SecretBytes,
        time: SystemTime,
    ) -> Authenticated {
        let facts = ServerFacts {
            client: client.to_string(),
            service: self.service(),
            ticket_forwardable: false,
            ticket_ok_as_delegate: false,
            delegation_requested: false,
            credential_present: false,
            constrained: Constrained::Off,
            came_by,
            evidence_present: false,
        };
        Authenticated {
            client,
            came_by,
            context,
            reply: None,
            expires: time + LOGIN_LIFETIME,
            evidence: None,
            delegated: None,
            report: SessionReport::new(&facts),
        }
    }

    /// The report on somebody who came without a ticket, as things stand now.
    fn report(&self, who: &Authenticated) -> SessionReport {
        let flag = |flag| who.evidence.as_ref().is_some_and(|ticket| ticket.flags.contains(flag));
        SessionReport::new(&ServerFacts {
            client: who.client.to_string(),
            service: self.service(),
            ticket_forwardable: flag(TicketFlags::FORWARDABLE),
            ticket_ok_as_delegate: flag(TicketFlags::OK_AS_DELEGATE),
            delegation_requested: false,
            credential_present: who.delegated.is_some(),
            constrained: self.constrained,
            came_by: who.came_by,
            evidence_present: who.evidence.is_some(),
        })
    }

    fn service(&self) -> String {
        match &self.kerberos {
            Some(kerberos) => kerberos.service().to_string(),
            None => self.mapping.host.to_lowercase(),
        }
    }

    /// Lets somebody in who came without a ticket; with `transition` evidence in the user's name is asked for first,
    /// where the server may go on in that name.
    fn admit(
        &mut self,
        number: u32,
        mut who: Authenticated,
        peer: String,
        transition: bool,
        now: Instant,
    ) -> Option<Reply> {
        let Mapped { user, domain_principal } = match self.mapped(&who.client, &peer) {
            Ok(mapped) => mapped,
            Err(reply) => return Some(reply),
        };
        if transition
            && self.constrained != Constrained::Off
            && self.kerberos.is_some()
            && let Some(principal) = domain_principal
        {
            match self.ask_realm(principal.to_string(), None, now) {
                Ok(job) => {
                    return self.wait(job, number, WaitsFor::Evidence { who: Box::new(who), user, peer });
                }
                Err(error) => tracing::warn!(client = %who.client, %error, "no protocol transition"),
            }
        }
        who.report = self.report(&who);
        Some(self.admitted(who, user, peer))
    }

    fn admitted(&mut self, mut who: Authenticated, user: String, peer: String) -> Reply {
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

    fn mapped(&self, client: &Principal, peer: &str) -> Result<Mapped, Reply> {
        self.local_user(client).map_err(|error| {
            tracing::warn!(%peer, %client, reason = %error, "access denied");
            Reply::Refused { reply: None, denied: true, reason: error.to_string() }
        })
    }

    fn local_user(&self, client: &Principal) -> Result<Mapped, DeniedError> {
        let mapped = self.mapping.user_for(client, self.accounts.as_ref())?;
        let me = Uid::effective();
        if !me.is_root() && self.accounts.uid_of(&mapped.user).ok().flatten() != Some(me.as_raw()) {
            return Err(DeniedError::OtherUser { user: mapped.user, uid: me.as_raw() });
        }
        Ok(mapped)
    }

    /// Has the ticket process get tickets for a user.
    fn ask_realm(
        &mut self,
        user: String,
        password: Option<SecretString>,
        now: Instant,
    ) -> Result<u64, io::Error> {
        let kerberos = self.kerberos.as_ref();
        let service = kerberos.ok_or_else(|| io::Error::other("there is no keytab"))?.service().to_string();
        // Read each time, so that a changed krb5.conf counts.
        let config = hop_kerberos_io::Environment::from_process().load_config().map_err(io::Error::other)?;
        let job = self.new_job();
        let login = Login { login: job, user, password, service, config: config.to_text() };
        self.tickets.log_in(login, now)?;
        Ok(job)
    }

    fn new_job(&mut self) -> u64 {
        self.last_job += 1;
        self.last_job
    }

    fn wait(&mut self, job: u64, number: u32, waits_for: WaitsFor) -> Option<Reply> {
        self.pending.insert(job, Pending { number, waits_for });
        None
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
fn refused(peer: &str, reason: String) -> Reply {
    tracing::warn!(%peer, %reason, "authentication refused");
    Reply::Refused { reply: None, denied: false, reason }
}

fn why(failure: Option<LoginFailure>) -> String {
    failure.map_or_else(|| "the domain's answer cannot be used".to_owned(), |failure| failure.reason)
}

/// Whether a name can be this principal's. A user principal name can be anybody's: there the realm decides, which is
/// asked for this principal's ticket.
fn is_name_of(name: &UserName, principal: &Principal) -> bool {
    let own = principal.components.join("/");
    name.user.contains('@') || name.user.to_lowercase() == own.to_lowercase()
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

/// A credential cache of this one ticket.
fn ccache_of(tgt: &Credential) -> Result<SecretBytes, CcacheError> {
    let mut cache = CredentialCache::new(tgt.client.clone());
    cache.store(tgt.clone());
    Ok(SecretBytes::new(cache.to_bytes()?))
}

/// The one ticket of a credential cache.
fn only_ticket(bytes: &SecretBytes) -> Option<Credential> {
    let cache = CredentialCache::parse(bytes.expose()).ok()?;
    cache.credentials().next().cloned()
}
