//! The client's end of context establishment.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand_core::CryptoRng;

use super::checksum::{CHECKSUM_TYPE, Parameters, advertise_bindings, hash};
use super::context::{Confounders, Context, Parts, Role};
use super::token::{TokenKind, expect, frame};
use super::window::Window;
use super::{GssFlags, InitiatorOptions};
use crate::ap::{ApReply, Authenticator, Checksum, check_skew, make_ap_req};
use crate::crypto::KeyUsage;
use crate::{ApOptions, EncryptionKey, EncryptionType, Error, KrbCred};

/// The client before its first token.
#[derive(Debug, Clone, Copy)]
pub struct Initiator;

/// The client between its token and the acceptor's answer.
#[derive(Debug)]
pub struct ExpectApRep {
    session_key: EncryptionKey,
    subkey: EncryptionKey,
    sent: SystemTime,
    sequence_number: u32,
    flags: GssFlags,
    end_time: SystemTime,
    confounder_key: [u8; 16],
}

impl Initiator {
    /// Makes the first token; the acceptor must answer (MUTUAL is set).
    ///
    /// # Errors
    /// An unsupported session key, an expired ticket, a delegated credential of more than 64 KiB.
    #[expect(
        clippy::new_ret_no_self,
        reason = "each state is a type of its own; this is the way into the first"
    )]
    pub fn new(
        options: &InitiatorOptions<'_>,
        now: SystemTime,
        rng: &mut dyn CryptoRng,
    ) -> Result<(Vec<u8>, ExpectApRep), Error> {
        start(options, GssFlags::MUTUAL, now, rng)
    }

    /// Makes the only token of a context without mutual authentication.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn one_way(
        options: &InitiatorOptions<'_>,
        now: SystemTime,
        rng: &mut dyn CryptoRng,
    ) -> Result<(Vec<u8>, Context), Error> {
        let options = InitiatorOptions { flags: options.flags - GssFlags::MUTUAL, ..options.clone() };
        let (token, state) = start(&options, GssFlags::empty(), now, rng)?;
        // RFC 4121 4.1: the acceptor then counts from where the initiator does.
        let first = state.sequence_number;
        let subkey = state.subkey.clone();
        Ok((token, state.establish(subkey, false, first)?))
    }
}

fn start(
    options: &InitiatorOptions<'_>,
    more_flags: GssFlags,
    now: SystemTime,
    rng: &mut dyn CryptoRng,
) -> Result<(Vec<u8>, ExpectApRep), Error> {
    let credential = options.credential;
    if !credential.is_current(now) {
        return Err(Error::TicketExpired { end_time: credential.end_time });
    }
    // The authenticator has microseconds and no more.
    let now = truncate(now);
    let mut flags = options.flags | more_flags;
    flags.set(GssFlags::DELEG, options.forwarded.is_some());
    let delegation = options
        .forwarded
        .map(|tgt| KrbCred::seal(&[tgt], Some(&credential.session_key), now, rng))
        .transpose()?;
    let parameters =
        Parameters { flags, bindings: options.channel_bindings.map(hash).unwrap_or_default(), delegation };
    let subkey = EncryptionKey::random(credential.session_key.etype, rng)?;
    // Of 30 bits, since some acceptors read a signed number.
    let sequence_number = rng.next_u32() >> 2;
    let authenticator = Authenticator {
        client: credential.client.clone(),
        checksum: Some(Checksum { checksum_type: CHECKSUM_TYPE, value: parameters.to_bytes()? }),
        time: now,
        subkey: Some(subkey.clone()),
        sequence_number: Some(sequence_number),
        authorization_data: if options.advertise_bindings { vec![advertise_bindings()?] } else { Vec::new() },
    };
    let ap_options =
        if flags.contains(GssFlags::MUTUAL) { ApOptions::MUTUAL_REQUIRED } else { ApOptions::empty() };
    let request = make_ap_req(credential, ap_options, &authenticator, KeyUsage::AP_REQ_AUTHENTICATOR, rng)?;
    let mut confounder_key = [0; 16];
    rng.fill_bytes(&mut confounder_key);
    let state = ExpectApRep {
        session_key: credential.session_key.clone(),
        subkey,
        sent: now,
        sequence_number,
        flags,
        end_time: credential.end_time,
        confounder_key,
    };
    Ok((frame(TokenKind::ApReq, &request), state))
}

fn truncate(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::new(since.as_secs(), since.subsec_micros() * 1000)
}

impl ExpectApRep {
    /// Takes the acceptor's answer, which proves that it could open the ticket.
    ///
    /// # Errors
    /// [`Error::Kdc`] or [`Error::ClockSkew`] if the acceptor refused with a KRB-ERROR, [`Error::Integrity`] or
    /// [`Error::NoMutualAuthentication`] if it proved nothing.
    pub fn handle(self, token: &[u8]) -> Result<Context, Error> {
        let message = expect(token, TokenKind::ApRep).map_err(|error| self.explain(error))?;
        let reply = ApReply::open(message, &self.session_key, self.sent)?;
        let first = reply.sequence_number.unwrap_or(0);
        // RC4 tokens have no place to say whose key it is: ours, unless the acceptor's is of another type.
        let own =
            |key: &EncryptionKey| key.etype == EncryptionType::Rc4Hmac && key.etype == self.subkey.etype;
        match reply.subkey.filter(|key| !own(key)) {
            Some(subkey) => self.establish(subkey, true, first),
            None => {
                let subkey = self.subkey.clone();
                self.establish(subkey, false, first)
            }
        }
    }

    /// An acceptor that complains about the clock tells its own.
    fn explain(&self, error: Error) -> Error {
        match &error {
            Error::Kdc(e) if e.code == crate::ErrorCode::KRB_AP_ERR_SKEW => {
                check_skew(e.server_time, self.sent, Duration::from_secs(1)).err().unwrap_or(error)
            }
            _ => error,
        }
    }

    fn establish(self, key: EncryptionKey, acceptor_subkey: bool, first: u32) -> Result<Context, Error> {
        Context::new(Parts {
            role: Role::Initiator,
            flags: self.flags,
            key,
            acceptor_subkey,
            end_time: self.end_time,
            send_sequence: u64::from(self.sequence_number),
            window: Window::new(u64::from(first)),
            confounders: Confounders::new(self.confounder_key, 0)?,
        })
    }
}
