//! Host configuration: how a name that somebody types becomes an address, a port, a service name.
//!
//! The format is that of `ssh_config` in TOML: entries with patterns, and for every setting the first entry that
//! matches and has it wins. Files: `$HOP_HOSTS` alone if it is set, else `~/.config/hop/hosts.toml` and then
//! `/etc/hop/hosts.toml`.
//!
//! ```toml
//! [[host]]
//! name = "servera"                 # pattern with * and ?, or a list of patterns
//! host_name = "servera.hop.test"   # the real name, for the service principal
//! address = "127.0.0.2"            # where to connect to, if not where host_name leads
//! port = 15985
//! https = true                     # HTTPS; the default port is 5986 then
//! service = "HTTP"                 # service part of the service principal name
//! user = "alice@HOP.TEST"
//! delegation = "forward"           # auto, never, constrained, forward, credssp
//! configuration = "PowerShell.7"   # session configuration
//! proxy = "http://proxy:3128"      # the HTTP proxy in between, for HTTPS; "none" for none
//! no_proxy = "10.0.0.0/8,hop.test" # hosts that are reached directly
//! ```

use std::{
    io,
    path::{Path, PathBuf},
};

use hop_delegation::Mode;
use serde::Deserialize;

use crate::{
    error::Error,
    proxy::{NoProxy, Proxy, ProxySetting},
};

/// WinRM's port for HTTP.
pub const DEFAULT_PORT: u16 = 5985;
/// WinRM's port for HTTPS.
pub const DEFAULT_HTTPS_PORT: u16 = 5986;
/// The session configuration that every PowerShell has.
pub const DEFAULT_CONFIGURATION: &str = "Microsoft.PowerShell";

/// Where to go and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// What was typed, for people.
    pub alias: String,
    /// The host's name, for the service principal and the `Host` header.
    pub host_name: String,
    /// What to connect to: name or address.
    pub address: String,
    /// TCP port.
    pub port: u16,
    /// HTTPS instead of HTTP.
    pub https: bool,
    /// Service part of the service principal name, `HTTP` if not configured.
    pub service: String,
    /// The user's principal, if not the default of the credential cache.
    pub user: Option<String>,
    /// The delegation mode, if one is configured.
    pub delegation: Option<Mode>,
    /// Session configuration.
    pub configuration: String,
    /// The proxy in between, if one is configured.
    pub proxy: Option<ProxySetting>,
    /// Hosts that are reached without proxy, if they are configured.
    pub no_proxy: Option<NoProxy>,
}

impl Target {
    /// The same host by HTTPS; HTTP's default port becomes that of HTTPS.
    #[must_use]
    pub fn with_https(mut self) -> Self {
        if !self.https && self.port == DEFAULT_PORT {
            self.port = DEFAULT_HTTPS_PORT;
        }
        self.https = true;
        self
    }

    /// `http://HOST:PORT/wsman`, or `https`.
    pub fn url(&self) -> String {
        format!("{}://{}/wsman", if self.https { "https" } else { "http" }, self.authority())
    }

    /// `HOST:PORT`, as it stands in URLs and `Host` headers.
    pub fn authority(&self) -> String {
        authority(&self.host_name, self.port)
    }
}

/// `HOST:PORT`; addresses of IPv6 in brackets.
pub(crate) fn authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// All entries, the most specific file first.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    host: Vec<Entry>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Patterns,
    host_name: Option<String>,
    address: Option<String>,
    port: Option<u16>,
    https: Option<bool>,
    service: Option<String>,
    user: Option<String>,
    delegation: Option<String>,
    configuration: Option<String>,
    proxy: Option<String>,
    no_proxy: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Patterns {
    One(String),
    Many(Vec<String>),
}

impl Hosts {
    /// Reads the files that are there.
    ///
    /// `get` reads the environment (`HOP_HOSTS`, `XDG_CONFIG_HOME`, `HOME`).
    ///
    /// # Errors
    /// A file that cannot be read or understood; `$HOP_HOSTS` must exist, the others need not.
    pub fn load(get: impl Fn(&str) -> Option<std::ffi::OsString>) -> Result<Self, Error> {
        let mut hosts = Self::default();
        if let Some(path) = get("HOP_HOSTS").filter(|path| !path.is_empty()) {
            hosts.read(Path::new(&path), true)?;
            return Ok(hosts);
        }
        let home = get("XDG_CONFIG_HOME")
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
            .or_else(|| get("HOME").map(|home| Path::new(&home).join(".config")));
        if let Some(home) = home {
            hosts.read(&home.join("hop/hosts.toml"), false)?;
        }
        hosts.read(Path::new("/etc/hop/hosts.toml"), false)?;
        Ok(hosts)
    }

    /// Adds the entries of a text; `file` is for messages.
    ///
    /// # Errors
    /// [`Error::Configuration`] with the place.
    pub fn add(&mut self, file: &str, text: &str) -> Result<(), Error> {
        let wrong = |reason: String| Error::Configuration { file: file.to_owned(), reason };
        let parsed: File = toml::from_str(text).map_err(|e| wrong(e.to_string().trim_end().to_owned()))?;
        for entry in &parsed.host {
            if let Some(mode) = &entry.delegation {
                mode.parse::<Mode>().map_err(|e| wrong(e.to_string()))?;
            }
            if let Some(proxy) = &entry.proxy {
                proxy.parse::<ProxySetting>().map_err(|e| wrong(format!("proxy: {e}")))?;
            }
        }
        self.entries.extend(parsed.host);
        Ok(())
    }

    /// What `[USER@]HOST[:PORT]` means.
    ///
    /// # Errors
    /// [`Error::Target`] if it cannot be read.
    pub fn resolve(&self, typed: &str) -> Result<Target, Error> {
        let bad = || Error::Target(typed.to_owned());
        let (user, host) = match typed.rsplit_once('@') {
            Some((user, host)) if !user.is_empty() => (Some(user.to_owned()), host),
            Some(_) => return Err(bad()),
            None => (None, typed),
        };
        let (alias, port) = split_port(host).ok_or_else(bad)?;
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
        if alias.is_empty() || !alias.chars().all(good) {
            return Err(bad());
        }
        let matching: Vec<&Entry> = self.entries.iter().filter(|entry| entry.name.matches(alias)).collect();
        let text =
            |field: fn(&Entry) -> Option<&String>| matching.iter().find_map(|entry| field(entry)).cloned();
        let host_name = text(|e| e.host_name.as_ref()).unwrap_or_else(|| alias.to_owned());
        let https = matching.iter().find_map(|e| e.https).unwrap_or(false);
        let default_port = if https { DEFAULT_HTTPS_PORT } else { DEFAULT_PORT };
        Ok(Target {
            https,
            alias: alias.to_owned(),
            address: text(|e| e.address.as_ref()).unwrap_or_else(|| host_name.clone()),
            host_name,
            port: port.or_else(|| matching.iter().find_map(|e| e.port)).unwrap_or(default_port),
            service: text(|e| e.service.as_ref()).unwrap_or_else(|| "HTTP".to_owned()),
            user: user.or_else(|| text(|e| e.user.as_ref())),
            delegation: text(|e| e.delegation.as_ref()).and_then(|mode| mode.parse().ok()),
            configuration: text(|e| e.configuration.as_ref())
                .unwrap_or_else(|| DEFAULT_CONFIGURATION.to_owned()),
            proxy: text(|e| e.proxy.as_ref()).and_then(|proxy| proxy.parse().ok()),
            no_proxy: text(|e| e.no_proxy.as_ref()).map(|list| NoProxy::parse(&list)),
        })
    }

    /// A proxy as the target of authentication.
    pub(crate) fn target_of_proxy(proxy: &Proxy) -> Target {
        Target {
            alias: proxy.to_string(),
            host_name: proxy.host.clone(),
            address: proxy.host.clone(),
            port: proxy.port,
            https: false,
            service: "HTTP".to_owned(),
            user: proxy.user.clone(),
            delegation: None,
            configuration: String::new(),
            proxy: None,
            no_proxy: None,
        }
    }

    fn read(&mut self, path: &Path, must_exist: bool) -> Result<(), Error> {
        match std::fs::read_to_string(path) {
            Ok(text) => self.add(&path.display().to_string(), &text),
            // A home folder may be closed to its own user's session (another host's, root squash): as ssh has it.
            Err(error)
                if !must_exist
                    && matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) =>
            {
                Ok(())
            }
            Err(error) => Err(Error::Configuration {
                file: path.display().to_string(),
                reason: format!("cannot read: {error}"),
            }),
        }
    }
}

impl Patterns {
    fn matches(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let one = |pattern: &String| matches(&pattern.to_ascii_lowercase(), &name);
        match self {
            Self::One(pattern) => one(pattern),
            Self::Many(patterns) => patterns.iter().any(one),
        }
    }
}

/// Matches a pattern with `*` and `?`.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut star = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == '?' || Some(&c) == name.get(n) => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, n) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

/// `HOST`, `HOST:PORT`, `[V6]`, `[V6]:PORT` or a bare IPv6 address.
pub(crate) fn split_port(host: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = host.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((address, Some(port.parse().ok().filter(|port| *port != 0)?))),
            None if rest.is_empty() => Some((address, None)),
            None => None,
        };
    }
    match host.split_once(':') {
        Some((_, rest)) if rest.contains(':') => Some((host, None)),
        Some((name, port)) => Some((name, Some(port.parse().ok().filter(|port| *port != 0)?))),
        None => Some((host, None)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_first_value_wins() {
        let mut hosts = Hosts::default();
        hosts
            .add(
                "a",
                r#"
                [[host]]
                name = "servera"
                host_name = "servera.hop.test"
                address = "127.0.0.2"
                port = 15985

                [[host]]
                name = ["server?", "*.hop.test"]
                port = 1
                user = "alice@HOP.TEST"
                delegation = "forward"
                service = "WSMAN"

                [[host]]
                name = "secure"
                https = true
                "#,
            )
            .unwrap();
        let target = hosts.resolve("ServerA").unwrap();
        assert_eq!((target.address.as_str(), target.port), ("127.0.0.2", 15985));
        assert_eq!((target.host_name.as_str(), target.service.as_str()), ("servera.hop.test", "WSMAN"));
        assert_eq!(
            (target.user.as_deref(), target.delegation),
            (Some("alice@HOP.TEST"), Some(Mode::Forward))
        );
        let target = hosts.resolve("bob@HOP.TEST@x.hop.test:99").unwrap();
        assert_eq!((target.port, target.user.as_deref()), (99, Some("bob@HOP.TEST")));
        let target = hosts.resolve("[::1]:7").unwrap();
        assert_eq!((target.address.as_str(), target.authority().as_str()), ("::1", "[::1]:7"));
        assert_eq!(hosts.resolve("secure").unwrap().url(), "https://secure:5986/wsman");
        assert_eq!(hosts.resolve("other").unwrap().with_https().url(), "https://other:5986/wsman");
        assert_eq!(hosts.resolve("other:80").unwrap().with_https().port, 80);
        assert_eq!(hosts.resolve("secure:7").unwrap().url(), "https://secure:7/wsman");
        assert_eq!(hosts.resolve("other").unwrap().url(), "http://other:5985/wsman");
    }

    #[test]
    fn bad_targets_and_files() {
        let hosts = Hosts::default();
        for bad in ["", "@a", "a b", "a:b", "a:0", "a:99999", "[::1", "[::1]x", "a/b", "http://a", "a\u{0}"] {
            assert!(matches!(hosts.resolve(bad), Err(Error::Target(_))), "{bad}");
        }
        for (bad, says) in [
            ("[[host]]\nport = 1", "name"),
            ("[[host]]\nname = \"a\"\nprot = 1", "prot"),
            ("[[host]]\nname = \"a\"\nport = 99999", "99999"),
            ("[[host]]\nname = \"a\"\ndelegation = \"maybe\"", "maybe"),
            ("host", "line 1"),
            ("[[host]]\nname = \"a\"\nproxy = \"socks5://b\"", "socks5"),
            ("[[host]]\nname = \"a\"\nproxy = \"http://a:b@c\"", "no password"),
        ] {
            let error = Hosts::default().add("hosts.toml", bad).unwrap_err().to_string();
            assert!(error.starts_with("hosts.toml: ") && error.contains(says), "{error}");
        }
    }

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("?", "", false),
            ("*.x", "a.b.x", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
