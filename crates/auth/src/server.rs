//! The server's end of authentication over HTTP.
//!
//! One [`Acceptor`] belongs to one connection. It never sees a key: when a Kerberos token arrives it hands it out
//! as [`NeedKerberos`], when an NTLM proof arrives as [`NeedNtlm`], and goes on once the caller brings the answer.

use crate::{
    BodyClass, ContextError, Error, Sealer, SecurityContext,
    credssp::{self, DelegatedPassword},
    http::{self, Scheme},
    ntlm,
    spnego::{self, Accept, AcceptorMechanisms, Refused},
};

/// The values of the `WWW-Authenticate` headers of a 401 that offers these schemes, one header each.
pub fn challenges(negotiate: bool, kerberos: bool, credssp: bool) -> Vec<&'static str> {
    [(negotiate, Scheme::Negotiate), (kerberos, Scheme::Kerberos), (credssp, Scheme::CredSsp)]
        .into_iter()
        .filter_map(|(offered, scheme)| offered.then_some(scheme.as_str()))
        .collect()
}

/// What a server offers.
#[derive(Debug, Default)]
pub struct Offer {
    /// For the schemes `Negotiate` and, Kerberos alone, `Kerberos`.
    pub mechanisms: AcceptorMechanisms,
    /// For the scheme `CredSSP`, if it is allowed.
    pub credssp: Option<credssp::Acceptor>,
}

impl Offer {
    /// The values of the `WWW-Authenticate` headers of a 401, one header each.
    pub fn challenges(&self) -> Vec<&'static str> {
        let AcceptorMechanisms { kerberos, ntlm } = &self.mechanisms;
        challenges(*kerberos || ntlm.is_some(), *kerberos, self.credssp.is_some())
    }
}

impl From<AcceptorMechanisms> for Offer {
    fn from(mechanisms: AcceptorMechanisms) -> Self {
        Self { mechanisms, credssp: None }
    }
}

/// Awaits a client's token.
#[derive(Debug)]
pub struct Acceptor {
    state: State,
}

#[derive(Debug)]
enum State {
    Fresh(Box<Offer>),
    Negotiating(Scheme, Box<spnego::Acceptor>),
    CredSsp(Box<credssp::Acceptor>),
}

/// What follows a token of the client.
#[derive(Debug)]
#[non_exhaustive]
pub enum Step {
    /// The AP exchange must be run on a token; see [`NeedKerberos`].
    NeedKerberos(NeedKerberos),
    /// A proof must be verified; see [`NeedNtlm`].
    NeedNtlm(NeedNtlm),
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
    /// The client is who it says, and left a password by CredSSP.
    Delegated {
        /// Seals and unseals the bodies of this connection.
        sealer: Sealer,
        /// What the client left. That it is the password of whoever authenticated is for the caller to find out.
        credentials: DelegatedPassword,
    },
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

impl From<ContextError> for Refusal {
    fn from(error: ContextError) -> Self {
        Error::from(error).into()
    }
}

impl Default for Acceptor {
    fn default() -> Self {
        Self::with(Offer::default())
    }
}

impl Acceptor {
    /// An acceptor for a new connection that has Kerberos only.
    pub fn new() -> Self {
        Self::default()
    }

    /// An acceptor for a new connection.
    pub fn with(offer: impl Into<Offer>) -> Self {
        Self { state: State::Fresh(Box::new(offer.into())) }
    }

    /// Takes the value of the `Authorization` header.
    pub fn handle(self, authorization: &str) -> Result<Step, Refusal> {
        let (scheme, token) = http::parse_authorization(authorization)?;
        let changed = || Error::Header("the scheme changed between two legs");
        match (self.state, scheme) {
            (State::Fresh(offer), Scheme::CredSsp) => match offer.credssp {
                Some(acceptor) => delegation(acceptor.handle(&token)),
                None => Err(Error::Scheme { got: scheme.as_str().to_owned() }.into()),
            },
            (State::Fresh(offer), Scheme::Negotiate) => {
                step(scheme, spnego::Acceptor::new(offer.mechanisms).handle(&token, true))
            }
            (State::Fresh(offer), Scheme::Kerberos) => {
                let mechanisms = AcceptorMechanisms { ntlm: None, ..offer.mechanisms };
                step(scheme, spnego::Acceptor::new(mechanisms).handle(&token, false))
            }
            (State::Negotiating(before, acceptor), scheme) if before == scheme => {
                step(scheme, acceptor.handle(&token, scheme == Scheme::Negotiate))
            }
            (State::CredSsp(acceptor), Scheme::CredSsp) => delegation(acceptor.handle(&token)),
            _ => Err(changed().into()),
        }
    }
}

fn step(scheme: Scheme, accept: Result<Accept, Refused>) -> Result<Step, Refusal> {
    match accept {
        Ok(Accept::NeedKerberos(inner)) => {
            Ok(Step::NeedKerberos(NeedKerberos(Need::Mechanism(scheme, inner))))
        }
        Ok(Accept::NeedNtlm(inner)) => Ok(Step::NeedNtlm(NeedNtlm(Need::Mechanism(scheme, inner)))),
        Ok(Accept::Continue { token, next }) => Ok(Step::Continue {
            www_authenticate: scheme.header(&token),
            next: Acceptor { state: State::Negotiating(scheme, Box::new(next)) },
        }),
        Ok(Accept::Established { token, context, .. }) => Ok(Step::Established {
            www_authenticate: token.map(|token| scheme.header(&token)),
            sealer: Sealer::new(context, BodyClass::of_scheme(scheme)),
        }),
        Err(Refused { token, error }) => Err(refusal(scheme, token, error)),
    }
}

fn delegation(accept: Result<credssp::Accept, credssp::Refused>) -> Result<Step, Refusal> {
    match accept {
        Ok(credssp::Accept::NeedKerberos(inner)) => {
            Ok(Step::NeedKerberos(NeedKerberos(Need::CredSsp(Box::new(inner)))))
        }
        Ok(credssp::Accept::NeedNtlm(inner)) => Ok(Step::NeedNtlm(NeedNtlm(Need::CredSsp(Box::new(inner))))),
        Ok(credssp::Accept::Continue { token, next }) => Ok(Step::Continue {
            www_authenticate: Scheme::CredSsp.header(&token),
            next: Acceptor { state: State::CredSsp(Box::new(next)) },
        }),
        Ok(credssp::Accept::Established { context, credentials, .. }) => {
            Ok(Step::Delegated { sealer: Sealer::new(Box::new(context), BodyClass::CredSsp), credentials })
        }
        Err(credssp::Refused { token, error }) => Err(refusal(Scheme::CredSsp, token, error)),
    }
}

fn refusal(scheme: Scheme, token: Option<Vec<u8>>, error: Box<Error>) -> Refusal {
    Refusal { www_authenticate: token.map(|token| scheme.header(&token)), error }
}

#[derive(Debug)]
enum Need<Mechanism, CredSsp> {
    Mechanism(Scheme, Mechanism),
    CredSsp(Box<CredSsp>),
}

/// A Kerberos token that waits for an acceptor with keys.
#[derive(Debug)]
pub struct NeedKerberos(Need<spnego::NeedKerberos, credssp::NeedKerberos>);

impl NeedKerberos {
    /// The GSS-API token that [`hop_kerberos::gss::Acceptor`] takes.
    pub fn token(&self) -> &[u8] {
        match &self.0 {
            Need::Mechanism(_, inner) => inner.token(),
            Need::CredSsp(inner) => inner.token(),
        }
    }

    /// Goes on with the established context and the AP-REP token, if there is one.
    pub fn accepted(
        self,
        context: Box<dyn SecurityContext>,
        reply: Option<Vec<u8>>,
    ) -> Result<Step, Refusal> {
        match self.0 {
            Need::Mechanism(scheme, inner) => step(scheme, inner.accepted(context, reply)),
            Need::CredSsp(inner) => delegation(inner.accepted(context, reply)),
        }
    }

    /// The header of the 401 when the AP exchange failed: with the mechanism's error token, if there is one, so that
    /// the client can tell a clock skew from a wrong key.
    pub fn refused(self, error: hop_kerberos::Error, reply: Option<Vec<u8>>) -> Refusal {
        match self.0 {
            Need::Mechanism(scheme, inner) => {
                let Refused { token, error } = inner.refused(error, reply);
                refusal(scheme, token, error)
            }
            Need::CredSsp(inner) => {
                let credssp::Refused { token, error } = inner.refused(error, reply);
                refusal(Scheme::CredSsp, token, error)
            }
        }
    }
}

/// An NTLM proof that waits for somebody who knows the password's hash.
#[derive(Debug)]
pub struct NeedNtlm(Need<spnego::NeedNtlm, credssp::NeedNtlm>);

impl NeedNtlm {
    /// What to ask.
    pub fn question(&self) -> &ntlm::Question {
        match &self.0 {
            Need::Mechanism(_, inner) => inner.question(),
            Need::CredSsp(inner) => inner.question(),
        }
    }

    /// Goes on with the answer.
    pub fn accepted(self, key: &ntlm::SessionBaseKey) -> Result<Step, Refusal> {
        match self.0 {
            Need::Mechanism(scheme, inner) => step(scheme, inner.accepted(key)),
            Need::CredSsp(inner) => delegation(inner.accepted(key)),
        }
    }

    /// The header of the 401 when the proof is wrong or the user is unknown.
    pub fn refused(self, error: ntlm::NtlmError) -> Refusal {
        match self.0 {
            Need::Mechanism(scheme, inner) => {
                let Refused { token, error } = inner.refused(error);
                refusal(scheme, token, error)
            }
            Need::CredSsp(inner) => {
                let credssp::Refused { token, error } = inner.refused(error);
                refusal(Scheme::CredSsp, token, error)
            }
        }
    }
}
