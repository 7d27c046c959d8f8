//! A KDC: authentication service and ticket-granting service of one realm (RFC 4120 3.1, 3.3), sans-IO.
//!
//! Who may have what stands in a [`Database`]. The ticket-granting service checks who asks and hands the wish to a
//! [`TicketSource`]: [`Issuer`] issues tickets by the database's keys; another source may fetch them from
//! elsewhere. One that cannot answer at once uses [`Kdc::begin`] and [`Kdc::finish`].

mod abroad;
mod authentication;
mod certify;
mod database;
mod delegation;
mod issue;
mod ticket_granting;
pub(crate) mod transit;

use std::time::{Duration, SystemTime};

use rand_core::CryptoRng;

use crate::asn1;
use crate::crypto::KeyUsage;
use crate::{Credential, EncryptionKey, ErrorCode, KdcError, Principal};

pub use database::{Database, Entry, EntryFlags, EntryKey, MemoryDatabase};
pub use delegation::{Evidence, InNameOf};
use issue::ticket_key;
pub use issue::{Issuer, TicketRequest, TicketSource};

/// What holds for every ticket of the realm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// The longest life of a ticket (10 hours).
    pub max_life: Duration,
    /// For how long tickets can be renewed at most (7 days).
    pub max_renewable_life: Duration,
    /// How far clocks may differ (5 minutes).
    pub clock_skew: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_life: Duration::from_secs(10 * 3600),
            max_renewable_life: Duration::from_secs(7 * 24 * 3600),
            clock_skew: Duration::from_secs(300),
        }
    }
}

/// A request that is not granted: the code that the KRB-ERROR carries, and a few words for its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {text}")]
pub struct Refusal {
    /// The code.
    pub code: ErrorCode,
    /// What the client reads beside it.
    pub text: &'static str,
}

impl Refusal {
    /// A refusal with these words.
    pub fn new(code: ErrorCode, text: &'static str) -> Self {
        Self { code, text }
    }
}

/// The KDC of one realm.
pub struct Kdc {
    realm: String,
    database: Box<dyn Database + Send>,
    source: Box<dyn TicketSource + Send>,
    policy: Policy,
}

/// How far a request has come.
#[derive(Debug)]
#[non_exhaustive]
pub enum Progress {
    /// The answer; empty if what came is no request of Kerberos and deserves none.
    Reply(Vec<u8>),
    /// A ticket is wanted of the ticket-granting service, by somebody entitled to ask.
    Wanted(Box<Wanted>),
}

/// A ticket that a client asked for and was found entitled to ask for.
#[derive(Debug)]
pub struct Wanted {
    /// The wish.
    pub request: TicketRequest,
    reply_key: EncryptionKey,
    reply_usage: KeyUsage,
    nonce: i64,
    /// The user of a request by S4U2Self, to be named in the answer too.
    user_id: Option<crate::s4u::UserId>,
}

impl Kdc {
    /// The KDC of a realm, issuing tickets by its database.
    pub fn new(realm: impl Into<String>, database: impl Database + Send + 'static, policy: Policy) -> Self {
        Self {
            realm: realm.into(),
            database: Box::new(database),
            source: Box::new(Issuer::new(policy)),
            policy,
        }
    }

    /// Takes the tickets that the ticket-granting service hands out from this source.
    #[must_use]
    pub fn with_source(mut self, source: impl TicketSource + Send + 'static) -> Self {
        self.source = Box::new(source);
        self
    }

    /// The realm.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// Answers a request. The answer is empty if what came is no request of Kerberos.
    pub fn handle(&mut self, request: &[u8], now: SystemTime, rng: &mut dyn CryptoRng) -> Vec<u8> {
        match self.begin(request, now, rng) {
            Progress::Reply(reply) => reply,
            Progress::Wanted(wanted) => {
                let ticket = self.source.ticket(&wanted.request, self.database.as_ref(), now, rng);
                self.finish(&wanted, ticket, now, rng)
            }
        }
    }

    /// Answers a request, or finds that a ticket is wanted; [`finish`](Self::finish) then makes the answer.
    pub fn begin(&mut self, request: &[u8], now: SystemTime, rng: &mut dyn CryptoRng) -> Progress {
        // KerberosTime has whole seconds; so have all times in tickets.
        match asn1::application_tag(request) {
            Some(10) => Progress::Reply(match self.authenticate(request, whole_seconds(now), now, rng) {
                Ok(reply) => reply,
                Err(failure) => self.error(failure, now),
            }),
            Some(12) => match self.check_ticket_request(request, now) {
                Ok(wanted) => Progress::Wanted(Box::new(wanted)),
                Err(failure) => Progress::Reply(self.error(failure, now)),
            },
            _ => Progress::Reply(Vec::new()),
        }
    }

    /// Answers a ticket-granting request with what the source of tickets came up with.
    pub fn finish(
        &self,
        wanted: &Wanted,
        ticket: Result<Credential, Refusal>,
        now: SystemTime,
        rng: &mut dyn CryptoRng,
    ) -> Vec<u8> {
        let reply = ticket.map_err(Failure::from).and_then(|ticket| {
            // A source of tickets may know nothing of other names.
            let expected = wanted.request.expected_client().filter(|_| !ticket.server.is_krbtgt());
            if expected.is_some_and(|client| *client != ticket.client) {
                let code = ErrorCode::KDC_ERR_BADOPTION;
                return Err(Refusal::new(code, "tickets in another name are not offered").into());
            }
            Ok(wanted.reply(&ticket, now, rng)?)
        });
        reply.unwrap_or_else(|failure| self.error(failure.about(&wanted.request), now))
    }

    /// The answer for a client whose proper answer does not fit into a datagram: it asks again by TCP.
    pub fn too_big(&self, now: SystemTime) -> Vec<u8> {
        let code = ErrorCode::KRB_ERR_RESPONSE_TOO_BIG;
        self.error(Failure::from(Refusal::new(code, "response too big for udp")), now)
    }

    /// A KRB-ERROR of this realm.
    pub fn refuse(&self, refusal: Refusal, now: SystemTime) -> Vec<u8> {
        self.error(refusal.into(), now)
    }

    fn error(&self, failure: Failure, now: SystemTime) -> Vec<u8> {
        let krbtgt = || Principal::krbtgt(self.realm.clone(), &self.realm);
        KdcError {
            code: failure.refusal.code,
            text: Some(failure.refusal.text.to_owned()),
            client_time: None,
            server_time: now,
            client: failure.details.client,
            server: failure.details.server.unwrap_or_else(krbtgt),
            data: failure.details.data,
        }
        .to_der()
        .unwrap_or_default()
    }
}

impl std::fmt::Debug for Kdc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kdc({})", self.realm)
    }
}

/// The realm whose KDC an AS-REQ or TGS-REQ is for; none if it is neither.
pub fn requested_realm(request: &[u8]) -> Option<String> {
    let request = match asn1::application_tag(request)? {
        10 => asn1::decode::<asn1::AsReq>("AS-REQ", request).ok()?.0,
        12 => asn1::decode::<asn1::TgsReq>("TGS-REQ", request).ok()?.0,
        _ => return None,
    };
    let body: asn1::KdcReqBody = asn1::decode("KDC-REQ-BODY", request.req_body.as_bytes()).ok()?;
    asn1::text(&body.realm).ok()
}

/// What a KRB-ERROR is made of.
#[derive(Debug)]
struct Failure {
    refusal: Refusal,
    details: Box<Details>,
}

/// What a KRB-ERROR says beside its code.
#[derive(Debug, Default)]
struct Details {
    client: Option<Principal>,
    server: Option<Principal>,
    data: Option<Vec<u8>>,
}

impl Failure {
    fn with_data(mut self, data: Vec<u8>) -> Self {
        self.details.data = Some(data);
        self
    }

    fn about(mut self, request: &TicketRequest) -> Self {
        self.details.client = Some(request.client.clone());
        self.details.server = Some(request.server.clone());
        self
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, details: Box::default() }
    }
}

/// What the rest of the crate finds wrong, as a client should hear it: without details of our own state.
impl From<crate::Error> for Failure {
    fn from(error: crate::Error) -> Self {
        use crate::Error;
        Self::from(match error {
            Error::Integrity(_) => {
                Refusal::new(ErrorCode::KRB_AP_ERR_BAD_INTEGRITY, "integrity check failed")
            }
            Error::Malformed { .. } | Error::Limit { .. } => {
                Refusal::new(ErrorCode::KRB_ERR_GENERIC, "malformed request")
            }
            Error::TicketExpired { .. } => Refusal::new(ErrorCode::KRB_AP_ERR_TKT_EXPIRED, "ticket expired"),
            Error::TicketNotYetValid => Refusal::new(ErrorCode::KRB_AP_ERR_TKT_NYV, "ticket not yet valid"),
            Error::UnsupportedEncryptionType(_) | Error::NoCommonEncryptionType(_) => {
                Refusal::new(ErrorCode::KDC_ERR_ETYPE_NOSUPP, "encryption type not supported")
            }
            _ => Refusal::new(ErrorCode::KRB_ERR_GENERIC, "cannot be answered"),
        })
    }
}

/// KerberosTime has no fractions.
fn whole_seconds(time: SystemTime) -> SystemTime {
    let fraction = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    time - Duration::from_nanos(fraction.into())
}
