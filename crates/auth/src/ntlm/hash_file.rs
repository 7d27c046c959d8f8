use super::{NtHash, NtlmError, Question, SessionBaseKey, Verifier, winbind::unhex};
use crate::UserName;

/// Users with the NT hashes of their passwords, in the form of smbpasswd(5):
/// `USER:UID:LM HASH:NT HASH:[FLAGS]:LCT-TIME:`, where USER may be `DOMAIN\user`. The LM hash is not looked at.
#[derive(Debug, Default)]
pub struct HashFile {
    users: Vec<(UserName, NtHash)>,
}

impl HashFile {
    /// Reads the file's text. Disabled users (`D`), users without a password (`N`) and machine accounts (`W`, `S`)
    /// are left out.
    ///
    /// # Errors
    /// The number of the first line that is no entry.
    pub fn parse(text: &str) -> Result<Self, usize> {
        let mut file = Self::default();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, _, hash, rest @ ..] = fields.as_slice() else { return Err(number + 1) };
            let flags = rest.first().copied().unwrap_or_default();
            if flags.contains(['D', 'N', 'W', 'S'])
                || hash.starts_with("NO PASSWORD")
                || hash.starts_with('X')
            {
                continue;
            }
            let hash = NtHash::from_bytes(unhex(hash).ok_or(number + 1)?);
            file.insert(UserName::parse(name), hash);
        }
        Ok(file)
    }

    /// Adds a user.
    pub fn insert(&mut self, name: UserName, hash: NtHash) {
        self.users.push((name, hash));
    }

    /// The name as the file has it, for a user whom it has.
    pub fn name_of(&self, name: &UserName) -> Option<&UserName> {
        self.find(name).map(|(known, _)| known)
    }

    /// The hash of a user's password.
    pub fn hash_of(&self, name: &UserName) -> Option<&NtHash> {
        self.find(name).map(|(_, hash)| hash)
    }

    /// A user without a domain answers for every domain.
    fn find(&self, name: &UserName) -> Option<&(UserName, NtHash)> {
        let same = |a: &str, b: &str| a.to_lowercase() == b.to_lowercase();
        let fits = |known: &UserName| {
            same(&known.user, &name.user) && (known.domain.is_empty() || same(&known.domain, &name.domain))
        };
        self.users.iter().find(|(known, _)| fits(known))
    }
}

impl Verifier for HashFile {
    fn verify(&mut self, question: &Question) -> Result<SessionBaseKey, NtlmError> {
        // An unknown user costs the same work as a known one.
        let nobody = NtHash::from_bytes([0; 16]);
        let known = self.hash_of(&question.name);
        let verified = question.verify(known.unwrap_or(&nobody));
        if known.is_some() { verified } else { Err(NtlmError::WrongCredentials) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smbpasswd_lines() {
        let file = HashFile::parse(
            "# users\n\
             alice:1000:XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX:A4F49C406510BDCAB6824EE7C30FD852:[U          ]:LCT-5EBC0A11:\n\
             CORP\\bob:1001:XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX:a4f49c406510bdcab6824ee7c30fd852:[U]:LCT-0:\n\
             gone:1002:XXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX:A4F49C406510BDCAB6824EE7C30FD852:[DU         ]:LCT-0:\n",
        )
        .unwrap();
        let password = NtHash::of_password(&"Password".into());
        let find = |name| file.hash_of(&UserName::parse(name)).cloned();
        assert_eq!(find("ALICE"), Some(password.clone()));
        assert_eq!(find(r"ANY\alice"), Some(password.clone()));
        assert_eq!(find(r"corp\Bob"), Some(password));
        assert_eq!(find("bob"), None);
        assert_eq!(find("gone"), None);
        assert_eq!(HashFile::parse("\nalice:Password\n").unwrap_err(), 2);
        assert_eq!(HashFile::parse("alice:1:X:12:[U]:\n").unwrap_err(), 1);
    }
}
