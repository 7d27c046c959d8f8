//! The token legs of `Negotiate` and `Kerberos`, and the sealed bodies after them.

use std::sync::Arc;

use hop_auth::{
    Error as AuthError, Sealer,
    client::{ExpectAnswer, Step},
    http::Scheme,
    spnego::InitiatorMechanisms,
};
use hop_kerberos::gss::{GssFlags, Initiator, InitiatorOptions};

use crate::{
    error::Cause,
    kerberos::Prepared,
    security::{Body, Security},
};

/// One connection's exchange: one state per awaited message.
pub(crate) struct Negotiation {
    prepared: Arc<Prepared>,
    scheme: Scheme,
    state: State,
}

enum State {
    Start,
    ExpectAnswer(ExpectAnswer),
    Established(Sealer),
    Over,
}

impl Negotiation {
    pub(crate) fn new(prepared: Arc<Prepared>, scheme: Scheme) -> Self {
        Self { prepared, scheme, state: State::Start }
    }
}

impl Security for Negotiation {
    fn start(&mut self) -> Result<Option<String>, Cause> {
        let flags =
            GssFlags::MUTUAL | GssFlags::REPLAY | GssFlags::SEQUENCE | GssFlags::CONF | GssFlags::INTEG;
        let options = InitiatorOptions {
            credential: &self.prepared.service,
            forwarded: self.prepared.forwarded.as_ref(),
            channel_bindings: None,
            advertise_bindings: false,
            flags,
        };
        let kerberos = Initiator::new(&options, self.prepared.now(), &mut rand::rng())?;
        let mechanisms = InitiatorMechanisms { kerberos: Some(kerberos), ntlm: None };
        let (authorization, expect) = hop_auth::client::start(self.scheme, mechanisms)?;
        self.state = State::ExpectAnswer(expect);
        Ok(Some(authorization))
    }

    fn handle(&mut self, challenges: &[&str], accepted: bool) -> Result<Option<String>, Cause> {
        let State::ExpectAnswer(expect) = std::mem::replace(&mut self.state, State::Over) else {
            return Err(AuthError::Rejected.into());
        };
        match expect.handle(challenges, accepted)? {
            Step::Continue { authorization, next } => {
                self.state = State::ExpectAnswer(next);
                Ok(Some(authorization))
            }
            Step::Established(sealer) => {
                self.state = State::Established(sealer);
                Ok(None)
            }
            // Only CredSSP asks.
            Step::NeedConsent(_) => Err(AuthError::Rejected.into()),
        }
    }

    fn seal(&mut self, body: Body) -> Result<Body, Cause> {
        let State::Established(sealer) = &mut self.state else { return Err(AuthError::Rejected.into()) };
        let sealed = sealer.seal(&body.content_type, &body.bytes)?;
        Ok(Body { content_type: sealed.content_type, bytes: sealed.body })
    }

    fn unseal(&mut self, body: Body) -> Result<Body, Cause> {
        let State::Established(sealer) = &mut self.state else { return Err(AuthError::Rejected.into()) };
        let unsealed = sealer.unseal(&body.content_type, &body.bytes)?;
        Ok(Body { content_type: unsealed.content_type, bytes: unsealed.body })
    }

    fn limit_answers(&mut self, limit: usize) {
        if let State::Established(sealer) = &mut self.state {
            sealer.set_limit(limit);
        }
    }
}
