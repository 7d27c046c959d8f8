use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::Error;

/// Where the policy is kept.
///
/// `/etc/hop/policy.toml` for the machine and `~/.config/hop/policy.toml` for the user are united; `$HOP_POLICY` names
/// one file that takes the place of both. What was read of Group Policy lies in `/var/lib/hop/group-policy` (root's) or
/// `~/.cache/hop/group-policy`; with `$HOP_POLICY` in `group-policy` beside that file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locations {
    /// The machine's file, or the one that takes the place of both.
    pub machine: PathBuf,
    /// The user's file.
    pub user: Option<PathBuf>,
    /// Folders with what was read of Group Policy; the first is the one that is written.
    pub caches: Vec<PathBuf>,
    root: bool,
}

impl Locations {
    /// By the environment of this process and its user.
    pub fn of_process() -> Self {
        Self::new(|name| std::env::var_os(name), nix::unistd::geteuid().is_root())
    }

    /// By an environment of the caller's.
    pub fn new(get: impl Fn(&str) -> Option<OsString>, root: bool) -> Self {
        let get = |name: &str| get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(alone) = get("HOP_POLICY") {
            let cache = alone.parent().unwrap_or(Path::new("")).join("group-policy");
            return Self { machine: alone, user: None, caches: vec![cache], root: true };
        }
        let below_home = |variable: &str, folder: &str| {
            get(variable).or_else(|| get("HOME").map(|home| home.join(folder))).map(|base| base.join("hop"))
        };
        let machines_cache = PathBuf::from("/var/lib/hop/group-policy");
        let own_cache = below_home("XDG_CACHE_HOME", ".cache").map(|base| base.join("group-policy"));
        let caches = match own_cache {
            Some(own) if !root => vec![own, machines_cache],
            _ => vec![machines_cache],
        };
        let user = below_home("XDG_CONFIG_HOME", ".config").map(|base| base.join("policy.toml"));
        Self { machine: PathBuf::from("/etc/hop/policy.toml"), user, caches, root }
    }

    /// The file that this user's commands write.
    ///
    /// # Errors
    /// A user without a home.
    pub fn own(&self) -> Result<&Path, Error> {
        if self.root { Ok(&self.machine) } else { self.user.as_deref().ok_or(Error::NoPlace) }
    }

    /// The files that are read, the machine's first.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.machine.as_path()).chain(self.user.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locations(variables: &[(&str, &str)], root: bool) -> Locations {
        Locations::new(
            |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value)),
            root,
        )
    }

    #[test]
    fn whose_file_is_written() {
        let own =
            |variables: &[(&str, &str)], root| locations(variables, root).own().ok().map(Path::to_owned);
        assert_eq!(
            own(&[("HOME", "/home/alice")], false),
            Some("/home/alice/.config/hop/policy.toml".into())
        );
        assert_eq!(
            own(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")], false),
            Some("/x/hop/policy.toml".into())
        );
        assert_eq!(own(&[("HOME", "/root")], true), Some("/etc/hop/policy.toml".into()));
        assert_eq!(own(&[], false), None);
        assert_eq!(own(&[("HOP_POLICY", "/t/p.toml")], false), Some("/t/p.toml".into()));
    }

    #[test]
    fn one_file_alone() {
        let alone = locations(&[("HOP_POLICY", "/t/p.toml"), ("HOME", "/home/alice")], false);
        assert_eq!(alone.files().collect::<Vec<_>>(), [Path::new("/t/p.toml")]);
        assert_eq!(alone.caches, [PathBuf::from("/t/group-policy")]);
        let two = locations(&[("HOP_POLICY", ""), ("HOME", "/home/alice")], false);
        assert_eq!(two.files().count(), 2);
        let folders = ["/home/alice/.cache/hop/group-policy", "/var/lib/hop/group-policy"].map(PathBuf::from);
        assert_eq!(two.caches, folders);
        assert_eq!(locations(&[("HOME", "/root")], true).caches, folders[1..]);
    }
}
