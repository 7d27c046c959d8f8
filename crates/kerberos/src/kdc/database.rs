//! Who is known to the KDC, with which keys and rights.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use bitflags::bitflags;
use hop_secret::SecretString;
use rand_core::CryptoRng;

use crate::keytab::Keytab;
use crate::{EncryptionKey, EncryptionType, Error, Principal};

/// The encryption types that principals get keys of, strongest first.
const KEY_TYPES: [EncryptionType; 2] = [EncryptionType::Aes256CtsHmacSha1, EncryptionType::Aes128CtsHmacSha1];

/// Looks up principals.
pub trait Database {
    /// The entry of a principal; none if it is not known.
    fn lookup(&self, principal: &Principal) -> Option<Entry>;

    /// The realm that may know a service which is not known here: clients are referred there (RFC 6806 8).
    fn realm_of(&self, _service: &Principal) -> Option<String> {
        None
    }

    /// The realms that tickets come through from clients of a realm, from theirs to ours, where that is not the
    /// hierarchy of the names. The same way leads there.
    fn path(&self, _client_realm: &str) -> Option<Vec<String>> {
        None
    }
}

bitflags! {
    /// What holds for a principal.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct EntryFlags: u32 {
        /// As a client, gets no ticket without proving itself first.
        const REQUIRES_PREAUTH = 1;
        /// As a client or service, gets no forwardable tickets: an account that cannot be delegated, whatever its
        /// tickets say.
        const DISALLOW_FORWARDABLE = 1 << 1;
        /// As a client or service, gets no proxiable tickets.
        const DISALLOW_PROXIABLE = 1 << 2;
        /// As a client or service, gets no renewable tickets.
        const DISALLOW_RENEWABLE = 1 << 3;
        /// As a service, is trusted with delegated credentials.
        const OK_AS_DELEGATE = 1 << 4;
        /// Gets no tickets at all, and there are none for it.
        const LOCKED = 1 << 5;
        /// Is no service: there are no tickets for it.
        const DISALLOW_SERVICE = 1 << 6;
        /// As a service, is trusted with protocol transition: may hand on tickets that it got by S4U2Self
        /// ([MS-SFU] TrustedToAuthenticationForDelegation).
        const TRUSTED_TO_AUTH = 1 << 7;
    }
}

/// A principal's entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name as the realm writes it.
    pub principal: Principal,
    /// The keys, of the current and earlier versions, the preferred type first.
    pub keys: Vec<EntryKey>,
    /// What holds for it.
    pub flags: EntryFlags,
    /// The longest life of its tickets, where that is shorter than the realm's.
    pub max_life: Option<Duration>,
    /// For how long its tickets can be renewed, where that is shorter than the realm's.
    pub max_renewable_life: Option<Duration>,
    /// When the account ends.
    pub expires: Option<SystemTime>,
    /// When the password must be changed.
    pub password_expires: Option<SystemTime>,
    /// Constrained delegation: the services that this service may act for its users at
    /// ([MS-SFU] ServicesAllowedToSendForwardedTicketsTo).
    pub allowed_to_delegate_to: Vec<Principal>,
    /// Resource-based constrained delegation: who may act for their users at this service
    /// ([MS-SFU] ServicesAllowedToReceiveForwardedTicketsFrom).
    pub allowed_to_act: Vec<Principal>,
}

/// A key in an [`Entry`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryKey {
    /// Version.
    pub kvno: u32,
    /// The key.
    pub key: EncryptionKey,
    /// What the password was salted with; none for random keys.
    pub salt: Option<String>,
}

impl Entry {
    /// An entry without keys and rights.
    pub fn new(principal: Principal) -> Self {
        Self {
            principal,
            keys: Vec::new(),
            flags: EntryFlags::empty(),
            max_life: None,
            max_renewable_life: None,
            expires: None,
            password_expires: None,
            allowed_to_delegate_to: Vec::new(),
            allowed_to_act: Vec::new(),
        }
    }

    /// A user with a password, who must prove himself to get a ticket.
    ///
    /// # Errors
    /// None in practice.
    pub fn user(principal: Principal, password: &SecretString) -> Result<Self, Error> {
        let salt = principal.default_salt();
        let mut entry = Self::new(principal);
        entry.flags = EntryFlags::REQUIRES_PREAUTH | EntryFlags::DISALLOW_SERVICE;
        for etype in KEY_TYPES {
            let key =
                EncryptionKey::from_password(etype, password.expose().as_bytes(), salt.as_bytes(), None)?;
            entry.keys.push(EntryKey { kvno: 1, key, salt: Some(salt.clone()) });
        }
        Ok(entry)
    }

    /// A service with random keys, for its keytab.
    ///
    /// # Errors
    /// None in practice.
    pub fn service(principal: Principal, rng: &mut dyn CryptoRng) -> Result<Self, Error> {
        let mut entry = Self::new(principal);
        entry.flags = EntryFlags::REQUIRES_PREAUTH;
        for etype in KEY_TYPES {
            entry.keys.push(EntryKey { kvno: 1, key: EncryptionKey::random(etype, rng)?, salt: None });
        }
        Ok(entry)
    }

    /// A trust between two realms: `krbtgt/TO@FROM` lets clients of FROM be known in TO. Both KDCs have the entry,
    /// by the same password; trust both ways takes the other entry too.
    ///
    /// # Errors
    /// None in practice.
    pub fn trust(from: &str, to: &str, password: &SecretString) -> Result<Self, Error> {
        let mut entry = Self::user(Principal::krbtgt(from, to), password)?;
        entry.flags = EntryFlags::empty();
        Ok(entry)
    }

    /// Adds flags.
    #[must_use]
    pub fn with(mut self, flags: EntryFlags) -> Self {
        self.flags |= flags;
        self
    }

    /// Writes the entry's keys into a keytab.
    pub fn export(&self, keytab: &mut Keytab, now: SystemTime) {
        for key in &self.keys {
            keytab.push(self.principal.clone(), key.kvno, key.key.clone(), now);
        }
    }

    /// The current keys: those of the highest version.
    pub fn current_keys(&self) -> impl Iterator<Item = &EntryKey> {
        let newest = self.keys.iter().map(|key| key.kvno).max();
        self.keys.iter().filter(move |key| {
            Some(key.kvno) == newest && key.key.etype.is_supported() && !key.key.etype.is_deprecated()
        })
    }

    /// The key of a type and, if named, a version.
    pub fn key(&self, etype: EncryptionType, kvno: Option<u32>) -> Option<&EntryKey> {
        self.keys
            .iter()
            .filter(|key| key.key.etype == etype && kvno.is_none_or(|kvno| key.kvno == kvno))
            .max_by_key(|key| key.kvno)
    }
}

/// A database in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryDatabase {
    entries: HashMap<Principal, Entry>,
    domains: Vec<(String, String)>,
    paths: HashMap<String, Vec<String>>,
}

impl MemoryDatabase {
    /// A database with nobody in it but the realm's ticket-granting service.
    ///
    /// # Errors
    /// None in practice.
    pub fn new(realm: &str, rng: &mut dyn CryptoRng) -> Result<Self, Error> {
        let mut database = Self::default();
        database.insert(Entry::service(Principal::krbtgt(realm, realm), rng)?);
        Ok(database)
    }

    /// Adds an entry, in place of one of the same name.
    pub fn insert(&mut self, entry: Entry) {
        self.entries.insert(entry.principal.clone(), entry);
    }

    /// Services on a host, or on the hosts of a domain (`.example.com`), are of another realm.
    pub fn refer(&mut self, domain: &str, realm: &str) {
        self.domains.push((domain.to_ascii_lowercase(), realm.to_owned()));
    }

    /// Tickets of a realm's clients come through these realms, the one nearest to theirs first; through none at all
    /// if the list is empty.
    pub fn set_path(&mut self, client_realm: &str, realms: Vec<String>) {
        self.paths.insert(client_realm.to_owned(), realms);
    }

    /// An entry to change.
    pub fn get_mut(&mut self, principal: &Principal) -> Option<&mut Entry> {
        self.entries.get_mut(principal)
    }
}

impl Database for MemoryDatabase {
    fn lookup(&self, principal: &Principal) -> Option<Entry> {
        self.entries.get(principal).cloned()
    }

    fn realm_of(&self, service: &Principal) -> Option<String> {
        let [_, host] = &service.components[..] else { return None };
        let host = host.to_ascii_lowercase();
        let fits = |domain: &str| match domain.strip_prefix('.') {
            Some(_) => host.ends_with(domain),
            None => host == domain,
        };
        let best =
            self.domains.iter().filter(|(domain, _)| fits(domain)).max_by_key(|(domain, _)| domain.len());
        best.map(|(_, realm)| realm.clone())
    }

    fn path(&self, client_realm: &str) -> Option<Vec<String>> {
        self.paths.get(client_realm).cloned()
    }
}

/// Shared with whoever changes it while the KDC runs.
impl<D: Database> Database for std::sync::Arc<std::sync::Mutex<D>> {
    fn lookup(&self, principal: &Principal) -> Option<Entry> {
        self.lock().unwrap_or_else(std::sync::PoisonError::into_inner).lookup(principal)
    }

    fn realm_of(&self, service: &Principal) -> Option<String> {
        self.lock().unwrap_or_else(std::sync::PoisonError::into_inner).realm_of(service)
    }

    fn path(&self, client_realm: &str) -> Option<Vec<String>> {
        self.lock().unwrap_or_else(std::sync::PoisonError::into_inner).path(client_realm)
    }
}
