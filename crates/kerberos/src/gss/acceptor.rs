//! The service's end of context establishment.

use std::time::SystemTime;

use rand_core::CryptoRng;

use super::checksum::{Parameters, advertises_bindings};
use super::context::{Confounders, Context, Parts, Role};
use super::token::{TokenKind, expect, frame};
use super::window::Window;
use super::{Accepted, AcceptorOptions, BindingPolicy, GssFlags, Refused};
use crate::ap::{ApReply, ApRequest, Authenticator, ServiceKeys};
use crate::crypto::KeyUsage;
use crate::replay::ReplayCache;
use crate::{
    AuthorizationData, Credential, EncryptionKey, EncryptionType, Error, KdcError, KrbCred, Principal,
};

/// The service before the client's token.
#[derive(Debug, Clone, Copy)]
pub struct Acceptor;

impl Acceptor {
    /// Accepts a client's first token, or refuses it with a reason and a KRB-ERROR token for the client.
    ///
    /// # Errors
    /// [`Refused`] with the [`Error`] that says why. Nothing of a refused token has an effect, but that the replay
    /// cache remembers a genuine authenticator.
    pub fn accept(
        token: &[u8],
        keys: &mut dyn ServiceKeys,
        replay: &mut dyn ReplayCache,
        options: &AcceptorOptions,
        now: SystemTime,
        rng: &mut dyn CryptoRng,
    ) -> Result<Accepted, Refused> {
        // Only an AP-REQ that could be read is worth an answer.
        let parsed = expect(token, TokenKind::ApReq).and_then(ApRequest::parse);
        let request = parsed.map_err(|error| Refused { error: Box::new(error), reply: None })?;
        accept(&request, keys, replay, options, now, rng).map_err(|error| {
            let complaint = KdcError {
                code: error.kerberos_code(),
                text: None,
                client_time: None,
                server_time: now,
                client: None,
                server: request.ticket.server.clone(),
                data: None,
            };
            let reply = complaint.to_der().ok().map(|der| frame(TokenKind::KrbError, &der));
            Refused { error: Box::new(error), reply }
        })
    }
}

fn accept(
    request: &ApRequest,
    keys: &mut dyn ServiceKeys,
    replay: &mut dyn ReplayCache,
    options: &AcceptorOptions,
    now: SystemTime,
    rng: &mut dyn CryptoRng,
) -> Result<Accepted, Error> {
    check_service(&request.ticket.server, &options.services)?;
    let verified = request.verify(keys, replay, KeyUsage::AP_REQ_AUTHENTICATOR, options.clock_skew, now)?;
    let (part, authenticator) = (verified.ticket_part, verified.authenticator);
    let parameters = Parameters::from_checksum(authenticator.checksum.as_ref())?;
    check_bindings(&parameters, &authenticator.authorization_data, options)?;
    if parameters.flags.contains(GssFlags::DCE_STYLE) {
        return Err(Error::Usage("three-legged (dce style) authentication is not supported"));
    }
    let delegated = open_delegation(&parameters, &authenticator, &part.session_key)?;
    let mut flags = parameters.flags;
    flags.set(GssFlags::DELEG, delegated.is_some());

    let own_first = rng.next_u32() >> 2;
    let peer_first = authenticator.sequence_number.unwrap_or(0);
    let (key, acceptor_subkey, send_first, reply) = if flags.contains(GssFlags::MUTUAL) {
        // RC4 tokens have no place to say whose key it is: the client's.
        let subkey = match part.session_key.etype {
            EncryptionType::Rc4Hmac => None,
            etype => Some(EncryptionKey::random(etype, rng)?),
        };
        let answer =
            ApReply { time: authenticator.time, subkey: subkey.clone(), sequence_number: Some(own_first) };
        let token = frame(TokenKind::ApRep, &answer.to_der(&part.session_key, rng)?);
        let is_own = subkey.is_some();
        let key = subkey.or(authenticator.subkey).unwrap_or_else(|| part.session_key.clone());
        (key, is_own, own_first, Some(token))
    } else {
        (authenticator.subkey.unwrap_or_else(|| part.session_key.clone()), false, peer_first, None)
    };
    let context = Context::new(Parts {
        role: Role::Acceptor,
        flags,
        key,
        acceptor_subkey,
        end_time: part.end_time,
        send_sequence: u64::from(send_first),
        window: Window::new(u64::from(peer_first)),
        confounders: Confounders::from_rng(rng)?,
    })?;
    let server = request.ticket.server.clone();
    Ok(Accepted {
        context,
        reply,
        evidence: part.to_credential(&request.ticket_der, server.clone()),
        client: part.client,
        server,
        ticket_flags: part.flags,
        delegated,
        gss_flags: parameters.flags,
        delegation_requested: parameters.flags.contains(GssFlags::DELEG),
    })
}

fn check_service(server: &Principal, services: &[String]) -> Result<(), Error> {
    let name = server.components.first().map(String::as_str).unwrap_or_default();
    if services.is_empty() || services.iter().any(|s| s.eq_ignore_ascii_case(name)) {
        Ok(())
    } else {
        Err(Error::WrongServer { expected: format!("{}/*", services.join("|")), got: server.clone() })
    }
}

fn check_bindings(
    parameters: &Parameters,
    authorization_data: &[AuthorizationData],
    options: &AcceptorOptions,
) -> Result<(), Error> {
    let Some(ours) = &options.channel_bindings else { return Ok(()) };
    match options.binding_policy {
        BindingPolicy::None => Ok(()),
        _ if parameters.has_bindings() => {
            if parameters.matches(ours) {
                Ok(())
            } else {
                Err(Error::ChannelBindingsMismatch)
            }
        }
        // A client that always sends bindings and sent none talks to somebody who has none: not to us.
        BindingPolicy::Relaxed if !advertises_bindings(authorization_data) => Ok(()),
        _ => Err(Error::ChannelBindingsMissing),
    }
}

fn open_delegation(
    parameters: &Parameters,
    authenticator: &Authenticator,
    session_key: &EncryptionKey,
) -> Result<Option<Credential>, Error> {
    let Some(message) = &parameters.delegation else { return Ok(None) };
    // RFC 4121 says the session key; some clients take the subkey.
    let mut keys = vec![session_key];
    keys.extend(authenticator.subkey.as_ref());
    let mut credentials = KrbCred::open(message, &keys)?;
    let tgt = credentials.iter().position(|c| c.server.is_krbtgt());
    match tgt {
        Some(index) => Ok(Some(credentials.swap_remove(index))),
        None => Err(Error::Unexpected {
            expected: "a delegated ticket-granting ticket",
            got: format!("{} other credentials", credentials.len()),
        }),
    }
}
