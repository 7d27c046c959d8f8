//! The token legs of `Negotiate`, `Kerberos` and `CredSSP`, and the bodies after them.

use std::sync::{Arc, Mutex, PoisonError};

use hop_auth::{
    Error as AuthError, Mechanism, Sealer,
    client::{ExpectAnswer, Step},
    credssp::{CredSspError, ServerProof},
};

use crate::{
    authentication::Consent,
    error::Cause,
    security::{Body, Channel, Security},
};

/// One connection's exchange: one state per awaited message.
pub(crate) struct Negotiation {
    state: State,
    channel: Channel,
    /// For CredSSP alone.
    consent: Option<Consent>,
    proof: ProvedBy,
}

/// What proved the host's name last, once something has.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProvedBy(Arc<Mutex<Option<Mechanism>>>);

impl ProvedBy {
    pub(crate) fn get(&self) -> Option<Mechanism> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, mechanism: Option<Mechanism>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = mechanism;
    }
}

enum State {
    Start(String, ExpectAnswer),
    ExpectAnswer(ExpectAnswer),
    Established(Sealer),
    Over,
}

impl Negotiation {
    pub(crate) fn new(
        (authorization, expect): (String, ExpectAnswer),
        channel: Channel,
        consent: Option<Consent>,
    ) -> Self {
        Self { state: State::Start(authorization, expect), channel, consent, proof: ProvedBy::default() }
    }

    /// Tells what proved the host's name.
    pub(crate) fn telling(mut self, proof: &ProvedBy) -> Self {
        self.proof = proof.clone();
        self
    }

    fn go_on(&mut self, authorization: String, next: ExpectAnswer) -> Option<String> {
        self.state = State::ExpectAnswer(next);
        Some(authorization)
    }
}

impl Security for Negotiation {
    fn start(&mut self) -> Result<Option<String>, Cause> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Start(authorization, expect) => Ok(self.go_on(authorization, expect)),
            _ => Err(AuthError::Rejected.into()),
        }
    }

    fn handle(&mut self, challenges: &[&str], accepted: bool) -> Result<Option<String>, Cause> {
        let State::ExpectAnswer(expect) = std::mem::replace(&mut self.state, State::Over) else {
            return Err(AuthError::Rejected.into());
        };
        let step = match (expect.handle(challenges, accepted), &self.consent) {
            (Err(AuthError::CredSsp(CredSspError::NtlmUnproven { certificate })), Some(consent)) => {
                let proof = ServerProof { mechanism: Mechanism::Ntlm, certificate, version: 0 };
                consent.decide(&proof, false)?;
                return Err(AuthError::Rejected.into());
            }
            (step, _) => step?,
        };
        match step {
            Step::Continue { authorization, next } => Ok(self.go_on(authorization, next)),
            Step::NeedConsent(need) => {
                let proof = need.proof();
                tracing::debug!(?proof, "may this server have the password?");
                let consent = self.consent.as_ref().ok_or(AuthError::Rejected)?;
                consent.decide(&proof, self.channel.proves_name)?;
                let (authorization, next) = need.send_password()?;
                Ok(self.go_on(authorization, next))
            }
            Step::Established(sealer) => {
                self.proof.set(sealer.mechanism());
                self.state = State::Established(sealer);
                Ok(None)
            }
        }
    }

    /// Inside TLS bodies travel as they are, which is what servers of WinRM expect there.
    fn seal(&mut self, body: Body) -> Result<Body, Cause> {
        let State::Established(sealer) = &mut self.state else { return Err(AuthError::Rejected.into()) };
        if self.channel.encrypted {
            return Ok(body);
        }
        let sealed = sealer.seal(&body.content_type, &body.bytes)?;
        Ok(Body { content_type: sealed.content_type, bytes: sealed.body })
    }

    fn unseal(&mut self, body: Body) -> Result<Body, Cause> {
        let State::Established(sealer) = &mut self.state else { return Err(AuthError::Rejected.into()) };
        if self.channel.encrypted {
            return body.expect_soap();
        }
        let unsealed = sealer.unseal(&body.content_type, &body.bytes)?;
        Ok(Body { content_type: unsealed.content_type, bytes: unsealed.body })
    }

    fn limit_answers(&mut self, limit: usize) {
        if let State::Established(sealer) = &mut self.state {
            sealer.set_limit(limit);
        }
    }
}
