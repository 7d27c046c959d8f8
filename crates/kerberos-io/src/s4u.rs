//! Tickets in a user's name ([MS-SFU]): for a service itself, and for the services behind it.

use std::time::SystemTime;

use hop_kerberos::ccache::CredentialCache;
use hop_kerberos::client::{TgsOptions, TgsOutcome};
use hop_kerberos::{Credential, ErrorCode, NameType, Principal};

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
        for _ in 0..MAX_REFERRALS {
            let here = realm_of(&tgt).to_owned();
            let server = match here == target.realm {
                true => target.clone(),
                false => Principal::krbtgt(here.clone(), &target.realm),
            };
            let options = TgsOptions::s4u2proxy(&evidence, server);
            match self.ask(&tgt, options, cache).await.map_err(refused)? {
                TgsOutcome::Ticket(credential) if here == target.realm => return Ok(credential),
                // What was evidence is a ticket-granting ticket now, in the user's name, for the next realm.
                TgsOutcome::Ticket(next) | TgsOutcome::Referral { tgt: next, .. } => {
                    tgt = self.tgt_of_realm(cache, realm_of(&next), target).await?;
                    evidence = next;
                }
            }
        }
        Err(Error::Referrals { from: service.realm.clone(), server: target.clone() })
    }

    /// S4U2Self: a ticket that names `user`, for `service`: a name of the principal whose ticket-granting ticket the
    /// cache holds. It is evidence for [`s4u2proxy`](Self::s4u2proxy) if the service is trusted with protocol
    /// transition (the ticket is forwardable) or the target allows it itself. The cache is not changed.
    ///
    /// # Errors
    /// [`Error::DelegationRefused`], [`Error::UnknownClient`] if there is no such user, and as
    /// [`s4u2proxy`](Self::s4u2proxy).
    pub async fn s4u2self(
        &self,
        cache: &CredentialCache,
        user: &Principal,
        service: &Principal,
    ) -> Result<Credential, Error> {
        let own = &cache.principal.realm;
        let refused = |error| refused(error, &cache.principal, user, service);
        let abroad = user.realm != *own && user.name_type != NameType::ENTERPRISE;
        let mut tgt = match abroad {
            // The user's realm knows the user: it is asked first, and refers us back home.
            true => self.tgt_of_realm(cache, &user.realm, service).await?,
            false => self.nearest_tgt(cache, own, cache.kdc_time(SystemTime::now()))?,
        };
        for _ in 0..MAX_REFERRALS {
            let here = realm_of(&tgt).to_owned();
            let home = here == *own;
            let server = match home {
                true => service.clone(),
                false => Principal {
                    name_type: NameType::ENTERPRISE,
                    ..Principal::new(here.clone(), &[&format!("{}@{own}", service.name())])
                },
            };
            let options = TgsOptions::s4u2self(user.clone(), server);
            match self.ask(&tgt, options, cache).await.map_err(refused)? {
                TgsOutcome::Ticket(credential) if home => return Ok(credential),
                TgsOutcome::Ticket(next) | TgsOutcome::Referral { tgt: next, .. } => tgt = next,
            }
        }
        Err(Error::Referrals { from: own.clone(), server: service.clone() })
    }

    /// The cache's principal's own ticket-granting ticket for a realm. On the way to `server`, in the error.
    async fn tgt_of_realm(
        &self,
        cache: &CredentialCache,
        realm: &str,
        server: &Principal,
    ) -> Result<Credential, Error> {
        let mut tgt = self.nearest_tgt(cache, realm, cache.kdc_time(SystemTime::now()))?;
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

/// What a KDC's refusal means for a request in a user's name.
fn refused(error: Error, service: &Principal, user: &Principal, target: &Principal) -> Error {
    let Error::Kerberos(error) = error else { return error };
    let hop_kerberos::Error::Kdc(kdc) = &error else { return explain(error, service, Some(target), None) };
    match kdc.code {
        ErrorCode::KDC_ERR_BADOPTION
        | ErrorCode::KDC_ERR_POLICY
        | ErrorCode::KDC_ERR_SERVER_NOMATCH
        | ErrorCode::KDC_ERR_PADATA_TYPE_NOSUPP
        | ErrorCode::KRB_AP_ERR_MODIFIED
        | ErrorCode::KRB_AP_ERR_BAD_INTEGRITY => Error::DelegationRefused {
            code: kdc.code,
            status: kdc.extended_status(),
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
