//! Kerberos as the security of HTTP connections: tickets, the delegation decision, tokens, sealed bodies.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use hop_delegation::{ClientFacts, Decision, Mode, TgtFacts, after_kdc_refusal, decide};
use hop_kerberos::{
    Credential, Principal, TicketFlags,
    ccache::KdcOffset,
    gss::{ChannelBindings, ExpectApRep, GssFlags, Initiator, InitiatorOptions},
};
use hop_kerberos_io::{Environment, KdcClient};
use hop_secret::SecretString;

use crate::{error::Error, hosts::Target, tickets::Tickets};

/// Why a client has no usable identity.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// Files or KDCs.
    #[error(transparent)]
    Kerberos(#[from] hop_kerberos_io::Error),
}

/// Where the client's tickets come from.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Source {
    /// The default credential cache of the environment.
    #[default]
    DefaultCache,
    /// A credential cache by name (`FILE:…`, `KEYRING:…`, …).
    Cache(String),
    /// A password: the ticket is kept in memory only.
    Password {
        /// Whose, in any form that [`KdcClient::client_principal`] reads.
        principal: String,
        /// The password.
        password: SecretString,
    },
    /// A keytab file: the ticket is kept in memory only.
    Keytab {
        /// Whose, in any form that [`KdcClient::client_principal`] reads.
        principal: String,
        /// The file.
        path: PathBuf,
    },
}

/// The identity of a client, for connections to many hosts. Tickets are fetched once, and renewed while it lasts.
#[derive(Debug)]
pub struct Identity {
    tickets: Tickets,
}

impl Identity {
    /// An identity by the process's environment; nothing is read or asked for before it is needed.
    ///
    /// # Errors
    /// A krb5.conf that cannot be read.
    pub fn new(source: Source) -> Result<Self, IdentityError> {
        Self::in_environment(Environment::from_process(), source)
    }

    /// An identity by an environment of the caller's.
    ///
    /// # Errors
    /// A krb5.conf that cannot be read, or KDCs in the environment that are of no use.
    pub fn in_environment(environment: Environment, source: Source) -> Result<Self, IdentityError> {
        let kdc = KdcClient::from_environment(&environment)?;
        Ok(Self::with_kdc(kdc, environment, source))
    }

    /// An identity with a KDC client of the caller's.
    pub fn with_kdc(kdc: KdcClient, environment: Environment, source: Source) -> Self {
        Self { tickets: Tickets::new(kdc, environment, source) }
    }

    /// Gets the first ticket if there is none yet, so that a wrong password is told before any host is contacted.
    /// Returns whose tickets these are.
    ///
    /// # Errors
    /// Whatever keeps the KDC from giving a ticket, or the cache from being read.
    pub async fn principal(&self) -> Result<Principal, IdentityError> {
        Ok(self.tickets.get().await?.content.principal.clone())
    }

    /// Tickets for a service, and what travels along.
    async fn prepare(&self, target: &Target, mode: Mode) -> Result<Prepared, Error> {
        let host = target.alias.clone();
        let no_credentials =
            |source: IdentityError| Error::Credentials { host: host.clone(), source: source.into() };
        let kdc = self.tickets.kdc();
        let mut held = self.tickets.get().await.map_err(no_credentials)?;
        let server = kdc.service_principal(&target.service, &target.host_name, &held.content.principal);
        let service = held.service_ticket(kdc, &server).await.map_err(|e| no_credentials(e.into()))?;
        let cache = &held.content;
        let now = cache.kdc_time(SystemTime::now());
        let tgt = cache.tgt().filter(|tgt| tgt.is_current(now));
        let mut decision = decide(ClientFacts {
            mode,
            tgt: tgt.map(|tgt| TgtFacts { forwardable: tgt.flags.contains(TicketFlags::FORWARDABLE) }),
            ticket_ok_as_delegate: service.flags.contains(TicketFlags::OK_AS_DELEGATE),
        });
        let mut forwarded = None;
        if decision == Decision::Forward {
            match kdc.forwarded_tgt(cache).await {
                Ok(tgt) => forwarded = Some(tgt),
                Err(hop_kerberos_io::Error::Kerberos(hop_kerberos::Error::Kdc(refused))) => {
                    decision = after_kdc_refusal(refused.code.0);
                }
                Err(error) => return Err(no_credentials(error.into())),
            }
        }
        tracing::debug!(host = target.alias, ?decision, "delegation");
        Ok(Prepared { service, forwarded, decision, offset: cache.kdc_offset })
    }
}

/// Kerberos for the connections to one host.
pub struct Kerberos {
    identity: Arc<Identity>,
    target: Target,
    mode: Mode,
    prepared: tokio::sync::Mutex<Option<Arc<Prepared>>>,
    decision: Arc<Mutex<Option<Decision>>>,
}

/// What was decided about delegation, once it is.
#[derive(Clone, Debug, Default)]
pub struct DelegationOutcome(Arc<Mutex<Option<Decision>>>);

impl DelegationOutcome {
    /// One that nothing depends on any more.
    pub(crate) fn decided(decision: Decision) -> Self {
        Self(Arc::new(Mutex::new(Some(decision))))
    }

    /// The decision; `None` before the first connection.
    pub fn get(&self) -> Option<Decision> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tickets for one host.
struct Prepared {
    service: Credential,
    forwarded: Option<Credential>,
    decision: Decision,
    offset: Option<KdcOffset>,
}

impl Kerberos {
    /// For a host; `mode` says what may travel on.
    pub fn new(identity: Arc<Identity>, target: Target, mode: Mode) -> Self {
        Self { identity, target, mode, prepared: Default::default(), decision: Default::default() }
    }

    /// A window on the delegation decision.
    pub fn outcome(&self) -> DelegationOutcome {
        DelegationOutcome(self.decision.clone())
    }

    /// The AP-REQ token for a new connection, and what awaits the answer.
    pub(crate) async fn initiate(
        &self,
        bindings: Option<&ChannelBindings>,
    ) -> Result<(Vec<u8>, ExpectApRep), Error> {
        let prepared = self.prepared().await?;
        let options = InitiatorOptions {
            credential: &prepared.service,
            forwarded: prepared.forwarded.as_ref(),
            channel_bindings: bindings,
            advertise_bindings: bindings.is_some(),
            flags: GssFlags::MUTUAL
                | GssFlags::REPLAY
                | GssFlags::SEQUENCE
                | GssFlags::CONF
                | GssFlags::INTEG,
        };
        Initiator::new(&options, prepared.now(), &mut rand::rng()).map_err(|source| Error::Authentication {
            host: self.target.alias.clone(),
            source: source.into(),
        })
    }

    async fn prepared(&self) -> Result<Arc<Prepared>, Error> {
        let mut known = self.prepared.lock().await;
        if let Some(prepared) = known.as_ref().filter(|prepared| prepared.service.is_current(prepared.now()))
        {
            return Ok(prepared.clone());
        }
        let prepared = Arc::new(self.identity.prepare(&self.target, self.mode).await?);
        *self.decision.lock().unwrap_or_else(PoisonError::into_inner) = Some(prepared.decision);
        *known = Some(prepared.clone());
        Ok(prepared)
    }
}

impl Prepared {
    /// The KDC's time, which counts in authenticators.
    fn now(&self) -> SystemTime {
        let now = SystemTime::now();
        self.offset.map_or(now, |offset| offset.apply(now))
    }
}
