//! Which local user a principal is: rules in the manner of `auth_to_local`.
//!
//! Without a line of its own a principal maps only if it belongs to the server's own realm, has one component, is no
//! computer (`NAME$`), and the local account of that name has a uid of at least `UID_MIN`. A line with `*` may bring
//! in another realm, but it is held to the same floor; only a line that names the whole principal may go below it.

use hop_kerberos::Principal;
use serde::{Deserialize, Serialize};

use crate::config::ConfigError;

/// The uid of `nobody`, which owns what has no owner; never a session's user by rule.
const NOBODY: u32 = 65534;

/// One mapping line of the configuration.
///
/// `principal` is a whole principal (`root@HOP.TEST`) or has one `*` in the name and/or is `*` in the realm
/// (`*@PARTNER.TEST`, `*-admin@HOP.TEST`, `backup@*`). `user` is the local name; a `*` in it stands for what the `*`
/// in the principal's name matched. A line without `user` and with `deny = true` refuses what it matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapRule {
    /// The principal or pattern.
    pub principal: String,
    /// The local user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// For users who prove themselves without Kerberos: the principal of the domain in whose name the session may go
    /// on (protocol transition). Without it only principals of the server's own realm may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain_principal: Option<String>,
    /// Refuses instead of mapping.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deny: bool,
}

impl MapRule {
    /// A line that maps exactly this principal to this user.
    #[must_use]
    pub fn exact(principal: impl Into<String>, user: impl Into<String>) -> Self {
        Self { principal: principal.into(), user: Some(user.into()), domain_principal: None, deny: false }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let problem = |problem| ConfigError::Map { principal: self.principal.clone(), problem };
        let (name, realm) = self.split().ok_or_else(|| problem("expected NAME@REALM"))?;
        if name.is_empty() || realm.is_empty() {
            return Err(problem("name and realm must not be empty"));
        }
        if name.matches('*').count() > 1 || (realm.contains('*') && realm != "*") {
            return Err(problem("at most one * in the name, and a realm is * alone or has none"));
        }
        if let Some(principal) = &self.domain_principal
            && (self.is_pattern() || Principal::parse(principal, None).is_err())
        {
            return Err(problem("domain_principal is NAME@REALM, on a line that names one principal"));
        }
        match (&self.user, self.deny) {
            (Some(_), true) => Err(problem("user and deny exclude each other")),
            (None, false) => Err(problem("user is missing")),
            (Some(user), false) if user.is_empty() || user.contains(['/', '\0', '\n', ':']) => {
                Err(problem("user is not the name of an account"))
            }
            (Some(user), false) if user.contains('*') && !name.contains('*') => {
                Err(problem("user has a * but the name has none"))
            }
            _ => Ok(()),
        }
    }

    fn split(&self) -> Option<(&str, &str)> {
        self.principal.rsplit_once('@')
    }

    fn is_pattern(&self) -> bool {
        self.principal.contains('*')
    }

    /// The line denies, or names one principal, and matches but for upper and lower case.
    fn is_another_spelling(&self, name: &str, realm: &str) -> bool {
        let folded = Self { principal: self.principal.to_lowercase(), ..self.clone() };
        (self.deny || !self.is_pattern())
            && folded.matches(&name.to_lowercase(), &realm.to_lowercase()).is_some()
    }

    /// What `*` stands for if the line matches (empty without one).
    fn matches<'p>(&self, name: &'p str, realm: &str) -> Option<&'p str> {
        let (pattern, pattern_realm) = self.split()?;
        if pattern_realm != "*" && pattern_realm != realm {
            return None;
        }
        match pattern.split_once('*') {
            None => (pattern == name).then_some(""),
            Some((head, tail)) => name.strip_prefix(head)?.strip_suffix(tail).filter(|m| !m.is_empty()),
        }
    }
}

/// Looks up local accounts; the monitor asks the system, tests ask a table.
pub(crate) trait Accounts {
    /// The uid of the account of that name, if there is one.
    fn uid_of(&self, name: &str) -> Result<Option<u32>, std::io::Error>;
}

/// Principals to users.
#[derive(Debug, Clone)]
pub(crate) struct Mapping {
    pub realm: String,
    /// What stands for the realm in the names of users of this host's own file.
    pub host: String,
    pub rules: Vec<MapRule>,
    pub uid_min: u32,
}

/// Whom a principal runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapped {
    /// The local user.
    pub user: String,
    /// In whose name the session may go on without a ticket of the client's.
    pub domain_principal: Option<Principal>,
}

impl Mapping {
    /// The local user `principal` may run as.
    pub fn user_for(&self, principal: &Principal, accounts: &dyn Accounts) -> Result<Mapped, MappingError> {
        let shown = principal.to_string();
        let whole = principal.components.join("/");
        let single = principal.components.len() == 1;
        // A component with a separator inside would look like another principal in a rule.
        if principal.components.iter().any(|c| c.is_empty() || c.contains(['/', '@', '\\', '\0'])) {
            return Err(MappingError::NotAUser { principal: shown });
        }
        for rule in &self.rules {
            let Some(star) = rule.matches(&whole, &principal.realm) else {
                // Domains take names in any letters, and so do accounts: what a line says of one spelling must not be
                // evaded by another.
                if rule.is_another_spelling(&whole, &principal.realm) {
                    return Err(MappingError::Spelling { principal: shown, line: rule.principal.clone() });
                }
                continue;
            };
            if rule.is_pattern() && !rule.deny && (!single || whole.ends_with('$')) {
                continue;
            }
            let Some(user) = &rule.user else {
                return Err(MappingError::Denied { principal: shown });
            };
            let user = user.replacen('*', star, 1);
            let user = self.check_account(shown, user, !rule.is_pattern(), accounts)?;
            let named = rule.domain_principal.as_ref().and_then(|text| Principal::parse(text, None).ok());
            return Ok(Mapped { user, domain_principal: named.or_else(|| self.own(principal)) });
        }
        if principal.realm != self.realm && principal.realm != self.host {
            return Err(MappingError::ForeignRealm { principal: shown, realm: self.realm.clone() });
        }
        if !single {
            return Err(MappingError::NotAUser { principal: shown });
        }
        if whole.ends_with('$') {
            return Err(MappingError::Computer { principal: shown });
        }
        let user = self.check_account(shown, whole, false, accounts)?;
        Ok(Mapped { user, domain_principal: self.own(principal) })
    }

    /// A user of the server's own realm; the users of this host's file are not the domain's, whatever their names.
    fn own(&self, principal: &Principal) -> Option<Principal> {
        (principal.realm == self.realm && principal.realm != self.host).then(|| principal.clone())
    }

    fn check_account(
        &self,
        principal: String,
        user: String,
        explicit: bool,
        accounts: &dyn Accounts,
    ) -> Result<String, MappingError> {
        if user.is_empty()
            || user.len() > 256
            || user.starts_with('-')
            || user.contains(['/', '\0', '\n', ':'])
        {
            return Err(MappingError::NoAccount { principal, user });
        }
        let uid = match accounts.uid_of(&user) {
            Ok(Some(uid)) => uid,
            Ok(None) => return Err(MappingError::NoAccount { principal, user }),
            Err(source) => return Err(MappingError::Lookup { user, source }),
        };
        if !explicit && (uid == 0 || uid < self.uid_min || uid == NOBODY) {
            return Err(MappingError::SystemAccount { principal, user, uid, uid_min: self.uid_min });
        }
        Ok(user)
    }
}

/// Why a principal has no local user here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum MappingError {
    #[error("{principal} is not of the server's realm {realm} and has no map line")]
    ForeignRealm { principal: String, realm: String },
    #[error("{principal} is a computer and has no map line")]
    Computer { principal: String },
    #[error("{principal} is not the principal of a user and has no map line")]
    NotAUser { principal: String },
    #[error(
        "{principal} would be local user \"{user}\" with uid {uid}: below {uid_min} or reserved, and no map line names the principal"
    )]
    SystemAccount { principal: String, user: String, uid: u32, uid_min: u32 },
    #[error("{principal}: no local user \"{user}\"")]
    NoAccount { principal: String, user: String },
    #[error(
        "{principal} is another spelling of {line}, which has a map line: use the name as it stands there"
    )]
    Spelling { principal: String, line: String },
    #[error("{principal} is denied by a map line")]
    Denied { principal: String },
    #[error("cannot look up local user \"{user}\": {source}")]
    Lookup { user: String, source: std::io::Error },
}

/// `UID_MIN` of the text of `/etc/login.defs`.
pub(crate) fn uid_min_of(login_defs: &str) -> Option<u32> {
    login_defs.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("UID_MIN")).then(|| words.next()?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Table;

    impl Accounts for Table {
        fn uid_of(&self, name: &str) -> Result<Option<u32>, std::io::Error> {
            Ok(match name {
                "root" => Some(0),
                "daemon" => Some(1),
                "alice" => Some(2001),
                "partner_bob" => Some(2002),
                "nobody" => Some(65534),
                "servera$" => Some(2003),
                _ => None,
            })
        }
    }

    fn map(lines: &[(&str, &str)], principal: &str) -> Result<String, MappingError> {
        let rules = lines
            .iter()
            .map(|(p, u)| match *u {
                "" => MapRule { user: None, deny: true, ..MapRule::exact(*p, "") },
                u => MapRule::exact(*p, u),
            })
            .collect::<Vec<_>>();
        rules.iter().for_each(|r| r.check().unwrap());
        let mapping =
            Mapping { realm: "HOP.TEST".to_owned(), host: "SERVERA".to_owned(), rules, uid_min: 1000 };
        mapping.user_for(&Principal::parse(principal, None).unwrap(), &Table).map(|mapped| mapped.user)
    }

    #[test]
    fn users_of_the_hosts_file_go_on_only_where_a_line_says_so() {
        let line = MapRule {
            domain_principal: Some("alice@HOP.TEST".to_owned()),
            ..MapRule::exact("carol@SERVERA", "alice")
        };
        line.check().unwrap();
        let mapping = Mapping {
            realm: "HOP.TEST".to_owned(),
            host: "SERVERA".to_owned(),
            rules: vec![line],
            uid_min: 1000,
        };
        let map = |name: &str| mapping.user_for(&Principal::parse(name, None).unwrap(), &Table).unwrap();
        let alice = Principal::parse("alice@HOP.TEST", None).unwrap();
        assert_eq!(map("alice@SERVERA"), Mapped { user: "alice".to_owned(), domain_principal: None });
        assert_eq!(map("alice@HOP.TEST").domain_principal, Some(alice.clone()));
        assert_eq!(map("carol@SERVERA"), Mapped { user: "alice".to_owned(), domain_principal: Some(alice) });
        let bad = MapRule {
            domain_principal: Some("alice@HOP.TEST".to_owned()),
            ..MapRule::exact("*@SERVERA", "*")
        };
        assert!(bad.check().is_err());
    }

    #[test]
    fn own_realm_by_name() {
        assert_eq!(map(&[], "alice@HOP.TEST").unwrap(), "alice");
        assert!(matches!(map(&[], "mallory@HOP.TEST"), Err(MappingError::NoAccount { .. })));
    }

    #[test]
    fn default_refusals() {
        assert!(matches!(map(&[], "root@HOP.TEST"), Err(MappingError::SystemAccount { uid: 0, .. })));
        assert!(matches!(map(&[], "daemon@HOP.TEST"), Err(MappingError::SystemAccount { uid: 1, .. })));
        assert!(matches!(map(&[], "nobody@HOP.TEST"), Err(MappingError::SystemAccount { .. })));
        assert!(matches!(map(&[], "servera$@HOP.TEST"), Err(MappingError::Computer { .. })));
        assert!(matches!(map(&[], "alice/admin@HOP.TEST"), Err(MappingError::NotAUser { .. })));
        assert!(matches!(map(&[], "alice@LEG.TEST"), Err(MappingError::ForeignRealm { .. })));
        assert!(matches!(
            map(&[("a/b@HOP.TEST", "alice")], "a\\/b@HOP.TEST"),
            Err(MappingError::NotAUser { .. })
        ));
        assert!(matches!(map(&[], "alice@hop.test"), Err(MappingError::ForeignRealm { .. })));
    }

    #[test]
    fn an_exact_line_may_do_everything() {
        let lines = [("root@HOP.TEST", "root"), ("alice@LEG.TEST", "alice"), ("servera$@HOP.TEST", "daemon")];
        assert_eq!(map(&lines, "root@HOP.TEST").unwrap(), "root");
        assert_eq!(map(&lines, "alice@LEG.TEST").unwrap(), "alice");
        assert_eq!(map(&lines, "servera$@HOP.TEST").unwrap(), "daemon");
        assert!(map(&lines, "bob@LEG.TEST").is_err());
    }

    #[test]
    fn a_pattern_stays_above_the_floor() {
        let lines = [("*@LEG.TEST", "partner_*")];
        assert_eq!(map(&lines, "bob@LEG.TEST").unwrap(), "partner_bob");
        let lines = [("*@LEG.TEST", "*")];
        assert!(matches!(map(&lines, "root@LEG.TEST"), Err(MappingError::SystemAccount { .. })));
        assert!(matches!(map(&lines, "servera$@LEG.TEST"), Err(MappingError::ForeignRealm { .. })));
        let lines = [("*@*", "*")];
        assert_eq!(map(&lines, "alice@ANY.TEST").unwrap(), "alice");
        let lines = [("*-admin@HOP.TEST", "root")];
        assert!(map(&lines, "alice-admin@HOP.TEST").is_err());
    }

    #[test]
    fn deny_wins_where_it_stands_first() {
        let lines = [("alice@*", ""), ("*@HOP.TEST", "*")];
        assert!(matches!(map(&lines, "alice@HOP.TEST"), Err(MappingError::Denied { .. })));
        for other in ["ALICE@HOP.TEST", "Alice@HOP.TEST"] {
            assert!(matches!(map(&lines, other), Err(MappingError::Spelling { .. })), "{other}");
        }
        let lines = [("mallory@HOP.TEST", "partner_bob"), ("*@HOP.TEST", "alice")];
        assert_eq!(map(&lines, "mallory@HOP.TEST").unwrap(), "partner_bob");
        assert!(matches!(map(&lines, "MALLORY@HOP.TEST"), Err(MappingError::Spelling { .. })));
        assert_eq!(map(&lines, "bob@HOP.TEST").unwrap(), "alice");
        assert!(matches!(map(&[], r"X\\alice@HOP.TEST"), Err(MappingError::NotAUser { .. })));
    }

    #[test]
    fn uid_min_is_read_from_login_defs() {
        assert_eq!(uid_min_of("#UID_MIN 5\nUID_MIN\t\t\t 1234\nUID_MAX 60000\n"), Some(1234));
        assert_eq!(uid_min_of("SYS_UID_MIN 100\n"), None);
    }
}
