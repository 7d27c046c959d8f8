//! Credential caches in the kernel's keyrings, in the layout of MIT's library.
//!
//! An anchor keyring (of the user, the session, …) holds collections, keyrings named `_krb_NAME`; a collection holds
//! caches, keyrings again, and a key that names the primary one; a cache holds a key for the principal and one for
//! each credential, named as its service.

mod payload;

use std::io;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use hop_kerberos::ccache::{
    CcacheError, CredentialCache, decode_credential, decode_principal, encode_credential, encode_principal,
};
use hop_kerberos::{Credential, Principal};
use hop_secret::SecretBytes;
use keyutils::keytypes::{BigKey, User};
use keyutils::{Keyring, SpecialKeyring};
use nix::libc;

use crate::Error;
pub(crate) use payload::{decode_offset, decode_primary, encode_offset, encode_primary};

const COLLECTION_PREFIX: &str = "_krb_";
/// The one collection of a persistent keyring.
const PERSISTENT_COLLECTION: &str = "_krb";
const PRIMARY: &str = "krb_ccache:primary";
const PRINCIPAL: &str = "__krb5_princ__";
const OFFSET: &str = "__krb5_time_offsets__";
/// The primary cache of a collection without a name.
const NAMELESS: &str = "tkt";

/// A cache in a keyring.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyringCcache {
    anchor: Anchor,
    collection: String,
    cache: String,
}

/// Which of the kernel's keyrings holds the collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Anchor {
    /// The user's, kept for some days beyond the last logout.
    Persistent,
    /// The user's, kept while a process of the user runs.
    User,
    /// The session's.
    Session,
    /// The session's, in names that say nothing else.
    Legacy,
    /// The process's.
    Process,
}

impl Anchor {
    fn prefix(self) -> &'static str {
        match self {
            Self::Persistent => "persistent:",
            Self::User => "user:",
            Self::Session => "session:",
            Self::Process => "process:",
            Self::Legacy => "legacy:",
        }
    }
}

impl KeyringCcache {
    /// Reads what stands behind `KEYRING:`: `ANCHOR:COLLECTION[:CACHE]`, or a collection of the session alone. A
    /// name without a cache means the collection's primary one.
    ///
    /// # Errors
    /// [`Error::CcacheName`] for an anchor that is not known, another user's persistent keyring, or a `thread:` one
    /// (it would be gone with a thread that the caller does not choose); [`Error::Io`] if the kernel refuses.
    pub fn resolve(residual: &str, uid: u32) -> Result<Self, Error> {
        let (anchor, collection, cache) = parse(residual, uid)?;
        let unresolved = Self { anchor, collection, cache: cache.clone().unwrap_or_default() };
        match cache {
            Some(_) => Ok(unresolved),
            None => {
                let cache = unresolved.run(|this| {
                    let mut keyring = this.open_collection()?;
                    primary_name(&mut keyring, &this.collection)
                })?;
                Ok(Self { cache, ..unresolved })
            }
        }
    }

    /// Whether a name (without `KEYRING:`) means a collection, not one cache.
    pub(crate) fn is_collection(residual: &str, uid: u32) -> bool {
        parse(residual, uid).is_ok_and(|(_, _, cache)| cache.is_none())
    }

    /// The caches of this one's collection, the primary one first.
    ///
    /// # Errors
    /// [`Error::Io`] if the kernel refuses.
    pub fn siblings(&self) -> Result<Vec<Self>, Error> {
        self.run(|this| {
            let mut keyring = this.open_collection()?;
            let primary = primary_name(&mut keyring, &this.collection)?;
            let mut names = Vec::new();
            for cache in keyring.read().map_err(os)?.1 {
                match cache.description() {
                    Ok(description) => names.push(description.description),
                    Err(error) if is_gone(error.0) => {}
                    Err(error) => return Err(os(error)),
                }
            }
            names.sort_by_key(|name| *name != primary);
            Ok(names.into_iter().map(|cache| Self { cache, ..this.clone() }).collect())
        })
    }

    /// A cache of a new name in this one's collection.
    ///
    /// # Errors
    /// [`Error::Io`] if the kernel refuses.
    pub fn unique(&self) -> Result<Self, Error> {
        self.run(|this| {
            let mut keyring = this.open_collection()?;
            loop {
                let cache = format!("krb_ccache_{}", super::caches::random_name(7));
                if found(keyring.search_for_keyring(cache.as_str(), None))?.is_none() {
                    keyring.add_keyring(cache.as_str()).map_err(os)?;
                    return Ok(Self { cache, ..this.clone() });
                }
            }
        })
    }

    /// Makes this the collection's primary cache.
    ///
    /// # Errors
    /// [`Error::Io`] if the kernel refuses.
    pub fn make_primary(&self) -> Result<(), Error> {
        self.run(|this| set_primary(&mut this.open_collection()?, &this.cache))
    }

    /// The name to put into `KRB5CCNAME`.
    pub fn name(&self) -> String {
        format!("KEYRING:{}{}:{}", self.anchor.prefix(), self.collection, self.cache)
    }

    pub(crate) fn load(&self) -> Result<CredentialCache, Error> {
        let content = self.run(|this| {
            let Some(keyring) = this.open()? else { return Ok(None) };
            read_all(&keyring).map(Some)
        })?;
        let Some(content) = content.filter(|content| content.principal.is_some()) else {
            return Err(Error::NoCcache { name: self.name() });
        };
        let damaged = |source: CcacheError| Error::Ccache { name: self.name(), source };
        let principal = decode_principal(&content.principal.unwrap_or_default()).map_err(damaged)?;
        let entries =
            content.entries.iter().map(|bytes| decode_credential(bytes.expose())).collect::<Result<_, _>>();
        let mut cache = CredentialCache::from_entries(principal, entries.map_err(damaged)?);
        cache.kdc_offset = content.offset.as_deref().and_then(decode_offset);
        Ok(cache)
    }

    pub(crate) fn save(&self, content: &CredentialCache) -> Result<(), Error> {
        let damaged = |source: CcacheError| Error::Ccache { name: self.name(), source };
        let principal = encode_principal(&content.principal).map_err(damaged)?;
        let now = content.kdc_time(SystemTime::now());
        let entries = content.entries().iter().map(|entry| Entry::new(entry, now));
        let entries = entries.collect::<Result<Vec<_>, _>>().map_err(damaged)?;
        let offset = content.kdc_offset.map(encode_offset);
        self.run(move |this| {
            let mut keyring = match this.open()? {
                Some(mut keyring) => {
                    keyring.clear().map_err(os)?;
                    keyring
                }
                None => this.open_collection()?.add_keyring(this.cache.as_str()).map_err(os)?,
            };
            if this.is_visible_to_old_programs() {
                session()?.link_keyring(&keyring).map_err(os)?;
            }
            keyring.add_key::<User, _, _>(PRINCIPAL, principal.as_slice()).map_err(os)?;
            if let Some(offset) = offset {
                keyring.add_key::<User, _, _>(OFFSET, offset.as_slice()).map_err(os)?;
            }
            for entry in &entries {
                entry.add_to(&mut keyring, this.anchor)?;
            }
            limit(&mut keyring, entries.iter().map(|entry| entry.left).max());
            Ok(())
        })
    }

    pub(crate) fn store(&self, credential: &Credential) -> Result<(), Error> {
        let known = self.load()?;
        let now = known.kdc_time(SystemTime::now());
        let entry =
            Entry::new(credential, now).map_err(|source| Error::Ccache { name: self.name(), source })?;
        let left = known.credentials().chain([credential]).map(|ticket| left(ticket, now)).max();
        self.run(move |this| {
            let mut keyring = this.open()?.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
            entry.add_to(&mut keyring, this.anchor)?;
            limit(&mut keyring, left);
            Ok(())
        })
    }

    pub(crate) fn remove(&self, server: &Principal) -> Result<usize, Error> {
        let name = server.to_string();
        self.run(move |this| {
            let Some(mut keyring) = this.open()? else { return Ok(0) };
            let mut removed = 0;
            for key in keyring.read().map_err(os)?.0 {
                if key.description().is_ok_and(|description| description.description == name) {
                    keyring.unlink_key(&key).map_err(os)?;
                    removed += 1;
                }
            }
            Ok(removed)
        })
    }

    pub(crate) fn destroy(&self) -> Result<(), Error> {
        self.run(|this| {
            let Some(mut keyring) = this.open()? else { return Ok(()) };
            keyring.clear().map_err(os)?;
            if this.is_visible_to_old_programs() {
                let _ = session()?.unlink_keyring(&keyring);
            }
            this.open_collection()?.unlink_keyring(&keyring).map_err(os)
        })
    }

    /// The cache's keyring, if there is one.
    fn open(&self) -> io::Result<Option<Keyring>> {
        found(self.open_collection()?.search_for_keyring(self.cache.as_str(), None))
    }

    /// The collection's keyring, made if it is missing.
    fn open_collection(&self) -> io::Result<Keyring> {
        let collection = format!("{COLLECTION_PREFIX}{}", self.collection);
        match self.anchor {
            Anchor::Persistent => {
                // Only what hangs from a keyring of this process's may be read and written.
                let mut process = Keyring::attach_or_create(SpecialKeyring::Process).map_err(os)?;
                let persistent = match process.attach_persistent() {
                    Err(error) if matches!(error.0, libc::EOPNOTSUPP | libc::ENOSYS | libc::EINVAL) => {
                        Keyring::attach_or_create(SpecialKeyring::User).map_err(os)?
                    }
                    other => other.map_err(os)?,
                };
                find_or_add(persistent, Some(process), PERSISTENT_COLLECTION)
            }
            Anchor::User => {
                let process = Keyring::attach_or_create(SpecialKeyring::Process).map_err(os)?;
                let user = Keyring::attach_or_create(SpecialKeyring::User).map_err(os)?;
                find_or_add(user, Some(process), &collection)
            }
            Anchor::Session | Anchor::Legacy => find_or_add(session()?, None, &collection),
            Anchor::Process => {
                let process = Keyring::attach_or_create(SpecialKeyring::Process).map_err(os)?;
                find_or_add(process, None, &collection)
            }
        }
    }

    /// Programs from before collections look for the cache in the session keyring itself.
    fn is_visible_to_old_programs(&self) -> bool {
        self.anchor == Anchor::Legacy && self.cache == self.collection
    }

    /// Does some work with keyrings; that of the process on the one thread that sees them.
    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let this = self.clone();
        let result = match self.anchor {
            Anchor::Process => on_keyring_thread(move || work(&this)),
            _ => work(&this),
        };
        result.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::NoCcache { name: self.name() },
            _ => Error::io(self.name().as_ref(), error),
        })
    }
}

fn parse(residual: &str, uid: u32) -> Result<(Anchor, String, Option<String>), Error> {
    let wrong = |expected| Error::CcacheName { name: format!("KEYRING:{residual}"), expected };
    let (anchor, rest) = match residual.split_once(':') {
        None => (Anchor::Legacy, residual),
        Some(("persistent", rest)) => (Anchor::Persistent, rest),
        Some(("user", rest)) => (Anchor::User, rest),
        Some(("session", rest)) => (Anchor::Session, rest),
        Some(("process", rest)) => (Anchor::Process, rest),
        Some(("legacy", rest)) => (Anchor::Legacy, rest),
        Some(_) => return Err(wrong("persistent, user, session or process before the first colon")),
    };
    let (collection, cache) = match rest.split_once(':') {
        None => (rest, None),
        Some((collection, "")) => (collection, None),
        Some((collection, cache)) => (collection, Some(cache.to_owned())),
    };
    if residual.contains('\0') || cache.as_ref().is_some_and(|cache| cache.contains(':')) {
        return Err(wrong("a name without zero bytes and with at most two colons"));
    }
    if anchor != Anchor::Persistent {
        return Ok((anchor, collection.to_owned(), cache));
    }
    match collection.parse::<u32>() {
        Ok(number) if number == uid => Ok((anchor, collection.to_owned(), cache)),
        Err(_) if collection.is_empty() => Ok((anchor, uid.to_string(), cache)),
        Ok(_) => Err(wrong("the number of the user that this program runs as")),
        Err(_) => Err(wrong("a user's number behind persistent:")),
    }
}

/// Where MIT's library writes what belongs to the session: without a session keyring of its own, the user's keyring.
fn session() -> io::Result<Keyring> {
    let session = Keyring::attach(SpecialKeyring::Session).map_err(os)?;
    match Keyring::attach(SpecialKeyring::UserSession) {
        Ok(of_user) if of_user == session => Keyring::attach_or_create(SpecialKeyring::User).map_err(os),
        _ => Ok(session),
    }
}

fn find_or_add(mut parent: Keyring, mut possessed: Option<Keyring>, name: &str) -> io::Result<Keyring> {
    if let Some(keyring) = found(parent.search_for_keyring(name, possessed.as_mut()))? {
        return Ok(keyring);
    }
    let keyring = parent.add_keyring(name).map_err(os)?;
    if let Some(possessed) = &mut possessed {
        possessed.link_keyring(&keyring).map_err(os)?;
    }
    Ok(keyring)
}

fn primary_name(collection: &mut Keyring, name: &str) -> io::Result<String> {
    if let Some(key) = found(collection.search_for_key::<User, _, _>(PRIMARY, None))? {
        let payload = key.read().map_err(os)?;
        return decode_primary(&payload).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "the key that names the primary cache")
        });
    }
    let primary = if name.is_empty() { NAMELESS } else { name };
    set_primary(collection, primary)?;
    Ok(primary.to_owned())
}

fn set_primary(collection: &mut Keyring, cache: &str) -> io::Result<()> {
    collection.add_key::<User, _, _>(PRIMARY, encode_primary(cache).as_slice()).map(drop).map_err(os)
}

#[derive(Default)]
struct Content {
    principal: Option<Vec<u8>>,
    offset: Option<Vec<u8>>,
    entries: Vec<SecretBytes>,
}

fn read_all(keyring: &Keyring) -> io::Result<Content> {
    let mut content = Content::default();
    for key in keyring.read().map_err(os)?.0 {
        let read = key.description().and_then(|description| Ok((description.description, key.read()?)));
        match read {
            Ok((name, payload)) => match name.as_str() {
                PRINCIPAL => content.principal = Some(payload),
                OFFSET => content.offset = Some(payload),
                _ => content.entries.push(payload.into()),
            },
            // Tickets leave the keyring when they expire.
            Err(error) if is_gone(error.0) => {}
            Err(error) => return Err(os(error)),
        }
    }
    Ok(content)
}

/// A credential, ready to become a key.
struct Entry {
    name: String,
    payload: SecretBytes,
    /// How long the ticket lives.
    left: Duration,
}

impl Entry {
    /// `now` is the KDC's time, as the ticket's are.
    fn new(credential: &Credential, now: SystemTime) -> Result<Self, CcacheError> {
        Ok(Self {
            name: credential.server.to_string(),
            payload: encode_credential(credential)?.into(),
            left: left(credential, now),
        })
    }

    /// As a big key, which may leave the kernel's memory (encrypted); as a plain one where the kernel has none.
    fn add_to(&self, keyring: &mut Keyring, anchor: Anchor) -> io::Result<()> {
        let name = self.name.as_str();
        let big = match anchor {
            // Programs from before big keys may come by.
            Anchor::Legacy => None,
            _ => match keyring.add_key::<BigKey, _, _>(name, self.payload.expose().as_slice()) {
                Ok(key) => Some(key),
                Err(error) if matches!(error.0, libc::EINVAL | libc::ENODEV) => None,
                Err(error) => return Err(os(error)),
            },
        };
        let mut key = match big {
            Some(key) => key,
            None => keyring.add_key::<User, _, _>(name, self.payload.expose().as_slice()).map_err(os)?,
        };
        if self.left >= Duration::from_secs(1) {
            key.set_timeout(self.left).map_err(os)?;
        }
        Ok(())
    }
}

fn left(ticket: &Credential, now: SystemTime) -> Duration {
    ticket.end_time.duration_since(now).unwrap_or_default()
}

/// Lets the whole cache go when its last ticket does; stay, if there is none to go. That this fails leaves it there
/// longer, no more.
fn limit(keyring: &mut Keyring, left: Option<Duration>) {
    let left = left.filter(|left| *left >= Duration::from_secs(1));
    // None is said as zero.
    let _ = keyring.set_timeout(left.unwrap_or_default());
}

/// Nothing where there is no such key, or no longer.
fn found<T>(result: keyutils::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_gone(error.0) => Ok(None),
        Err(error) => Err(os(error)),
    }
}

fn is_gone(errno: i32) -> bool {
    matches!(errno, libc::ENOKEY | libc::EKEYEXPIRED | libc::EKEYREVOKED)
}

/// The library's own type of system errors says the same.
fn os(error: impl Into<io::Error>) -> io::Error {
    error.into()
}

type Job = Box<dyn FnOnce() + Send>;

/// Runs work on one thread, always the same: to the kernel, the process keyring belongs to the thread that made it
/// and to threads begun later.
fn on_keyring_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    static THREAD: OnceLock<Mutex<Sender<Job>>> = OnceLock::new();
    let thread = THREAD.get_or_init(|| {
        let (jobs, queue) = channel::<Job>();
        std::thread::spawn(move || queue.into_iter().for_each(|job| job()));
        Mutex::new(jobs)
    });
    let (answer, result) = channel();
    let job: Job = Box::new(move || drop(answer.send(work())));
    let gone = || io::Error::other("the thread of the process keyring is gone");
    thread.lock().unwrap_or_else(PoisonError::into_inner).send(job).map_err(|_| gone())?;
    result.recv().map_err(|_| gone())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_as_mit_does() {
        let parsed = |text| parse(text, 7).unwrap();
        assert_eq!(parsed("name"), (Anchor::Legacy, "name".into(), None));
        assert_eq!(parsed("persistent:7"), (Anchor::Persistent, "7".into(), None));
        assert_eq!(parsed("persistent:"), (Anchor::Persistent, "7".into(), None));
        assert_eq!(parsed("session:a:b"), (Anchor::Session, "a".into(), Some("b".into())));
        assert_eq!(parsed("user::tkt"), (Anchor::User, String::new(), Some("tkt".into())));
        for bad in ["persistent:8", "persistent:x", "thread:a", "what:a", "session:a:b:c"] {
            assert!(matches!(parse(bad, 7), Err(Error::CcacheName { .. })), "{bad}");
        }
    }
}
