//! Tickets in another's name where user, service and target are of two realms ([MS-SFU] 3.2.5.1.2, 3.2.5.2).
//!
//! Between realms the ticket-granting tickets name the service that asks; whom it speaks for stands in the PAC, with
//! the realm behind the name, so that such a ticket cannot be taken for one of the service itself.

use std::time::SystemTime;

use super::authentication::find_user;
use super::delegation::{Evidence, Named, PacSource, bad, check_account, transition};
use super::issue::Subject;
use super::{Database, Entry, EntryFlags, Refusal, TicketRequest, certify, transit};
use crate::pac::{Pac, full_name};
use crate::{ErrorCode, NameType, Principal, TicketFlags};

/// S4U2Self in the user's realm: the service is sent back to its own with what we say about the user.
pub(super) fn refer_user(
    request: &TicketRequest,
    user: &Principal,
    server: &Entry,
    subject: Subject,
    database: &dyn Database,
    now: SystemTime,
) -> Result<Named, Refusal> {
    let unknown = Refusal::new(ErrorCode::KDC_ERR_C_PRINCIPAL_UNKNOWN, "client not found");
    let user = find_user(user, &server.principal.realm, database).ok_or(unknown)?;
    check_account(&user, now)?;
    if server.principal.components.get(1) != Some(&request.client.realm) {
        let code = ErrorCode::KRB_AP_ERR_BADMATCH;
        return Err(Refusal::new(code, "a service gets such tickets for itself only"));
    }
    certify::of_tgt(request, database)?;
    let mut pac = certify::describe(&user, subject.auth_time)?;
    pac.set_client(&full_name(&user.principal), subject.auth_time).map_err(|_| unknown)?;
    Ok(Named {
        forwardable: !user.flags.contains(EntryFlags::DISALLOW_FORWARDABLE),
        subject: Subject { authorization_data: Vec::new(), ..subject },
        pac: PacSource::Pac(pac),
        end_time: None,
    })
}

/// S4U2Self back in the service's realm: the ticket-granting ticket says whom the user's realm vouches for.
pub(super) fn user_from(
    request: &TicketRequest,
    user: &Principal,
    front: &Entry,
    server: &Entry,
    subject: Subject,
    database: &dyn Database,
) -> Result<Named, Refusal> {
    if server.principal != front.principal || user.name_type == NameType::ENTERPRISE {
        let code = ErrorCode::KRB_AP_ERR_BADMATCH;
        return Err(Refusal::new(code, "a service gets such tickets for itself only"));
    }
    let mut pac = certify::about_far(&request.tgt, &request.tgt_server, user, database)?;
    let forwardable = request.tgt.flags.contains(TicketFlags::FORWARDABLE);
    pac.set_client(&user.components.join("/"), subject.auth_time).map_err(|_| bad("the name is too long"))?;
    Ok(Named {
        forwardable: forwardable && transition(front),
        subject: Subject { client: user.clone(), authorization_data: Vec::new(), ..subject },
        pac: PacSource::Pac(pac),
        end_time: None,
    })
}

/// S4U2Proxy for a target in another realm, whose own list decides: the service is sent there with a ticket that
/// says in whose name it comes.
pub(super) fn refer_evidence(
    request: &TicketRequest,
    evidence: &Evidence,
    front: &Entry,
    database: &dyn Database,
    now: SystemTime,
) -> Result<Named, Refusal> {
    if !evidence.resource_based {
        return Err(bad("the target is in another realm"));
    }
    if evidence.server != front.principal {
        let code = ErrorCode::KDC_ERR_SERVER_NOMATCH;
        return Err(Refusal::new(code, "the evidence was shown to another service"));
    }
    super::delegation::check_user(&evidence.client, &front.principal.realm, database, now)?;
    let part = &evidence.part;
    if !part.flags.contains(TicketFlags::FORWARDABLE) {
        return Err(bad("the evidence is not forwardable"));
    }
    certify::of_tgt(request, database)?;
    let unreadable = |_| bad("the evidence's way cannot be read");
    let mut pac = evidence.pac.clone();
    certify::handed_on(&mut pac, &front.principal, &request.server).map_err(unreadable)?;
    pac.set_client(&full_name(&evidence.client), part.auth_time).map_err(unreadable)?;
    Ok(Named {
        forwardable: true,
        subject: Subject {
            client: front.principal.clone(),
            transited_type: part.transited_type,
            transited: part.transited.clone(),
            auth_time: part.auth_time,
            authorization_data: part.authorization_data.clone(),
        },
        pac: PacSource::Pac(pac),
        end_time: Some(part.end_time),
    })
}

/// S4U2Proxy in the target's realm: two ticket-granting tickets from the service's, one that it is who it is, one in
/// whose name it comes.
pub(super) fn evidence_from(
    request: &TicketRequest,
    evidence: &Evidence,
    server: &Entry,
    database: &dyn Database,
) -> Result<Named, Refusal> {
    let part = &evidence.part;
    if !evidence.server.is_krbtgt() || part.client != request.client {
        return Err(bad("the evidence was not made for this service to come here with"));
    }
    if request.seal_with.is_some() || server.principal.is_krbtgt() {
        return Err(bad("options that do not go with a ticket in another name"));
    }
    certify::of_tgt(request, database)?;
    let way = certify::way(&evidence.pac).ok_or(bad("the evidence's way cannot be read"))?;
    let by = way.services.last().map(String::as_str);
    if by != Some(&*request.client.to_string()) || way.target != request.server.components.join("/") {
        return Err(bad("the evidence was made for another service"));
    }
    if !part.flags.contains(TicketFlags::FORWARDABLE) {
        return Err(bad("the evidence is not forwardable"));
    }
    if !evidence.resource_based || !server.allowed_to_act.contains(&request.client) {
        return Err(bad("not allowed to delegate to this service"));
    }
    let user = &evidence.client;
    let here = &server.principal.realm;
    let mut pac: Pac = evidence.pac.clone();
    pac.set_client(&user.components.join("/"), part.auth_time).map_err(|_| bad("the name is too long"))?;
    Ok(Named {
        forwardable: true,
        subject: Subject {
            client: user.clone(),
            transited_type: transit::DOMAIN_X500_COMPRESS,
            transited: transit::through(part, &user.realm, &evidence.server.realm, here, database)?,
            auth_time: part.auth_time,
            authorization_data: part.authorization_data.clone(),
        },
        pac: PacSource::Pac(pac),
        end_time: Some(part.end_time),
    })
}
