//! The token legs of `Negotiate` and `Kerberos`, and the sealed bodies after them.

use std::sync::Arc;

use hop_auth::{
    BodyClass, Error as AuthError, Sealer,
    http::{Scheme, parse_www_authenticate},
    spnego::{NegState, NegTokenInit, NegTokenResp, Oid, Token, encode_mech_types},
};
use hop_kerberos::gss::{self, ExpectApRep, GssFlags, Initiator, InitiatorOptions};

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
    ExpectReply(ExpectApRep),
    /// Our mechListMIC is on its way; the server's last word is due.
    ExpectCompletion(Box<gss::Context>),
    Established(Sealer),
    Over,
}

impl Negotiation {
    pub(crate) fn new(prepared: Arc<Prepared>, scheme: Scheme) -> Self {
        Self { prepared, scheme, state: State::Start }
    }

    fn establish(&mut self, context: Box<gss::Context>) -> Option<String> {
        let class = if self.scheme == Scheme::Kerberos { BodyClass::Kerberos } else { BodyClass::Spnego };
        self.state = State::Established(Sealer::new(context, class));
        None
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
        let (token, state) = Initiator::new(&options, self.prepared.now(), &mut rand::rng())?;
        self.state = State::ExpectReply(state);
        let token = match self.scheme {
            Scheme::Kerberos => token,
            _ => Token::Init(NegTokenInit {
                mech_types: mechanisms(),
                mech_token: Some(token),
                ..NegTokenInit::default()
            })
            .encode(),
        };
        Ok(Some(self.scheme.header(&token)))
    }

    fn handle(&mut self, challenges: &[&str], accepted: bool) -> Result<Option<String>, Cause> {
        let token = match parse_www_authenticate(challenges.iter().copied(), self.scheme) {
            Ok(token) => token,
            // An acceptance may come without any header; whether that will do, the state says.
            Err(AuthError::NotOffered { .. }) if accepted => None,
            Err(error) => return Err(error.into()),
        };
        match std::mem::replace(&mut self.state, State::Over) {
            State::ExpectReply(expect) => {
                let Some(token) = token else {
                    let error = if accepted { AuthError::NotMutual } else { AuthError::Rejected };
                    return Err(error.into());
                };
                let reply = Reply::read(&token)?;
                let Some(mechanism_token) = reply.token else {
                    let error = if accepted { AuthError::NotMutual } else { AuthError::Rejected };
                    return Err(error.into());
                };
                // A KRB-ERROR in here becomes the error that it is.
                let mut context = Box::new(expect.handle(&mechanism_token)?);
                if let Some(mic) = &reply.mic {
                    context.verify_mic(&encode_mech_types(&mechanisms()), mic)?;
                }
                if reply.rejected {
                    return Err(AuthError::Rejected.into());
                }
                if accepted {
                    return Ok(self.establish(context));
                }
                let mic = context.get_mic(&encode_mech_types(&mechanisms()))?;
                let answer = NegTokenResp {
                    neg_state: Some(NegState::AcceptCompleted),
                    mech_list_mic: Some(mic),
                    ..NegTokenResp::default()
                };
                self.state = State::ExpectCompletion(context);
                Ok(Some(self.scheme.header(&Token::Resp(answer).encode())))
            }
            State::ExpectCompletion(mut context) if accepted => {
                if let Some(mic) =
                    token.map(|token| Reply::read(&token)).transpose()?.and_then(|reply| reply.mic)
                {
                    context.verify_mic(&encode_mech_types(&mechanisms()), &mic)?;
                }
                Ok(self.establish(context))
            }
            _ => Err(AuthError::Rejected.into()),
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

fn mechanisms() -> Vec<Oid> {
    vec![Oid::KERBEROS, Oid::KERBEROS_MICROSOFT]
}

/// What a server's token says, with SPNEGO around the mechanism's token or without.
struct Reply {
    token: Option<Vec<u8>>,
    mic: Option<Vec<u8>>,
    rejected: bool,
}

impl Reply {
    fn read(token: &[u8]) -> Result<Self, AuthError> {
        if !Token::recognises(token) {
            return Ok(Self { token: Some(token.to_vec()), mic: None, rejected: false });
        }
        match Token::decode(token)? {
            Token::Resp(reply) => Ok(Self {
                rejected: reply.neg_state == Some(NegState::Reject),
                token: reply.response_token,
                mic: reply.mech_list_mic,
            }),
            _ => Err(AuthError::Unexpected { expected: "NegTokenResp", got: "another token" }),
        }
    }
}
