//! Settings in files of this machine.
//!
//! ```toml
//! [credssp]
//! client = true                                  # this machine may send passwords at all
//! service = true                                 # `hop serve` here takes them
//! allow_fresh = ["wsman/*.hop.test"]             # to whom; AllowFreshCredentials
//! allow_fresh_ntlm_only = ["wsman/old.hop.test"] # also where NTLM is all the proof there is
//! deny_fresh = ["wsman/dmz.hop.test"]            # to whom not
//!
//! [trust]
//! hosts = ["192.0.2.7", "*.lab.test", "<local>"] # TrustedHosts
//!
//! [group_policy]
//! domain = "hop.test"                            # whose Group Policy comes before all of this
//! machine = "CLIENT$"                            # this machine's account there, if it has one
//! controller = "dc.hop.test"                     # whom to ask, in place of the one that DNS names
//! directory = "/var/lib/samba/gpo_cache/HOP.TEST/POLICIES"  # instead: kept there by samba-gpupdate
//! ```

use std::path::{Path, PathBuf};

use hop_delegation::credssp::{List, ListName, Pattern, Policy, Setting, Source};
use serde::Deserialize;
use toml_edit::{Array, DocumentMut, Item, Table, value};

use crate::{Error, files};

/// The service part of every entry that the commands write.
const SERVICE: &str = "wsman/";

/// The settings of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// CredSSP.
    #[serde(default)]
    pub credssp: CredSsp,
    /// NTLM.
    #[serde(default)]
    pub trust: Trust,
    /// Where Group Policy comes from.
    #[serde(default)]
    pub group_policy: GroupPolicy,
}

/// `[credssp]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "they stand in the module's example")]
pub struct CredSsp {
    pub client: Option<bool>,
    pub service: Option<bool>,
    #[serde(default)]
    pub allow_fresh: Vec<String>,
    #[serde(default)]
    pub allow_fresh_ntlm_only: Vec<String>,
    #[serde(default)]
    pub deny_fresh: Vec<String>,
}

/// `[trust]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trust {
    /// TrustedHosts.
    #[serde(default)]
    pub hosts: Vec<String>,
}

/// `[group_policy]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupPolicy {
    /// The domain's DNS name.
    pub domain: Option<String>,
    /// The machine's account in it, `NAME$`.
    pub machine: Option<String>,
    /// The domain controller to ask, in place of the one that DNS names.
    pub controller: Option<String>,
    /// A folder of policies, in place of the domain.
    pub directory: Option<PathBuf>,
}

impl Settings {
    /// The settings of a file; none if there is no such file.
    ///
    /// # Errors
    /// A file that cannot be read or understood, or that forbids by an entry with more than one `*`.
    pub fn read(path: &Path) -> Result<Self, Error> {
        match files::read_text(path)? {
            Some(text) => Self::parse(&text).map_err(|reason| Error::content(path, reason)),
            None => Ok(Self::default()),
        }
    }

    /// Reads a text.
    ///
    /// # Errors
    /// What is wrong, with its place.
    pub fn parse(text: &str) -> Result<Self, String> {
        let settings: Self = toml::from_str(text).map_err(|e| e.to_string().trim_end().to_owned())?;
        let CredSsp { allow_fresh, allow_fresh_ntlm_only, deny_fresh, .. } = &settings.credssp;
        for entry in allow_fresh.iter().chain(allow_fresh_ntlm_only).chain(deny_fresh) {
            if Pattern::parse(entry).is_none() {
                return Err(format!("{entry:?} is no pattern: expected text with at most one *"));
            }
            // It would match nothing, and forbid nothing where it is to.
            if !entry.contains('/') && !entry.starts_with('*') {
                return Err(format!("{entry:?} names no service: expected \"wsman/{entry}\""));
            }
        }
        let GroupPolicy { domain, controller, .. } = &settings.group_policy;
        for (key, name) in [("domain", domain), ("controller", controller)] {
            if let Some(name) = name.as_ref().filter(|name| !is_domain(name)) {
                return Err(format!(
                    "group_policy.{key}: expected a DNS name such as hop.test, got {name:?}"
                ));
            }
        }
        Ok(settings)
    }

    fn entries(&self, list: ListName) -> &[String] {
        match list {
            ListName::AllowFresh => &self.credssp.allow_fresh,
            ListName::AllowFreshNtlmOnly => &self.credssp.allow_fresh_ntlm_only,
            ListName::DenyFresh => &self.credssp.deny_fresh,
            ListName::TrustedHosts => &self.trust.hosts,
            _ => &[],
        }
    }
}

/// Whether a text can be a domain's DNS name. It goes into file names and LDAP names.
pub fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    text.len() <= 255 && text.split('.').all(label)
}

/// What several files say together: lists are united, and a switch is on if some file turns it on and none off.
pub(crate) fn unite(files: &[(PathBuf, Settings)]) -> Policy {
    let mut policy = Policy::default();
    for (path, settings) in files {
        let source = || Source::File(path.display().to_string());
        for name in ListName::ALL {
            let entries = settings.entries(name);
            if entries.is_empty() {
                continue;
            }
            let List { enabled, entries: known } = policy.list_mut(name);
            enabled.get_or_insert_with(|| Setting::new(true, source()));
            known.extend(entries.iter().map(|entry| Setting::new(entry.clone(), source())));
        }
        for (into, value) in
            [(&mut policy.client, settings.credssp.client), (&mut policy.service, settings.credssp.service)]
        {
            if let Some(value) = value
                && into.as_ref().is_none_or(|known| known.value)
            {
                *into = Some(Setting::new(value, source()));
            }
        }
    }
    policy
}

/// A file that is being changed; what else stands in it, comments too, stays.
#[derive(Debug)]
pub struct Edit {
    path: PathBuf,
    document: DocumentMut,
}

impl Edit {
    /// Opens a file, which need not be there yet.
    ///
    /// # Errors
    /// A file that cannot be read or understood.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let text = files::read_text(path)?.unwrap_or_default();
        Settings::parse(&text).map_err(|reason| Error::content(path, reason))?;
        let document = text.parse().map_err(|e| Error::content(path, e))?;
        Ok(Self { path: path.to_owned(), document })
    }

    /// Writes it, in one step; others can read it, nobody else can write it.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(self) -> Result<(), Error> {
        files::replace(&self.path, self.document.to_string().as_bytes())
    }

    /// What `Enable-WSManCredSSP -Role Client` does: turns the client on and appends `wsman/HOST` for each host.
    /// A host that stands there already is not added twice.
    ///
    /// # Errors
    /// A host that is no pattern: nothing is changed.
    pub fn enable_client(&mut self, hosts: &[String], ntlm_only: bool) -> Result<(), Error> {
        let mut patterns = Vec::new();
        for host in hosts {
            let bad = host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control());
            let spn = format!("{SERVICE}{host}");
            if bad || host.contains('/') || Pattern::parse(&spn).is_none() {
                return Err(Error::Pattern(host.clone()));
            }
            patterns.push(spn);
        }
        self.set("credssp", "client", value(true));
        self.append("credssp", "allow_fresh", &patterns);
        if ntlm_only {
            self.append("credssp", "allow_fresh_ntlm_only", &patterns);
        }
        Ok(())
    }

    /// What `Disable-WSManCredSSP -Role Client` does: turns the client off and removes the entries for `wsman` from the
    /// list; from the list for NTLM as well, which Windows leaves to Group Policy.
    pub fn disable_client(&mut self) {
        self.set("credssp", "client", value(false));
        for list in ["allow_fresh", "allow_fresh_ntlm_only"] {
            self.remove("credssp", list, |entry| {
                entry.get(..5).is_some_and(|service| service.eq_ignore_ascii_case("wsman"))
            });
        }
    }

    /// Turns the service's CredSSP on or off.
    pub fn set_service(&mut self, on: bool) {
        self.set("credssp", "service", value(on));
    }

    /// Adds to TrustedHosts; gives what was new.
    ///
    /// # Errors
    /// A text that can be no host: nothing is changed.
    pub fn trust(&mut self, hosts: &[String]) -> Result<Vec<String>, Error> {
        let bad =
            |host: &&String| host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control());
        if let Some(host) = hosts.iter().find(bad) {
            return Err(Error::Pattern(host.clone()));
        }
        Ok(self.append("trust", "hosts", hosts))
    }

    /// Takes out of TrustedHosts; gives what was there.
    pub fn distrust(&mut self, hosts: &[String]) -> Vec<String> {
        self.remove("trust", "hosts", |entry| hosts.iter().any(|host| host.eq_ignore_ascii_case(entry)))
    }

    /// Remembers whose Group Policy holds, and as which machine and from whom it is read, where that is said.
    pub fn set_domain(&mut self, domain: &str, machine: Option<&str>, controller: Option<&str>) {
        self.set("group_policy", "domain", value(domain));
        for (key, said) in [("machine", machine), ("controller", controller)] {
            if let Some(said) = said {
                self.set("group_policy", key, value(said));
            }
        }
    }

    fn table(&mut self, section: &str) -> Option<&mut Table> {
        self.document.entry(section).or_insert_with(|| Item::Table(Table::new())).as_table_mut()
    }

    fn set(&mut self, section: &str, key: &str, item: Item) {
        if let Some(table) = self.table(section) {
            table.insert(key, item);
        }
    }

    fn append(&mut self, section: &str, key: &str, entries: &[String]) -> Vec<String> {
        let Some(table) = self.table(section) else { return Vec::new() };
        let list = table.entry(key).or_insert_with(|| value(Array::new()));
        let Some(list) = list.as_array_mut() else { return Vec::new() };
        let mut new = Vec::new();
        for entry in entries {
            if !list.iter().any(|known| known.as_str().is_some_and(|known| known.eq_ignore_ascii_case(entry)))
            {
                list.push(entry);
                new.push(entry.clone());
            }
        }
        new
    }

    fn remove(&mut self, section: &str, key: &str, goes: impl Fn(&str) -> bool) -> Vec<String> {
        let list = self.document.get_mut(section).and_then(|section| section.get_mut(key));
        let Some(list) = list.and_then(Item::as_array_mut) else { return Vec::new() };
        let mut gone = Vec::new();
        list.retain(|entry| match entry.as_str().filter(|entry| goes(entry)) {
            Some(entry) => {
                gone.push(entry.to_owned());
                false
            }
            None => true,
        });
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn the_commands_change_what_they_name_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hop/policy.toml");
        let mut edit = Edit::open(&path).unwrap();
        edit.enable_client(&strings(&["servera", "*.hop.test", "SERVERA"]), true).unwrap();
        edit.save().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("# mine\n{text}\n[trust]\nhosts = [\"a\"] # note\n")).unwrap();
        let read = Settings::read(&path).unwrap();
        assert_eq!(read.credssp.allow_fresh, ["wsman/servera", "wsman/*.hop.test"]);
        assert_eq!(read.credssp.allow_fresh_ntlm_only, read.credssp.allow_fresh);
        assert_eq!((read.credssp.client, read.credssp.service), (Some(true), None));
        let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&path).unwrap());
        assert_eq!(mode & 0o777, 0o644);

        let mut edit = Edit::open(&path).unwrap();
        assert_eq!(edit.trust(&strings(&["A", "b"])).unwrap(), ["b"]);
        assert_eq!(edit.distrust(&strings(&["a", "c"])), ["a"]);
        edit.set_service(true);
        edit.set_domain("hop.test", Some("CLIENT$"), None);
        edit.save().unwrap();
        let read = Settings::read(&path).unwrap();
        assert_eq!((read.trust.hosts, read.credssp.service), (strings(&["b"]), Some(true)));
        assert_eq!(read.group_policy.machine.as_deref(), Some("CLIENT$"));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# mine\n") && text.contains("# note"), "{text}");

        std::fs::write(&path, text.replace("wsman/servera", "TERMSRV/servera")).unwrap();
        let mut edit = Edit::open(&path).unwrap();
        edit.disable_client();
        edit.save().unwrap();
        let read = Settings::read(&path).unwrap();
        assert_eq!(read.credssp.client, Some(false));
        assert_eq!(read.credssp.allow_fresh, ["TERMSRV/servera"]);
    }

    #[test]
    fn what_is_no_pattern_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.toml");
        for bad in ["", "a b", "*.*", "wsman/a", "a\n"] {
            let mut edit = Edit::open(&path).unwrap();
            let error = edit.enable_client(&strings(&["good", bad]), false).unwrap_err();
            assert!(matches!(error, Error::Pattern(_)), "{bad:?}");
            assert_eq!(edit.document.to_string(), "");
        }
        assert!(Edit::open(&path).unwrap().trust(&strings(&["a b"])).is_err());
    }

    #[test]
    fn files_that_cannot_be_understood() {
        for (bad, says) in [
            ("[credssp]\nclint = true", "clint"),
            ("[credssp]\ndeny_fresh = [\"wsman/*.*\"]", "*.*"),
            ("[credssp]\ndeny_fresh = [\"servera\"]", "expected \"wsman/servera\""),
            ("[credssp]\nallow_fresh = \"x\"", "sequence"),
            ("[group_policy]\ndomain = \"../x\"", "../x"),
            ("[group_policy]\ncontroller = \"a b\"", "a b"),
            ("x", "line 1"),
        ] {
            let error = Settings::parse(bad).unwrap_err();
            assert!(error.contains(says), "{bad}: {error}");
        }
    }

    #[test]
    fn two_files_are_united_and_off_beats_on() {
        let machine = Settings::parse(
            "[credssp]\nclient = true\nallow_fresh = [\"wsman/a\"]\ndeny_fresh = [\"wsman/d\"]",
        );
        let user = Settings::parse("[credssp]\nclient = false\nservice = true\nallow_fresh = [\"wsman/b\"]");
        let files = [("/m".into(), machine.unwrap()), ("/u".into(), user.unwrap())];
        for order in [[0, 1], [1, 0]] {
            let policy = unite(&order.map(|at: usize| files[at].clone()));
            assert_eq!(
                policy.client.as_ref().map(|c| (c.value, c.source.to_string())),
                Some((false, "/u".into()))
            );
            assert!(policy.service.as_ref().is_some_and(|service| service.value));
            assert_eq!(policy.allow_fresh.effective().len(), 2);
            assert!(policy.deny_fresh.is_on() && !policy.trusted_hosts.is_on());
        }
    }
}
