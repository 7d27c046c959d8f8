//! The host's own users: a file of NT hashes that only the server can read.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use hop_auth::UserName;
use hop_auth::ntlm::{HashFile, NtHash, NtlmError, Question, SessionBaseKey};
use hop_secret::SecretString;

/// The file, read again when it changes.
pub(crate) struct LocalUsers {
    path: PathBuf,
    /// When anything of the file changed last, its rights included.
    changed: Option<(i64, i64)>,
    users: HashFile,
}

impl LocalUsers {
    pub fn new(path: PathBuf) -> Self {
        Self { path, changed: None, users: HashFile::default() }
    }

    /// The user's name as the file has it.
    pub fn find(&mut self, user: &str) -> Option<String> {
        self.reload_if_changed();
        let name = UserName { domain: String::new(), user: user.to_owned() };
        self.users.name_of(&name).map(|known| known.user.clone())
    }

    /// Checks an NTLM proof, of whatever domain it speaks.
    pub fn prove(&self, user: &str, question: &Question) -> Result<SessionBaseKey, NtlmError> {
        let name = UserName { domain: String::new(), user: user.to_owned() };
        question.verify(self.users.hash_of(&name).ok_or(NtlmError::WrongCredentials)?)
    }

    /// Whether this is the user's password.
    pub fn has_password(&self, user: &str, password: &SecretString) -> bool {
        let name = UserName { domain: String::new(), user: user.to_owned() };
        self.users.hash_of(&name).is_some_and(|hash| *hash == NtHash::of_password(password))
    }

    fn reload_if_changed(&mut self) {
        let changed = std::fs::metadata(&self.path).ok().map(|m| (m.ctime(), m.ctime_nsec()));
        if changed == self.changed {
            return;
        }
        self.changed = changed;
        self.users = match changed.map(|_| read(&self.path)) {
            None => HashFile::default(),
            Some(Ok(users)) => users,
            Some(Err(problem)) => {
                tracing::error!(path = %self.path.display(), problem, "the file of users is not used");
                HashFile::default()
            }
        };
    }
}

fn read(path: &Path) -> Result<HashFile, String> {
    let metadata = std::fs::metadata(path).map_err(|e| e.to_string())?;
    let me = nix::unistd::Uid::effective().as_raw();
    if metadata.permissions().mode() & 0o077 != 0 || metadata.uid() != me {
        return Err(format!(
            "expected mode 0600 and owner {me}: whoever reads an NT hash can log in with it"
        ));
    }
    let text = std::fs::read_to_string(path).map(zeroize::Zeroizing::new).map_err(|e| e.to_string())?;
    HashFile::parse(&text).map_err(|line| format!("line {line} is no entry of the form of smbpasswd(5)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_others_can_read_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        let mut users = LocalUsers::new(path.clone());
        assert_eq!(users.find("alice"), None);
        let line = "Alice:1:X:A4F49C406510BDCAB6824EE7C30FD852:[U]:LCT-0:\n";
        let write = |mode| {
            std::fs::write(&path, line).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        write(0o644);
        assert_eq!(users.find("alice"), None);
        // The right mode is enough: the file need not be written again.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(users.find("alice").as_deref(), Some("Alice"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(users.find("alice"), None);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(users.find("alice"), None);
        write(0o600);
        assert_eq!(users.find("alice").as_deref(), Some("Alice"));
        assert!(users.has_password("alice", &"Password".into()));
        assert!(!users.has_password("alice", &"password".into()));
        assert!(!users.has_password("bob", &"Password".into()));
    }
}
