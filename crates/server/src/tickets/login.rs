//! Tickets for users who came without one: with the password that they handed over, or in the host's own name
//! (protocol transition).

use std::time::Duration;

use hop_kerberos::ap::{KeytabKeys, ServiceKeys as _};
use hop_kerberos::ccache::CredentialCache;
use hop_kerberos::config::Config;
use hop_kerberos::{Credential, EncryptionKey, Principal, Ticket};
use hop_kerberos_io::{Error, KdcClient, Proof, TgtOptions};
use hop_secret::{SecretBytes, SecretString};

use super::message::{LoggedIn, Login, Notice};
use super::source::Host;

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
    #[error(transparent)]
    Name(#[from] hop_kerberos::PrincipalError),
    #[error("{0}")]
    Config(String),
    #[error("the ticket names {named}, and {expected} was asked for: the KDC is not to be trusted")]
    OtherUser { named: Principal, expected: Principal },
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
            let wrong = matches!(
                error,
                LoginError::Domain(Error::WrongPassword { .. } | Error::UnknownClient { .. })
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
    let principal = kdc.client_principal(user).await?;
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
    Ok((evidence, Some(tgt)))
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
