//! What was read of a domain's Group Policy, kept for the time when the domain cannot be reached.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{PolicyObject, Snapshot};
use crate::{Error, files, registry_pol};

/// The largest cache that is read, in bytes.
const MAX_SIZE: u64 = 64 << 20;

/// After so long the domain is asked again, as on Windows.
pub const STALE: Duration = Duration::from_secs(90 * 60);

/// A domain that did not answer is left alone for so long.
pub const PAUSE: Duration = Duration::from_secs(5 * 60);

#[derive(Serialize, Deserialize)]
struct File {
    domain: String,
    machine: Option<String>,
    /// Seconds since 1970.
    read_at: u64,
    objects: Vec<Object>,
}

#[derive(Serialize, Deserialize)]
struct Object {
    name: String,
    id: String,
    /// Registry.pol in base64.
    registry: String,
}

/// The file for a domain.
pub fn path(folder: &Path, domain: &str) -> PathBuf {
    folder.join(format!("{}.json", domain.to_ascii_lowercase()))
}

/// Keeps it, in one step.
///
/// # Errors
/// The file cannot be written.
pub fn save(folder: &Path, snapshot: &Snapshot) -> Result<(), Error> {
    let path = path(folder, &snapshot.origin);
    let objects = snapshot.objects.iter().map(|object| Object {
        name: object.name.clone(),
        id: object.id.clone(),
        registry: STANDARD.encode(registry_pol::encode(&object.entries)),
    });
    let file = File {
        domain: snapshot.origin.clone(),
        machine: snapshot.machine.clone(),
        read_at: snapshot.read_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs(),
        objects: objects.collect(),
    };
    let text = serde_json::to_vec_pretty(&file).map_err(|e| Error::content(&path, e))?;
    files::replace(&path, &text)?;
    let _ = std::fs::remove_file(failure(folder, &snapshot.origin));
    Ok(())
}

/// Remembers that the domain did not answer.
///
/// # Errors
/// The file cannot be written.
pub fn note_failure(folder: &Path, domain: &str, now: SystemTime) -> Result<(), Error> {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    files::replace(&failure(folder, domain), seconds.to_string().as_bytes())
}

/// When the domain last did not answer, if it has not answered since.
pub fn failed_at(folder: &Path, domain: &str) -> Option<SystemTime> {
    let text = files::read_text(&failure(folder, domain)).ok()??;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(text.trim().parse().ok()?))
}

fn failure(folder: &Path, domain: &str) -> PathBuf {
    folder.join(format!("{}.failed", domain.to_ascii_lowercase()))
}

/// What was kept of a domain; `None` if nothing was.
///
/// # Errors
/// A file that cannot be read or understood.
pub fn load(folder: &Path, domain: &str) -> Result<Option<Snapshot>, Error> {
    let path = path(folder, domain);
    let Some(bytes) = files::read(&path, MAX_SIZE)? else { return Ok(None) };
    let file = serde_json::from_slice::<File>(&bytes).map_err(|e| Error::content(&path, e))?;
    let object = |object: Object| {
        let bytes = STANDARD.decode(object.registry).map_err(|e| Error::content(&path, e))?;
        let entries = registry_pol::decode(&bytes).map_err(|e| Error::content(&path, e))?;
        Ok(PolicyObject { name: object.name, id: object.id, entries })
    };
    let read_at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(file.read_at));
    Ok(Some(Snapshot {
        origin: file.domain,
        machine: file.machine,
        read_at: read_at.unwrap_or(SystemTime::UNIX_EPOCH),
        objects: file.objects.into_iter().map(object).collect::<Result<_, Error>>()?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry_pol::Entry;

    #[test]
    fn there_and_back() {
        let folder = tempfile::tempdir().unwrap();
        let snapshot = Snapshot {
            origin: "hop.test".to_owned(),
            machine: Some("CLIENT$".to_owned()),
            read_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            objects: vec![PolicyObject {
                name: "CredDeleg".to_owned(),
                id: "{1}".to_owned(),
                entries: vec![Entry::text("k", "1", "wsman/*"), Entry::dword("k", "v", 1)],
            }],
        };
        let inner = folder.path().join("hop/group-policy");
        save(&inner, &snapshot).unwrap();
        assert_eq!(load(&inner, "HOP.test").unwrap(), Some(snapshot));
        assert_eq!(load(&inner, "other.test").unwrap(), None);
        std::fs::write(path(&inner, "hop.test"), "{}").unwrap();
        assert!(matches!(load(&inner, "hop.test"), Err(Error::Content { .. })));
    }
}
