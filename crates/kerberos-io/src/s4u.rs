//! Tickets in a user's name ([MS-SFU]): for a service itself, and for the services behind it.

use std::time::SystemTime;

use hop_kerberos::ccache::CredentialCache;
use hop_kerberos::client::{TgsOptions, TgsOutcome, account_in};
use hop_kerberos::{Credential, EncryptionKey, ErrorCode, NameType, Principal};

use crate::Error;
use crate::client::{KdcClient, MAX_REFERRALS, explain, realm_of};

impl KdcClient {
    /// S4U2Proxy: a ticket for `target` that names the user who showed the evidence, a ticket for the service whose
    /// ticket-granting ticket the cache holds. A target in another realm must allow it itself (resource-based
    /// constrained delegation). The cache is not changed.
    ///
    /// # Errors
    /// [`Error::DelegationRefused`], [`Error::UnknownServer`], [`Error::NoTgt`], [`Error::TgtExpired`],
    /// [`Error::Referrals`], [`Error::NoKdc`], [`Error::KdcUnreachable`], or what else the KDC refuses with.
    pub async fn s4u2proxy(
        &self,
        cache: &CredentialCache,
        evidence: &Credential,
        target: &Principal,
    ) -> Result<Credential, Error> {
        let service = &cache.principal;
        let refused = |error| refused(error, service, &evidence.client, target);
        let now = cache.kdc_time(SystemTime::now());
        let mut tgt = self.nearest_tgt(cache, &service.realm, now)?;
        let mut evidence = evidence.clone();
        let mut server = Principal { realm: service.realm.clone(), ..target.clone() };
        for _ in 0..MAX_REFERRALS {
            let options = TgsOptions::s4u2proxy(&evidence, server.clone());
            match self.ask(&tgt, options, cache).await.map_err(refused)? {
                TgsOutcome::Ticket(credential) => return Ok(credential),
                // The target is in another realm, whose KDC wants two tickets: the service's own, and as evidence
                // the one we were referred with, which says in whose name the service comes ([MS-SFU] 3.1.5.2.2).
                TgsOutcome::Referral { tgt: next, realm } => {
                    let home = target.realm == service.realm;
                    let there = if home { realm } else { target.realm.clone() };
                    let named = evidence.client;
                    evidence = self.walk(next, &there, cache, target).await?;
                    evidence.client = named;
                    let own = self.nearest_tgt(cache, &there, now)?;
                    tgt = self.walk(own, &there, cache, target).await?;
                    server.realm = there;
                }
            }
        }
        Err(Error::Referrals { from: service.realm.clone(), server: target.clone() })
    }

    /// S4U2Self: a ticket that names `user`, for `service`: a name of the principal whose ticket-granting ticket the
    /// cache holds. It is evidence for [`s4u2proxy`](Self::s4u2proxy) if the service is trusted with protocol
    /// transition (the ticket is forwardable) or the target allows it itself. The cache is not changed.
    ///
    /// `keys` are the service's own: with KDCs that do not prove whom the ticket names (Samba's), the ticket must. So a
    /// user principal name becomes the account's name in the ticket, as with KDCs that make it so themselves.
    ///
    /// # Errors
    /// [`Error::DelegationRefused`], [`Error::UnknownClient`] if there is no such user, and as
    /// [`s4u2proxy`](Self::s4u2proxy).
    pub async fn s4u2self(
        &self,
        cache: &CredentialCache,
        user: &Principal,
        service: &Principal,
        keys: &[EncryptionKey],
    ) -> Result<Credential, Error> {
        let ticket = self.s4u2self_by(cache, user, service, keys).await?;
        if user.name_type != NameType::ENTERPRISE || ticket.client.components != user.components {
            return Ok(ticket);
        }
        match account_in(&ticket, keys)? {
            Some(account) => self.s4u2self_by(cache, &account, service, keys).await,
            None => Ok(ticket),
        }
    }

    async fn s4u2self_by(
        &self,
        cache: &CredentialCache,
        user: &Principal,
        service: &Principal,
        keys: &[EncryptionKey],
    ) -> Result<Credential, Error> {
        let own = &cache.principal.realm;
        let refused = |error| refused(error, &cache.principal, user, service);
        let abroad = user.realm != *own;
        let now = cache.kdc_time(SystemTime::now());
        let mut tgt = match abroad {
            // The user's realm knows the user: it is asked first, and refers us back home.
            true => {
                self.walk(self.nearest_tgt(cache, &user.realm, now)?, &user.realm, cache, service).await?
            }
            false => self.nearest_tgt(cache, own, now)?,
        };
        // A foreign KDC tells our realm by the host in the name, or by an enterprise name with the realm in it.
        let mut by_host = service.components.len() == 2;
        for _ in 0..MAX_REFERRALS {
            let here = realm_of(&tgt).to_owned();
            let home = here == *own;
            let server = match home || by_host {
                true => Principal { realm: here, ..service.clone() },
                false => Principal {
                    name_type: NameType::ENTERPRISE,
                    ..Principal::new(here, &[&format!("{}@{own}", service.name())])
                },
            };
            let mut options = TgsOptions::s4u2self(user.clone(), server);
            options.own_keys = keys.to_vec();
            match self.ask(&tgt, options, cache).await {
                Ok(TgsOutcome::Ticket(credential)) if home => return Ok(credential),
                Ok(TgsOutcome::Ticket(next) | TgsOutcome::Referral { tgt: next, .. }) => tgt = next,
                Err(error) if !home && by_host && is_unknown_server(&error) => by_host = false,
                Err(error) => return Err(refused(error)),
            }
        }
        Err(Error::Referrals { from: own.clone(), server: service.clone() })
    }

    /// From one ticket-granting ticket to that of another realm, on the way to `server`.
    async fn walk(
        &self,
        mut tgt: Credential,
        realm: &str,
        cache: &CredentialCache,
        server: &Principal,
    ) -> Result<Credential, Error> {
        for _ in 0..MAX_REFERRALS {
            if realm_of(&tgt) == realm {
                return Ok(tgt);
            }
            let options = TgsOptions::new(Principal::krbtgt(realm_of(&tgt), realm));
            tgt = match self.ask(&tgt, options, cache).await {
                Ok(TgsOutcome::Ticket(next) | TgsOutcome::Referral { tgt: next, .. }) => next,
                Err(Error::Kerberos(error)) => {
                    return Err(explain(error, &cache.principal, Some(server), None));
                }
                Err(error) => return Err(error),
            };
        }
        Err(Error::Referrals { from: cache.principal.realm.clone(), server: server.clone() })
    }
}

fn is_unknown_server(error: &Error) -> bool {
    matches!(error, Error::Kerberos(hop_kerberos::Error::Kdc(kdc))
        if kdc.code == ErrorCode::KDC_ERR_S_PRINCIPAL_UNKNOWN)
}

/// What a KDC's refusal means for a request in a user's name.
fn refused(error: Error, service: &Principal, user: &Principal, target: &Principal) -> Error {
    let Error::Kerberos(error) = error else { return error };
    let hop_kerberos::Error::Kdc(kdc) = &error else { return explain(error, service, Some(target), None) };
    match kdc.code {
        ErrorCode::KDC_ERR_BADOPTION
        | ErrorCode::KDC_ERR_POLICY
        | ErrorCode::KDC_ERR_SERVER_NOMATCH
        | ErrorCode::KDC_ERR_PADATA_TYPE_NOSUPP
        | ErrorCode::KRB_AP_ERR_BADMATCH
        | ErrorCode::KRB_AP_ERR_MODIFIED
        | ErrorCode::KRB_AP_ERR_BAD_INTEGRITY => Error::DelegationRefused {
            code: kdc.code,
            status: kdc.nt_status(),
            text: kdc.text.clone(),
            service: Box::new(service.clone()),
            user: Box::new(user.clone()),
            target: Box::new(target.clone()),
        },
        // It is the user that is unknown, locked or expired, not who asks.
        ErrorCode::KDC_ERR_C_PRINCIPAL_UNKNOWN
        | ErrorCode::KDC_ERR_CLIENT_REVOKED
        | ErrorCode::KDC_ERR_NAME_EXP
        | ErrorCode::KDC_ERR_KEY_EXPIRED => explain(error, user, Some(target), None),
        _ => explain(error, service, Some(target), None),
    }
}
