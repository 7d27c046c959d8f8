//! Reading files with a limit; replacing them in one step.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

/// How long to wait for a program that holds the lock on a file.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Which kind of lock to take; MIT's library takes the same kinds on the same files.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lock {
    Shared,
    Exclusive,
}

/// Reads a whole file of at most `limit` bytes; hands back the open file too.
pub(crate) fn read_limited(path: &Path, limit: u64) -> io::Result<(Vec<u8>, File)> {
    let mut file = File::open(path)?;
    let bytes = read_open(&mut file, limit)?;
    Ok((bytes, file))
}

pub(crate) fn read_open(file: &mut File, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {limit} bytes")));
    }
    Ok(bytes)
}

/// Opens a file and locks it, waiting a while for others.
///
/// A lock belongs to a file, not to its name: where the file was replaced while we waited, the new one is opened.
pub(crate) fn open_locked(path: &Path, lock: Lock) -> io::Result<File> {
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        let file = match lock {
            Lock::Shared => File::open(path)?,
            Lock::Exclusive => OpenOptions::new().read(true).write(true).open(path)?,
        };
        wait_for_lock(&file, lock, deadline)?;
        let (ours, current) = (file.metadata()?, std::fs::metadata(path));
        match current {
            Ok(current) if (current.dev(), current.ino()) == (ours.dev(), ours.ino()) => return Ok(file),
            Ok(_) if Instant::now() < deadline => {}
            Ok(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, "the file keeps being replaced")),
            Err(error) => return Err(error),
        }
    }
}

fn wait_for_lock(file: &File, lock: Lock, deadline: Instant) -> io::Result<()> {
    let kind = if lock == Lock::Shared { libc::F_RDLCK } else { libc::F_WRLCK };
    let region = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    loop {
        match fcntl(file, FcntlArg::F_OFD_SETLK(&region)) {
            Ok(_) => return Ok(()),
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EACCES) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EACCES) => {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "locked by another program"));
            }
            // Some file systems have no locks; MIT's library then goes on without as well.
            Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOLCK) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Writes a file that only its owner can read, replacing any other of that name in one step.
///
/// # Errors
/// What the system says; then the file is as it was.
pub fn replace_private_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, bytes, false)
}

/// The same for a file that must outlast a crash of the system: it is on the disk before it takes the other's place.
///
/// # Errors
/// As [`replace_private_file`].
pub fn replace_private_file_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, bytes, true)
}

fn replace(path: &Path, bytes: &[u8], sync: bool) -> io::Result<()> {
    let temporary = create_beside(path)?;
    let written = (|| {
        let mut file = OpenOptions::new().write(true).open(&temporary)?;
        file.write_all(bytes)?;
        if sync {
            file.sync_all()?;
        }
        std::fs::rename(&temporary, path)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

/// An empty file of mode 0600 with a new name in the same directory.
fn create_beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidFilename))?;
    for _ in 0..100 {
        // The dot keeps it out of directories of caches, where names that begin with `tkt` count.
        let mut temporary = std::ffi::OsString::from(".");
        temporary.push(name);
        temporary.push(format!(".{:08x}", rand::random::<u32>()));
        let temporary = path.with_file_name(temporary);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary) {
            Ok(_) => return Ok(temporary),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "no free temporary name"))
}
