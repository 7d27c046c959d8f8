//! What people type for a user's name.

use hop_kerberos::config::Config;
use hop_kerberos::{NameType, Principal, PrincipalError};

use crate::{Error, KdcClient};

/// A user's name, read as far as the configuration alone tells.
#[derive(Debug, PartialEq)]
enum Reading {
    /// A name in a realm.
    Certain(Principal),
    /// `USER@SUFFIX`, where the suffix may be a realm that only DNS knows, or what a domain calls its users by.
    Suffix { user: String, suffix: String, default_realm: String },
}

impl KdcClient {
    /// The principal that a user's name stands for:
    ///
    /// - `USER` in the default realm, `USER@REALM`, `SERVICE/HOST@REALM`;
    /// - `USER@suffix` where the suffix is a realm in other letters, or else no realm at all: a user principal name,
    ///   which the default realm's KDC knows (NT-ENTERPRISE, RFC 6806 5);
    /// - `REALM\USER` and `DOMAIN\USER`, where the domain is a realm's first label, as Windows has it.
    ///
    /// DNS is asked only about a suffix that the configuration does not know.
    ///
    /// # Errors
    /// [`Error::Name`] for a name that is malformed or wants a default realm where there is none.
    pub async fn client_principal(&self, text: &str) -> Result<Principal, Error> {
        match read(text, self.config())? {
            Reading::Certain(principal) => Ok(principal),
            Reading::Suffix { user, suffix, default_realm } => {
                let realm = suffix.to_uppercase();
                if self.locate(&realm).await.is_ok() {
                    return Ok(Principal::new(realm, &[&user]));
                }
                Ok(enterprise(&format!("{user}@{suffix}"), default_realm))
            }
        }
    }
}

fn read(text: &str, config: &Config) -> Result<Reading, PrincipalError> {
    let default_realm = config.default_realm();
    if let Some((domain, user)) = text.split_once('\\')
        && !domain.is_empty()
        && !user.is_empty()
        && !domain.contains(['/', '@'])
        && !user.contains(['\\', '/', '@'])
    {
        return Ok(Reading::Certain(match (known(domain, config), default_realm) {
            (Some(realm), _) => Principal::new(realm, &[user]),
            // A domain of other letters than its realm's: the KDC knows its users by that name, too.
            (None, Some(default)) if !domain.contains('.') => {
                enterprise(&format!("{user}@{domain}"), default.into())
            }
            (None, _) => Principal::new(domain.to_uppercase(), &[user]),
        }));
    }
    let principal = Principal::parse(text, default_realm)?;
    let known = known(&principal.realm, config);
    match (known, default_realm, principal.components.as_slice()) {
        (Some(realm), ..) => Ok(Reading::Certain(Principal { realm, ..principal })),
        (None, Some(default), [user]) => Ok(Reading::Suffix {
            user: user.clone(),
            suffix: principal.realm.clone(),
            default_realm: default.to_owned(),
        }),
        _ => Ok(Reading::Certain(principal)),
    }
}

/// The realm of the configuration that a name means: as it stands, in other letters, or by its first label alone.
fn known(name: &str, config: &Config) -> Option<String> {
    let realms: Vec<&str> = config.default_realm().into_iter().chain(config.realms()).collect();
    let first_label =
        |realm: &&&str| realm.split('.').next().is_some_and(|label| label.eq_ignore_ascii_case(name));
    let found = realms.iter().find(|realm| **realm == name);
    let found = found.or_else(|| realms.iter().find(|realm| realm.eq_ignore_ascii_case(name)));
    let found = found.or_else(|| realms.iter().find(first_label));
    found.map(|realm| (*realm).to_owned())
}

fn enterprise(name: &str, realm: String) -> Principal {
    Principal { name_type: NameType::ENTERPRISE, ..Principal::new(realm, &[name]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str =
        "[libdefaults]\n default_realm = HOP.TEST\n[realms]\n OTHER.TEST = {\n kdc = k\n }\n";

    #[test]
    fn names_as_people_type_them() {
        let config = Config::parse(CONFIG.as_bytes()).unwrap();
        for (text, realm, component, name_type) in [
            ("alice", "HOP.TEST", "alice", NameType::PRINCIPAL),
            ("alice@HOP.TEST", "HOP.TEST", "alice", NameType::PRINCIPAL),
            ("alice@hop.test", "HOP.TEST", "alice", NameType::PRINCIPAL),
            (r"HOP\alice", "HOP.TEST", "alice", NameType::PRINCIPAL),
            (r"other\alice", "OTHER.TEST", "alice", NameType::PRINCIPAL),
            (r"other.test\alice", "OTHER.TEST", "alice", NameType::PRINCIPAL),
            (r"third.test\alice", "THIRD.TEST", "alice", NameType::PRINCIPAL),
            (r"ACME\alice", "HOP.TEST", "alice@ACME", NameType::ENTERPRISE),
        ] {
            let Reading::Certain(principal) = read(text, &config).unwrap() else { panic!("{text}") };
            let expected = (realm, vec![component.to_owned()], name_type);
            assert_eq!(
                (principal.realm.as_str(), principal.components, principal.name_type),
                expected,
                "{text}"
            );
        }
        let suffix = Reading::Suffix {
            user: "alice".into(),
            suffix: "example.com".into(),
            default_realm: "HOP.TEST".into(),
        };
        assert_eq!(read("alice@example.com", &config).unwrap(), suffix);
        let service = Reading::Certain(Principal::new("FAR.TEST", &["HTTP", "h"]));
        assert_eq!(read("HTTP/h@FAR.TEST", &config).unwrap(), service);
        assert_eq!(read(r"a\/b", &config).unwrap(), Reading::Certain(Principal::new("HOP.TEST", &["a/b"])));
        let none = Config::default();
        assert_eq!(read("a@B", &none).unwrap(), Reading::Certain(Principal::new("B", &["a"])));
        assert!(read("a", &none).is_err());
    }
}
