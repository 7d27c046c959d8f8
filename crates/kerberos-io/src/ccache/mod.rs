//! Credential caches of every kind that MIT's library has on Linux, behind one type.

mod caches;
mod directory;
mod file;
pub(crate) mod kcm;
pub(crate) mod keyring;
mod memory;

pub use caches::Ccaches;
pub use directory::DirCcache;
pub use file::FileCcache;
pub use kcm::KcmCcache;
pub use keyring::KeyringCcache;
pub use memory::MemoryCcache;

use hop_kerberos::ccache::CredentialCache;
use hop_kerberos::{Credential, Principal};

use crate::Error;

/// A credential cache: where tickets are kept, whatever keeps them.
///
/// Operations block: on locks of files for at most a few seconds, on a KCM daemon for at most ten.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ccache {
    /// A file.
    File(FileCcache),
    /// A file of a directory that is a collection.
    Dir(DirCcache),
    /// This process's memory.
    Memory(MemoryCcache),
    /// A daemon that keeps the caches of all users (SSSD's or Heimdal's).
    Kcm(KcmCcache),
    /// The kernel's keyrings.
    Keyring(KeyringCcache),
}

impl Ccache {
    /// The name to put into `KRB5CCNAME`: of this very cache, also where it is one of a collection.
    pub fn name(&self) -> String {
        match self {
            Self::File(cache) => cache.name(),
            Self::Dir(cache) => cache.name(),
            Self::Memory(cache) => cache.name(),
            Self::Kcm(cache) => cache.name(),
            Self::Keyring(cache) => cache.name(),
        }
    }

    /// Reads the cache.
    ///
    /// # Errors
    /// [`Error::NoCcache`] if there is none, [`Error::Ccache`] if it is damaged, [`Error::Io`] and [`Error::Kcm`]
    /// otherwise.
    pub fn load(&self) -> Result<CredentialCache, Error> {
        match self {
            Self::File(cache) => cache.load(),
            Self::Dir(cache) => cache.file().load(),
            Self::Memory(cache) => cache.load(),
            Self::Kcm(cache) => cache.load(),
            Self::Keyring(cache) => cache.load(),
        }
    }

    /// Writes the cache in place of what was there; only its owner can read it.
    ///
    /// Files are replaced in one step. The KCM protocol and keyrings have no such step: who reads meanwhile may see
    /// a cache without tickets.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Kcm`] if it cannot be written.
    pub fn save(&self, content: &CredentialCache) -> Result<(), Error> {
        match self {
            Self::File(cache) => cache.save(content),
            Self::Dir(cache) => cache.save(content),
            Self::Memory(cache) => cache.save(content),
            Self::Kcm(cache) => cache.save(content),
            Self::Keyring(cache) => cache.save(content),
        }
    }

    /// Adds a ticket to the cache as it stands now.
    ///
    /// # Errors
    /// As for [`load`](Self::load) and [`save`](Self::save).
    pub fn store(&self, credential: Credential) -> Result<(), Error> {
        match self {
            Self::File(cache) => cache.store(credential),
            Self::Dir(cache) => cache.file().store(credential),
            Self::Memory(cache) => cache.store(credential),
            Self::Kcm(cache) => cache.store(&credential),
            Self::Keyring(cache) => cache.store(&credential),
        }
    }

    /// Takes the tickets for a service out of the cache; says how many there were.
    ///
    /// # Errors
    /// As for [`load`](Self::load) and [`save`](Self::save).
    pub fn remove(&self, server: &Principal) -> Result<usize, Error> {
        match self {
            Self::File(cache) => cache.remove(server),
            Self::Dir(cache) => cache.file().remove(server),
            Self::Memory(cache) => cache.remove(server),
            Self::Kcm(cache) => cache.remove(server),
            Self::Keyring(cache) => cache.remove(server),
        }
    }

    /// Removes the whole cache. It is no error if there is none.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Kcm`] if it cannot be removed.
    pub fn destroy(&self) -> Result<(), Error> {
        match self {
            Self::File(cache) => cache.destroy(),
            Self::Dir(cache) => cache.file().destroy(),
            Self::Memory(cache) => cache.destroy(),
            Self::Kcm(cache) => cache.destroy(),
            Self::Keyring(cache) => cache.destroy(),
        }
    }
}

impl From<FileCcache> for Ccache {
    fn from(cache: FileCcache) -> Self {
        Self::File(cache)
    }
}
