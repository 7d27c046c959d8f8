//! KDCs of several realms that trust each other, more or less.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may panic")]

mod realm;

use hop_kerberos::client::{TgsOptions, TgsOutcome};
use hop_kerberos::kdc::{Entry, EntryFlags};
use hop_kerberos::{Credential, Error, ErrorCode, KdcOptions, Principal, TicketFlags};
use realm::{Realm, refused};

/// A realm with a user alice and a service HTTP/REALM.
fn realm(name: &str) -> Realm {
    let realm = Realm::new(name);
    for entry in ["alice", &format!("HTTP/{}", name.to_lowercase())] {
        realm.add(Entry::service(realm.principal(entry), &mut rand::rng()).unwrap());
    }
    realm
}

/// Clients of one realm become known in another.
fn trust(from: &Realm, to: &Realm) {
    let entry = Entry::trust(&from.name, &to.name, &"Between-2026".into()).unwrap();
    from.add(entry.clone());
    to.add(entry);
}

fn service(realm: &Realm) -> Principal {
    realm.principal(&format!("HTTP/{}", realm.name.to_lowercase()))
}

/// A ticket-granting ticket for another realm.
fn cross(from: &mut Realm, tgt: &Credential, to: &Realm) -> Result<Credential, Error> {
    from.ask(tgt, TgsOptions::new(Principal::krbtgt(&*from.name, &to.name)))
}

fn transited(realm: &Realm, ticket: &Credential) -> String {
    String::from_utf8(realm.open(ticket).transited).unwrap()
}

#[test]
fn two_realms() {
    let (mut one, mut two) = (realm("ONE.TEST"), realm("TWO.TEST"));
    trust(&one, &two);
    let tgt = one.tgt("alice");
    let there = cross(&mut one, &tgt, &two).unwrap();
    assert_eq!(there.server, Principal::krbtgt("ONE.TEST", "TWO.TEST"));
    let ticket = two.ask(&there, TgsOptions::new(service(&two))).unwrap();
    let part = two.open(&ticket);
    assert_eq!((&part.client, part.auth_time), (&one.principal("alice"), tgt.auth_time));
    assert!(part.flags.contains(TicketFlags::TRANSITED_POLICY_CHECKED) && part.transited.is_empty());
    // what its own realm says of her is in the ticket, and evidence of what she showed
    assert_eq!(part.authorization_data.len(), 1);
    let front = service(&two);
    two.add({
        let mut entry = two.entry("HTTP/two.test");
        entry.allowed_to_delegate_to = vec![two.principal("HTTP/back")];
        entry
    });
    two.add(Entry::service(two.principal("HTTP/back"), &mut rand::rng()).unwrap());
    let own = two.tgt("HTTP/two.test");
    let options = TgsOptions::s4u2proxy(&ticket, two.principal("HTTP/back"));
    assert_eq!(two.ask(&own, options).unwrap().client, one.principal("alice"));
    // a local ticket-granting ticket, by which nothing else is to be had
    let local = two.ask(&there, TgsOptions::new(Principal::krbtgt("TWO.TEST", "TWO.TEST"))).unwrap();
    assert_eq!(two.ask(&local, TgsOptions::new(front)).unwrap().client, one.principal("alice"));

    // trust can be suspended, at either end
    let locked = |realm: &Realm, flags| {
        let trust = Entry::trust("ONE.TEST", "TWO.TEST", &"Between-2026".into()).unwrap();
        realm.add(trust.with(flags));
    };
    locked(&two, EntryFlags::LOCKED);
    let revoked = ErrorCode::KDC_ERR_TGT_REVOKED;
    let words = "tickets from there are not accepted any more";
    refused(two.ask(&there, TgsOptions::new(service(&two))), revoked, words);
    locked(&two, EntryFlags::empty());
    locked(&one, EntryFlags::LOCKED);
    refused(cross(&mut one, &tgt, &two), ErrorCode::KDC_ERR_SERVICE_REVOKED, "the service is locked");
    locked(&one, EntryFlags::empty());

    // trust one way is no trust the other way
    let tgt = two.tgt("alice");
    let unknown = ErrorCode::KDC_ERR_S_PRINCIPAL_UNKNOWN;
    refused(cross(&mut two, &tgt, &one), unknown, "server not found");
    // not the same password
    one.add(Entry::trust("ONE.TEST", "TWO.TEST", &"Another".into()).unwrap());
    let tgt = one.tgt("alice");
    let there = cross(&mut one, &tgt, &two).unwrap();
    let result = two.ask(&there, TgsOptions::new(service(&two)));
    refused(result, ErrorCode::KRB_AP_ERR_BAD_INTEGRITY, "integrity check failed");
    // a ticket that is for a third realm
    let other = Realm::new("OTHER.TEST");
    trust(&one, &other);
    let elsewhere = cross(&mut one, &tgt, &other).unwrap();
    let shown = Credential { server: Principal::krbtgt("ONE.TEST", "TWO.TEST"), ..elsewhere };
    let result = two.ask(&shown, TgsOptions::new(service(&two)));
    let words = "not a ticket-granting ticket for this realm";
    refused(result, ErrorCode::KRB_AP_ERR_NOT_US, words);
}

#[test]
fn clients_are_referred() {
    let (mut one, two) = (realm("ONE.TEST"), realm("TWO.TEST"));
    trust(&one, &two);
    one.database.lock().unwrap().refer(".two.test", "TWO.TEST");
    one.database.lock().unwrap().refer("two.test", "TWO.TEST");
    let tgt = one.tgt("alice");
    for name in ["HTTP/two.test", "HTTP/A.Two.Test"] {
        match one.outcome(&tgt, TgsOptions::new(one.principal(name))).unwrap() {
            TgsOutcome::Referral { realm, tgt } => {
                assert_eq!((realm.as_str(), &tgt.client), ("TWO.TEST", &one.principal("alice")));
            }
            other => panic!("{other:?}"),
        }
    }
    let unknown = ErrorCode::KDC_ERR_S_PRINCIPAL_UNKNOWN;
    refused(
        one.outcome(&tgt, TgsOptions::new(one.principal("HTTP/nottwo.test"))),
        unknown,
        "server not found",
    );
    let mut plain = TgsOptions::new(one.principal("HTTP/two.test"));
    plain.kdc_options.remove(KdcOptions::CANONICALIZE);
    refused(one.outcome(&tgt, plain), unknown, "server not found");
}

#[test]
fn a_realm_speaks_for_its_own_clients() {
    let (mut one, mut two) = (realm("ONE.TEST"), realm("TWO.TEST"));
    trust(&one, &two);
    let tgt = one.tgt("alice");
    let there = cross(&mut one, &tgt, &two).unwrap();
    let path = ErrorCode::KDC_ERR_PATH_NOT_ACCEPTED;
    let words = "tickets may not come by this way";
    for (realm, way) in [
        // a client of the other realm itself, and of one that nothing is known of
        ("TWO.TEST", ""),
        ("THREE.TEST", ""),
        // by ways that are longer than they need to be, or cannot be read
        ("ONE.TEST", "THREE.TEST"),
        ("ONE.TEST", "\\"),
    ] {
        let forged = one.forge(&there, |part| {
            part.client.realm = realm.to_owned();
            part.transited = way.as_bytes().to_vec();
            // The PAC would not fit.
            part.authorization_data.clear();
        });
        refused(two.ask(&forged, TgsOptions::new(service(&two))), path, words);
    }
    let forged = one.forge(&there, |part| (part.transited_type, part.transited) = (9, vec![1]));
    let result = two.ask(&forged, TgsOptions::new(service(&two)));
    refused(result, ErrorCode::KDC_ERR_TRTYPE_NOSUPP, "unknown form of transited realms");

    // once the way is configured, it is written down
    two.database.lock().unwrap().set_path("THREE.TEST", vec!["ONE.TEST".to_owned()]);
    let forged = one.forge(&there, |part| {
        part.client.realm = "THREE.TEST".to_owned();
        part.authorization_data.clear();
    });
    let ticket = two.ask(&forged, TgsOptions::new(service(&two))).unwrap();
    assert_eq!((transited(&two, &ticket).as_str(), ticket.client.realm.as_str()), ("ONE.TEST", "THREE.TEST"));
    // and stays so in tickets had by a local ticket-granting ticket
    let local = two.ask(&forged, TgsOptions::new(Principal::krbtgt("TWO.TEST", "TWO.TEST"))).unwrap();
    let ticket = two.ask(&local, TgsOptions::new(service(&two))).unwrap();
    assert_eq!(transited(&two, &ticket), "ONE.TEST");

    // what it says of its clients is sealed with the key between the two, and is about the ticket's client
    let modified = ErrorCode::KRB_AP_ERR_MODIFIED;
    let words = "the ticket-granting ticket's pac was altered";
    let forged = one.forge(&there, |part| part.client.components[0] = "bobby".to_owned());
    refused(two.ask(&forged, TgsOptions::new(service(&two))), modified, words);
    let forged = one.forge(&there, |part| {
        let data = &mut part.authorization_data[0].data;
        let at = data.len() / 2;
        data[at] ^= 1;
    });
    refused(two.ask(&forged, TgsOptions::new(service(&two))), modified, words);
}

#[test]
fn up_and_down_a_hierarchy() {
    let (mut a, mut top, mut b) = (realm("A.TEST"), realm("TEST"), realm("B.TEST"));
    trust(&a, &top);
    trust(&top, &b);
    let tgt = a.tgt("alice");
    // asked for the far realm, each gives what brings nearer
    let options = TgsOptions::new(Principal::krbtgt("A.TEST", "B.TEST"));
    let TgsOutcome::Referral { tgt: up, realm } = a.outcome(&tgt, options).unwrap() else {
        panic!("no referral")
    };
    assert_eq!(realm, "TEST");
    let down = top.ask(&up, TgsOptions::new(Principal::krbtgt("TEST", "B.TEST"))).unwrap();
    let ticket = b.ask(&down, TgsOptions::new(service(&b))).unwrap();
    assert_eq!((transited(&b, &ticket).as_str(), ticket.client), ("TEST", a.principal("alice")));
    // not where only direct trust counts
    b.database.lock().unwrap().set_path("A.TEST", Vec::new());
    let result = b.ask(&down, TgsOptions::new(service(&b)));
    refused(result, ErrorCode::KDC_ERR_PATH_NOT_ACCEPTED, "tickets may not come by this way");
}

#[test]
fn another_realms_services_act_for_nobody_here() {
    let (mut one, mut two) = (realm("ONE.TEST"), realm("TWO.TEST"));
    trust(&one, &two);
    let tgt = one.tgt("HTTP/one.test");
    let there = cross(&mut one, &tgt, &two).unwrap();
    let unknown = ErrorCode::KDC_ERR_C_PRINCIPAL_UNKNOWN;
    let words = "the service that asks is not known";
    let options = TgsOptions::s4u2self(two.principal("alice"), service(&two));
    refused(two.ask(&there, options), unknown, words);
    let alice = two.tgt("alice");
    let shown = two.ask(&alice, TgsOptions::new(service(&two))).unwrap();
    let words = "the evidence was not made for this service to come here with";
    let bad = ErrorCode::KDC_ERR_BADOPTION;
    refused(two.ask(&there, TgsOptions::s4u2proxy(&shown, service(&two))), bad, words);
    // nor can anybody have a ticket-granting ticket in a user's name by asking for it
    two.add(Entry::trust("TWO.TEST", "ONE.TEST", &"x".into()).unwrap().with(EntryFlags::OK_AS_DELEGATE));
    let own = two.tgt("HTTP/two.test");
    let options = TgsOptions::s4u2proxy(&shown, Principal::krbtgt("TWO.TEST", "ONE.TEST"));
    let words = "no ticket-granting ticket in another name";
    refused(two.ask(&own, options), ErrorCode::KDC_ERR_POLICY, words);
}

/// Both realms trust each other and know each other's hosts.
fn friends() -> (Realm, Realm) {
    let (one, two) = (realm("ONE.TEST"), realm("TWO.TEST"));
    trust(&one, &two);
    trust(&two, &one);
    one.database.lock().unwrap().refer("two.test", "TWO.TEST");
    two.database.lock().unwrap().refer("one.test", "ONE.TEST");
    (one, two)
}

#[test]
fn a_service_learns_of_a_user_of_another_realm() {
    let (mut one, mut two) = friends();
    let (front, alice) = (service(&one), two.principal("alice"));
    let tgt = one.tgt("HTTP/one.test");
    let there = cross(&mut one, &tgt, &two).unwrap();
    let back = |two: &mut Realm, user: &Principal| {
        let asked = Principal { realm: "TWO.TEST".to_owned(), ..front.clone() };
        match two.outcome(&there, TgsOptions::s4u2self(user.clone(), asked))? {
            TgsOutcome::Referral { tgt, .. } => Ok(tgt),
            other => panic!("{other:?}"),
        }
    };
    let home = back(&mut two, &alice).unwrap();
    assert_eq!(home.client, front);
    let own = one.ask(&home, TgsOptions::s4u2self(alice.clone(), front.clone())).unwrap();
    assert_eq!((&own.client, one.open(&own).client), (&alice, alice.clone()));
    assert!(own.flags.contains(TicketFlags::FORWARDABLE));
    // it is evidence
    let mut target = one.entry("HTTP/one.test");
    (target.principal, target.allowed_to_act) = (one.principal("HTTP/target"), vec![front.clone()]);
    one.add(target);
    let options = TgsOptions::s4u2proxy(&own, one.principal("HTTP/target"));
    assert_eq!(one.ask(&tgt, options).unwrap().client, alice);

    // whom the user's realm did not vouch for, and what is no ticket of the service's own
    let code = ErrorCode::KRB_AP_ERR_BADMATCH;
    let words = "another user's realm spoke for another user";
    let bobby = two.principal("bobby");
    refused(one.ask(&home, TgsOptions::s4u2self(bobby.clone(), front.clone())), code, words);
    let path = ErrorCode::KDC_ERR_PATH_NOT_ACCEPTED;
    let words = "tickets may not come by this way";
    for user in [one.principal("alice"), Principal::new("THREE.TEST", &["alice"])] {
        refused(one.ask(&home, TgsOptions::s4u2self(user, front.clone())), path, words);
    }
    refused(one.ask(&home, TgsOptions::new(front.clone())), path, words);
    refused(back(&mut two, &bobby), ErrorCode::KDC_ERR_C_PRINCIPAL_UNKNOWN, "client not found");
    let modified = ErrorCode::KRB_AP_ERR_MODIFIED;
    let words = "the ticket-granting ticket's pac was altered";
    let plain = two.forge(&home, |part| part.authorization_data.clear());
    refused(one.ask(&plain, TgsOptions::s4u2self(alice.clone(), front.clone())), modified, words);
    let other = one.tgt("alice");
    let other = cross(&mut one, &other, &two).unwrap();
    let elsewhere = one.principal("HTTP/one.test");
    let asked = Principal { realm: "TWO.TEST".to_owned(), ..elsewhere };
    let TgsOutcome::Referral { tgt: theirs, .. } =
        two.outcome(&other, TgsOptions::s4u2self(alice.clone(), asked)).unwrap()
    else {
        panic!("no referral")
    };
    let words = "a service gets such tickets for itself only";
    refused(one.ask(&theirs, TgsOptions::s4u2self(alice.clone(), front.clone())), code, words);
    // an account that cannot be delegated
    two.add(two.entry("alice").with(EntryFlags::DISALLOW_FORWARDABLE));
    let home = back(&mut two, &alice).unwrap();
    assert!(!home.flags.contains(TicketFlags::FORWARDABLE));
    let own = one.ask(&home, TgsOptions::s4u2self(alice, front)).unwrap();
    assert!(!own.flags.contains(TicketFlags::FORWARDABLE));
}

#[test]
fn a_target_lets_a_service_of_another_realm_act() {
    let (mut one, mut two) = friends();
    let (front, target) = (service(&one), service(&two));
    let own = one.tgt("HTTP/one.test");
    let user = one.tgt("alice");
    let shown = one.ask(&user, TgsOptions::new(front.clone())).unwrap();
    let asked = Principal { realm: "ONE.TEST".to_owned(), ..target.clone() };
    let refer = |one: &mut Realm, shown: &Credential| match one
        .outcome(&own, TgsOptions::s4u2proxy(shown, asked.clone()))?
    {
        TgsOutcome::Referral { tgt, .. } => Ok(Credential { client: one.principal("alice"), ..tgt }),
        other => panic!("{other:?}"),
    };
    let evidence = refer(&mut one, &shown).unwrap();
    let there = cross(&mut one, &own, &two).unwrap();
    let bad = ErrorCode::KDC_ERR_BADOPTION;
    let words = "not allowed to delegate to this service";
    refused(two.ask(&there, TgsOptions::s4u2proxy(&evidence, target.clone())), bad, words);
    let allow = |two: &Realm| {
        let mut entry = two.entry("HTTP/two.test");
        entry.allowed_to_act = vec![front.clone()];
        two.add(entry);
    };
    allow(&two);
    let ticket = two.ask(&there, TgsOptions::s4u2proxy(&evidence, target.clone())).unwrap();
    assert_eq!(two.open(&ticket).client, one.principal("alice"));

    // the ticket in the user's name is good for nothing else
    let modified = ErrorCode::KRB_AP_ERR_MODIFIED;
    let altered = "the ticket-granting ticket's pac was altered";
    let as_own = Credential { client: front.clone(), ..evidence.clone() };
    refused(two.ask(&as_own, TgsOptions::new(target.clone())), modified, altered);
    refused(two.ask(&as_own, TgsOptions::s4u2proxy(&evidence, target.clone())), modified, altered);
    // nor the service's own in a user's name
    refused(two.ask(&there, TgsOptions::s4u2proxy(&there, target.clone())), modified, altered);
    // not at another target, not by another service
    let mut other = two.entry("HTTP/two.test");
    other.principal = two.principal("HTTP/other");
    two.add(other);
    let words = "the evidence was made for another service";
    refused(two.ask(&there, TgsOptions::s4u2proxy(&evidence, two.principal("HTTP/other"))), bad, words);
    let alices = cross(&mut one, &user, &two).unwrap();
    let words = "the evidence was not made for this service to come here with";
    refused(two.ask(&alices, TgsOptions::s4u2proxy(&evidence, target.clone())), bad, words);
    // not if the account cannot be delegated, or its ticket says that it cannot
    one.add(one.entry("alice").with(EntryFlags::DISALLOW_FORWARDABLE));
    refused(refer(&mut one, &shown), bad, "the account cannot be delegated");
    let forged = one.forge(&evidence, |part| part.flags -= TicketFlags::FORWARDABLE);
    let forged = Credential { client: one.principal("alice"), ..forged };
    let words = "the evidence is not forwardable";
    refused(two.ask(&there, TgsOptions::s4u2proxy(&forged, target)), bad, words);
}
