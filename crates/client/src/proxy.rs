//! HTTP proxies on the way to a host: which one, for whom, and the tunnel through it.
//!
//! A proxy carries HTTPS only: it is asked for a tunnel (`CONNECT`, RFC 9110 section 9.3.6), and TLS goes through that
//! to the host itself. So a proxy sees which host is meant and nothing else, and every way of authentication works
//! through it. Who the client is to the proxy ([`ProxyLogin`]) and who it is to the host
//! ([`crate::authentication::Login`]) are apart: neither is ever told what the other is.
//!
//! Rejected: HTTP through a proxy, request by request. Negotiate and NTLM authenticate a connection, which such a
//! proxy may share among its clients; WinRM refuses it too.

mod authentication;
mod error;
mod no_proxy;
mod tunnel;

use std::{ffi::OsString, fmt, sync::Arc};

use hop_auth::UserName;
use hop_kerberos_io::Environment;
use hop_secret::SecretString;

pub use self::authentication::ProxyAuthentication;
pub use self::error::{ProxyError, ProxyUrlError};
pub use self::no_proxy::NoProxy;
pub(crate) use self::tunnel::Tunnels;
use crate::{
    authentication::Password,
    error::Error,
    hosts::{Target, authority, split_port},
    kerberos::{Identity, Source},
};

/// A proxy: `http://[USER@]HOST[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Proxy {
    /// Name or address; the name is also that of the Kerberos service, `HTTP/host`.
    pub host: String,
    /// TCP port; 80 if the URL has none.
    pub port: u16,
    /// Who to be there, if not whose tickets there are.
    pub user: Option<String>,
}

/// What one setting says: which proxy, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxySetting {
    /// No proxy, whatever settings after this one say: the word `none`, or nothing at all.
    Direct,
    /// This one.
    Through(Proxy),
}

/// Who the client is to a proxy.
#[derive(Clone, Debug, Default)]
pub struct ProxyLogin {
    /// How to prove it.
    pub authentication: ProxyAuthentication,
    /// For Kerberos.
    pub identity: Option<Arc<Identity>>,
    /// For NTLM and Basic.
    pub password: Option<Password>,
}

impl ProxyLogin {
    /// By name and password, which are good for Kerberos as well where the name is known to a KDC.
    ///
    /// # Errors
    /// A krb5.conf that cannot be read.
    pub fn with_password(
        authentication: ProxyAuthentication,
        user: &str,
        password: SecretString,
        environment: Environment,
    ) -> Result<Self, crate::kerberos::IdentityError> {
        let source = Source::Password { principal: user.to_owned(), password: password.clone() };
        Ok(Self {
            authentication,
            identity: Some(Arc::new(Identity::in_environment(environment, source)?)),
            password: Some(Password { name: UserName::parse(user), password }),
        })
    }
}

/// All that is said about proxies, but for what the host's entry says.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// Said for this run; comes before the host's entry.
    pub explicit: Option<ProxySetting>,
    /// Hosts to connect to directly, said for this run; comes before the host's entry.
    pub no_proxy: Option<NoProxy>,
    environment: Option<Result<FromEnvironment, ProxyUrlError>>,
    environment_no_proxy: NoProxy,
}

#[derive(Clone, Debug)]
struct FromEnvironment {
    setting: ProxySetting,
    password: Option<SecretString>,
}

/// The proxy that was chosen for a host.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The proxy.
    pub proxy: Proxy,
    /// The password of its user, where the environment has it.
    pub password: Option<SecretString>,
}

impl Proxies {
    /// What the environment says: `https_proxy` or `HTTPS_PROXY`, `no_proxy` or `NO_PROXY`.
    ///
    /// An address that cannot be read is an error of the first connection that would need it.
    pub fn from_environment(get: impl Fn(&str) -> Option<OsString>) -> Self {
        let get = |names: [&str; 2]| {
            names.into_iter().filter_map(&get).map(|value| value.to_string_lossy().into_owned()).next()
        };
        let environment = get(["https_proxy", "HTTPS_PROXY"]).map(|text| {
            let (setting, password) = parse(&text)?;
            Ok(FromEnvironment { setting, password })
        });
        let environment_no_proxy =
            get(["no_proxy", "NO_PROXY"]).map_or_else(NoProxy::default, |text| NoProxy::parse(&text));
        Self { environment, environment_no_proxy, ..Self::default() }
    }

    /// The proxy for a host, if there is one. The first of these that says anything counts: this run, the host's
    /// entry, the environment; and in the same way for hosts to connect to directly.
    ///
    /// # Errors
    /// HTTP with a proxy that was said for it; the environment's address cannot be read. The environment's proxy is
    /// for HTTPS and does not concern HTTP.
    pub fn choose(&self, target: &Target) -> Result<Option<Chosen>, Error> {
        let no_proxy =
            self.no_proxy.as_ref().or(target.no_proxy.as_ref()).unwrap_or(&self.environment_no_proxy);
        if [&target.address, &target.host_name].into_iter().any(|name| no_proxy.matches(name)) {
            return Ok(None);
        }
        if let Some(said) = self.explicit.as_ref().or(target.proxy.as_ref()) {
            return match said {
                ProxySetting::Direct => Ok(None),
                ProxySetting::Through(_) if !target.https => {
                    Err(Error::ProxyNeedsHttps { host: target.alias.clone() })
                }
                ProxySetting::Through(proxy) => Ok(Some(Chosen { proxy: proxy.clone(), password: None })),
            };
        }
        match &self.environment {
            Some(_) if !target.https => Ok(None),
            None => Ok(None),
            Some(Err(error)) => Err(Error::Configuration {
                file: "the environment variable HTTPS_PROXY".to_owned(),
                reason: error.to_string(),
            }),
            Some(Ok(FromEnvironment { setting: ProxySetting::Direct, .. })) => Ok(None),
            Some(Ok(FromEnvironment { setting: ProxySetting::Through(proxy), password })) => {
                Ok(Some(Chosen { proxy: proxy.clone(), password: password.clone() }))
            }
        }
    }
}

impl std::str::FromStr for ProxySetting {
    type Err = ProxyUrlError;

    /// Reads an option or an entry: a password in it is refused.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match parse(text)? {
            (setting, None) => Ok(setting),
            (_, Some(_)) => Err(ProxyUrlError::Password),
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&authority(&self.host, self.port))
    }
}

/// The setting, and a password that stands in it.
fn parse(text: &str) -> Result<(ProxySetting, Option<SecretString>), ProxyUrlError> {
    let text = text.trim();
    if text.is_empty() || text.eq_ignore_ascii_case("none") {
        return Ok((ProxySetting::Direct, None));
    }
    let rest = match text.split_once("://") {
        None => text,
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
        // What stands before "://" may be anything, a password too, where there is no scheme.
        Some((scheme, _)) if scheme.chars().all(|c| c.is_ascii_alphanumeric()) => {
            return Err(ProxyUrlError::Scheme(scheme.to_owned()));
        }
        Some(_) => return Err(ProxyUrlError::Malformed),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (user, place) = rest.rsplit_once('@').map_or((None, rest), |(user, place)| (Some(user), place));
    let (user, password) =
        match user.map(|user| user.split_once(':').map_or((user, None), |(u, p)| (u, Some(p)))) {
            None => (None, None),
            Some((user, password)) => {
                (Some(decode(user)?), password.map(decode).transpose()?.map(SecretString::new))
            }
        };
    let (host, port) = split_port(place).ok_or(ProxyUrlError::Malformed)?;
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || !host.chars().all(good) || user.as_ref().is_some_and(String::is_empty) {
        return Err(ProxyUrlError::Malformed);
    }
    let proxy = Proxy { host: host.to_owned(), port: port.unwrap_or(80), user };
    Ok((ProxySetting::Through(proxy), password))
}

/// Undoes percent-encoding, in which users and passwords stand in URLs.
fn decode(text: &str) -> Result<String, ProxyUrlError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let Some(([high, low], after)) = after.split_first_chunk() else {
            return Err(ProxyUrlError::Malformed);
        };
        let (Some(high), Some(low)) = (digit(*high), digit(*low)) else {
            return Err(ProxyUrlError::Malformed);
        };
        bytes.push(high << 4 | low);
        rest = after;
    }
    let text = String::from_utf8(bytes).map_err(|_| ProxyUrlError::Malformed)?;
    if text.chars().any(char::is_control) { Err(ProxyUrlError::Malformed) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::hosts::Hosts;

    fn through(text: &str) -> Proxy {
        match text.parse() {
            Ok(ProxySetting::Through(proxy)) => proxy,
            other => unreachable!("{text}: {other:?}"),
        }
    }

    #[test]
    fn urls() {
        let proxy = |host: &str, port, user: Option<&str>| Proxy {
            host: host.to_owned(),
            port,
            user: user.map(str::to_owned),
        };
        assert_eq!(through("http://proxy.hop.test:3128"), proxy("proxy.hop.test", 3128, None));
        assert_eq!(through("HTTP://proxy:3128/"), proxy("proxy", 3128, None));
        assert_eq!(through("proxy"), proxy("proxy", 80, None));
        assert_eq!(through("http://alice@HOP.TEST@proxy:1"), proxy("proxy", 1, Some("alice@HOP.TEST")));
        assert_eq!(through("http://HOP%5calice@[::1]:8"), proxy("::1", 8, Some("HOP\\alice")));
        assert_eq!(through("http://[::1]:8").to_string(), "[::1]:8");
        for direct in ["", " ", "none", "NONE"] {
            assert_eq!(direct.parse(), Ok(ProxySetting::Direct));
        }
        for (bad, error) in [
            ("https://proxy:1", ProxyUrlError::Scheme("https".to_owned())),
            ("socks5h://proxy:1", ProxyUrlError::Scheme("socks5h".to_owned())),
            ("http://alice:secret@proxy:1", ProxyUrlError::Password),
            ("alice:secret@proxy:1", ProxyUrlError::Password),
            ("http://proxy:0", ProxyUrlError::Malformed),
            ("http://proxy:1/path", ProxyUrlError::Malformed),
            ("http://@proxy:1", ProxyUrlError::Malformed),
            ("http://a%zz@proxy", ProxyUrlError::Malformed),
            ("http://a%0d%0ab@proxy", ProxyUrlError::Malformed),
            ("http://", ProxyUrlError::Malformed),
            ("pass:wo://rd@proxy", ProxyUrlError::Malformed),
        ] {
            let got = bad.parse::<ProxySetting>().unwrap_err();
            assert_eq!(got, error, "{bad}");
            assert!(!got.to_string().contains("secret") && !got.to_string().contains("pass:"), "{got}");
        }
    }

    fn target(entry: &str, https: bool) -> Target {
        let mut hosts = Hosts::default();
        hosts.add("hosts.toml", &format!("[[host]]\nname = \"*\"\n{entry}")).unwrap();
        let target = hosts.resolve("servera.hop.test").unwrap();
        if https { target.with_https() } else { target }
    }

    fn environment(variables: &'static [(&str, &str)]) -> Proxies {
        Proxies::from_environment(move |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        })
    }

    fn chosen(proxies: &Proxies, target: &Target) -> Option<String> {
        proxies.choose(target).unwrap().map(|chosen| chosen.proxy.to_string())
    }

    #[test]
    fn the_first_that_says_anything_counts() {
        let (plain, entry) = (target("", true), target("proxy = \"entry:2\"", true));
        let direct = target("proxy = \"none\"", true);
        let mut proxies = environment(&[("HTTPS_PROXY", "http://env:3"), ("NO_PROXY", "other.test")]);
        assert_eq!(chosen(&proxies, &plain).as_deref(), Some("env:3"));
        assert_eq!(chosen(&proxies, &entry).as_deref(), Some("entry:2"));
        assert_eq!(chosen(&proxies, &direct), None);
        proxies.explicit = Some("said:1".parse().unwrap());
        assert_eq!(chosen(&proxies, &entry).as_deref(), Some("said:1"));
        assert_eq!(chosen(&proxies, &direct).as_deref(), Some("said:1"));
        proxies.explicit = Some(ProxySetting::Direct);
        assert_eq!(chosen(&proxies, &entry), None);
        let lower = environment(&[("HTTPS_PROXY", "upper:1"), ("https_proxy", "lower:1")]);
        assert_eq!(chosen(&lower, &plain).as_deref(), Some("lower:1"));
        assert_eq!(chosen(&environment(&[("HTTP_PROXY", "http:1"), ("NO_PROXY", "")]), &plain), None);
    }

    #[test]
    fn hosts_without_a_proxy() {
        let plain = target("", true);
        let mut proxies = environment(&[("https_proxy", "env:3"), ("no_proxy", "hop.test")]);
        assert_eq!(chosen(&proxies, &plain), None);
        assert_eq!(chosen(&proxies, &target("no_proxy = \"\"", true)).as_deref(), Some("env:3"));
        proxies.no_proxy = Some(NoProxy::parse("elsewhere"));
        assert_eq!(chosen(&proxies, &plain).as_deref(), Some("env:3"));
        assert_eq!(
            chosen(&proxies, &target("no_proxy = \"servera.hop.test\"", true)).as_deref(),
            Some("env:3")
        );
        // Also where the address is another one than the name's.
        proxies.no_proxy = Some(NoProxy::parse("10.0.0.0/8"));
        assert_eq!(chosen(&proxies, &target("address = \"10.1.2.3\"", true)), None);
        // A proxy that does not count is no reason to refuse HTTP.
        proxies.explicit = Some("said:1".parse().unwrap());
        assert_eq!(chosen(&proxies, &target("address = \"10.1.2.3\"", false)), None);
    }

    #[test]
    fn http_and_proxies() {
        let mut proxies = environment(&[("HTTPS_PROXY", "env:3")]);
        assert_eq!(chosen(&proxies, &target("", false)), None, "the variable is for HTTPS");
        let refused = |proxies: &Proxies, target: &Target| {
            let error = proxies.choose(target).unwrap_err();
            assert!(matches!(error, Error::ProxyNeedsHttps { .. }));
            assert!(error.to_string().contains("2150859185"), "{error}");
        };
        refused(&proxies, &target("proxy = \"entry:2\"", false));
        proxies.explicit = Some("said:1".parse().unwrap());
        refused(&proxies, &target("", false));
    }

    #[test]
    fn what_the_environment_has() {
        let proxies = environment(&[("HTTPS_PROXY", "http://alice:p%40ss@env:3")]);
        let chosen = proxies.choose(&target("", true)).unwrap().unwrap();
        assert_eq!(chosen.proxy.user.as_deref(), Some("alice"));
        assert_eq!(chosen.password, Some("p@ss".into()));
        assert!(!format!("{proxies:?} {chosen:?}").contains("p@ss"));
        let proxies = environment(&[("HTTPS_PROXY", "socks5://alice:secret@env:3")]);
        let error = proxies.choose(&target("", true)).unwrap_err().to_string();
        assert!(
            error.contains("HTTPS_PROXY") && error.contains("socks5") && !error.contains("secret"),
            "{error}"
        );
        assert!(proxies.choose(&target("", false)).unwrap().is_none(), "HTTP does not mind");
    }
}
