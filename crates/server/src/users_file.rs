//! The file of this host's own users, as administrators change it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use hop_auth::ntlm::NtHash;
use hop_secret::SecretString;
use zeroize::Zeroizing;

/// Users of this host who are in no domain, with the NT hashes of their passwords: a file in the form of smbpasswd(5),
/// which its owner alone can read.
///
/// Whoever reads an NT hash can log in with it: it is as good as the password.
#[derive(Debug)]
pub struct UsersFile {
    path: PathBuf,
    lines: Vec<Zeroizing<String>>,
}

/// Why a file of users cannot be changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UsersFileError {
    /// The file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A name that would mean something else in the file, or in a login.
    #[error(
        "{0:?} is not a user's name: expected no blank at an end and none of : \\ / @ # and control characters"
    )]
    Name(String),
    /// There is no such user.
    #[error("there is no user {0:?}")]
    NoUser(String),
}

impl UsersFile {
    /// Reads the file; one that does not exist has no users.
    ///
    /// # Errors
    /// [`UsersFileError::Io`].
    pub fn load(path: &Path) -> Result<Self, UsersFileError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Zeroizing::default(),
            Err(source) => return Err(UsersFileError::Io { path: path.to_owned(), source }),
        };
        let lines = text.lines().map(|line| Zeroizing::new(line.to_owned())).collect();
        Ok(Self { path: path.to_owned(), lines })
    }

    /// The names, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().filter_map(|line| name_of(line))
    }

    /// Adds a user, or changes the password of one.
    ///
    /// # Errors
    /// [`UsersFileError::Name`].
    pub fn set(&mut self, name: &str, password: &SecretString) -> Result<(), UsersFileError> {
        let bad = |c: char| c.is_control() || matches!(c, ':' | '\\' | '/' | '@' | '#');
        if name.is_empty() || name.trim() != name || name.contains(bad) {
            return Err(UsersFileError::Name(name.to_owned()));
        }
        let mut hash = Zeroizing::new(String::with_capacity(32));
        for byte in NtHash::of_password(password).expose() {
            hash.push_str(&format!("{byte:02X}"));
        }
        let changed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let nothing = "X".repeat(32);
        let line = Zeroizing::new(format!("{name}:0:{nothing}:{}:[U          ]:LCT-{changed:08X}:", *hash));
        let known = self.lines.iter_mut().find(|line| name_of(line).is_some_and(|known| same(known, name)));
        match known {
            Some(known) => *known = line,
            None => self.lines.push(line),
        }
        Ok(())
    }

    /// Removes a user.
    ///
    /// # Errors
    /// [`UsersFileError::NoUser`].
    pub fn remove(&mut self, name: &str) -> Result<(), UsersFileError> {
        let before = self.lines.len();
        self.lines.retain(|line| !name_of(line).is_some_and(|known| same(known, name)));
        if self.lines.len() == before { Err(UsersFileError::NoUser(name.to_owned())) } else { Ok(()) }
    }

    /// Writes the file, whole or not at all, for its owner alone.
    ///
    /// # Errors
    /// [`UsersFileError::Io`].
    pub fn save(&self) -> Result<(), UsersFileError> {
        self.write().map_err(|source| UsersFileError::Io { path: self.path.clone(), source })
    }

    fn write(&self) -> io::Result<()> {
        if let Some(parent) = self.path.parent() {
            fs::create_dir_all(parent)?;
        }
        let length = self.lines.iter().map(|line| line.len() + 1).sum();
        let mut text = Zeroizing::new(String::with_capacity(length));
        for line in &self.lines {
            text.push_str(line);
            text.push('\n');
        }
        hop_kerberos_io::replace_private_file_synced(&self.path, text.as_bytes())
    }
}

fn name_of(line: &str) -> Option<&str> {
    let line = line.trim_start();
    if line.starts_with('#') { None } else { line.split_once(':').map(|(name, _)| name) }
}

/// Users are told apart as Windows does: without regard to case.
fn same(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hop_auth::UserName;
    use hop_auth::ntlm::HashFile;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn users_come_and_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("etc/users");
        let mut users = UsersFile::load(&path).unwrap();
        users.set("carol", &"one".into()).unwrap();
        users.set("dave", &"Pässwörd".into()).unwrap();
        users.set("CAROL", &"two".into()).unwrap();
        users.save().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("two") && !text.contains("Pässwörd"));
        let read = HashFile::parse(&text).unwrap();
        let hash = |name: &str| read.hash_of(&UserName::parse(name)).cloned();
        assert_eq!(hash("carol"), Some(NtHash::of_password(&"two".into())));
        assert_eq!(hash("dave"), Some(NtHash::of_password(&"Pässwörd".into())));

        let mut users = UsersFile::load(&path).unwrap();
        assert_eq!(users.names().collect::<Vec<_>>(), ["CAROL", "dave"]);
        users.remove("Dave").unwrap();
        assert!(matches!(users.remove("dave"), Err(UsersFileError::NoUser(_))));
        users.save().unwrap();
        assert_eq!(UsersFile::load(&path).unwrap().names().count(), 1);
        for bad in ["", " a", "a:b", r"D\a", "a@b", "#a", "a\n", "a/b"] {
            assert!(matches!(users.set(bad, &"x".into()), Err(UsersFileError::Name(_))), "{bad:?}");
        }
    }
}
