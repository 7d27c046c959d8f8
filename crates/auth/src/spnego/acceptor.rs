use super::{NegState, NegTokenInit, NegTokenResp, Oid, Token, encode_mech_types, gss_frame};
use crate::{ContextError, DerError, Error, Mechanism, SecurityContext, ntlm};

/// The mechanisms that an acceptor has.
#[derive(Debug)]
pub struct AcceptorMechanisms {
    /// Kerberos, which is preferred.
    pub kerberos: bool,
    /// NTLM, if it is allowed.
    pub ntlm: Option<ntlm::Acceptor>,
}

impl Default for AcceptorMechanisms {
    fn default() -> Self {
        Self { kerberos: true, ntlm: None }
    }
}

/// Awaits an initiator's token: SPNEGO, or Kerberos or NTLM without it.
///
/// It never sees a key: a Kerberos token is handed out as [`NeedKerberos`], an NTLM proof as [`NeedNtlm`].
#[derive(Debug)]
pub struct Acceptor {
    state: State,
}

#[derive(Debug)]
#[expect(clippy::enum_variant_names, reason = "named by the awaited message")]
enum State {
    ExpectFirst(AcceptorMechanisms),
    /// A mechanism was chosen for which no token came: its first token follows.
    ExpectMechToken(Negotiation, Chosen),
    /// NTLM's last message is due.
    ExpectAuthenticate(Option<Negotiation>, Box<ntlm::ExpectAuthenticate>),
    /// The context stands; the initiator's mechListMIC is due.
    ExpectMic {
        context: Box<dyn SecurityContext>,
        mechanism: Mechanism,
        mech_types: Vec<Oid>,
        mic_sent: bool,
    },
}

#[derive(Debug)]
enum Chosen {
    Kerberos,
    Ntlm(Box<ntlm::Acceptor>),
}

/// What SPNEGO has settled while the mechanism still works.
#[derive(Debug)]
struct Negotiation {
    mech_types: Vec<Oid>,
    chosen: Oid,
    /// Another mechanism was preferred, so the list must be protected.
    mic_required: bool,
    /// The initiator's MIC, if it came with the mechanism's token.
    mic: Option<Vec<u8>>,
    first_reply: bool,
}

/// What follows a token of the initiator.
#[derive(Debug)]
#[non_exhaustive]
pub enum Accept {
    /// The AP exchange must be run on a token.
    NeedKerberos(NeedKerberos),
    /// An NTLM proof must be verified.
    NeedNtlm(NeedNtlm),
    /// Another token follows.
    Continue {
        /// The token for the initiator.
        token: Vec<u8>,
        /// Awaits the next one.
        next: Acceptor,
    },
    /// The initiator is who it says.
    Established {
        /// The last token for the initiator.
        token: Option<Vec<u8>>,
        /// The context.
        context: Box<dyn SecurityContext>,
        /// What proved it.
        mechanism: Mechanism,
    },
}

/// A token that ends the negotiation, and why.
#[derive(Debug)]
pub struct Refused {
    /// For the initiator, if there is anything to tell.
    pub token: Option<Vec<u8>>,
    /// Why, for the log.
    pub error: Box<Error>,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self { token: None, error: Box::new(error) }
    }
}

impl From<ContextError> for Refused {
    fn from(error: ContextError) -> Self {
        Error::from(error).into()
    }
}

impl From<DerError> for Refused {
    fn from(error: DerError) -> Self {
        Error::from(error).into()
    }
}

impl Acceptor {
    /// An acceptor with these mechanisms.
    pub fn new(mechanisms: AcceptorMechanisms) -> Self {
        Self { state: State::ExpectFirst(mechanisms) }
    }

    /// Takes a token. Without `spnego` only a bare token of a mechanism will do.
    ///
    /// # Errors
    /// Tokens that lead nowhere.
    pub fn handle(self, token: &[u8], spnego: bool) -> Result<Accept, Refused> {
        let spnego = spnego && Token::recognises(token);
        match self.state {
            State::ExpectFirst(mechanisms) if spnego => match Token::decode(token)? {
                Token::Init(init) => first(mechanisms, init),
                Token::Resp(_) => {
                    Err(Error::Unexpected { expected: "NegTokenInit", got: "NegTokenResp" }.into())
                }
            },
            State::ExpectFirst(mechanisms) => bare(mechanisms, token),
            State::ExpectMechToken(mut negotiation, chosen) => {
                let resp = expect_resp(spnego, token)?;
                negotiation.mic = resp.mech_list_mic;
                let token = resp.response_token.ok_or(Error::Unexpected {
                    expected: "a mechanism's token",
                    got: "NegTokenResp without token",
                })?;
                mech_token(chosen, token, Some(negotiation))
            }
            State::ExpectAuthenticate(None, expect) => Ok(Accept::NeedNtlm(NeedNtlm {
                unverified: Box::new(expect.handle(token).map_err(Error::from)?),
                negotiation: None,
            })),
            State::ExpectAuthenticate(Some(mut negotiation), expect) => {
                let resp = expect_resp(spnego, token)?;
                let token = resp.response_token.ok_or(Error::Unexpected {
                    expected: "an NTLM AUTHENTICATE message",
                    got: "NegTokenResp without token",
                })?;
                let unverified =
                    expect.handle(&token).map_err(|error| reject(Some(&negotiation), error.into(), None))?;
                negotiation.mic = resp.mech_list_mic;
                negotiation.mic_required |= unverified.has_mic();
                let unverified = Box::new(unverified);
                Ok(Accept::NeedNtlm(NeedNtlm { unverified, negotiation: Some(negotiation) }))
            }
            State::ExpectMic { mut context, mechanism, mech_types, mic_sent } => {
                let mic = expect_resp(spnego, token)?.mech_list_mic.ok_or(Error::MicMissing)?;
                let list = encode_mech_types(&mech_types);
                context.verify_mic(&list, &mic)?;
                context.mech_list_mic_done(false);
                let own = if mic_sent { None } else { Some(make_mic(context.as_mut(), &list)?) };
                let reply = NegTokenResp {
                    neg_state: Some(NegState::AcceptCompleted),
                    mech_list_mic: own,
                    ..NegTokenResp::default()
                };
                Ok(Accept::Established { token: Some(Token::Resp(reply).encode()), context, mechanism })
            }
        }
    }
}

fn make_mic(context: &mut dyn SecurityContext, list: &[u8]) -> Result<Vec<u8>, ContextError> {
    let mic = context.get_mic(list)?;
    context.mech_list_mic_done(true);
    Ok(mic)
}

fn expect_resp(spnego: bool, token: &[u8]) -> Result<NegTokenResp, Error> {
    if !spnego {
        return Err(Error::Unexpected { expected: "NegTokenResp", got: "a bare mechanism token" });
    }
    match Token::decode(token)? {
        Token::Resp(resp) if resp.neg_state == Some(NegState::Reject) => Err(Error::Rejected),
        Token::Resp(resp) => Ok(resp),
        Token::Init(_) => Err(Error::Unexpected { expected: "NegTokenResp", got: "NegTokenInit" }),
    }
}

fn first(mechanisms: AcceptorMechanisms, init: NegTokenInit) -> Result<Accept, Refused> {
    let find = |wanted: fn(&Oid) -> bool| init.mech_types.iter().find(|oid| wanted(oid)).cloned();
    let kerberos = find(Oid::is_kerberos).filter(|_| mechanisms.kerberos);
    let (oid, chosen) = match (kerberos, find(Oid::is_ntlm), mechanisms.ntlm) {
        (Some(oid), ..) => (oid, Chosen::Kerberos),
        (None, Some(oid), Some(ntlm)) => (oid, Chosen::Ntlm(Box::new(ntlm))),
        _ => {
            let offered = init.mech_types.iter().map(|oid| format!("{oid:?}")).collect::<Vec<_>>().join(", ");
            let offered = if offered.is_empty() { "none".to_owned() } else { offered };
            return Err(reject(None, Error::NoCommonMechanism { offered }, None));
        }
    };
    let preferred = init
        .mech_types
        .first()
        .is_some_and(|first| *first == oid || first.is_kerberos() && oid.is_kerberos());
    let mut negotiation = Negotiation {
        mech_types: init.mech_types,
        chosen: oid,
        mic_required: !preferred,
        mic: init.mech_list_mic,
        first_reply: true,
    };
    match init.mech_token {
        Some(token) if preferred => mech_token(chosen, token, Some(negotiation)),
        // The optimistic token belongs to a mechanism that we do not have, or none came.
        _ => {
            let state = if preferred { NegState::AcceptIncomplete } else { NegState::RequestMic };
            let reply = NegTokenResp {
                neg_state: Some(state),
                supported_mech: Some(negotiation.chosen.clone()),
                ..NegTokenResp::default()
            };
            negotiation.first_reply = false;
            Ok(Accept::Continue {
                token: Token::Resp(reply).encode(),
                next: Acceptor { state: State::ExpectMechToken(negotiation, chosen) },
            })
        }
    }
}

/// The first token of the chosen mechanism.
fn mech_token(chosen: Chosen, token: Vec<u8>, negotiation: Option<Negotiation>) -> Result<Accept, Refused> {
    let ntlm = match chosen {
        Chosen::Kerberos => return Ok(Accept::NeedKerberos(NeedKerberos { token, negotiation })),
        Chosen::Ntlm(ntlm) => ntlm,
    };
    let (challenge, expect) =
        ntlm.handle(&token).map_err(|error| reject(negotiation.as_ref(), error.into(), None))?;
    let expect = Box::new(expect);
    let Some(mut negotiation) = negotiation else {
        return Ok(Accept::Continue {
            token: challenge,
            next: Acceptor { state: State::ExpectAuthenticate(None, expect) },
        });
    };
    let reply = NegTokenResp {
        neg_state: Some(NegState::AcceptIncomplete),
        supported_mech: negotiation.first_reply.then(|| negotiation.chosen.clone()),
        response_token: Some(challenge),
        mech_list_mic: None,
    };
    negotiation.first_reply = false;
    Ok(Accept::Continue {
        token: Token::Resp(reply).encode(),
        next: Acceptor { state: State::ExpectAuthenticate(Some(negotiation), expect) },
    })
}

fn bare(mechanisms: AcceptorMechanisms, token: &[u8]) -> Result<Accept, Refused> {
    let none = |offered: String| Err(Error::NoCommonMechanism { offered }.into());
    match (gss_frame(token), mechanisms.ntlm) {
        (Some((oid, _)), _) if oid.is_kerberos() && mechanisms.kerberos => {
            mech_token(Chosen::Kerberos, token.to_vec(), None)
        }
        (Some((oid, _)), _) => none(format!("{oid:?}")),
        (None, Some(ntlm)) if token.starts_with(ntlm::SIGNATURE) => {
            mech_token(Chosen::Ntlm(Box::new(ntlm)), token.to_vec(), None)
        }
        (None, _) if token.starts_with(ntlm::SIGNATURE) => none("NTLM".to_owned()),
        (None, _) => {
            Err(Error::Unexpected { expected: "a SPNEGO, Kerberos or NTLM token", got: "other bytes" }.into())
        }
    }
}

fn reject(negotiation: Option<&Negotiation>, error: Error, response_token: Option<Vec<u8>>) -> Refused {
    let supported_mech = negotiation.filter(|n| n.first_reply).map(|n| n.chosen.clone());
    let reject = NegTokenResp {
        neg_state: Some(NegState::Reject),
        supported_mech,
        response_token,
        mech_list_mic: None,
    };
    Refused { token: Some(Token::Resp(reject).encode()), error: Box::new(error) }
}

/// The mechanism is done: settles the list of mechanisms.
fn complete(
    negotiation: Option<Negotiation>,
    mut context: Box<dyn SecurityContext>,
    reply: Option<Vec<u8>>,
    mechanism: Mechanism,
) -> Result<Accept, Refused> {
    let Some(negotiation) = negotiation else {
        return Ok(Accept::Established { token: reply, context, mechanism });
    };
    let list = encode_mech_types(&negotiation.mech_types);
    if let Some(mic) = &negotiation.mic {
        context.verify_mic(&list, mic)?;
        context.mech_list_mic_done(false);
    }
    let complete = !negotiation.mic_required || negotiation.mic.is_some();
    // A MIC is answered by a MIC; where none is needed none is sent, since it would cost another request.
    let own = if negotiation.mic_required || negotiation.mic.is_some() {
        Some(make_mic(context.as_mut(), &list)?)
    } else {
        None
    };
    let mic_sent = own.is_some();
    let token = Token::Resp(NegTokenResp {
        neg_state: Some(if complete { NegState::AcceptCompleted } else { NegState::AcceptIncomplete }),
        supported_mech: negotiation.first_reply.then_some(negotiation.chosen),
        response_token: reply,
        mech_list_mic: own,
    })
    .encode();
    if complete {
        return Ok(Accept::Established { token: Some(token), context, mechanism });
    }
    let state = State::ExpectMic { context, mechanism, mech_types: negotiation.mech_types, mic_sent };
    Ok(Accept::Continue { token, next: Acceptor { state } })
}

/// A Kerberos token that waits for an acceptor with keys.
#[derive(Debug)]
pub struct NeedKerberos {
    token: Vec<u8>,
    /// `None` when the token came without SPNEGO.
    negotiation: Option<Negotiation>,
}

impl NeedKerberos {
    /// The GSS-API token that [`hop_kerberos::gss::Acceptor`] takes.
    pub fn token(&self) -> &[u8] {
        &self.token
    }

    /// Goes on with the established context and the AP-REP token, if there is one.
    ///
    /// # Errors
    /// A wrong mechListMIC.
    pub fn accepted(
        self,
        context: Box<dyn SecurityContext>,
        reply: Option<Vec<u8>>,
    ) -> Result<Accept, Refused> {
        complete(self.negotiation, context, reply, Mechanism::Kerberos)
    }

    /// The token to send when the AP exchange failed: with the mechanism's error token, if there is one, so that
    /// the initiator can tell a clock skew from a wrong key.
    pub fn refused(self, error: hop_kerberos::Error, reply: Option<Vec<u8>>) -> Refused {
        match self.negotiation {
            Some(negotiation) => reject(Some(&negotiation), error.into(), reply),
            None => Refused { token: reply, error: Box::new(error.into()) },
        }
    }
}

/// An NTLM proof that waits for somebody who knows the password's hash.
#[derive(Debug)]
pub struct NeedNtlm {
    unverified: Box<ntlm::Unverified>,
    negotiation: Option<Negotiation>,
}

impl NeedNtlm {
    /// What to ask.
    pub fn question(&self) -> &ntlm::Question {
        self.unverified.question()
    }

    /// Goes on with the answer.
    ///
    /// # Errors
    /// The messages were altered.
    pub fn accepted(self, key: &ntlm::SessionBaseKey) -> Result<Accept, Refused> {
        match self.unverified.verified(key) {
            Ok(context) => complete(self.negotiation, Box::new(context), None, Mechanism::Ntlm),
            Err(error) => Err(reject(self.negotiation.as_ref(), error.into(), None)),
        }
    }

    /// The token to send when the proof is wrong or the user is unknown.
    pub fn refused(self, error: ntlm::NtlmError) -> Refused {
        match self.negotiation {
            Some(negotiation) => reject(Some(&negotiation), error.into(), None),
            None => Error::from(error).into(),
        }
    }
}
