//! What people type for a user's name.

use std::time::SystemTime;

use hop_kerberos::client::Whereabouts;
use hop_kerberos::config::Config;
use hop_kerberos::{NameType, Principal, PrincipalError};

use crate::client::explain;
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
        self.named(text, self.config().default_realm()).await
    }

    /// As [`client_principal`](Self::client_principal), for a service of `realm` that speaks of a user: names without a
    /// realm are of that one, and for a user principal name the KDCs are asked which realm knows it.
    ///
    /// # Errors
    /// Also [`Error::UnknownClient`] if none does, and what KDCs refuse with.
    pub async fn user_of(&self, text: &str, realm: &str) -> Result<Principal, Error> {
        let user = self.named(text, Some(realm)).await?;
        if user.name_type != NameType::ENTERPRISE {
            return Ok(user);
        }
        let explained = |error| explain(error, &user, None, None);
        let types = self.login_types(realm)?;
        let mut search =
            Whereabouts::new(user.clone(), types, SystemTime::now(), &mut rand::rng()).map_err(&explained)?;
        loop {
            let request = search.poll_transmit().ok_or(hop_kerberos::Error::Usage("nothing to send"))?;
            let reply = self.send(&request, &self.defaults(&request.realm)?).await?;
            let found = search.handle_reply(&reply, SystemTime::now(), &mut rand::rng());
            if let Some(found) = found.map_err(explained)? {
                return Ok(found);
            }
        }
    }

    async fn named(&self, text: &str, default_realm: Option<&str>) -> Result<Principal, Error> {
        match read(text, self.config(), default_realm)? {
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

fn read(text: &str, config: &Config, default_realm: Option<&str>) -> Result<Reading, PrincipalError> {
    if let Some((domain, user)) = text.split_once('\\')
        && !domain.is_empty()
        && !user.is_empty()
        && !domain.contains(['/', '@'])
        && !user.contains(['\\', '/', '@'])
    {
        return Ok(Reading::Certain(match (known(domain, config, default_realm), default_realm) {
            (Some(realm), _) => Principal::new(realm, &[user]),
            // A domain of other letters than its realm's: the KDC knows its users by that name, too.
            (None, Some(default)) if !domain.contains('.') => {
                enterprise(&format!("{user}@{domain}"), default.into())
            }
            (None, _) => Principal::new(domain.to_uppercase(), &[user]),
        }));
    }
    let principal = Principal::parse(text, default_realm)?;
    let known = known(&principal.realm, config, default_realm);
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
fn known(name: &str, config: &Config, default_realm: Option<&str>) -> Option<String> {
    let realms: Vec<&str> =
        default_realm.into_iter().chain(config.default_realm()).chain(config.realms()).collect();
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
        let default = config.default_realm();
        let read = |text| read(text, &config, default);
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
            let Reading::Certain(principal) = read(text).unwrap() else { panic!("{text}") };
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
        assert_eq!(read("alice@example.com").unwrap(), suffix);
        let service = Reading::Certain(Principal::new("FAR.TEST", &["HTTP", "h"]));
        assert_eq!(read("HTTP/h@FAR.TEST").unwrap(), service);
        assert_eq!(read(r"a\/b").unwrap(), Reading::Certain(Principal::new("HOP.TEST", &["a/b"])));
        let none = Config::default();
        assert_eq!(super::read("a@B", &none, None).unwrap(), Reading::Certain(Principal::new("B", &["a"])));
        assert!(super::read("a", &none, None).is_err());
        // A service's own realm, where the configuration knows none.
        let own = super::read("a@b", &none, Some("HOP.TEST")).unwrap();
        assert!(matches!(own, Reading::Suffix { default_realm, .. } if default_realm == "HOP.TEST"));
    }
}
