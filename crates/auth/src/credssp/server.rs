use super::{
    CredSspError, DelegatedPassword, NEWEST_VERSION, NtStatus, SAFE_VERSION, TlsContext, TlsPipe,
    binding::{Binding, Way},
    client::Link,
    ts_request::TsRequest,
};
use crate::{
    Error, Mechanism, SecurityContext, ntlm,
    spnego::{self, AcceptorMechanisms},
};
use zeroize::Zeroizing;

/// What the server brings.
#[derive(Debug)]
pub struct AcceptorOptions {
    /// The mechanisms inside.
    pub mechanisms: AcceptorMechanisms,
    /// The oldest version that is spoken; see [`SAFE_VERSION`].
    pub minimum_version: u32,
    /// The newest version that is spoken: [`NEWEST_VERSION`].
    pub newest_version: u32,
}

impl AcceptorOptions {
    /// With safe versions only.
    pub fn new(mechanisms: AcceptorMechanisms) -> Self {
        Self { mechanisms, minimum_version: SAFE_VERSION, newest_version: NEWEST_VERSION }
    }
}

/// Awaits a client's token.
#[derive(Debug)]
pub struct Acceptor {
    link: Link,
    state: State,
}

#[derive(Debug)]
enum State {
    /// TLS, or the first SPNEGO token.
    Negotiate(Box<spnego::Acceptor>),
    PublicKey(Box<dyn SecurityContext>, Mechanism),
    Credentials(Box<dyn SecurityContext>, Mechanism),
}

/// What follows a token of the client.
#[derive(Debug)]
#[non_exhaustive]
pub enum Accept {
    /// The AP exchange must be run on a token.
    NeedKerberos(NeedKerberos),
    /// An NTLM proof must be verified.
    NeedNtlm(NeedNtlm),
    /// Another token follows.
    Continue {
        /// The token for the client.
        token: Vec<u8>,
        /// Awaits the next one.
        next: Acceptor,
    },
    /// The client is who it says, and left a password.
    Established {
        /// Seals the bodies.
        context: TlsContext,
        /// What the client left. That it is the password of whoever authenticated is for the caller to find out.
        credentials: DelegatedPassword,
        /// What proved the client's identity.
        mechanism: Mechanism,
    },
}

/// A token that ends the exchange, and why.
#[derive(Debug)]
pub struct Refused {
    /// For the client, if there is anything to tell.
    pub token: Option<Vec<u8>>,
    /// Why, for the log.
    pub error: Box<Error>,
}

impl Acceptor {
    /// An acceptor on a fresh TLS connection.
    pub fn new(tls: Box<dyn TlsPipe>, options: AcceptorOptions) -> Self {
        let link = Link {
            tls,
            version: None,
            minimum_version: options.minimum_version,
            newest_version: options.newest_version,
        };
        Self { link, state: State::Negotiate(Box::new(spnego::Acceptor::new(options.mechanisms))) }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// Tokens that lead nowhere.
    pub fn handle(mut self, token: &[u8]) -> Result<Accept, Refused> {
        let plaintext = match self.link.receive(token) {
            Ok(plaintext) => plaintext,
            // The alert tells the client what TLS did not like.
            Err(error) => {
                let alert = self.link.output().ok().filter(|alert| !alert.is_empty());
                return Err(Refused { token: alert, error: Box::new(error) });
            }
        };
        if plaintext.is_empty() {
            return match (self.link.output(), &self.state) {
                (Ok(token), State::Negotiate(_)) if self.link.version.is_none() => {
                    Ok(Accept::Continue { token, next: self })
                }
                (Ok(_), _) => Err(self
                    .link
                    .refuse(Error::Unexpected { expected: "a TSRequest", got: "TLS without content" })),
                (Err(error), _) => Err(Refused { token: None, error: Box::new(error) }),
            };
        }
        let request = match self.link.read(&plaintext) {
            Ok(request) => request,
            Err(error) => return Err(self.link.refuse(error)),
        };
        if let Some(status) = request.error_code {
            return Err(Refused { token: None, error: Box::new(CredSspError::Peer(status).into()) });
        }
        if let Err(error) = self.link.check_version() {
            return Err(self.link.refuse(error));
        }
        match self.state {
            State::Negotiate(acceptor) => {
                let Some(token) = request.nego_tokens.first() else {
                    return Err(self
                        .link
                        .refuse(Error::Unexpected { expected: "negoTokens", got: "a message without" }));
                };
                let proof = request.pub_key_auth.map(|sealed| Proof { sealed, nonce: request.client_nonce });
                let accept = acceptor.handle(token, true);
                negotiated(self.link, accept, proof)
            }
            State::PublicKey(context, mechanism) => match request.pub_key_auth {
                Some(sealed) => {
                    let proof = Proof { sealed, nonce: request.client_nonce };
                    prove(self.link, None, context, mechanism, &proof)
                }
                None => Err(self
                    .link
                    .refuse(Error::Unexpected { expected: "pubKeyAuth", got: "a message without" })),
            },
            State::Credentials(context, mechanism) => match credentials(context, request.auth_info) {
                Ok(credentials) => Ok(Accept::Established {
                    context: TlsContext::new(self.link.tls),
                    credentials,
                    mechanism,
                }),
                Err(error) => Err(self.link.refuse(error)),
            },
        }
    }
}

/// The client's proof of the public key, still sealed.
#[derive(Debug)]
struct Proof {
    sealed: Vec<u8>,
    nonce: Option<Vec<u8>>,
}

fn credentials(
    mut context: Box<dyn SecurityContext>,
    sealed: Option<Vec<u8>>,
) -> Result<DelegatedPassword, Error> {
    let sealed = sealed.ok_or(Error::Unexpected { expected: "authInfo", got: "a message without" })?;
    let plaintext = Zeroizing::new(context.unwrap_token(&sealed)?);
    Ok(DelegatedPassword::decode(&plaintext)?)
}

/// Goes on after SPNEGO took a token.
fn negotiated(
    mut link: Link,
    accept: Result<spnego::Accept, spnego::Refused>,
    proof: Option<Proof>,
) -> Result<Accept, Refused> {
    match accept {
        Ok(spnego::Accept::NeedKerberos(inner)) => {
            Ok(Accept::NeedKerberos(NeedKerberos { link, inner, proof }))
        }
        Ok(spnego::Accept::NeedNtlm(inner)) => Ok(Accept::NeedNtlm(NeedNtlm { link, inner, proof })),
        Ok(spnego::Accept::Continue { .. }) if proof.is_some() => {
            Err(link.refuse(Error::Unexpected { expected: "negoTokens", got: "pubKeyAuth" }))
        }
        Ok(spnego::Accept::Continue { token, next }) => {
            reply(link, Some(token), None, State::Negotiate(Box::new(next)))
        }
        Ok(spnego::Accept::Established { token, context, mechanism }) => match proof {
            Some(proof) => prove(link, token, context, mechanism, &proof),
            None => reply(link, token, None, State::PublicKey(context, mechanism)),
        },
        Err(refused) => Err(link.refuse_with(*refused.error, refused.token)),
    }
}

/// Checks the client's proof and answers it, together with the last SPNEGO token if there is one.
fn prove(
    mut link: Link,
    token: Option<Vec<u8>>,
    mut context: Box<dyn SecurityContext>,
    mechanism: Mechanism,
    proof: &Proof,
) -> Result<Accept, Refused> {
    let own = match check(&link, context.as_mut(), proof) {
        Ok(own) => own,
        Err(error) => return Err(link.refuse(error)),
    };
    reply(link, token, Some(own), State::Credentials(context, mechanism))
}

fn check(link: &Link, context: &mut dyn SecurityContext, proof: &Proof) -> Result<Vec<u8>, Error> {
    let theirs = context.unwrap_token(&proof.sealed)?;
    let binding = Binding::of_request(link.public_key()?, link.common_version(), proof.nonce.as_deref())?;
    binding.check(Way::ToServer, &theirs)?;
    let own = context.wrap(&binding.proof(Way::ToClient))?;
    Ok([own.header, own.body].concat())
}

fn reply(
    mut link: Link,
    token: Option<Vec<u8>>,
    pub_key_auth: Option<Vec<u8>>,
    state: State,
) -> Result<Accept, Refused> {
    let request =
        TsRequest { nego_tokens: token.into_iter().collect(), pub_key_auth, ..TsRequest::default() };
    match link.write(request) {
        Ok(token) => Ok(Accept::Continue { token, next: Acceptor { link, state } }),
        Err(error) => Err(Refused { token: None, error: Box::new(error) }),
    }
}

impl Link {
    fn refuse(&mut self, error: Error) -> Refused {
        self.refuse_with(error, None)
    }

    /// Tells the client why, if its version knows of statuses: 3, 4 and 6, but not 5.
    fn refuse_with(&mut self, error: Error, token: Option<Vec<u8>>) -> Refused {
        let knows = matches!(self.common_version(), 3 | 4) || self.common_version() >= 6;
        let error_code = knows.then(|| status(&error));
        let told = (error_code.is_some() || token.is_some()).then(|| TsRequest {
            nego_tokens: token.into_iter().collect(),
            error_code,
            ..TsRequest::default()
        });
        let token = told.and_then(|request| self.write(request).ok());
        Refused { token, error: Box::new(error) }
    }
}

fn status(error: &Error) -> NtStatus {
    match error {
        Error::CredSsp(CredSspError::Version { .. }) | Error::NoCommonMechanism { .. } => {
            NtStatus::NOT_SUPPORTED
        }
        Error::CredSsp(_) => NtStatus::ACCESS_DENIED,
        Error::Kerberos(hop_kerberos::Error::ClockSkew { .. }) => NtStatus::TIME_DIFFERENCE_AT_DC,
        _ => NtStatus::LOGON_FAILURE,
    }
}

/// A Kerberos token that waits for an acceptor with keys.
#[derive(Debug)]
pub struct NeedKerberos {
    link: Link,
    inner: spnego::NeedKerberos,
    proof: Option<Proof>,
}

impl NeedKerberos {
    /// The GSS-API token that [`hop_kerberos::gss::Acceptor`] takes.
    pub fn token(&self) -> &[u8] {
        self.inner.token()
    }

    /// Goes on with the established context and the AP-REP token, if there is one.
    ///
    /// # Errors
    /// The binding to TLS is wrong.
    pub fn accepted(
        self,
        context: Box<dyn SecurityContext>,
        reply: Option<Vec<u8>>,
    ) -> Result<Accept, Refused> {
        negotiated(self.link, self.inner.accepted(context, reply), self.proof)
    }

    /// The token to send when the AP exchange failed.
    pub fn refused(mut self, error: hop_kerberos::Error, reply: Option<Vec<u8>>) -> Refused {
        let refused = self.inner.refused(error, reply);
        self.link.refuse_with(*refused.error, refused.token)
    }
}

/// An NTLM proof that waits for somebody who knows the password's hash.
#[derive(Debug)]
pub struct NeedNtlm {
    link: Link,
    inner: spnego::NeedNtlm,
    proof: Option<Proof>,
}

impl NeedNtlm {
    /// What to ask.
    pub fn question(&self) -> &ntlm::Question {
        self.inner.question()
    }

    /// Goes on with the answer.
    ///
    /// # Errors
    /// The messages were altered, or the binding to TLS is wrong.
    pub fn accepted(self, key: &ntlm::SessionBaseKey) -> Result<Accept, Refused> {
        negotiated(self.link, self.inner.accepted(key), self.proof)
    }

    /// The token to send when the proof is wrong or the user is unknown.
    pub fn refused(mut self, error: ntlm::NtlmError) -> Refused {
        let refused = self.inner.refused(error);
        self.link.refuse_with(*refused.error, refused.token)
    }
}
