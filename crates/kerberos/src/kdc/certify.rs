//! What the realm says about the clients of its tickets, in their PACs.

use std::time::SystemTime;

use rand_core::CryptoRng;

use super::{Database, Entry, EntryFlags, Refusal, TicketRequest, ticket_key};
use crate::pac::{DelegationInfo, LogonInfo, Pac, kind};
use crate::{EncTicketPart, EncryptionKey, Error, ErrorCode, Principal, Ticket};

/// A PAC about a client of this realm.
pub(super) fn about(client: &Entry, auth_time: SystemTime) -> Result<Pac, Error> {
    let info = LogonInfo {
        client: client.principal.clone(),
        auth_time,
        not_delegated: client.flags.contains(EntryFlags::DISALLOW_FORWARDABLE),
        trusted_to_auth: client.flags.contains(EntryFlags::TRUSTED_TO_AUTH),
    };
    Pac::new(&info, &client.principal, auth_time)
}

/// The same, for a request in that client's name.
pub(super) fn describe(client: &Entry, auth_time: SystemTime) -> Result<Pac, Refusal> {
    let refusal = Refusal::new(ErrorCode::KRB_ERR_GENERIC, "the user cannot be described");
    about(client, auth_time).map_err(|_| refusal)
}

/// The PAC of a ticket-granting ticket, for the tickets that are had by it.
pub(super) fn of_tgt(request: &TicketRequest, database: &dyn Database) -> Result<Option<Pac>, Refusal> {
    let altered =
        Refusal::new(ErrorCode::KRB_AP_ERR_MODIFIED, "the ticket-granting ticket's pac was altered");
    let (from, [_, realm]) = (&request.tgt_server.realm, &request.tgt_server.components[..]) else {
        return Err(altered);
    };
    let entry = database.lookup(&request.tgt_server).ok_or(altered)?;
    let keys: Vec<&EncryptionKey> = entry.keys.iter().map(|key| &key.key).collect();
    if from != realm {
        let pac = of_other_realm(&request.tgt, realm, &keys)?;
        let fits = |pac: &Pac| pac.is_about(&request.tgt.client, request.tgt.auth_time);
        return if pac.as_ref().is_none_or(fits) { Ok(pac) } else { Err(altered) };
    }
    let tgt = &request.tgt;
    let mut opened = keys.iter().map(|server| Pac::open(tgt, false, server, &keys));
    let pac = opened.find_map(Result::ok).ok_or(altered)?;
    match pac {
        Some(pac) if !pac.is_about(&tgt.client, tgt.auth_time) => Err(altered),
        Some(pac) => Ok(Some(pac)),
        // Sealed with our own key, by a KDC that says nothing about its clients.
        None => match database.lookup(&tgt.client) {
            Some(client) => about(&client, tgt.auth_time).map(Some).map_err(|_| altered),
            None => Ok(None),
        },
    }
}

/// The PAC of a ticket-granting ticket from a realm that we trust: signed with the key between the two.
fn of_other_realm(tgt: &EncTicketPart, realm: &str, keys: &[&EncryptionKey]) -> Result<Option<Pac>, Refusal> {
    let altered =
        Refusal::new(ErrorCode::KRB_AP_ERR_MODIFIED, "the ticket-granting ticket's pac was altered");
    let pac = keys.iter().find_map(|key| Pac::open_foreign(tgt, key).ok()).ok_or(altered)?;
    match pac {
        // Only we say who is who here.
        Some(pac) if pac.names_domain(realm) => {
            Err(Refusal::new(ErrorCode::KDC_ERR_POLICY, "identities of this realm, from another"))
        }
        pac => Ok(pac),
    }
}

/// The PAC of a ticket-granting ticket that a service brings from a user's realm.
pub(super) fn about_far(
    tgt: &EncTicketPart,
    server: &Principal,
    user: &Principal,
    database: &dyn Database,
) -> Result<Pac, Refusal> {
    match far(tgt, server, database)? {
        (pac, client) if client == *user => Ok(pac),
        _ => Err(Refusal::new(ErrorCode::KRB_AP_ERR_BADMATCH, "another user's realm spoke for another user")),
    }
}

/// The PAC of a ticket-granting ticket from another realm that a service has in somebody's name, and whose.
pub(super) fn far(
    tgt: &EncTicketPart,
    server: &Principal,
    database: &dyn Database,
) -> Result<(Pac, Principal), Refusal> {
    let altered =
        Refusal::new(ErrorCode::KRB_AP_ERR_MODIFIED, "the ticket-granting ticket's pac was altered");
    let realm = server.components.get(1).ok_or(altered)?;
    let entry = database.lookup(server).ok_or(altered)?;
    let keys: Vec<&EncryptionKey> = entry.keys.iter().map(|key| &key.key).collect();
    let pac = of_other_realm(tgt, realm, &keys)?.ok_or(altered)?;
    let client = pac.far_client(tgt.auth_time).ok_or(altered)?;
    Ok((pac, client))
}

/// The services that handed a user's ticket on.
pub(super) fn way(pac: &Pac) -> Option<DelegationInfo> {
    DelegationInfo::decode(pac.get(kind::DELEGATION_INFO)?).ok()
}

/// The PAC of evidence: nobody but the KDC can have made it or the ticket around it.
pub(super) fn of_evidence(
    part: &EncTicketPart,
    key: &EncryptionKey,
    realm: &str,
    database: &dyn Database,
) -> Result<Pac, Refusal> {
    let altered = Refusal::new(ErrorCode::KRB_AP_ERR_MODIFIED, "the evidence was altered");
    let krbtgt = database.lookup(&Principal::krbtgt(realm, realm)).ok_or(altered)?;
    let keys: Vec<&EncryptionKey> = krbtgt.keys.iter().map(|key| &key.key).collect();
    match Pac::open(part, true, key, &keys) {
        Ok(Some(pac)) if pac.is_about(&part.client, part.auth_time) => Ok(pac),
        Ok(None) => Err(Refusal::new(ErrorCode::KRB_AP_ERR_MODIFIED, "the evidence was not issued here")),
        Ok(Some(_)) | Err(_) => Err(altered),
    }
}

/// Adds a service to those that handed a user's ticket on.
pub(super) fn handed_on(pac: &mut Pac, by: &Principal, to: &Principal) -> Result<(), Error> {
    let known = pac.get(kind::DELEGATION_INFO).map(DelegationInfo::decode).transpose()?;
    let mut info = known.unwrap_or_default();
    info.target = to.components.join("/");
    info.services.push(by.to_string());
    pac.set(kind::DELEGATION_INFO, info.encode()?);
    Ok(())
}

/// Seals a ticket for a service, with what is said about its client in it.
pub(super) fn seal(
    mut part: EncTicketPart,
    pac: Option<Pac>,
    server: &Entry,
    key: Option<&EncryptionKey>,
    database: &dyn Database,
    rng: &mut dyn CryptoRng,
) -> Result<(EncTicketPart, Vec<u8>), Refusal> {
    let realm = &server.principal.realm;
    let generic = |_: Error| Refusal::new(ErrorCode::KDC_ERR_ETYPE_NOSUPP, "no usable encryption type");
    let own = ticket_key(server);
    let (key, kvno) = match key {
        Some(key) => (key, None),
        None => own.map(|own| (&own.key, Some(own.kvno)))?,
    };
    if let Some(pac) = pac {
        let krbtgt = database
            .lookup(&Principal::krbtgt(realm.clone(), realm))
            .ok_or(Refusal::new(ErrorCode::KRB_ERR_GENERIC, "no ticket-granting service"))?;
        let whole = !server.principal.is_krbtgt();
        pac.seal_into(&mut part, whole, key, &ticket_key(&krbtgt)?.key).map_err(generic)?;
    }
    let ticket = part.seal(server.principal.clone(), key, kvno, rng).and_then(|t: Ticket| t.to_der());
    Ok((part, ticket.map_err(generic)?))
}
