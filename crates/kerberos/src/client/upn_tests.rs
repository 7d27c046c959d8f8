//! Tickets for users by their principal names, from KDCs that prove nothing but by the ticket itself.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::asn1::{decode, encode, pa};
use crate::kdc::{Entry, Kdc, MemoryDatabase, Policy};
use crate::testing::rng;
use crate::{Credential, EncryptionKey, Error, NameType, Principal};

const REALM: &str = "HOP.TEST";

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000)
}

fn service() -> Principal {
    Principal::service(REALM, "HTTP", "a.hop.test")
}

fn upn(name: &str) -> Principal {
    Principal { name_type: NameType::ENTERPRISE, ..Principal::new(REALM, &[name]) }
}

struct World {
    kdc: Kdc,
    keys: Vec<EncryptionKey>,
    tgt: Credential,
}

impl World {
    fn new() -> Self {
        let mut database = MemoryDatabase::new(REALM, &mut rng()).unwrap();
        for user in ["alice", "bob"] {
            database.insert(Entry::user(Principal::new(REALM, &[user]), &"secret".into()).unwrap());
        }
        let entry = Entry::service(service(), &mut rng()).unwrap();
        let mut keytab = crate::keytab::Keytab::default();
        entry.export(&mut keytab, now());
        database.insert(entry);
        let keys: Vec<EncryptionKey> = keytab.entries.into_iter().map(|entry| entry.key).collect();
        let mut kdc = Kdc::new(REALM, database, Policy::default());
        let secret = ClientSecret::Keys(keys.clone());
        let mut login = AsExchange::new(AsOptions::new(service()), secret, now(), &mut rng()).unwrap();
        let tgt = loop {
            let reply = kdc.handle(&login.poll_transmit().unwrap().bytes, now(), &mut rng());
            if let Some(done) = login.handle_reply(&reply, now(), &mut rng()).unwrap() {
                break done.credential;
            }
        };
        Self { kdc, keys, tgt }
    }

    fn start(&self, user: Principal) -> (TgsExchange, asn1::TgsReq) {
        let mut options = TgsOptions::s4u2self(user, service());
        options.own_keys.clone_from(&self.keys);
        let mut exchange = TgsExchange::new(&self.tgt, options, now(), &mut rng()).unwrap();
        let request = decode("TGS-REQ", &exchange.poll_transmit().unwrap().bytes).unwrap();
        (exchange, request)
    }

    /// The answer without the KDC's signed word about the user.
    fn answer(&mut self, request: &asn1::TgsReq) -> Vec<u8> {
        let reply = self.kdc.handle(&encode("TGS-REQ", request).unwrap(), now(), &mut rng());
        let mut reply: asn1::TgsRep = decode("TGS-REP", &reply).unwrap();
        reply.0.padata = None;
        encode("TGS-REP", &reply).unwrap()
    }
}

fn ticket(outcome: Result<TgsOutcome, Error>) -> Credential {
    match outcome {
        Ok(TgsOutcome::Ticket(ticket)) => ticket,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_directory_s_word_in_the_ticket_is_proof() {
    let mut w = World::new();
    for name in ["alice@hop.test", "alice@HOP.TEST"] {
        let (exchange, request) = w.start(upn(name));
        let reply = w.answer(&request);
        let got = ticket(exchange.handle_reply(&reply, now()));
        assert_eq!(got.client, Principal::new(REALM, &["alice"]));
        assert_eq!(account_in(&got, &w.keys), Ok(Some(Principal::new(REALM, &["alice"]))));
        assert_eq!(account_in(&got, &[]), Ok(None));
    }
    // Nobody can look into the ticket.
    let keys = std::mem::take(&mut w.keys);
    let (exchange, request) = w.start(upn("alice@hop.test"));
    w.keys = keys;
    let reply = w.answer(&request);
    assert!(matches!(exchange.handle_reply(&reply, now()), Err(Error::ReplyMismatch(_))));
}

/// Somebody in between puts an earlier request's user in the place of the one that is asked for, or nobody.
#[test]
fn another_user_s_ticket_is_refused() {
    let mut w = World::new();
    let of = |request: &asn1::TgsReq| {
        request.0.padata.iter().flatten().find(|p| p.padata_type == pa::FOR_USER).cloned().unwrap()
    };
    let (_, earlier) = w.start(upn("bob@hop.test"));
    let bob = of(&earlier);
    for user in [upn("alice@hop.test"), Principal::new(REALM, &["alice"])] {
        for put in [Some(bob.clone()), None] {
            let (exchange, mut request) = w.start(user.clone());
            let padata = request.0.padata.as_mut().unwrap();
            padata.retain(|p| p.padata_type == pa::TGS_REQ);
            padata.extend(put.clone());
            let reply = w.answer(&request);
            let refused = exchange.handle_reply(&reply, now());
            assert!(matches!(refused, Err(Error::ReplyMismatch(_))), "{user} {put:?}: {refused:?}");
        }
        let (exchange, mut request) = w.start(user.clone());
        let own = of(&request);
        request.0.padata.as_mut().unwrap().retain(|p| p.padata_type == pa::TGS_REQ);
        request.0.padata.as_mut().unwrap().push(own);
        let reply = w.answer(&request);
        ticket(exchange.handle_reply(&reply, now()));
    }
}
