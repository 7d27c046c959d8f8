//! KDC proxies: latchset's kdcproxy in front of our KDC.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests may panic and say what they skip"
)]

mod common;

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{PASSWORD, REALM, Realm, mit_is_installed, principal, succeeded};
use hop_kerberos::ccache::CredentialCache;
use hop_kerberos_io::{AttemptError, Environment, Error, KdcClient, Proof, TgtOptions};

const SERVER: &str = r#"
import ssl, sys
from wsgiref.simple_server import make_server, WSGIRequestHandler
import kdcproxy
class Quiet(WSGIRequestHandler):
    def log_message(self, *args): pass
server = make_server("127.0.0.1", int(sys.argv[1]), kdcproxy.Application(), handler_class=Quiet)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"#;

struct Proxy {
    process: Child,
    port: u16,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Proxy {
    /// A proxy for these realms; its certificate, for `localhost`, is `proxy.pem`.
    fn start(realm: &Realm, realms: &str) -> Option<Self> {
        // Not the one of an environment for other tests: the package is the system's.
        let python = "/usr/bin/python3";
        let has = Command::new(python).args(["-c", "import kdcproxy"]).stderr(Stdio::null()).status();
        if !has.is_ok_and(|status| status.success()) {
            eprintln!("skipped: no kdcproxy");
            return None;
        }
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(realm.path("proxy.pem"), made.cert.pem()).unwrap();
        std::fs::write(realm.path("proxy.key"), made.signing_key.serialize_pem()).unwrap();
        std::fs::write(realm.path("proxy.py"), SERVER).unwrap();
        let config = format!("[global]\nconfigs =\nuse_dns = false\n{realms}\n");
        std::fs::write(realm.path("kdcproxy.conf"), config).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut process = Command::new(python)
            .arg(realm.path("proxy.py"))
            .arg(port.to_string())
            .arg(realm.path("proxy.pem"))
            .arg(realm.path("proxy.key"))
            .env("KDCPROXY_CONFIG", realm.path("kdcproxy.conf"))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                process.try_wait().unwrap().is_none() && Instant::now() < deadline,
                "the proxy does not listen"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(Self { process, port })
    }

    fn url(&self) -> String {
        format!("https://localhost:{}/KdcProxy", self.port)
    }
}

async fn log_in(realm: &Realm) -> Result<CredentialCache, Error> {
    let client = KdcClient::from_environment(&realm.environment("MEMORY:x")).unwrap();
    let password = PASSWORD.into();
    client.get_tgt(&principal("alice"), Proof::Password(&password), &TgtOptions::default()).await
}

/// Why the one KDC did not do.
async fn failure(realm: &Realm) -> AttemptError {
    match log_in(realm).await {
        Err(Error::KdcUnreachable { mut attempts, .. }) => attempts.remove(0).1,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn tickets_through_a_proxy() {
    let realm = Realm::start().await;
    let Some(proxy) =
        Proxy::start(&realm, &format!("[{REALM}]\nkerberos = kerberos+tcp://{}", realm.address))
    else {
        return;
    };
    let anchors = format!("http_anchors = FILE:{}", realm.path("proxy.pem").display());
    realm.write_config(&format!("kdc = {}\n {anchors}", proxy.url()), "");
    let mut cache = log_in(&realm).await.unwrap();
    let client = KdcClient::from_environment(&realm.environment("MEMORY:x")).unwrap();
    client.service_ticket(&mut cache, &principal("HTTP/servera.hop.test")).await.unwrap();
    let wrong = "wrong".into();
    let refused = client.get_tgt(&principal("alice"), Proof::Password(&wrong), &TgtOptions::default()).await;
    assert!(matches!(refused, Err(Error::WrongPassword { .. })), "{refused:?}");

    // Named outside of the file.
    realm.write_config(&format!("kdc = 127.0.0.1:1\n {anchors}"), "");
    let named = Environment { kdcs: vec![proxy.url()], ..realm.environment("MEMORY:x") };
    let client = KdcClient::from_environment(&named).unwrap();
    client
        .get_tgt(&principal("alice"), Proof::Password(&PASSWORD.into()), &TgtOptions::default())
        .await
        .unwrap();

    // MIT's programs take the same configuration, where their TLS is installed.
    if mit_is_installed()
        && std::path::Path::new("/usr/lib/x86_64-linux-gnu/krb5/plugins/tls/k5tls.so").exists()
    {
        realm.write_config(&format!("kdc = {}\n {anchors}", proxy.url()), "");
        succeeded(&realm.run("kinit", &["alice"], &realm.path("cc"), PASSWORD).await);
    }
}

#[tokio::test]
async fn proxies_that_do_not_do() {
    let realm = Realm::start().await;
    // It knows other realms only.
    let Some(proxy) = Proxy::start(&realm, "[OTHER.TEST]\nkerberos = kerberos+tcp://127.0.0.1:1") else {
        return;
    };
    let own = format!("http_anchors = FILE:{}", realm.path("proxy.pem").display());
    let with = |kdc: &str, anchors: &str| realm.write_config(&format!("kdc = {kdc}\n {anchors}"), "");

    with(&proxy.url(), &own);
    let error = failure(&realm).await;
    assert!(matches!(error, AttemptError::Status(503)), "{error}");
    // Its certificate says localhost.
    with(&proxy.url().replace("localhost", "127.0.0.1"), &own);
    let error = failure(&realm).await;
    assert!(matches!(error, AttemptError::Tls(_)), "{error}");
    // One that nobody vouches for.
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(realm.path("other.pem"), other.cert.pem()).unwrap();
    with(&proxy.url(), &format!("http_anchors = FILE:{}", realm.path("other.pem").display()));
    let error = failure(&realm).await;
    assert!(matches!(&error, AttemptError::Tls(_)) && error.to_string().contains("certificate"), "{error}");
    for anchors in ["FILE:/nowhere", "DIR:/nowhere", "ENV:HOP_NOT_SET", "x"] {
        with(&proxy.url(), &format!("http_anchors = {anchors}"));
        let error = failure(&realm).await;
        assert!(matches!(&error, AttemptError::Anchors(text) if text.contains(anchors)), "{error}");
    }
    with(&proxy.url(), &format!("http_anchors = DIR:{}", realm.directory.path().display()));
    assert!(matches!(failure(&realm).await, AttemptError::Status(503)));
}
