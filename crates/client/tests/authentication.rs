//! Every way of authentication over HTTP and HTTPS, against acceptors with real tokens.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod common;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::SystemTime,
};

use common::{Guard, NewGuard, TestServer, policy, quick};
use hop_auth::{
    BasicCredentials, Mechanism, Sealer, UserName,
    credssp::{self, tls::ServerTls},
    ntlm::{self, HashFile, NtHash, Verifier as _},
    server::{Acceptor, Offer, Step},
    spnego::AcceptorMechanisms,
    tls_server_end_point,
};
use hop_client::{
    Connection, Error, Hosts, Target,
    authentication::{Authentication, Login, Password},
    http::Settings,
    tls::{ClientCertificate, TlsOptions, Trust},
    winrs::{CommandEvent, ShellOptions},
};
use hop_delegation::{Decision, Mode, credssp::Refusal};
use hop_kerberos::gss::{BindingPolicy, ChannelBindings};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

const HOST: &str = "servera.hop.test";
const PASSWORD: &str = "Pässwörd-€";

/// An authority, and a server's certificate of its.
struct Authority {
    directory: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
    server: (CertificateDer<'static>, PrivateKeyDer<'static>),
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec![HOST.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let server = (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap());
        let client_key = KeyPair::generate().unwrap();
        let client = CertificateParams::new(vec!["alice".to_owned()]).unwrap();
        let client = client.signed_by(&client_key, &issuer).unwrap();
        std::fs::write(directory.path().join("client.pem"), client.pem()).unwrap();
        std::fs::write(directory.path().join("client.key"), client_key.serialize_pem()).unwrap();
        Self { directory, issuer, server }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn config(&self) -> Arc<ServerConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .allow_unauthenticated()
            .build()
            .unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![self.server.0.clone()], self.server.1.clone_key())
            .unwrap();
        Arc::new(config)
    }

    fn bindings(&self) -> ChannelBindings {
        tls_server_end_point(&self.server.0).unwrap().unwrap()
    }

    fn trusted(&self) -> TlsOptions {
        TlsOptions { trust: Trust::Authorities(self.path("ca.pem")), certificate: None }
    }
}

/// Who came, and the password that was left.
type Seen = Arc<Mutex<Vec<(String, Option<String>)>>>;

struct TokenGuard {
    acceptor: Option<Acceptor>,
    seen: Seen,
    who: Option<String>,
    sealer: Option<Sealer>,
    encrypted: bool,
}

impl Guard for TokenGuard {
    fn authenticate(&mut self, authorization: &str) -> (u16, Option<String>) {
        let mut users = HashFile::default();
        users.insert(UserName::parse("alice"), NtHash::of_password(&PASSWORD.into()));
        let mut step = self.acceptor.take().unwrap().handle(authorization);
        if let Ok(Step::NeedNtlm(need)) = step {
            self.who = Some(need.question().name.to_string());
            step = match users.verify(need.question()) {
                Ok(key) => need.accepted(&key),
                Err(error) => Err(need.refused(error)),
            };
        }
        let left = match step {
            Ok(Step::Continue { www_authenticate, next }) => {
                self.acceptor = Some(next);
                return (401, Some(www_authenticate));
            }
            Ok(Step::Established { www_authenticate, sealer }) => {
                self.sealer = Some(sealer);
                (www_authenticate, None)
            }
            Ok(Step::Delegated { sealer, credentials }) => {
                self.sealer = Some(sealer);
                (None, Some(credentials.password.expose().clone()))
            }
            Ok(other) => panic!("{other:?}"),
            Err(refusal) => {
                return (401, Some(refusal.www_authenticate.unwrap_or_else(|| "Negotiate".to_owned())));
            }
        };
        self.seen.lock().unwrap().push((self.who.clone().unwrap(), left.1));
        (200, left.0)
    }

    fn offers(&self) -> &'static str {
        "Negotiate, CredSSP"
    }

    fn owner(&self) -> Option<String> {
        self.sealer.is_some().then(|| self.who.clone()).flatten()
    }

    fn unseal(&mut self, content_type: &str, body: &[u8]) -> Option<Vec<u8>> {
        let sealer = self.sealer.as_mut()?;
        if self.encrypted {
            return content_type.starts_with("application/soap+xml").then(|| body.to_vec());
        }
        Some(sealer.unseal(content_type, body).ok()?.body)
    }

    fn seal(&mut self, body: &[u8]) -> (String, Vec<u8>) {
        let soap = "application/soap+xml;charset=UTF-8";
        if self.encrypted {
            return (soap.to_owned(), body.to_vec());
        }
        let sealed = self.sealer.as_mut().unwrap().seal(soap, body).unwrap();
        (sealed.content_type, sealed.body)
    }
}

/// Basic, or the certificate's header: with every request.
struct HeaderGuard {
    expected: Option<(&'static str, &'static str)>,
    who: Option<String>,
}

impl Guard for HeaderGuard {
    fn authenticate(&mut self, authorization: &str) -> (u16, Option<String>) {
        self.who = match (self.expected, BasicCredentials::parse(authorization).unwrap()) {
            (Some((user, password)), Some(got)) if got.user == user && got.password == password.into() => {
                Some(got.user)
            }
            (None, None) if authorization.ends_with("/secprofile/https/mutual") => Some("alice".to_owned()),
            _ => return (401, Some(BasicCredentials::CHALLENGE.to_owned())),
        };
        (200, None)
    }

    fn offers(&self) -> &'static str {
        BasicCredentials::CHALLENGE
    }

    fn owner(&self) -> Option<String> {
        self.who.clone()
    }

    fn unseal(&mut self, _: &str, body: &[u8]) -> Option<Vec<u8>> {
        Some(body.to_vec())
    }

    fn seal(&mut self, body: &[u8]) -> (String, Vec<u8>) {
        ("application/soap+xml;charset=UTF-8".to_owned(), body.to_vec())
    }
}

/// A server with NTLM and CredSSP; on HTTPS it demands channel bindings.
async fn token_server(authority: &Authority, https: bool) -> (TestServer, Seen) {
    token_server_named(authority, https, HOST).await
}

async fn token_server_named(authority: &Authority, https: bool, host: &'static str) -> (TestServer, Seen) {
    let seen = Seen::default();
    let bindings = https.then(|| authority.bindings());
    let tls = ServerTls::new(vec![authority.server.0.clone()], authority.server.1.clone_key()).unwrap();
    let recorded = seen.clone();
    let new: NewGuard = Arc::new(move || {
        let mechanisms = |bindings: Option<&ChannelBindings>| {
            let mut options = ntlm::AcceptorOptions::new("SERVERA");
            options.channel_bindings = bindings.cloned();
            options.binding_policy = BindingPolicy::Strict;
            // Clients do not agree on the service's name: requests-credssp says HTTP inside CredSSP, others WSMAN.
            options.targets = ["HTTP", "WSMAN", "HOST"].map(|service| format!("{service}/{host}")).to_vec();
            options.target_required = true;
            let ntlm = ntlm::Acceptor::new(options, rand::random(), SystemTime::now());
            AcceptorMechanisms { kerberos: false, ntlm: Some(ntlm) }
        };
        let inside = credssp::AcceptorOptions::new(mechanisms(None));
        let offer = Offer {
            mechanisms: mechanisms(bindings.as_ref()),
            credssp: Some(credssp::Acceptor::new(Box::new(tls.connection().unwrap()), inside)),
        };
        Box::new(TokenGuard {
            acceptor: Some(Acceptor::with(offer)),
            seen: recorded.clone(),
            who: None,
            sealer: None,
            encrypted: bindings.is_some(),
        })
    });
    let config = https.then(|| authority.config());
    (TestServer::start_on(Some(new), config).await, seen)
}

fn target(server: &TestServer, https: bool) -> Target {
    let mut target = Hosts::default().resolve(HOST).unwrap();
    (target.address, target.port, target.https) = ("127.0.0.1".to_owned(), server.port, https);
    target
}

fn login(authentication: Authentication, password: &str) -> Login {
    Login {
        authentication,
        password: Some(Password { name: UserName::parse("alice"), password: password.into() }),
        allow_ntlm: true,
        policy: policy(&["wsman/*.hop.test"], &[], &["*.hop.test"]),
        ..Login::default()
    }
}

fn settings(tls: TlsOptions) -> Settings {
    Settings { tls, ..quick() }
}

async fn hello(target: Target, login: Login, settings: Settings) -> Result<String, Error> {
    let connection = Connection::open(target, login, settings)?;
    let shell = connection.open_shell(ShellOptions::default()).await?;
    // Larger than one part of a body with CredSSP.
    let mut command = shell.run("head -c 40000 /dev/zero | tr '\\0' x; echo hello", &[]);
    let mut out = Vec::new();
    while let Some(event) = command.next().await {
        match event? {
            CommandEvent::Stdout(data) => out.extend(data),
            CommandEvent::Exit(0) => {}
            other => panic!("{other:?}"),
        }
    }
    drop(command);
    shell.close().await?;
    assert_eq!(out.len(), 40_006);
    Ok(String::from_utf8(out.split_off(40_000)).unwrap())
}

#[tokio::test]
async fn ntlm_over_http_and_https() {
    let authority = Authority::new();
    for (https, authentication) in [
        (false, Authentication::Ntlm),
        (true, Authentication::Ntlm),
        (false, Authentication::Negotiate),
        (true, Authentication::Negotiate),
    ] {
        let (server, seen) = token_server(&authority, https).await;
        let settings = || settings(authority.trusted());
        let ran = hello(target(&server, https), login(authentication, PASSWORD), settings()).await;
        assert_eq!(ran.unwrap(), "hello\n", "{authentication} https {https}");
        assert!(seen.lock().unwrap().iter().all(|(who, left)| who == "alice" && left.is_none()));
        let error =
            hello(target(&server, https), login(authentication, "wrong"), settings()).await.unwrap_err();
        assert!(matches!(error, Error::Authentication { .. }), "{error}");
    }
}

#[tokio::test]
async fn credssp_asks_who_the_server_is() {
    let authority = Authority::new();
    for https in [false, true] {
        let (server, seen) = token_server(&authority, https).await;
        // The certificate inside TLS is of the trusted authority.
        let trusted = settings(authority.trusted());
        let ran = hello(target(&server, https), login(Authentication::CredSsp, PASSWORD), trusted).await;
        assert_eq!(ran.unwrap(), "hello\n", "https {https}");
        assert_eq!(seen.lock().unwrap().first(), Some(&("alice".to_owned(), Some(PASSWORD.to_owned()))));
    }
    // Nobody vouches for it: the password stays here.
    let (server, seen) = token_server(&authority, false).await;
    let other = Authority::new();
    let unknown = settings(other.trusted());
    let error =
        hello(target(&server, false), login(Authentication::CredSsp, PASSWORD), unknown.clone()).await;
    let error = error.unwrap_err();
    assert_eq!(error.refusal().map(Refusal::code), Some(2_150_859_172), "{error}");
    assert!(seen.lock().unwrap().is_empty(), "no password arrived");
    // A list of its own is for such servers.
    let mut allowed = login(Authentication::CredSsp, PASSWORD);
    allowed.policy = policy(&[], &["WSMAN/SERVERA.hop.test"], &[]);
    assert_eq!(hello(target(&server, false), allowed.clone(), unknown).await.unwrap(), "hello\n");
    // It is not for servers that prove more.
    let trusted = settings(authority.trusted());
    let error = hello(target(&server, false), allowed, trusted).await.unwrap_err();
    assert_eq!(error.refusal().map(Refusal::code), Some(2_150_859_171), "{error}");
}

#[tokio::test]
async fn delegation_by_credssp_is_authentication_by_credssp() {
    let authority = Authority::new();
    let (server, seen) = token_server(&authority, false).await;
    let said = Login { delegation: Some(Mode::CredSsp), ..login(Authentication::Negotiate, PASSWORD) };
    let mut entry = target(&server, false);
    entry.delegation = Some(Mode::CredSsp);
    for (target, login) in
        [(target(&server, false), said.clone()), (entry.clone(), login(Authentication::Negotiate, PASSWORD))]
    {
        let connection =
            Connection::open(target.clone(), login.clone(), settings(authority.trusted())).unwrap();
        assert_eq!(connection.delegation().get(), Some(Decision::Password));
        assert_eq!(hello(target, login, settings(authority.trusted())).await.unwrap(), "hello\n");
        let (who, left) = seen.lock().unwrap().pop().unwrap();
        assert_eq!((who.as_str(), left.as_deref()), ("alice", Some(PASSWORD)));
    }
    // NTLM says of itself that it is NTLM.
    let connection =
        Connection::open(target(&server, false), login(Authentication::Negotiate, PASSWORD), quick())
            .unwrap();
    connection.open_shell(ShellOptions::default()).await.unwrap().close().await.unwrap();
    assert_eq!(connection.proven_by(), Some(Mechanism::Ntlm));
    seen.lock().unwrap().clear();
    // What is said comes before the entry.
    let nothing = Login { delegation: Some(Mode::Never), ..login(Authentication::Negotiate, PASSWORD) };
    hello(entry, nothing, settings(authority.trusted())).await.unwrap();
    assert!(seen.lock().unwrap().iter().all(|(_, left)| left.is_none()));
    seen.lock().unwrap().clear();
    for authentication in
        [Authentication::Kerberos, Authentication::Ntlm, Authentication::Basic, Authentication::Certificate]
    {
        let login = Login { authentication, ..said.clone() };
        let error = Connection::open(target(&server, false), login, quick()).unwrap_err().to_string();
        assert!(error.contains("means authentication by CredSSP"), "{error}");
    }
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn basic_and_certificates_over_https_only() {
    let authority = Authority::new();
    let start = async |expected| {
        let new: NewGuard = Arc::new(move || Box::new(HeaderGuard { expected, who: None }));
        TestServer::start_on(Some(new), Some(authority.config())).await
    };
    let server = start(Some(("alice", PASSWORD))).await;
    let trusted = || settings(authority.trusted());
    let basic = |password| login(Authentication::Basic, password);
    assert_eq!(hello(target(&server, true), basic(PASSWORD), trusted()).await.unwrap(), "hello\n");
    let error = hello(target(&server, true), basic("wrong"), trusted()).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    let error = hello(target(&server, false), basic(PASSWORD), trusted()).await.unwrap_err();
    assert!(error.to_string().contains("needs HTTPS"), "{error}");

    let server = start(None).await;
    let certificate = Login { authentication: Authentication::Certificate, ..Login::default() };
    let error = hello(target(&server, true), certificate.clone(), trusted()).await.unwrap_err();
    assert!(error.to_string().contains("client certificate"), "{error}");
    let mut tls = authority.trusted();
    tls.certificate =
        Some(ClientCertificate { chain: authority.path("client.pem"), key: authority.path("client.key") });
    assert_eq!(hello(target(&server, true), certificate, settings(tls)).await.unwrap(), "hello\n");
}

#[tokio::test]
async fn servers_are_trusted_by_authority_pin_or_not_at_all() {
    let authority = Authority::new();
    let (server, _) = token_server(&authority, true).await;
    let run = async |trust| {
        let tls = TlsOptions { trust, certificate: None };
        hello(target(&server, true), login(Authentication::Ntlm, PASSWORD), settings(tls)).await
    };
    use sha2::Digest as _;
    let pin: [u8; 32] = sha2::Sha256::digest(&authority.server.0).into();
    assert_eq!(run(Trust::Pinned(pin)).await.unwrap(), "hello\n");
    assert_eq!(run(Trust::Anything).await.unwrap(), "hello\n");
    for wrong in [
        Trust::Pinned([0; 32]),
        Trust::Authorities(Authority::new().path("ca.pem")),
        Trust::Authorities(PathBuf::from("/nonexistent/ca.pem")),
        Trust::Authorities(authority.path("client.key")),
        Trust::System,
    ] {
        let error = run(wrong.clone()).await.unwrap_err();
        assert!(matches!(error, Error::Tls { .. }), "{wrong:?}: {error}");
    }
    // The name in the certificate counts.
    let mut other = target(&server, true);
    other.host_name = "serverb.hop.test".to_owned();
    let trusted = settings(authority.trusted());
    let error = hello(other.clone(), login(Authentication::Ntlm, PASSWORD), trusted).await.unwrap_err();
    assert!(matches!(error, Error::Tls { .. }), "{error}");
    // Each check can be left out by itself.
    let ca = || Some(authority.path("ca.pem"));
    let stranger = || Some(Authority::new().path("ca.pem"));
    for (target, trust, good) in [
        (target(&server, true), Trust::AnyAuthority, true),
        (other.clone(), Trust::AnyAuthority, false),
        (target(&server, true), Trust::AnyName(ca()), true),
        (other.clone(), Trust::AnyName(ca()), true),
        (other.clone(), Trust::AnyName(stranger()), false),
        (other, Trust::Anything, true),
    ] {
        let tls = TlsOptions { trust: trust.clone(), certificate: None };
        let result = hello(target, login(Authentication::Ntlm, PASSWORD), settings(tls)).await;
        // Past TLS, the server refuses a proof that is meant for serverb.
        match &result {
            Err(Error::Tls { .. }) => assert!(!good, "{trust:?}"),
            Ok(text) => assert!(good && text == "hello\n", "{trust:?}"),
            Err(Error::Authentication { .. }) => assert!(good, "{trust:?}"),
            Err(error) => panic!("{trust:?}: {error}"),
        }
    }
}

/// Somebody in the middle with a certificate that the client takes: the channel bindings tell the server.
#[tokio::test]
async fn a_relay_between_two_tls_connections() {
    let (real, relay) = (Authority::new(), Authority::new());
    let seen = Seen::default();
    let bindings = real.bindings();
    let new: NewGuard = Arc::new(move || {
        let mut options = ntlm::AcceptorOptions::new("SERVERA");
        options.channel_bindings = Some(bindings.clone());
        options.binding_policy = BindingPolicy::Relaxed;
        let ntlm = ntlm::Acceptor::new(options, rand::random(), SystemTime::now());
        let mechanisms = AcceptorMechanisms { kerberos: false, ntlm: Some(ntlm) };
        Box::new(TokenGuard {
            acceptor: Some(Acceptor::with(mechanisms)),
            seen: seen.clone(),
            who: None,
            sealer: None,
            encrypted: true,
        })
    });
    // What the relay's TLS lets through reaches the real server's acceptor.
    let server = TestServer::start_on(Some(new), Some(relay.config())).await;
    let tls = settings(TlsOptions { trust: Trust::Anything, certificate: None });
    let error = hello(target(&server, true), login(Authentication::Ntlm, PASSWORD), tls).await.unwrap_err();
    assert!(matches!(error, Error::Authentication { .. }), "{error}");
}

#[tokio::test]
async fn what_is_missing_is_said_before_anything_is_sent() {
    let authority = Authority::new();
    let (server, _) = token_server(&authority, false).await;
    for (mut login, says) in [
        (login(Authentication::Ntlm, ""), "user name and password"),
        (login(Authentication::CredSsp, ""), "Requests must include user name and password"),
        (login(Authentication::Negotiate, ""), "Kerberos needs"),
        (login(Authentication::Kerberos, ""), "Kerberos needs"),
    ] {
        login.password = None;
        let error = hello(target(&server, false), login, quick()).await.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let mut strict = login(Authentication::Negotiate, PASSWORD);
    strict.allow_ntlm = false;
    let error = hello(target(&server, false), strict, quick()).await.unwrap_err().to_string();
    assert!(error.contains("Kerberos needs"), "{error}");
    assert_eq!(server.requests(), 0);
}

fn python() -> Option<PathBuf> {
    let peers = std::env::var_os("HOP_PEERS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers"), PathBuf::from);
    let python = peers.join("bin/python");
    let there = Command::new(&python).args(["-c", "import pypsrp.shell, spnego"]).output();
    if there.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    println!("skipped: no pypsrp");
    None
}

async fn pypsrp(python: &Path, port: u16, auth: &str, ssl: bool, password: &str) -> Value {
    let ask = json!({
        "port": port, "auth": auth, "ssl": ssl, "username": "alice", "password": password,
        "command": "head -c 40000 /dev/zero | tr '\\0' x; echo hello",
        "more": { "negotiate_service": "HTTP", "credssp_auth_mechanism": "ntlm" },
    });
    let mut command = tokio::process::Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pypsrp_peer.py"));
    // No Kerberos: the realm of whoever runs this is none of ours.
    command.env("KRB5_CONFIG", "/nonexistent").env("KRB5CCNAME", "/nonexistent");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    child.stdin.take().unwrap().write_all(ask.to_string().as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// pypsrp's own HTTP client with every way of authentication, sealed and in HTTPS, against our acceptors.
#[tokio::test]
async fn pypsrp_comes_in() {
    let Some(python) = python() else { return };
    let mut authority = Authority::new();
    // Its CredSSP reads RSA keys only.
    let script =
        "import spnego.tls; c, k, _ = spnego.tls.generate_tls_certificate(); print((c + k).decode())";
    let pem = Command::new(&python).args(["-c", script]).output().unwrap().stdout;
    authority.server =
        (CertificateDer::from_pem_slice(&pem).unwrap(), PrivateKeyDer::from_pem_slice(&pem).unwrap());
    for https in [false, true] {
        for auth in ["ntlm", "negotiate", "credssp"] {
            let (server, seen) = token_server_named(&authority, https, "127.0.0.1").await;
            let answer = pypsrp(&python, server.port, auth, https, PASSWORD).await;
            if let Some(missing) = answer.get("missing") {
                println!("skipped: {missing}");
                continue;
            }
            assert_eq!(answer["out"].as_str().map(str::len), Some(40_006), "{auth} https {https}: {answer}");
            let left = (auth == "credssp").then(|| PASSWORD.to_owned());
            assert_eq!(*seen.lock().unwrap(), [("alice".to_owned(), left)]);
            let answer = pypsrp(&python, server.port, auth, https, "wrong").await;
            assert!(answer.get("error").is_some(), "{answer}");
        }
    }
    // Its Basic is Latin-1.
    let new: NewGuard =
        Arc::new(|| Box::new(HeaderGuard { expected: Some(("alice", "Password-1")), who: None }));
    let server = TestServer::start_on(Some(new), Some(authority.config())).await;
    let answer = pypsrp(&python, server.port, "basic", true, "Password-1").await;
    assert_eq!(answer["out"].as_str().map(str::len), Some(40_006), "{answer}");
}
