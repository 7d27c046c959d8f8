//! What is known of hosts from sessions before: one small file of the user's, `hop/hosts.json` in the cache folder.
//!
//! It holds one fact for each host, that it proved its name by Kerberos, and when. Where NTLM may take Kerberos's
//! place, whoever stands between client and KDC can see to it that it does; with NTLM nothing proves the host. The fact
//! tells a host that never had Kerberos from one that has it no more.
//!
//! A hint and nothing else: a file that is missing, unreadable or wrong is as good as an empty one, and what stands in
//! it blocks nothing. Rejected: to remember that a host has *no* Kerberos and begin with NTLM (one forged error of a
//! KDC would weaken every session after it), and to remember that a server does constrained delegation and forward no
//! ticket in mode `auto` (what the next session will want to reach is not known, and the server cannot ask for the
//! ticket later).

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hop_auth::Mechanism;
use serde::{Deserialize, Serialize};

/// The most hosts that are kept; the ones that were seen longest ago make room.
const MAX_HOSTS: usize = 1000;
/// The largest file that is read.
const MAX_FILE: u64 = 256 << 10;
/// A host that moved to another domain is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(90 * 86_400);
/// The same fact is not written again within this time.
const NEWS: Duration = Duration::from_secs(86_400);

/// What was there when a run began, and what it adds.
#[derive(Debug, Default)]
pub struct Memory {
    path: Option<PathBuf>,
    known: BTreeMap<String, Host>,
    news: Mutex<BTreeMap<String, Host>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Host {
    /// When it last proved itself by Kerberos, in seconds since 1970.
    kerberos: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct File {
    hosts: BTreeMap<String, Host>,
}

impl Memory {
    /// The user's, by `XDG_CACHE_HOME` or `HOME`; without either nothing is remembered.
    pub fn load(get: impl Fn(&str) -> Option<OsString>) -> Self {
        let folder = get("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let folder = folder.or_else(|| {
            get("HOME").map(PathBuf::from).filter(|path| path.is_absolute()).map(|home| home.join(".cache"))
        });
        let path = folder.map(|folder| folder.join("hop/hosts.json"));
        let known = path.as_deref().map(read).unwrap_or_default();
        Self { path, known, news: Mutex::default() }
    }

    /// Takes note of how a host was authenticated. If it was by NTLM and the host once proved itself by Kerberos:
    /// when it last did.
    pub fn notice(&self, host: &str, mechanism: Mechanism, now: SystemTime) -> Option<SystemTime> {
        let host = host.to_ascii_lowercase();
        let seen = self.known.get(&host).map(|host| UNIX_EPOCH + Duration::from_secs(host.kerberos));
        // A date to come is no evidence.
        let age = seen.map(|seen| now.duration_since(seen).unwrap_or(FORGOTTEN_AFTER));
        match mechanism {
            Mechanism::Ntlm => seen.filter(|_| age.is_some_and(|age| age < FORGOTTEN_AFTER)),
            Mechanism::Kerberos => {
                if age.is_none_or(|age| age >= NEWS) {
                    let kerberos = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                    let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
                    news.insert(host, Host { kerberos });
                }
                None
            }
        }
    }

    /// Writes down what is new, if anything is. Other runs may have written meanwhile: theirs is kept.
    ///
    /// # Errors
    /// The file cannot be written; worth a line in a log and no more.
    pub fn save(&self) -> io::Result<()> {
        let news = std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner));
        let Some(path) = self.path.as_deref().filter(|_| !news.is_empty()) else { return Ok(()) };
        let mut hosts = read(path);
        hosts.extend(news);
        while hosts.len() > MAX_HOSTS {
            let oldest = hosts.iter().min_by_key(|(_, host)| host.kerberos).map(|(name, _)| name.clone());
            if let Some(oldest) = oldest {
                hosts.remove(&oldest);
            }
        }
        write(path, &serde_json::to_vec(&File { hosts })?)
    }
}

fn read(path: &Path) -> BTreeMap<String, Host> {
    let small = |file: &fs::File| file.metadata().is_ok_and(|it| it.is_file() && it.len() <= MAX_FILE);
    let text = fs::File::open(path).ok().filter(small).and_then(|file| io::read_to_string(file).ok());
    text.and_then(|text| serde_json::from_str::<File>(&text).ok()).unwrap_or_default().hosts
}

/// In one step: whoever reads meanwhile sees the old file or the new one.
fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    hop_kerberos_io::replace_private_file(path, content)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn load(folder: &Path) -> Memory {
        let folder = folder.as_os_str().to_owned();
        Memory::load(move |name| (name == "XDG_CACHE_HOME").then(|| folder.clone()))
    }

    fn day(number: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(number * 86_400)
    }

    #[test]
    fn a_host_that_proved_itself_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let memory = load(folder.path());
        assert_eq!(memory.notice("servera", Mechanism::Ntlm, day(10)), None);
        assert_eq!(memory.notice("ServerA", Mechanism::Kerberos, day(10)), None);
        memory.save().unwrap();
        let memory = load(folder.path());
        assert_eq!(memory.notice("SERVERA", Mechanism::Ntlm, day(20)), Some(day(10)));
        assert_eq!(memory.notice("serverb", Mechanism::Ntlm, day(20)), None);
        assert_eq!(memory.notice("servera", Mechanism::Ntlm, day(100)), None, "it is forgotten");
        assert_eq!(memory.notice("servera", Mechanism::Ntlm, day(9)), None, "a date to come");
        // NTLM is no fact to keep.
        let file = folder.path().join("hop/hosts.json");
        let before = fs::metadata(&file).unwrap().modified().unwrap();
        memory.save().unwrap();
        assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), before);
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path().join("hop")).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn what_others_wrote_meanwhile_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (load(folder.path()), load(folder.path()));
        one.notice("a", Mechanism::Kerberos, day(1));
        two.notice("b", Mechanism::Kerberos, day(1));
        one.save().unwrap();
        two.save().unwrap();
        let memory = load(folder.path());
        assert!(["a", "b"].iter().all(|host| memory.notice(host, Mechanism::Ntlm, day(2)).is_some()));
    }

    #[test]
    fn it_stays_small() {
        let folder = tempfile::tempdir().unwrap();
        let memory = load(folder.path());
        for number in 0..MAX_HOSTS as u64 + 50 {
            let name = format!("host{number}.{}", "x".repeat(150));
            memory.notice(&name, Mechanism::Kerberos, day(1) + Duration::from_secs(number));
        }
        memory.save().unwrap();
        let memory = load(folder.path());
        assert_eq!(memory.known.len(), MAX_HOSTS);
        assert!(memory.known.keys().all(|name| !name.starts_with("host49.")));
        assert!(memory.known.keys().any(|name| name.starts_with("host50.")));
    }

    #[test]
    fn a_file_that_is_wrong_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hop/hosts.json");
        fs::create_dir(folder.path().join("hop")).unwrap();
        for content in
            [&b""[..], b"{", b"[]", b"{\"hosts\":{\"a\":{\"kerberos\":-1}}}", b"\xff\xfe", &[b' '; 1 << 20]]
        {
            fs::write(&file, content).unwrap();
            let memory = load(folder.path());
            assert_eq!(memory.notice("a", Mechanism::Ntlm, day(2)), None);
            memory.notice("a", Mechanism::Kerberos, day(1));
            memory.save().unwrap();
            assert_eq!(load(folder.path()).notice("a", Mechanism::Ntlm, day(2)), Some(day(1)));
        }
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        let memory = load(folder.path());
        memory.notice("a", Mechanism::Kerberos, day(1));
        assert!(memory.save().is_err());
        let nowhere = Memory::load(|_| None);
        nowhere.notice("a", Mechanism::Kerberos, day(1));
        nowhere.save().unwrap();
        let relative = Memory::load(|_| Some("cache".into()));
        assert_eq!(relative.path, None);
    }
}
