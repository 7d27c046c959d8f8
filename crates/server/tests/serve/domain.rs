//! A realm in memory: tickets without a network.

use std::path::Path;
use std::time::SystemTime;

use hop_kerberos::client::{AsExchange, AsOptions, ClientSecret, TgsExchange, TgsOptions, TgsOutcome};
use hop_kerberos::kdc::{Entry, EntryFlags, Kdc, MemoryDatabase, Policy};
use hop_kerberos::keytab::Keytab;
use hop_kerberos::{Credential, KdcOptions, Principal, TicketFlags};
use hop_secret::SecretString;

pub const REALM: &str = "HOP.TEST";
pub const FOREIGN: &str = "LEG.TEST";
pub const HOST: &str = "servera.hop.test";
const USERS: [&str; 6] = ["alice", "bob", "root", "sensitive", "servera$", "mallory"];

/// Two realms that share the key of servera, as if they trusted each other.
pub struct Domain {
    own: Kdc,
    foreign: Kdc,
}

impl Domain {
    /// Makes the realms and writes servera's keytab.
    pub fn new(keytab_path: &Path) -> Self {
        let rng = &mut rand::rng();
        let service = Entry::service(Principal::new(REALM, &["HTTP", HOST]), rng).unwrap();
        let mut keytab = Keytab::default();
        service.export(&mut keytab, SystemTime::now());
        std::fs::write(keytab_path, keytab.to_bytes().unwrap()).unwrap();
        let other = Entry::service(Principal::new(REALM, &["HTTP", "serverb.hop.test"]), rng).unwrap();
        let kdc = |realm: &str| {
            let rng = &mut rand::rng();
            let mut database = MemoryDatabase::new(realm, rng).unwrap();
            for user in USERS {
                let principal = Principal::new(realm, &[user]);
                let mut entry = Entry::user(principal, &SecretString::from("Pa55word")).unwrap();
                if user == "sensitive" {
                    entry = entry.with(EntryFlags::DISALLOW_FORWARDABLE);
                }
                database.insert(entry);
            }
            for service in [&service, &other] {
                let name: Vec<&str> = service.principal.components.iter().map(String::as_str).collect();
                let principal = Principal::new(realm, &name);
                database.insert(Entry { principal, ..service.clone() });
            }
            Kdc::new(realm, database, Policy::default())
        };
        Self { own: kdc(REALM), foreign: kdc(FOREIGN) }
    }

    /// The tickets of a user of a realm: one for servera, and a forwarded TGT if the TGT can be forwarded.
    pub fn log_in(&mut self, user: &str, realm: &str) -> Tickets {
        self.log_in_for(user, realm, HOST)
    }

    /// The same for another host.
    pub fn log_in_for(&mut self, user: &str, realm: &str, host: &str) -> Tickets {
        let kdc = if realm == REALM { &mut self.own } else { &mut self.foreign };
        let rng = &mut rand::rng();
        let now = SystemTime::now();
        let secret = ClientSecret::Password(SecretString::from("Pa55word"));
        let mut exchange =
            AsExchange::new(AsOptions::new(Principal::new(realm, &[user])), secret, now, rng).unwrap();
        let tgt = loop {
            let request = exchange.poll_transmit().unwrap();
            let reply = kdc.handle(&request.bytes, now, rng);
            if let Some(outcome) = exchange.handle_reply(&reply, now, rng).unwrap() {
                break outcome.credential;
            }
        };
        let mut get = |options: TgsOptions| {
            let rng = &mut rand::rng();
            let mut exchange = TgsExchange::new(&tgt, options, now, rng).unwrap();
            let request = exchange.poll_transmit().unwrap();
            let reply = kdc.handle(&request.bytes, now, rng);
            match exchange.handle_reply(&reply, now).unwrap() {
                TgsOutcome::Ticket(ticket) => ticket,
                other => panic!("{other:?}"),
            }
        };
        let forwardable = tgt.flags.contains(TicketFlags::FORWARDABLE);
        let mut options = TgsOptions::new(Principal::new(realm, &["HTTP", host]));
        options.kdc_options.set(KdcOptions::FORWARDABLE, forwardable);
        let service = get(options);
        let forwarded = forwardable.then(|| get(TgsOptions::forward(&tgt)));
        Tickets { service, forwarded }
    }
}

#[derive(Clone)]
pub struct Tickets {
    pub service: Credential,
    pub forwarded: Option<Credential>,
}

impl Tickets {
    /// Without the forwarded TGT.
    pub fn plain(mut self) -> Self {
        self.forwarded = None;
        self
    }
}
