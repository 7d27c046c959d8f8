//! A Kerberos realm of our own, for both ends and for peers with MIT's library.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test file uses its part; tests may panic"
)]

use std::{
    net::UdpSocket,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use hop_kerberos::{
    Credential, Principal,
    ap::KeytabKeys,
    client::{AsExchange, AsOptions, ClientSecret, TgsExchange, TgsOptions, TgsOutcome},
    gss::{Accepted, Acceptor, AcceptorOptions, ExpectApRep, GssFlags, Initiator, InitiatorOptions, Refused},
    kdc::{Entry, Kdc, MemoryDatabase, Policy},
    keytab::Keytab,
    replay::MemoryReplayCache,
};
use serde_json::{Value, json};

pub const REALM: &str = "PEER.TEST";
pub const USER: &str = "alice@PEER.TEST";
pub const HOST: &str = "servera.peer.test";

pub struct Realm {
    kdc: Arc<Mutex<Kdc>>,
    directory: tempfile::TempDir,
    keytab: Keytab,
    replay: MemoryReplayCache,
    password: String,
}

impl Realm {
    /// One user with this password, and the services HTTP and WSMAN of one host.
    pub fn new(password: &str) -> Self {
        let mut rng = rand::rng();
        let mut database = MemoryDatabase::new(REALM, &mut rng).unwrap();
        database.insert(Entry::user(Principal::new(REALM, &["alice"]), &password.into()).unwrap());
        let mut keytab = Keytab::default();
        for service in ["HTTP", "WSMAN"] {
            let entry = Entry::service(Principal::service(REALM, service, HOST), &mut rng).unwrap();
            entry.export(&mut keytab, SystemTime::now());
            database.insert(entry);
        }
        let kdc = Arc::new(Mutex::new(Kdc::new(REALM, database, Policy::default())));
        let directory = tempfile::tempdir().unwrap();
        let port = serve(Arc::clone(&kdc));
        let config = format!(
            "[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n dns_canonicalize_hostname = false\n \
             rdns = false\n[realms]\n {REALM} = {{\n  kdc = 127.0.0.1:{port}\n }}\n[domain_realm]\n .peer.test = {REALM}\n"
        );
        std::fs::write(directory.path().join("krb5.conf"), config).unwrap();
        std::fs::write(directory.path().join("keytab"), keytab.to_bytes().unwrap()).unwrap();
        Self { kdc, directory, keytab, replay: MemoryReplayCache::default(), password: password.to_owned() }
    }

    /// The environment of a peer with MIT's library.
    pub fn environment(&self) -> Value {
        let path = |name: &str| self.directory.path().join(name).to_str().unwrap().to_owned();
        json!({
            "KRB5_CONFIG": path("krb5.conf"),
            "KRB5_KTNAME": path("keytab"),
            "KRB5CCNAME": path("ccache"),
            "KRB5RCACHENAME": "none:",
        })
    }

    fn ask(&self, request: &[u8]) -> Vec<u8> {
        self.kdc.lock().unwrap().handle(request, SystemTime::now(), &mut rand::rng())
    }

    fn ticket(&self, service: &str) -> Credential {
        let secret = ClientSecret::Password(self.password.as_str().into());
        let options = AsOptions::new(Principal::new(REALM, &["alice"]));
        let mut exchange = AsExchange::new(options, secret, SystemTime::now(), &mut rand::rng()).unwrap();
        let tgt = loop {
            let reply = self.ask(&exchange.poll_transmit().unwrap().bytes);
            if let Some(outcome) = exchange.handle_reply(&reply, SystemTime::now(), &mut rand::rng()).unwrap()
            {
                break outcome.credential;
            }
        };
        let options = TgsOptions::new(Principal::service(REALM, service, HOST));
        let mut exchange = TgsExchange::new(&tgt, options, SystemTime::now(), &mut rand::rng()).unwrap();
        let reply = self.ask(&exchange.poll_transmit().unwrap().bytes);
        match exchange.handle_reply(&reply, SystemTime::now()).unwrap() {
            TgsOutcome::Ticket(credential) => credential,
            other => panic!("{other:?}"),
        }
    }

    /// The user's AP-REQ for a service.
    pub fn initiate(&self, service: &str) -> (Vec<u8>, ExpectApRep) {
        let options = InitiatorOptions {
            credential: &self.ticket(service),
            forwarded: None,
            channel_bindings: None,
            advertise_bindings: false,
            flags: GssFlags::MUTUAL
                | GssFlags::REPLAY
                | GssFlags::SEQUENCE
                | GssFlags::CONF
                | GssFlags::INTEG,
        };
        Initiator::new(&options, SystemTime::now(), &mut rand::rng()).unwrap()
    }

    pub fn accept(&mut self, token: &[u8]) -> Result<Accepted, Refused> {
        Acceptor::accept(
            token,
            &mut KeytabKeys::new(&self.keytab),
            &mut self.replay,
            &AcceptorOptions::default(),
            SystemTime::now(),
            &mut rand::rng(),
        )
    }
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
