//! Credential caches in files.

use std::path::{Path, PathBuf};

use hop_kerberos::ccache::CredentialCache;
use hop_kerberos::{Credential, Principal};
use hop_secret::SecretBytes;

use crate::Error;
use crate::files::{Lock, open_locked, read_open, replace_private_file};

/// The largest cache that is read, in bytes.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// A credential cache in a file, by its name.
///
/// Each operation opens the file anew and locks it as MIT's library does, so that several programs can share it.
/// They block for as long as another program holds the lock, at most a few seconds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileCcache {
    path: PathBuf,
}

impl FileCcache {
    /// The cache in this file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where the cache is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name to put into `KRB5CCNAME`.
    pub fn name(&self) -> String {
        format!("FILE:{}", self.path.display())
    }

    /// Reads the cache.
    ///
    /// # Errors
    /// [`Error::NoCcache`] if there is none, [`Error::Ccache`] if it is damaged, [`Error::Io`] otherwise.
    pub fn load(&self) -> Result<CredentialCache, Error> {
        let mut file = open_locked(&self.path, Lock::Shared).map_err(|error| self.failed(error))?;
        self.parse(&mut file)
    }

    /// Writes the cache, replacing what was there in one step; only its owner can read it.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub fn save(&self, cache: &CredentialCache) -> Result<(), Error> {
        // Whoever is adding to the old file finishes first.
        let _old = open_locked(&self.path, Lock::Exclusive);
        self.write(cache)
    }

    /// Adds a ticket to the cache as it stands in the file now.
    ///
    /// # Errors
    /// As for [`load`](Self::load) and [`save`](Self::save).
    pub fn store(&self, credential: Credential) -> Result<(), Error> {
        let mut file = open_locked(&self.path, Lock::Exclusive).map_err(|error| self.failed(error))?;
        let mut cache = self.parse(&mut file)?;
        cache.store(credential);
        self.write(&cache)
    }

    /// Takes the tickets for a service out of the cache; says how many there were.
    ///
    /// # Errors
    /// As for [`load`](Self::load) and [`save`](Self::save).
    pub fn remove(&self, server: &Principal) -> Result<usize, Error> {
        let mut file = open_locked(&self.path, Lock::Exclusive).map_err(|error| self.failed(error))?;
        let mut cache = self.parse(&mut file)?;
        let removed = cache.remove(server);
        if removed > 0 {
            self.write(&cache)?;
        }
        Ok(removed)
    }

    /// Removes the cache, overwriting its content first. It is no error if there is none.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be removed.
    pub fn destroy(&self) -> Result<(), Error> {
        if let Ok(file) = open_locked(&self.path, Lock::Exclusive) {
            let length = file.metadata().map_or(0, |metadata| metadata.len());
            let zeros = vec![0; usize::try_from(length.min(MAX_FILE)).unwrap_or(0)];
            let _ = std::io::Write::write_all(&mut &file, &zeros);
        }
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(&self.path, error)),
            _ => Ok(()),
        }
    }

    fn parse(&self, file: &mut std::fs::File) -> Result<CredentialCache, Error> {
        let bytes = read_open(file, MAX_FILE).map_err(|error| Error::io(&self.path, error))?;
        let bytes = SecretBytes::new(bytes);
        CredentialCache::parse(bytes.expose()).map_err(|source| Error::Ccache { name: self.name(), source })
    }

    fn write(&self, cache: &CredentialCache) -> Result<(), Error> {
        let bytes = cache.to_bytes().map_err(|source| Error::Ccache { name: self.name(), source })?;
        replace_private_file(&self.path, SecretBytes::new(bytes).expose())
            .map_err(|error| Error::io(&self.path, error))
    }

    fn failed(&self, error: std::io::Error) -> Error {
        match error.kind() {
            std::io::ErrorKind::NotFound => Error::NoCcache { name: self.name() },
            _ => Error::io(&self.path, error),
        }
    }
}
