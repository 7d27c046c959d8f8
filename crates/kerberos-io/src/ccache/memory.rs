//! Credential caches in memory, gone with the process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hop_kerberos::ccache::CredentialCache;
use hop_kerberos::{Credential, Principal};

use crate::Error;

/// The caches of one [`Ccaches`](crate::Ccaches), by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory(Arc<Mutex<BTreeMap<String, CredentialCache>>>);

impl Memory {
    pub(crate) fn names(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, CredentialCache>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A credential cache in memory, by its name.
#[derive(Debug, Clone)]
pub struct MemoryCcache {
    memory: Memory,
    name: String,
}

impl PartialEq for MemoryCcache {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.memory.0, &other.memory.0)
    }
}

impl Eq for MemoryCcache {}

impl MemoryCcache {
    pub(crate) fn new(memory: Memory, name: &str) -> Self {
        Self { memory, name: name.to_owned() }
    }

    pub(crate) fn name(&self) -> String {
        format!("MEMORY:{}", self.name)
    }

    pub(crate) fn load(&self) -> Result<CredentialCache, Error> {
        self.memory.lock().get(&self.name).cloned().ok_or_else(|| self.missing())
    }

    pub(crate) fn save(&self, content: &CredentialCache) -> Result<(), Error> {
        self.memory.lock().insert(self.name.clone(), content.clone());
        Ok(())
    }

    pub(crate) fn store(&self, credential: Credential) -> Result<(), Error> {
        self.memory.lock().get_mut(&self.name).ok_or_else(|| self.missing())?.store(credential);
        Ok(())
    }

    pub(crate) fn remove(&self, server: &Principal) -> Result<usize, Error> {
        Ok(self.memory.lock().get_mut(&self.name).ok_or_else(|| self.missing())?.remove(server))
    }

    pub(crate) fn destroy(&self) -> Result<(), Error> {
        self.memory.lock().remove(&self.name);
        Ok(())
    }

    fn missing(&self) -> Error {
        Error::NoCcache { name: self.name() }
    }
}
