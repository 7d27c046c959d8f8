//! Registry values of several policy objects, one over the other, and what they say of passwords.

use std::collections::BTreeMap;

use hop_delegation::credssp::{ListName, Policy, Setting, Source};

use super::PolicyObject;
use crate::registry_pol::Entry;

const DELEGATION: &str = r"software\policies\microsoft\windows\credentialsdelegation";
const CLIENT: &str = r"software\policies\microsoft\windows\winrm\client";
const SERVICE: &str = r"software\policies\microsoft\windows\winrm\service";

/// Values by key and name, both in lower case, each with the number of the object that set it.
#[derive(Debug, Default)]
pub struct Registry {
    keys: BTreeMap<String, BTreeMap<String, (usize, Entry)>>,
}

impl Registry {
    /// Applies one object's values in their order ([MS-GPREG] 3.2.5.1).
    pub fn apply(&mut self, object: usize, entries: &[Entry]) {
        for entry in entries {
            let key = entry.key.to_lowercase();
            let name = entry.value.to_lowercase();
            let listed = || entry.as_text().unwrap_or_default().to_lowercase();
            if let Some(gone) = name.strip_prefix("**del.") {
                self.values(&key).remove(gone);
            } else if name == "**delvals." || name == "**delvals" {
                self.values(&key).clear();
            } else if name == "**deletevalues" {
                for gone in listed().split(';').map(str::trim) {
                    self.values(&key).remove(gone);
                }
            } else if name == "**deletekeys" {
                for gone in listed().split(';').map(str::trim).filter(|gone| !gone.is_empty()) {
                    let whole = format!(r"{key}\{gone}");
                    let below = format!(r"{whole}\");
                    self.keys.retain(|known, _| *known != whole && !known.starts_with(&below));
                }
            } else if let Some(soft) = name.strip_prefix("**soft.") {
                self.values(&key).entry(soft.to_owned()).or_insert_with(|| (object, entry.clone()));
            } else if !name.starts_with("**") {
                self.values(&key).insert(name, (object, entry.clone()));
            }
        }
    }

    fn values(&mut self, key: &str) -> &mut BTreeMap<String, (usize, Entry)> {
        self.keys.entry(key.to_owned()).or_default()
    }

    fn get(&self, key: &str, name: &str) -> Option<&(usize, Entry)> {
        self.keys.get(key)?.get(&name.to_lowercase())
    }

    fn switch(&self, key: &str, name: &str) -> Option<(usize, bool)> {
        let (object, entry) = self.get(key, name)?;
        Some((*object, entry.as_dword()? != 0))
    }

    /// The texts below a key, in the order of their names, which are numbers.
    fn texts(&self, key: &str) -> Vec<(usize, String)> {
        let Some(values) = self.keys.get(key) else { return Vec::new() };
        let mut found: Vec<(u32, &str, usize, String)> = values
            .iter()
            .filter_map(|(name, (object, entry))| {
                let text = entry.as_text().filter(|text| !text.trim().is_empty())?;
                Some((name.parse().unwrap_or(u32::MAX), name.as_str(), *object, text))
            })
            .collect();
        found.sort();
        found.into_iter().map(|(_, _, object, text)| (object, text)).collect()
    }
}

/// What the objects say. A list or switch that they do not speak of is not set.
pub fn policy(objects: &[PolicyObject]) -> Policy {
    let mut registry = Registry::default();
    for (number, object) in objects.iter().enumerate() {
        registry.apply(number, &object.entries);
    }
    let source =
        |number: usize| objects.get(number).map_or_else(|| Source::File(String::new()), PolicyObject::source);
    let switch = |key: &str, name: &str| {
        registry.switch(key, name).map(|(number, on)| Setting::new(on, source(number)))
    };
    let mut policy = Policy {
        client: switch(CLIENT, "AllowCredSSP"),
        service: switch(SERVICE, "AllowCredSSP"),
        ..Policy::default()
    };
    for name in [ListName::AllowFresh, ListName::AllowFreshNtlmOnly, ListName::DenyFresh] {
        let list = policy.list_mut(name);
        list.enabled = switch(DELEGATION, name.as_str());
        let key = format!(r"{DELEGATION}\{}", name.as_str().to_lowercase());
        list.entries = registry
            .texts(&key)
            .into_iter()
            .map(|(number, text)| Setting::new(text, source(number)))
            .collect();
    }
    policy.trusted_hosts.enabled = switch(CLIENT, "TrustedHosts");
    if let Some((number, entry)) = registry.get(CLIENT, "TrustedHostsList") {
        let text = entry.as_text().unwrap_or_default();
        let hosts = text.split(',').map(str::trim).filter(|host| !host.is_empty());
        policy.trusted_hosts.entries =
            hosts.map(|host| Setting::new(host.to_owned(), source(*number))).collect();
    }
    policy
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = r"Software\Policies\Microsoft\Windows\CredentialsDelegation";

    fn object(name: &str, entries: Vec<Entry>) -> PolicyObject {
        PolicyObject { name: name.to_owned(), id: format!("{{{name}}}"), entries }
    }

    fn allow(name: &str, hosts: &[&str]) -> PolicyObject {
        let list = format!(r"{KEY}\AllowFreshCredentials");
        let mut entries =
            vec![Entry::dword(KEY, "AllowFreshCredentials", 1), Entry::text(&list, "**delvals.", " ")];
        entries
            .extend(hosts.iter().enumerate().map(|(n, host)| Entry::text(&list, &(n + 1).to_string(), host)));
        object(name, entries)
    }

    fn hosts(policy: &Policy) -> Vec<(&str, String)> {
        let entries = policy.allow_fresh.effective().iter();
        entries.map(|entry| (entry.value.as_str(), entry.source.to_string())).collect()
    }

    #[test]
    fn the_last_object_wins_by_value_and_delvals_clears_what_came_before() {
        let first: Vec<String> = (1..=11).map(|n| format!("wsman/{n}")).collect();
        let first = allow("first", &first.iter().map(String::as_str).collect::<Vec<_>>());
        let got = policy(std::slice::from_ref(&first));
        assert_eq!(hosts(&got).len(), 11);
        assert_eq!(hosts(&got)[9].0, "wsman/10", "in the order of numbers, not of letters");
        let got = policy(&[first.clone(), allow("second", &["wsman/x"])]);
        assert_eq!(hosts(&got), [("wsman/x", "Group Policy \"second\" {second}".to_owned())]);
        // Without **delvals. the values mix.
        let mut mixing = allow("second", &["wsman/x"]);
        mixing.entries.retain(|entry| entry.value != "**delvals.");
        let got = policy(&[first, mixing]);
        assert_eq!((hosts(&got).len(), hosts(&got)[0].0), (11, "wsman/x"));
    }

    #[test]
    fn instructions() {
        let base = allow("base", &["wsman/a", "wsman/b", "wsman/c"]);
        let list = format!(r"{KEY}\AllowFreshCredentials");
        let after = |entry: Entry| {
            let got = policy(&[base.clone(), object("then", vec![entry])]);
            hosts(&got).iter().map(|(host, _)| (*host).to_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(after(Entry::text(&list.to_uppercase(), "**DEL.2", " ")), "wsman/a wsman/c");
        assert_eq!(after(Entry::text(&list, "**DeleteValues", "1;3")), "wsman/b");
        assert_eq!(after(Entry::text(KEY, "**DeleteKeys", "other;allowfreshcredentials")), "");
        assert_eq!(after(Entry::text(&list, "**soft.1", "wsman/x")), "wsman/a wsman/b wsman/c");
        assert_eq!(after(Entry::text(&list, "**soft.4", "wsman/x")), "wsman/a wsman/b wsman/c wsman/x");
        assert_eq!(after(Entry::text(&list, "**SecureKey", "1")), "wsman/a wsman/b wsman/c");
        // Switched off: the entries stay and do not count.
        assert_eq!(after(Entry::dword(KEY, "AllowFreshCredentials", 0)), "");
    }

    #[test]
    fn switches_and_trusted_hosts() {
        let winrm = r"Software\Policies\Microsoft\Windows\WinRM";
        let client = format!(r"{winrm}\Client");
        let got = policy(&[object(
            "o",
            vec![
                Entry::dword(&client, "AllowCredSSP", 1),
                Entry::dword(&format!(r"{winrm}\Service"), "AllowCredSSP", 0),
                Entry::dword(&client, "TrustedHosts", 1),
                Entry::text(&client, "TrustedHostsList", "a, *.b ,"),
            ],
        )]);
        assert!(got.client.is_some_and(|client| client.value));
        assert!(got.service.is_some_and(|service| !service.value));
        let trusted: Vec<_> =
            got.trusted_hosts.effective().iter().map(|entry| entry.value.as_str()).collect();
        assert_eq!(trusted, ["a", "*.b"]);
        assert_eq!(policy(&[]), Policy::default());
    }
}
