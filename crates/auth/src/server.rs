//! The server's end of authentication.
//!
//! One [`Acceptor`] belongs to one connection. It never sees a key: when a Kerberos token arrives it hands it out
//! as [`NeedKerberos`] and goes on once the caller brings the established context.

use crate::{
    BodyClass, ContextError, Error, Sealer, SecurityContext,
    http::{self, Scheme},
    spnego::{NegState, NegTokenInit, NegTokenResp, Oid, Token, encode_mech_types, gss_frame},
};

/// The values of the `WWW-Authenticate` headers of a 401 to a request without authentication, one header each.
pub fn challenges() -> impl Iterator<Item = &'static str> {
    Scheme::ALL.into_iter().map(Scheme::as_str)
}

/// Awaits a client's token.
#[derive(Debug, Default)]
pub struct Acceptor {
    state: State,
}

#[derive(Debug, Default)]
#[expect(clippy::enum_variant_names, reason = "named by the awaited message")]
enum State {
    #[default]
    ExpectFirst,
    /// Kerberos was chosen although another mechanism came first: its token follows.
    ExpectMechToken(Negotiation),
    /// The context stands; the client's mechListMIC is due.
    ExpectMic { context: Box<dyn SecurityContext>, mech_types: Vec<Oid>, mic_sent: bool },
}

/// What SPNEGO has settled while the mechanism still works.
#[derive(Debug)]
struct Negotiation {
    mech_types: Vec<Oid>,
    chosen: Oid,
    /// Another mechanism was preferred, so the list must be protected.
    mic_required: bool,
    /// The client's MIC, if it came with the mechanism's token.
    mic: Option<Vec<u8>>,
    first_reply: bool,
}

/// What follows a token of the client.
#[derive(Debug)]
#[non_exhaustive]
pub enum Step {
    /// The AP exchange must be run on a token; see [`NeedKerberos`].
    NeedKerberos(NeedKerberos),
    /// Answer 401 with this `WWW-Authenticate` header; another token follows on this connection.
    Continue {
        /// The header's value.
        www_authenticate: String,
        /// Awaits the next token.
        next: Acceptor,
    },
    /// The client is who it says.
    Established {
        /// The `WWW-Authenticate` header of the successful answer, which proves the server's identity.
        www_authenticate: Option<String>,
        /// Seals and unseals the bodies of this connection.
        sealer: Sealer,
    },
}

/// A Kerberos token that waits for an acceptor with keys.
#[derive(Debug)]
pub struct NeedKerberos {
    scheme: Scheme,
    token: Vec<u8>,
    /// `None` when the token came without SPNEGO.
    negotiation: Option<Negotiation>,
}

/// The header of a 401 that ends the negotiation, and why.
#[derive(Debug)]
pub struct Refusal {
    /// The value of the `WWW-Authenticate` header, if the client should be told more than the offered schemes.
    pub www_authenticate: Option<String>,
    /// Why, for the log.
    pub error: Box<Error>,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { www_authenticate: None, error: Box::new(error) }
    }
}

impl From<crate::DerError> for Refusal {
    fn from(error: crate::DerError) -> Self {
        Error::from(error).into()
    }
}

impl From<ContextError> for Refusal {
    fn from(error: ContextError) -> Self {
        Error::from(error).into()
    }
}

impl Acceptor {
    /// An acceptor for a new connection.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the value of the `Authorization` header.
    pub fn handle(self, authorization: &str) -> Result<Step, Refusal> {
        let (scheme, token) = http::parse_authorization(authorization)?;
        let spnego = scheme == Scheme::Negotiate && Token::recognises(&token);
        match self.state {
            State::ExpectFirst if spnego => match Token::decode(&token)? {
                Token::Init(init) => first(scheme, init),
                Token::Resp(_) => {
                    Err(Error::Unexpected { expected: "NegTokenInit", got: "NegTokenResp" }.into())
                }
            },
            State::ExpectFirst => bare(scheme, token),
            State::ExpectMechToken(mut negotiation) => {
                let resp = expect_resp(spnego, &token)?;
                negotiation.mic = resp.mech_list_mic;
                let token = resp.response_token.ok_or(Error::Unexpected {
                    expected: "a Kerberos token",
                    got: "NegTokenResp without token",
                })?;
                Ok(Step::NeedKerberos(NeedKerberos { scheme, token, negotiation: Some(negotiation) }))
            }
            State::ExpectMic { mut context, mech_types, mic_sent } => {
                let mic = expect_resp(spnego, &token)?.mech_list_mic.ok_or(Error::MicMissing)?;
                let list = encode_mech_types(&mech_types);
                context.verify_mic(&list, &mic)?;
                let own = if mic_sent { None } else { Some(context.get_mic(&list)?) };
                let reply = NegTokenResp {
                    neg_state: Some(NegState::AcceptCompleted),
                    mech_list_mic: own,
                    ..NegTokenResp::default()
                };
                Ok(established(scheme, Some(Token::Resp(reply).encode()), context, BodyClass::Spnego))
            }
        }
    }
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

fn first(scheme: Scheme, init: NegTokenInit) -> Result<Step, Refusal> {
    let Some(chosen) = init.mech_types.iter().find(|oid| oid.is_kerberos()).cloned() else {
        let offered = init.mech_types.iter().map(|oid| format!("{oid:?}")).collect::<Vec<_>>().join(", ");
        let offered = if offered.is_empty() { "none".to_owned() } else { offered };
        let reject = NegTokenResp { neg_state: Some(NegState::Reject), ..NegTokenResp::default() };
        return Err(Refusal {
            www_authenticate: Some(scheme.header(&Token::Resp(reject).encode())),
            error: Box::new(Error::NoCommonMechanism { offered }),
        });
    };
    let preferred = init.mech_types.first().is_some_and(Oid::is_kerberos);
    let mut negotiation = Negotiation {
        mech_types: init.mech_types,
        chosen,
        mic_required: !preferred,
        mic: init.mech_list_mic,
        first_reply: true,
    };
    match init.mech_token {
        Some(token) if preferred => {
            Ok(Step::NeedKerberos(NeedKerberos { scheme, token, negotiation: Some(negotiation) }))
        }
        // The optimistic token belongs to a mechanism that we do not have.
        _ => {
            let state = if preferred { NegState::AcceptIncomplete } else { NegState::RequestMic };
            let reply = NegTokenResp {
                neg_state: Some(state),
                supported_mech: Some(negotiation.chosen.clone()),
                ..NegTokenResp::default()
            };
            negotiation.first_reply = false;
            Ok(Step::Continue {
                www_authenticate: scheme.header(&Token::Resp(reply).encode()),
                next: Acceptor { state: State::ExpectMechToken(negotiation) },
            })
        }
    }
}

fn bare(scheme: Scheme, token: Vec<u8>) -> Result<Step, Refusal> {
    match gss_frame(&token) {
        Some((oid, _)) if oid.is_kerberos() => {
            Ok(Step::NeedKerberos(NeedKerberos { scheme, token, negotiation: None }))
        }
        Some((oid, _)) => Err(Error::NoCommonMechanism { offered: format!("{oid:?}") }.into()),
        None if token.starts_with(b"NTLMSSP\0") => {
            Err(Error::NoCommonMechanism { offered: "NTLM".to_owned() }.into())
        }
        None => Err(Error::Unexpected { expected: "a SPNEGO or Kerberos token", got: "other bytes" }.into()),
    }
}

impl NeedKerberos {
    /// The GSS-API token that [`hop_kerberos::gss::Acceptor`] takes.
    pub fn token(&self) -> &[u8] {
        &self.token
    }

    /// Goes on with the established context and the AP-REP token, if there is one.
    pub fn accepted(
        self,
        mut context: Box<dyn SecurityContext>,
        reply: Option<Vec<u8>>,
    ) -> Result<Step, Refusal> {
        let Some(negotiation) = self.negotiation else {
            let class = match self.scheme {
                Scheme::Negotiate => BodyClass::Spnego,
                Scheme::Kerberos => BodyClass::Kerberos,
            };
            return Ok(established(self.scheme, reply, context, class));
        };
        let list = encode_mech_types(&negotiation.mech_types);
        if let Some(mic) = &negotiation.mic {
            context.verify_mic(&list, mic)?;
        }
        let complete = !negotiation.mic_required || negotiation.mic.is_some();
        // A MIC is answered by a MIC; where none is needed none is sent, since it would cost another request.
        let own = if negotiation.mic_required || negotiation.mic.is_some() {
            Some(context.get_mic(&list)?)
        } else {
            None
        };
        let mic_sent = own.is_some();
        let resp = Token::Resp(NegTokenResp {
            neg_state: Some(if complete { NegState::AcceptCompleted } else { NegState::AcceptIncomplete }),
            supported_mech: negotiation.first_reply.then_some(negotiation.chosen),
            response_token: reply,
            mech_list_mic: own,
        });
        if complete {
            return Ok(established(self.scheme, Some(resp.encode()), context, BodyClass::Spnego));
        }
        let state = State::ExpectMic { context, mech_types: negotiation.mech_types, mic_sent };
        Ok(Step::Continue { www_authenticate: self.scheme.header(&resp.encode()), next: Acceptor { state } })
    }

    /// The header of the 401 when the AP exchange failed: with the mechanism's error token, if there is one, so that
    /// the client can tell a clock skew from a wrong key.
    pub fn refused(self, error: hop_kerberos::Error, reply: Option<Vec<u8>>) -> Refusal {
        let token = match (self.negotiation, reply) {
            (Some(negotiation), response_token) => Some(
                Token::Resp(NegTokenResp {
                    neg_state: Some(NegState::Reject),
                    supported_mech: negotiation.first_reply.then_some(negotiation.chosen),
                    response_token,
                    mech_list_mic: None,
                })
                .encode(),
            ),
            (None, reply) => reply,
        };
        Refusal {
            www_authenticate: token.map(|token| self.scheme.header(&token)),
            error: Box::new(error.into()),
        }
    }
}

fn established(
    scheme: Scheme,
    reply: Option<Vec<u8>>,
    context: Box<dyn SecurityContext>,
    class: BodyClass,
) -> Step {
    Step::Established {
        www_authenticate: reply.map(|token| scheme.header(&token)),
        sealer: Sealer::new(context, class),
    }
}
