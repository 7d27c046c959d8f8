//! Group Policy: what the domain's administrators set for this machine, read as a machine of the domain reads it.
//!
//! [MS-GPOL]: the domain and the organisational units above the machine's account name policy objects ([`links`]) in
//! an order; an object that its security descriptor does not let the machine apply is left out
//! ([`security_descriptor`]); the registry values of the others ([`crate::registry_pol`]) are applied one over the other
//! ([`registry`]). [`domain`] asks the domain, [`directory`] reads what samba-gpupdate keeps, [`cache`] remembers.
//!
//! A machine without an account in the domain stands in no organisational unit; it takes the objects that are linked
//! to the domain itself and that Everyone, Authenticated Users or Domain Computers may apply. Links of sites, WMI
//! filters and loopback processing are not looked at.

pub mod cache;
pub mod directory;
pub mod domain;
pub mod ldif;
pub mod links;
pub mod registry;
pub mod security_descriptor;

use std::time::SystemTime;

use hop_delegation::credssp::Source;

use crate::registry_pol::Entry;

/// One policy object that applies to this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyObject {
    /// Its display name.
    pub name: String,
    /// Its GUID, with braces.
    pub id: String,
    /// Its registry values for machines, in the order of the file.
    pub entries: Vec<Entry>,
}

impl PolicyObject {
    /// It, as the source of settings.
    pub fn source(&self) -> Source {
        Source::GroupPolicy { name: self.name.clone(), id: self.id.clone() }
    }
}

/// Group Policy as it was at some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The domain, or the folder it was read from.
    pub origin: String,
    /// The account in whose place it was read.
    pub machine: Option<String>,
    /// When.
    pub read_at: SystemTime,
    /// The objects, in the order in which they are applied: the last one wins.
    pub objects: Vec<PolicyObject>,
}
