//! The client's exchanges with a KDC, as machines: they make requests and take replies, somebody else carries them.
//!
//! Each machine is used alike: while `poll_transmit` returns a request, send it to a KDC of its realm and give what
//! comes back to `handle_reply`, until that returns an outcome.

mod as_exchange;
mod reply;
#[cfg(test)]
mod tests;
mod tgs_exchange;
#[cfg(test)]
mod upn_tests;
mod whereabouts;

use std::time::{Duration, SystemTime};

use rand_core::CryptoRng;

pub use as_exchange::{AsExchange, AsOptions, AsOutcome, ClientSecret};
pub use tgs_exchange::{OnBehalf, TgsExchange, TgsOptions, TgsOutcome, account_in};
pub use whereabouts::Whereabouts;

use crate::{EncryptionType, asn1};

/// A request to a KDC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Whose KDC it is for.
    pub realm: String,
    /// The message, without the length that TCP wants before it.
    pub bytes: Vec<u8>,
}

/// The encryption types asked for unless configured otherwise, best first.
pub const DEFAULT_ENCRYPTION_TYPES: [EncryptionType; 4] = [
    EncryptionType::Aes256CtsHmacSha1,
    EncryptionType::Aes128CtsHmacSha1,
    EncryptionType::Aes256CtsHmacSha384,
    EncryptionType::Aes128CtsHmacSha256,
];

/// How long a ticket is asked for unless configured otherwise.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// True if the reply says that it would not fit into a datagram and the request must go over TCP.
pub fn wants_tcp(reply: &[u8]) -> bool {
    asn1::application_tag(reply) == Some(30)
        && crate::KdcError::parse(reply).is_ok_and(|e| e.code == crate::ErrorCode::KRB_ERR_RESPONSE_TOO_BIG)
}

/// A number to recognise the reply by; positive, as some KDCs want it.
fn nonce(rng: &mut dyn CryptoRng) -> u32 {
    rng.next_u32() & 0x7fff_ffff
}

/// KerberosTime has no fractions, so a request's times have none either.
fn whole_seconds(time: SystemTime) -> SystemTime {
    asn1::system_time(&asn1::time(time))
}
