//! The same contexts with MIT's GSS-API at the other end (python3-gssapi).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests may panic and say what they skip"
)]

mod peer;

use std::net::UdpSocket;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use hop_kerberos::ap::KeytabKeys;
use hop_kerberos::ccache::CredentialCache;
use hop_kerberos::client::{AsExchange, AsOptions, ClientSecret, TgsExchange, TgsOptions, TgsOutcome};
use hop_kerberos::gss::{Acceptor, AcceptorOptions, ChannelBindings, GssFlags, Initiator, InitiatorOptions};
use hop_kerberos::kdc::{Entry, Kdc, MemoryDatabase, Policy};
use hop_kerberos::keytab::Keytab;
use hop_kerberos::replay::MemoryReplayCache;
use hop_kerberos::{Credential, EncryptionType, Error, Principal, TicketFlags};
use hop_secret::SecretString;
use peer::{Peer, converse};

const REALM: &str = "PEER.TEST";

struct Realm {
    kdc: Arc<Mutex<Kdc>>,
    directory: tempfile::TempDir,
    service: Principal,
    keytab: Keytab,
}

/// A realm with one user and one service, or nothing where MIT's GSS-API is not installed.
fn realm() -> Option<Realm> {
    if !peer::is_there() {
        return None;
    }
    let mut rng = rand::rng();
    let mut database = MemoryDatabase::new(REALM, &mut rng).unwrap();
    let password = SecretString::from("Pa55word");
    database.insert(Entry::user(Principal::new(REALM, &["alice"]), &password).unwrap());
    let service = Principal::service(REALM, "HTTP", "servera.peer.test");
    let entry = Entry::service(service.clone(), &mut rng).unwrap();
    let mut keytab = Keytab::default();
    entry.export(&mut keytab, SystemTime::now());
    database.insert(entry);
    let kdc = Arc::new(Mutex::new(Kdc::new(REALM, database, Policy::default())));
    let directory = tempfile::tempdir().unwrap();
    let port = serve(Arc::clone(&kdc));
    let config = format!(
        "[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n dns_canonicalize_hostname = false\n \
         rdns = false\n[realms]\n {REALM} = {{\n  kdc = 127.0.0.1:{port}\n }}\n[domain_realm]\n .peer.test = {REALM}\n"
    );
    std::fs::write(directory.path().join("krb5.conf"), config).unwrap();
    std::fs::write(directory.path().join("keytab"), keytab.to_bytes().unwrap()).unwrap();
    Some(Realm { kdc, directory, service, keytab })
}

/// The KDC for MIT's library, until the test ends.
fn serve(kdc: Arc<Mutex<Kdc>>) -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut buffer = [0; 65_536];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let reply = kdc.lock().unwrap().handle(&buffer[..length], SystemTime::now(), &mut rand::rng());
            socket.send_to(&reply, from).unwrap();
        }
    });
    port
}

impl Realm {
    fn ask(&self, request: &[u8]) -> Vec<u8> {
        self.kdc.lock().unwrap().handle(request, SystemTime::now(), &mut rand::rng())
    }

    fn tgt(&self) -> Credential {
        let secret = ClientSecret::Password("Pa55word".into());
        let options = AsOptions::new(Principal::new(REALM, &["alice"]));
        let mut exchange = AsExchange::new(options, secret, SystemTime::now(), &mut rand::rng()).unwrap();
        loop {
            let reply = self.ask(&exchange.poll_transmit().unwrap().bytes);
            if let Some(outcome) = exchange.handle_reply(&reply, SystemTime::now(), &mut rand::rng()).unwrap()
            {
                return outcome.credential;
            }
        }
    }

    fn ticket(&self, tgt: &Credential, options: TgsOptions) -> Credential {
        let mut exchange = TgsExchange::new(tgt, options, SystemTime::now(), &mut rand::rng()).unwrap();
        let reply = self.ask(&exchange.poll_transmit().unwrap().bytes);
        match exchange.handle_reply(&reply, SystemTime::now()).unwrap() {
            TgsOutcome::Ticket(credential) => credential,
            other => panic!("{other:?}"),
        }
    }

    fn peer(&self, arguments: &[&str]) -> Peer {
        Peer::start(self.directory.path(), arguments)
    }
}

fn flags() -> GssFlags {
    GssFlags::REPLAY | GssFlags::SEQUENCE | GssFlags::CONF | GssFlags::INTEG
}

#[test]
fn our_initiator_and_mit_acceptor() {
    let Some(realm) = realm() else { return };
    let tgt = realm.tgt();
    for etype in [
        EncryptionType::Aes128CtsHmacSha1,
        EncryptionType::Aes256CtsHmacSha1,
        EncryptionType::Aes128CtsHmacSha256,
        EncryptionType::Aes256CtsHmacSha384,
    ] {
        let options = TgsOptions { encryption_types: vec![etype], ..TgsOptions::new(realm.service.clone()) };
        let credential = realm.ticket(&tgt, options);
        let forwarded = realm.ticket(&tgt, TgsOptions::forward(&tgt));
        assert!(forwarded.flags.contains(TicketFlags::FORWARDED));
        for forwarded in [None, Some(&forwarded)] {
            let mut peer = realm.peer(&["accept", &realm.service.to_string()]);
            let options = InitiatorOptions {
                credential: &credential,
                forwarded,
                channel_bindings: Some(&ChannelBindings {
                    application_data: b"tls-server-end-point:x".to_vec(),
                    ..ChannelBindings::default()
                }),
                advertise_bindings: true,
                flags: flags(),
            };
            let (token, expect) = Initiator::new(&options, SystemTime::now(), &mut rand::rng()).unwrap();
            peer.send(&token);
            let mut context = expect.handle(&peer.receive()).unwrap();
            assert_eq!(context.session_key().etype, credential.session_key.etype);
            assert_eq!(peer.receive(), format!("alice@{REALM}").into_bytes());
            let delegated = if forwarded.is_some() { format!("alice@{REALM}") } else { "-".to_owned() };
            assert_eq!(peer.receive(), delegated.into_bytes());
            converse(&mut context, &mut peer);
        }
    }
}

#[test]
fn mit_initiator_and_our_acceptor() {
    let Some(realm) = realm() else { return };
    let mut cache = CredentialCache::new(Principal::new(REALM, &["alice"]));
    cache.store(realm.tgt());
    std::fs::write(realm.directory.path().join("ccache"), cache.to_bytes().unwrap()).unwrap();
    let mut keys = KeytabKeys::new(&realm.keytab);
    let mut replay = MemoryReplayCache::default();
    for delegate in [false, true] {
        let service = realm.service.to_string();
        let mut peer = realm.peer(&["initiate", &service, if delegate { "deleg" } else { "plain" }]);
        let token = peer.receive();
        let now = SystemTime::now();
        let options = AcceptorOptions::default();
        let accepted =
            Acceptor::accept(&token, &mut keys, &mut replay, &options, now, &mut rand::rng()).unwrap();
        assert_eq!(accepted.client, Principal::new(REALM, &["alice"]));
        assert_eq!(accepted.delegation_requested, delegate);
        assert_eq!(accepted.delegated.is_some(), delegate);
        peer.send(&accepted.reply.unwrap());
        let mut context = accepted.context;
        converse(&mut context, &mut peer);

        let again = Acceptor::accept(&token, &mut keys, &mut replay, &options, now, &mut rand::rng());
        assert_eq!(*again.unwrap_err().error, Error::Replay);

        // The delegated ticket is good for the next hop.
        if let Some(delegated) = accepted.delegated {
            assert!(delegated.server.is_local_krbtgt() && delegated.flags.contains(TicketFlags::FORWARDED));
            let next = realm.ticket(&delegated, TgsOptions::new(realm.service.clone()));
            assert_eq!(next.client, Principal::new(REALM, &["alice"]));
            assert!(next.end_time > now + Duration::from_secs(60));
        }
    }
}

/// What MIT's library makes of our refusals, and we of its.
#[test]
fn refusals_are_understood() {
    let Some(realm) = realm() else { return };
    let credential = realm.ticket(&realm.tgt(), TgsOptions::new(realm.service.clone()));
    let options = InitiatorOptions {
        credential: &credential,
        forwarded: None,
        channel_bindings: None,
        advertise_bindings: false,
        flags: flags(),
    };
    let earlier = SystemTime::now() - Duration::from_secs(1000);
    let (token, expect) = Initiator::new(&options, earlier, &mut rand::rng()).unwrap();
    let mut keys = KeytabKeys::new(&realm.keytab);
    let refused = Acceptor::accept(
        &token,
        &mut keys,
        &mut MemoryReplayCache::default(),
        &AcceptorOptions::default(),
        SystemTime::now(),
        &mut rand::rng(),
    )
    .unwrap_err();
    assert!(matches!(*refused.error, Error::ClockSkew { ahead: false, .. }));
    assert!(matches!(expect.handle(&refused.reply.unwrap()), Err(Error::ClockSkew { ahead: true, .. })));
}
