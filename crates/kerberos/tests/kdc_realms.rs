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
    refused(two.ask(&there, TgsOptions::s4u2proxy(&shown, service(&two))), unknown, words);
    // nor can anybody have a ticket for another realm in a user's name
    two.add(Entry::trust("TWO.TEST", "ONE.TEST", &"x".into()).unwrap().with(EntryFlags::OK_AS_DELEGATE));
    let own = two.tgt("HTTP/two.test");
    let options = TgsOptions::s4u2proxy(&shown, Principal::krbtgt("TWO.TEST", "ONE.TEST"));
    let words = "no ticket-granting ticket in another name";
    refused(two.ask(&own, options), ErrorCode::KDC_ERR_POLICY, words);
}
