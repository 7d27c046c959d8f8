//! Keytabs on disk.

use std::path::{Path, PathBuf};

use hop_kerberos::keytab::Keytab;

use crate::Error;
use crate::files::{Lock, open_locked, read_open, replace_private_file};

/// The largest keytab that is read, in bytes.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// The file that a keytab's name stands for: `FILE:PATH`, `WRFILE:PATH` or a path alone.
///
/// # Errors
/// [`Error::KeytabType`] for a keytab that is not in a file.
pub fn keytab_path(name: &str) -> Result<PathBuf, Error> {
    match name.split_once(':') {
        _ if name.starts_with('/') => Ok(name.into()),
        None => Ok(name.into()),
        Some(("FILE" | "WRFILE", path)) => Ok(path.into()),
        Some((kind, _)) => Err(Error::KeytabType { kind: kind.to_owned() }),
    }
}

/// Reads a keytab.
///
/// # Errors
/// [`Error::Io`] if it cannot be read, [`Error::Keytab`] if it is damaged.
pub fn load_keytab(path: &Path) -> Result<Keytab, Error> {
    let mut file = open_locked(path, Lock::Shared).map_err(|error| Error::io(path, error))?;
    let bytes = read_open(&mut file, MAX_FILE).map_err(|error| Error::io(path, error))?;
    Keytab::parse(&bytes).map_err(|source| Error::Keytab { path: path.to_owned(), source })
}

/// Writes a keytab, replacing what was there in one step; only its owner can read it.
///
/// # Errors
/// [`Error::Io`] if it cannot be written.
pub fn save_keytab(path: &Path, keytab: &Keytab) -> Result<(), Error> {
    let bytes = keytab.to_bytes().map_err(|source| Error::Keytab { path: path.to_owned(), source })?;
    replace_private_file(path, &bytes).map_err(|error| Error::io(path, error))
}
