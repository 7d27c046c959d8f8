//! Principal names: RFC 4120 6.2, with MIT's text form.

use std::fmt;
use std::str::FromStr;

/// How the components of a name are meant (RFC 4120 6.2, RFC 6806).
///
/// Two names that differ only in their type are the same name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, PartialOrd, Ord)]
pub struct NameType(pub i32);

impl NameType {
    /// NT-UNKNOWN.
    pub const UNKNOWN: Self = Self(0);
    /// NT-PRINCIPAL: a user, or a unique name of any kind.
    pub const PRINCIPAL: Self = Self(1);
    /// NT-SRV-INST: service and instance, as in `krbtgt/REALM`.
    pub const SRV_INST: Self = Self(2);
    /// NT-SRV-HST: service and host name.
    pub const SRV_HST: Self = Self(3);
    /// NT-ENTERPRISE: `user@upn.suffix` in a single component (RFC 6806 5).
    pub const ENTERPRISE: Self = Self(10);
    /// NT-WELLKNOWN (RFC 6111).
    pub const WELLKNOWN: Self = Self(11);
}

/// A name in a realm.
///
/// Comparison looks at components and realm, not at the name type, as RFC 4120 6.2 asks.
#[derive(Clone)]
pub struct Principal {
    /// A hint for the KDC; takes no part in comparison.
    pub name_type: NameType,
    /// The parts of the name, in order; seldom more than two.
    pub components: Vec<String>,
    /// The realm, case-sensitive.
    pub realm: String,
}

/// Why a text is no principal name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrincipalError {
    /// No `@REALM` and no default realm.
    #[error("the principal name {0:?} has no realm and there is no default realm")]
    NoRealm(String),
    /// More than one unquoted `@`.
    #[error("the principal name {0:?} has more than one realm")]
    TwoRealms(String),
    /// Nothing before the `@`, or an empty realm after it.
    #[error("the principal name {0:?} has an empty name or realm")]
    Empty(String),
    /// A backslash at the very end.
    #[error("the principal name {0:?} ends in a backslash")]
    TrailingBackslash(String),
}

impl Principal {
    /// A user or other plain name (NT-PRINCIPAL).
    pub fn new(realm: impl Into<String>, components: &[&str]) -> Self {
        Self {
            name_type: NameType::PRINCIPAL,
            components: components.iter().map(|c| (*c).to_owned()).collect(),
            realm: realm.into(),
        }
    }

    /// A service on a host, as in `HTTP/host.example.com` (NT-SRV-HST).
    pub fn service(realm: impl Into<String>, service: &str, host: &str) -> Self {
        Self { name_type: NameType::SRV_HST, ..Self::new(realm, &[service, host]) }
    }

    /// The ticket-granting service of `for_realm` as the KDC of `realm` knows it: `krbtgt/FOR_REALM@REALM`.
    pub fn krbtgt(realm: impl Into<String>, for_realm: &str) -> Self {
        Self { name_type: NameType::SRV_INST, ..Self::new(realm, &["krbtgt", for_realm]) }
    }

    /// Reads MIT's text form: `/` separates components, `@` begins the realm, a backslash quotes.
    ///
    /// # Errors
    /// [`PrincipalError`] when there is no realm to be had or the text is malformed.
    pub fn parse(text: &str, default_realm: Option<&str>) -> Result<Self, PrincipalError> {
        let mut parts = vec![String::new()];
        let mut realm: Option<String> = None;
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            let c = match c {
                '\\' => match chars.next() {
                    None => return Err(PrincipalError::TrailingBackslash(text.to_owned())),
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some('b') => '\u{8}',
                    Some('0') => '\0',
                    Some(other) => other,
                },
                '/' if realm.is_none() => {
                    parts.push(String::new());
                    continue;
                }
                '@' if realm.is_some() => return Err(PrincipalError::TwoRealms(text.to_owned())),
                '@' => {
                    realm = Some(String::new());
                    continue;
                }
                other => other,
            };
            match (&mut realm, parts.last_mut()) {
                (Some(realm), _) => realm.push(c),
                (None, Some(part)) => part.push(c),
                (None, None) => {}
            }
        }
        let realm = match realm {
            Some(realm) => realm,
            None => default_realm.ok_or_else(|| PrincipalError::NoRealm(text.to_owned()))?.to_owned(),
        };
        if realm.is_empty() || parts.iter().all(String::is_empty) {
            return Err(PrincipalError::Empty(text.to_owned()));
        }
        let name_type = match parts.first().map(String::as_str) {
            Some("krbtgt") if parts.len() == 2 => NameType::SRV_INST,
            _ if parts.len() == 2 => NameType::SRV_HST,
            _ => NameType::PRINCIPAL,
        };
        Ok(Self { name_type, components: parts, realm })
    }

    /// The name without its realm, quoted as in the text form.
    pub fn name(&self) -> String {
        let mut text = String::new();
        for (i, component) in self.components.iter().enumerate() {
            if i > 0 {
                text.push('/');
            }
            quote(component, &mut text);
        }
        text
    }

    /// True for `krbtgt/ANY@ANY`: a ticket-granting service.
    pub fn is_krbtgt(&self) -> bool {
        matches!(self.components.as_slice(), [service, _] if service == "krbtgt")
    }

    /// True for the ticket-granting service of the principal's own realm.
    pub fn is_local_krbtgt(&self) -> bool {
        matches!(self.components.as_slice(), [service, realm] if service == "krbtgt" && *realm == self.realm)
    }

    /// The salt that password keys of this principal have unless the KDC says otherwise (RFC 4120 4).
    pub fn default_salt(&self) -> String {
        let mut salt = self.realm.clone();
        self.components.iter().for_each(|c| salt.push_str(c));
        salt
    }
}

fn quote(part: &str, out: &mut String) {
    for c in part.chars() {
        match c {
            '/' | '@' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\0' => out.push_str("\\0"),
            _ => out.push(c),
        }
    }
}

impl PartialEq for Principal {
    fn eq(&self, other: &Self) -> bool {
        self.components == other.components && self.realm == other.realm
    }
}

impl Eq for Principal {}

impl std::hash::Hash for Principal {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.components.hash(state);
        self.realm.hash(state);
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.name();
        text.push('@');
        // A slash needs no quotes in a realm.
        for (i, piece) in self.realm.split('/').enumerate() {
            if i > 0 {
                text.push('/');
            }
            quote(piece, &mut text);
        }
        f.write_str(&text)
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} (type {})", self.name_type.0)
    }
}

impl FromStr for Principal {
    type Err = PrincipalError;

    fn from_str(text: &str) -> Result<Self, PrincipalError> {
        Self::parse(text, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_the_text_form() {
        for text in
            ["alice@A.TEST", "HTTP/h.a.test@A.TEST", r"a\/b\@c\\@A.TEST", r"x\n\t\b\0y@A.TEST", "a@A/B"]
        {
            assert_eq!(Principal::parse(text, None).unwrap().to_string(), text);
        }
        let p = Principal::parse(r"a\/b/c", Some("R")).unwrap();
        assert_eq!((p.components, p.realm.as_str()), (vec!["a/b".to_owned(), "c".to_owned()], "R"));
    }

    #[test]
    fn refuses_what_is_no_name() {
        for text in ["alice", "a@b@c", "@R", "a@", "a@R\\", ""] {
            assert!(Principal::parse(text, None).is_err(), "{text}");
        }
    }

    #[test]
    fn the_name_type_is_no_part_of_the_name() {
        let a = Principal::new("R", &["HTTP", "h"]);
        assert_eq!(a, Principal::service("R", "HTTP", "h"));
    }
}
