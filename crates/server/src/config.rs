//! What an administrator can set: one TOML file, every key optional.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hop_delegation::Constrained;
use serde::{Deserialize, Serialize};

use crate::auth_config::AuthConfig;
use crate::certificate_map::CertificateRule;
use crate::mapping::MapRule;

/// The configuration of one server.
///
/// Keys that WinRM has too carry WinRM's names and units (`MaxEnvelopeSizekb`, `IdleTimeout` in milliseconds).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Addresses to listen on, `ADDRESS:PORT`; port 0 takes a free one. Default: every address, port 5985.
    pub listen: Vec<String>,
    /// Addresses to listen on for HTTPS, usually `[::]:5986`. Default: none.
    pub listen_https: Vec<String>,
    /// The certificate of HTTPS and CredSSP, a PEM file with the chain above it. Default: one that the server makes for
    /// itself on first use and keeps (`/var/lib/hop/certificate.pem` for root).
    pub certificate: Option<PathBuf>,
    /// Its private key, a PEM file. Default: the same file.
    pub certificate_key: Option<PathBuf>,
    /// The certificate authorities whose certificates may log users in, a PEM file.
    pub client_ca: Option<PathBuf>,
    /// How clients may authenticate.
    pub auth: AuthConfig,
    /// The keytab with the host's service keys. Default: `KRB5_KTNAME`, then `/etc/krb5.keytab`.
    pub keytab: Option<PathBuf>,
    /// The server's own realm, whose users are mapped by name. Default: the realm of the keytab's first entry.
    pub realm: Option<String>,
    /// Service classes a ticket may be for, compared without case. Default: HTTP, WSMAN and host.
    pub services: Vec<String>,
    /// The command of a PowerShell session, speaking PSRP on stdin and stdout. Default: this program with `host`.
    pub command: Vec<String>,
    /// Whether sessions get tickets by constrained delegation: `auto` for those without a forwarded ticket, `prefer`
    /// for all (a forwarded ticket then stays out of the session), `off`.
    pub constrained_delegation: Constrained,
    /// Lines that map principals to local users, first match wins; before the default rule.
    pub map: Vec<MapRule>,
    /// Lines that say which principals the certificates of clients stand for, first match wins.
    #[serde(rename = "certificate_map")]
    pub certificate_map: Vec<CertificateRule>,
    /// Variables set in every session, above the clean environment.
    pub environment: BTreeMap<String, String>,
    /// Where the private directories of the sessions are made. Default: `/run/hop` for root, else below
    /// `$XDG_RUNTIME_DIR` or `/dev/shm`.
    pub runtime_dir: Option<PathBuf>,
    /// The user the network process becomes when the server is started as root. Default: `nobody`.
    pub network_user: String,
    /// The lowest uid a mapping by rule may reach. Default: `UID_MIN` of `/etc/login.defs`, else 1000.
    pub uid_min: Option<u32>,
    /// A file that receives the addresses really listened on, one per line, when the server is ready.
    pub ready_file: Option<PathBuf>,
    /// Largest SOAP envelope taken, in units of 1024 bytes.
    #[serde(rename = "MaxEnvelopeSizekb")]
    pub max_envelope_size_kb: u32,
    /// Connections open at a time.
    #[serde(rename = "MaxConnections")]
    pub max_connections: u32,
    /// Shells one principal may have open at a time.
    #[serde(rename = "MaxShellsPerUser")]
    pub max_shells_per_user: u32,
    /// Commands one shell may have at a time.
    #[serde(rename = "MaxProcessesPerShell")]
    pub max_processes_per_shell: u32,
    /// Milliseconds after which a shell nobody asks for is closed.
    #[serde(rename = "IdleTimeout")]
    pub idle_timeout_ms: u64,
    /// Longest time in milliseconds a Receive may wait, whatever the client's OperationTimeout says.
    #[serde(rename = "MaxTimeoutms")]
    pub max_timeout_ms: u64,
    /// Largest clock difference to clients that is tolerated, in seconds.
    pub clockskew: u64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: vec!["[::]:5985".to_owned()],
            listen_https: Vec::new(),
            certificate: None,
            certificate_key: None,
            client_ca: None,
            auth: AuthConfig::default(),
            keytab: None,
            realm: None,
            services: ["HTTP", "WSMAN", "host"].map(str::to_owned).to_vec(),
            command: Vec::new(),
            constrained_delegation: Constrained::Auto,
            map: Vec::new(),
            certificate_map: Vec::new(),
            environment: BTreeMap::new(),
            runtime_dir: None,
            network_user: "nobody".to_owned(),
            uid_min: None,
            ready_file: None,
            max_envelope_size_kb: 500,
            max_connections: 300,
            max_shells_per_user: 30,
            max_processes_per_shell: 25,
            idle_timeout_ms: 7_200_000,
            max_timeout_ms: 60_000,
            clockskew: 300,
        }
    }
}

impl ServerConfig {
    /// Reads the configuration from TOML text.
    ///
    /// # Errors
    /// The text is no TOML, has an unknown key or a value of the wrong kind, or a limit is zero.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|e| ConfigError::Syntax(Box::new(e)))?;
        config.check()?;
        Ok(config)
    }

    /// Reads the configuration file at `path`.
    ///
    /// # Errors
    /// As [`ServerConfig::parse`], and when the file cannot be read.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&text)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let limits = [
            ("MaxEnvelopeSizekb", u64::from(self.max_envelope_size_kb)),
            ("MaxConnections", u64::from(self.max_connections)),
            ("MaxShellsPerUser", u64::from(self.max_shells_per_user)),
            ("MaxProcessesPerShell", u64::from(self.max_processes_per_shell)),
            ("IdleTimeout", self.idle_timeout_ms),
            ("MaxTimeoutms", self.max_timeout_ms),
        ];
        for (key, value) in limits {
            if value == 0 {
                return Err(ConfigError::Limit { key });
            }
        }
        for rule in &self.map {
            rule.check()?;
        }
        for rule in &self.certificate_map {
            rule.check()?;
        }
        self.auth.check()?;
        if self.auth.certificate && (self.client_ca.is_none() || self.listen_https.is_empty()) {
            return Err(ConfigError::Auth("Certificate = true needs client_ca and listen_https"));
        }
        if self.auth.basic && self.listen_https.is_empty() && !self.auth.allow_unencrypted {
            return Err(ConfigError::Auth("Basic = true needs listen_https, or AllowUnencrypted = true"));
        }
        Ok(())
    }

    /// The keytab to use, after the environment and the default.
    #[must_use]
    pub fn keytab_path(&self) -> PathBuf {
        self.keytab.clone().unwrap_or_else(|| match std::env::var("KRB5_KTNAME") {
            Ok(name) if !name.is_empty() => PathBuf::from(name.strip_prefix("FILE:").unwrap_or(&name)),
            _ => PathBuf::from("/etc/krb5.keytab"),
        })
    }

    /// The limits, which the network process needs to know.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            max_envelope_size: self.max_envelope_size_kb.saturating_mul(1024),
            max_connections: self.max_connections,
            max_shells_per_user: self.max_shells_per_user,
            max_processes_per_shell: self.max_processes_per_shell,
            idle_timeout_ms: self.idle_timeout_ms,
            max_timeout_ms: self.max_timeout_ms,
        }
    }
}

/// The part of the configuration that crosses to the network process as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub max_envelope_size: u32,
    pub max_connections: u32,
    pub max_shells_per_user: u32,
    pub max_processes_per_shell: u32,
    pub idle_timeout_ms: u64,
    pub max_timeout_ms: u64,
}

impl Limits {
    pub fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.idle_timeout_ms)
    }

    pub fn max_timeout(&self) -> Duration {
        Duration::from_millis(self.max_timeout_ms)
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not TOML, or not with the keys and kinds of [`ServerConfig`].
    #[error("invalid server configuration: {0}")]
    Syntax(Box<toml::de::Error>),
    /// A limit of zero would let nothing through.
    #[error("{key} must be greater than 0")]
    Limit {
        /// The key.
        key: &'static str,
    },
    /// Ways of authentication that cannot be as configured.
    #[error("auth: {0}")]
    Auth(&'static str),
    /// A mapping line that cannot mean anything.
    #[error("map line for \"{principal}\": {problem}")]
    Map {
        /// The line's principal pattern.
        principal: String,
        /// What is wrong.
        problem: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(ServerConfig::parse("").unwrap(), ServerConfig::default());
    }

    #[test]
    fn keys_carry_winrm_names() {
        let text = "listen = ['127.0.0.1:0']\nMaxEnvelopeSizekb = 150\n\
                    [[map]]\nprincipal = 'root@HOP.TEST'\nuser = 'root'\n[environment]\nLANG = 'C.UTF-8'\n";
        let config = ServerConfig::parse(text).unwrap();
        assert_eq!(config.limits().max_envelope_size, 150 * 1024);
        assert_eq!(config.map.len(), 1);
        assert_eq!(config.environment["LANG"], "C.UTF-8");
    }

    #[test]
    fn unknown_keys_zero_limits_and_bad_lines_are_refused() {
        for text in [
            "keytabs = 'x'",
            "MaxConnections = 0",
            "[[map]]\nprincipal = 'alice'\nuser = 'alice'",
            "[[map]]\nprincipal = '*@*@X'\nuser = 'alice'",
            "[[map]]\nprincipal = 'a@X'",
            "[auth]\nNegotiate = false\nKerberos = false",
            "[auth]\nBasic = true",
            "[auth]\nCertificate = true\n",
            "[auth]\nCbtHardeningLevel = 'Loose'",
            "[[certificate_map]]\nprincipal = 'a@X'",
            "[[certificate_map]]\nprincipal = 'a@X'\nfingerprint = 'abc'",
            "[[certificate_map]]\nprincipal = '*@X'\nname = 'a@x'",
        ] {
            assert!(ServerConfig::parse(text).is_err(), "{text}");
        }
    }
}
