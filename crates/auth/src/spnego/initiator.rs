use hop_kerberos::gss::ExpectApRep;

use super::{NegState, NegTokenInit, NegTokenResp, Oid, Token, encode_mech_types};
use crate::{Error, Mechanism, SecurityContext, ntlm};

/// The mechanisms that an initiator offers, each with its first token. Kerberos is preferred.
#[derive(Debug, Default)]
pub struct InitiatorMechanisms {
    /// Kerberos: of [`hop_kerberos::gss::Initiator::new`].
    pub kerberos: Option<(Vec<u8>, ExpectApRep)>,
    /// NTLM: of [`ntlm::Initiator::start`].
    pub ntlm: Option<(Vec<u8>, ntlm::ExpectChallenge)>,
}

/// Makes the first token.
#[derive(Debug)]
pub struct Initiator;

impl Initiator {
    /// A negotiation among the mechanisms that are offered.
    ///
    /// # Errors
    /// Nothing is offered.
    pub fn negotiate(mechanisms: InitiatorMechanisms) -> Result<(Vec<u8>, ExpectReply), Error> {
        let mut mech_types = Vec::new();
        if mechanisms.kerberos.is_some() {
            mech_types.extend([Oid::KERBEROS, Oid::KERBEROS_MICROSOFT]);
        }
        if mechanisms.ntlm.is_some() {
            mech_types.push(Oid::NTLM);
        }
        let (token, active, fallback) = split(mechanisms)?;
        let init = NegTokenInit {
            mech_types: mech_types.clone(),
            mech_token: Some(token),
            ..NegTokenInit::default()
        };
        let negotiation = Negotiation { mech_types, fallback, first: true, mic_required: false };
        let state =
            ExpectReply { negotiation: Some(negotiation), active, mic_sent: false, mic_verified: false };
        Ok((Token::Init(init).encode(), state))
    }

    /// The preferred mechanism without SPNEGO.
    ///
    /// # Errors
    /// Nothing is offered.
    pub fn bare(mechanisms: InitiatorMechanisms) -> Result<(Vec<u8>, ExpectReply), Error> {
        let (token, active, _) = split(mechanisms)?;
        Ok((token, ExpectReply { negotiation: None, active, mic_sent: false, mic_verified: false }))
    }
}

type Ntlm = Box<(Vec<u8>, ntlm::ExpectChallenge)>;

/// The preferred mechanism's token and state, and NTLM if it is the second choice.
fn split(mechanisms: InitiatorMechanisms) -> Result<(Vec<u8>, Active, Option<Ntlm>), Error> {
    match (mechanisms.kerberos, mechanisms.ntlm) {
        (Some((token, expect)), ntlm) => Ok((token, Active::Kerberos(Box::new(expect)), ntlm.map(Box::new))),
        (None, Some((token, expect))) => Ok((token, Active::Ntlm(Box::new(expect)), None)),
        (None, None) => Err(Error::NoCommonMechanism { offered: "none of ours".to_owned() }),
    }
}

/// Awaits the acceptor's token.
#[derive(Debug)]
pub struct ExpectReply {
    /// `None` without SPNEGO.
    negotiation: Option<Negotiation>,
    active: Active,
    mic_sent: bool,
    mic_verified: bool,
}

#[derive(Debug)]
struct Negotiation {
    mech_types: Vec<Oid>,
    fallback: Option<Ntlm>,
    /// The acceptor has not chosen yet.
    first: bool,
    /// The list must be protected by the acceptor.
    mic_required: bool,
}

#[derive(Debug)]
enum Active {
    Kerberos(Box<ExpectApRep>),
    Ntlm(Box<ntlm::ExpectChallenge>),
    Ready(Box<dyn SecurityContext>, Mechanism),
    /// An error is on its way to the caller.
    Over,
}

/// What follows a token of the acceptor.
#[derive(Debug)]
pub enum Initiate {
    /// Send this; another token may come.
    Continue {
        /// For the acceptor.
        token: Vec<u8>,
        /// Awaits the next one.
        next: ExpectReply,
    },
    /// Both ends are done.
    Established(Established),
}

/// An established context of an initiator.
#[derive(Debug)]
pub struct Established {
    /// The context.
    pub context: Box<dyn SecurityContext>,
    /// What proved the acceptor's identity: Kerberos by its key; NTLM only by knowing the password's hash, or
    /// somebody who does.
    pub mechanism: Mechanism,
}

/// What an acceptor's token says, with SPNEGO around the mechanism's token or without.
#[derive(Default)]
struct Reply {
    state: Option<NegState>,
    mech: Option<Oid>,
    token: Option<Vec<u8>>,
    mic: Option<Vec<u8>>,
}

impl Reply {
    fn read(token: &[u8], spnego: bool) -> Result<Self, Error> {
        if !spnego || !Token::recognises(token) {
            return Ok(Self { token: Some(token.to_vec()), ..Self::default() });
        }
        match Token::decode(token)? {
            Token::Resp(reply) => Ok(Self {
                state: reply.neg_state,
                mech: reply.supported_mech,
                token: reply.response_token.filter(|token| !token.is_empty()),
                mic: reply.mech_list_mic,
            }),
            Token::Init(_) => Err(Error::Unexpected { expected: "NegTokenResp", got: "NegTokenInit" }),
        }
    }
}

impl ExpectReply {
    /// Takes a token of the acceptor.
    ///
    /// # Errors
    /// The acceptor refused, did not prove what it must, or speaks another protocol.
    pub fn handle(mut self, token: &[u8]) -> Result<Initiate, Error> {
        let reply = Reply::read(token, self.negotiation.is_some())?;
        if let Some(token) = self.choose(&reply)? {
            return Ok(self.reply(Some(token), None));
        }
        let out = self.advance(&reply)?;
        self.check_mic(&reply)?;
        if !matches!(self.active, Active::Ready(..)) {
            return Err(Error::Unexpected {
                expected: "a mechanism's token",
                got: "NegTokenResp without token",
            });
        }
        let Some(negotiation) = &self.negotiation else {
            return match out {
                Some(token) => Ok(Initiate::Continue { token, next: self }),
                None => Ok(Initiate::Established(self.established()?)),
            };
        };
        let completed = reply.state == Some(NegState::AcceptCompleted);
        let settled = self.mic_verified || !negotiation.mic_required;
        if out.is_none() && settled && (completed || self.mic_sent || reply.state.is_none()) {
            return Ok(Initiate::Established(self.established()?));
        }
        if out.is_none() && (completed || self.mic_sent) {
            return Err(Error::MicMissing);
        }
        let mic = self.make_mic()?;
        Ok(self.reply(out, mic))
    }

    /// The carrier says that the acceptor is content, with a last token or without.
    ///
    /// # Errors
    /// The acceptor did not prove what it must.
    pub fn finish(mut self, token: Option<&[u8]>) -> Result<Established, Error> {
        if let Some(token) = token {
            let reply = Reply::read(token, self.negotiation.is_some())?;
            if self.choose(&reply)?.is_some() || self.advance(&reply)?.is_some() {
                return Err(Error::NotMutual);
            }
            self.check_mic(&reply)?;
        }
        self.established()
    }

    /// The context, once the mechanism is done on this end; the acceptor may still refuse.
    pub fn context(&mut self) -> Option<&mut dyn SecurityContext> {
        match &mut self.active {
            Active::Ready(context, _) => Some(context.as_mut()),
            _ => None,
        }
    }

    /// The first reply chooses the mechanism. Returns the first token of another one than the preferred.
    fn choose(&mut self, reply: &Reply) -> Result<Option<Vec<u8>>, Error> {
        if reply.state == Some(NegState::Reject) && reply.token.is_none() {
            return Err(Error::Rejected);
        }
        let Some(negotiation) = self.negotiation.as_mut().filter(|n| n.first) else { return Ok(None) };
        negotiation.first = false;
        negotiation.mic_required |= reply.state == Some(NegState::RequestMic);
        let Some(mech) = &reply.mech else { return Ok(None) };
        if !negotiation.mech_types.contains(mech) {
            return Err(Error::NoCommonMechanism { offered: format!("{mech:?}") });
        }
        let preferred = match self.active {
            Active::Kerberos(_) => mech.is_kerberos(),
            _ => mech.is_ntlm(),
        };
        if preferred {
            return Ok(None);
        }
        // What we offered first was not taken; somebody may have taken it off the list.
        negotiation.mic_required = true;
        let Some(ntlm) = negotiation.fallback.take().filter(|_| mech.is_ntlm()) else {
            return Err(Error::NoCommonMechanism { offered: format!("{mech:?}") });
        };
        if reply.token.is_some() {
            return Err(Error::Unexpected { expected: "a choice of mechanism", got: "a mechanism's token" });
        }
        let (token, expect) = *ntlm;
        self.active = Active::Ntlm(Box::new(expect));
        Ok(Some(token))
    }

    /// Hands the mechanism its token; returns the mechanism's answer.
    fn advance(&mut self, reply: &Reply) -> Result<Option<Vec<u8>>, Error> {
        let Some(token) = &reply.token else { return Ok(None) };
        let (out, context, mechanism): (_, Box<dyn SecurityContext>, _) =
            match std::mem::replace(&mut self.active, Active::Over) {
                // A KRB-ERROR in here becomes the error that it is.
                Active::Kerberos(expect) => (None, Box::new(expect.handle(token)?), Mechanism::Kerberos),
                Active::Ntlm(expect) => {
                    let (out, context) = expect.handle(token)?;
                    // NTLM's own MIC covers its messages only; the list of mechanisms needs one of its own.
                    if let Some(negotiation) = &mut self.negotiation {
                        negotiation.mic_required = true;
                    }
                    (Some(out), Box::new(context), Mechanism::Ntlm)
                }
                Active::Ready(..) | Active::Over => {
                    return Err(Error::Unexpected { expected: "mechListMIC", got: "a mechanism's token" });
                }
            };
        self.active = Active::Ready(context, mechanism);
        if reply.state == Some(NegState::Reject) {
            return Err(Error::Rejected);
        }
        Ok(out)
    }

    fn check_mic(&mut self, reply: &Reply) -> Result<(), Error> {
        let (Some(mic), Some(negotiation)) = (&reply.mic, &self.negotiation) else { return Ok(()) };
        let Active::Ready(context, _) = &mut self.active else {
            return Err(Error::Unexpected { expected: "a mechanism's token", got: "mechListMIC" });
        };
        context.verify_mic(&encode_mech_types(&negotiation.mech_types), mic)?;
        context.mech_list_mic_done(false);
        self.mic_verified = true;
        Ok(())
    }

    fn make_mic(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let (Active::Ready(context, _), Some(negotiation)) = (&mut self.active, &self.negotiation) else {
            return Ok(None);
        };
        if self.mic_sent {
            return Ok(None);
        }
        let mic = context.get_mic(&encode_mech_types(&negotiation.mech_types))?;
        context.mech_list_mic_done(true);
        self.mic_sent = true;
        Ok(Some(mic))
    }

    fn reply(self, token: Option<Vec<u8>>, mic: Option<Vec<u8>>) -> Initiate {
        // Nothing is left to do for us but to hear the acceptor's last word.
        let completed = token.is_none() && mic.is_some() && self.mic_verified;
        let resp = NegTokenResp {
            neg_state: Some(if completed { NegState::AcceptCompleted } else { NegState::AcceptIncomplete }),
            supported_mech: None,
            response_token: token,
            mech_list_mic: mic,
        };
        Initiate::Continue { token: Token::Resp(resp).encode(), next: self }
    }

    fn established(self) -> Result<Established, Error> {
        let mic_required = self.negotiation.is_some_and(|n| n.mic_required);
        match self.active {
            Active::Ready(..) if mic_required && !self.mic_verified => Err(Error::MicMissing),
            Active::Ready(context, mechanism) => Ok(Established { context, mechanism }),
            _ => Err(Error::NotMutual),
        }
    }
}
