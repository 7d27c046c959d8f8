//! Policies in a folder, as samba-gpupdate keeps them: `{GUID}/MACHINE/REGISTRY.POL`.
//!
//! Such a folder does not say in which order the objects are linked. So the default policy of the domain is applied
//! first and the others after it by their GUIDs; where two of them set the same value, that may not be the order of the
//! domain.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{PolicyObject, Snapshot};
use crate::{Error, files, registry_pol};

/// The default policy of every domain.
const DEFAULT: &str = "{31B2F340-016D-11D2-945F-00C04FB984F9}";

/// Reads a folder.
///
/// # Errors
/// It is not there, or a file in it cannot be read.
pub fn read(folder: &Path) -> Result<Snapshot, Error> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .map_err(|e| Error::read(folder, e))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with('{') && name.ends_with('}'))
        .collect();
    names.sort_by_key(|name| (!name.eq_ignore_ascii_case(DEFAULT), name.to_uppercase()));
    let mut objects = Vec::new();
    let mut read_at = None;
    for id in names {
        let Some(path) = find(&folder.join(&id), &["machine", "registry.pol"]) else { continue };
        let Some(bytes) = files::read(&path, registry_pol::MAX_FILE as u64)? else { continue };
        let entries = registry_pol::decode(&bytes).map_err(|e| Error::content(&path, e))?;
        let written = fs::metadata(&path).and_then(|data| data.modified()).ok();
        read_at = read_at.max(written);
        objects.push(PolicyObject { name: display_name(&folder.join(&id)).unwrap_or_default(), id, entries });
    }
    Ok(Snapshot {
        origin: folder.display().to_string(),
        machine: None,
        read_at: read_at.unwrap_or(SystemTime::UNIX_EPOCH),
        objects,
    })
}

/// A path below a folder, whatever the case of its parts.
fn find(folder: &Path, parts: &[&str]) -> Option<PathBuf> {
    parts.iter().try_fold(folder.to_owned(), |at, part| {
        let mut names = fs::read_dir(&at).ok()?.filter_map(|entry| entry.ok().map(|entry| entry.file_name()));
        names
            .find(|name| name.to_str().is_some_and(|name| name.eq_ignore_ascii_case(part)))
            .map(|name| at.join(name))
    })
}

/// What GPT.INI calls the object, if that is not the text that all have.
fn display_name(folder: &Path) -> Option<String> {
    let bytes = files::read(&find(folder, &["gpt.ini"])?, 64 << 10).ok()??;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let name = text.lines().find_map(|line| line.trim().strip_prefix("displayName="))?;
    (name != "New Group Policy Object").then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry_pol::{Entry, encode};

    #[test]
    fn a_folder() {
        let folder = tempfile::tempdir().unwrap();
        for (id, value) in [("{00000000-0000-0000-0000-000000000001}", 1), (DEFAULT, 2)] {
            let machine = folder.path().join(id).join("MACHINE");
            fs::create_dir_all(&machine).unwrap();
            fs::write(machine.join("REGISTRY.POL"), encode(&[Entry::dword("k", "v", value)])).unwrap();
        }
        fs::write(folder.path().join(DEFAULT).join("GPT.INI"), "[General]\r\ndisplayName=Ours\r\n").unwrap();
        fs::create_dir(folder.path().join("other")).unwrap();
        fs::create_dir(folder.path().join("{no registry}")).unwrap();
        let read_now = read(folder.path()).unwrap();
        let values: Vec<_> =
            read_now.objects.iter().map(|o| (o.name.as_str(), o.entries[0].as_dword())).collect();
        assert_eq!(values, [("Ours", Some(2)), ("", Some(1))]);
        assert!(read_now.read_at > SystemTime::UNIX_EPOCH);
        fs::write(folder.path().join(DEFAULT).join("MACHINE/REGISTRY.POL"), "no").unwrap();
        assert!(matches!(read(folder.path()), Err(Error::Content { .. })));
        assert!(matches!(read(&folder.path().join("none")), Err(Error::File { .. })));
    }
}
