//! How whoever comes without a Kerberos ticket is let in: proofs, passwords and certificates, with what others must
//! answer first.

use std::io;
use std::time::{Duration, Instant, SystemTime};

use hop_auth::UserName;
use hop_auth::ntlm::{NtlmError, Question, SessionBaseKey};
use hop_delegation::{CameBy, Constrained, ServerFacts, SessionReport};
use hop_kerberos::ccache::CredentialCache;
use hop_kerberos::{Credential, Principal, TicketFlags};
use hop_secret::{SecretBytes, SecretString};

use super::core::{Core, refused};
use super::identity::Authenticated;
use super::logins::Verdict;
use super::tickets::LoginFailure;
use crate::ipc::{IdentityId, Reply};
use crate::mapping::Mapped;
use crate::tickets::{LoggedIn, Login};

/// How long whoever came without a ticket may open sessions, where nothing else ends.
const LOGIN_LIFETIME: Duration = Duration::from_secs(10 * 60 * 60);

/// A request whose answer somebody else must give first.
pub(super) struct Pending {
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
    pub(super) fn prove(
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

    pub(super) fn proved(
        &mut self,
        job: u64,
        result: Result<SessionBaseKey, NtlmError>,
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

    pub(super) fn password(
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

    pub(super) fn delegate(
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
                    let kept = (client.components.join("/"), password);
                    if let Some(known) = self.identities.get_mut(&identity).filter(|_| self.keep_password) {
                        known.who.password = Some(kept);
                    }
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
    pub(super) fn logged_in(
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
        known.who.report.password_kept = known.who.password.is_some();
        self.identities.insert(identity, known);
    }

    /// Somebody who has just proved to be this principal.
    pub(super) fn newcomer(
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
            password: None,
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
    pub(super) fn admit(
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

/// The one ticket of a credential cache.
fn only_ticket(bytes: &SecretBytes) -> Option<Credential> {
    let cache = CredentialCache::parse(bytes.expose()).ok()?;
    cache.credentials().next().cloned()
}
