//! The client through HTTP proxies: tunnels, authentication to the proxy, refusals, and what goes wrong in between.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod common;
#[path = "common/proxy.rs"]
mod proxy;

use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex, atomic::Ordering},
    time::{Duration, Instant, SystemTime},
};

use common::{Guard, NewGuard, TestServer, quick};
use hop_auth::{
    BasicCredentials, UserName,
    ntlm::{self, HashFile, NtHash, Verifier as _},
    server::{Acceptor, Offer, Step},
    spnego::AcceptorMechanisms,
};
use hop_client::{
    Connection, Error, Hosts, RunspacePool, Target,
    authentication::{Authentication, Login, Password},
    http::Settings,
    kerberos::{Identity, Source},
    proxy::{Proxy, ProxyAuthentication, ProxyError, ProxyLogin},
    runspace_pool::PoolOptions,
    tls::{TlsOptions, Trust},
    winrs::{CommandEvent, ShellOptions},
};
use hop_kerberos::{
    Principal,
    ap::KeytabKeys,
    config::Config,
    gss,
    kdc::{Entry, Kdc, MemoryDatabase, Policy},
    keytab::Keytab,
    replay::MemoryReplayCache,
};
use hop_kerberos_io::{Environment, KdcClient, KdcListener};
use proxy::{Reply, Rule, TestProxy};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};

const HOST: &str = "servera.hop.test";
const HOST_PASSWORD: &str = "of the host";
const PROXY_PASSWORD: &str = "of the proxy";

/// Basic to the host: the plainest way, whose password would be seen if it went astray.
struct Host {
    authorizations: Arc<Mutex<Vec<String>>>,
    is_known: bool,
}

impl Guard for Host {
    fn authenticate(&mut self, authorization: &str) -> (u16, Option<String>) {
        self.authorizations.lock().unwrap().push(authorization.to_owned());
        let got = BasicCredentials::parse(authorization).unwrap().unwrap();
        self.is_known = got.user == "alice" && got.password == HOST_PASSWORD.into();
        (if self.is_known { 200 } else { 401 }, Some(BasicCredentials::CHALLENGE.to_owned()))
    }

    fn owner(&self) -> Option<String> {
        self.is_known.then(|| "alice".to_owned())
    }

    fn unseal(&mut self, _: &str, body: &[u8]) -> Option<Vec<u8>> {
        Some(body.to_vec())
    }

    fn seal(&mut self, body: &[u8]) -> (String, Vec<u8>) {
        ("application/soap+xml;charset=UTF-8".to_owned(), body.to_vec())
    }
}

async fn host() -> (TestServer, Arc<Mutex<Vec<String>>>) {
    let made = rcgen::generate_simple_self_signed(vec![HOST.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let authorizations = seen.clone();
    let new: NewGuard =
        Arc::new(move || Box::new(Host { authorizations: authorizations.clone(), is_known: false }));
    (TestServer::start_on(Some(new), Some(Arc::new(config))).await, seen)
}

fn target(server: &TestServer) -> Target {
    let mut target = Hosts::default().resolve(HOST).unwrap();
    (target.address, target.port, target.https) = ("127.0.0.1".to_owned(), server.port, true);
    target
}

fn password(user: &str, password: &str) -> Option<Password> {
    Some(Password { name: UserName::parse(user), password: password.into() })
}

fn with_password(authentication: ProxyAuthentication, text: &str) -> ProxyLogin {
    ProxyLogin { authentication, identity: None, password: password("carol", text) }
}

fn connection(server: &TestServer, port: u16, login: ProxyLogin) -> Connection {
    let proxy = Proxy { host: "127.0.0.1".to_owned(), port, user: None };
    let tls = TlsOptions { trust: Trust::Anything, certificate: None };
    let settings = Settings { tls, proxy: Some((proxy, login)), ..quick() };
    let host = Login {
        authentication: Authentication::Basic,
        password: password("alice", HOST_PASSWORD),
        ..Login::default()
    };
    Connection::open(target(server), host, settings).unwrap()
}

async fn hello(connection: &Connection) -> Result<(), Error> {
    let shell = connection.open_shell(ShellOptions::default()).await?;
    for _ in 0..2 {
        let mut command = shell.run("head -c 300000 /dev/zero; sleep 0.3; echo hello", &[]);
        let mut size = 0;
        while let Some(event) = command.next().await {
            match event? {
                CommandEvent::Stdout(data) => size += data.len(),
                CommandEvent::Exit(0) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(size, 300_006);
    }
    shell.close().await
}

async fn refused(server: &TestServer, proxy: &TestProxy, login: ProxyLogin) -> ProxyError {
    let started = Instant::now();
    let error = hello(&connection(server, proxy.port, login)).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(10), "{error}");
    let text = error.to_string();
    assert!(text.contains(HOST) && text.contains(&proxy.port.to_string()), "{text}");
    assert!(!text.contains(PROXY_PASSWORD) && !text.contains(HOST_PASSWORD), "{text}");
    match error {
        Error::Proxy { source, .. } => source,
        other => panic!("{other}"),
    }
}

fn demand(offers: &[&str], headers: &str) -> Vec<u8> {
    let offers: String = offers.iter().map(|offer| format!("Proxy-Authenticate: {offer}\r\n")).collect();
    let page = "<html>who are you?</html>";
    let length = page.len();
    format!("HTTP/1.1 407 Who\r\n{offers}{headers}Content-Length: {length}\r\n\r\n{page}").into_bytes()
}

fn basic_rule() -> Rule {
    Box::new(|authorization| {
        match authorization.map(|text| BasicCredentials::parse(text).unwrap().unwrap()) {
            Some(got) if got.user == "carol" && got.password == PROXY_PASSWORD.into() => {
                Reply::Tunnel(String::new())
            }
            _ => Reply::Send(demand(&["Basic realm=\"lab, proxy\""], "")),
        }
    })
}

#[tokio::test]
async fn a_proxy_that_asks_for_nothing() {
    let (server, seen) = host().await;
    let proxy = TestProxy::start(|| Box::new(|_| Reply::Tunnel(String::new()))).await;
    hello(&connection(&server, proxy.port, ProxyLogin::default())).await.unwrap();
    assert!(server.requests() >= 6, "{}", server.requests());
    assert_eq!(proxy.requests(), server.connections());
    assert!(proxy.heads().starts_with(&format!("CONNECT 127.0.0.1:{} HTTP/1.1\r\n", server.port)));
    assert!(!proxy.heads().to_ascii_lowercase().contains("authorization"), "{}", proxy.heads());
    assert!(!seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn basic_is_said_when_it_is_asked_for() {
    let (server, seen) = host().await;
    let proxy = TestProxy::start(basic_rule).await;
    for authentication in [ProxyAuthentication::Auto, ProxyAuthentication::Basic] {
        let login = with_password(authentication, PROXY_PASSWORD);
        hello(&connection(&server, proxy.port, login)).await.unwrap();
    }
    let first = proxy.heads.lock().unwrap().first().cloned().unwrap().to_ascii_lowercase();
    assert!(!first.contains("proxy-authorization"), "{first}");
    // Each knows its own credentials only.
    let of_proxy = BasicCredentials { user: "carol".to_owned(), password: PROXY_PASSWORD.into() };
    let of_host = BasicCredentials { user: "alice".to_owned(), password: HOST_PASSWORD.into() };
    let (of_proxy, of_host) = (of_proxy.authorization().unwrap(), of_host.authorization().unwrap());
    assert!(proxy.heads().contains(of_proxy.expose()) && !proxy.heads().contains(of_host.expose()));
    assert!(seen.lock().unwrap().iter().all(|header| header == of_host.expose()));

    let error = refused(&server, &proxy, with_password(ProxyAuthentication::Auto, "wrong")).await;
    assert!(matches!(error, ProxyError::Unauthorized { scheme: "Basic", .. }), "{error}");
    let error = refused(&server, &proxy, ProxyLogin::default()).await;
    let text = error.to_string();
    assert!(matches!(error, ProxyError::NoCredentials { .. }) && text.contains("(Basic)"), "{text}");
    let error = refused(&server, &proxy, with_password(ProxyAuthentication::Negotiate, PROXY_PASSWORD)).await;
    assert!(error.to_string().contains("negotiate is what may be used"), "{error}");
}

/// A second connection need not ask again.
#[tokio::test]
async fn what_a_proxy_wants_is_remembered() {
    let (server, _) = host().await;
    let proxy = TestProxy::start(basic_rule).await;
    let connection =
        connection(&server, proxy.port, with_password(ProxyAuthentication::Auto, PROXY_PASSWORD));
    let shell = connection.open_shell(ShellOptions::default()).await.unwrap();
    assert_eq!(proxy.requests(), 2);
    // Two commands at once need two connections.
    let (mut one, mut two) = (shell.run("sleep 0.5", &[]), shell.run("sleep 0.5", &[]));
    while let Some(event) = one.next().await {
        event.unwrap();
    }
    while let Some(event) = two.next().await {
        event.unwrap();
    }
    assert!(server.connections() > 1);
    assert_eq!(proxy.requests(), server.connections() + 1);
    drop((one, two));
    shell.close().await.unwrap();
}

/// NTLM as a scheme of its own, or in Negotiate.
fn ntlm_rule(scheme: &'static str, offers: &'static [&'static str]) -> Rule {
    let mut acceptor: Option<Acceptor> = None;
    Box::new(move |authorization| {
        let mut users = HashFile::default();
        users.insert(UserName::parse("carol"), NtHash::of_password(&PROXY_PASSWORD.into()));
        let Some(authorization) = authorization else { return Reply::Send(demand(offers, "")) };
        let (word, token) = authorization.split_once(' ').unwrap();
        assert_eq!(word, scheme);
        let mut options = ntlm::AcceptorOptions::new("PROXY");
        options.targets = vec!["HTTP/127.0.0.1".to_owned()];
        options.target_required = true;
        let new = || {
            let ntlm = ntlm::Acceptor::new(options, rand::random(), SystemTime::now());
            Acceptor::with(Offer::from(AcceptorMechanisms { kerberos: false, ntlm: Some(ntlm) }))
        };
        let mut step = acceptor.take().unwrap_or_else(new).handle(&format!("Negotiate {token}"));
        if let Ok(Step::NeedNtlm(need)) = step {
            step = match users.verify(need.question()) {
                Ok(key) => need.accepted(&key),
                Err(error) => Err(need.refused(error)),
            };
        }
        match step {
            Ok(Step::Continue { www_authenticate, next }) => {
                acceptor = Some(next);
                let challenge = www_authenticate.replace("Negotiate", scheme);
                Reply::Send(demand(&[&challenge], ""))
            }
            Ok(Step::Established { www_authenticate, .. }) => Reply::Tunnel(
                www_authenticate
                    .map(|token| format!("Proxy-Authentication-Info: {token}\r\n"))
                    .unwrap_or_default(),
            ),
            Ok(other) => panic!("{other:?}"),
            Err(_) => Reply::Send(demand(offers, "")),
        }
    })
}

#[tokio::test]
async fn ntlm_on_one_connection() {
    let (server, _) = host().await;
    for (scheme, offers, authentication) in [
        ("NTLM", &["NTLM", "Basic realm=\"x\""][..], ProxyAuthentication::Auto),
        ("NTLM", &["NTLM"], ProxyAuthentication::Ntlm),
        ("Negotiate", &["Negotiate", "NTLM", "Basic realm=\"x\""], ProxyAuthentication::Auto),
        ("Negotiate", &["Negotiate"], ProxyAuthentication::Ntlm),
    ] {
        let proxy = TestProxy::start(move || ntlm_rule(scheme, offers)).await;
        hello(&connection(&server, proxy.port, with_password(authentication, PROXY_PASSWORD)))
            .await
            .unwrap_or_else(|error| panic!("{scheme} {offers:?}: {error}"));
        // What is offered was asked for on the same connection.
        assert_eq!(proxy.requests(), 1 + 2 * proxy.connections.load(Ordering::SeqCst), "{}", proxy.heads());
        let before = proxy.requests();
        let error = refused(&server, &proxy, with_password(authentication, "wrong")).await;
        assert!(
            matches!(error, ProxyError::Unauthorized { .. } | ProxyError::Authentication { .. }),
            "{scheme} {offers:?}: {error}"
        );
        // A wrong password is not tried again in a weaker way.
        assert_eq!(proxy.requests(), before + 3);
    }
}

/// Negotiate that knows no NTLM: nothing was proved yet, so that the next way may be tried.
#[tokio::test]
async fn a_weaker_way_where_the_first_is_not_taken() {
    let (server, _) = host().await;
    let proxy = TestProxy::start(|| {
        Box::new(|authorization| {
            match authorization.and_then(|text| BasicCredentials::parse(text).ok().flatten()) {
                Some(got) if got.password == PROXY_PASSWORD.into() => Reply::Tunnel(String::new()),
                _ => Reply::Send(demand(&["Negotiate, Basic realm=\"x\""], "")),
            }
        })
    })
    .await;
    hello(&connection(&server, proxy.port, with_password(ProxyAuthentication::Auto, PROXY_PASSWORD)))
        .await
        .unwrap();
    let error = refused(&server, &proxy, with_password(ProxyAuthentication::Ntlm, PROXY_PASSWORD)).await;
    assert!(matches!(error, ProxyError::Unauthorized { scheme: "Negotiate", .. }), "{error}");
}

#[tokio::test]
async fn proxies_that_close_after_each_answer() {
    let (server, _) = host().await;
    for headers in ["Connection: close\r\n", "Proxy-Connection: close\r\n"] {
        let closing = move |mut rule: Rule| -> Rule {
            Box::new(move |authorization| match rule(authorization) {
                Reply::Send(bytes) => {
                    let text = String::from_utf8(bytes).unwrap();
                    Reply::Close(text.replacen("\r\n", &format!("\r\n{headers}"), 1).into_bytes())
                }
                reply => reply,
            })
        };
        let proxy = TestProxy::start(move || closing(basic_rule())).await;
        let login = with_password(ProxyAuthentication::Auto, PROXY_PASSWORD);
        hello(&connection(&server, proxy.port, login)).await.unwrap();
        // NTLM cannot go on where it is cut.
        let proxy = TestProxy::start(move || closing(ntlm_rule("NTLM", &["NTLM"]))).await;
        let error = refused(&server, &proxy, with_password(ProxyAuthentication::Auto, PROXY_PASSWORD)).await;
        assert!(matches!(error, ProxyError::Broken(_)), "{error}");
    }
}

const REALM: &str = "HOP.TEST";

/// A realm with alice and the service HTTP/127.0.0.1.
async fn realm() -> (Arc<Identity>, Keytab) {
    let principal = |name: &str| Principal::parse(name, Some(REALM)).unwrap();
    let mut database = MemoryDatabase::new(REALM, &mut rand::rng()).unwrap();
    database.insert(Entry::user(principal("alice"), &"Alice-2026".into()).unwrap());
    let service = Entry::service(principal("HTTP/127.0.0.1"), &mut rand::rng()).unwrap();
    let mut keytab = Keytab::default();
    service.export(&mut keytab, SystemTime::now());
    database.insert(service);
    let listener = KdcListener::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
    let kdc = listener.local_addr().unwrap();
    tokio::spawn(listener.serve(Arc::new(Mutex::new(Kdc::new(
        REALM,
        Arc::new(Mutex::new(database)),
        Policy::default(),
    )))));
    let config = format!(
        "[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n[realms]\n {REALM} = {{\n kdc = {kdc}\n }}\n"
    );
    let source = Source::Password { principal: "alice".to_owned(), password: "Alice-2026".into() };
    let client = KdcClient::new(Config::parse(config.as_bytes()).unwrap());
    (Arc::new(Identity::with_kdc(client, Environment::from_process(), source)), keytab)
}

/// `answers`: whether the proxy proves itself, or how it fails to.
fn kerberos_rule(keytab: &Keytab, answers: Option<&'static str>) -> Rule {
    let mut keys = KeytabKeys::new(keytab);
    Box::new(move |authorization| {
        let Some(authorization) = authorization else {
            return Reply::Send(demand(&["Basic realm=\"x\"", "NTLM", "Negotiate"], ""));
        };
        let acceptor = Acceptor::with(Offer::from(AcceptorMechanisms { kerberos: true, ntlm: None }));
        let Ok(Step::NeedKerberos(need)) = acceptor.handle(authorization) else { panic!("{authorization}") };
        let accepted = gss::Acceptor::accept(
            need.token(),
            &mut keys,
            &mut MemoryReplayCache::default(),
            &gss::AcceptorOptions::default(),
            SystemTime::now(),
            &mut rand::rng(),
        )
        .unwrap();
        assert_eq!(accepted.client.to_string(), "alice@HOP.TEST");
        assert!(accepted.delegated.is_none(), "a proxy never gets a ticket of the user's");
        let step = need.accepted(Box::new(accepted.context), accepted.reply);
        let Ok(Step::Established { www_authenticate: Some(token), .. }) = step else { panic!("{step:?}") };
        Reply::Tunnel(match answers {
            None => String::new(),
            Some("") => format!("Proxy-Authentication-Info: {token}\r\n"),
            Some(forged) => format!("Proxy-Authenticate: Negotiate {forged}\r\n"),
        })
    })
}

#[tokio::test]
async fn kerberos_is_preferred() {
    let (server, _) = host().await;
    let (identity, keytab) = realm().await;
    for authentication in [ProxyAuthentication::Auto, ProxyAuthentication::Negotiate] {
        for answers in [None, Some(""), Some("oQcwBaADCgEC")] {
            let keytab = keytab.clone();
            let proxy = TestProxy::start(move || kerberos_rule(&keytab, answers)).await;
            let mut login = with_password(authentication, PROXY_PASSWORD);
            login.identity = Some(identity.clone());
            if answers.is_some_and(|text| !text.is_empty()) {
                let error = refused(&server, &proxy, login).await;
                assert!(matches!(error, ProxyError::Authentication { scheme: "Negotiate", .. }), "{error}");
            } else {
                hello(&connection(&server, proxy.port, login)).await.unwrap();
            }
        }
    }
    // No such service: the proxy's other offers are what is left.
    let proxy = TestProxy::start(basic_rule).await;
    let mut login = with_password(ProxyAuthentication::Auto, PROXY_PASSWORD);
    login.identity = Some(identity.clone());
    let connection = |login| {
        let proxy = Proxy { host: "localhost".to_owned(), port: proxy.port, user: None };
        let tls = TlsOptions { trust: Trust::Anything, certificate: None };
        let settings = Settings { tls, proxy: Some((proxy, login)), ..quick() };
        let host = Login {
            authentication: Authentication::Basic,
            password: password("alice", HOST_PASSWORD),
            ..Login::default()
        };
        Connection::open(target(&server), host, settings).unwrap()
    };
    hello(&connection(login)).await.unwrap();
    let only_kerberos = TestProxy::start(|| Box::new(|_| Reply::Send(demand(&["Negotiate"], "")))).await;
    let stranger = Source::Cache("FILE:/nonexistent/cache".to_owned());
    let stranger = Arc::new(Identity::in_environment(Environment::from_process(), stranger).unwrap());
    let login = ProxyLogin { identity: Some(stranger), ..ProxyLogin::default() };
    let error = refused(&server, &only_kerberos, login).await.to_string();
    assert!(error.contains("(Negotiate)") && error.contains("/nonexistent/cache"), "{error}");
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let (server, _) = host().await;
    let answer = |text: &'static str| text.as_bytes().to_vec();
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(5000));
    let large = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(1 << 20));
    let endless = format!("HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\n\r\n{}", "y".repeat(3 << 20));
    for (bytes, says) in [
        (
            answer("HTTP/1.1 403 Filtered\r\nContent-Length: 2\r\n\r\nno"),
            "rules do not allow a connection to 127.0.0.1:",
        ),
        (answer("HTTP/1.0 500 Unable to connect\r\n\r\n<html>"), "status 500 (Unable to connect)"),
        (answer("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"), "cannot reach 127.0.0.1:"),
        (
            answer("HTTP/1.1 503 Service Unavailable\r\nX-Squid-Error: ERR_CONNECT_FAIL 111\r\n\r\n"),
            "ERR_CONNECT_FAIL 111",
        ),
        (answer("HTTP/1.1 503 x\r\nX-Squid-Error: ERR_DNS_FAIL 0\r\n\r\n"), "cannot resolve the name"),
        (answer("HTTP/1.1 502 x\r\nProxy-Status: p; error=dns_error\r\n\r\n"), "cannot resolve the name"),
        (answer("HTTP/1.1 504 Late\r\n\r\n"), "status 504 (Late)"),
        (answer("HTTP/1.1 302 Found\r\nLocation: http://login/\r\n\r\n"), "status 302"),
        (answer("HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n"), "of no kind that it says"),
        (
            answer("HTTP/1.1 407 Who\r\nProxy-Authenticate: Digest nonce=\"x\"\r\n\r\n"),
            "(Digest), and none of these",
        ),
        (answer("SSH-2.0-OpenSSH_9.2\r\n"), "broke"),
        (answer("\u{0}\u{1}\u{2}\r\n\r\n"), "broke"),
        (answer(""), "broke"),
        (answer("HTTP/1.1 200 Connec"), "broke"),
        (many.into_bytes(), "broke"),
        (large.into_bytes(), "broke"),
        (endless.into_bytes(), "no user name and password"),
    ] {
        let name = String::from_utf8_lossy(&bytes).chars().take(60).collect::<String>();
        let proxy = TestProxy::start(move || {
            let bytes = bytes.clone();
            Box::new(move |_| Reply::Close(bytes.clone()))
        })
        .await;
        let error = refused(&server, &proxy, ProxyLogin::default()).await.to_string();
        assert!(error.contains(says), "{name:?}: {error}");
    }
    let silent = TestProxy::start(|| Box::new(|_| Reply::Silence)).await;
    let error = refused(&server, &silent, ProxyLogin::default()).await;
    assert!(matches!(error, ProxyError::TimedOut { action: "answer", .. }), "{error}");
    let unfinished = b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\nContent-Length: 5\r\n\r\n";
    let unfinished = TestProxy::start(|| Box::new(|_| Reply::Send(unfinished.to_vec()))).await;
    let error = refused(&server, &unfinished, ProxyLogin::default()).await;
    assert!(matches!(error, ProxyError::TimedOut { action: "send its answer", .. }), "{error}");
    // Always another challenge.
    let again = TestProxy::start(|| ntlm_rule("NTLM", &["NTLM"])).await;
    let error = refused(&server, &again, ProxyLogin::default()).await;
    assert!(matches!(error, ProxyError::NoCredentials { .. }), "{error}");
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn no_proxy_there() {
    let (server, _) = host().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = hello(&connection(&server, port, ProxyLogin::default())).await.unwrap_err();
    assert!(matches!(error, Error::Proxy { source: ProxyError::Refused, .. }), "{error}");
    assert_eq!(server.connections(), 0, "the host is not tried without the proxy");
}

/// The tunnel breaks in the middle of a session.
#[tokio::test]
async fn a_tunnel_that_breaks() {
    let (server, _) = host().await;
    for pool in [false, true] {
        let proxy = TestProxy::start(|| Box::new(|_| Reply::Tunnel(String::new()))).await;
        let connection = connection(&server, proxy.port, ProxyLogin::default());
        let cutting = async {
            tokio::time::sleep(Duration::from_millis(700)).await;
            proxy.cut();
        };
        let session = async {
            if pool {
                let pool = RunspacePool::open(&connection, PoolOptions::default()).await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
                return pool.close().await;
            }
            let shell = connection.open_shell(ShellOptions::default()).await?;
            let mut command = shell.run("sleep 30", &[]);
            while let Some(event) = command.next().await {
                event?;
            }
            Ok(())
        };
        let started = Instant::now();
        let (ended, ()) = tokio::join!(tokio::time::timeout(Duration::from_secs(8), session), cutting);
        let error = ended.expect("it does not hang").unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(8));
        let text = error.to_string();
        assert!(text.contains(&format!("127.0.0.1:{}", proxy.port)), "{text}");
        if !pool {
            assert!(matches!(error.root(), Error::Broken { .. }), "{text}");
        }
    }
}

#[tokio::test]
async fn http_is_refused_before_anything_is_sent() {
    let (server, _) = host().await;
    let proxy = TestProxy::start(|| Box::new(|_| Reply::Tunnel(String::new()))).await;
    let mut plain = target(&server);
    plain.https = false;
    let to = Proxy { host: "127.0.0.1".to_owned(), port: proxy.port, user: None };
    let settings = Settings { proxy: Some((to, ProxyLogin::default())), ..quick() };
    let login =
        Login { authentication: Authentication::Ntlm, password: password("alice", "x"), ..Login::default() };
    let error = Connection::open(plain, login, settings).unwrap_err();
    assert!(error.to_string().contains("proxy is not supported under HTTP transport"), "{error}");
    assert!(error.to_string().contains("2150859185"), "{error}");
    assert_eq!((proxy.connections.load(Ordering::SeqCst), server.connections()), (0, 0));
}
