//! Which principal a client's certificate stands for.

use hop_auth::parse_fingerprint;
use hop_kerberos::Principal;
use serde::{Deserialize, Serialize};

use crate::config::ConfigError;

/// One line of the configuration: certificates with this name, or this very certificate, stand for a principal, which
/// the lines of `map` then make a local user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateRule {
    /// The user principal name in the certificate (subject alternative name of Microsoft's kind), compared without
    /// regard to case; may be `*@SUFFIX`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The SHA-256 fingerprint of the certificate: 64 hexadecimal digits, with colons or without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// The principal, `NAME@REALM`; `*` stands for what the `*` in the name matched.
    pub principal: String,
}

impl CertificateRule {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let problem = |problem| ConfigError::Map { principal: self.principal.clone(), problem };
        let starred = match (&self.name, &self.fingerprint) {
            (Some(_), Some(_)) | (None, None) => {
                return Err(problem("expected either name or fingerprint"));
            }
            (None, Some(print)) if parse_fingerprint(print).is_none() => {
                return Err(problem("fingerprint is not 64 hexadecimal digits"));
            }
            (None, Some(_)) => false,
            (Some(name), None) => match name.split_once('*') {
                None if name.contains('@') => false,
                Some(("", suffix)) if suffix.starts_with('@') && !suffix.contains('*') => true,
                _ => return Err(problem("name is USER@SUFFIX or *@SUFFIX")),
            },
        };
        match self.principal.split_once('@') {
            Some((user, realm)) if !user.is_empty() && !realm.is_empty() && !realm.contains(['*', '@']) => {
                match (user == "*", user.contains('*')) {
                    (true, _) if starred => Ok(()),
                    (false, false) if !starred => Ok(()),
                    (false, false) => Err(problem("many names would be one principal")),
                    _ => Err(problem("the principal has a * that nothing stands for")),
                }
            }
            _ => Err(problem("expected NAME@REALM")),
        }
    }

    /// The principal that a certificate with this fingerprint and name stands for by this line.
    pub(crate) fn principal_of(&self, print: &[u8; 32], name: Option<&str>) -> Option<Principal> {
        let text = match (&self.name, &self.fingerprint) {
            (None, Some(wanted)) => (parse_fingerprint(wanted)? == *print).then(|| self.principal.clone())?,
            (Some(pattern), None) => {
                let name = name?;
                let (user, suffix) = name.rsplit_once('@')?;
                match pattern.strip_prefix('*') {
                    None => name.eq_ignore_ascii_case(pattern).then(|| self.principal.clone())?,
                    Some(wanted) => {
                        let same = wanted.strip_prefix('@')?.eq_ignore_ascii_case(suffix);
                        (same && is_plain(user)).then(|| self.principal.replacen('*', user, 1))?
                    }
                }
            }
            _ => return None,
        };
        Principal::parse(&text, None).ok()
    }
}

/// A name that cannot be mistaken for another principal when it is put into one.
fn is_plain(user: &str) -> bool {
    !user.is_empty() && !user.ends_with('$') && !user.contains(['/', '@', '\\', '*', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: Option<&str>, print: Option<&str>, principal: &str) -> CertificateRule {
        CertificateRule {
            name: name.map(str::to_owned),
            fingerprint: print.map(str::to_owned),
            principal: principal.to_owned(),
        }
    }

    #[test]
    fn names_and_fingerprints() {
        let of = |rule: &CertificateRule, print: [u8; 32], name| {
            rule.check().unwrap();
            rule.principal_of(&print, name).map(|p| p.to_string())
        };
        let all = rule(Some("*@corp.example"), None, "*@CORP.EXAMPLE");
        assert_eq!(of(&all, [0; 32], Some("alice@Corp.Example")).unwrap(), "alice@CORP.EXAMPLE");
        for other in [
            "alice@other.example",
            "a/b@corp.example",
            "a@b@corp.example",
            "x$@corp.example",
            "@corp.example",
        ] {
            assert_eq!(of(&all, [0; 32], Some(other)), None, "{other}");
        }
        assert_eq!(of(&all, [0; 32], None), None);
        let one = rule(Some("al@corp.example"), None, "alice@CORP.EXAMPLE");
        assert_eq!(of(&one, [0; 32], Some("AL@corp.example")).unwrap(), "alice@CORP.EXAMPLE");
        let print = rule(None, Some(&"Ab:".repeat(32)), "alice@CORP.EXAMPLE");
        assert_eq!(of(&print, [0xab; 32], None).unwrap(), "alice@CORP.EXAMPLE");
        assert_eq!(of(&print, [0; 32], None), None);
    }

    #[test]
    fn lines_that_cannot_mean_anything() {
        for bad in [
            rule(None, None, "a@X"),
            rule(Some("a@x"), Some("00"), "a@X"),
            rule(None, Some("0g"), "a@X"),
            rule(Some("a*@x"), None, "*@X"),
            rule(Some("*"), None, "*@X"),
            rule(Some("*@x"), None, "root@X"),
            rule(Some("a@x"), None, "*@X"),
            rule(Some("a@x"), None, "a"),
            rule(Some("*@x"), None, "*@*"),
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
