//! Tickets in another's name ([MS-SFU] 3.2.5): who may have them, for whom and for what.

use std::time::SystemTime;

use super::authentication::find_user;
use super::issue::Subject;
use super::{Database, Entry, EntryFlags, Failure, Kdc, Refusal, TicketRequest, abroad, certify};
use crate::asn1::{self, PaData, pa};
use crate::pac::Pac;
use crate::s4u::{ForUser, PacOptions, UserId, X509User, find};
use crate::{EncTicketPart, EncryptionKey, Error, ErrorCode, KdcOptions, Principal, Ticket, TicketFlags};

/// In whose name a service asks for a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InNameOf {
    /// S4U2Self: of this user, for the service itself.
    User(Principal),
    /// S4U2Proxy: of the user who showed a ticket, for another service.
    Evidence(Box<Evidence>),
}

/// A ticket that a user showed to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Evidence {
    /// Whom it was shown to.
    pub server: Principal,
    /// What is in it. The service has the key that it is sealed with; that it was not altered, the PAC proves.
    pub part: EncTicketPart,
    /// The service understands resource-based delegation ([MS-KILE] 2.2.10).
    pub resource_based: bool,
    /// Whom it names: the client in it, or with a ticket-granting ticket from another realm the one in whose name
    /// that client, a service, comes.
    pub client: Principal,
    /// What was said about that one.
    pub(super) pac: Pac,
}

/// The options that go together with no request in another's name.
const IMPOSSIBLE: KdcOptions = KdcOptions::RENEW
    .union(KdcOptions::VALIDATE)
    .union(KdcOptions::FORWARDED)
    .union(KdcOptions::PROXY)
    .union(KdcOptions::POSTDATED)
    .union(KdcOptions::ALLOW_POSTDATE);

/// Where what is said about the user comes from.
pub(super) enum PacSource {
    /// The user's entry.
    Entry(Box<Entry>),
    /// What was said before.
    Pac(Pac),
}

/// What a request in another's name gets.
pub(super) struct Named {
    pub subject: Subject,
    pub pac: PacSource,
    pub forwardable: bool,
    pub end_time: Option<SystemTime>,
}

/// Whether a request in another's name is allowed, and what for.
pub(super) fn allowed(
    request: &TicketRequest,
    in_name_of: &InNameOf,
    server: &Entry,
    subject: Subject,
    database: &dyn Database,
    now: SystemTime,
) -> Result<Named, Refusal> {
    if request.options.intersects(IMPOSSIBLE) {
        return Err(bad("options that do not go with a ticket in another name"));
    }
    let unknown = Refusal::new(ErrorCode::KDC_ERR_C_PRINCIPAL_UNKNOWN, "the service that asks is not known");
    let front = || database.lookup(&request.client).ok_or(unknown);
    let from_abroad = request.tgt_server.realm != server.principal.realm;
    let referred = server.principal.is_krbtgt() && server.principal != request.server;
    match (in_name_of, from_abroad, referred) {
        (InNameOf::User(user), false, _) => to_self(request, user, &front()?, server, database, now),
        (InNameOf::User(user), true, true) => {
            abroad::refer_user(request, user, server, subject, database, now)
        }
        (InNameOf::User(user), true, false) => {
            abroad::user_from(request, user, &front()?, server, subject, database)
        }
        (InNameOf::Evidence(e), false, false) => to_proxy(request, e, &front()?, server, database, now),
        (InNameOf::Evidence(e), false, true) => abroad::refer_evidence(request, e, &front()?, database, now),
        (InNameOf::Evidence(e), true, false) => abroad::evidence_from(request, e, server, database),
        (InNameOf::Evidence(_), true, true) => Err(bad("the target is in a third realm")),
    }
}

/// [MS-SFU] 3.2.5.1: S4U2Self.
fn to_self(
    request: &TicketRequest,
    user: &Principal,
    front: &Entry,
    server: &Entry,
    database: &dyn Database,
    now: SystemTime,
) -> Result<Named, Refusal> {
    if server.principal != front.principal {
        let code = ErrorCode::KRB_AP_ERR_BADMATCH;
        return Err(Refusal::new(code, "a service gets such tickets for itself only"));
    }
    let user = find_user(user, &front.principal.realm, database)
        .ok_or(Refusal::new(ErrorCode::KDC_ERR_C_PRINCIPAL_UNKNOWN, "client not found"))?;
    check_account(&user, now)?;
    certify::of_tgt(request, database)?;
    Ok(Named {
        forwardable: transition(front) && !user.flags.contains(EntryFlags::DISALLOW_FORWARDABLE),
        subject: Subject {
            client: user.principal.clone(),
            transited_type: 1,
            transited: Vec::new(),
            auth_time: request.tgt.auth_time,
            authorization_data: Vec::new(),
        },
        pac: PacSource::Entry(Box::new(user)),
        end_time: None,
    })
}

/// Whether a user's ticket that a service got by S4U2Self can be evidence. A service that may act for users at
/// certain services only must not begin with one who never came to it.
pub(super) fn transition(front: &Entry) -> bool {
    front.flags.contains(EntryFlags::TRUSTED_TO_AUTH) || front.allowed_to_delegate_to.is_empty()
}

/// [MS-SFU] 3.2.5.2: S4U2Proxy.
fn to_proxy(
    request: &TicketRequest,
    evidence: &Evidence,
    front: &Entry,
    server: &Entry,
    database: &dyn Database,
    now: SystemTime,
) -> Result<Named, Refusal> {
    if request.seal_with.is_some() {
        return Err(bad("options that do not go with a ticket in another name"));
    }
    if server.principal.is_krbtgt() {
        let code = ErrorCode::KDC_ERR_POLICY;
        return Err(Refusal::new(code, "no ticket-granting ticket in another name"));
    }
    if evidence.server != front.principal {
        let code = ErrorCode::KDC_ERR_SERVER_NOMATCH;
        return Err(Refusal::new(code, "the evidence was shown to another service"));
    }
    certify::of_tgt(request, database)?;
    let part = &evidence.part;
    let known = check_user(&part.client, &front.principal.realm, database, now)?;
    let forwardable = part.flags.contains(TicketFlags::FORWARDABLE);
    let listed = front.allowed_to_delegate_to.contains(&server.principal);
    let accepted = evidence.resource_based && server.allowed_to_act.contains(&front.principal);
    // Whom the target itself lets act, may for every account that can be delegated; where the account is not ours
    // to look at, only the ticket says whether it can.
    match (accepted && (forwardable || known), listed) {
        (true, _) => {}
        (false, true) if forwardable => {}
        (false, true) => return Err(bad("the evidence is not forwardable")),
        (false, false) if accepted => return Err(bad("the evidence is not forwardable")),
        (false, false) => return Err(bad("not allowed to delegate to this service")),
    }
    let mut pac = evidence.pac.clone();
    certify::handed_on(&mut pac, &front.principal, &server.principal)
        .map_err(|_| bad("the evidence's way cannot be read"))?;
    Ok(Named {
        subject: Subject {
            client: part.client.clone(),
            transited_type: part.transited_type,
            transited: part.transited.clone(),
            auth_time: part.auth_time,
            authorization_data: part.authorization_data.clone(),
        },
        pac: PacSource::Pac(pac),
        forwardable,
        end_time: Some(part.end_time),
    })
}

/// Whether an account may be delegated, where it is one of this realm: says whether it is.
pub(super) fn check_user(
    user: &Principal,
    realm: &str,
    database: &dyn Database,
    now: SystemTime,
) -> Result<bool, Refusal> {
    if user.realm != realm {
        return Ok(false);
    }
    let unknown = Refusal::new(ErrorCode::KDC_ERR_C_PRINCIPAL_UNKNOWN, "client not found");
    let user = database.lookup(user).ok_or(unknown)?;
    check_account(&user, now)?;
    match user.flags.contains(EntryFlags::DISALLOW_FORWARDABLE) {
        true => Err(bad("the account cannot be delegated")),
        false => Ok(true),
    }
}

pub(super) fn check_account(user: &Entry, now: SystemTime) -> Result<(), Refusal> {
    super::authentication::check_account(user, now)?;
    match user.password_expires {
        Some(end) if end <= now => {
            Err(Refusal::new(ErrorCode::KDC_ERR_KEY_EXPIRED, "the user's password has expired"))
        }
        _ => Ok(()),
    }
}

/// The user that the padata of an S4U2Self request name, proven to come from the owner of the session key.
pub(super) fn user(
    padata: &[PaData],
    session_key: &EncryptionKey,
    reply_key: &EncryptionKey,
    nonce: i64,
) -> Result<(Option<Principal>, Option<UserId>), Failure> {
    let altered = |error| match error {
        Error::Integrity(_) | Error::ReplyMismatch(_) => {
            Failure::from(Refusal::new(ErrorCode::KRB_AP_ERR_MODIFIED, "the name of the user was altered"))
        }
        other => other.into(),
    };
    let by_name =
        find(padata, pa::FOR_USER).map(|der| ForUser::open(der, session_key)).transpose().map_err(altered)?;
    let by_id = find(padata, pa::S4U_X509_USER)
        .map(|der| X509User::open(der, nonce, reply_key))
        .transpose()
        .map_err(altered)?;
    match (by_name, by_id) {
        (by_name, None) => Ok((by_name, None)),
        (None, Some((_, None))) => {
            let code = ErrorCode::KDC_ERR_C_PRINCIPAL_UNKNOWN;
            Err(Refusal::new(code, "users are not found by their certificates").into())
        }
        (Some(by_name), Some((_, Some(user)))) if by_name != user => {
            Err(Refusal::new(ErrorCode::KRB_AP_ERR_BADMATCH, "two users are named").into())
        }
        (by_name, Some((id, user))) => Ok((user.or(by_name), Some(id))),
    }
}

impl Kdc {
    /// The evidence in an S4U2Proxy request.
    pub(super) fn evidence(
        &self,
        body: &asn1::KdcReqBody,
        padata: &[PaData],
        now: SystemTime,
    ) -> Result<Evidence, Failure> {
        let ticket = body
            .additional_tickets
            .as_ref()
            .and_then(|tickets| tickets.first())
            .ok_or(bad("no ticket of a user's"))?;
        let ticket = Ticket::from_asn1(ticket)?;
        if ticket.server.is_krbtgt() && ticket.server.realm != self.realm {
            let part = self.open(&ticket)?;
            part.check_times(now, self.policy.clock_skew)?;
            let (pac, client) = certify::far(&part, &ticket.server, self.database.as_ref())?;
            let resource_based = PacOptions::allows_resource_based(padata)?;
            return Ok(Evidence { server: ticket.server, client, part, resource_based, pac });
        }
        if ticket.server.realm != self.realm || ticket.server.is_krbtgt() {
            let code = ErrorCode::KDC_ERR_SERVER_NOMATCH;
            return Err(Refusal::new(code, "the evidence is for no service of this realm").into());
        }
        let entry = self.database.lookup(&ticket.server).ok_or(Refusal::new(
            ErrorCode::KDC_ERR_S_PRINCIPAL_UNKNOWN,
            "the evidence is for nobody known",
        ))?;
        let key = entry
            .key(ticket.enc_part.etype, ticket.enc_part.kvno)
            .ok_or(Refusal::new(ErrorCode::KRB_AP_ERR_BADKEYVER, "no such key of the service"))?;
        let part = ticket.open(&key.key)?;
        part.check_times(now, self.policy.clock_skew)?;
        let resource_based = PacOptions::allows_resource_based(padata)?;
        let pac = certify::of_evidence(&part, &key.key, &self.realm, self.database.as_ref())?;
        Ok(Evidence { server: entry.principal, client: part.client.clone(), part, resource_based, pac })
    }
}

pub(super) fn bad(text: &'static str) -> Refusal {
    Refusal::new(ErrorCode::KDC_ERR_BADOPTION, text)
}
