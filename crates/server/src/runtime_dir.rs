//! The private directories sessions keep their credentials in: in memory, swept at start, gone at the end.
//!
//! Below the base directory each running server has one directory with a lock it holds as long as it lives. A start
//! removes the directories whose lock nobody holds, and ends what is left of their sessions; those of other servers
//! that live are not touched.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use hop_delegation::REPORT_ENV;
use nix::sys::signal::Signal;
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::unistd::{Gid, Pid, Uid};

/// Name of the credential cache in a session's directory.
pub(crate) const CCACHE: &str = "krb5cc";
/// Name of the session's report in its directory.
pub(crate) const REPORT: &str = "delegation.json";

/// Name of the session's own krb5.conf.
pub(crate) const CONFIG: &str = "krb5.conf";

const LOCK: &str = "lock";
const SERVER_PREFIX: &str = "server-";

/// The directory of this server.
#[derive(Debug)]
pub(crate) struct RuntimeDir {
    own: PathBuf,
    _lock: File,
    /// Directories of dead servers that were removed.
    pub swept: usize,
    /// The base is in memory.
    pub in_memory: bool,
}

impl RuntimeDir {
    /// Opens the base directory, sweeps what dead servers left, and makes this server's own directory.
    pub fn open(base: &Path) -> io::Result<Self> {
        let shared = Uid::effective().is_root();
        make_base(base, shared)?;
        let gate = open_lock(&base.join(LOCK))?;
        // Held while sweeping and until the own lock is held, so that no sweep sees a directory without its lock.
        gate.lock()?;
        let swept = sweep(base)?;
        let own = base.join(format!("{SERVER_PREFIX}{}", random_name()));
        make_dir(&own, shared)?;
        let lock = open_lock(&own.join(LOCK))?;
        lock.try_lock().map_err(io::Error::from)?;
        Ok(Self { own, _lock: lock, swept, in_memory: is_in_memory(base) })
    }

    /// Makes a directory of programs for every session: these names run that command.
    pub fn add_programs(&self, names: &[&str], command: &[String]) -> io::Result<PathBuf> {
        let path = self.own.join("bin");
        DirBuilder::new().mode(0o755).create(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        let words: Vec<String> = command.iter().map(|w| format!("'{}'", w.replace('\'', r"'\''"))).collect();
        for name in names {
            let program = path.join(name);
            fs::write(&program, format!("#!/bin/sh\nexec {} \"$@\"\n", words.join(" ")))?;
            fs::set_permissions(&program, Permissions::from_mode(0o755))?;
        }
        Ok(path)
    }

    /// Makes the directory of a session, still empty and this process's own.
    pub fn new_session(&self) -> io::Result<SessionDir> {
        let path = self.own.join(random_name());
        DirBuilder::new().mode(0o700).create(&path)?;
        // From here on dropping it removes what was made.
        Ok(SessionDir { path })
    }
}

impl Drop for RuntimeDir {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.own) {
            tracing::warn!(path = %self.own.display(), %error, "cannot remove the server's runtime directory");
        }
    }
}

/// The directory of one session; removed when dropped.
#[derive(Debug)]
pub(crate) struct SessionDir {
    path: PathBuf,
}

impl SessionDir {
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes a file in it, to be readable by `owner` alone, and keeps it open for appending.
    pub fn add(&self, name: &str, bytes: &[u8], owner: Option<(Uid, Gid)>) -> io::Result<File> {
        let path = self.path.join(name);
        let mut file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        if let Some((uid, gid)) = owner {
            std::os::unix::fs::fchown(&file, Some(uid.as_raw()), Some(gid.as_raw()))?;
        }
        Ok(file)
    }

    /// Gives it away, after the last file: until now the owner could not reach in and put links in our way.
    pub fn give(&self, owner: Option<(Uid, Gid)>) -> io::Result<()> {
        match owner {
            Some((uid, gid)) => std::os::unix::fs::lchown(&self.path, Some(uid.as_raw()), Some(gid.as_raw())),
            None => Ok(()),
        }
    }

    /// Ends every process that names this session's report in its environment, also those that left its process group.
    pub fn kill_members(&self) -> usize {
        kill_members(&self.path)
    }

    /// Removes the directory now; again when dropped, should a dying process have written to it.
    pub fn remove(&self) {
        match fs::remove_dir_all(&self.path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::error!(path = %self.path.display(), %error, "cannot remove a session's directory")
            }
        }
    }
}

impl Drop for SessionDir {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Where sessions' directories go unless the configuration says otherwise: the first place that is in memory.
pub(crate) fn default_base() -> PathBuf {
    let uid = Uid::effective();
    let mut places = Vec::new();
    if uid.is_root() {
        places.push(PathBuf::from("/run"));
        places.push(PathBuf::from("/dev/shm"));
    } else {
        places.extend(std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|p| p.is_absolute()));
        places.push(PathBuf::from("/dev/shm"));
        places.push(std::env::temp_dir());
    }
    let place = places.iter().find(|p| is_in_memory(p)).or(places.first()).cloned().unwrap_or_default();
    match (uid.is_root(), place.starts_with("/run")) {
        (_, true) => place.join("hop"),
        (_, false) => place.join(format!("hop-{uid}")),
    }
}

fn is_in_memory(path: &Path) -> bool {
    statfs(path).is_ok_and(|s| s.filesystem_type() == TMPFS_MAGIC)
}

/// Makes the base directory or checks that the one that is there is ours and closed to others.
fn make_base(base: &Path, shared: bool) -> io::Result<()> {
    match make_dir(base, shared) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => return other,
    }
    let found = fs::symlink_metadata(base)?;
    if !found.is_dir() || found.uid() != Uid::effective().as_raw() || found.mode() & 0o022 != 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("{} is not a directory of this user that only it may write to", base.display()),
        ));
    }
    Ok(())
}

fn make_dir(path: &Path, shared: bool) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)?;
    if shared {
        // Users pass through to their sessions but see no names.
        fs::set_permissions(path, Permissions::from_mode(0o711))?;
    }
    Ok(())
}

fn open_lock(path: &Path) -> io::Result<File> {
    let nofollow = nix::libc::O_NOFOLLOW;
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).custom_flags(nofollow).open(path)
}

fn sweep(base: &Path) -> io::Result<usize> {
    let mut swept = 0;
    for entry in fs::read_dir(base)? {
        let path = entry?.path();
        let is_server =
            path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with(SERVER_PREFIX));
        if !is_server || !fs::symlink_metadata(&path)?.is_dir() {
            continue;
        }
        let lock = open_lock(&path.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => continue,
            Err(TryLockError::Error(error)) => return Err(error),
        }
        kill_members(&path);
        fs::remove_dir_all(&path)?;
        swept += 1;
    }
    Ok(swept)
}

/// Kills the processes whose environment names a session below `dir`.
fn kill_members(dir: &Path) -> usize {
    let mut mark = format!("{REPORT_ENV}=").into_bytes();
    mark.extend(dir.as_os_str().as_encoded_bytes());
    mark.push(b'/');
    let own = std::process::id().cast_signed();
    let mut killed = 0;
    // A process may fork while its siblings are killed: look until nobody is found, within reason.
    for _ in 0..16 {
        let mut found = 0;
        for pid in process_ids() {
            if pid == own {
                continue;
            }
            let marked = fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environ| environ.split(|b| *b == 0).any(|v| v.starts_with(&mark)));
            if marked && nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok() {
                found += 1;
            }
        }
        killed += found;
        if found == 0 {
            break;
        }
    }
    killed
}

fn process_ids() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| *pid > 1)
}

fn random_name() -> String {
    format!("{:032x}", rand::random::<u128>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
        dir
    }

    #[test]
    fn a_session_directory_is_private_and_goes_with_its_value() {
        let base = base();
        let runtime = RuntimeDir::open(base.path()).unwrap();
        let session = runtime.new_session().unwrap();
        session.add(CCACHE, b"tickets", None).unwrap();
        let file = session.file(CCACHE);
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        drop(session);
        assert!(!file.parent().unwrap().exists());
        drop(runtime);
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 1, "only the gate lock stays");
    }

    #[test]
    fn the_sweep_takes_the_dead_and_leaves_the_living() {
        let base = base();
        let living = RuntimeDir::open(base.path()).unwrap();
        let kept = living.new_session().unwrap();
        kept.add(CCACHE, b"a", None).unwrap();
        let dead = base.path().join("server-dead");
        fs::create_dir_all(dead.join("s")).unwrap();
        fs::write(dead.join("s/krb5cc"), b"b").unwrap();
        let mut orphan = std::process::Command::new("sleep")
            .arg("60")
            .env(REPORT_ENV, dead.join("s/delegation.json"))
            .spawn()
            .unwrap();
        // The environment of a process is there a moment after its program has started.
        while fs::read(format!("/proc/{}/environ", orphan.id())).unwrap().is_empty() {
            std::thread::yield_now();
        }
        let second = RuntimeDir::open(base.path()).unwrap();
        assert_eq!(second.swept, 1);
        assert!(!dead.exists());
        assert!(kept.file(CCACHE).exists());
        assert!(!orphan.wait().unwrap().success());
    }

    #[test]
    fn a_base_others_can_write_to_is_refused() {
        let base = base();
        fs::set_permissions(base.path(), Permissions::from_mode(0o777)).unwrap();
        assert_eq!(RuntimeDir::open(base.path()).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        let link = base.path().join("link");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        assert!(RuntimeDir::open(&link).is_err());
    }
}
