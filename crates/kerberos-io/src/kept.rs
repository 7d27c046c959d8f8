//! Tickets from and into caches that are kept somewhere.

use hop_kerberos::ccache::CredentialCache;
use hop_kerberos::{Credential, Principal};

use crate::{Ccache, Error, KdcClient};

impl KdcClient {
    /// As [`service_ticket`](Self::service_ticket), with a cache that is kept somewhere; new tickets are added to it.
    /// That this fails (a cache of somebody else's, a full disk) is no reason to do without the ticket.
    ///
    /// # Errors
    /// As [`service_ticket`](Self::service_ticket) and [`Ccache::load`].
    pub async fn get_service_ticket(&self, kept: &Ccache, server: &Principal) -> Result<Credential, Error> {
        let mut cache = kept.on_thread(Ccache::load).await?;
        self.service_ticket_from(&mut cache, Some(kept), server).await
    }

    /// As [`service_ticket`](Self::service_ticket); new tickets are added to the cache that `cache` was loaded from
    /// as well, if there is one.
    ///
    /// # Errors
    /// As [`service_ticket`](Self::service_ticket).
    pub async fn service_ticket_from(
        &self,
        cache: &mut CredentialCache,
        kept: Option<&Ccache>,
        server: &Principal,
    ) -> Result<Credential, Error> {
        let before: Vec<Credential> = cache.credentials().cloned().collect();
        let credential = self.service_ticket(cache, server).await?;
        let new: Vec<Credential> =
            cache.credentials().filter(|known| !before.contains(known)).cloned().collect();
        if let Some(kept) = kept.filter(|_| !new.is_empty()) {
            let stored =
                kept.on_thread(move |kept| new.into_iter().try_for_each(|ticket| kept.store(ticket)));
            if let Err(error) = stored.await {
                tracing::warn!(%error, "cannot keep the new ticket");
            }
        }
        Ok(credential)
    }
}

impl Ccache {
    /// Does some work with the cache on a thread where it may block: waiting for a file's lock or a daemon must not
    /// hold up everything else.
    ///
    /// # Errors
    /// Those of the work.
    pub async fn on_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let this = self.clone();
        match tokio::task::spawn_blocking(move || work(&this)).await {
            Ok(result) => result,
            Err(error) => Err(Error::io(self.name().as_ref(), std::io::Error::other(error))),
        }
    }
}
