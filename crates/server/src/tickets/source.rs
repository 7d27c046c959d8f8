//! Where a session's tickets come from: S4U2Proxy with the ticket that its client came with, else the forwarded
//! ticket-granting ticket if there is one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hop_kerberos::ccache::CredentialCache;
use hop_kerberos::kdc::Refusal;
use hop_kerberos::keytab::{Keytab, KeytabEntry};
use hop_kerberos::{Credential, EncryptionType, ErrorCode, Principal};
use hop_kerberos_io::{Error, KdcClient, Proof, TgtOptions};
use tokio::sync::Mutex;

/// A ticket-granting ticket of the host that ends sooner than this is renewed before it is used.
const RENEW_BEFORE: Duration = Duration::from_secs(300);
/// RFC 4757.
const RC4_HMAC: i32 = 23;

/// This host at its KDC: its keys and the tickets it has got with them.
#[derive(Default)]
pub(crate) struct Host {
    keytab: std::sync::Mutex<Arc<Keytab>>,
    tgts: Mutex<HashMap<Principal, CredentialCache>>,
}

impl Host {
    /// Takes the keys from here on.
    pub fn set_keytab(&self, keytab: Keytab) {
        *self.keytab.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(keytab);
    }

    pub fn keytab(&self) -> Arc<Keytab> {
        self.keytab.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// The host's own tickets, as the account that the service principal belongs to.
    pub async fn tickets(&self, kdc: &KdcClient, service: &Principal) -> Result<CredentialCache, Error> {
        let keytab = self.keytab();
        let mut tgts = self.tgts.lock().await;
        let mut last = None;
        for account in accounts(&keytab, service) {
            if let Some(known) = tgts.get(&account)
                && known.tgt().is_some_and(|t| t.is_current(known.kdc_time(SystemTime::now() + RENEW_BEFORE)))
            {
                return Ok(known.clone());
            }
            match kdc.get_tgt(&account, Proof::Keytab(&keytab), &TgtOptions::default()).await {
                Ok(cache) => {
                    tgts.insert(account, cache.clone());
                    return Ok(cache);
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::NoKey { principal: service.clone() }))
    }
}

/// The principals of the account that a service belongs to, the likeliest to get a ticket-granting ticket first: in
/// Active Directory only `NAME$` gets one, elsewhere the service itself does.
fn accounts(keytab: &Keytab, service: &Principal) -> Vec<Principal> {
    let same_name = |p: &Principal| {
        p.realm == service.realm
            && p.components.len() == service.components.len()
            && p.components.iter().zip(&service.components).all(|(a, b)| a.eq_ignore_ascii_case(b))
    };
    // An RC4 key has no salt: accounts with the same password share it.
    let salted = |e: &&KeytabEntry| e.key.etype != EncryptionType::from_number(RC4_HMAC);
    let keys: Vec<_> = keytab
        .entries
        .iter()
        .filter(salted)
        .filter(|e| same_name(&e.principal))
        .map(|e| e.key.clone())
        .collect();
    // Names of one account have the same keys. A ticket under a name that the keytab lacks was opened by some key.
    let shares = |e: &&KeytabEntry| keys.is_empty() || keys.contains(&e.key);
    let mut found: Vec<Principal> = Vec::new();
    for entry in keytab.entries.iter().filter(shares) {
        if !found.contains(&entry.principal) {
            found.push(entry.principal.clone());
        }
    }
    let rank = |p: &Principal| match p.components.as_slice() {
        [name] if name.ends_with('$') => 0,
        _ if same_name(p) => 1,
        _ => 2,
    };
    found.sort_by_key(rank);
    found
}

/// What a session has to show.
pub(crate) struct Source {
    pub kdc: KdcClient,
    pub host: Arc<Host>,
    pub evidence: Credential,
    pub forwarded: Option<Mutex<CredentialCache>>,
    known: Mutex<HashMap<Principal, Credential>>,
}

/// Why there is no ticket for a target.
#[derive(Debug)]
pub(crate) struct NoTicket {
    /// What the session's program is told.
    pub refusal: Refusal,
    /// What is told to people.
    pub text: String,
    /// The domain's own refusal, by its code; 0 when it could not be asked.
    pub code: i32,
}

impl Source {
    pub fn new(
        kdc: KdcClient,
        host: Arc<Host>,
        evidence: Credential,
        forwarded: Option<CredentialCache>,
    ) -> Self {
        Self { kdc, host, evidence, forwarded: forwarded.map(Mutex::new), known: Mutex::default() }
    }

    /// A ticket for a target in the user's name; kept as long as it lives.
    pub async fn ticket(&self, target: &Principal) -> Result<Credential, NoTicket> {
        let mut known = self.known.lock().await;
        if let Some(ticket) = known.get(target).filter(|t| t.is_current(SystemTime::now())) {
            return Ok(ticket.clone());
        }
        let ticket = self.fetch(target).await?;
        known.insert(target.clone(), ticket.clone());
        Ok(ticket)
    }

    async fn fetch(&self, target: &Principal) -> Result<Credential, NoTicket> {
        let proxied = match self.host.tickets(&self.kdc, &self.evidence.server).await {
            Ok(own) => self.kdc.s4u2proxy(&own, &self.evidence, target).await,
            Err(error) => Err(error),
        };
        match (proxied, &self.forwarded) {
            (Ok(ticket), _) => Ok(ticket),
            (Err(_), Some(forwarded)) => {
                let mut cache = forwarded.lock().await;
                self.kdc.service_ticket(&mut cache, target).await.map_err(no_ticket)
            }
            (Err(error), None) => Err(no_ticket(error)),
        }
    }
}

fn no_ticket(error: Error) -> NoTicket {
    let code = match &error {
        Error::DelegationRefused { code, .. } => *code,
        Error::UnknownServer { .. } => ErrorCode::KDC_ERR_S_PRINCIPAL_UNKNOWN,
        Error::Kerberos(hop_kerberos::Error::Kdc(kdc)) => kdc.code,
        _ => ErrorCode(0),
    };
    let refusal = match code {
        ErrorCode(0) => Refusal::new(ErrorCode::KRB_ERR_GENERIC, "the domain could not be asked"),
        ErrorCode::KDC_ERR_S_PRINCIPAL_UNKNOWN => Refusal::new(code, "the domain knows no such service"),
        _ => Refusal::new(code, "the domain does not let this session go there; see `hop ticket why`"),
    };
    NoTicket { refusal, text: error.to_string(), code: code.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hop_kerberos::EncryptionKey;

    #[test]
    fn the_account_of_a_service_is_found_by_its_keys() {
        let rng = &mut rand::rng();
        let mut key = || EncryptionKey::random(EncryptionType::Aes256CtsHmacSha1, rng).unwrap();
        let (a, b) = (key(), key());
        let mut keytab = Keytab::default();
        let now = SystemTime::now();
        let name = |text: &str| Principal::parse(text, Some("HOP.TEST")).unwrap();
        for (principal, key) in [
            ("HTTP/a.hop.test", &a),
            ("host/a.hop.test", &a),
            ("A$", &a),
            ("HTTP/b.hop.test", &b),
            ("bsvc", &b),
        ] {
            keytab.push(name(principal), 1, key.clone(), now);
        }
        let of = |service: &str| {
            accounts(&keytab, &name(service)).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            of("http/A.hop.test"),
            ["A$@HOP.TEST", "HTTP/a.hop.test@HOP.TEST", "host/a.hop.test@HOP.TEST"]
        );
        assert_eq!(of("HTTP/b.hop.test"), ["HTTP/b.hop.test@HOP.TEST", "bsvc@HOP.TEST"]);
        assert_eq!(of("HTTP/alias.hop.test")[0], "A$@HOP.TEST");
    }
}
