//! What the KDC gives services in their users' names, and what it does not.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may panic")]

use std::time::{Duration, UNIX_EPOCH};

use hop_kerberos::client::{OnBehalf, TgsExchange, TgsOptions};
use hop_kerberos::kdc::{Entry, EntryFlags};
use hop_kerberos::{Credential, Error, ErrorCode, KdcOptions, NameType, Principal, Ticket, TicketFlags};

mod realm;

use realm::{Realm, refused};

const REALM: &str = "HOP.TEST";

/// A realm with services of every kind.
struct World(Realm);

impl std::ops::Deref for World {
    type Target = Realm;

    fn deref(&self) -> &Realm {
        &self.0
    }
}

impl std::ops::DerefMut for World {
    fn deref_mut(&mut self) -> &mut Realm {
        &mut self.0
    }
}

fn principal(name: &str) -> Principal {
    Principal::parse(name, Some(REALM)).unwrap()
}

impl World {
    fn new() -> Self {
        let rng = &mut rand::rng();
        let realm = Realm::new(REALM);
        for (name, flags) in [
            ("alice", EntryFlags::empty()),
            ("sensitive", EntryFlags::DISALLOW_FORWARDABLE),
            ("locked", EntryFlags::LOCKED),
            ("HTTP/front", EntryFlags::empty()),
            ("HTTP/transition", EntryFlags::TRUSTED_TO_AUTH),
            ("HTTP/resource", EntryFlags::empty()),
            ("HTTP/unlisted", EntryFlags::empty()),
            ("HTTP/back", EntryFlags::empty()),
            ("HTTP/target", EntryFlags::empty()),
        ] {
            let mut entry = Entry::service(principal(name), rng).unwrap().with(flags);
            if matches!(name, "HTTP/front" | "HTTP/transition") {
                entry.allowed_to_delegate_to = vec![principal("HTTP/back")];
            }
            if name == "HTTP/target" {
                entry.allowed_to_act = vec![principal("HTTP/resource")];
            }
            realm.add(entry);
        }
        Self(realm)
    }

    /// The ticket that a user showed to a service.
    fn shown(&mut self, user: &str, service: &str) -> Credential {
        let tgt = self.tgt(user);
        self.ask(&tgt, TgsOptions::new(principal(service))).unwrap()
    }

    fn for_self(&mut self, service: &str, user: &str) -> Result<Credential, Error> {
        let tgt = self.tgt(service);
        self.ask(&tgt, TgsOptions::s4u2self(principal(user), principal(service)))
    }

    fn for_proxy(&mut self, service: &str, evidence: &Credential, target: &str) -> Result<Credential, Error> {
        let tgt = self.tgt(service);
        self.ask(&tgt, TgsOptions::s4u2proxy(evidence, principal(target)))
    }
}

const FORWARDABLE: TicketFlags = TicketFlags::FORWARDABLE;

#[test]
fn constrained_delegation_is_for_the_listed_targets() {
    let w = &mut World::new();
    let evidence = w.shown("alice", "HTTP/front");
    let ticket = w.for_proxy("HTTP/front", &evidence, "HTTP/back").unwrap();
    assert_eq!(ticket.client, principal("alice"));
    let part = w.open(&ticket);
    assert_eq!((&part.client, part.auth_time), (&principal("alice"), evidence.auth_time));
    assert!(part.end_time <= evidence.end_time);
    assert!(part.flags.contains(FORWARDABLE | TicketFlags::PRE_AUTHENT));
    assert!(!part.flags.intersects(TicketFlags::INITIAL | TicketFlags::RENEWABLE));

    let bad = ErrorCode::KDC_ERR_BADOPTION;
    let not_listed = "not allowed to delegate to this service";
    refused(w.for_proxy("HTTP/front", &evidence, "HTTP/target"), bad, not_listed);
    refused(w.for_proxy("HTTP/front", &evidence, "HTTP/front"), bad, not_listed);
    let shown = w.shown("alice", "HTTP/unlisted");
    refused(w.for_proxy("HTTP/unlisted", &shown, "HTTP/back"), bad, not_listed);
    // a ticket that a user showed to somebody else
    let code = ErrorCode::KDC_ERR_SERVER_NOMATCH;
    refused(
        w.for_proxy("HTTP/front", &shown, "HTTP/back"),
        code,
        "the evidence was shown to another service",
    );
    // no such target, and the ticket-granting service
    let code = ErrorCode::KDC_ERR_S_PRINCIPAL_UNKNOWN;
    refused(w.for_proxy("HTTP/front", &evidence, "HTTP/none"), code, "server not found");
    let code = ErrorCode::KDC_ERR_POLICY;
    let krbtgt = "krbtgt/HOP.TEST";
    refused(w.for_proxy("HTTP/front", &evidence, krbtgt), code, "no ticket-granting ticket in another name");
    // a listed one does not help where the user asked for no forwardable ticket
    let tgt = w.tgt("alice");
    let mut options = TgsOptions::new(principal("HTTP/front"));
    options.kdc_options.remove(KdcOptions::FORWARDABLE);
    let evidence = w.ask(&tgt, options).unwrap();
    refused(w.for_proxy("HTTP/front", &evidence, "HTTP/back"), bad, "the evidence is not forwardable");
}

#[test]
fn evidence_is_a_current_ticket_of_an_account_in_use() {
    let w = &mut World::new();
    let bad = ErrorCode::KDC_ERR_BADOPTION;
    let evidence = w.shown("alice", "HTTP/front");
    // none, and a ticket-granting ticket
    let front = w.tgt("HTTP/front");
    let mut options = TgsOptions::s4u2proxy(&evidence, principal("HTTP/back"));
    options.additional_tickets.clear();
    refused(w.ask(&front, options), bad, "no ticket of a user's");
    let tgt = w.tgt("alice");
    let code = ErrorCode::KDC_ERR_SERVER_NOMATCH;
    let words = "the evidence is for no service of this realm";
    refused(w.for_proxy("HTTP/front", &tgt, "HTTP/back"), code, words);
    // altered bytes
    let mut broken = Ticket::parse(&evidence.ticket).unwrap();
    *broken.enc_part.cipher.last_mut().unwrap() ^= 1;
    let broken = Credential { ticket: broken.to_der().unwrap(), ..evidence.clone() };
    let code = ErrorCode::KRB_AP_ERR_BAD_INTEGRITY;
    refused(w.for_proxy("HTTP/front", &broken, "HTTP/back"), code, "integrity check failed");
    // other options beside
    for option in [KdcOptions::FORWARDED, KdcOptions::PROXY, KdcOptions::RENEW, KdcOptions::ENC_TKT_IN_SKEY] {
        let mut options = TgsOptions::s4u2proxy(&evidence, principal("HTTP/back"));
        options.kdc_options |= option;
        match w.ask(&front, options) {
            Err(Error::Kdc(e)) => assert_ne!(e.code, ErrorCode::KRB_ERR_GENERIC, "{option:?}"),
            other => panic!("{option:?}: {other:?}"),
        }
    }
    // the account is locked, or made sensitive, or gone after the ticket was issued
    w.change("alice", |e| e.flags = EntryFlags::DISALLOW_FORWARDABLE);
    refused(w.for_proxy("HTTP/front", &evidence, "HTTP/back"), bad, "the account cannot be delegated");
    w.change("alice", |e| e.flags = EntryFlags::LOCKED);
    let code = ErrorCode::KDC_ERR_CLIENT_REVOKED;
    refused(w.for_proxy("HTTP/front", &evidence, "HTTP/back"), code, "the account is locked");
    w.change("alice", |e| (e.flags, e.expires) = (EntryFlags::empty(), Some(UNIX_EPOCH)));
    let code = ErrorCode::KDC_ERR_NAME_EXP;
    refused(w.for_proxy("HTTP/front", &evidence, "HTTP/back"), code, "the account has expired");
    // the evidence is as old as it may be, or older
    w.change("alice", |e| e.expires = None);
    w.now = evidence.end_time - Duration::from_secs(60);
    let ticket = w.for_proxy("HTTP/front", &evidence, "HTTP/back").unwrap();
    assert_eq!(ticket.end_time, evidence.end_time);
    w.now = evidence.end_time + Duration::from_secs(301);
    let code = ErrorCode::KRB_AP_ERR_TKT_EXPIRED;
    refused(w.for_proxy("HTTP/front", &evidence, "HTTP/back"), code, "ticket expired");
}

#[test]
fn protocol_transition_needs_trust() {
    let w = &mut World::new();
    let bad = ErrorCode::KDC_ERR_BADOPTION;
    let own = w.for_self("HTTP/transition", "alice").unwrap();
    assert_eq!((&own.client, &own.server), (&principal("alice"), &principal("HTTP/transition")));
    assert!(own.flags.contains(FORWARDABLE));
    let ticket = w.for_proxy("HTTP/transition", &own, "HTTP/back").unwrap();
    assert_eq!(w.open(&ticket).client, principal("alice"));

    // without that trust the ticket says who the user is, and no more
    let own = w.for_self("HTTP/front", "alice").unwrap();
    assert!(!own.flags.contains(FORWARDABLE));
    refused(w.for_proxy("HTTP/front", &own, "HTTP/back"), bad, "the evidence is not forwardable");
    // nor does trust help with an account that cannot be delegated
    let own = w.for_self("HTTP/transition", "sensitive").unwrap();
    assert!(!own.flags.contains(FORWARDABLE));
    refused(w.for_proxy("HTTP/transition", &own, "HTTP/back"), bad, "the account cannot be delegated");

    // by enterprise name
    let tgt = w.tgt("HTTP/transition");
    let upn = Principal { name_type: NameType::ENTERPRISE, ..Principal::new(REALM, &["alice@hop.test"]) };
    let own = w.ask(&tgt, TgsOptions::s4u2self(upn, principal("HTTP/transition"))).unwrap();
    assert_eq!(own.client, principal("alice"));

    let unknown = ErrorCode::KDC_ERR_C_PRINCIPAL_UNKNOWN;
    refused(w.for_self("HTTP/transition", "nobody"), unknown, "client not found");
    refused(w.for_self("HTTP/transition", "alice@OTHER.TEST"), unknown, "client not found");
    let code = ErrorCode::KDC_ERR_CLIENT_REVOKED;
    refused(w.for_self("HTTP/transition", "locked"), code, "the account is locked");
    let yesterday = w.now - Duration::from_secs(86_400);
    w.change("alice", |e| e.password_expires = Some(yesterday));
    let code = ErrorCode::KDC_ERR_KEY_EXPIRED;
    refused(w.for_self("HTTP/transition", "alice"), code, "the user's password has expired");
    // for another service than oneself
    let options = TgsOptions::s4u2self(principal("sensitive"), principal("HTTP/back"));
    let code = ErrorCode::KRB_AP_ERR_BADMATCH;
    refused(w.ask(&tgt, options), code, "a service gets such tickets for itself only");
    // a ticket-granting ticket
    let options = TgsOptions::s4u2self(principal("sensitive"), principal("krbtgt/HOP.TEST"));
    refused(w.ask(&tgt, options), code, "a service gets such tickets for itself only");
    // both at once
    let mut options = TgsOptions::s4u2self(principal("sensitive"), principal("HTTP/transition"));
    options.kdc_options |= KdcOptions::CNAME_IN_ADDL_TKT;
    refused(w.ask(&tgt, options), bad, "a user and evidence of one");
    let mut options = TgsOptions::s4u2self(principal("sensitive"), principal("HTTP/transition"));
    options.kdc_options |= KdcOptions::FORWARDED;
    refused(w.ask(&tgt, options), bad, "options that do not go with a ticket in another name");
}

#[test]
fn resource_based_delegation_is_the_targets_choice() {
    let w = &mut World::new();
    let bad = ErrorCode::KDC_ERR_BADOPTION;
    let evidence = w.shown("alice", "HTTP/resource");
    let ticket = w.for_proxy("HTTP/resource", &evidence, "HTTP/target").unwrap();
    assert_eq!(w.open(&ticket).client, principal("alice"));
    // a ticket by S4U2Self will do, forwardable or not
    let own = w.for_self("HTTP/resource", "alice").unwrap();
    w.for_proxy("HTTP/resource", &own, "HTTP/target").unwrap();
    w.change("HTTP/resource", |e| e.allowed_to_delegate_to = vec![principal("HTTP/back")]);
    let own = w.for_self("HTTP/resource", "alice").unwrap();
    assert!(!own.flags.contains(FORWARDABLE));
    let ticket = w.for_proxy("HTTP/resource", &own, "HTTP/target").unwrap();
    assert!(!ticket.flags.contains(FORWARDABLE));
    refused(w.for_proxy("HTTP/resource", &own, "HTTP/back"), bad, "the evidence is not forwardable");

    let shown = w.shown("sensitive", "HTTP/resource");
    let refusal = "the account cannot be delegated";
    refused(w.for_proxy("HTTP/resource", &shown, "HTTP/target"), bad, refusal);
    let shown = w.shown("alice", "HTTP/unlisted");
    let refusal = "not allowed to delegate to this service";
    refused(w.for_proxy("HTTP/unlisted", &shown, "HTTP/target"), bad, refusal);
}

#[test]
fn evidence_is_what_the_kdc_made_it() {
    let w = &mut World::new();
    let modified = ErrorCode::KRB_AP_ERR_MODIFIED;
    let altered = "the evidence was altered";
    // the service has the key: it can set the flag that it was not given (CVE-2020-17049)
    let own = w.for_self("HTTP/front", "alice").unwrap();
    let forged = w.forge(&own, |part| part.flags |= FORWARDABLE);
    refused(w.for_proxy("HTTP/front", &forged, "HTTP/back"), modified, altered);
    let shown = w.shown("sensitive", "HTTP/front");
    let forged = w.forge(&shown, |part| part.flags |= FORWARDABLE);
    refused(w.for_proxy("HTTP/front", &forged, "HTTP/back"), modified, altered);
    // or name another user, another time
    let shown = w.shown("alice", "HTTP/front");
    let forged = w.forge(&shown, |part| part.client = principal("sensitive"));
    refused(w.for_proxy("HTTP/front", &forged, "HTTP/back"), modified, altered);
    let forged = w.forge(&shown, |part| part.end_time += Duration::from_secs(3600));
    refused(w.for_proxy("HTTP/front", &forged, "HTTP/back"), modified, altered);
    // or leave out what it cannot sign, or take it from another ticket
    let forged = w.forge(&shown, |part| part.authorization_data.clear());
    refused(w.for_proxy("HTTP/front", &forged, "HTTP/back"), modified, "the evidence was not issued here");
    let other = w.shown("sensitive", "HTTP/front");
    let data = w.open(&other).authorization_data;
    let forged = w.forge(&shown, |part| part.authorization_data = data.clone());
    refused(w.for_proxy("HTTP/front", &forged, "HTTP/back"), modified, altered);
    let forged = w.forge(&shown, |part| part.authorization_data.extend(data));
    refused(w.for_proxy("HTTP/front", &forged, "HTTP/back"), modified, altered);
    for at in 0..w.open(&shown).authorization_data[0].data.len() {
        let forged = w.forge(&shown, |part| part.authorization_data[0].data[at] ^= 1);
        match w.for_proxy("HTTP/front", &forged, "HTTP/back") {
            Err(Error::Kdc(e)) => assert_eq!(e.code, modified, "byte {at}"),
            other => panic!("byte {at}: {other:?}"),
        }
    }
    // sealed again and not altered, it is as good as before
    let same = w.forge(&shown, |_| {});
    let ticket = w.for_proxy("HTTP/front", &same, "HTTP/back").unwrap();
    // and the next service can go on with it, where it may
    w.change("HTTP/back", |e| e.allowed_to_delegate_to = vec![principal("HTTP/target")]);
    w.for_proxy("HTTP/back", &ticket, "HTTP/target").unwrap();
    // after the realm got new keys, too
    let new = Entry::service(principal("krbtgt/HOP.TEST"), &mut rand::rng()).unwrap().keys;
    w.change("krbtgt/HOP.TEST", |e| {
        e.keys.extend(new.into_iter().map(|key| hop_kerberos::kdc::EntryKey { kvno: 2, ..key }));
    });
    w.for_proxy("HTTP/back", &ticket, "HTTP/target").unwrap();
}

#[test]
fn a_client_adds_no_pac_of_its_own() {
    let w = &mut World::new();
    let mut tgt = w.tgt("alice");
    // the ticket-granting ticket of one user with what was said about another
    let other = w.tgt("sensitive");
    let data = w.open(&other).authorization_data;
    tgt.ticket = w.forge(&tgt, |part| part.authorization_data = data).ticket;
    let refusal = "the ticket-granting ticket's pac was altered";
    let result = w.ask(&tgt, TgsOptions::new(principal("HTTP/front")));
    refused(result, ErrorCode::KRB_AP_ERR_MODIFIED, refusal);
    // one that says nothing, as from a KDC before there were PACs
    tgt.ticket = w.forge(&tgt, |part| part.authorization_data.clear()).ticket;
    let ticket = w.ask(&tgt, TgsOptions::new(principal("HTTP/front"))).unwrap();
    w.for_proxy("HTTP/front", &ticket, "HTTP/back").unwrap();
}

#[test]
fn the_client_believes_no_other_name() {
    let w = &mut World::new();
    let tgt = w.tgt("HTTP/transition");
    // the name changed on the way: there, and back
    let options = TgsOptions::s4u2self(principal("alice"), principal("HTTP/transition"));
    let mut exchange = TgsExchange::new(&tgt, options.clone(), w.now, &mut rand::rng()).unwrap();
    let request = exchange.poll_transmit().unwrap().bytes;
    let altered = replace(&request, b"alice", b"bobby");
    let reply = w.handle(&altered);
    let error = exchange.clone().handle_reply(&reply, w.now).unwrap_err();
    assert_eq!(error.kerberos_code(), ErrorCode::KRB_AP_ERR_MODIFIED);
    let reply = w.handle(&request);
    for (from, to) in [(&b"alice"[..], &b"bobby"[..]), (b"HOP.TEST", b"POH.TEST")] {
        let error = exchange.clone().handle_reply(&replace(&reply, from, to), w.now).unwrap_err();
        assert!(matches!(error, Error::Integrity(_) | Error::ReplyMismatch(_)), "{error:?}");
    }
    // a request that was made one for the service itself: the reply proves no name
    let plain = TgsOptions { on_behalf: None, ..options.clone() };
    let mut other = TgsExchange::new(&tgt, plain, w.now, &mut rand::rng()).unwrap();
    let reply_without = w.handle(&other.poll_transmit().unwrap().bytes);
    assert!(exchange.clone().handle_reply(&reply_without, w.now).is_err());
    assert!(exchange.handle_reply(&reply, w.now).is_ok());

    // evidence of one user, a reply for another
    let evidence = w.shown("alice", "HTTP/front");
    let front = w.tgt("HTTP/front");
    let mut options = TgsOptions::s4u2proxy(&evidence, principal("HTTP/back"));
    options.on_behalf = Some(OnBehalf::Evidence { client: principal("bobby") });
    assert!(matches!(w.ask(&front, options), Err(Error::ReplyMismatch(_))));
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut found = 0;
    for at in 0..bytes.len().saturating_sub(from.len()) {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
            found += 1;
        }
    }
    assert!(found > 0);
    bytes
}
