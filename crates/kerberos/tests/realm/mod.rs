//! A KDC in memory and clients that ask it.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test file uses its part of this; tests may panic"
)]

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hop_kerberos::client::{AsExchange, AsOptions, ClientSecret, TgsExchange, TgsOptions, TgsOutcome};
use hop_kerberos::kdc::{Database, Entry, Kdc, MemoryDatabase, Policy};
use hop_kerberos::{Credential, EncTicketPart, Error, ErrorCode, Principal, Ticket};

pub struct Realm {
    pub name: String,
    pub kdc: Kdc,
    pub database: Arc<Mutex<MemoryDatabase>>,
    pub now: SystemTime,
}

impl Realm {
    pub fn new(name: &str) -> Self {
        let database = MemoryDatabase::new(name, &mut rand::rng()).unwrap();
        let database = Arc::new(Mutex::new(database));
        let kdc = Kdc::new(name, Arc::clone(&database), Policy::default());
        Self { name: name.to_owned(), kdc, database, now: UNIX_EPOCH + Duration::from_secs(1_796_000_000) }
    }

    pub fn principal(&self, name: &str) -> Principal {
        Principal::parse(name, Some(&self.name)).unwrap()
    }

    pub fn add(&self, entry: Entry) {
        self.database.lock().unwrap().insert(entry);
    }

    pub fn entry(&self, name: &str) -> Entry {
        self.database.lookup(&self.principal(name)).unwrap()
    }

    pub fn change(&self, name: &str, change: impl FnOnce(&mut Entry)) {
        change(self.database.lock().unwrap().get_mut(&self.principal(name)).unwrap());
    }

    pub fn tgt(&mut self, name: &str) -> Credential {
        let keys = self.entry(name).keys.iter().map(|k| k.key.clone()).collect();
        let options = AsOptions::new(self.principal(name));
        let mut exchange =
            AsExchange::new(options, ClientSecret::Keys(keys), self.now, &mut rand::rng()).unwrap();
        loop {
            let request = exchange.poll_transmit().unwrap().bytes;
            let reply = self.handle(&request);
            if let Some(outcome) = exchange.handle_reply(&reply, self.now, &mut rand::rng()).unwrap() {
                return outcome.credential;
            }
        }
    }

    pub fn handle(&mut self, request: &[u8]) -> Vec<u8> {
        self.kdc.handle(request, self.now, &mut rand::rng())
    }

    pub fn ask(&mut self, tgt: &Credential, options: TgsOptions) -> Result<Credential, Error> {
        match self.outcome(tgt, options)? {
            TgsOutcome::Ticket(credential) => Ok(credential),
            other => panic!("{other:?}"),
        }
    }

    pub fn outcome(&mut self, tgt: &Credential, options: TgsOptions) -> Result<TgsOutcome, Error> {
        let mut exchange = TgsExchange::new(tgt, options, self.now, &mut rand::rng())?;
        let request = exchange.poll_transmit().unwrap().bytes;
        let reply = self.handle(&request);
        exchange.handle_reply(&reply, self.now)
    }

    /// What is in a ticket, opened with the service's key.
    pub fn open(&self, ticket: &Credential) -> EncTicketPart {
        let sealed = Ticket::parse(&ticket.ticket).unwrap();
        let entry = self.database.lookup(&sealed.server).unwrap();
        sealed.open(&entry.key(sealed.enc_part.etype, sealed.enc_part.kvno).unwrap().key).unwrap()
    }

    /// The same ticket, altered by who has the key of the service it is for.
    pub fn forge(&self, ticket: &Credential, change: impl FnOnce(&mut EncTicketPart)) -> Credential {
        let mut part = self.open(ticket);
        change(&mut part);
        let entry = self.database.lookup(&ticket.server).unwrap();
        let key = entry.current_keys().next().unwrap();
        let forged = part.seal(ticket.server.clone(), &key.key, Some(key.kvno), &mut rand::rng()).unwrap();
        part.to_credential(&forged.to_der().unwrap(), ticket.server.clone())
    }
}

#[track_caller]
pub fn refused<T: std::fmt::Debug>(result: Result<T, Error>, code: ErrorCode, words: &str) {
    match result {
        Err(Error::Kdc(e)) if e.code == code => assert_eq!(e.text.as_deref(), Some(words)),
        other => panic!("expected {code}, got {other:?}"),
    }
}
