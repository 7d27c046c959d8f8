//! The server's end of authentication over HTTP.
//!
//! One [`Acceptor`] belongs to one connection. It never sees a key: when a Kerberos token arrives it hands it out
//! as [`NeedKerberos`], when an NTLM proof arrives as [`NeedNtlm`], and goes on once the caller brings the answer.

use crate::{
    BodyClass, ContextError, Error, Sealer, SecurityContext,
    http::{self, Scheme},
    ntlm,
    spnego::{self, Accept, AcceptorMechanisms, Refused},
};

/// The values of the `WWW-Authenticate` headers of a 401 to a request without authentication, one header each.
pub fn challenges() -> impl Iterator<Item = &'static str> {
    Scheme::ALL.into_iter().map(Scheme::as_str)
}

/// Awaits a client's token.
#[derive(Debug)]
pub struct Acceptor {
    state: State,
}

#[derive(Debug)]
enum State {
    Fresh(AcceptorMechanisms),
    Negotiating(Scheme, spnego::Acceptor),
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
        Self::with(AcceptorMechanisms::default())
    }
}

impl Acceptor {
    /// An acceptor for a new connection that has Kerberos only.
    pub fn new() -> Self {
        Self::default()
    }

    /// An acceptor for a new connection.
    pub fn with(mechanisms: AcceptorMechanisms) -> Self {
        Self { state: State::Fresh(mechanisms) }
    }

    /// Takes the value of the `Authorization` header.
    pub fn handle(self, authorization: &str) -> Result<Step, Refusal> {
        let (scheme, token) = http::parse_authorization(authorization)?;
        let acceptor = match self.state {
            State::Fresh(mut mechanisms) => {
                if scheme == Scheme::Kerberos {
                    mechanisms.ntlm = None;
                }
                spnego::Acceptor::new(mechanisms)
            }
            State::Negotiating(before, acceptor) if before == scheme => acceptor,
            State::Negotiating(..) => return Err(Error::Header("the scheme changed between two legs").into()),
        };
        step(scheme, acceptor.handle(&token, scheme == Scheme::Negotiate))
    }
}

fn step(scheme: Scheme, accept: Result<Accept, Refused>) -> Result<Step, Refusal> {
    match accept {
        Ok(Accept::NeedKerberos(inner)) => Ok(Step::NeedKerberos(NeedKerberos { scheme, inner })),
        Ok(Accept::NeedNtlm(inner)) => Ok(Step::NeedNtlm(NeedNtlm { scheme, inner })),
        Ok(Accept::Continue { token, next }) => Ok(Step::Continue {
            www_authenticate: scheme.header(&token),
            next: Acceptor { state: State::Negotiating(scheme, next) },
        }),
        Ok(Accept::Established { token, context, .. }) => Ok(Step::Established {
            www_authenticate: token.map(|token| scheme.header(&token)),
            sealer: Sealer::new(context, BodyClass::of_scheme(scheme)),
        }),
        Err(refused) => Err(refusal(scheme, refused)),
    }
}

fn refusal(scheme: Scheme, refused: Refused) -> Refusal {
    Refusal { www_authenticate: refused.token.map(|token| scheme.header(&token)), error: refused.error }
}

/// A Kerberos token that waits for an acceptor with keys.
#[derive(Debug)]
pub struct NeedKerberos {
    scheme: Scheme,
    inner: spnego::NeedKerberos,
}

impl NeedKerberos {
    /// The GSS-API token that [`hop_kerberos::gss::Acceptor`] takes.
    pub fn token(&self) -> &[u8] {
        self.inner.token()
    }

    /// Goes on with the established context and the AP-REP token, if there is one.
    pub fn accepted(
        self,
        context: Box<dyn SecurityContext>,
        reply: Option<Vec<u8>>,
    ) -> Result<Step, Refusal> {
        step(self.scheme, self.inner.accepted(context, reply))
    }

    /// The header of the 401 when the AP exchange failed: with the mechanism's error token, if there is one, so that
    /// the client can tell a clock skew from a wrong key.
    pub fn refused(self, error: hop_kerberos::Error, reply: Option<Vec<u8>>) -> Refusal {
        refusal(self.scheme, self.inner.refused(error, reply))
    }
}

/// An NTLM proof that waits for somebody who knows the password's hash.
#[derive(Debug)]
pub struct NeedNtlm {
    scheme: Scheme,
    inner: spnego::NeedNtlm,
}

impl NeedNtlm {
    /// What to ask.
    pub fn question(&self) -> &ntlm::Question {
        self.inner.question()
    }

    /// Goes on with the answer.
    pub fn accepted(self, key: &ntlm::SessionBaseKey) -> Result<Step, Refusal> {
        step(self.scheme, self.inner.accepted(key))
    }

    /// The header of the 401 when the proof is wrong or the user is unknown.
    pub fn refused(self, error: ntlm::NtlmError) -> Refusal {
        refusal(self.scheme, self.inner.refused(error))
    }
}
