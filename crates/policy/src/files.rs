//! Files that are read whole and replaced in one step.

use std::{
    fs, io,
    io::{Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use crate::Error;

/// The largest file of settings that is read, in bytes.
const MAX_SETTINGS: u64 = 1 << 20;

/// The text of a file; `None` if there is none.
pub(crate) fn read_text(path: &Path) -> Result<Option<String>, Error> {
    let bytes = read(path, MAX_SETTINGS)?;
    bytes.map(|bytes| String::from_utf8(bytes).map_err(|_| Error::content(path, "not UTF-8"))).transpose()
}

/// A file's content, up to a limit; `None` if there is no such file.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, Error> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::read(path, error)),
    };
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|e| Error::read(path, e))?;
    if bytes.len() as u64 > limit {
        return Err(Error::content(path, format!("larger than {limit} bytes")));
    }
    Ok(Some(bytes))
}

/// Replaces a file in one step; everybody can read it.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|e| Error::write(folder, e))?;
    let written = || -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|e| e.error)?;
        Ok(())
    };
    written().map_err(|e| Error::write(path, e))
}
