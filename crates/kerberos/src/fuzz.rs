//! Fuzz targets: each decodes what it is given and, where that works, encodes and decodes again.

mod delegation;
mod messages;

use std::convert::Infallible;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand_core::{TryCryptoRng, TryRng};

use crate::ccache::CredentialCache;
use crate::config::{Config, Include};
use crate::kdc::{Entry, Kdc, MemoryDatabase, Policy};
use crate::keytab::Keytab;
use crate::{KdcError, Principal, asn1, proxy};

pub use delegation::{fuzz_pac, fuzz_s4u_padata, fuzz_transited};
#[cfg(test)]
pub(crate) use messages::rc4_key;
pub use messages::{fuzz_gss_checksum, fuzz_gss_token, fuzz_message, fuzz_principal};

/// A credential cache is written again to the same bytes.
pub fn fuzz_ccache(data: &[u8]) {
    if let Ok(cache) = CredentialCache::parse(data) {
        let bytes = cache.to_bytes();
        // Header fields are written in another order if the clock's difference does not come first.
        assert_eq!(bytes.and_then(|bytes| CredentialCache::parse(&bytes)), Ok(cache));
    }
}

/// A keytab has the same entries after holes and old forms are gone.
pub fn fuzz_keytab(data: &[u8]) {
    if let Ok(keytab) = Keytab::parse(data) {
        assert_eq!(keytab.to_bytes().and_then(|bytes| Keytab::parse(&bytes)), Ok(keytab));
    }
}

/// A krb5.conf means the same after it was written as text; its typed values can be asked for.
pub fn fuzz_krb5_conf(data: &[u8]) {
    let mut includer = |include: &Include| match include {
        Include::File(_) => Ok(vec![b"[libdefaults]\n rdns = no\n".to_vec()]),
        Include::Directory(_) => Err("none".to_owned()),
    };
    if let Ok(config) = Config::parse_with(data, &mut includer) {
        let text = config.to_text();
        assert_eq!(Config::parse(text.as_bytes()).as_ref(), Ok(&config), "{text:?}");
        let _ = config.defaults(config.default_realm());
        let _ = config.host_realm("a.b.hop.test");
        config.realms().into_iter().for_each(|realm| drop((config.kdcs(realm), config.auth_to_local(realm))));
    }
}

/// What a KDC proxy sends holds the same message after it was wrapped again.
pub fn fuzz_kdc_proxy(data: &[u8]) {
    if let Ok((message, realm)) = proxy::unwrap(data) {
        let again = proxy::wrap(&message, realm.as_deref().unwrap_or_default());
        assert_eq!(
            again.and_then(|bytes| proxy::unwrap(&bytes)),
            Ok((message, realm.filter(|r| !r.is_empty())))
        );
    }
}

/// A KDC answers whatever comes, and with a message of Kerberos or not at all.
pub fn fuzz_kdc_request(data: &[u8]) {
    static KDC: OnceLock<Mutex<Kdc>> = OnceLock::new();
    let kdc = KDC.get_or_init(|| Mutex::new(realm().0));
    let answer = kdc.lock().unwrap_or_else(PoisonError::into_inner).handle(data, now(), &mut Sequence(1));
    match asn1::application_tag(&answer) {
        None => assert!(answer.is_empty(), "an answer that is no message"),
        Some(30) => assert!(KdcError::parse(&answer).is_ok(), "an error that cannot be read"),
        Some(tag) => assert!(matches!(tag, 11 | 13), "message {tag} for an answer"),
    }
}

/// The moment at which the requests in the corpus were made.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_796_000_000)
}

/// The realm that the requests in the corpus were made for, with its client's and its service's entry.
fn realm() -> (Kdc, Entry, Entry) {
    let rng = &mut Sequence(7);
    let entry = |name: &[&str], rng: &mut Sequence| {
        Entry::service(Principal::new("HOP.TEST", name), rng)
            .unwrap_or_else(|_| Entry::new(Principal::new("", &[])))
    };
    let mut database = MemoryDatabase::new("HOP.TEST", rng).unwrap_or_default();
    let (client, service) = (entry(&["alice"], rng), entry(&["HTTP", "servera.hop.test"], rng));
    let mut back = entry(&["HTTP", "serverb.hop.test"], rng);
    back.allowed_to_act = vec![service.principal.clone()];
    [&client, &service, &back].into_iter().for_each(|entry| database.insert(entry.clone()));
    (Kdc::new("HOP.TEST", database, Policy::default()), client, service)
}

/// The same numbers every time, so that the same input always takes the same way.
struct Sequence(u64);

impl TryRng for Sequence {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|number| (number >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Ok(self.0 ^ (self.0 >> 29))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(8) {
            let number = self.try_next_u64()?.to_le_bytes();
            chunk.iter_mut().zip(number).for_each(|(byte, new)| *byte = new);
        }
        Ok(())
    }
}

impl TryCryptoRng for Sequence {}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::Credential;
    use crate::client::{AsExchange, AsOptions, ClientSecret, TgsExchange, TgsOptions, TgsOutcome};

    /// A ticket-granting ticket, and the requests that it took.
    fn login(kdc: &mut Kdc, client: &Entry, requests: &mut Vec<Vec<u8>>, rng: &mut Sequence) -> Credential {
        let keys = client.keys.iter().map(|key| key.key.clone()).collect();
        let options = AsOptions::new(client.principal.clone());
        let mut machine = AsExchange::new(options, ClientSecret::Keys(keys), now(), rng).unwrap();
        loop {
            let request = machine.poll_transmit().unwrap().bytes;
            let reply = kdc.handle(&request, now(), &mut Sequence(1));
            requests.push(request);
            if let Some(outcome) = machine.handle_reply(&reply, now(), rng).unwrap() {
                return outcome.credential;
            }
        }
    }

    /// The requests in the corpus are real ones: made by our client, answered with tickets.
    #[test]
    fn the_corpus_of_requests_leads_to_tickets() {
        let (mut kdc, client, service) = realm();
        let rng = &mut Sequence(3);
        let mut requests = Vec::new();
        let tgt = login(&mut kdc, &client, &mut requests, rng);
        let mut ticket = |tgt: &Credential, options, rng: &mut Sequence| {
            let mut machine = TgsExchange::new(tgt, options, now(), rng).unwrap();
            let request = machine.poll_transmit().unwrap().bytes;
            let reply = kdc.handle(&request, now(), &mut Sequence(1));
            requests.push(request);
            match machine.handle_reply(&reply, now()).unwrap() {
                TgsOutcome::Ticket(ticket) => ticket,
                other => panic!("{other:?}"),
            }
        };
        let evidence = ticket(&tgt, TgsOptions::new(service.principal.clone()), rng);
        ticket(&tgt, TgsOptions::forward(&tgt), rng);
        let own = login(&mut realm().0, &service, &mut Vec::new(), rng);
        ticket(&own, TgsOptions::s4u2self(client.principal, service.principal.clone()), rng);
        let back = Principal::service("HOP.TEST", "HTTP", "serverb.hop.test");
        ticket(&own, TgsOptions::s4u2proxy(&evidence, back), rng);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/kdc_request");
        for (index, request) in requests.iter().enumerate() {
            let file = folder.join(format!("{index}.der"));
            if std::env::var_os("UPDATE_EXPECT").is_some() {
                fs::create_dir_all(&folder).unwrap();
                fs::write(&file, request).unwrap();
            }
            let kept = fs::read(&file).unwrap();
            fuzz_kdc_request(&kept);
            // Not the request made now (clients may change), but one that still gets past the first checks.
            let answer = realm().0.handle(&kept, now(), &mut Sequence(1));
            assert!(KdcError::parse(&answer).is_err() || index == 0, "{index}: {answer:?}");
        }
    }
}
