//! This machine's settings of CredSSP and TrustedHosts, as commands and cmdlets change them.

use std::time::SystemTime;

use hop_delegation::credssp::{List, ListName};
use hop_policy::group_policy::domain::Programs;
use hop_policy::local::Edit;
use hop_policy::{Locations, Policy, Refresh};
use hop_powershell_cmdlets::credssp::{NOT_DISABLED, NOT_ENABLED};
use hop_powershell_runtime::host::CredSspSettings;

/// The settings of this user, or as root of this machine.
#[derive(Debug)]
pub struct Settings {
    locations: Locations,
}

impl Default for Settings {
    fn default() -> Self {
        Self { locations: Locations::of_process() }
    }
}

impl Settings {
    /// Where they are kept.
    pub fn locations(&self) -> &Locations {
        &self.locations
    }

    /// What is in force; the domain is not asked.
    ///
    /// # Errors
    /// Files that cannot be understood.
    pub fn policy(&self) -> Result<Policy, hop_policy::Error> {
        Policy::load_from(&self.locations, &Refresh::Never, &Programs::default(), SystemTime::now())
    }

    /// Changes the file of this user or machine.
    ///
    /// # Errors
    /// It cannot be read, understood or written.
    pub fn edit<T>(
        &self,
        change: impl FnOnce(&mut Edit) -> Result<T, hop_policy::Error>,
    ) -> Result<T, hop_policy::Error> {
        let mut edit = Edit::open(self.locations.own()?)?;
        let done = change(&mut edit)?;
        edit.save()?;
        Ok(done)
    }

    /// Lets hosts have passwords.
    ///
    /// # Errors
    /// Settings that cannot be written, or that Group Policy overrides.
    pub fn allow(&self, hosts: &[String], ntlm_only: bool) -> Result<(), String> {
        self.edit(|edit| edit.enable_client(hosts, ntlm_only)).map_err(|e| e.to_string())?;
        let policy = self.policy().map_err(|e| e.to_string())?;
        let listed = |list: &List| {
            hosts.iter().all(|host| {
                let wanted = format!("wsman/{host}");
                list.effective().iter().any(|entry| entry.value.eq_ignore_ascii_case(&wanted))
            })
        };
        let on = policy.effective.client.as_ref().is_some_and(|client| client.value);
        let all = listed(&policy.effective.allow_fresh)
            && (!ntlm_only || listed(&policy.effective.allow_fresh_ntlm_only));
        if on && all { Ok(()) } else { Err(overridden(NOT_ENABLED, &policy)) }
    }

    /// Lets no host have passwords.
    ///
    /// # Errors
    /// Settings that cannot be written, or that others override.
    pub fn forbid(&self) -> Result<(), String> {
        let changed = self.edit(|edit| {
            edit.disable_client();
            Ok(())
        });
        changed.map_err(|e| e.to_string())?;
        let policy = self.policy().map_err(|e| e.to_string())?;
        let left = targets(&policy);
        let on = policy.effective.client.as_ref().is_some_and(|client| client.value);
        if on && !left.is_empty() { Err(overridden(NOT_DISABLED, &policy)) } else { Ok(()) }
    }

    /// Lets the service take passwords, or not.
    ///
    /// # Errors
    /// Settings that cannot be written, or that others override.
    pub fn service(&self, on: bool) -> Result<(), String> {
        let changed = self.edit(|edit| {
            edit.set_service(on);
            Ok(())
        });
        changed.map_err(|e| e.to_string())?;
        let policy = self.policy().map_err(|e| e.to_string())?;
        if policy.service_allows_credssp() == Some(on) {
            return Ok(());
        }
        Err(overridden(if on { NOT_ENABLED } else { NOT_DISABLED }, &policy))
    }
}

/// The entries for `wsman` that let hosts have passwords.
pub fn targets(policy: &Policy) -> Vec<String> {
    let for_wsman = |entry: &&str| entry.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("wsman"));
    let entries = policy.effective.list(ListName::AllowFresh).entries.iter();
    entries.map(|entry| entry.value.as_str()).filter(for_wsman).map(str::to_owned).collect()
}

/// Which other place speaks of the same.
fn overridden(text: &str, policy: &Policy) -> String {
    let effective = &policy.effective;
    let sources = [
        effective.client.as_ref().map(|it| &it.source),
        effective.allow_fresh.enabled.as_ref().map(|it| &it.source),
        effective.allow_fresh_ntlm_only.enabled.as_ref().map(|it| &it.source),
        effective.service.as_ref().map(|it| &it.source),
    ];
    let mut places: Vec<String> = sources.into_iter().flatten().map(ToString::to_string).collect();
    places.sort();
    places.dedup();
    format!("{text} These places speak of it, `hop credssp status` shows how: {}", places.join("; "))
}

impl CredSspSettings for Settings {
    fn enable_client(&mut self, computers: &[String]) -> Result<(), String> {
        self.allow(computers, false).map_err(plain)
    }

    fn disable_client(&mut self) -> Result<(), String> {
        self.forbid().map_err(plain)
    }

    fn set_server(&mut self, on: bool) -> Result<(), String> {
        self.service(on).map_err(plain)
    }

    fn state(&mut self) -> Result<(Vec<String>, bool), String> {
        let policy = self.policy().map_err(|e| e.to_string())?;
        Ok((targets(&policy), policy.service_allows_credssp() == Some(true)))
    }
}

/// The cmdlets say what Windows' say, and no more.
fn plain(text: String) -> String {
    let known = [NOT_ENABLED, NOT_DISABLED].into_iter().find(|known| text.starts_with(known));
    known.map_or(text.clone(), str::to_owned)
}
