//! The client's end of authentication over HTTP: header values in, header values out, then sealed bodies.

use crate::{
    BodyClass, Error, Sealer,
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
    };
    Ok((scheme.header(&token), ExpectAnswer { scheme, expect }))
}

/// Awaits the server's answer.
#[derive(Debug)]
pub struct ExpectAnswer {
    scheme: Scheme,
    expect: ExpectReply,
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
    /// Both ends are done.
    Established(Sealer),
}

impl ExpectAnswer {
    /// Takes the values of the `WWW-Authenticate` headers, and whether the server accepted (a status of 2xx).
    ///
    /// # Errors
    /// The server refused, did not prove its identity, or speaks another protocol.
    pub fn handle(self, challenges: &[&str], accepted: bool) -> Result<Step, Error> {
        let token = match parse_www_authenticate(challenges.iter().copied(), self.scheme) {
            Ok(token) => token,
            // An acceptance may come without any header; whether that will do, the exchange knows.
            Err(Error::NotOffered { .. }) if accepted => None,
            Err(error) => return Err(error),
        };
        let established = match token {
            token if accepted => self.expect.finish(token.as_deref())?,
            None => return Err(Error::Rejected),
            Some(token) => match self.expect.handle(&token)? {
                Initiate::Continue { token, next } => {
                    return Ok(Step::Continue {
                        authorization: self.scheme.header(&token),
                        next: Self { scheme: self.scheme, expect: next },
                    });
                }
                // Content with us by its token, and yet it refuses the request.
                Initiate::Established(_) => return Err(Error::Rejected),
            },
        };
        let Established { context, .. } = established;
        Ok(Step::Established(Sealer::new(context, BodyClass::of_scheme(self.scheme))))
    }
}
