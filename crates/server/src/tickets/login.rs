//! Tickets for users who came without one: with the password that they handed over, or in the host's own name
//! (protocol transition).

use std::time::{Duration, SystemTime};

use hop_kerberos::ap::{KeytabKeys, ServiceKeys as _};
use hop_kerberos::ccache::CredentialCache;
use hop_kerberos::config::Config;
use hop_kerberos::{Credential, EncryptionKey, NameType, Principal, Ticket};
use hop_kerberos_io::{Error, KdcClient, Proof, TgtOptions};
use hop_secret::{SecretBytes, SecretString};

use super::message::{LoggedIn, Login, Notice};
use super::source::Host;

/// How far clocks may be apart.
const SKEW: Duration = Duration::from_secs(300);
/// How long the domain may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there are no tickets.
#[derive(Debug, thiserror::Error)]
enum LoginError {
    #[error(transparent)]
    Domain(#[from] Error),
    #[error(transparent)]
    Kerberos(#[from] hop_kerberos::Error),
    #[error(transparent)]
    Ccache(#[from] hop_kerberos::ccache::CcacheError),
    #[error("that is no user's name")]
    NoUser,
    #[error(transparent)]
    Name(#[from] hop_kerberos::PrincipalError),
    #[error("{0}")]
    Config(String),
    #[error("the ticket names {named}, and {expected} was asked for: the KDC is not to be trusted")]
    OtherUser { named: Principal, expected: Principal },
    #[error("the ticket for this host is not one that was made for this login: the KDC is not to be trusted")]
    OldTicket,
    #[error("the domain did not answer in time")]
    Late,
}

/// Gets the tickets.
pub(crate) async fn log_in(host: &Host, login: Login) -> Notice {
    let number = login.login;
    let outcome = tokio::time::timeout(PATIENCE, get(host, &login)).await.unwrap_or(Err(LoginError::Late));
    match outcome {
        Ok(tickets) => Notice::LoggedIn(Box::new(tickets)),
        Err(error) => {
            // Nobody to ask is another thing than a no.
            let wrong = !matches!(
                error,
                LoginError::Late
                    | LoginError::Config(_)
                    | LoginError::Domain(Error::NoKdc { .. } | Error::KdcUnreachable { .. })
            );
            Notice::LoginFailed { login: number, wrong, reason: error.to_string() }
        }
    }
}

async fn get(host: &Host, login: &Login) -> Result<LoggedIn, LoginError> {
    let config = Config::parse(login.config.as_bytes()).map_err(|e| LoginError::Config(e.to_string()))?;
    let kdc = KdcClient::new(config);
    let service = Principal::parse(&login.service, None)?;
    let (evidence, tgt) = match &login.password {
        Some(password) => with_password(host, &kdc, &login.user, password, &service).await?,
        None => {
            let user = Principal::parse(&login.user, None)?;
            (host.evidence_for(&kdc, &user, &service).await?, None)
        }
    };
    let mut cache = CredentialCache::new(evidence.client.clone());
    cache.store(evidence);
    let bytes = |cache: &CredentialCache| cache.to_bytes().map(SecretBytes::new);
    Ok(LoggedIn { login: login.login, evidence: bytes(&cache)?, tgt: tgt.as_ref().map(bytes).transpose()? })
}

/// Somebody who knows the password, or who answers in place of the KDC, gets a ticket-granting ticket. Only the KDC
/// makes a ticket that this host can read: so the user's ticket for this host is the proof.
async fn with_password(
    host: &Host,
    kdc: &KdcClient,
    user: &str,
    password: &SecretString,
    service: &Principal,
) -> Result<(Credential, Option<CredentialCache>), LoginError> {
    let principal = principal(user, kdc.config(), &service.realm)?;
    let options = TgtOptions { forwardable: Some(true), ..TgtOptions::default() };
    let mut cache = kdc.get_tgt(&principal, Proof::Password(password), &options).await?;
    let tgt = cache.clone();
    let evidence = kdc.service_ticket(&mut cache, service).await?;
    let ticket = Ticket::parse(&evidence.ticket)?;
    let permitted = kdc.permitted_encryption_types(&service.realm)?;
    let part = KeytabKeys::permitting(&host.keytab(), &permitted).decrypt_ticket(&ticket)?;
    let expected = cache.principal.clone();
    if part.client != expected {
        return Err(LoginError::OtherUser { named: part.client, expected });
    }
    // Whoever only passes on a ticket that he has seen does not know the key in it.
    if part.session_key != evidence.session_key {
        return Err(LoginError::OldTicket);
    }
    part.check_times(SystemTime::now(), SKEW)?;
    Ok((evidence, Some(tgt)))
}

/// Whom a name means to the realm of this host. Strangers type it: no KDC of their choice is asked, only that of the
/// own realm, which knows others' users by their principal names, and those of realms that krb5.conf lists.
fn principal(typed: &str, config: &Config, own: &str) -> Result<Principal, LoginError> {
    let (domain, user) = match (typed.split_once('\\'), typed.rsplit_once('@')) {
        (Some((domain, user)), _) => (domain, user),
        (None, Some((user, suffix))) => (suffix, user),
        (None, None) => (own, typed),
    };
    let realms = std::iter::once(own).chain(config.realms());
    let first_label = |realm: &str| realm.split('.').next().is_some_and(|l| l.eq_ignore_ascii_case(domain));
    let known = realms.clone().find(|realm| realm.eq_ignore_ascii_case(domain));
    let plain = !user.is_empty() && !user.contains(['/', '@', '\\', '\0']);
    match known.or_else(|| realms.clone().find(|realm| typed.contains('\\') && first_label(realm))) {
        Some(realm) if plain => Ok(Principal::new(realm, &[user])),
        _ if !plain || domain.is_empty() => Err(LoginError::NoUser),
        _ => {
            let name = format!("{user}@{domain}");
            Ok(Principal { name_type: NameType::ENTERPRISE, ..Principal::new(own, &[&name]) })
        }
    }
}

impl Host {
    /// A ticket in a user's name for this host, by S4U2Self.
    async fn evidence_for(
        &self,
        kdc: &KdcClient,
        user: &Principal,
        service: &Principal,
    ) -> Result<Credential, Error> {
        let own = self.tickets(kdc, service).await?;
        let keytab = self.keytab();
        let keys: Vec<EncryptionKey> = keytab.entries.iter().map(|entry| entry.key.clone()).collect();
        kdc.s4u2self(&own, user, service, &keys).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_do_not_choose_the_kdc() {
        let config = Config::parse(b"[realms]\nPARTNER.TEST = {\nkdc = k\n}\n").unwrap();
        let of = |typed: &str| principal(typed, &config, "HOP.TEST").map(|p| (p.realm.clone(), p.name()));
        let in_realm = |realm: &str, name: &str| (realm.to_owned(), name.to_owned());
        for typed in ["alice", "alice@HOP.TEST", "alice@hop.test", r"HOP\alice", r"hop.test\alice"] {
            assert_eq!(of(typed).unwrap(), in_realm("HOP.TEST", "alice"), "{typed}");
        }
        assert_eq!(of("bob@partner.test").unwrap(), in_realm("PARTNER.TEST", "bob"));
        assert_eq!(of(r"PARTNER\bob").unwrap(), in_realm("PARTNER.TEST", "bob"));
        let stranger = principal("x@evil.example", &config, "HOP.TEST").unwrap();
        assert_eq!((stranger.realm.as_str(), stranger.name_type), ("HOP.TEST", NameType::ENTERPRISE));
        for bad in ["", "@HOP.TEST", r"HOP\", "a/b@HOP.TEST", r"A\B\c", "a@b@HOP.TEST", "x@"] {
            assert!(principal(bad, &config, "HOP.TEST").is_err(), "{bad}");
        }
    }
}
