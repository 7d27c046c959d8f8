//! Fuzz targets as functions.

use std::time::UNIX_EPOCH;

use crate::{
    BasicCredentials, UserName,
    certificate::{subject_public_key, tls_server_end_point},
    credssp::{fuzz_password, ts_request::TsRequest},
    http::{self, Scheme},
    ntlm::{
        self,
        message::{Authenticate, Challenge, ClientChallenge, Negotiate},
    },
    sealed::{Frame, close, parse_content_type},
    spnego::{self, Accept, AcceptorMechanisms, Initiate, InitiatorMechanisms, Token},
};

/// A SPNEGO token: decode, encode, decode again.
pub fn fuzz_spnego(data: &[u8]) {
    if let Ok(token) = Token::decode(data) {
        assert_eq!(Token::decode(&token.encode()).as_ref(), Ok(&token));
    }
    let _ = crate::describe::describe(data);
}

/// A sealed body: one line of content type, then the body.
pub fn fuzz_sealed_body(data: &[u8]) {
    let end = data.iter().position(|b| *b == b'\n').unwrap_or(0);
    let (content_type, body) = data.split_at(end);
    let body = body.get(1..).unwrap_or_default();
    let Ok((class, boundary)) = parse_content_type(&String::from_utf8_lossy(content_type)) else { return };
    let Ok(frames) = Frame::decode(class, &boundary, body) else { return };
    let mut again = Vec::new();
    frames.iter().for_each(|frame| frame.encode(&mut again));
    close(&mut again);
    assert_eq!(Frame::decode(class, "Encrypted Boundary", &again).ok(), Some(frames));
}

/// A TSRequest of CredSSP, and the credentials that one may hold.
pub fn fuzz_ts_request(data: &[u8]) {
    if let Ok(request) = TsRequest::decode(data) {
        assert_eq!(TsRequest::decode(&request.encode()).as_ref(), Ok(&request));
    }
    fuzz_password(data);
    let _ = crate::describe::describe(data);
}

/// A certificate, as far as it is read.
pub fn fuzz_certificate(data: &[u8]) {
    let _ = subject_public_key(data);
    let _ = tls_server_end_point(data);
}

/// Authentication headers, both directions.
pub fn fuzz_headers(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok((scheme, token)) = http::parse_authorization(&text) {
        let again = http::parse_authorization(&scheme.header(&token));
        assert_eq!(again.ok(), Some((scheme, token)));
    }
    let _ = http::parse_www_authenticate(text.lines(), Scheme::Negotiate);
    if let Ok(Some(credentials)) = BasicCredentials::parse(&text) {
        let again = credentials.authorization().map(|header| BasicCredentials::parse(header.expose()));
        let Ok(Ok(Some(again))) = again else { unreachable!("what was read can be written") };
        assert_eq!((again.user, again.password), (credentials.user, credentials.password));
    }
}

/// An NTLM message of any kind: decode, encode, decode again.
pub fn fuzz_ntlm(data: &[u8]) {
    if let Ok(message) = Negotiate::decode(data) {
        // The names that it may carry are not kept.
        let Ok(again) = Negotiate::decode(&message.encode()) else { return };
        assert_eq!(again, message);
    }
    if let Ok(message) = Challenge::decode(data)
        && let Ok(encoded) = message.encode()
    {
        assert_eq!(Challenge::decode(&encoded), Ok(message));
    }
    if let Ok(message) = Authenticate::decode(data) {
        if let Some(Ok(blob)) = message.nt_response.get(16..).map(ClientChallenge::decode) {
            assert_eq!(ClientChallenge::decode(&blob.encode()), Ok(blob));
        }
        if let Ok(encoded) = message.encode() {
            assert_eq!(Authenticate::decode(&encoded), Ok(message));
        }
    }
    let _ = crate::describe::describe(data);
}

/// What the verifiers of NTLM proofs read: winbind's answers and the file of hashes.
pub fn fuzz_ntlm_verifiers(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = ntlm::NtlmServer1::parse(&text);
    let _ = ntlm::HashFile::parse(&text);
}

/// Both ends of a negotiation with NTLM inside: tokens of the peer, each after its length in two bytes.
pub fn fuzz_negotiation(data: &[u8]) {
    let tokens = || {
        let mut rest = data;
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first_chunk::<2>()?;
            let length = usize::from(u16::from_le_bytes(*length)).min(after.len());
            let (token, after) = after.split_at(length);
            rest = after;
            Some(token)
        })
        .take(8)
    };
    let ntlm = ntlm::Acceptor::new(ntlm::AcceptorOptions::new("SERVERA"), [7; 8], UNIX_EPOCH);
    let mut acceptor = spnego::Acceptor::new(AcceptorMechanisms { kerberos: true, ntlm: Some(ntlm) });
    for token in tokens() {
        let accept = match acceptor.handle(token, true) {
            Ok(Accept::NeedNtlm(need)) => need.accepted(&ntlm::SessionBaseKey::from_bytes([7; 16])),
            other => other,
        };
        match accept {
            Ok(Accept::Continue { next, .. }) => acceptor = next,
            // Nobody can have proved anything.
            Ok(Accept::Established { .. }) => unreachable!("a MIC by a key that nobody knows"),
            _ => break,
        }
    }
    let credential = ntlm::Credential::with_hash(UserName::parse("alice"), ntlm::NtHash::from_bytes([7; 16]));
    let ntlm = ntlm::Initiator::start(credential, Default::default(), UNIX_EPOCH, &mut Counter(0));
    let mechanisms = InitiatorMechanisms { kerberos: None, ntlm: Some(ntlm) };
    let Ok((_, mut expect)) = spnego::Initiator::negotiate(mechanisms) else { return };
    for token in tokens() {
        match expect.handle(token) {
            Ok(Initiate::Continue { next, .. }) => expect = next,
            Ok(Initiate::Established(_)) => unreachable!("a MIC by a key that nobody knows"),
            Err(_) => break,
        }
    }
}

/// The same numbers every time.
struct Counter(u8);

impl rand_core::TryRng for Counter {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        rand_core::utils::next_word_via_fill(self)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        rand_core::utils::next_word_via_fill(self)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        for byte in out {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        }
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Counter {}
