//! Which realm knows a user by a name that does not tell (NT-ENTERPRISE, RFC 6806 5 and 7): first requests of logins
//! that nobody means to finish.

use std::time::SystemTime;

use rand_core::CryptoRng;

use super::{AsExchange, AsOptions, ClientSecret, Request, reply};
use crate::{EncryptionType, Error, ErrorCode, KdcOptions, Principal};

/// How often a KDC may lead to another realm.
const MAX_REALMS: usize = 10;

/// The machine. What it finds is a hint: no KDC has proved anything yet, and whoever acts on it must have the user's
/// name proved.
#[derive(Debug)]
pub struct Whereabouts {
    user: Principal,
    seen: Vec<String>,
    encryption_types: Vec<EncryptionType>,
    outgoing: Option<Request>,
}

impl Whereabouts {
    /// Begins in the realm that the name has for a start.
    ///
    /// # Errors
    /// No usable encryption type.
    pub fn new(
        user: Principal,
        encryption_types: Vec<EncryptionType>,
        now: SystemTime,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, Error> {
        let mut exchange = Self { user, seen: Vec::new(), encryption_types, outgoing: None };
        exchange.ask(now, rng)?;
        Ok(exchange)
    }

    /// The request to send, once.
    pub fn poll_transmit(&mut self) -> Option<Request> {
        self.outgoing.take()
    }

    /// Takes a KDC's answer: the name with the realm that knows it, or nothing if another KDC is to be asked.
    ///
    /// # Errors
    /// [`Error::Kdc`] if nobody knows the user, or with another reason of the KDC's.
    pub fn handle_reply(
        &mut self,
        bytes: &[u8],
        now: SystemTime,
        rng: &mut dyn CryptoRng,
    ) -> Result<Option<Principal>, Error> {
        let error = match reply::parse(bytes, 11)? {
            Ok(_) => return Ok(Some(self.user.clone())),
            Err(error) => error,
        };
        match error.code {
            ErrorCode::KDC_ERR_WRONG_REALM => {
                let next = error.client.as_ref().map(|client| client.realm.clone()).unwrap_or_default();
                if next.is_empty() || self.seen.contains(&next) || self.seen.len() >= MAX_REALMS {
                    return Err(error.into());
                }
                self.user.realm = next;
                self.ask(now, rng)?;
                Ok(None)
            }
            // It is known there, whatever else may be wrong with it.
            ErrorCode::KDC_ERR_PREAUTH_REQUIRED
            | ErrorCode::KDC_ERR_ETYPE_NOSUPP
            | ErrorCode::KDC_ERR_CLIENT_REVOKED
            | ErrorCode::KDC_ERR_NAME_EXP
            | ErrorCode::KDC_ERR_KEY_EXPIRED
            | ErrorCode::KDC_ERR_POLICY => Ok(Some(self.user.clone())),
            _ => Err(error.into()),
        }
    }

    fn ask(&mut self, now: SystemTime, rng: &mut dyn CryptoRng) -> Result<(), Error> {
        self.seen.push(self.user.realm.clone());
        let mut options = AsOptions::new(self.user.clone());
        options.kdc_options = KdcOptions::CANONICALIZE;
        options.encryption_types.clone_from(&self.encryption_types);
        // The first request has nothing of a password in it.
        let secret = ClientSecret::Password("".into());
        self.outgoing = AsExchange::new(options, secret, now, rng)?.poll_transmit();
        Ok(())
    }
}
