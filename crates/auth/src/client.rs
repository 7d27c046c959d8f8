//! The client's end of authentication over HTTP: header values in, header values out, then sealed bodies.

use rand_core::CryptoRng;

use crate::{
    BodyClass, Error, Sealer,
    credssp::{self, ServerProof, TlsPipe},
    http::{Scheme, parse_www_authenticate},
    spnego::{Established, ExpectReply, Initiate, Initiator, InitiatorMechanisms},
};

/// Begins the exchange of one connection: the first `Authorization` header, and what awaits the answer.
///
/// The scheme `Negotiate` negotiates among the mechanisms; `Kerberos` takes Kerberos alone.
///
/// # Errors
/// No mechanism for the scheme.
pub fn start(scheme: Scheme, mut mechanisms: InitiatorMechanisms) -> Result<(String, ExpectAnswer), Error> {
    let (token, expect) = match scheme {
        Scheme::Negotiate => Initiator::negotiate(mechanisms)?,
        Scheme::Kerberos => {
            mechanisms.ntlm = None;
            Initiator::bare(mechanisms)?
        }
        Scheme::CredSsp => return Err(Error::Header("CredSSP needs TLS and a password")),
    };
    Ok((scheme.header(&token), ExpectAnswer(State::Mechanism(scheme, expect))))
}

/// [`start`] for the scheme `CredSSP`, which takes one end of a TLS connection and a password.
///
/// # Errors
/// No mechanism, or TLS that cannot start.
pub fn start_credssp(
    tls: Box<dyn TlsPipe>,
    options: credssp::InitiatorOptions,
    rng: &mut dyn CryptoRng,
) -> Result<(String, ExpectAnswer), Error> {
    let (token, expect) = credssp::Initiator::start(tls, options, rng)?;
    Ok((Scheme::CredSsp.header(&token), ExpectAnswer(State::CredSsp(Box::new(expect)))))
}

/// Awaits the server's answer.
#[derive(Debug)]
pub struct ExpectAnswer(State);

#[derive(Debug)]
enum State {
    Mechanism(Scheme, ExpectReply),
    CredSsp(Box<credssp::ExpectReply>),
    /// The password is on its way.
    Acceptance(credssp::ExpectAcceptance),
}

/// What follows an answer of the server.
#[derive(Debug)]
pub enum Step {
    /// Send another request with this `Authorization` header on the same connection.
    Continue {
        /// The header's value.
        authorization: String,
        /// Awaits the next answer.
        next: ExpectAnswer,
    },
    /// May this server have the password? Nothing of it has been sent.
    NeedConsent(NeedConsent),
    /// Both ends are done.
    Established(Sealer),
}

impl ExpectAnswer {
    /// Takes the values of the `WWW-Authenticate` headers, and whether the server accepted (a status of 2xx).
    ///
    /// # Errors
    /// The server refused, did not prove its identity, or speaks another protocol.
    pub fn handle(self, challenges: &[&str], accepted: bool) -> Result<Step, Error> {
        let scheme = match &self.0 {
            State::Mechanism(scheme, _) => *scheme,
            _ => Scheme::CredSsp,
        };
        let token = match parse_www_authenticate(challenges.iter().copied(), scheme) {
            Ok(token) => token,
            // An acceptance may come without any header; whether that will do, the exchange knows.
            Err(Error::NotOffered { .. }) if accepted => None,
            Err(error) => return Err(error),
        };
        let token = token.as_deref();
        match self.0 {
            State::Mechanism(scheme, expect) if accepted => {
                let Established { context, .. } = expect.finish(token)?;
                Ok(Step::Established(Sealer::new(context, BodyClass::of_scheme(scheme))))
            }
            State::Mechanism(scheme, expect) => match expect.handle(token.ok_or(Error::Rejected)?)? {
                Initiate::Continue { token, next } => Ok(Step::Continue {
                    authorization: scheme.header(&token),
                    next: Self(State::Mechanism(scheme, next)),
                }),
                // Content with us by its token, and yet it refuses the request.
                Initiate::Established(_) => Err(Error::Rejected),
            },
            State::CredSsp(_) if accepted => Err(Error::NotMutual),
            // In the middle of TLS a server may have nothing to say.
            State::CredSsp(expect) => match expect.handle(token.unwrap_or_default())? {
                credssp::Initiate::Continue { token, next } => Ok(Step::Continue {
                    authorization: Scheme::CredSsp.header(&token),
                    next: Self(State::CredSsp(Box::new(next))),
                }),
                credssp::Initiate::NeedConsent(need) => Ok(Step::NeedConsent(NeedConsent(need))),
            },
            State::Acceptance(expect) if accepted => {
                let context = expect.accepted(token)?;
                Ok(Step::Established(Sealer::new(Box::new(context), BodyClass::CredSsp)))
            }
            State::Acceptance(expect) => Err(expect.refused(token)),
        }
    }
}

/// The question whether a server may have the password.
#[derive(Debug)]
pub struct NeedConsent(credssp::NeedConsent);

impl NeedConsent {
    /// What the answer may depend on.
    pub fn proof(&self) -> ServerProof {
        self.0.proof()
    }

    /// Yes: the `Authorization` header with the password.
    ///
    /// # Errors
    /// None in practice.
    pub fn send_password(self) -> Result<(String, ExpectAnswer), Error> {
        let (token, expect) = self.0.send_password()?;
        Ok((Scheme::CredSsp.header(&token), ExpectAnswer(State::Acceptance(expect))))
    }
}
