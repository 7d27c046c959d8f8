//! The client's machines against MIT's krb5kdc.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests may panic and say what they skip"
)]

use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use hop_kerberos::ap::KeytabKeys;
use hop_kerberos::client::{AsExchange, AsOptions, ClientSecret, TgsExchange, TgsOptions, TgsOutcome};
use hop_kerberos::gss::{Acceptor, AcceptorOptions, GssFlags, Initiator, InitiatorOptions};
use hop_kerberos::keytab::Keytab;
use hop_kerberos::replay::MemoryReplayCache;
use hop_kerberos::{Credential, EncryptionType, Error, ErrorCode, Principal, TicketFlags};

const REALM: &str = "MITKDC.TEST";

struct Kdc {
    process: Child,
    port: u16,
    keytab: Keytab,
    _directory: tempfile::TempDir,
}

impl Drop for Kdc {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A fresh realm, or nothing where MIT's KDC is not installed.
fn kdc() -> Option<Kdc> {
    let programs = ["/usr/sbin/krb5kdc", "/usr/sbin/kdb5_util", "/usr/sbin/kadmin.local"];
    if !programs.iter().all(|p| Path::new(p).exists()) {
        println!("skipped: no krb5kdc");
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let d = directory.path();
    // Free a moment ago is good enough.
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let shown = d.display();
    std::fs::write(d.join("krb5.conf"), format!("[libdefaults]\n default_realm = {REALM}\n")).unwrap();
    let config = format!(
        "[kdcdefaults]\n kdc_listen = 127.0.0.1:{port}\n kdc_tcp_listen = \"\"\n[logging]\n kdc = FILE:{shown}/log\n\
         [realms]\n {REALM} = {{\n  database_name = {shown}/db\n  key_stash_file = {shown}/stash\n  acl_file = {shown}/acl\n \
         supported_enctypes = aes256-cts:normal aes128-cts:normal aes256-sha2:normal\n }}\n"
    );
    std::fs::write(d.join("kdc.conf"), config).unwrap();
    let command = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("KRB5_CONFIG", d.join("krb5.conf"))
            .env("KRB5_KDC_PROFILE", d.join("kdc.conf"));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let run =
        |program: &str, arguments: &[&str]| assert!(command(program, arguments).status().unwrap().success());
    run(programs[1], &["-r", REALM, "create", "-s", "-P", "master"]);
    for query in [
        "addprinc -pw Pa55word alice",
        "addprinc -pw Pa55word +requires_preauth bob",
        "addprinc -pw Pa55word -e aes256-sha2:normal,aes128-cts:special +requires_preauth sha2",
        "addprinc -pw Pa55word -allow_forwardable sensitive",
        "addprinc -randkey HTTP/a.test",
        "addprinc -randkey +ok_as_delegate HTTP/trusted.test",
        &format!("ktadd -k {shown}/keytab HTTP/a.test"),
    ] {
        run(programs[2], &["-r", REALM, "-q", query]);
    }
    let keytab = Keytab::parse(&std::fs::read(d.join("keytab")).unwrap()).unwrap();
    let process = command(programs[0], &["-n", "-r", REALM]).spawn().unwrap();
    Some(Kdc { process, port, keytab, _directory: directory })
}

impl Kdc {
    fn ask(&self, request: &[u8]) -> Vec<u8> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut buffer = vec![0; 65_536];
        // It may not listen yet.
        for _ in 0..20 {
            let _ = socket.send_to(request, ("127.0.0.1", self.port));
            match socket.recv(&mut buffer) {
                Ok(length) => {
                    buffer.truncate(length);
                    return buffer;
                }
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
        panic!("krb5kdc does not answer");
    }

    fn login(&self, client: Principal, secret: ClientSecret) -> Result<Credential, Error> {
        let options = AsOptions::new(client);
        let mut exchange = AsExchange::new(options, secret, SystemTime::now(), &mut rand::rng())?;
        loop {
            let reply = self.ask(&exchange.poll_transmit().unwrap().bytes);
            if let Some(outcome) = exchange.handle_reply(&reply, SystemTime::now(), &mut rand::rng())? {
                return Ok(outcome.credential);
            }
        }
    }

    fn user(&self, name: &str, password: &str) -> Result<Credential, Error> {
        self.login(Principal::new(REALM, &[name]), ClientSecret::Password(password.into()))
    }

    fn ticket(&self, tgt: &Credential, options: TgsOptions) -> Result<Credential, Error> {
        let mut exchange = TgsExchange::new(tgt, options, SystemTime::now(), &mut rand::rng())?;
        let reply = self.ask(&exchange.poll_transmit().unwrap().bytes);
        match exchange.handle_reply(&reply, SystemTime::now())? {
            TgsOutcome::Ticket(credential) => Ok(credential),
            other => panic!("{other:?}"),
        }
    }
}

fn code(result: Result<Credential, Error>) -> ErrorCode {
    match result.unwrap_err() {
        Error::Kdc(e) => e.code,
        e => panic!("{e}"),
    }
}

#[test]
fn tickets_from_mit() {
    let Some(kdc) = kdc() else { return };
    let service = Principal::service(REALM, "HTTP", "a.test");
    let mut keys = KeytabKeys::new(&kdc.keytab);
    for name in ["alice", "bob", "sha2"] {
        let tgt = kdc.user(name, "Pa55word").unwrap();
        assert!(tgt.flags.contains(TicketFlags::FORWARDABLE | TicketFlags::INITIAL), "{name}");
        assert_eq!(tgt.flags.contains(TicketFlags::PRE_AUTHENT), name != "alice");
        let forwarded = kdc.ticket(&tgt, TgsOptions::forward(&tgt)).unwrap();
        assert!(forwarded.flags.contains(TicketFlags::FORWARDED));
        let credential = kdc.ticket(&tgt, TgsOptions::new(service.clone())).unwrap();
        assert!(!credential.flags.contains(TicketFlags::OK_AS_DELEGATE));
        let options = InitiatorOptions {
            credential: &credential,
            forwarded: Some(&forwarded),
            channel_bindings: None,
            advertise_bindings: false,
            flags: GssFlags::CONF | GssFlags::INTEG,
        };
        let now = SystemTime::now();
        let (token, expect) = Initiator::new(&options, now, &mut rand::rng()).unwrap();
        let mut replay = MemoryReplayCache::default();
        let options = AcceptorOptions::default();
        let accepted =
            Acceptor::accept(&token, &mut keys, &mut replay, &options, now, &mut rand::rng()).unwrap();
        assert_eq!(accepted.client, Principal::new(REALM, &[name]));
        expect.handle(&accepted.reply.unwrap()).unwrap();
        // The second hop: a ticket for the next service from the delegated TGT.
        let trusted = Principal::service(REALM, "HTTP", "trusted.test");
        let next = kdc.ticket(&accepted.delegated.unwrap(), TgsOptions::new(trusted)).unwrap();
        assert!(next.flags.contains(TicketFlags::OK_AS_DELEGATE | TicketFlags::FORWARDED));
    }
}

#[test]
fn keytabs_and_refusals() {
    let Some(kdc) = kdc() else { return };
    let service = Principal::service(REALM, "HTTP", "a.test");
    let held = kdc.keytab.entries.iter().map(|e| e.key.clone()).collect();
    assert_eq!(kdc.login(service.clone(), ClientSecret::Keys(held)).unwrap().client, service);

    assert_eq!(kdc.user("alice", "wrong").unwrap_err(), Error::Integrity("AS-REP"));
    assert_eq!(code(kdc.user("bob", "wrong")), ErrorCode::KDC_ERR_PREAUTH_FAILED);
    assert_eq!(code(kdc.user("nobody", "x")), ErrorCode::KDC_ERR_C_PRINCIPAL_UNKNOWN);

    let tgt = kdc.user("alice", "Pa55word").unwrap();
    let unknown = Principal::service(REALM, "HTTP", "unknown.test");
    assert_eq!(code(kdc.ticket(&tgt, TgsOptions::new(unknown))), ErrorCode::KDC_ERR_S_PRINCIPAL_UNKNOWN);
    let only =
        TgsOptions { encryption_types: vec![EncryptionType::Aes128CtsHmacSha1], ..TgsOptions::new(service) };
    assert_eq!(kdc.ticket(&tgt, only).unwrap().session_key.etype, EncryptionType::Aes128CtsHmacSha1);

    // A user whose tickets must not travel.
    let tgt = kdc.user("sensitive", "Pa55word").unwrap();
    assert!(!tgt.flags.contains(TicketFlags::FORWARDABLE));
    assert!(kdc.ticket(&tgt, TgsOptions::new(Principal::service(REALM, "HTTP", "a.test"))).is_ok());
    assert_eq!(code(kdc.ticket(&tgt, TgsOptions::forward(&tgt))), ErrorCode::KDC_ERR_BADOPTION);
}
