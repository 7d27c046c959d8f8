//! Fuzz targets as functions.

use crate::{
    group_policy::{ldif, links, security_descriptor::SecurityDescriptor},
    local::Settings,
    registry_pol,
};

/// Registry.pol: decode, encode, decode again.
pub fn fuzz_registry_pol(data: &[u8]) {
    if let Ok(entries) = registry_pol::decode(data) {
        assert_eq!(registry_pol::decode(&registry_pol::encode(&entries)).as_ref(), Ok(&entries));
        let object = crate::group_policy::PolicyObject { name: String::new(), id: String::new(), entries };
        let policy = crate::group_policy::registry::policy(&[object]);
        let _ = policy.may_delegate("servera", true, hop_delegation::credssp::Proof::Unknown);
    }
}

/// A security descriptor.
pub fn fuzz_security_descriptor(data: &[u8]) {
    use crate::group_policy::security_descriptor::Sid;
    if let Some(descriptor) = SecurityDescriptor::decode(data) {
        let _ = descriptor.lets_apply(&[Sid::everyone(), Sid::authenticated_users()]);
    }
}

/// The attribute gPLink.
pub fn fuzz_gp_link(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let links = links::parse(text);
        let written: String =
            links.iter().map(|l| format!("[LDAP://{};{}]", l.dn, if l.enforced { 2 } else { 0 })).collect();
        assert_eq!(links::parse(&written), links);
    }
}

/// What ldapsearch prints.
pub fn fuzz_ldif(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        for record in ldif::parse(text) {
            let _ = record.number("flags");
        }
    }
}

/// A file of settings.
pub fn fuzz_settings(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Settings::parse(text);
    }
}
