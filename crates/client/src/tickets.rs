//! The tickets of an identity: got once, kept with the user's own, renewed while they are needed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use hop_kerberos::ccache::CredentialCache;
use hop_kerberos::{Credential, Principal};
use hop_kerberos_io::{
    Ccache, Ccaches, Environment, KdcClient, Proof, TgtOptions, time_to_renewal, time_to_replacement,
};
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use crate::kerberos::{IdentityError, Source};

/// Clocks are looked at again at least this often: a machine that slept notices within it.
const CHECK: Duration = Duration::from_secs(600);

/// Where tickets come from, and those that have come.
#[derive(Debug)]
pub(crate) struct Tickets {
    origin: Arc<Origin>,
    held: Arc<Mutex<Option<Held>>>,
    is_kept_renewed: AtomicBool,
}

#[derive(Debug)]
struct Origin {
    kdc: KdcClient,
    source: Source,
    environment: Environment,
}

/// Tickets, and the cache of the user's that they are from.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) content: CredentialCache,
    kept: Option<Ccache>,
}

impl Tickets {
    pub(crate) fn new(kdc: KdcClient, environment: Environment, source: Source) -> Self {
        Self {
            origin: Arc::new(Origin { kdc, source, environment }),
            held: Arc::default(),
            is_kept_renewed: AtomicBool::new(false),
        }
    }

    pub(crate) fn kdc(&self) -> &KdcClient {
        &self.origin.kdc
    }

    /// The tickets, got if there are none or the first of them has ended.
    pub(crate) async fn get(&self) -> Result<MappedMutexGuard<'_, Held>, IdentityError> {
        let mut guard = self.held.lock().await;
        let held = match guard.take() {
            Some(held) if held.has_ended() => self.origin.fetch().await?,
            Some(held) => held,
            None => self.origin.fetch().await?,
        };
        *guard = Some(held);
        if !self.is_kept_renewed.swap(true, Ordering::Relaxed) {
            tokio::spawn(keep_renewed(Arc::downgrade(&self.origin), Arc::downgrade(&self.held)));
        }
        Ok(MutexGuard::map(guard, |held| match held {
            Some(held) => held,
            None => unreachable!("put there above, under the same lock"),
        }))
    }
}

impl Held {
    /// A ticket for a service, new ones kept where the user's own are.
    pub(crate) async fn service_ticket(
        &mut self,
        kdc: &KdcClient,
        server: &Principal,
    ) -> Result<Credential, hop_kerberos_io::Error> {
        kdc.service_ticket_from(&mut self.content, self.kept.as_ref(), server).await
    }

    fn has_ended(&self) -> bool {
        let now = self.content.kdc_time(SystemTime::now());
        self.content.tgt().is_some_and(|tgt| !tgt.is_current(now))
    }
}

impl Origin {
    async fn fetch(&self) -> Result<Held, IdentityError> {
        // A ticket that may travel is asked for; whether it does is decided per host.
        let wanted = TgtOptions { forwardable: Some(true), ..TgtOptions::default() };
        let content = match &self.source {
            Source::DefaultCache => return self.read_cache(None).await,
            Source::Cache(name) => return self.read_cache(Some(name.clone())).await,
            Source::Password { principal, password } => {
                let client = self.kdc.client_principal(principal).await?;
                self.kdc.get_tgt(&client, Proof::Password(password), &wanted).await?
            }
            Source::Keytab { principal, path } => {
                let client = self.kdc.client_principal(principal).await?;
                let path = path.clone();
                let keytab = blocking(move || hop_kerberos_io::load_keytab(&path)).await?;
                self.kdc.get_tgt(&client, Proof::Keytab(&keytab), &wanted).await?
            }
        };
        Ok(Held { content, kept: None })
    }

    async fn read_cache(&self, name: Option<String>) -> Result<Held, IdentityError> {
        let caches = Ccaches::new(&self.environment, self.kdc.config())?;
        blocking(move || {
            let kept = caches.resolve(name.as_deref().unwrap_or(caches.default_name()))?;
            Ok(Held { content: kept.load()?, kept: Some(kept) })
        })
        .await
    }

    /// How long until the tickets want new life; nothing if they cannot have it.
    fn wait(&self, content: &CredentialCache, failed: bool) -> Option<Duration> {
        let now = SystemTime::now();
        match self.source {
            Source::DefaultCache | Source::Cache(_) => time_to_renewal(content, now, failed),
            // What got them once gets them again.
            Source::Password { .. } | Source::Keytab { .. } => time_to_replacement(content, now, failed),
        }
    }

    /// Tickets with a newer first one: the user may have got it, a password or a keytab gets it, else it is renewed.
    async fn renew(&self, held: Held) -> Result<CredentialCache, IdentityError> {
        let Held { mut content, kept: Some(kept) } = held else { return Ok(self.fetch().await?.content) };
        let end = |content: &CredentialCache| content.tgt().map(|tgt| tgt.end_time);
        if let Ok(newer) = kept.on_thread(Ccache::load).await
            && newer.principal == content.principal
            && end(&newer) > end(&content)
        {
            return Ok(newer);
        }
        let tgt = self.kdc.renew(&mut content).await?;
        if let Err(error) = kept.on_thread(move |kept| kept.store(tgt)).await {
            tracing::warn!(%error, "cannot keep the renewed ticket");
        }
        Ok(content)
    }
}

/// Renews tickets for as long as somebody may have a use for them.
async fn keep_renewed(origin: Weak<Origin>, held: Weak<Mutex<Option<Held>>>) {
    let mut failed = false;
    loop {
        let wait = {
            let (Some(origin), Some(shared)) = (origin.upgrade(), held.upgrade()) else { return };
            let held = shared.lock().await.clone();
            let wait = held.as_ref().and_then(|held| origin.wait(&held.content, failed)).unwrap_or(CHECK);
            match held {
                Some(held) if wait.is_zero() => {
                    match origin.renew(held).await {
                        Ok(newer) => {
                            if let Some(held) = shared.lock().await.as_mut() {
                                newer.credentials().for_each(|ticket| held.content.store(ticket.clone()));
                                held.content.kdc_offset = newer.kdc_offset;
                            }
                        }
                        Err(error) => {
                            tracing::warn!(%error, "the tickets cannot be renewed");
                            failed = true;
                        }
                    }
                    continue;
                }
                _ => wait,
            }
        };
        tokio::time::sleep(wait.min(CHECK)).await;
        failed = false;
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
