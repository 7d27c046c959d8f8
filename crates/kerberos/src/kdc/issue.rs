//! Issuing the tickets that the ticket-granting service hands out (RFC 4120 3.3.3).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand_core::CryptoRng;

use super::delegation::{self, InNameOf, PacSource};
use super::{Database, Entry, EntryFlags, EntryKey, Policy, Refusal, certify, transit, whole_seconds};
use crate::pac;
use crate::{
    AuthorizationData, Credential, EncTicketPart, EncryptionKey, EncryptionType, Error, ErrorCode,
    HostAddress, KdcOptions, NameType, Principal, TicketFlags,
};

/// Where the ticket-granting service has its tickets from.
pub trait TicketSource {
    /// The ticket that a client wishes for. Who asks has been checked; what may be had is the source's to decide.
    ///
    /// # Errors
    /// A [`Refusal`], which the client gets as KRB-ERROR.
    fn ticket(
        &mut self,
        request: &TicketRequest,
        database: &dyn Database,
        now: SystemTime,
        rng: &mut dyn CryptoRng,
    ) -> Result<Credential, Refusal>;
}

/// A wish for a ticket, by somebody whose ticket-granting ticket has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TicketRequest {
    /// Who asks.
    pub client: Principal,
    /// For which service.
    pub server: Principal,
    /// The options asked for.
    pub options: KdcOptions,
    /// Until when it should be valid; the epoch means as long as possible.
    pub till: SystemTime,
    /// Until when it should be renewable.
    pub renew_till: Option<SystemTime>,
    /// The session key types that the client can use, in order of preference.
    pub etypes: Vec<EncryptionType>,
    /// The addresses it should be bound to; for forwarded and proxy tickets only.
    pub addresses: Vec<HostAddress>,
    /// Authorization data to add.
    pub authorization_data: Vec<AuthorizationData>,
    /// The opened ticket-granting ticket.
    pub tgt: EncTicketPart,
    /// What that ticket is for: the realm's ticket-granting service, or what is to be renewed.
    pub tgt_server: Principal,
    /// The session key to seal the ticket with instead of the service's own (user-to-user).
    pub seal_with: Option<EncryptionKey>,
    /// In whose name, if not the client's own.
    pub in_name_of: Option<InNameOf>,
}

impl TicketRequest {
    /// The user that an answer names: the ticket's client, or with a referral, which names the service, who was
    /// asked for.
    pub(super) fn user<'a>(&'a self, ticket: &'a Credential) -> &'a Principal {
        match &self.in_name_of {
            Some(InNameOf::User(user)) if ticket.server.is_krbtgt() => user,
            _ => &ticket.client,
        }
    }

    /// Whom the ticket must name, if anybody else than who asks. (An enterprise name says nothing.)
    pub(super) fn expected_client(&self) -> Option<&Principal> {
        match self.in_name_of.as_ref()? {
            InNameOf::User(user) => (user.name_type != NameType::ENTERPRISE).then_some(user),
            InNameOf::Evidence(evidence) => Some(&evidence.client),
        }
    }
}

/// Whom a ticket names, and since when and by which ways the KDC knows.
pub(super) struct Subject {
    pub client: Principal,
    pub transited_type: i32,
    pub transited: Vec<u8>,
    pub auth_time: SystemTime,
    pub authorization_data: Vec<AuthorizationData>,
}

/// Issues tickets by the keys in the database.
#[derive(Debug, Clone, Copy)]
pub struct Issuer {
    policy: Policy,
}

impl Issuer {
    /// An issuer that keeps to this policy.
    pub fn new(policy: Policy) -> Self {
        Self { policy }
    }
}

impl TicketSource for Issuer {
    fn ticket(
        &mut self,
        request: &TicketRequest,
        database: &dyn Database,
        now: SystemTime,
        rng: &mut dyn CryptoRng,
    ) -> Result<Credential, Refusal> {
        let now = whole_seconds(now);
        let server = find_service(request, database)?;
        let (mut flags, mut addresses) = flags_and_addresses(request, &server)?;
        let tgt = &request.tgt;
        let (start, mut end, mut renew) = self.times(request, &server, now)?;
        let mut subject = Subject {
            client: request.client.clone(),
            transited_type: transit::DOMAIN_X500_COMPRESS,
            transited: tgt.transited.clone(),
            auth_time: tgt.auth_time,
            authorization_data: tgt.authorization_data.clone(),
        };
        let (from, here) = (&request.tgt_server.realm, &server.principal.realm);
        if from != here {
            // A service that comes back from a user's realm was never gone: the user comes from there.
            let comes = match &request.in_name_of {
                Some(InNameOf::User(user)) if tgt.client.realm == *here => &user.realm,
                _ => &tgt.client.realm,
            };
            subject.transited = transit::through(tgt, comes, from, here, database)?;
        }
        let mut source = None;
        if let Some(in_name_of) = &request.in_name_of {
            let named = delegation::allowed(request, in_name_of, &server, subject, database, now)?;
            flags
                .set(TicketFlags::FORWARDABLE, flags.contains(TicketFlags::FORWARDABLE) && named.forwardable);
            flags.remove(TicketFlags::FORWARDED | TicketFlags::PROXY);
            subject = named.subject;
            source = Some(named.pac);
            addresses = Vec::new();
            // Not for longer than the user's own ticket, where there is one.
            if let Some(limit) = named.end_time {
                end = end.min(limit);
                renew = None;
            }
        }
        if end <= now {
            return Err(Refusal::new(ErrorCode::KDC_ERR_NEVER_VALID, "the requested end time has passed"));
        }
        flags.set(TicketFlags::RENEWABLE, renew.is_some());
        // What a client adds restricts the ticket; a PAC is for the KDC to make.
        subject.authorization_data.extend(pac::without_pac(&request.authorization_data));
        let part = EncTicketPart {
            flags,
            session_key: new_session_key(&request.etypes, rng)?,
            client: subject.client,
            transited_type: subject.transited_type,
            transited: subject.transited,
            auth_time: subject.auth_time,
            start_time: Some(start),
            end_time: end,
            renew_till: renew,
            addresses,
            authorization_data: subject.authorization_data,
        };
        let pac = match source {
            None => certify::of_tgt(request, database)?,
            Some(PacSource::Entry(user)) => Some(certify::describe(&user, part.auth_time)?),
            Some(PacSource::Pac(pac)) => Some(pac),
        };
        let (part, ticket) = certify::seal(part, pac, &server, request.seal_with.as_ref(), database, rng)?;
        let mut credential = part.to_credential(&ticket, server.principal);
        credential.is_skey = request.seal_with.is_some();
        Ok(credential)
    }
}

impl Issuer {
    /// Start, end and end of renewal.
    fn times(
        &self,
        request: &TicketRequest,
        server: &Entry,
        now: SystemTime,
    ) -> Result<(SystemTime, SystemTime, Option<SystemTime>), Refusal> {
        let tgt = &request.tgt;
        if request.options.contains(KdcOptions::RENEW) {
            return renewed_times(tgt, now);
        }
        let limits = [server.max_life, None];
        let end = end_time(request.till, now, self.policy.max_life, limits).min(tgt.end_time);
        let wanted = request
            .options
            .contains(KdcOptions::RENEWABLE)
            .then(|| request.renew_till.unwrap_or(request.till))
            .filter(|_| tgt.flags.contains(TicketFlags::RENEWABLE))
            .filter(|_| !server.flags.contains(EntryFlags::DISALLOW_RENEWABLE));
        let limits = [server.max_renewable_life, None];
        let renew = renew_till(wanted, now, end, self.policy.max_renewable_life, limits)
            .zip(tgt.renew_till)
            .map(|(wanted, limit)| wanted.min(limit));
        Ok((now, end, renew))
    }
}

fn find_service(request: &TicketRequest, database: &dyn Database) -> Result<Entry, Refusal> {
    let entry = database
        .lookup(&request.server)
        .or_else(|| refer(request, database))
        .ok_or(Refusal::new(ErrorCode::KDC_ERR_S_PRINCIPAL_UNKNOWN, "server not found"))?;
    if entry.flags.contains(EntryFlags::LOCKED) {
        return Err(Refusal::new(ErrorCode::KDC_ERR_SERVICE_REVOKED, "the service is locked"));
    }
    if entry.flags.contains(EntryFlags::DISALLOW_SERVICE) && request.seal_with.is_none() {
        return Err(Refusal::new(ErrorCode::KDC_ERR_MUST_USE_USER2USER, "not a service"));
    }
    // A locked account loses its tickets' use as soon as a new one is asked for.
    match database.lookup(&request.client) {
        Some(client) if client.flags.contains(EntryFlags::LOCKED) => {
            Err(Refusal::new(ErrorCode::KDC_ERR_CLIENT_REVOKED, "the account is locked"))
        }
        _ => Ok(entry),
    }
}

/// The ticket-granting service of another realm, for a client that wants to go there or asks for one that is there.
fn refer(request: &TicketRequest, database: &dyn Database) -> Option<Entry> {
    let (server, here) = (&request.server, &request.server.realm);
    let there = match &server.components[..] {
        [_, realm] if server.is_krbtgt() => realm.clone(),
        [name] if server.name_type == NameType::ENTERPRISE => name.rsplit_once('@')?.1.to_owned(),
        _ if request.options.contains(KdcOptions::CANONICALIZE) => database.realm_of(server)?,
        _ => return None,
    };
    (there != *here).then(|| transit::next_hop(&there, here, database)).flatten()
}

/// What was asked for, as far as the ticket-granting ticket allows: a wish that it does not allow is refused.
fn flags_and_addresses(
    request: &TicketRequest,
    server: &Entry,
) -> Result<(TicketFlags, Vec<HostAddress>), Refusal> {
    let (options, tgt) = (request.options, &request.tgt);
    let bad = |text| Err(Refusal::new(ErrorCode::KDC_ERR_BADOPTION, text));
    let mut flags = tgt.flags
        & (TicketFlags::PRE_AUTHENT | TicketFlags::HW_AUTHENT | TicketFlags::FORWARDED | TicketFlags::PROXY);
    if options.intersects(KdcOptions::POSTDATED | KdcOptions::ALLOW_POSTDATE | KdcOptions::VALIDATE) {
        return Err(Refusal::new(
            ErrorCode::KDC_ERR_CANNOT_POSTDATE,
            "tickets for the future are not issued",
        ));
    }
    if options.contains(KdcOptions::RENEW) {
        // The same ticket again, times apart.
        return match request.server == request.tgt_server {
            true => Ok((tgt.flags, tgt.addresses.clone())),
            false => {
                Err(Refusal::new(ErrorCode::KDC_ERR_SERVER_NOMATCH, "another ticket than the renewed one"))
            }
        };
    }
    if options.contains(KdcOptions::FORWARDABLE) {
        if !tgt.flags.contains(TicketFlags::FORWARDABLE) {
            return bad("the ticket is not forwardable");
        }
        flags.set(TicketFlags::FORWARDABLE, !server.flags.contains(EntryFlags::DISALLOW_FORWARDABLE));
    }
    if options.contains(KdcOptions::PROXIABLE) {
        if !tgt.flags.contains(TicketFlags::PROXIABLE) {
            return bad("the ticket is not proxiable");
        }
        flags.set(TicketFlags::PROXIABLE, !server.flags.contains(EntryFlags::DISALLOW_PROXIABLE));
    }
    let mut addresses = tgt.addresses.clone();
    if options.contains(KdcOptions::FORWARDED) {
        if !tgt.flags.contains(TicketFlags::FORWARDABLE) {
            return bad("the ticket is not forwardable");
        }
        flags |= TicketFlags::FORWARDED;
        addresses = request.addresses.clone();
    }
    if options.contains(KdcOptions::PROXY) {
        if !tgt.flags.contains(TicketFlags::PROXIABLE) || server.principal.is_krbtgt() {
            return bad("the ticket is not proxiable");
        }
        flags |= TicketFlags::PROXY;
        addresses = request.addresses.clone();
    }
    flags.set(TicketFlags::OK_AS_DELEGATE, server.flags.contains(EntryFlags::OK_AS_DELEGATE));
    flags |= TicketFlags::TRANSITED_POLICY_CHECKED;
    Ok((flags, addresses))
}

/// From now on for as long as the old ticket lived, but not beyond the end of renewal.
fn renewed_times(
    tgt: &EncTicketPart,
    now: SystemTime,
) -> Result<(SystemTime, SystemTime, Option<SystemTime>), Refusal> {
    let limit = tgt
        .renew_till
        .filter(|_| tgt.flags.contains(TicketFlags::RENEWABLE))
        .ok_or(Refusal::new(ErrorCode::KDC_ERR_BADOPTION, "the ticket is not renewable"))?;
    if limit <= now {
        return Err(Refusal::new(ErrorCode::KRB_AP_ERR_TKT_EXPIRED, "the time of renewal is over"));
    }
    let life = tgt.end_time.duration_since(tgt.start_time.unwrap_or(tgt.auth_time)).unwrap_or_default();
    Ok((now, (now + life).min(limit), Some(limit)))
}

/// When a new ticket ends: as asked, within the limits. The epoch asks for as long as possible.
pub(super) fn end_time(
    till: SystemTime,
    start: SystemTime,
    realm_limit: Duration,
    limits: [Option<Duration>; 2],
) -> SystemTime {
    let limit = limits.into_iter().flatten().fold(realm_limit, Duration::min);
    match till == UNIX_EPOCH {
        true => start + limit,
        false => till.min(start + limit),
    }
}

/// Until when a new ticket is renewable: as asked, within the limits; not at all if that is no longer than the
/// ticket's own life.
pub(super) fn renew_till(
    wanted: Option<SystemTime>,
    start: SystemTime,
    end: SystemTime,
    realm_limit: Duration,
    limits: [Option<Duration>; 2],
) -> Option<SystemTime> {
    let till = end_time(wanted?, start, realm_limit, limits);
    (till > end).then_some(till)
}

/// A fresh session key of the first type in the client's list that can be used.
pub(super) fn new_session_key(
    etypes: &[EncryptionType],
    rng: &mut dyn CryptoRng,
) -> Result<EncryptionKey, Refusal> {
    let none = Refusal::new(ErrorCode::KDC_ERR_ETYPE_NOSUPP, "no common encryption type");
    let etype =
        etypes.iter().copied().find(|etype| etype.is_supported() && !etype.is_deprecated()).ok_or(none)?;
    EncryptionKey::random(etype, rng).map_err(|_: Error| none)
}

/// The key that tickets for a service are sealed with.
pub(super) fn ticket_key(server: &Entry) -> Result<&EntryKey, Refusal> {
    server.current_keys().next().ok_or(Refusal::new(ErrorCode::KDC_ERR_NULL_KEY, "the service has no key"))
}
