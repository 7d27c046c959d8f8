//! MIT's krb5kdc on loopback, for tests that want a KDC which is not ours.
#![allow(dead_code, clippy::unwrap_used, clippy::print_stderr)]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// One realm's KDC.
pub struct MitRealm {
    pub realm: String,
    pub port: u16,
    process: Child,
    directory: TempDir,
}

impl Drop for MitRealm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether MIT's KDC is here; says so if not.
pub fn krb5kdc_is_installed() -> bool {
    let missing = ["/usr/sbin/krb5kdc", "/usr/sbin/kdb5_util", "/usr/sbin/kadmin.local"]
        .into_iter()
        .find(|program| !Path::new(program).exists());
    if let Some(missing) = missing {
        eprintln!("skipped: no {missing}");
    }
    missing.is_none()
}

impl MitRealm {
    /// A new realm, filled by these queries of kadmin. Its own krb5.conf names nothing but itself, so that it knows of
    /// no way to other realms but those it has keys for.
    pub fn start(realm: &str, libdefaults: &str, queries: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let d = directory.path();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let shown = d.display();
        let text =
            format!("[libdefaults]\n default_realm = {realm}\n dns_lookup_kdc = false\n {libdefaults}\n");
        std::fs::write(d.join("krb5.conf"), text).unwrap();
        let config = format!(
            "[kdcdefaults]\n kdc_listen = 127.0.0.1:{port}\n kdc_tcp_listen = 127.0.0.1:{port}\n\
             [logging]\n kdc = FILE:{shown}/log\n[realms]\n {realm} = {{\n  database_name = {shown}/db\n  \
             key_stash_file = {shown}/stash\n  acl_file = {shown}/acl\n \
             supported_enctypes = aes256-cts:normal aes128-cts:normal aes256-sha2:normal rc4-hmac:normal\n }}\n"
        );
        std::fs::write(d.join("kdc.conf"), config).unwrap();
        let command = |program: &str, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command.env("KRB5_CONFIG", d.join("krb5.conf")).env("KRB5_KDC_PROFILE", d.join("kdc.conf"));
            command
        };
        let run = |program: &str, arguments: &[&str]| {
            assert!(command(program, arguments).status().unwrap().success(), "{program} {arguments:?}");
        };
        run("/usr/sbin/kdb5_util", &["-r", realm, "create", "-s", "-P", "master"]);
        for query in queries {
            run("/usr/sbin/kadmin.local", &["-r", realm, "-q", query]);
        }
        let process = command("/usr/sbin/krb5kdc", &["-n", "-r", realm]).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "krb5kdc does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { realm: realm.to_owned(), port, process, directory }
    }

    /// This realm's group in `[realms]` of a krb5.conf.
    pub fn group(&self) -> String {
        format!(" {} = {{\n  kdc = 127.0.0.1:{}\n }}\n", self.realm, self.port)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The text of the KDC's log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

/// One of MIT's programs by a krb5.conf, with a cache in a file.
pub async fn run(config: &Path, cache: &Path, program: &str, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).env("KRB5_CONFIG", config).env("LC_ALL", "C");
    command.env("KRB5CCNAME", format!("FILE:{}", cache.display()));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let input = input.to_owned();
    tokio::task::spawn_blocking(move || {
        use std::io::Write;
        let mut child = command.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    })
    .await
    .unwrap()
}
