//! The policy that guards a password: which servers may have it by CredSSP, and to which NTLM may speak at all.
//!
//! CredSSP hands the password itself to the server. So on Windows a policy of the *client's* machine says who may
//! have it: lists of patterns such as `WSMAN/*.example.com`, written by `Enable-WSManCredSSP` or by Group Policy. The
//! lists, what they match and the words of the refusals are WinRM's.
//!
//! [`Policy`] is what is in force, every entry with its [`Source`]. [`Policy::may_delegate`] is asked twice: before the
//! first byte with [`Proof::Unknown`], and once the server has proved itself, before the password goes.
//! [`Policy::may_use_ntlm`] is the question that WinRM's TrustedHosts answers.

mod pattern;
mod refusal;

use std::fmt;

pub use pattern::Pattern;
pub use refusal::{Refusal, RefusalKind};

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Source {
    /// A file of this machine.
    File(String),
    /// A Group Policy object of the domain.
    GroupPolicy {
        /// Its display name.
        name: String,
        /// Its GUID, with braces.
        id: String,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path) => f.write_str(path),
            Source::GroupPolicy { name, id } => write!(f, "Group Policy {name:?} {id}"),
        }
    }
}

/// A value and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Where it comes from.
    pub source: Source,
}

impl<T> Setting<T> {
    /// A value with its source.
    pub fn new(value: T, source: Source) -> Self {
        Self { value, source }
    }
}

/// One of the policy's lists.
///
/// On Windows each is an on/off value (DWORD) and a key of the same name with the entries; a list that is off has no
/// effect, whatever it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// Whether it is on; nobody has said: it is off.
    pub enabled: Option<Setting<bool>>,
    /// Patterns of service principal names, or for TrustedHosts of hosts, in their order.
    pub entries: Vec<Setting<String>>,
}

impl List {
    /// Whether it has any effect.
    pub fn is_on(&self) -> bool {
        self.enabled.as_ref().is_some_and(|enabled| enabled.value)
    }

    /// The entries that count.
    pub fn effective(&self) -> &[Setting<String>] {
        if self.is_on() { &self.entries } else { &[] }
    }

    /// The entry that allows a service principal name. An entry that is no [`Pattern`] allows nothing.
    fn allows(&self, spn: &str) -> bool {
        self.effective().iter().any(|entry| Pattern::parse(&entry.value).is_some_and(|p| p.matches(spn)))
    }

    /// Whether an entry forbids a service principal name. Here even an entry with several `*` counts: a mistake in it
    /// must not open what it was to close.
    fn denies(&self, spn: &str) -> bool {
        self.effective().iter().any(|entry| pattern::glob(&entry.value, spn))
    }
}

/// The names of the lists, as Windows has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ListName {
    /// `AllowFreshCredentials`: who may have a typed password, having proved the name by Kerberos or a certificate.
    AllowFresh,
    /// `AllowFreshCredentialsWhenNTLMOnly`: who may have it though NTLM was all the proof there was.
    AllowFreshNtlmOnly,
    /// `DenyFreshCredentials`: who may not have it. Comes before the others.
    DenyFresh,
    /// `TrustedHosts`: hosts that NTLM may speak to though nothing proves who they are.
    TrustedHosts,
}

impl ListName {
    /// All of them.
    pub const ALL: [ListName; 4] =
        [ListName::AllowFresh, ListName::AllowFreshNtlmOnly, ListName::DenyFresh, ListName::TrustedHosts];

    /// Windows' name.
    pub fn as_str(self) -> &'static str {
        match self {
            ListName::AllowFresh => "AllowFreshCredentials",
            ListName::AllowFreshNtlmOnly => "AllowFreshCredentialsWhenNTLMOnly",
            ListName::DenyFresh => "DenyFreshCredentials",
            ListName::TrustedHosts => "TrustedHosts",
        }
    }
}

/// What is in force on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// `AllowFreshCredentials`.
    pub allow_fresh: List,
    /// `AllowFreshCredentialsWhenNTLMOnly`.
    pub allow_fresh_ntlm_only: List,
    /// `DenyFreshCredentials`.
    pub deny_fresh: List,
    /// `TrustedHosts`.
    pub trusted_hosts: List,
    /// `AllowCredSSP` of the client; nobody has said: no.
    pub client: Option<Setting<bool>>,
    /// `AllowCredSSP` of the service; nobody has said: no.
    pub service: Option<Setting<bool>>,
}

/// What a server has proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Proof {
    /// Nothing yet: no byte has been sent.
    Unknown,
    /// Its name, by Kerberos.
    Kerberos,
    /// Its name, by a certificate that was verified.
    Certificate,
    /// Only that it knows the user, or somebody who does.
    NtlmOnly,
}

impl Policy {
    /// A list by name.
    pub fn list(&self, name: ListName) -> &List {
        match name {
            ListName::AllowFresh => &self.allow_fresh,
            ListName::AllowFreshNtlmOnly => &self.allow_fresh_ntlm_only,
            ListName::DenyFresh => &self.deny_fresh,
            ListName::TrustedHosts => &self.trusted_hosts,
        }
    }

    /// A list by name.
    pub fn list_mut(&mut self, name: ListName) -> &mut List {
        match name {
            ListName::AllowFresh => &mut self.allow_fresh,
            ListName::AllowFreshNtlmOnly => &mut self.allow_fresh_ntlm_only,
            ListName::DenyFresh => &mut self.deny_fresh,
            ListName::TrustedHosts => &mut self.trusted_hosts,
        }
    }

    /// Whether a server may have the password by CredSSP. `host` is what was typed, not what a resolver makes of it;
    /// `typed` is whether there is a password that was typed, which CredSSP cannot do without.
    ///
    /// With [`Proof::Unknown`] a host passes that some proof could still let through.
    ///
    /// # Errors
    /// The first obstacle in WinRM's order.
    pub fn may_delegate(&self, host: &str, typed: bool, proof: Proof) -> Result<(), Refusal> {
        let refused = |kind| Err(Refusal::new(kind, host));
        if !typed {
            return refused(RefusalKind::NoCredential);
        }
        if !self.client.as_ref().is_some_and(|client| client.value) {
            return refused(RefusalKind::ClientOff);
        }
        let spn = format!("WSMAN/{host}");
        if self.deny_fresh.denies(&spn) {
            return refused(RefusalKind::NotListed);
        }
        let (proven, unproven) = (self.allow_fresh.allows(&spn), self.allow_fresh_ntlm_only.allows(&spn));
        match proof {
            Proof::Unknown if proven || unproven => Ok(()),
            Proof::Kerberos | Proof::Certificate if proven => Ok(()),
            Proof::NtlmOnly if unproven => Ok(()),
            Proof::NtlmOnly => refused(RefusalKind::NtlmOnly),
            Proof::Unknown | Proof::Kerberos | Proof::Certificate => refused(RefusalKind::NotListed),
        }
    }

    /// Whether NTLM may speak to a host over a channel that does not prove the host's name.
    ///
    /// # Errors
    /// The host is not in TrustedHosts. `by_default` is whether the user left the way of authentication open: WinRM has
    /// other words then for a host that was typed as an address.
    pub fn may_use_ntlm(&self, host: &str, by_default: bool) -> Result<(), Refusal> {
        let listed = self.trusted_hosts.effective().iter();
        if listed.flat_map(|entry| entry.value.split(',')).any(|entry| trusts(entry.trim(), host)) {
            return Ok(());
        }
        let bare = host.trim_matches(['[', ']']).split('%').next().unwrap_or_default();
        let address = bare.parse::<core::net::IpAddr>().is_ok();
        let kind = if address && by_default { RefusalKind::AddressTyped } else { RefusalKind::NotTrusted };
        Err(Refusal::new(kind, host))
    }
}

/// Whether an entry of TrustedHosts covers a host: `*` for any number of characters, `<local>` for names without dots.
fn trusts(entry: &str, host: &str) -> bool {
    if entry.eq_ignore_ascii_case("<local>") {
        return !host.is_empty() && !host.contains(['.', ':']);
    }
    let bare = |text: &str| text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).map(str::to_owned);
    let (entry, host) =
        (bare(entry).unwrap_or_else(|| entry.to_owned()), bare(host).unwrap_or_else(|| host.to_owned()));
    !entry.is_empty() && pattern::glob(&entry, &host)
}
