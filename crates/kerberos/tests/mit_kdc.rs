//! The client's machines against MIT's krb5kdc.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests may panic and say what they skip"
)]

mod mit;

use std::time::SystemTime;

use hop_kerberos::ap::KeytabKeys;
use hop_kerberos::client::{ClientSecret, TgsOptions};
use hop_kerberos::gss::{Acceptor, AcceptorOptions, GssFlags, Initiator, InitiatorOptions};
use hop_kerberos::replay::MemoryReplayCache;
use hop_kerberos::{Credential, EncryptionType, Error, ErrorCode, Principal, TicketFlags};
use mit::{REALM, kdc};

fn code(result: Result<Credential, Error>) -> ErrorCode {
    match result.unwrap_err() {
        Error::Kdc(e) => e.code,
        e => panic!("{e}"),
    }
}

#[test]
fn tickets_from_mit() {
    let Some(kdc) = kdc() else { return };
    let service = Principal::service(REALM, "HTTP", "a.test");
    let mut keys = KeytabKeys::new(&kdc.keytab);
    for name in ["alice", "bob", "sha2"] {
        let tgt = kdc.user(name, "Pa55word").unwrap();
        assert!(tgt.flags.contains(TicketFlags::FORWARDABLE | TicketFlags::INITIAL), "{name}");
        assert_eq!(tgt.flags.contains(TicketFlags::PRE_AUTHENT), name != "alice");
        let forwarded = kdc.ticket(&tgt, TgsOptions::forward(&tgt)).unwrap();
        assert!(forwarded.flags.contains(TicketFlags::FORWARDED));
        let credential = kdc.ticket(&tgt, TgsOptions::new(service.clone())).unwrap();
        assert!(!credential.flags.contains(TicketFlags::OK_AS_DELEGATE));
        let options = InitiatorOptions {
            credential: &credential,
            forwarded: Some(&forwarded),
            channel_bindings: None,
            advertise_bindings: false,
            flags: GssFlags::CONF | GssFlags::INTEG,
        };
        let now = SystemTime::now();
        let (token, expect) = Initiator::new(&options, now, &mut rand::rng()).unwrap();
        let mut replay = MemoryReplayCache::default();
        let options = AcceptorOptions::default();
        let accepted =
            Acceptor::accept(&token, &mut keys, &mut replay, &options, now, &mut rand::rng()).unwrap();
        assert_eq!(accepted.client, Principal::new(REALM, &[name]));
        expect.handle(&accepted.reply.unwrap()).unwrap();
        // The second hop: a ticket for the next service from the delegated TGT.
        let trusted = Principal::service(REALM, "HTTP", "trusted.test");
        let next = kdc.ticket(&accepted.delegated.unwrap(), TgsOptions::new(trusted)).unwrap();
        assert!(next.flags.contains(TicketFlags::OK_AS_DELEGATE | TicketFlags::FORWARDED));
    }
}

#[test]
fn keytabs_and_refusals() {
    let Some(kdc) = kdc() else { return };
    let service = Principal::service(REALM, "HTTP", "a.test");
    let held = kdc.keytab.entries.iter().map(|e| e.key.clone()).collect();
    assert_eq!(kdc.login(service.clone(), ClientSecret::Keys(held)).unwrap().client, service);

    assert_eq!(kdc.user("alice", "wrong").unwrap_err(), Error::Integrity("AS-REP"));
    assert_eq!(code(kdc.user("bob", "wrong")), ErrorCode::KDC_ERR_PREAUTH_FAILED);
    assert_eq!(code(kdc.user("nobody", "x")), ErrorCode::KDC_ERR_C_PRINCIPAL_UNKNOWN);

    let tgt = kdc.user("alice", "Pa55word").unwrap();
    let unknown = Principal::service(REALM, "HTTP", "unknown.test");
    assert_eq!(code(kdc.ticket(&tgt, TgsOptions::new(unknown))), ErrorCode::KDC_ERR_S_PRINCIPAL_UNKNOWN);
    let only =
        TgsOptions { encryption_types: vec![EncryptionType::Aes128CtsHmacSha1], ..TgsOptions::new(service) };
    assert_eq!(kdc.ticket(&tgt, only).unwrap().session_key.etype, EncryptionType::Aes128CtsHmacSha1);

    // A user whose tickets must not travel.
    let tgt = kdc.user("sensitive", "Pa55word").unwrap();
    assert!(!tgt.flags.contains(TicketFlags::FORWARDABLE));
    assert!(kdc.ticket(&tgt, TgsOptions::new(Principal::service(REALM, "HTTP", "a.test"))).is_ok());
    assert_eq!(code(kdc.ticket(&tgt, TgsOptions::forward(&tgt))), ErrorCode::KDC_ERR_BADOPTION);
}
