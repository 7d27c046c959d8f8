//! MIT's KDC with a realm of its own.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use hop_kerberos::client::{AsExchange, AsOptions, ClientSecret, TgsExchange, TgsOptions, TgsOutcome};
use hop_kerberos::keytab::Keytab;
use hop_kerberos::{Credential, Error, Principal};

pub const REALM: &str = "MITKDC.TEST";

pub struct Kdc {
    process: Child,
    port: u16,
    pub keytab: Keytab,
    pub directory: tempfile::TempDir,
}

impl Drop for Kdc {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A fresh realm, or nothing where MIT's KDC is not installed.
pub fn kdc() -> Option<Kdc> {
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
    let config = format!(
        "[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n dns_canonicalize_hostname = false\n rdns = false\n allow_rc4 = true\n\
         [realms]\n {REALM} = {{\n  kdc = 127.0.0.1:{port}\n }}\n"
    );
    std::fs::write(d.join("krb5.conf"), config).unwrap();
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
        "addprinc -pw Pa55word -e arcfour-hmac:normal +requires_preauth old",
        &format!("setstr krbtgt/{REALM} session_enctypes aes256-cts,aes128-cts,arcfour-hmac"),
        "setstr HTTP/a.test session_enctypes aes256-cts,aes128-cts,arcfour-hmac",
        "addprinc -randkey -e arcfour-hmac:normal HTTP/old.test",
        "setstr HTTP/old.test session_enctypes arcfour-hmac",
        &format!("ktadd -k {shown}/keytab HTTP/a.test"),
        &format!("ktadd -k {shown}/keytab -norandkey HTTP/old.test"),
    ] {
        run(programs[2], &["-r", REALM, "-q", query]);
    }
    let keytab = Keytab::parse(&std::fs::read(d.join("keytab")).unwrap()).unwrap();
    let process = command(programs[0], &["-n", "-r", REALM]).spawn().unwrap();
    Some(Kdc { process, port, keytab, directory })
}

impl Kdc {
    pub fn ask(&self, request: &[u8]) -> Vec<u8> {
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

    pub fn login(&self, client: Principal, secret: ClientSecret) -> Result<Credential, Error> {
        self.login_with(AsOptions::new(client), secret)
    }

    pub fn login_with(&self, options: AsOptions, secret: ClientSecret) -> Result<Credential, Error> {
        let mut exchange = AsExchange::new(options, secret, SystemTime::now(), &mut rand::rng())?;
        loop {
            let reply = self.ask(&exchange.poll_transmit().unwrap().bytes);
            if let Some(outcome) = exchange.handle_reply(&reply, SystemTime::now(), &mut rand::rng())? {
                return Ok(outcome.credential);
            }
        }
    }

    pub fn user(&self, name: &str, password: &str) -> Result<Credential, Error> {
        self.login(Principal::new(REALM, &[name]), ClientSecret::Password(password.into()))
    }

    pub fn ticket(&self, tgt: &Credential, options: TgsOptions) -> Result<Credential, Error> {
        let mut exchange = TgsExchange::new(tgt, options, SystemTime::now(), &mut rand::rng())?;
        let reply = self.ask(&exchange.poll_transmit().unwrap().bytes);
        match exchange.handle_reply(&reply, SystemTime::now())? {
            TgsOutcome::Ticket(credential) => Ok(credential),
            other => panic!("{other:?}"),
        }
    }
}
