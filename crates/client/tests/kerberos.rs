//! The client with real tokens: an embedded KDC, an acceptor, sealed bodies.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod common;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, atomic::Ordering},
    time::{Duration, SystemTime},
};

use common::{Guard, NewGuard, TestServer, quick};
use hop_auth::{
    Mechanism, Sealer, UserName,
    credssp::{self, tls::ServerTls},
    server::{Acceptor, Offer, Step},
    spnego::AcceptorMechanisms,
};
use hop_client::{
    Connection, Error, Hosts, Target,
    authentication::{Authentication, Login, Password},
    http::Settings,
    kerberos::{Identity, Source},
    tls::{TlsOptions, Trust},
    winrs::{CommandEvent, ShellOptions},
};
use hop_delegation::{Decision, Mode, Reason};
use hop_kerberos::{
    Credential, Principal, TicketFlags,
    ap::KeytabKeys,
    config::Config,
    gss,
    kdc::{Entry, EntryFlags, Kdc, MemoryDatabase, Policy},
    keytab::Keytab,
    replay::MemoryReplayCache,
};
use hop_kerberos_io::{Environment, FileCcache, KdcClient, KdcListener, Proof, TgtOptions};

const REALM: &str = "HOP.TEST";

/// Who was accepted, with the delegated ticket.
type AcceptedClients = Arc<Mutex<Vec<(String, Option<Credential>)>>>;

struct Realm {
    kdc: SocketAddr,
    keytab: Keytab,
    accepted: AcceptedClients,
    replay: Arc<Mutex<MemoryReplayCache>>,
    ahead: Duration,
}

impl Realm {
    async fn start() -> Self {
        let principal = |name: &str| Principal::parse(name, Some(REALM)).unwrap();
        let rng = &mut rand::rng();
        let mut database = MemoryDatabase::new(REALM, rng).unwrap();
        let user = |name| Entry::user(principal(name), &"Alice-2026".into()).unwrap();
        database.insert(user("alice"));
        database.insert(user("sensitive").with(EntryFlags::DISALLOW_FORWARDABLE));
        let mut keytab = Keytab::default();
        for (name, flags) in [
            ("HTTP/servera.hop.test", EntryFlags::empty()),
            ("WSMAN/servera.hop.test", EntryFlags::empty()),
            ("HTTP/trusted.hop.test", EntryFlags::OK_AS_DELEGATE),
        ] {
            let entry = Entry::service(principal(name), rng).unwrap().with(flags);
            entry.export(&mut keytab, SystemTime::now());
            database.insert(entry);
        }
        let kdc = Kdc::new(REALM, Arc::new(Mutex::new(database)), Policy::default());
        let listener = KdcListener::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(listener.serve(Arc::new(Mutex::new(kdc))));
        Self { kdc: address, keytab, accepted: Arc::default(), replay: Arc::default(), ahead: Duration::ZERO }
    }

    fn identity(&self, user: &str, password: &str) -> Arc<Identity> {
        let source = Source::Password { principal: user.to_owned(), password: password.into() };
        Arc::new(Identity::with_kdc(self.client(), Environment::from_process(), source))
    }

    fn client(&self) -> KdcClient {
        let text = format!(
            "[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n[realms]\n {REALM} = {{\n kdc = {}\n }}\n\
             [domain_realm]\n .hop.test = {REALM}\n",
            self.kdc
        );
        KdcClient::new(Config::parse(text.as_bytes()).unwrap())
    }

    async fn server(&self) -> TestServer {
        self.server_on(None, None).await
    }

    /// HTTPS if there is a configuration for it; then these channel bindings are demanded.
    async fn server_on(
        &self,
        tls: Option<Arc<rustls::ServerConfig>>,
        bindings: Option<gss::ChannelBindings>,
    ) -> TestServer {
        self.server_with(tls, bindings, None).await
    }

    /// With CredSSP if there is a certificate for it.
    async fn server_with(
        &self,
        tls: Option<Arc<rustls::ServerConfig>>,
        bindings: Option<gss::ChannelBindings>,
        credssp: Option<ServerTls>,
    ) -> TestServer {
        let (keytab, accepted, replay, ahead) =
            (self.keytab.clone(), self.accepted.clone(), self.replay.clone(), self.ahead);
        let new: NewGuard = Arc::new(move || {
            let inside = |tls: &ServerTls| {
                let options = credssp::AcceptorOptions::new(AcceptorMechanisms::default());
                credssp::Acceptor::new(Box::new(tls.connection().unwrap()), options)
            };
            let offer = Offer { credssp: credssp.as_ref().map(inside), ..Offer::default() };
            Box::new(KerberosGuard {
                keys: KeytabKeys::new(&keytab),
                accepted: accepted.clone(),
                replay: replay.clone(),
                ahead,
                bindings: bindings.clone(),
                acceptor: Some(Acceptor::with(offer)),
                client: None,
                established: None,
            })
        });
        TestServer::start_on(Some(new), tls).await
    }
}

struct KerberosGuard {
    keys: KeytabKeys,
    accepted: AcceptedClients,
    replay: Arc<Mutex<MemoryReplayCache>>,
    ahead: Duration,
    /// Of HTTPS.
    bindings: Option<gss::ChannelBindings>,
    acceptor: Option<Acceptor>,
    /// Who came, of an exchange with more legs than one.
    client: Option<String>,
    established: Option<(String, Sealer)>,
}

impl Guard for KerberosGuard {
    fn authenticate(&mut self, authorization: &str) -> (u16, Option<String>) {
        let mut step = self.acceptor.take().unwrap().handle(authorization);
        if let Ok(Step::NeedKerberos(need)) = step {
            let accepted = gss::Acceptor::accept(
                need.token(),
                &mut self.keys,
                &mut *self.replay.lock().unwrap(),
                &gss::AcceptorOptions {
                    channel_bindings: self.bindings.clone(),
                    binding_policy: gss::BindingPolicy::Strict,
                    ..gss::AcceptorOptions::default()
                },
                SystemTime::now() + self.ahead,
                &mut rand::rng(),
            );
            step = match accepted {
                Ok(accepted) => {
                    self.client = Some(accepted.client.to_string());
                    self.accepted.lock().unwrap().push((accepted.client.to_string(), accepted.delegated));
                    need.accepted(Box::new(accepted.context), accepted.reply)
                }
                Err(refused) => Err(need.refused(*refused.error, refused.reply)),
            };
        }
        match step {
            Ok(Step::Established { www_authenticate, sealer }) => {
                self.established = Some((self.client.clone().unwrap(), sealer));
                (200, www_authenticate)
            }
            Ok(Step::Delegated { sealer, credentials }) => {
                let client = self.client.clone().unwrap();
                let left = format!("{} {}", credentials.name, credentials.password.expose());
                self.accepted.lock().unwrap().push((left, None));
                self.established = Some((client, sealer));
                (200, None)
            }
            Ok(Step::Continue { www_authenticate, next }) => {
                self.acceptor = Some(next);
                (401, Some(www_authenticate))
            }
            Ok(_) => unreachable!(),
            Err(refusal) => (401, Some(refusal.www_authenticate.unwrap_or_else(|| "Negotiate".to_owned()))),
        }
    }

    fn owner(&self) -> Option<String> {
        self.established.as_ref().map(|(owner, _)| owner.clone())
    }

    fn unseal(&mut self, content_type: &str, body: &[u8]) -> Option<Vec<u8>> {
        let (_, sealer) = self.established.as_mut()?;
        if self.bindings.is_some() {
            return content_type.starts_with("application/soap+xml").then(|| body.to_vec());
        }
        Some(sealer.unseal(content_type, body).ok()?.body)
    }

    fn seal(&mut self, body: &[u8]) -> (String, Vec<u8>) {
        let (_, sealer) = self.established.as_mut().unwrap();
        let soap = "application/soap+xml;charset=UTF-8";
        if self.bindings.is_some() {
            return (soap.to_owned(), body.to_vec());
        }
        let sealed = sealer.seal(soap, body).unwrap();
        (sealed.content_type, sealed.body)
    }
}

fn target(server: &TestServer, name: &str) -> Target {
    let mut target = Hosts::default().resolve(name).unwrap();
    target.address = "127.0.0.1".to_owned();
    target.port = server.port;
    target
}

async fn whoami(connection: &Connection) -> Result<String, Error> {
    let shell = connection.open_shell(ShellOptions::default()).await?;
    let mut command = shell.run("echo hello", &[]);
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
    Ok(String::from_utf8(out).unwrap())
}

#[tokio::test]
async fn one_connection_one_leg_and_no_wasted_401() {
    let realm = Realm::start().await;
    let server = realm.server().await;
    let identity = realm.identity("alice", "Alice-2026");
    let connection = Connection::kerberos(target(&server, "servera.hop.test"), identity, None, quick());
    assert_eq!(whoami(&connection).await.unwrap(), "hello\n");
    assert_eq!(server.connections(), 1);
    // One token leg; Create, Command, Receive (one or two), Delete.
    assert!((5..=6).contains(&server.requests()), "{}", server.requests());
    let accepted = realm.accepted.lock().unwrap();
    assert_eq!(accepted.iter().map(|(client, _)| client.as_str()).collect::<Vec<_>>(), ["alice@HOP.TEST"]);
}

#[tokio::test]
async fn what_travels_is_decided_by_mode_host_and_account() {
    let realm = Realm::start().await;
    let server = realm.server().await;
    let alice = realm.identity("alice", "Alice-2026");
    let sensitive = realm.identity("sensitive", "Alice-2026");
    let nothing = |reason| Decision::Nothing { reason };
    for (identity, host, mode, expected) in [
        (&alice, "servera.hop.test", None, nothing(Reason::HostNotTrusted)),
        (&alice, "trusted.hop.test", None, Decision::Forward),
        (&alice, "servera.hop.test", Some(Mode::Forward), Decision::Forward),
        (&alice, "trusted.hop.test", Some(Mode::Never), nothing(Reason::ClientChoseNot)),
        (&sensitive, "servera.hop.test", Some(Mode::Forward), nothing(Reason::TicketNotForwardable)),
    ] {
        let connection = Connection::kerberos(target(&server, host), identity.clone(), mode, quick());
        assert_eq!((connection.delegation().get(), connection.proven_by()), (None, None));
        whoami(&connection).await.unwrap();
        assert_eq!(connection.delegation().get(), Some(expected), "{host} {mode:?}");
        assert_eq!(connection.proven_by(), Some(Mechanism::Kerberos));
        let (_, delegated) = realm.accepted.lock().unwrap().pop().unwrap();
        assert_eq!(delegated.is_some(), expected == Decision::Forward, "{host} {mode:?}");
        if let Some(tgt) = delegated {
            assert!(tgt.flags.contains(TicketFlags::FORWARDED));
        }
    }
}

#[tokio::test]
async fn refusals_name_their_reason() {
    let mut realm = Realm::start().await;
    let server = realm.server().await;
    let identity = realm.identity("alice", "wrong");
    let error = whoami(&Connection::kerberos(target(&server, "servera.hop.test"), identity, None, quick()))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "no credentials for servera.hop.test: wrong password for alice@HOP.TEST");

    let identity = realm.identity("nobody", "x");
    let error = whoami(&Connection::kerberos(target(&server, "servera.hop.test"), identity, None, quick()))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("does not know the client nobody@HOP.TEST"), "{error}");

    let alice = realm.identity("alice", "Alice-2026");
    let error =
        whoami(&Connection::kerberos(target(&server, "other.hop.test"), alice.clone(), None, quick()))
            .await
            .unwrap_err();
    assert!(error.to_string().contains("does not know the service HTTP/other.hop.test@HOP.TEST"), "{error}");

    realm.ahead = Duration::from_secs(3600);
    let late = realm.server().await;
    let error =
        whoami(&Connection::kerberos(target(&late, "servera.hop.test"), alice.clone(), None, quick()))
            .await
            .unwrap_err();
    assert!(matches!(error.root(), Error::Authentication { .. }), "{error}");
    assert!(error.to_string().to_lowercase().contains("clock"), "{error}");

    realm.ahead = Duration::ZERO;
    realm.keytab = Keytab::default();
    let keyless = realm.server().await;
    let error = whoami(&Connection::kerberos(target(&keyless, "servera.hop.test"), alice, None, quick()))
        .await
        .unwrap_err();
    assert!(matches!(error.root(), Error::Authentication { .. }), "{error}");
}

#[tokio::test]
async fn an_unsealed_answer_is_refused() {
    let realm = Realm::start().await;
    let server = realm.server().await;
    server.observed.answer_plainly.store(true, Ordering::SeqCst);
    let alice = realm.identity("alice", "Alice-2026");
    let error = whoami(&Connection::kerberos(target(&server, "servera.hop.test"), alice, None, quick()))
        .await
        .unwrap_err();
    assert!(matches!(error.root(), Error::Protection { .. }), "{error}");
    assert!(error.to_string().contains("not sealed"), "{error}");
}

#[tokio::test]
async fn no_kdc_and_a_kdc_that_talks_garbage() {
    let mut realm = Realm::start().await;
    let server = realm.server().await;
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let listener = tokio::net::TcpListener::bind(socket.local_addr().unwrap()).await.unwrap();
    realm.kdc = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((_, from)) = socket.recv_from(&mut buffer).await {
            let _ = socket.send_to(b"garbage", from).await;
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            use tokio::io::AsyncWriteExt as _;
            let _ = stream.write_all(b"\0\0\0\x07garbage").await;
        }
    });
    let alice = realm.identity("alice", "Alice-2026");
    let opening = async {
        whoami(&Connection::kerberos(target(&server, "servera.hop.test"), alice, None, quick())).await
    };
    let error = tokio::time::timeout(Duration::from_secs(40), opening).await.unwrap().unwrap_err();
    assert!(matches!(error.root(), Error::Credentials { .. }), "{error}");
}

#[tokio::test]
async fn tickets_from_a_cache_are_kept_there_and_renewed() {
    let realm = Realm::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = FileCcache::new(directory.path().join("cc"));
    let kdc = realm.client();
    let wanted = TgtOptions {
        forwardable: Some(true),
        lifetime: Some(Duration::from_secs(6)),
        renewable_for: Some(Duration::from_secs(60)),
        ..TgtOptions::default()
    };
    let alice = Principal::new(REALM, &["alice"]);
    let cache = kdc.get_tgt(&alice, Proof::Password(&"Alice-2026".into()), &wanted).await.unwrap();
    file.save(&cache).unwrap();

    let identity = Identity::with_kdc(kdc, Environment::from_process(), Source::Cache(file.name()));
    let server = realm.server().await;
    let target = target(&server, "servera.hop.test");
    let connection = Connection::kerberos(target, Arc::new(identity), Some(Mode::Never), quick());
    whoami(&connection).await.unwrap();
    let http = Principal::service(REALM, "HTTP", "servera.hop.test");
    assert!(file.load().unwrap().credentials().any(|c| c.server == http));
    // Two thirds of six seconds, and some for the exchange.
    let first = cache.tgt().unwrap().end_time;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let renewed = file.load().unwrap().tgt().unwrap().clone();
    assert!(renewed.end_time > first && renewed.flags.contains(TicketFlags::FORWARDABLE));
}

/// CredSSP with Kerberos inside: the ticket for WSMAN proves the host, so the password may go there.
#[tokio::test]
async fn credssp_with_kerberos_inside() {
    let realm = Realm::start().await;
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
    let tls =
        ServerTls::new(vec![certificate.der().clone()], key.serialize_der().try_into().unwrap()).unwrap();
    let server = realm.server_with(None, None, Some(tls)).await;
    let login = |user: &str| Login {
        authentication: Authentication::CredSsp,
        identity: Some(realm.identity(user, "Alice-2026")),
        password: Some(Password { name: UserName::parse("alice@HOP.TEST"), password: "Alice-2026".into() }),
        policy: common::policy(&["wsman/*.hop.test"], &[], &[]),
        ..Login::default()
    };
    let open = |user| Connection::open(target(&server, "servera.hop.test"), login(user), quick()).unwrap();
    assert_eq!(whoami(&open("alice")).await.unwrap(), "hello\n");
    let seen: Vec<String> = realm.accepted.lock().unwrap().iter().map(|(who, _)| who.clone()).collect();
    assert_eq!(seen, ["alice@HOP.TEST", "alice@HOP.TEST Alice-2026"]);
    // TLS two, Kerberos, the key, the password; then Create, Command, Receive, Delete.
    assert!((9..=10).contains(&server.requests()), "{}", server.requests());
    // Without a ticket for the host nothing is sent to it: NTLM was not allowed.
    let error =
        whoami(&Connection::open(target(&server, "other.hop.test"), login("alice"), quick()).unwrap()).await;
    assert!(matches!(error.unwrap_err().root(), Error::Credentials { .. }));
}

/// HTTPS: bodies as they are, tickets bound to the server's certificate.
#[tokio::test]
async fn https_and_channel_bindings() {
    let realm = Realm::start().await;
    let key = rcgen::KeyPair::generate().unwrap();
    let name = "servera.hop.test";
    let certificate =
        rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().self_signed(&key).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let pem = directory.path().join("server.pem");
    std::fs::write(&pem, certificate.pem()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.serialize_der().try_into().unwrap())
        .unwrap();
    let config = Arc::new(config);
    let settings =
        Settings { tls: TlsOptions { trust: Trust::Authorities(pem), certificate: None }, ..quick() };
    let bindings = hop_auth::tls_server_end_point(certificate.der()).unwrap().unwrap();
    let other = gss::ChannelBindings { application_data: b"another".to_vec(), ..bindings.clone() };
    for (bindings, good) in [(bindings, true), (other, false)] {
        let server = realm.server_on(Some(config.clone()), Some(bindings)).await;
        let mut target = target(&server, name);
        target.https = true;
        let identity = realm.identity("alice", "Alice-2026");
        let connection = Connection::kerberos(target, identity, None, settings.clone());
        match whoami(&connection).await {
            Ok(out) => assert!(good && out == "hello\n"),
            Err(error) => assert!(!good && matches!(error.root(), Error::Authentication { .. }), "{error}"),
        }
    }
}

#[tokio::test]
async fn tickets_that_the_user_got_anew_are_used() {
    let realm = Realm::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = FileCcache::new(directory.path().join("cc"));
    let kdc = realm.client();
    let log_in = async |seconds| {
        let lifetime = Some(Duration::from_secs(seconds));
        let wanted = TgtOptions { lifetime, renewable_for: None, ..TgtOptions::default() };
        let alice = Principal::new(REALM, &["alice"]);
        kdc.get_tgt(&alice, Proof::Password(&"Alice-2026".into()), &wanted).await.unwrap()
    };
    file.save(&log_in(2).await).unwrap();
    let source = Source::Cache(file.name());
    let identity = Arc::new(Identity::with_kdc(realm.client(), Environment::from_process(), source));
    let server = realm.server().await;
    let connect = || {
        let target = target(&server, "servera.hop.test");
        Connection::kerberos(target, identity.clone(), Some(Mode::Never), quick())
    };
    whoami(&connect()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let error = whoami(&connect()).await.unwrap_err();
    assert!(error.to_string().contains("has expired"), "{error}");
    file.save(&log_in(3600).await).unwrap();
    whoami(&connect()).await.unwrap();
}

/// NTLM was allowed to come after Kerberos, but TrustedHosts does not have the host: Kerberos goes, NTLM does not.
#[tokio::test]
async fn kerberos_goes_where_ntlm_may_not() {
    let realm = Realm::start().await;
    let server = realm.server().await;
    let login = Login {
        authentication: Authentication::Negotiate,
        identity: Some(realm.identity("alice", "Alice-2026")),
        password: Some(Password { name: UserName::parse("alice@HOP.TEST"), password: "Alice-2026".into() }),
        allow_ntlm: true,
        ..Login::default()
    };
    let open = |host, login: &Login| Connection::open(target(&server, host), login.clone(), quick()).unwrap();
    assert_eq!(whoami(&open("servera.hop.test", &login)).await.unwrap(), "hello\n");
    let before = server.requests();
    // The domain has no ticket for this one; NTLM would be next.
    let error = whoami(&open("other.hop.test", &login)).await.unwrap_err();
    let Error::Policy { before: Some(kerberos), .. } = error.root() else { panic!("{error}") };
    assert!(matches!(**kerberos, Error::Credentials { .. }), "{kerberos}");
    assert_eq!(error.refusal().map(|refusal| refusal.code()), Some(2_150_858_980));
    assert_eq!(server.requests(), before, "nothing was sent");
    // In the list it may; this server speaks no NTLM.
    let trusting = Login { policy: common::policy(&[], &[], &["other.hop.test"]), ..login };
    let error = whoami(&open("other.hop.test", &trusting)).await.unwrap_err();
    assert!(error.refusal().is_none(), "{error}");
    assert!(server.requests() > before, "a proof went");
}
