use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::{
    CertificateTrust, CredSspError, DelegatedPassword, NEWEST_VERSION, SAFE_VERSION, TlsContext, TlsPipe,
    binding::{Binding, Way},
    ts_request::TsRequest,
};
use crate::{
    Error, Mechanism, SecurityContext, certificate,
    http::MAX_TOKEN,
    spnego::{self, Established, InitiatorMechanisms},
};

/// What the client brings.
#[derive(Debug)]
pub struct InitiatorOptions {
    /// The mechanisms inside, for the service `WSMAN/host`.
    pub mechanisms: InitiatorMechanisms,
    /// NTLM is tried only if the server's certificate is a trusted one: NTLM's proof goes to whoever answers.
    pub ntlm_needs_certificate: bool,
    /// What is handed over, once the caller agrees.
    pub credentials: DelegatedPassword,
    /// The oldest version that is spoken. Below [`SAFE_VERSION`], somebody in the middle can have the client
    /// authenticate to a key of his (CVE-2018-0886).
    pub minimum_version: u32,
    /// The newest version that is spoken: [`NEWEST_VERSION`].
    pub newest_version: u32,
}

impl InitiatorOptions {
    /// With safe versions only.
    pub fn new(mechanisms: InitiatorMechanisms, credentials: DelegatedPassword) -> Self {
        Self {
            mechanisms,
            ntlm_needs_certificate: false,
            credentials,
            minimum_version: SAFE_VERSION,
            newest_version: NEWEST_VERSION,
        }
    }
}

/// Makes the first token.
#[derive(Debug)]
pub struct Initiator;

impl Initiator {
    /// The first TLS bytes, and what awaits the server's.
    ///
    /// # Errors
    /// No mechanism, or TLS that cannot start.
    pub fn start(
        mut tls: Box<dyn TlsPipe>,
        options: InitiatorOptions,
        rng: &mut dyn CryptoRng,
    ) -> Result<(Vec<u8>, ExpectReply), Error> {
        let mut nonce = [0; 32];
        rng.fill_bytes(&mut nonce);
        if options.mechanisms.kerberos.is_none() && options.mechanisms.ntlm.is_none() {
            return Err(Error::NoCommonMechanism { offered: "none of ours".to_owned() });
        }
        let hello = tls.take_output().map_err(CredSspError::from)?;
        let link = Link {
            tls,
            version: None,
            minimum_version: options.minimum_version,
            newest_version: options.newest_version,
        };
        let state = State::Handshake(Box::new(options.mechanisms), options.ntlm_needs_certificate);
        let session = Session { link, credentials: options.credentials, nonce };
        Ok((hello, ExpectReply { session, state }))
    }
}

/// The TLS connection and the version of the protocol: of either end.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) tls: Box<dyn TlsPipe>,
    /// The version in the peer's first message.
    pub(super) version: Option<u32>,
    pub(super) minimum_version: u32,
    pub(super) newest_version: u32,
}

impl Link {
    pub(super) fn receive(&mut self, token: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        if token.len() > MAX_TOKEN {
            return Err(Error::TooLarge { got: token.len(), limit: MAX_TOKEN });
        }
        Ok(Zeroizing::new(self.tls.receive(token).map_err(CredSspError::from)?))
    }

    pub(super) fn output(&mut self) -> Result<Vec<u8>, Error> {
        Ok(self.tls.take_output().map_err(CredSspError::from)?)
    }

    /// The version that both ends have.
    pub(super) fn common_version(&self) -> u32 {
        self.version.unwrap_or_default().min(self.newest_version)
    }

    pub(super) fn read(&mut self, plaintext: &[u8]) -> Result<TsRequest, Error> {
        let request = TsRequest::decode(plaintext).map_err(CredSspError::from)?;
        match self.version {
            Some(first) if first != request.version => {
                return Err(CredSspError::VersionChanged { first, then: request.version }.into());
            }
            _ => self.version = Some(request.version),
        }
        Ok(request)
    }

    pub(super) fn check_version(&self) -> Result<(), Error> {
        let (got, minimum) = (self.common_version(), self.minimum_version.max(2));
        if got < minimum { Err(CredSspError::Version { got, minimum }.into()) } else { Ok(()) }
    }

    pub(super) fn write(&mut self, request: TsRequest) -> Result<Vec<u8>, Error> {
        let request = TsRequest { version: self.newest_version, ..request };
        self.tls.send(&request.encode()).map_err(CredSspError::from)?;
        self.output()
    }

    pub(super) fn public_key(&self) -> Result<Vec<u8>, CredSspError> {
        let certificate = self.tls.server_certificate().ok_or(CredSspError::NoCertificate)?;
        Ok(certificate::subject_public_key(certificate)?.to_vec())
    }
}

/// Awaits a token of the server.
#[derive(Debug)]
pub struct ExpectReply {
    session: Session,
    state: State,
}

#[derive(Debug)]
struct Session {
    link: Link,
    credentials: DelegatedPassword,
    nonce: [u8; 32],
}

#[derive(Debug)]
enum State {
    /// TLS; then the first SPNEGO token, of NTLM perhaps only if the certificate is trusted.
    Handshake(Box<InitiatorMechanisms>, bool),
    Negotiate(spnego::ExpectReply),
    /// Our proof of the public key is on its way; SPNEGO may lack its last token.
    PublicKey {
        inner: Inner,
        binding: Binding,
    },
}

#[derive(Debug)]
enum Inner {
    Established(Established),
    /// Sent with the last SPNEGO token, whose answer comes with the server's proof.
    Open(spnego::ExpectReply),
}

impl Inner {
    fn context(&mut self) -> Option<&mut dyn SecurityContext> {
        match self {
            Inner::Established(established) => Some(established.context.as_mut()),
            Inner::Open(expect) => expect.context(),
        }
    }
}

/// What follows a token of the server.
#[derive(Debug)]
pub enum Initiate {
    /// Send this; another token comes.
    Continue {
        /// For the server.
        token: Vec<u8>,
        /// Awaits the next one.
        next: ExpectReply,
    },
    /// The server has proved what it can: may it have the password?
    NeedConsent(NeedConsent),
}

impl ExpectReply {
    /// Takes a token of the server; empty if it answered without one.
    ///
    /// # Errors
    /// The server refused, did not prove what it must, or speaks another protocol. The password has not been sent.
    pub fn handle(self, token: &[u8]) -> Result<Initiate, Error> {
        let Self { mut session, state } = self;
        let plaintext = session.link.receive(token)?;
        match state {
            State::Handshake(mut mechanisms, ntlm_needs_certificate) => {
                let output = session.link.output()?;
                // The last bytes of the handshake travel on their own: peers answer them before they read on.
                if session.link.tls.is_handshaking() || !output.is_empty() {
                    return Ok(session.next(output, State::Handshake(mechanisms, ntlm_needs_certificate)));
                }
                let trust = session.link.tls.certificate_trust();
                if ntlm_needs_certificate && trust != CertificateTrust::Verified {
                    let dropped = mechanisms.ntlm.take().is_some();
                    if dropped && mechanisms.kerberos.is_none() {
                        return Err(CredSspError::NtlmUnproven { certificate: trust }.into());
                    }
                }
                let (token, expect) = spnego::Initiator::negotiate(*mechanisms)?;
                let request = TsRequest { nego_tokens: vec![token], ..TsRequest::default() };
                let token = session.link.write(request)?;
                Ok(session.next(token, State::Negotiate(expect)))
            }
            State::Negotiate(expect) => {
                let reply = session.link.read(&plaintext)?;
                let inner = match (reply.nego_tokens.first(), reply.error_code) {
                    // The mechanism's own error tells more than the status.
                    (Some(token), Some(status)) => {
                        expect.handle(token)?;
                        return Err(CredSspError::Peer(status).into());
                    }
                    (None, Some(status)) => return Err(CredSspError::Peer(status).into()),
                    (None, None) => {
                        return Err(Error::Unexpected { expected: "negoTokens", got: "a message without" });
                    }
                    (Some(token), None) => {
                        session.link.check_version()?;
                        expect.handle(token)?
                    }
                };
                match inner {
                    spnego::Initiate::Established(established) => {
                        session.prove(None, Inner::Established(established))
                    }
                    spnego::Initiate::Continue { token, mut next } => {
                        if next.context().is_some() {
                            return session.prove(Some(token), Inner::Open(next));
                        }
                        let request = TsRequest { nego_tokens: vec![token], ..TsRequest::default() };
                        let token = session.link.write(request)?;
                        Ok(session.next(token, State::Negotiate(next)))
                    }
                }
            }
            State::PublicKey { inner, binding } => {
                let reply = session.link.read(&plaintext)?;
                if let Some(status) = reply.error_code {
                    return Err(CredSspError::Peer(status).into());
                }
                let token = reply.nego_tokens.first().map(Vec::as_slice);
                let mut established = match (inner, token) {
                    (Inner::Open(expect), token) => expect.finish(token)?,
                    (Inner::Established(established), None) => established,
                    (Inner::Established(_), Some(_)) => {
                        return Err(Error::Unexpected { expected: "pubKeyAuth", got: "negoTokens" });
                    }
                };
                let proof = reply
                    .pub_key_auth
                    .ok_or(Error::Unexpected { expected: "pubKeyAuth", got: "a message without" })?;
                let proof = established.context.unwrap_token(&proof)?;
                binding.check(Way::ToClient, &proof)?;
                Ok(Initiate::NeedConsent(NeedConsent {
                    link: session.link,
                    credentials: session.credentials,
                    context: established.context,
                    mechanism: established.mechanism,
                }))
            }
        }
    }
}

impl Session {
    fn next(self, token: Vec<u8>, state: State) -> Initiate {
        Initiate::Continue { token, next: ExpectReply { session: self, state } }
    }

    /// Sends the proof of the public key, together with the last SPNEGO token if there is one.
    fn prove(mut self, token: Option<Vec<u8>>, mut inner: Inner) -> Result<Initiate, Error> {
        let binding = Binding::new(self.link.public_key()?, self.link.common_version(), self.nonce);
        let context = inner.context().ok_or(Error::NotMutual)?;
        let sealed = context.wrap(&binding.proof(Way::ToServer))?;
        let request = TsRequest {
            nego_tokens: token.into_iter().collect(),
            pub_key_auth: Some([sealed.header, sealed.body].concat()),
            client_nonce: binding.nonce().map(|nonce| nonce.to_vec()),
            ..TsRequest::default()
        };
        let token = self.link.write(request)?;
        Ok(self.next(token, State::PublicKey { inner, binding }))
    }
}

/// How a server proved who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerProof {
    /// Kerberos proves the server's name. NTLM proves only that the server, or whoever it asks, knows the user.
    pub mechanism: Mechanism,
    /// Whether TLS proves the server's name.
    pub certificate: CertificateTrust,
    /// The version of CredSSP that both ends have.
    pub version: u32,
}

/// The question whether a server may have the password. Nothing of it has been sent; dropping this sends nothing.
#[derive(Debug)]
pub struct NeedConsent {
    link: Link,
    credentials: DelegatedPassword,
    context: Box<dyn SecurityContext>,
    mechanism: Mechanism,
}

impl NeedConsent {
    /// What the answer may depend on.
    pub fn proof(&self) -> ServerProof {
        ServerProof {
            mechanism: self.mechanism,
            certificate: self.link.tls.certificate_trust(),
            version: self.link.common_version(),
        }
    }

    /// Yes: the token with the password.
    ///
    /// # Errors
    /// None in practice.
    pub fn send_password(mut self) -> Result<(Vec<u8>, ExpectAcceptance), Error> {
        let sealed = self.context.wrap(&self.credentials.encode())?;
        let request =
            TsRequest { auth_info: Some([sealed.header, sealed.body].concat()), ..TsRequest::default() };
        let token = self.link.write(request)?;
        Ok((token, ExpectAcceptance { link: self.link }))
    }
}

/// Awaits the server's word that it took the password.
#[derive(Debug)]
pub struct ExpectAcceptance {
    link: Link,
}

impl ExpectAcceptance {
    /// The server accepted, with a last token or without: bodies are sealed from now on.
    ///
    /// # Errors
    /// The token says otherwise.
    pub fn accepted(mut self, token: Option<&[u8]>) -> Result<TlsContext, Error> {
        if let Some(token) = token {
            self.said(token)?;
        }
        Ok(TlsContext::new(self.link.tls))
    }

    /// The server refused, with a last token or without.
    pub fn refused(mut self, token: Option<&[u8]>) -> Error {
        match token.map(|token| self.said(token)) {
            Some(Err(error)) => error,
            _ => Error::Rejected,
        }
    }

    fn said(&mut self, token: &[u8]) -> Result<(), Error> {
        let plaintext = self.link.receive(token)?;
        if plaintext.is_empty() {
            return Ok(());
        }
        match self.link.read(&plaintext)?.error_code {
            Some(status) => Err(CredSspError::Peer(status).into()),
            None => Ok(()),
        }
    }
}
