//! Local accounts, as the name service knows them.

use std::ffi::CString;
use std::io;
use std::path::PathBuf;

use nix::unistd::{Gid, Uid, User, getgrouplist};

use crate::mapping::{Accounts, uid_min_of};

/// A local user a session can run as.
#[derive(Debug, Clone)]
pub(crate) struct LocalUser {
    pub name: String,
    pub uid: Uid,
    pub gid: Gid,
    pub home: PathBuf,
    pub shell: PathBuf,
}

impl LocalUser {
    /// The account of that name.
    pub fn named(name: &str) -> io::Result<Option<Self>> {
        Ok(User::from_name(name)?.map(Self::from))
    }

    /// The account this process runs as.
    #[cfg(test)]
    pub fn current() -> io::Result<Self> {
        let uid = Uid::effective();
        User::from_uid(uid)?
            .map(Self::from)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("uid {uid} has no account")))
    }

    /// All groups the user is a member of.
    pub fn groups(&self) -> io::Result<Vec<Gid>> {
        let name = CString::new(self.name.as_str())?;
        Ok(getgrouplist(&name, self.gid)?)
    }
}

impl From<User> for LocalUser {
    fn from(user: User) -> Self {
        Self { name: user.name, uid: user.uid, gid: user.gid, home: user.dir, shell: user.shell }
    }
}

/// The system's accounts.
#[derive(Debug)]
pub(crate) struct SystemAccounts;

impl Accounts for SystemAccounts {
    fn uid_of(&self, name: &str) -> Result<Option<u32>, io::Error> {
        Ok(LocalUser::named(name)?.map(|user| user.uid.as_raw()))
    }
}

/// The lowest uid of a person: the administrator's setting, else the system's.
pub(crate) fn uid_min(configured: Option<u32>) -> u32 {
    configured.or_else(|| uid_min_of(&std::fs::read_to_string("/etc/login.defs").ok()?)).unwrap_or(1000)
}
