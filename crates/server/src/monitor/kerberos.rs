//! Kerberos: tokens are AP-REQs, the keys come from the keytab.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hop_delegation::{CameBy, Constrained, ServerFacts, SessionReport};
use hop_kerberos::ap::KeytabKeys;
use hop_kerberos::gss::{Acceptor, AcceptorOptions, BindingPolicy, ChannelBindings};
use hop_kerberos::keytab::Keytab;
use hop_kerberos::replay::MemoryReplayCache;
use hop_kerberos::{EncryptionType, Principal, TicketFlags};
use hop_secret::SecretBytes;

use super::ServerError;
use super::identity::{Authenticated, Rejection};
use crate::config::ServerConfig;

/// The keys of the keytab, and the authenticators that were seen.
pub(crate) struct KerberosAuthority {
    path: PathBuf,
    /// When the file that was read was written: a new one is read when a host changes its password.
    modified: Option<SystemTime>,
    keys: KeytabKeys,
    replay: MemoryReplayCache,
    services: Vec<String>,
    clock_skew: Duration,
    realm: String,
    constrained: Constrained,
    binding_policy: BindingPolicy,
    service: Principal,
    hosts: Vec<String>,
}

impl KerberosAuthority {
    pub fn open(config: &ServerConfig) -> Result<Self, ServerError> {
        let path = config.keytab_path();
        let modified = modified(&path);
        let keytab = read(&path).map_err(|problem| ServerError::Keytab { path: path.clone(), problem })?;
        let usable = keytab.entries.iter().find(|e| is_service(&e.principal.components, &config.services));
        let Some(entry) = usable else {
            let problem = format!("has no key for a service {}", config.services.join(", "));
            return Err(ServerError::Keytab { path, problem });
        };
        let realm = config.realm.clone().unwrap_or_else(|| entry.principal.realm.clone());
        let service = entry.principal.clone();
        let mut hosts: Vec<String> = Vec::new();
        for entry in keytab.entries.iter().filter(|e| is_service(&e.principal.components, &config.services)) {
            if let Some(host) = entry.principal.components.get(1).map(|h| h.to_lowercase())
                && !hosts.contains(&host)
            {
                hosts.push(host);
            }
        }
        Ok(Self {
            path,
            modified,
            keys: KeytabKeys::permitting(&keytab, &permitted(&realm)),
            replay: MemoryReplayCache::default(),
            services: config.services.clone(),
            clock_skew: Duration::from_secs(config.clockskew),
            realm,
            constrained: config.constrained_delegation,
            binding_policy: config.auth.cbt_hardening_level.into(),
            service,
            hosts,
        })
    }

    /// The service of this host that tickets in users' names are asked for.
    pub fn service(&self) -> &Principal {
        &self.service
    }

    /// The names of this host for which there are keys.
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    pub fn realm(&self) -> &str {
        &self.realm
    }

    fn reload_if_changed(&mut self) {
        let modified = modified(&self.path);
        if modified.is_none() || modified == self.modified {
            return;
        }
        match read(&self.path) {
            Ok(keytab) => {
                tracing::info!(path = %self.path.display(), "read the keytab again");
                self.keys = KeytabKeys::permitting(&keytab, &permitted(&self.realm));
                self.modified = modified;
            }
            // It may be in the middle of being written: the old keys stay, the next token tries again.
            Err(problem) => {
                tracing::warn!(path = %self.path.display(), problem, "cannot read the keytab again")
            }
        }
    }
}

impl KerberosAuthority {
    /// Checks a GSS-API token, for the channel with these bindings.
    pub fn accept(
        &mut self,
        token: &[u8],
        bindings: Option<&[u8]>,
        now: SystemTime,
    ) -> Result<Authenticated, Box<Rejection>> {
        self.reload_if_changed();
        let options = AcceptorOptions {
            clock_skew: self.clock_skew,
            channel_bindings: bindings
                .map(|b| ChannelBindings { application_data: b.to_vec(), ..ChannelBindings::default() }),
            services: self.services.clone(),
            binding_policy: self.binding_policy,
        };
        let accepted =
            Acceptor::accept(token, &mut self.keys, &mut self.replay, &options, now, &mut rand::rng())
                .map_err(|refused| {
                    Box::new(Rejection { reason: refused.error.to_string(), reply: refused.reply })
                })?;
        let delegated = accepted.delegated.filter(|tgt| tgt.is_current(now));
        let report = SessionReport::new(&ServerFacts {
            client: accepted.client.to_string(),
            service: accepted.server.to_string(),
            ticket_forwardable: accepted.ticket_flags.contains(TicketFlags::FORWARDABLE),
            ticket_ok_as_delegate: accepted.ticket_flags.contains(TicketFlags::OK_AS_DELEGATE),
            delegation_requested: accepted.delegation_requested,
            credential_present: delegated.is_some(),
            constrained: self.constrained,
            came_by: CameBy::Kerberos,
            evidence_present: true,
        });
        Ok(Authenticated {
            context: accepted.context.export(),
            reply: accepted.reply,
            client: accepted.client,
            came_by: CameBy::Kerberos,
            expires: accepted.evidence.end_time + self.clock_skew,
            evidence: Some(accepted.evidence),
            password: None,
            delegated,
            report,
        })
    }
}

fn read(path: &Path) -> Result<Keytab, String> {
    let bytes = SecretBytes::new(std::fs::read(path).map_err(|e| e.to_string())?);
    Keytab::parse(bytes.expose()).map_err(|e| e.to_string())
}

/// `permitted_enctypes` of krb5.conf: whether keys of deprecated types may be used.
fn permitted(realm: &str) -> Vec<EncryptionType> {
    let config = hop_kerberos_io::Environment::from_process().load_config().ok();
    let defaults = config.and_then(|config| config.defaults(Some(realm)).ok());
    defaults.and_then(|defaults| defaults.permitted_enctypes).unwrap_or_default()
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}

fn is_service(components: &[String], services: &[String]) -> bool {
    matches!(components, [class, _host] if services.iter().any(|s| s.eq_ignore_ascii_case(class)))
}
