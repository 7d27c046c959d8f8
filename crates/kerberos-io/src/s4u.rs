//! Constrained delegation by a service: tickets in users' names ([MS-SFU]).

use hop_kerberos::ccache::CredentialCache;
use hop_kerberos::client::{TgsOptions, TgsOutcome};
use hop_kerberos::{Credential, ErrorCode, Principal};

use crate::{Error, KdcClient};

impl KdcClient {
    /// S4U2Proxy: a ticket for a target in the name of the user whose ticket the service accepted. `own` is the
    /// service's own cache, with its ticket-granting ticket.
    ///
    /// # Errors
    /// [`Error::DelegationRefused`], [`Error::UnknownServer`], [`Error::NoTgt`], [`Error::TgtExpired`],
    /// [`Error::NoKdc`], [`Error::KdcUnreachable`], or what else the KDC refuses with.
    pub async fn s4u2proxy(
        &self,
        own: &CredentialCache,
        evidence: &Credential,
        target: &Principal,
    ) -> Result<Credential, Error> {
        let options = TgsOptions::s4u2proxy(target.clone(), evidence);
        self.in_another_name(own, options, &evidence.client, target).await
    }

    /// S4U2Self: a ticket to the service itself in a user's name, for users who came by another protocol than
    /// Kerberos. It can serve as evidence if it is forwardable: if the domain trusts the service with that.
    ///
    /// # Errors
    /// As [`s4u2proxy`](Self::s4u2proxy), and [`Error::UnknownClient`].
    pub async fn s4u2self(&self, own: &CredentialCache, user: &Principal) -> Result<Credential, Error> {
        let service = own.principal.clone();
        self.in_another_name(own, TgsOptions::s4u2self(service.clone(), user.clone()), user, &service).await
    }

    async fn in_another_name(
        &self,
        own: &CredentialCache,
        options: TgsOptions,
        client: &Principal,
        target: &Principal,
    ) -> Result<Credential, Error> {
        let tgt = self.own_tgt(own)?;
        let service = own.principal.clone();
        match self.ask(&tgt, options, own).await {
            Ok(TgsOutcome::Ticket(ticket)) => Ok(ticket),
            Ok(TgsOutcome::Referral { .. }) => {
                Err(Error::Referrals { from: service.realm, server: target.clone() })
            }
            Err(Error::Kerberos(hop_kerberos::Error::Kdc(kdc))) => Err(match kdc.code {
                ErrorCode::KDC_ERR_S_PRINCIPAL_UNKNOWN => Error::UnknownServer { server: target.clone() },
                ErrorCode::KDC_ERR_C_PRINCIPAL_UNKNOWN => Error::UnknownClient { client: client.clone() },
                ErrorCode::KRB_AP_ERR_TKT_EXPIRED => Error::TgtExpired { client: client.clone() },
                code => Error::DelegationRefused {
                    service: Box::new(service),
                    client: Box::new(client.clone()),
                    target: Box::new(target.clone()),
                    code,
                    status: kdc.nt_status(),
                    source: kdc,
                },
            }),
            Err(error) => Err(error),
        }
    }
}
