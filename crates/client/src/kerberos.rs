//! Kerberos as the security of HTTP connections: tickets, the delegation decision, tokens, sealed bodies.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use futures_util::future::BoxFuture;
use hop_auth::http::Scheme;
use hop_delegation::{ClientFacts, Decision, Mode, TgtFacts, after_kdc_refusal, decide};
use hop_kerberos::{
    Credential, Principal, TicketFlags,
    ccache::{CredentialCache, KdcOffset},
};
use hop_kerberos_io::{Ccaches, Environment, KdcClient, Proof, TgtOptions};
use hop_secret::SecretString;

use crate::{
    error::Error,
    hosts::Target,
    negotiate::Negotiation,
    security::{Provider, Security},
};

/// Why a client has no usable identity.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// Files or KDCs.
    #[error(transparent)]
    Kerberos(#[from] hop_kerberos_io::Error),
    /// A name that is no principal.
    #[error(transparent)]
    Principal(#[from] hop_kerberos::PrincipalError),
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
        /// Whose, `USER@REALM` or `USER` in the default realm.
        principal: String,
        /// The password.
        password: SecretString,
    },
    /// A keytab file: the ticket is kept in memory only.
    Keytab {
        /// Whose, `USER@REALM` or `USER` in the default realm.
        principal: String,
        /// The file.
        path: PathBuf,
    },
}

/// The identity of a client, for connections to many hosts. Tickets are fetched once.
#[derive(Debug)]
pub struct Identity {
    kdc: KdcClient,
    source: Source,
    environment: Environment,
    cache: tokio::sync::Mutex<Option<CredentialCache>>,
}

impl Identity {
    /// An identity by the process's environment; nothing is read or asked for before it is needed.
    ///
    /// # Errors
    /// A krb5.conf that cannot be read.
    pub fn new(source: Source) -> Result<Self, IdentityError> {
        let environment = Environment::from_process();
        Ok(Self {
            kdc: KdcClient::from_environment(&environment)?,
            source,
            environment,
            cache: Default::default(),
        })
    }

    /// An identity with a KDC client of the caller's.
    pub fn with_kdc(kdc: KdcClient, environment: Environment, source: Source) -> Self {
        Self { kdc, source, environment, cache: Default::default() }
    }

    /// Gets the first ticket if there is none yet, so that a wrong password is told before any host is contacted.
    /// Returns whose tickets these are.
    ///
    /// # Errors
    /// Whatever keeps the KDC from giving a ticket, or the cache from being read.
    pub async fn principal(&self) -> Result<Principal, IdentityError> {
        let mut cache = self.cache.lock().await;
        Ok(self.load(&mut cache).await?.principal.clone())
    }

    async fn load<'a>(
        &self,
        cache: &'a mut Option<CredentialCache>,
    ) -> Result<&'a mut CredentialCache, IdentityError> {
        let loaded = match cache.take() {
            Some(known) => known,
            None => self.fetch().await?,
        };
        Ok(cache.insert(loaded))
    }

    async fn fetch(&self) -> Result<CredentialCache, IdentityError> {
        // A ticket that may travel is asked for; whether it does is decided per host.
        let wanted = TgtOptions { forwardable: Some(true), ..TgtOptions::default() };
        match &self.source {
            Source::DefaultCache => self.read_cache(None).await,
            Source::Cache(name) => self.read_cache(Some(name.clone())).await,
            Source::Password { principal, password } => {
                let client = self.parse(principal)?;
                Ok(self.kdc.get_tgt(&client, Proof::Password(password), &wanted).await?)
            }
            Source::Keytab { principal, path } => {
                let client = self.parse(principal)?;
                let path = path.clone();
                let keytab = blocking(move || hop_kerberos_io::load_keytab(&path)).await?;
                Ok(self.kdc.get_tgt(&client, Proof::Keytab(&keytab), &wanted).await?)
            }
        }
    }

    async fn read_cache(&self, name: Option<String>) -> Result<CredentialCache, IdentityError> {
        let caches = Ccaches::new(&self.environment, self.kdc.config())?;
        blocking(move || caches.resolve(name.as_deref().unwrap_or(caches.default_name()))?.load()).await
    }

    fn parse(&self, text: &str) -> Result<Principal, IdentityError> {
        let realm = self.kdc.config().libdefault(None, "default_realm");
        Principal::parse(text, realm).map_err(IdentityError::Principal)
    }

    /// Tickets for a service, and what travels along.
    async fn prepare(&self, target: &Target, mode: Mode) -> Result<Prepared, Error> {
        let host = target.alias.clone();
        let no_credentials =
            |source: IdentityError| Error::Credentials { host: host.clone(), source: source.into() };
        let mut guard = self.cache.lock().await;
        let cache = self.load(&mut guard).await.map_err(no_credentials)?;
        let server = self.kdc.service_principal(&target.service, &target.host_name, &cache.principal);
        let service = self.kdc.service_ticket(cache, &server).await.map_err(|e| no_credentials(e.into()))?;
        let now = cache.kdc_time(SystemTime::now());
        let tgt = cache.tgt().filter(|tgt| tgt.is_current(now));
        let mut decision = decide(ClientFacts {
            mode,
            tgt: tgt.map(|tgt| TgtFacts { forwardable: tgt.flags.contains(TicketFlags::FORWARDABLE) }),
            ticket_ok_as_delegate: service.flags.contains(TicketFlags::OK_AS_DELEGATE),
        });
        let mut forwarded = None;
        if decision == Decision::Forward {
            match self.kdc.forwarded_tgt(cache).await {
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
    scheme: Scheme,
    prepared: tokio::sync::Mutex<Option<Arc<Prepared>>>,
    decision: Arc<Mutex<Option<Decision>>>,
}

/// What was decided about delegation, once it is.
#[derive(Clone, Debug, Default)]
pub struct DelegationOutcome(Arc<Mutex<Option<Decision>>>);

impl DelegationOutcome {
    /// The decision; `None` before the first connection.
    pub fn get(&self) -> Option<Decision> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tickets for one host.
pub(crate) struct Prepared {
    pub(crate) service: Credential,
    pub(crate) forwarded: Option<Credential>,
    decision: Decision,
    offset: Option<KdcOffset>,
}

impl Kerberos {
    /// For a host; `mode` says what may travel on.
    pub fn new(identity: Arc<Identity>, target: Target, mode: Mode) -> Self {
        Self {
            identity,
            target,
            mode,
            scheme: Scheme::Negotiate,
            prepared: Default::default(),
            decision: Default::default(),
        }
    }

    /// With another HTTP scheme than `Negotiate`.
    #[must_use]
    pub fn with_scheme(mut self, scheme: Scheme) -> Self {
        self.scheme = scheme;
        self
    }

    /// A window on the delegation decision.
    pub fn outcome(&self) -> DelegationOutcome {
        DelegationOutcome(self.decision.clone())
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
    pub(crate) fn now(&self) -> SystemTime {
        let now = SystemTime::now();
        self.offset.map_or(now, |offset| offset.apply(now))
    }
}

impl Provider for Kerberos {
    fn begin(&self) -> BoxFuture<'_, Result<Box<dyn Security>, Error>> {
        Box::pin(async {
            let prepared = self.prepared().await?;
            Ok(Box::new(Negotiation::new(prepared, self.scheme)) as Box<dyn Security>)
        })
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, hop_kerberos_io::Error> + Send + 'static,
) -> Result<T, IdentityError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => Ok(result?),
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}
