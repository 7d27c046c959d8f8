//! Directories of credential caches: files whose names begin with `tkt`, one of them the primary.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hop_kerberos::ccache::CredentialCache;

use super::FileCcache;
use crate::Error;
use crate::files::{read_limited, replace_private_file};

/// What the names of caches begin with.
const PREFIX: &str = "tkt";
/// The file that names the primary cache.
const POINTER: &str = "primary";
/// The longest such file that is read, in bytes.
const MAX_POINTER: u64 = 4096;

/// A cache of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DirCcache {
    directory: PathBuf,
    file: FileCcache,
}

impl DirCcache {
    /// The cache in this file of a directory (`DIR::PATH`).
    ///
    /// # Errors
    /// [`Error::CcacheName`] if the file's name does not begin with `tkt`.
    pub fn new(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let named =
            path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PREFIX));
        match path.parent() {
            Some(directory) if named => {
                Ok(Self { directory: directory.to_owned(), file: FileCcache::new(&path) })
            }
            _ => Err(Error::CcacheName {
                name: format!("DIR::{}", path.display()),
                expected: "a file whose name begins with tkt",
            }),
        }
    }

    /// The directory's primary cache (`DIR:DIRECTORY`); `tkt` until another one is made that.
    ///
    /// # Errors
    /// [`Error::Io`] if what names the primary cannot be read or names no file of the directory.
    pub fn primary(directory: &Path) -> Result<Self, Error> {
        let pointer = directory.join(POINTER);
        let name = match read_limited(&pointer, MAX_POINTER) {
            Ok((name, _)) => String::from_utf8_lossy(&name).trim_end().to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => PREFIX.to_owned(),
            Err(error) => return Err(Error::io(&pointer, error)),
        };
        // No way out of the directory.
        if !name.starts_with(PREFIX) || name.contains('/') {
            return Err(Error::io(&pointer, io::ErrorKind::InvalidData.into()));
        }
        Self::new(directory.join(name))
    }

    /// All caches of a directory, the primary one first.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory cannot be read.
    pub fn all(directory: &Path) -> Result<Vec<Self>, Error> {
        let primary = Self::primary(directory)?;
        let mut caches = Vec::new();
        match std::fs::read_dir(directory) {
            Ok(entries) => {
                for entry in entries {
                    let entry = entry.map_err(|error| Error::io(directory, error))?;
                    caches.extend(Self::new(entry.path()).ok().filter(|_| entry.path().is_file()));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io(directory, error)),
        }
        caches.sort_by(|a, b| (*a != primary, a.file.path()).cmp(&(*b != primary, b.file.path())));
        Ok(caches)
    }

    /// A cache of a new name, empty.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be made.
    pub fn unique(directory: &Path) -> Result<Self, Error> {
        make(directory)?;
        loop {
            let path = directory.join(format!("{PREFIX}{}", super::caches::random_name(6)));
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(_) => return Self::new(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io(&path, error)),
            }
        }
    }

    /// The file.
    pub fn file(&self) -> &FileCcache {
        &self.file
    }

    /// The name to put into `KRB5CCNAME`.
    pub fn name(&self) -> String {
        format!("DIR::{}", self.file.path().display())
    }

    /// Makes this the directory's primary cache.
    ///
    /// # Errors
    /// [`Error::Io`] if that cannot be written down.
    pub fn make_primary(&self) -> Result<(), Error> {
        let pointer = self.directory.join(POINTER);
        let name = self.file.path().file_name().unwrap_or_default().to_string_lossy();
        replace_private_file(&pointer, format!("{name}\n").as_bytes())
            .map_err(|error| Error::io(&pointer, error))
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn save(&self, content: &CredentialCache) -> Result<(), Error> {
        make(&self.directory)?;
        self.file.save(content)
    }
}

/// Makes the directory, for its owner alone, if it is missing.
fn make(directory: &Path) -> Result<(), Error> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(Error::io(directory, error)),
        _ => Ok(()),
    }
}
