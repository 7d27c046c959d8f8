//! Which caches there are: names, the default one, collections.

use std::path::{Path, PathBuf};

use hop_kerberos::Principal;
use hop_kerberos::config::Config;

use super::kcm::DEFAULT_SOCKET;
use super::memory::Memory;
use super::{Ccache, DirCcache, FileCcache, KcmCcache, KeyringCcache, MemoryCcache};
use crate::{Environment, Error};

/// The caches that a user can name, and where those are that need no name.
///
/// `MEMORY:` caches live as long as this value and its clones.
#[derive(Debug, Clone)]
pub struct Ccaches {
    default: String,
    kcm_socket: PathBuf,
    uid: u32,
    memory: Memory,
}

/// The two kinds of names.
enum Named {
    /// One cache.
    One(Ccache),
    /// A collection, by its primary cache.
    Collection(Ccache),
}

impl Ccaches {
    /// The caches of this user by this configuration.
    ///
    /// # Errors
    /// [`Error::Config`] if `default_ccache_name` cannot be expanded.
    pub fn new(environment: &Environment, config: &Config) -> Result<Self, Error> {
        Ok(Self {
            default: environment.ccache_name(config)?,
            kcm_socket: config.libdefault(None, "kcm_socket").unwrap_or(DEFAULT_SOCKET).into(),
            uid: environment.effective_uid,
            memory: Memory::default(),
        })
    }

    /// The name of the default cache, or of the collection that it is the primary one of.
    pub fn default_name(&self) -> &str {
        &self.default
    }

    /// The default cache.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub fn default_cache(&self) -> Result<Ccache, Error> {
        self.resolve(&self.default)
    }

    /// The cache that a name such as `KRB5CCNAME` holds stands for: `FILE:PATH`, a path alone, `DIR:DIRECTORY`,
    /// `DIR::PATH`, `KEYRING:…`, `KCM:[NAME]`, `MEMORY:NAME`. The name of a collection stands for its primary cache.
    /// The cache need not exist.
    ///
    /// # Errors
    /// [`Error::CcacheType`] and [`Error::CcacheName`] for what is no name, [`Error::Io`] and [`Error::Kcm`] where
    /// the primary cache cannot be asked for.
    pub fn resolve(&self, name: &str) -> Result<Ccache, Error> {
        match self.named(name)? {
            Named::One(cache) | Named::Collection(cache) => Ok(cache),
        }
    }

    /// The existing caches that a name stands for: all of a collection with its primary one first, else the one.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub fn collection(&self, name: &str) -> Result<Vec<Ccache>, Error> {
        match self.named(name)? {
            Named::One(cache) => Ok(vec![cache]),
            Named::Collection(primary) => Ok(match &primary {
                Ccache::Dir(cache) => {
                    DirCcache::all(cache.directory())?.into_iter().map(Ccache::Dir).collect()
                }
                Ccache::Kcm(_) => KcmCcache::all(&self.kcm_socket)?.into_iter().map(Ccache::Kcm).collect(),
                Ccache::Keyring(cache) => cache.siblings()?.into_iter().map(Ccache::Keyring).collect(),
                Ccache::File(_) | Ccache::Memory(_) => vec![primary],
            }),
        }
    }

    /// The cache for a principal's first ticket, as `kinit` chooses it: the one cache that the name stands for; of a
    /// collection the principal's own, else the primary one if it is free, else a new one.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub fn for_principal(&self, name: &str, principal: &Principal) -> Result<Ccache, Error> {
        let primary = match self.named(name)? {
            Named::One(cache) => return Ok(cache),
            Named::Collection(primary) => primary,
        };
        for cache in self.collection(name)? {
            if cache.load().is_ok_and(|content| content.principal == *principal) {
                return Ok(cache);
            }
        }
        match primary.load() {
            Err(Error::NoCcache { .. }) => Ok(primary),
            _ => match &primary {
                Ccache::Dir(cache) => DirCcache::unique(cache.directory()).map(Ccache::Dir),
                Ccache::Kcm(cache) => KcmCcache::unique(cache.socket()).map(Ccache::Kcm),
                Ccache::Keyring(cache) => cache.unique().map(Ccache::Keyring),
                Ccache::File(_) | Ccache::Memory(_) => Ok(primary),
            },
        }
    }

    /// Makes a cache the primary one of its collection; nothing to do for caches that are in none.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Kcm`] if that cannot be written down.
    pub fn make_primary(&self, cache: &Ccache) -> Result<(), Error> {
        match cache {
            Ccache::File(_) | Ccache::Memory(_) => Ok(()),
            Ccache::Dir(cache) => cache.make_primary(),
            Ccache::Kcm(cache) => cache.make_primary(),
            Ccache::Keyring(cache) => cache.make_primary(),
        }
    }

    /// The names of the caches in memory.
    pub fn in_memory(&self) -> Vec<String> {
        self.memory.names().into_iter().map(|name| format!("MEMORY:{name}")).collect()
    }

    fn named(&self, name: &str) -> Result<Named, Error> {
        let (kind, rest) = match name.split_once(':') {
            Some((kind, rest)) if !name.starts_with('/') => (kind, rest),
            _ => ("FILE", name),
        };
        if rest.is_empty() && kind != "KCM" {
            return Err(Error::CcacheName { name: name.to_owned(), expected: "something behind the type" });
        }
        Ok(match kind {
            "FILE" => Named::One(Ccache::File(FileCcache::new(rest))),
            "DIR" => match rest.strip_prefix(':') {
                Some(path) => Named::One(Ccache::Dir(DirCcache::new(path)?)),
                None => Named::Collection(Ccache::Dir(DirCcache::primary(Path::new(rest))?)),
            },
            "MEMORY" => Named::One(Ccache::Memory(MemoryCcache::new(self.memory.clone(), rest))),
            "KCM" if rest.is_empty() => Named::Collection(Ccache::Kcm(KcmCcache::primary(&self.kcm_socket)?)),
            "KCM" => Named::One(Ccache::Kcm(KcmCcache::new(&self.kcm_socket, rest)?)),
            "KEYRING" => {
                let cache = Ccache::Keyring(KeyringCcache::resolve(rest, self.uid)?);
                match KeyringCcache::is_collection(rest, self.uid) {
                    true => Named::Collection(cache),
                    false => Named::One(cache),
                }
            }
            other => return Err(Error::CcacheType { kind: other.to_owned() }),
        })
    }
}

/// A name that nobody has yet, in all likelihood.
pub(super) fn random_name(length: usize) -> String {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    (0..length).map(|_| char::from(LETTERS[rand::random_range(0..LETTERS.len())])).collect()
}
