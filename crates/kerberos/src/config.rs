//! krb5.conf: realms and their KDCs, which host belongs to which realm, and the defaults.
//!
//! The text is parsed as MIT does, several files of one search path included: where a relation stands in more than
//! one, the first has precedence, unless a final marker (`*`) shuts later ones out altogether. Reading the files
//! is the caller's business, as is expanding `%{uid}` and its like ([`expand`] does it from values it is given).

use std::fmt;
use std::time::Duration;

use crate::EncryptionType;

mod paths;
pub(crate) use paths::hierarchy;
mod profile;
mod values;

use profile::{Content, Profile, Section};
pub use profile::{Include, Includer};
pub use values::{parse_boolean, parse_duration, parse_encryption_types};

/// What is wrong with a krb5.conf.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A line does not follow the syntax.
    #[error("line {line}: expected {expected}")]
    Syntax {
        /// Number of the line, from 1.
        line: usize,
        /// What would have been right.
        expected: &'static str,
    },
    /// The file is not UTF-8 text.
    #[error("not UTF-8 text")]
    NotText,
    /// Groups or includes nest too deeply (a file that includes itself, say).
    #[error("groups or included files nest deeper than {limit}")]
    TooDeep {
        /// The deepest nesting that is read.
        limit: usize,
    },
    /// The files are larger than a configuration can sensibly be.
    #[error("more than {limit} bytes of configuration")]
    TooLarge {
        /// The most bytes that are read.
        limit: usize,
    },
    /// An included file could not be read.
    #[error("included file: {0}")]
    Include(String),
    /// A `module` directive: configuration by shared library is not supported.
    #[error("configuration by module is not supported")]
    Module,
    /// A relation has a value that cannot be understood.
    #[error("{relation}: expected {expected}, got `{got}`")]
    Value {
        /// The relation's name.
        relation: String,
        /// What it takes.
        expected: &'static str,
        /// What stands there.
        got: String,
    },
}

/// The configuration: one or more files of a search path, the first having precedence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    files: Vec<Profile>,
}

impl Config {
    /// Parses one file that includes no other.
    ///
    /// # Errors
    /// A syntax error with its line, or an `include` directive.
    pub fn parse(text: &[u8]) -> Result<Self, ConfigError> {
        Self::parse_with(text, &mut |include| match include {
            Include::File(name) | Include::Directory(name) => {
                Err(format!("{name}: no files can be read here"))
            }
        })
    }

    /// Parses one file, asking `includer` for the files it includes.
    ///
    /// # Errors
    /// A syntax error with its line (of the file it is in), or what the includer reports.
    pub fn parse_with(text: &[u8], includer: &mut Includer<'_>) -> Result<Self, ConfigError> {
        Ok(Self { files: vec![Profile::parse(text, includer)?] })
    }

    /// Adds the files of `later` behind those here, as a search path with several files does.
    pub fn append(&mut self, later: Self) {
        self.files.extend(later.files);
    }

    /// The configuration as text; several files become one, with the same meaning.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        match self.files.as_slice() {
            [only] => only.write(&mut text),
            files => {
                let mut merged = Profile::default();
                for file in files {
                    merge(&mut merged.root, &file.root);
                }
                merged.write(&mut text);
            }
        }
        text
    }

    /// All values of the relation at this path (section, groups…, name), in order of precedence.
    pub fn values(&self, path: &[&str]) -> Vec<&str> {
        let mut found = Vec::new();
        for file in &self.files {
            if collect(&file.root, path, &mut |content| {
                if let Content::Value(value) = content {
                    found.push(value.as_str());
                }
            }) {
                break;
            }
        }
        found
    }

    /// The value with precedence of the relation at this path.
    pub fn value(&self, path: &[&str]) -> Option<&str> {
        self.values(path).into_iter().next()
    }

    /// The names in the section or group at this path, each once, in order.
    pub fn names(&self, path: &[&str]) -> Vec<&str> {
        let mut found: Vec<&str> = Vec::new();
        for file in &self.files {
            if collect(&file.root, path, &mut |content| {
                if let Content::Group(group) = content {
                    for node in &group.nodes {
                        if !found.contains(&node.name.as_str()) {
                            found.push(&node.name);
                        }
                    }
                }
            }) {
                break;
            }
        }
        found
    }

    /// A relation of `[libdefaults]`, or of the realm's own group in it, which has precedence.
    pub fn libdefault(&self, realm: Option<&str>, name: &str) -> Option<&str> {
        realm
            .and_then(|realm| self.value(&["libdefaults", realm, name]))
            .or_else(|| self.value(&["libdefaults", name]))
    }

    /// `default_realm`.
    pub fn default_realm(&self) -> Option<&str> {
        self.libdefault(None, "default_realm")
    }

    /// The realm a host belongs to by `[domain_realm]`: its own entry, or that of the nearest domain above it.
    /// A domain's entry begins with a dot; one without serves the host of that name and, as in MIT's programs, the
    /// hosts below it too.
    pub fn host_realm(&self, host: &str) -> Option<&str> {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let entries = self.names(&["domain_realm"]);
        let mut name = host.as_str();
        while !name.is_empty() {
            if let Some(entry) = entries.iter().find(|entry| entry.eq_ignore_ascii_case(name)) {
                return self.value(&["domain_realm", entry]);
            }
            // `a.hop.test` is followed by `.hop.test`, that by `hop.test`
            name = match name.strip_prefix('.') {
                Some(rest) => rest,
                None => name.find('.').and_then(|at| name.get(at..)).unwrap_or_default(),
            };
        }
        None
    }

    /// The KDCs of a realm as `[realms]` names them, in order of preference.
    pub fn kdcs(&self, realm: &str) -> Vec<KdcAddress> {
        self.values(&["realms", realm, "kdc"])
            .into_iter()
            .flat_map(str::split_whitespace)
            .filter_map(KdcAddress::parse)
            .collect()
    }

    /// The realms that `[realms]` describes.
    pub fn realms(&self) -> Vec<&str> {
        self.names(&["realms"])
    }

    /// The realm's rules for mapping principals to local users, in order.
    pub fn auth_to_local(&self, realm: &str) -> Vec<&str> {
        self.values(&["realms", realm, "auth_to_local"])
    }

    /// The defaults that matter to a client of `realm` (or of any), with MIT's values where nothing is said.
    ///
    /// # Errors
    /// [`ConfigError::Value`] for the first relation whose value cannot be understood.
    pub fn defaults(&self, realm: Option<&str>) -> Result<LibDefaults, ConfigError> {
        let text = |name: &str| self.libdefault(realm, name).map(str::to_owned);
        let boolean = |name: &str, default: bool| match self.libdefault(realm, name) {
            None => Ok(default),
            Some(value) => parse_boolean(value).ok_or_else(|| bad(name, "yes or no", value)),
        };
        let duration = |name: &str| match self.libdefault(realm, name) {
            None => Ok(None),
            Some(value) => {
                parse_duration(value).map(Some).ok_or_else(|| bad(name, "a time span such as 10h", value))
            }
        };
        let encryption_types = |name: &str| match self.libdefault(realm, name) {
            None => Ok(None),
            Some(value) => Ok(Some(parse_encryption_types(value))),
        };
        let udp_preference_limit = match self.libdefault(realm, "udp_preference_limit") {
            None => 1465,
            Some(value) => {
                value.parse().map_err(|_| bad("udp_preference_limit", "a number of bytes", value))?
            }
        };
        Ok(LibDefaults {
            default_realm: text("default_realm"),
            ticket_lifetime: duration("ticket_lifetime")?.unwrap_or(Duration::from_secs(24 * 3600)),
            renew_lifetime: duration("renew_lifetime")?.filter(|lifetime| !lifetime.is_zero()),
            forwardable: boolean("forwardable", false)?,
            proxiable: boolean("proxiable", false)?,
            canonicalize: boolean("canonicalize", false)?,
            default_ccache_name: text("default_ccache_name"),
            default_keytab_name: text("default_keytab_name"),
            default_client_keytab_name: text("default_client_keytab_name"),
            // MIT's switch is a number, of which only zero and one are in use.
            kdc_timesync: boolean("kdc_timesync", true)?,
            clock_skew: duration("clockskew")?.unwrap_or(Duration::from_secs(300)),
            dns_lookup_kdc: boolean("dns_lookup_kdc", true)?,
            dns_lookup_realm: boolean("dns_lookup_realm", false)?,
            dns_canonicalize_hostname: match self.libdefault(realm, "dns_canonicalize_hostname") {
                None => Canonicalize::Always,
                Some(value) if value.eq_ignore_ascii_case("fallback") => Canonicalize::Fallback,
                Some(value) => match parse_boolean(value) {
                    Some(true) => Canonicalize::Always,
                    Some(false) => Canonicalize::Never,
                    None => return Err(bad("dns_canonicalize_hostname", "yes, no or fallback", value)),
                },
            },
            rdns: boolean("rdns", true)?,
            udp_preference_limit,
            permitted_enctypes: encryption_types("permitted_enctypes")?,
            default_tkt_enctypes: encryption_types("default_tkt_enctypes")?,
            default_tgs_enctypes: encryption_types("default_tgs_enctypes")?,
        })
    }
}

/// `[libdefaults]`, typed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LibDefaults {
    /// The realm of principals that name none.
    pub default_realm: Option<String>,
    /// How long a first ticket shall live (one day).
    pub ticket_lifetime: Duration,
    /// For how long a first ticket shall be renewable; not at all unless set.
    pub renew_lifetime: Option<Duration>,
    /// Whether first tickets are asked to be forwardable (no).
    pub forwardable: bool,
    /// Whether first tickets are asked to be proxiable (no).
    pub proxiable: bool,
    /// Whether the KDC may answer for another name than was asked for (no).
    pub canonicalize: bool,
    /// Where credentials are kept, unexpanded (see [`expand`]).
    pub default_ccache_name: Option<String>,
    /// Where a service's keys are, unexpanded.
    pub default_keytab_name: Option<String>,
    /// Where a client's keys are, unexpanded.
    pub default_client_keytab_name: Option<String>,
    /// Whether the difference to the KDC's clock is kept with the credentials and allowed for (yes).
    pub kdc_timesync: bool,
    /// How far clocks may differ (five minutes).
    pub clock_skew: Duration,
    /// Whether KDCs that `[realms]` does not name are looked up in DNS (yes).
    pub dns_lookup_kdc: bool,
    /// Whether a host's realm is looked up in DNS (no).
    pub dns_lookup_realm: bool,
    /// Whether host names are made canonical by DNS before they become part of a service's name.
    pub dns_canonicalize_hostname: Canonicalize,
    /// Whether that includes a reverse lookup (yes).
    pub rdns: bool,
    /// Requests above this many bytes go to TCP at once (1465).
    pub udp_preference_limit: usize,
    /// Encryption types that may be used at all, in order of preference; `None` is the built-in list.
    pub permitted_enctypes: Option<Vec<EncryptionType>>,
    /// Encryption types to ask for in an AS request; `None` is the permitted ones.
    pub default_tkt_enctypes: Option<Vec<EncryptionType>>,
    /// Encryption types to ask for in a TGS request; `None` is the permitted ones.
    pub default_tgs_enctypes: Option<Vec<EncryptionType>>,
}

/// `dns_canonicalize_hostname`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Canonicalize {
    /// Before the first request.
    Always,
    /// Only once the name as given has failed.
    Fallback,
    /// Not at all.
    Never,
}

/// Where a KDC answers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KdcAddress {
    /// Host name or address, without brackets.
    pub host: String,
    /// Port, 88 unless said otherwise.
    pub port: u16,
    /// The only transport to use, if one is named (`tcp/host`).
    pub transport: Option<KdcTransport>,
    /// For a proxy: where on its host, from the slash on. Else empty.
    pub path: String,
}

/// How a KDC is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KdcTransport {
    /// Datagrams.
    Udp,
    /// A stream, each message after its length.
    Tcp,
    /// A KDC proxy ([MS-KKDCP]).
    Https,
}

impl KdcAddress {
    /// A KDC at this host and port, by any transport.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port, transport: None, path: String::new() }
    }

    /// Reads `host`, `host:port`, `[v6]:port`, each with `tcp/` or `udp/` before it if wanted, and a KDC proxy's
    /// `https://host[:port][/path]`. Nothing for an address that is not well formed.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(url) = strip_scheme(text) {
            let (host, path) = url.split_at(url.find('/').unwrap_or(url.len()));
            let (host, port) = host_and_port(host)?;
            let path = if path.is_empty() { "/" } else { path };
            let is_clean =
                |text: &str| !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#');
            return (is_clean(host) && is_clean(path) && !host.contains('@')).then(|| Self {
                host: host.to_owned(),
                port: port.unwrap_or(443),
                transport: Some(KdcTransport::Https),
                path: path.to_owned(),
            });
        }
        let (transport, rest) = match text.split_once('/') {
            None => (None, text),
            Some(("tcp", rest)) => (Some(KdcTransport::Tcp), rest),
            Some(("udp", rest)) => (Some(KdcTransport::Udp), rest),
            Some(_) => return None,
        };
        let (host, port) = host_and_port(rest)?;
        let port = port.unwrap_or(88);
        Some(Self { host: host.to_owned(), port, transport, path: String::new() })
    }
}

impl fmt::Display for KdcAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.transport == Some(KdcTransport::Https) {
            f.write_str("https://")?;
        }
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}{}", self.host, self.port, self.path),
            false => write!(f, "{}:{}{}", self.host, self.port, self.path),
        }
    }
}

/// The rest of an `https` URL; schemes are of any case.
fn strip_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once("://")?;
    scheme.eq_ignore_ascii_case("https").then_some(rest)
}

fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(bracketed) => {
            let (host, tail) = bracketed.split_once(']')?;
            (host, if tail.is_empty() { None } else { Some(tail.strip_prefix(':')?) })
        }
        None => match text.rsplit_once(':') {
            // more than one colon and no bracket: a bare IPv6 address
            Some((host, _)) if host.contains(':') => (text, None),
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = port.map(str::parse).transpose().ok()?;
    (!host.is_empty()).then_some((host, port))
}

/// What `%{…}` in file names stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expansion<'a> {
    /// `%{uid}`, `%{USERID}`.
    pub uid: u32,
    /// `%{euid}`.
    pub effective_uid: u32,
    /// `%{username}`.
    pub user_name: &'a str,
    /// `%{TEMP}`.
    pub temporary: &'a str,
}

/// Replaces `%{uid}` and its like in a file name.
///
/// # Errors
/// [`ConfigError::Value`] if the name holds a parameter that is not known, or one that does not end.
pub fn expand(name: &str, values: &Expansion<'_>) -> Result<String, ConfigError> {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, after)) = rest.split_once("%{") {
        let (parameter, tail) =
            after.split_once('}').ok_or_else(|| bad("file name", "a closing brace after %{", name))?;
        out.push_str(before);
        match parameter {
            "uid" | "USERID" => out.push_str(&values.uid.to_string()),
            "euid" => out.push_str(&values.effective_uid.to_string()),
            "username" => out.push_str(values.user_name),
            "TEMP" => out.push_str(values.temporary),
            "null" => {}
            _ => return Err(bad("file name", "%{uid}, %{euid}, %{username}, %{TEMP} or %{null}", name)),
        }
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

/// Hands every entry at the path to `visit`; true if a final marker on the way shuts out later files.
fn collect<'a>(section: &'a Section, path: &[&str], visit: &mut dyn FnMut(&'a Content)) -> bool {
    let Some((name, rest)) = path.split_first() else { return false };
    let mut is_final = false;
    for node in section.nodes.iter().filter(|node| node.name == *name) {
        is_final |= node.is_final;
        match (&node.content, rest) {
            (content, []) => visit(content),
            (Content::Group(group), rest) => is_final |= collect(group, rest, visit),
            (Content::Value(_), _) => {}
        }
    }
    is_final
}

/// Adds what `from` has to `into`, as if `from` stood behind it in one search path.
fn merge(into: &mut Section, from: &Section) {
    let earlier = into.nodes.len();
    for node in &from.nodes {
        let before = into.nodes.get(..earlier).unwrap_or_default();
        if before.iter().any(|known| known.name == node.name && known.is_final) {
            continue;
        }
        let group = into
            .nodes
            .iter_mut()
            .find(|known| known.name == node.name && matches!(known.content, Content::Group(_)));
        match (&node.content, group.map(|known| (&mut known.is_final, &mut known.content))) {
            (Content::Group(more), Some((is_final, Content::Group(group)))) => {
                *is_final |= node.is_final;
                merge(group, more);
            }
            _ => into.nodes.push(node.clone()),
        }
    }
}

fn bad(relation: &str, expected: &'static str, got: &str) -> ConfigError {
    ConfigError::Value { relation: relation.to_owned(), expected, got: got.to_owned() }
}

#[cfg(test)]
mod tests;
