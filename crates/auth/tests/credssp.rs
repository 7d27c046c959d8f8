//! CredSSP: both ends of ours together, and each against pyspnego; TLS 1.2 and 1.3; Kerberos and NTLM inside.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may panic")]
#![allow(clippy::result_large_err, reason = "an error of a test")]

mod support;

use std::{path::Path, process::Command, sync::Arc, time::SystemTime};

use hop_auth::{
    BodyClass, Error, Mechanism, SealedBodyError, Sealer, SecurityContext, UserName,
    credssp::{
        Accept, Acceptor, AcceptorOptions, CertificateTrust, CredSspError, DelegatedPassword, Initiate,
        Initiator, InitiatorOptions, NtStatus, Refused, ServerProof, TlsContext, TlsPipe,
        tls::{self, RustlsPipe, ServerTls},
    },
    ntlm::{self, HashFile, NtHash, NtlmError, Verifier as _},
    spnego::{AcceptorMechanisms, InitiatorMechanisms},
};
use rand::Rng as _;
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    RootCertStore, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    version::{TLS12, TLS13},
};
use serde_json::{Value, json};
use support::{
    Peer, python,
    realm::{HOST, Realm, USER},
};

const PASSWORD: &str = "Pässwörd-€";

struct Certificate {
    der: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

fn certificate() -> Certificate {
    let key = KeyPair::generate().unwrap();
    let der = CertificateParams::new(vec![HOST.to_owned()]).unwrap().self_signed(&key).unwrap().der().clone();
    Certificate { der, key: PrivateKeyDer::try_from(key.serialize_der()).unwrap() }
}

/// pyspnego's clients read RSA keys only.
fn rsa_certificate(python: &Path) -> Certificate {
    let script =
        "import spnego.tls; c, k, _ = spnego.tls.generate_tls_certificate(); print((c + k).decode())";
    let output = Command::new(python).args(["-c", script]).output().unwrap();
    Certificate {
        der: CertificateDer::from_pem_slice(&output.stdout).unwrap(),
        key: PrivateKeyDer::from_pem_slice(&output.stdout).unwrap(),
    }
}

fn server_tls(certificate: &Certificate, version: &'static SupportedProtocolVersion) -> ServerTls {
    ServerTls::with_versions(vec![certificate.der.clone()], certificate.key.clone_key(), &[version]).unwrap()
}

fn client_tls(version: &'static SupportedProtocolVersion) -> Box<dyn TlsPipe> {
    let pipe: RustlsPipe = tls::client_with_versions(HOST, None, SystemTime::now(), &[version]).unwrap();
    Box::new(pipe)
}

fn ntlm_client(password: &str) -> (Vec<u8>, ntlm::ExpectChallenge) {
    let credential = ntlm::Credential::with_password(UserName::parse("alice"), &password.into());
    let options = ntlm::InitiatorOptions {
        target_name: Some(format!("WSMAN/{HOST}")),
        ..ntlm::InitiatorOptions::default()
    };
    ntlm::Initiator::start(credential, options, SystemTime::now(), &mut rand::rng())
}

fn ntlm_server() -> ntlm::Acceptor {
    let mut challenge = [0; 8];
    rand::rng().fill_bytes(&mut challenge);
    let mut options = ntlm::AcceptorOptions::new("SERVERA");
    options.targets = vec![format!("WSMAN/{HOST}")];
    ntlm::Acceptor::new(options, challenge, SystemTime::now())
}

fn both() -> AcceptorMechanisms {
    AcceptorMechanisms { kerberos: true, ntlm: Some(ntlm_server()) }
}

fn with_ntlm() -> InitiatorMechanisms {
    InitiatorMechanisms { kerberos: None, ntlm: Some(ntlm_client(PASSWORD)) }
}

fn password(name: &str, password: &str) -> DelegatedPassword {
    DelegatedPassword { name: UserName::parse(name), password: password.into() }
}

fn client_options(mechanisms: InitiatorMechanisms) -> InitiatorOptions {
    InitiatorOptions::new(mechanisms, password(r"PEER\alice", PASSWORD))
}

fn settle(realm: &mut Realm, accept: Result<Accept, Refused>) -> Result<Accept, Refused> {
    let mut users = HashFile::default();
    for name in ["alice", USER] {
        users.insert(UserName::parse(name), NtHash::of_password(&PASSWORD.into()));
    }
    match accept? {
        Accept::NeedKerberos(need) => match realm.accept(need.token()) {
            Ok(accepted) => need.accepted(Box::new(accepted.context), accepted.reply),
            Err(refused) => Err(need.refused(*refused.error, refused.reply)),
        },
        Accept::NeedNtlm(need) => match users.verify(need.question()) {
            Ok(key) => need.accepted(&key),
            Err(error) => Err(need.refused(error)),
        },
        other => Ok(other),
    }
}

struct Outcome {
    client: TlsContext,
    server: TlsContext,
    credentials: DelegatedPassword,
    proof: ServerProof,
    legs: usize,
}

/// Which end gave up, and why.
#[derive(Debug)]
enum Failure {
    Client(Error),
    /// With what the client makes of the server's last token.
    Server(Error, Option<Error>),
}

fn run(
    realm: &mut Realm,
    client_pipe: Box<dyn TlsPipe>,
    server_pipe: Box<dyn TlsPipe>,
    client: InitiatorOptions,
    server: AcceptorOptions,
) -> Result<Outcome, Failure> {
    let (mut token, mut expect) = Initiator::start(client_pipe, client, &mut rand::rng()).unwrap();
    let mut acceptor = Acceptor::new(server_pipe, server);
    let mut legs = 0;
    loop {
        legs += 1;
        assert!(legs < 20);
        let reply = match settle(realm, acceptor.handle(&token)) {
            Ok(Accept::Continue { token, next }) => {
                acceptor = next;
                token
            }
            Ok(other) => panic!("{other:?}"),
            Err(refused) => {
                let said = refused.token.map(|token| expect.handle(&token).err().unwrap());
                return Err(Failure::Server(*refused.error, said));
            }
        };
        match expect.handle(&reply).map_err(Failure::Client)? {
            Initiate::Continue { token: answer, next } => (token, expect) = (answer, next),
            Initiate::NeedConsent(need) => {
                let proof = need.proof();
                let (token, acceptance) = need.send_password().unwrap();
                legs += 1;
                let step = settle(realm, acceptor.handle(&token));
                let Accept::Established { context, credentials, mechanism } =
                    step.map_err(|refused| Failure::Server(*refused.error, None))?
                else {
                    panic!()
                };
                assert_eq!(mechanism, proof.mechanism);
                let client = acceptance.accepted(None).unwrap();
                return Ok(Outcome { client, server: context, credentials, proof, legs });
            }
        }
    }
}

fn simple(
    version: &'static SupportedProtocolVersion,
    client: InitiatorOptions,
    server: AcceptorOptions,
) -> Result<Outcome, Failure> {
    let mut realm = Realm::new(PASSWORD);
    let certificate = certificate();
    let pipe = server_tls(&certificate, version).connection().unwrap();
    run(&mut realm, client_tls(version), Box::new(pipe), client, server)
}

fn talk(client: &mut TlsContext, server: &mut TlsContext) {
    for size in [0usize, 1, 1000, 16384] {
        let body = vec![7; size];
        let wrapped = client.wrap(&body).unwrap();
        assert_eq!(server.unwrap(&wrapped.header, &wrapped.body).unwrap(), body);
        let wrapped = server.wrap(&body).unwrap();
        assert_eq!(client.unwrap(&wrapped.header, &wrapped.body).unwrap(), body);
    }
    assert!(client.get_mic(b"").is_err());
}

#[test]
fn both_ends_agree() {
    for version in [&TLS12, &TLS13] {
        for kerberos in [true, false] {
            let mut realm = Realm::new(PASSWORD);
            let mechanisms = InitiatorMechanisms {
                kerberos: kerberos.then(|| realm.initiate("WSMAN")),
                ntlm: Some(ntlm_client(PASSWORD)),
            };
            let certificate = certificate();
            let pipe = server_tls(&certificate, version).connection().unwrap();
            let mut outcome = run(
                &mut realm,
                client_tls(version),
                Box::new(pipe),
                client_options(mechanisms),
                AcceptorOptions::new(both()),
            )
            .unwrap();
            let mechanism = if kerberos { Mechanism::Kerberos } else { Mechanism::Ntlm };
            let proof = ServerProof { mechanism, certificate: CertificateTrust::NotChecked, version: 6 };
            assert_eq!(outcome.proof, proof);
            assert_eq!(outcome.credentials.name, UserName::parse(r"PEER\alice"));
            assert_eq!(outcome.credentials.password, PASSWORD.into());
            // TLS: two legs; then Kerberos, the key, the password; or NTLM, NTLM with the key, the password.
            assert_eq!(outcome.legs, 5);
            talk(&mut outcome.client, &mut outcome.server);
        }
    }
}

/// Kerberos inside is the plain exchange: no user-to-user, which servers of WinRM do not have.
#[test]
fn no_user_to_user() {
    let mechanisms =
        InitiatorMechanisms { kerberos: Some(Realm::new(PASSWORD).initiate("WSMAN")), ntlm: None };
    let (token, _) = hop_auth::spnego::Initiator::negotiate(mechanisms).unwrap();
    let text = hop_auth::describe::describe(&token).unwrap();
    assert!(text.contains("AP-REQ") && text.contains("ap-options: mutual-required"), "{text}");
    assert!(!text.contains("user-to-user") && !text.contains("use-session-key"), "{text}");
}

#[test]
fn names_and_passwords_of_all_kinds() {
    for (name, secret) in [("alice", ""), (USER, "x"), (r"DÖM\ünser", "😀")] {
        let mut options = client_options(with_ntlm());
        options.credentials = password(name, secret);
        let outcome = simple(&TLS13, options, AcceptorOptions::new(both())).unwrap();
        assert_eq!(outcome.credentials.name.to_string(), name);
        assert_eq!(outcome.credentials.password, secret.into());
    }
}

#[test]
fn bodies_of_many_parts() {
    let outcome = simple(&TLS13, client_options(with_ntlm()), AcceptorOptions::new(both())).unwrap();
    let mut client = Sealer::new(Box::new(outcome.client), BodyClass::CredSsp);
    let mut server = Sealer::new(Box::new(outcome.server), BodyClass::CredSsp);
    let soap = "application/soap+xml;charset=UTF-8";
    for size in [0, 1, 16384, 16385, 3 * 16384, 500_000] {
        let body: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
        let sealed = client.seal(soap, &body).unwrap();
        let multi = sealed.content_type.starts_with("multipart/x-multi-encrypted;");
        assert_eq!(multi, size > 16384);
        let opened = server.unseal(&sealed.content_type, &sealed.body).unwrap();
        assert_eq!((opened.content_type.as_str(), opened.body), (soap, body));
    }
    let sealed = client.seal(soap, &[7; 40_000]).unwrap();
    for end in (0..sealed.body.len() - 2).step_by(97) {
        let error = server.unseal(&sealed.content_type, &sealed.body[..end]).unwrap_err();
        assert!(matches!(error, SealedBodyError::Framing(_)), "{end}: {error}");
    }
    server.set_limit(39_999);
    let error = server.unseal(&sealed.content_type, &sealed.body).unwrap_err();
    assert!(matches!(error, SealedBodyError::TooLarge { got: 40_000, .. }), "{error}");
    server.set_limit(40_000);
    // A body in another protocol than the one that authenticated, sealed or not.
    let other = sealed.content_type.replace("x-multi-encrypted", "encrypted").replace("CredSSP", "SPNEGO");
    assert!(matches!(server.unseal(&other, &sealed.body).unwrap_err(), SealedBodyError::Framing(_)));
    assert!(matches!(server.unseal(soap, b"<s/>").unwrap_err(), SealedBodyError::Plaintext { .. }));
    // Parts that changed places.
    let mut swapped = sealed.body.clone();
    let part = swapped.len() / 3;
    swapped[part] ^= 1;
    assert!(matches!(
        server.unseal(&sealed.content_type, &swapped).unwrap_err(),
        SealedBodyError::Context(_) | SealedBodyError::Framing(_)
    ));
}

/// Somebody in the middle: he has a certificate of his own and passes on what is inside TLS, so that SPNEGO succeeds
/// between the real ends. The public keys differ, the server says no, and no password leaves the client.
#[test]
fn a_man_in_the_middle() {
    for (tls, minimum) in [(&TLS12, 5), (&TLS13, 5), (&TLS13, 2)] {
        let mut realm = Realm::new(PASSWORD);
        let (real, forged) = (certificate(), certificate());
        let mechanisms = InitiatorMechanisms { kerberos: Some(realm.initiate("WSMAN")), ntlm: None };
        let mut options = client_options(mechanisms);
        let mut server_options = AcceptorOptions::new(both());
        (options.minimum_version, server_options.minimum_version) = (minimum, minimum);
        if minimum == 2 {
            options.newest_version = 4;
        }
        let (mut token, mut expect) = Initiator::start(client_tls(tls), options, &mut rand::rng()).unwrap();
        let mut to_client = server_tls(&forged, tls).connection().unwrap();
        let mut to_server = client_tls(tls);
        let mut acceptor =
            Acceptor::new(Box::new(server_tls(&real, tls).connection().unwrap()), server_options);
        // His own handshake with the server.
        let mut hello = to_server.take_output().unwrap();
        while to_server.is_handshaking() || !hello.is_empty() {
            let Ok(Accept::Continue { token, next }) = acceptor.handle(&hello) else { panic!() };
            acceptor = next;
            to_server.receive(&token).unwrap();
            hello = to_server.take_output().unwrap();
        }
        let error = loop {
            let inside = to_client.receive(&token).unwrap();
            if !inside.is_empty() {
                to_server.send(&inside).unwrap();
                let relayed = to_server.take_output().unwrap();
                let reply = match settle(&mut realm, acceptor.handle(&relayed)) {
                    Ok(Accept::Continue { token, next }) => {
                        acceptor = next;
                        token
                    }
                    Ok(other) => panic!("{other:?}"),
                    Err(refused) => {
                        assert!(matches!(*refused.error, Error::CredSsp(CredSspError::PublicKey)));
                        break *refused.error;
                    }
                };
                let inside = to_server.receive(&reply).unwrap();
                to_client.send(&inside).unwrap();
            }
            let reply = to_client.take_output().unwrap();
            match expect.handle(&reply).unwrap() {
                Initiate::Continue { token: answer, next } => (token, expect) = (answer, next),
                Initiate::NeedConsent(_) => panic!("the client would have sent its password"),
            }
        };
        assert!(error.to_string().contains("ends at somebody else"));
    }
}

/// A pipe that shows another certificate than the connection has.
#[derive(Debug)]
struct Liar(Box<dyn TlsPipe>, CertificateDer<'static>);

impl TlsPipe for Liar {
    fn receive(&mut self, bytes: &[u8]) -> Result<Vec<u8>, hop_auth::credssp::TlsError> {
        self.0.receive(bytes)
    }
    fn send(&mut self, plaintext: &[u8]) -> Result<(), hop_auth::credssp::TlsError> {
        self.0.send(plaintext)
    }
    fn take_output(&mut self) -> Result<Vec<u8>, hop_auth::credssp::TlsError> {
        self.0.take_output()
    }
    fn is_handshaking(&self) -> bool {
        self.0.is_handshaking()
    }
    fn server_certificate(&self) -> Option<&[u8]> {
        Some(self.1.as_ref())
    }
    fn trailer_length(&self) -> usize {
        self.0.trailer_length()
    }
}

#[test]
fn either_end_checks_the_public_key() {
    let (real, other) = (certificate(), certificate());
    let tls = server_tls(&real, &TLS13);
    let mut realm = Realm::new(PASSWORD);
    let pipe = Liar(Box::new(tls.connection().unwrap()), other.der.clone());
    let failure = run(
        &mut realm,
        client_tls(&TLS13),
        Box::new(pipe),
        client_options(with_ntlm()),
        AcceptorOptions::new(both()),
    )
    .err()
    .unwrap();
    let Failure::Server(Error::CredSsp(CredSspError::PublicKey), Some(said)) = failure else {
        panic!("{failure:?}")
    };
    assert!(matches!(said, Error::CredSsp(CredSspError::Peer(NtStatus::ACCESS_DENIED))), "{said}");
}

#[test]
fn versions() {
    // The lower of both; the safe way from 5 on.
    for (client, server, expected) in [(6, 6, 6), (6, 5, 5), (5, 6, 5), (6, 99, 6)] {
        let mut client_options = client_options(with_ntlm());
        client_options.newest_version = client;
        let mut server_options = AcceptorOptions::new(both());
        server_options.newest_version = server;
        let outcome = simple(&TLS13, client_options, server_options).unwrap();
        assert_eq!(outcome.proof.version, expected);
    }
    // Lowered by somebody, or old: either end refuses.
    for version in [2, 3, 4] {
        let mut old = client_options(with_ntlm());
        old.newest_version = version;
        old.minimum_version = 2;
        let failure = simple(&TLS13, old, AcceptorOptions::new(both())).err().unwrap();
        let Failure::Server(Error::CredSsp(CredSspError::Version { got, minimum: 5 }), said) = failure else {
            panic!("{failure:?}")
        };
        assert_eq!(got, version);
        // Version 2 has no statuses.
        assert_eq!(said.is_some(), version > 2);
        let mut old = AcceptorOptions::new(both());
        old.newest_version = version;
        old.minimum_version = 2;
        let failure = simple(&TLS13, client_options(with_ntlm()), old).err().unwrap();
        let Failure::Client(Error::CredSsp(CredSspError::Version { got, minimum: 5 })) = failure else {
            panic!("{failure:?}")
        };
        assert_eq!(got, version);
        // Where it is allowed, it works the old way.
        let mut client = client_options(with_ntlm());
        client.minimum_version = 2;
        let mut old = AcceptorOptions::new(both());
        (old.newest_version, old.minimum_version) = (version, 2);
        assert_eq!(simple(&TLS12, client, old).unwrap().proof.version, version);
    }
}

#[test]
fn the_reason_reaches_the_client() {
    let wrong = InitiatorMechanisms { kerberos: None, ntlm: Some(ntlm_client("wrong")) };
    let failure = simple(&TLS13, client_options(wrong), AcceptorOptions::new(both())).err().unwrap();
    let Failure::Server(Error::Ntlm(NtlmError::WrongCredentials), Some(said)) = failure else {
        panic!("{failure:?}")
    };
    assert!(matches!(said, Error::CredSsp(CredSspError::Peer(NtStatus::LOGON_FAILURE))), "{said}");
    // Version 5 knows no statuses; SPNEGO's own rejection is all there is.
    let wrong = InitiatorMechanisms { kerberos: None, ntlm: Some(ntlm_client("wrong")) };
    let mut server = AcceptorOptions::new(both());
    server.newest_version = 5;
    let failure = simple(&TLS13, client_options(wrong), server).err().unwrap();
    let Failure::Server(Error::Ntlm(NtlmError::WrongCredentials), said) = failure else {
        panic!("{failure:?}")
    };
    assert!(said.is_some());
    let failure =
        simple(&TLS13, client_options(with_ntlm()), AcceptorOptions::new(AcceptorMechanisms::default()));
    let Some(Failure::Server(Error::NoCommonMechanism { .. }, Some(_))) = failure.err() else { panic!() };
}

#[test]
fn the_certificate_is_looked_at_when_there_are_roots() {
    let certificate = certificate();
    let run = |roots: RootCertStore| {
        let mut realm = Realm::new(PASSWORD);
        let pipe = tls::client(HOST, Some(Arc::new(roots)), SystemTime::now()).unwrap();
        let server = server_tls(&certificate, &TLS13).connection().unwrap();
        let outcome = run(
            &mut realm,
            Box::new(pipe),
            Box::new(server),
            client_options(with_ntlm()),
            AcceptorOptions::new(both()),
        );
        outcome.unwrap().proof.certificate
    };
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der.clone()).unwrap();
    assert_eq!(run(roots), CertificateTrust::Verified);
    let mut others = RootCertStore::empty();
    others.add(self::certificate().der).unwrap();
    assert!(matches!(run(others), CertificateTrust::NotVerified(_)));
}

/// Where NTLM's proof may go to proven hosts only, it does not leave before the certificate is known to be one.
#[test]
fn ntlm_waits_for_the_certificate() {
    let certificate = certificate();
    let run = |roots: RootCertStore, kerberos: bool| {
        let mut realm = Realm::new(PASSWORD);
        let mut mechanisms = with_ntlm();
        if kerberos {
            mechanisms.kerberos = Some(realm.initiate("WSMAN"));
        }
        let mut options = client_options(mechanisms);
        options.ntlm_needs_certificate = true;
        let pipe = tls::client(HOST, Some(Arc::new(roots)), SystemTime::now()).unwrap();
        let server = server_tls(&certificate, &TLS13).connection().unwrap();
        let outcome =
            run(&mut realm, Box::new(pipe), Box::new(server), options, AcceptorOptions::new(both()));
        outcome.map(|outcome| outcome.proof.mechanism)
    };
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der.clone()).unwrap();
    let mut others = RootCertStore::empty();
    others.add(self::certificate().der).unwrap();
    assert!(matches!(run(roots, false), Ok(Mechanism::Ntlm)));
    let Err(Failure::Client(Error::CredSsp(refused))) = run(others.clone(), false) else { panic!() };
    assert!(matches!(refused, CredSspError::NtlmUnproven { .. }), "{refused}");
    // Kerberos proves the host otherwise.
    assert!(matches!(run(others, true), Ok(Mechanism::Kerberos)));
}

#[test]
fn garbage_and_huge_tokens() {
    let start = |server: bool, token: &[u8]| {
        if server {
            let pipe = server_tls(&certificate(), &TLS13).connection().unwrap();
            let acceptor = Acceptor::new(Box::new(pipe), AcceptorOptions::new(both()));
            acceptor.handle(token).err().map(|refused| *refused.error)
        } else {
            let (_, expect) =
                Initiator::start(client_tls(&TLS13), client_options(with_ntlm()), &mut rand::rng()).unwrap();
            expect.handle(token).err()
        }
    };
    for server in [true, false] {
        assert!(matches!(start(server, b"garbage, no TLS"), Some(Error::CredSsp(CredSspError::Tls(_)))));
        assert!(matches!(start(server, &vec![0; 1 << 20]), Some(Error::TooLarge { got: 1_048_576, .. })));
    }
    // A client that is silent in the handshake's place gets an empty answer, not a hang; garbage inside TLS an error.
    let certificate = certificate();
    let mut pipe = client_tls(&TLS13);
    let server = server_tls(&certificate, &TLS13).connection().unwrap();
    let mut acceptor = Acceptor::new(Box::new(server), AcceptorOptions::new(both()));
    for _ in 0..2 {
        let out = pipe.take_output().unwrap();
        let Ok(Accept::Continue { token, next }) = acceptor.handle(&out) else { panic!() };
        acceptor = next;
        pipe.receive(&token).unwrap();
    }
    pipe.send(b"\x30\x05no DER").unwrap();
    let refused = acceptor.handle(&pipe.take_output().unwrap()).err().unwrap();
    assert!(matches!(*refused.error, Error::CredSsp(CredSspError::Malformed(_))), "{}", refused.error);
}

/// A leg that comes twice is refused by TLS.
#[test]
fn replayed_legs() {
    let certificate = certificate();
    let server = server_tls(&certificate, &TLS13).connection().unwrap();
    let mut acceptor = Acceptor::new(Box::new(server), AcceptorOptions::new(both()));
    let (mut token, mut expect) =
        Initiator::start(client_tls(&TLS13), client_options(with_ntlm()), &mut rand::rng()).unwrap();
    for _ in 0..3 {
        let Ok(Accept::Continue { token: reply, next }) = acceptor.handle(&token) else { panic!() };
        acceptor = next;
        let Ok(Initiate::Continue { token: answer, next }) = expect.handle(&reply) else { panic!() };
        (token, expect) = (answer, next);
    }
    let pubkey = token.clone();
    let mut realm = Realm::new(PASSWORD);
    let Ok(Accept::Continue { next, .. }) = settle(&mut realm, acceptor.handle(&token)) else { panic!() };
    let refused = next.handle(&pubkey).err().unwrap();
    assert!(matches!(*refused.error, Error::CredSsp(CredSspError::Tls(_))), "{}", refused.error);
}

fn setup(usage: &str, realm: &Realm, more: Value) -> Value {
    let mut setup = json!({
        "usage": usage,
        "protocol": "credssp",
        "username": USER,
        "password": PASSWORD,
        "hostname": HOST,
        "service": "WSMAN",
        "environment": realm.environment(),
        "files": { "NTLM_USER_FILE": format!(":alice:{PASSWORD}\n") },
    });
    for (name, value) in more.as_object().unwrap() {
        setup[name] = value.clone();
    }
    setup
}

fn chat(context: TlsContext, peer: &mut Peer) {
    let mut context = context;
    let wrapped = context.wrap(b"header").unwrap();
    assert_eq!(peer.unwrap(&wrapped.header, &wrapped.body).unwrap(), b"header");
    let (header, sealed) = peer.wrap(b"header");
    assert_eq!(header.len(), wrapped.header.len(), "the trailer's length");
    assert_eq!(context.unwrap(&header, &sealed).unwrap(), b"header");
    let mut sealer = Sealer::new(Box::new(context), BodyClass::CredSsp);
    let sizes = [1, 5000, 16384, 16385, 100_000];
    peer.exchange_bodies(&mut sealer, BodyClass::CredSsp.as_str(), &sizes);
}

#[test]
fn pyspnego_accepts_us() {
    let Some(python) = python() else { return };
    let realm = Realm::new(PASSWORD);
    for (tls, version, inner) in [
        (&TLS12, 6, "kerberos"),
        (&TLS13, 6, "kerberos"),
        (&TLS12, 6, "ntlm"),
        (&TLS13, 6, "ntlm"),
        (&TLS13, 5, "ntlm"),
        (&TLS13, 4, "ntlm"),
        (&TLS12, 2, "kerberos"),
    ] {
        let name = if tls.version == TLS12.version { "TLSv1_2" } else { "TLSv1_3" };
        let mut peer =
            Peer::start(&python, &setup("accept", &realm, json!({ "tls": name, "version": version })));
        let mechanisms = match inner {
            "kerberos" => InitiatorMechanisms {
                kerberos: Some(realm.initiate("WSMAN")),
                ntlm: Some(ntlm_client(PASSWORD)),
            },
            _ => with_ntlm(),
        };
        let mut options = client_options(mechanisms);
        options.minimum_version = 2;
        let (mut token, mut expect) = Initiator::start(client_tls(tls), options, &mut rand::rng()).unwrap();
        let need = loop {
            let (reply, complete) =
                peer.step(Some(&token)).unwrap_or_else(|e| panic!("{name} {version} {inner}: {e}"));
            assert!(!complete);
            match expect.handle(&reply.unwrap()).unwrap() {
                Initiate::Continue { token: answer, next } => (token, expect) = (answer, next),
                Initiate::NeedConsent(need) => break need,
            }
        };
        let proof = need.proof();
        assert_eq!((proof.version, proof.mechanism == Mechanism::Kerberos), (version, inner == "kerberos"));
        let (token, acceptance) = need.send_password().unwrap();
        let (last, complete) = peer.step(Some(&token)).unwrap();
        assert!(complete);
        let context = acceptance.accepted(last.as_deref()).unwrap();
        let info = peer.info();
        assert_eq!(info["credential"], json!(["PEER", "alice", PASSWORD]));
        assert_eq!(info["version"], version);
        chat(context, &mut peer);
    }
}

/// A server that has nothing to say to the end of the handshake, and a client that says more than that at once.
#[test]
fn legs_of_tls_that_hold_nothing_or_two_things() {
    let certificate = certificate();
    let server = server_tls(&certificate, &TLS13).connection().unwrap();
    let acceptor = Acceptor::new(Box::new(server), AcceptorOptions::new(both()));
    let mut pipe = client_tls(&TLS13);
    let Ok(Accept::Continue { token, next }) = acceptor.handle(&pipe.take_output().unwrap()) else {
        panic!()
    };
    pipe.receive(&token).unwrap();
    // TSRequest 6 with an NTLM NEGOTIATE message, in the leg of the client's Finished.
    pipe.send(include_bytes!("corpus/ts_request/negotiate")).unwrap();
    let Ok(Accept::Continue { token, .. }) = next.handle(&pipe.take_output().unwrap()) else { panic!() };
    let answer = pipe.receive(&token).unwrap();
    let text = hop_auth::describe::describe(&answer).unwrap();
    assert!(text.contains("NTLM CHALLENGE_MESSAGE"), "{text}");

    let Some(python) = python() else { return };
    let realm = Realm::new(PASSWORD);
    let mut peer = Peer::start(&python, &setup("accept", &realm, json!({ "tls": "TLSv1_3", "tickets": 0 })));
    let (mut token, mut expect) =
        Initiator::start(client_tls(&TLS13), client_options(with_ntlm()), &mut rand::rng()).unwrap();
    let mut silent = 0;
    loop {
        let (reply, _) = peer.step(Some(&token)).unwrap();
        let reply = reply.unwrap_or_default();
        silent += usize::from(reply.is_empty());
        match expect.handle(&reply).unwrap() {
            Initiate::Continue { token: answer, next } => (token, expect) = (answer, next),
            Initiate::NeedConsent(_) => break,
        }
    }
    assert_eq!(silent, 1);
}

#[test]
fn pyspnego_tells_us_why_it_refuses() {
    let Some(python) = python() else { return };
    let realm = Realm::new(PASSWORD);
    let mut peer = Peer::start(&python, &setup("accept", &realm, json!({})));
    let wrong = InitiatorMechanisms { kerberos: None, ntlm: Some(ntlm_client("wrong")) };
    let (mut token, mut expect) =
        Initiator::start(client_tls(&TLS13), client_options(wrong), &mut rand::rng()).unwrap();
    let error = loop {
        let (reply, _) = peer.step(Some(&token)).unwrap();
        match expect.handle(&reply.unwrap()) {
            Ok(Initiate::Continue { token: answer, next }) => (token, expect) = (answer, next),
            Ok(Initiate::NeedConsent(_)) => panic!(),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::CredSsp(CredSspError::Peer(_))), "{error}");
}

#[test]
fn we_accept_pyspnego() {
    let Some(python) = python() else { return };
    let mut realm = Realm::new(PASSWORD);
    let certificate = rsa_certificate(&python);
    for (tls, version, inner) in [
        (&TLS12, 6, "negotiate"),
        (&TLS13, 6, "negotiate"),
        (&TLS12, 6, "kerberos"),
        (&TLS13, 6, "ntlm"),
        (&TLS12, 6, "ntlm"),
        (&TLS13, 5, "negotiate"),
        (&TLS13, 4, "negotiate"),
        (&TLS12, 2, "ntlm"),
    ] {
        let more = json!({ "version": version, "inner": inner });
        let mut peer = Peer::start(&python, &setup("initiate", &realm, more));
        let mut options = AcceptorOptions::new(both());
        options.minimum_version = 2;
        let pipe = server_tls(&certificate, tls).connection().unwrap();
        let mut acceptor = Acceptor::new(Box::new(pipe), options);
        let mut token = peer.step(None).unwrap().0.unwrap();
        let (context, credentials, mechanism) = loop {
            match settle(&mut realm, acceptor.handle(&token)) {
                Ok(Accept::Continue { token: reply, next }) => {
                    acceptor = next;
                    token = peer.step(Some(&reply)).unwrap().0.unwrap();
                }
                Ok(Accept::Established { context, credentials, mechanism }) => {
                    break (context, credentials, mechanism);
                }
                Ok(other) => panic!("{other:?}"),
                Err(refused) => panic!("{version} {inner}: {}", refused.error),
            }
        };
        assert_eq!(mechanism == Mechanism::Ntlm, inner == "ntlm");
        assert_eq!(credentials.name.user, USER);
        assert_eq!(credentials.password, PASSWORD.into());
        chat(context, &mut peer);
    }
}

#[test]
fn we_tell_pyspnego_why_we_refuse() {
    let Some(python) = python() else { return };
    let mut realm = Realm::new(PASSWORD);
    let certificate = rsa_certificate(&python);
    let more = json!({ "inner": "ntlm", "password": "wrong" });
    let mut peer = Peer::start(&python, &setup("initiate", &realm, more));
    let pipe = server_tls(&certificate, &TLS13).connection().unwrap();
    let mut acceptor = Acceptor::new(Box::new(pipe), AcceptorOptions::new(both()));
    let mut token = peer.step(None).unwrap().0.unwrap();
    let refused = loop {
        match settle(&mut realm, acceptor.handle(&token)) {
            Ok(Accept::Continue { token: reply, next }) => {
                acceptor = next;
                token = peer.step(Some(&reply)).unwrap().0.unwrap();
            }
            Ok(other) => panic!("{other:?}"),
            Err(refused) => break refused,
        }
    };
    let said = peer.step(Some(&refused.token.unwrap())).unwrap_err();
    assert!(
        said.contains("NTStatus") || said.contains("InvalidCredential") || said.contains("logon"),
        "{said}"
    );
}
