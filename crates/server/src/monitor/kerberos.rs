//! Kerberos: tokens are AP-REQs, the keys come from the keytab.

use std::path::PathBuf;
use std::time::SystemTime;

use hop_kerberos::keytab::Keytab;

use super::ServerError;
use super::authority::{Authenticated, Authority, Rejection};
use crate::config::ServerConfig;

/// The keytab and what was seen.
pub(crate) struct KerberosAuthority {
    path: PathBuf,
    modified: Option<SystemTime>,
    keytab: Keytab,
    realm: String,
}

impl KerberosAuthority {
    pub fn open(config: &ServerConfig) -> Result<Self, ServerError> {
        let path = config.keytab_path();
        let problem = |problem: String| ServerError::Keytab { path: path.clone(), problem };
        let bytes = hop_secret::SecretBytes::new(std::fs::read(&path).map_err(|e| problem(e.to_string()))?);
        let keytab = Keytab::parse(bytes.expose()).map_err(|e| problem(e.to_string()))?;
        let usable = keytab.entries.iter().find(|e| is_service(&e.principal.components, &config.services));
        let Some(entry) = usable else {
            return Err(problem(format!("has no key for a service {}", config.services.join(", "))));
        };
        let realm = config.realm.clone().unwrap_or_else(|| entry.principal.realm.clone());
        Ok(Self { modified: modified(&path), path, keytab, realm })
    }

    pub fn realm(&self) -> &str {
        &self.realm
    }
}

fn modified(path: &std::path::Path) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}

fn is_service(components: &[String], services: &[String]) -> bool {
    matches!(components, [class, _host] if services.iter().any(|s| s.eq_ignore_ascii_case(class)))
}

impl Authority for KerberosAuthority {
    fn accept(&mut self, token: &[u8], bindings: Option<&[u8]>, now: SystemTime) -> Result<Authenticated, Box<Rejection>> {
        let _ = (token, bindings, now);
        Err(Box::new(Rejection { reply: None, reason: "x".to_owned() }))
    }
}
