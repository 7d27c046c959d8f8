//! Ticket-granting tickets renewed before they end.

use std::time::{Duration, SystemTime};

use hop_kerberos::ccache::CredentialCache;
use hop_kerberos::client::{TgsOptions, TgsOutcome};
use hop_kerberos::{Credential, KdcOptions, TicketFlags};

use crate::{Error, KdcClient};

/// After a failure nothing is asked for this long.
const PAUSE: Duration = Duration::from_secs(60);

impl KdcClient {
    /// Renews the cache's ticket-granting ticket (RFC 4120 2.3): the new one stands in the old one's place.
    ///
    /// # Errors
    /// [`Error::NoTgt`], [`Error::TgtExpired`], [`Error::NotRenewable`], or why the KDC refuses.
    pub async fn renew(&self, cache: &mut CredentialCache) -> Result<Credential, Error> {
        let client = cache.principal.clone();
        let Some(tgt) = cache.tgt().cloned() else {
            return Err(Error::NoTgt { realm: client.realm.clone(), client });
        };
        let now = cache.kdc_time(SystemTime::now());
        if !tgt.is_current(now) {
            return Err(Error::TgtExpired { client });
        }
        if !tgt.flags.contains(TicketFlags::RENEWABLE) || tgt.renew_till.is_none_or(|till| till <= now) {
            return Err(Error::NotRenewable { client });
        }
        let mut options = TgsOptions::new(tgt.server.clone());
        options.kdc_options = KdcOptions::RENEW | KdcOptions::RENEWABLE;
        for (flag, option) in [
            (TicketFlags::FORWARDABLE, KdcOptions::FORWARDABLE),
            (TicketFlags::PROXIABLE, KdcOptions::PROXIABLE),
        ] {
            options.kdc_options.set(option, tgt.flags.contains(flag));
        }
        options.end_time = tgt.renew_till;
        options.renew_till = tgt.renew_till;
        match self.ask(&tgt, options, cache).await? {
            TgsOutcome::Ticket(renewed) => {
                cache.store(renewed.clone());
                Ok(renewed)
            }
            TgsOutcome::Referral { .. } => Err(Error::Referrals { from: client.realm, server: tgt.server }),
        }
    }
}

/// When a ticket-granting ticket is to be renewed: two thirds through its life, so that some hours of trouble with
/// the KDC do no harm. Nothing for a ticket that cannot be renewed to live longer than it does.
pub fn renewal_time(tgt: &Credential) -> Option<SystemTime> {
    let gains = tgt.renew_till.is_some_and(|till| till > tgt.end_time);
    (gains && tgt.flags.contains(TicketFlags::RENEWABLE)).then(|| late_in_life(tgt))
}

/// How long to wait, from now, until a cache's ticket-granting ticket is to be renewed; `failed` if that has just
/// been tried in vain. Nothing if it cannot be renewed, or no longer.
pub fn time_to_renewal(cache: &CredentialCache, now: SystemTime, failed: bool) -> Option<Duration> {
    let tgt = cache.tgt().filter(|tgt| tgt.is_current(cache.kdc_time(now)))?;
    Some(wait(tgt, renewal_time(tgt)?, cache.kdc_time(now), failed))
}

/// The same for a client that can get a new ticket at any time: also when the old one has ended.
pub fn time_to_replacement(cache: &CredentialCache, now: SystemTime, failed: bool) -> Option<Duration> {
    let tgt = cache.tgt()?;
    Some(wait(tgt, late_in_life(tgt), cache.kdc_time(now), failed))
}

fn wait(tgt: &Credential, due: SystemTime, now: SystemTime, failed: bool) -> Duration {
    let wait = due.duration_since(now).unwrap_or_default();
    let left = tgt.end_time.duration_since(now).unwrap_or(PAUSE * 4);
    if failed { wait.max(PAUSE.min(left / 4).max(Duration::from_secs(1))) } else { wait }
}

fn late_in_life(tgt: &Credential) -> SystemTime {
    let begin = tgt.start_time.unwrap_or(tgt.auth_time);
    begin + tgt.end_time.duration_since(begin).unwrap_or_default() * 2 / 3
}

#[cfg(test)]
mod tests {
    use hop_kerberos::{EncryptionKey, EncryptionType, Principal};

    use super::*;

    #[test]
    fn renewal_comes_two_thirds_through() {
        let begin = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let at = |seconds| begin + Duration::from_secs(seconds);
        let tgt = Credential {
            client: Principal::new("R", &["a"]),
            server: Principal::krbtgt("R", "R"),
            session_key: EncryptionKey {
                etype: EncryptionType::from_number(18),
                value: [0; 32].as_slice().into(),
            },
            ticket: Vec::new(),
            flags: TicketFlags::RENEWABLE,
            auth_time: begin,
            start_time: None,
            end_time: at(300),
            renew_till: Some(at(1000)),
            addresses: Vec::new(),
            authorization_data: Vec::new(),
            second_ticket: Vec::new(),
            is_skey: false,
        };
        assert_eq!(renewal_time(&tgt), Some(at(200)));
        let mut cache = CredentialCache::new(tgt.client.clone());
        cache.store(tgt.clone());
        let wait = |now, failed| time_to_renewal(&cache, at(now), failed).map(|wait| wait.as_secs());
        assert_eq!((wait(0, false), wait(50, true), wait(250, false)), (Some(200), Some(150), Some(0)));
        assert_eq!((wait(200, true), wait(296, true), wait(300, false)), (Some(25), Some(1), None));
        let replaced = |now, failed| time_to_replacement(&cache, at(now), failed).map(|wait| wait.as_secs());
        assert_eq!(
            (replaced(0, false), replaced(400, false), replaced(400, true)),
            (Some(200), Some(0), Some(60))
        );
        // At the end of its renewable life a renewal gains nothing.
        assert_eq!(renewal_time(&Credential { renew_till: Some(at(300)), ..tgt.clone() }), None);
        assert_eq!(renewal_time(&Credential { flags: TicketFlags::empty(), ..tgt }), None);
    }
}
