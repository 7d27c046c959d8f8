//! Requests that no honest client sends, byte by byte over TCP: each is refused, nothing runs, others are served on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use hop_client::security::{Body, Security as _};
use hop_wsman::client::{Options, Shell};
use hop_wsman::envelope::Limits;
use hop_wsman::{CreateShell, Envelope, Fault, OperationResponse};

use crate::Test;
use crate::domain::{REALM, Tickets};
use crate::security::Link;
use crate::server::Server;

pub const TESTS: &[Test] = &[
    ("garbage_instead_of_authentication_is_refused", garbage),
    ("a_replayed_token_is_refused", replayed_token),
    ("a_plaintext_body_after_authentication_is_refused", plaintext),
    ("altered_truncated_and_repeated_bodies_are_refused", altered),
    ("an_envelope_over_the_limit_is_refused", oversized),
    ("xml_that_no_client_sends_is_refused", hostile_xml),
    ("another_principals_shell_does_not_exist", foreign_shell),
    ("a_connection_without_authentication_reaches_no_shell", unauthenticated),
    ("a_body_shorter_than_its_length_is_refused", short_bodies),
    ("tokens_of_a_megabyte_are_refused", huge_tokens),
];

const SOAP: &str = "application/soap+xml;charset=UTF-8";

/// One connection.
struct Raw {
    stream: TcpStream,
    link: Link,
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Raw {
    fn connect(server: &Server, tickets: Tickets) -> Self {
        let stream = TcpStream::connect(&server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { stream, link: Link::new(tickets) }
    }

    /// Connected and authenticated; the token that did it comes beside it.
    fn authenticated(server: &Server, tickets: Tickets) -> (Self, String) {
        let mut raw = Self::connect(server, tickets);
        let token = raw.link.start().unwrap().unwrap();
        let answer = raw.post(Some(&token), SOAP, b"").unwrap();
        assert_eq!(answer.status, 200, "{}", answer.head);
        let challenge = answer.header("WWW-Authenticate").unwrap().to_owned();
        raw.link.handle(&[&challenge], true).unwrap();
        (raw, token)
    }

    fn send(&mut self, authorization: Option<&str>, content_type: &str, body: &[u8]) {
        let authorization = authorization.map(|a| format!("Authorization: {a}\r\n")).unwrap_or_default();
        let head = format!(
            "POST /wsman HTTP/1.1\r\nHost: servera.hop.test\r\nContent-Type: {content_type}\r\n\
             Content-Length: {}\r\n{authorization}\r\n",
            body.len()
        );
        // The server may close before it has read everything.
        let _ = self.stream.write_all(head.as_bytes()).and_then(|()| self.stream.write_all(body));
    }

    /// The next answer; none if the connection ends without.
    fn answer(&mut self) -> Option<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            match self.stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return None,
            }
        }
        let head = String::from_utf8(head).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head, body: Vec::new() };
        let length: usize = answer.header("Content-Length").map_or(0, |length| length.parse().unwrap());
        answer.body.resize(length, 0);
        self.stream.read_exact(&mut answer.body).ok()?;
        Some(answer)
    }

    fn post(&mut self, authorization: Option<&str>, content_type: &str, body: &[u8]) -> Option<Answer> {
        self.send(authorization, content_type, body);
        self.answer()
    }

    fn seal(&mut self, envelope: &[u8]) -> Body {
        self.link.seal(Body { content_type: SOAP.to_owned(), bytes: envelope.to_vec() }).unwrap()
    }

    /// Sealed there and unsealed back.
    fn request(&mut self, envelope: &[u8]) -> (u16, Vec<u8>) {
        let sealed = self.seal(envelope);
        let answer = self.post(None, &sealed.content_type, &sealed.bytes).unwrap();
        let content_type = answer.header("Content-Type").unwrap().to_owned();
        let body = self.link.unseal(Body { content_type, bytes: answer.body }).unwrap();
        (answer.status, body.bytes)
    }
}

/// The client's machine for a command shell, with the request that opens it.
fn shell() -> (Shell, hop_wsman::client::Transmit) {
    let mut shell = Shell::new(Options::cmd("http://servera.hop.test:5985/wsman"));
    shell.open(CreateShell { output_streams: vec!["stdout".to_owned()], ..CreateShell::default() });
    let create = shell.poll_transmit(&mut rand::rng()).unwrap();
    (shell, create)
}

fn fault(body: &[u8]) -> Option<Fault> {
    Envelope::<Result<OperationResponse, Fault>>::parse(body, &Limits::default()).unwrap().body.err()
}

/// The server still serves an honest client.
fn serves(server: &mut Server) {
    let tickets = server.domain.log_in("alice", REALM);
    let (mut raw, _) = Raw::authenticated(server, tickets);
    let (_, create) = shell();
    let (status, body) = raw.request(&create.body);
    assert!(status == 200 && fault(&body).is_none());
}

fn garbage() {
    let mut server = Server::start("");
    let tickets = server.domain.log_in("alice", REALM);
    let megabyte = format!("Negotiate {}", "A".repeat(1 << 20));
    for authorization in [
        "",
        "Negotiate",
        "Negotiate %%%",
        "Negotiate YQ==",
        "Bearer x",
        "Basic YTpi",
        "Kerberos YIIB",
        megabyte.as_str(),
    ] {
        let mut raw = Raw::connect(&server, tickets.clone());
        if let Some(answer) = raw.post(Some(authorization), SOAP, b"") {
            assert!(answer.status >= 400, "{} for {:.40}", answer.status, authorization);
        }
    }
    for nonsense in
        [&b"\0\0\0\0"[..], b"GET / HTTP/9.9\r\n\r\n", b"POST /wsman HTTP/1.1\r\nContent-Length: -1\r\n\r\n"]
    {
        let mut raw = Raw::connect(&server, tickets.clone());
        raw.stream.write_all(nonsense).unwrap();
        raw.stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(raw.answer().is_none_or(|answer| answer.status >= 400));
    }
    serves(&mut server);
}

fn replayed_token() {
    let mut server = Server::start("");
    let tickets = server.domain.log_in("alice", REALM);
    let (_first, token) = Raw::authenticated(&server, tickets.clone());
    let mut second = Raw::connect(&server, tickets);
    assert_eq!(second.post(Some(&token), SOAP, b"").unwrap().status, 401);
    assert!(server.log().contains("replayed"), "{}", server.log());
    serves(&mut server);
}

fn plaintext() {
    let mut server = Server::start("");
    let tickets = server.domain.log_in("alice", REALM);
    let (mut raw, _) = Raw::authenticated(&server, tickets);
    let (_, create) = shell();
    let answer = raw.post(None, SOAP, &create.body).unwrap();
    assert!(answer.status >= 400, "{}", answer.status);
    assert!(!server.log().contains("session opened"), "{}", server.log());
    serves(&mut server);
}

fn altered() {
    let mut server = Server::start("");
    let (_, create) = shell();
    let spoil: [fn(&mut Vec<u8>); 3] = [
        |body| {
            let at = body.len() - 60;
            body[at] ^= 1;
        },
        |body| {
            let at = body.len() - 80;
            body.drain(at..at + 20);
        },
        |body| body.truncate(body.len() / 2),
    ];
    for spoil in spoil {
        let tickets = server.domain.log_in("alice", REALM);
        let (mut raw, _) = Raw::authenticated(&server, tickets);
        let mut sealed = raw.seal(&create.body);
        spoil(&mut sealed.bytes);
        let answer = raw.post(None, &sealed.content_type, &sealed.bytes).unwrap();
        assert!(answer.status >= 400, "{}", answer.status);
    }
    assert!(!server.log().contains("session opened"), "{}", server.log());
    // The same sealed body a second time.
    let tickets = server.domain.log_in("alice", REALM);
    let (mut raw, _) = Raw::authenticated(&server, tickets);
    let sealed = raw.seal(&create.body);
    assert_eq!(raw.post(None, &sealed.content_type, &sealed.bytes).unwrap().status, 200);
    assert!(raw.post(None, &sealed.content_type, &sealed.bytes).is_none_or(|answer| answer.status >= 400));
    assert_eq!(server.log().matches("session opened").count(), 1);
    serves(&mut server);
}

fn oversized() {
    let mut server = Server::start("MaxEnvelopeSizekb = 32");
    let tickets = server.domain.log_in("alice", REALM);
    let (mut raw, _) = Raw::authenticated(&server, tickets);
    let sealed = raw.seal(&vec![b' '; 200 * 1024]);
    assert!(raw.post(None, &sealed.content_type, &sealed.bytes).is_none_or(|answer| answer.status >= 400));
    serves(&mut server);
}

fn hostile_xml() {
    let mut server = Server::start("");
    let (_, create) = shell();
    let envelope = String::from_utf8(create.body).unwrap();
    let body = envelope.find("<s:Body").unwrap();
    let with = |text: &str| format!("{}{text}{}", &envelope[..body], &envelope[body..]);
    let deep = with(&("<x>".repeat(50_000) + &"</x>".repeat(50_000)));
    let bomb = "<!DOCTYPE s [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;\">]>".to_owned() + &envelope;
    for hostile in [
        deep,
        bomb,
        "no xml at all".to_owned(),
        envelope[..body].to_owned(),
        "<a/>".to_owned(),
        String::new(),
    ] {
        let tickets = server.domain.log_in("alice", REALM);
        let (mut raw, _) = Raw::authenticated(&server, tickets);
        let (status, answer) = raw.request(hostile.as_bytes());
        assert!(status >= 400 && fault(&answer).is_some(), "{status} for {:.60}", hostile);
    }
    assert!(!server.log().contains("session opened"), "{}", server.log());
    serves(&mut server);
}

/// A request about alice's shell, as her own machine makes it.
fn request_about_a_shell(server: &mut Server) -> (Raw, Vec<u8>) {
    let tickets = server.domain.log_in("alice", REALM);
    let (mut alice, _) = Raw::authenticated(server, tickets);
    let (mut machine, create) = shell();
    let (status, body) = alice.request(&create.body);
    machine.handle_response(create.id, status, &body);
    machine.close();
    let delete = loop {
        let request = machine.poll_transmit(&mut rand::rng()).unwrap();
        if String::from_utf8_lossy(&request.body).contains("transfer/Delete") {
            break request;
        }
    };
    (alice, delete.body)
}

fn foreign_shell() {
    let mut server = Server::start("");
    let (mut alice, delete) = request_about_a_shell(&mut server);
    let tickets = server.domain.log_in("mallory", REALM);
    let (mut mallory, _) = Raw::authenticated(&server, tickets);
    let (status, body) = mallory.request(&delete);
    let fault = fault(&body).unwrap();
    // As if there were none: UNEXPECTED_SELECTORS.
    assert!(status >= 400 && fault.code.0 == 2_150_858_843, "{status} {fault}");
    // It is still there for its owner.
    assert_eq!(alice.request(&delete).0, 200);
}

fn unauthenticated() {
    let mut server = Server::start("");
    let (mut alice, delete) = request_about_a_shell(&mut server);
    let tickets = server.domain.log_in("alice", REALM);
    let mut other = Raw::connect(&server, tickets);
    assert_eq!(other.post(None, SOAP, &delete).unwrap().status, 401);
    // Sealed with the first connection's context, on a connection that has none.
    let sealed = alice.seal(&delete);
    assert_eq!(other.post(None, &sealed.content_type, &sealed.bytes).unwrap().status, 401);
    serves(&mut server);
}

fn short_bodies() {
    let mut server = Server::start("");
    let tickets = server.domain.log_in("alice", REALM);
    let (mut raw, _) = Raw::authenticated(&server, tickets);
    let sealed = raw.seal(b"<s:Envelope/>");
    let head = format!(
        "POST /wsman HTTP/1.1\r\nHost: servera.hop.test\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
        sealed.content_type,
        sealed.bytes.len() + 100
    );
    raw.stream.write_all(head.as_bytes()).unwrap();
    raw.stream.write_all(&sealed.bytes).unwrap();
    // No more comes: the server must not take what is there for the whole.
    raw.stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    raw.stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert!(!server.log().contains("session opened"), "{}", server.log());
    serves(&mut server);
}

fn huge_tokens() {
    let mut server = Server::start("[auth]\nNTLM = true\nntlm_auth = ''\nCredSSP = true");
    let token = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, vec![0x60; 1 << 20]);
    for scheme in ["Negotiate", "Kerberos", "CredSSP", "Basic"] {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let request = format!(
            "POST /wsman HTTP/1.1\r\nHost: a\r\nAuthorization: {scheme} {token}\r\nContent-Length: 0\r\n\r\n"
        );
        // The server may close before it has read everything.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{scheme}: {answer}");
    }
    assert!(!server.log().contains("session opened"), "{}", server.log());
    serves(&mut server);
}

/// The status line and headers of the answer to a request with this `Authorization`.
pub fn head_of_answer(server: &Server, authorization: &str) -> String {
    let mut stream = TcpStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let request = format!(
        "POST /wsman HTTP/1.1\r\nHost: servera.hop.test\r\nAuthorization: {authorization}\r\n\
         Connection: close\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// Somebody in the middle: takes TLS connections with one certificate and passes what is inside on to the server, in TLS
/// of its own. Its port.
pub fn relay(trusted: &std::path::Path, shown: &std::path::Path, to: u16) -> u16 {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
    use std::sync::Arc;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificate = CertificateDer::from_pem_file(shown).unwrap();
    let key = PrivateKeyDer::from_pem_file(shown).unwrap();
    let server = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(trusted.with_file_name("ca.pem")).unwrap()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let mut inner = acceptor.accept(stream).await.unwrap();
                let stream = tokio::net::TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                let name = ServerName::try_from("servera.hop.test").unwrap();
                let mut outer = connector.connect(name, stream).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut inner, &mut outer).await;
            }
        });
    });
    port
}
