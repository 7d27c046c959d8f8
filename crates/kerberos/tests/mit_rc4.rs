//! RC4 where it is asked for, with MIT's KDC and MIT's GSS-API at the other end; and where it is not, nothing of it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may panic")]

mod mit;
mod peer;

use std::time::SystemTime;

use hop_kerberos::ap::KeytabKeys;
use hop_kerberos::ccache::CredentialCache;
use hop_kerberos::client::{AsOptions, ClientSecret, TgsOptions};
use hop_kerberos::gss::{Acceptor, AcceptorOptions, Context, GssFlags, Initiator, InitiatorOptions};
use hop_kerberos::replay::MemoryReplayCache;
use hop_kerberos::{Credential, EncryptionType, Error, ErrorCode, Principal};
use mit::{Kdc, REALM};
use peer::{Peer, converse};

const RC4: EncryptionType = EncryptionType::Rc4Hmac;
const AES: EncryptionType = EncryptionType::Aes256CtsHmacSha1;

fn login(kdc: &Kdc, types: &[EncryptionType]) -> Result<Credential, Error> {
    let options =
        AsOptions { encryption_types: types.to_vec(), ..AsOptions::new(Principal::new(REALM, &["old"])) };
    kdc.login_with(options, ClientSecret::Password("Pa55word".into()))
}

fn ticket(kdc: &Kdc, tgt: &Credential, types: &[EncryptionType]) -> Result<Credential, Error> {
    let service = Principal::service(REALM, "HTTP", "old.test");
    let options =
        TgsOptions { encryption_types: types.to_vec(), deprecated_keys: true, ..TgsOptions::new(service) };
    kdc.ticket(tgt, options)
}

fn initiator_options(credential: &Credential) -> InitiatorOptions<'_> {
    InitiatorOptions {
        credential,
        forwarded: None,
        channel_bindings: None,
        advertise_bindings: false,
        flags: GssFlags::REPLAY | GssFlags::SEQUENCE | GssFlags::CONF | GssFlags::INTEG,
    }
}

#[test]
fn an_account_that_has_rc4_keys_only() {
    let Some(kdc) = mit::kdc() else { return };
    // Not asked for: none of it.
    match login(&kdc, &AsOptions::new(Principal::new(REALM, &["old"])).encryption_types) {
        Err(Error::Kdc(error)) => assert_eq!(error.code, ErrorCode::KDC_ERR_ETYPE_NOSUPP),
        Err(Error::NoCommonEncryptionType(_) | Error::PreauthUnsupported(_)) => {}
        other => panic!("{other:?}"),
    }
    let mixed = login(&kdc, &[AES, RC4]).unwrap();
    assert_eq!(mixed.session_key.etype, AES, "only the password's key is old");
    let tgt = login(&kdc, &[RC4]).unwrap();
    assert_eq!(tgt.session_key.etype, RC4);
    // A ticket-granting ticket with such a key, where nothing allows it.
    let strict = TgsOptions::new(Principal::service(REALM, "HTTP", "a.test"));
    assert_eq!(kdc.ticket(&tgt, strict).unwrap_err(), Error::UnsupportedEncryptionType(RC4));
    match ticket(&kdc, &tgt, &[AES]) {
        Err(Error::Kdc(error)) => assert_eq!(error.code, ErrorCode::KDC_ERR_ETYPE_NOSUPP),
        other => panic!("{other:?}"),
    }

    for tgt in [&mixed, &tgt] {
        let credential = ticket(&kdc, tgt, &[AES, RC4]).unwrap();
        assert_eq!(credential.session_key.etype, RC4);
        let accept = |token: &[u8], keys: &mut KeytabKeys| {
            let (mut replay, options) = (MemoryReplayCache::default(), AcceptorOptions::default());
            Acceptor::accept(token, keys, &mut replay, &options, SystemTime::now(), &mut rand::rng())
        };
        let options = initiator_options(&credential);
        let (token, expect) = Initiator::new(&options, SystemTime::now(), &mut rand::rng()).unwrap();
        let refused = accept(&token, &mut KeytabKeys::new(&kdc.keytab)).unwrap_err();
        assert!(
            matches!(*refused.error, Error::NoKey { etype: RC4, .. } | Error::WrongServer { .. }),
            "{refused:?}"
        );
        let accepted = accept(&token, &mut KeytabKeys::permitting(&kdc.keytab, &[AES, RC4])).unwrap();
        let mut client = expect.handle(&accepted.reply.unwrap()).unwrap();
        let mut server = accepted.context;
        for message in [&b""[..], b"x", &[7; 1000]] {
            let sealed = client.wrap(true, message).unwrap();
            client.unwrap(&sealed).unwrap_err();
            assert_eq!(server.unwrap(&sealed).unwrap().message, message);
            server.unwrap(&sealed).unwrap_err();
            let (header, body) = server.wrap_detached(message).unwrap();
            assert_eq!(client.unwrap_detached(&header, &body).unwrap(), message);
            let signed = server.wrap(false, message).unwrap();
            let (header, body) = signed.split_at(signed.len() - message.len() - 1);
            client.unwrap_detached(header, body).unwrap_err();
        }
        for (confidential, malleable) in [(true, 0..0), (false, 21..25)] {
            let sealed = client.wrap(confidential, b"altered").unwrap();
            // Nothing protects the number of a message that is only signed.
            for at in (0..sealed.len()).filter(|at| !malleable.contains(at)) {
                let mut altered = sealed.clone();
                altered[at] ^= 1;
                assert!(server.unwrap(&altered).is_err(), "byte {at}");
                assert!(server.unwrap(&sealed[..at]).is_err(), "cut at {at}");
            }
        }
    }
}

/// The ticket is sealed with AES, and the client and the KDC agreed on an RC4 session key.
#[test]
fn a_session_key_that_the_acceptor_does_not_want() {
    let Some(kdc) = mit::kdc() else { return };
    let tgt = login(&kdc, &[AES, RC4]).unwrap();
    let service = Principal::service(REALM, "HTTP", "a.test");
    let options = TgsOptions { encryption_types: vec![RC4], ..TgsOptions::new(service) };
    let credential = kdc.ticket(&tgt, options).unwrap();
    assert_eq!(credential.session_key.etype, RC4);
    let options = initiator_options(&credential);
    let (token, _) = Initiator::new(&options, SystemTime::now(), &mut rand::rng()).unwrap();
    let accept = |keys: &mut KeytabKeys| {
        let (mut replay, options) = (MemoryReplayCache::default(), AcceptorOptions::default());
        Acceptor::accept(&token, keys, &mut replay, &options, SystemTime::now(), &mut rand::rng())
    };
    let refused = accept(&mut KeytabKeys::new(&kdc.keytab)).unwrap_err();
    assert_eq!(*refused.error, Error::UnsupportedEncryptionType(RC4));
    accept(&mut KeytabKeys::permitting(&kdc.keytab, &[RC4])).unwrap();
}

#[test]
fn messages_to_and_from_mit() {
    let Some(kdc) = mit::kdc() else { return };
    if !peer::is_there() {
        return;
    }
    let service = format!("HTTP/old.test@{REALM}");
    let tgt = login(&kdc, &[RC4]).unwrap();
    let credential = ticket(&kdc, &tgt, &[RC4]).unwrap();
    let mut peer = Peer::start(kdc.directory.path(), &["accept", &service]);
    let options = initiator_options(&credential);
    let (token, expect) = Initiator::new(&options, SystemTime::now(), &mut rand::rng()).unwrap();
    peer.send(&token);
    let mut context = expect.handle(&peer.receive()).unwrap();
    assert_eq!(context.session_key().etype, RC4);
    assert_eq!(peer.receive(), format!("old@{REALM}").into_bytes());
    assert_eq!(peer.receive(), b"-");
    converse(&mut context, &mut peer);

    let mut cache = CredentialCache::new(Principal::new(REALM, &["old"]));
    cache.store(tgt);
    std::fs::write(kdc.directory.path().join("ccache"), cache.to_bytes().unwrap()).unwrap();
    for delegate in ["deleg", "plain"] {
        let mut peer = Peer::start(kdc.directory.path(), &["initiate", &service, delegate]);
        let token = peer.receive();
        let mut keys = KeytabKeys::permitting(&kdc.keytab, &[RC4]);
        let (mut replay, options) = (MemoryReplayCache::default(), AcceptorOptions::default());
        let now = SystemTime::now();
        let accepted =
            Acceptor::accept(&token, &mut keys, &mut replay, &options, now, &mut rand::rng()).unwrap();
        assert_eq!(accepted.client, Principal::new(REALM, &["old"]));
        assert_eq!(accepted.delegated.is_some(), delegate == "deleg");
        peer.send(&accepted.reply.unwrap());
        // By way of another process.
        let mut context = Context::import(&accepted.context.export()).unwrap();
        assert_eq!(context.session_key().etype, RC4);
        converse(&mut context, &mut peer);
    }
}
