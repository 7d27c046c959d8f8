//! A realm on loopback for the tests: our KDC, a krb5.conf, and MIT's programs where they are installed.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

pub mod mit;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use hop_kerberos::Principal;
use hop_kerberos::kdc::{Database, Entry, EntryFlags, Kdc, MemoryDatabase, Policy};
use hop_kerberos::keytab::Keytab;
use hop_kerberos_io::{Environment, KdcListener, save_keytab};
use tempfile::TempDir;

pub const REALM: &str = "HOP.TEST";
pub const PASSWORD: &str = "Alice-2026";

/// A running KDC with its files.
pub struct Realm {
    pub directory: TempDir,
    pub address: SocketAddr,
    pub database: Arc<Mutex<MemoryDatabase>>,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Drop for Realm {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub fn principal(name: &str) -> Principal {
    Principal::parse(name, Some(REALM)).unwrap()
}

impl Realm {
    pub async fn start() -> Self {
        Self::start_with_clock(0).await
    }

    /// A realm whose KDC's clock is ahead by so many seconds.
    pub async fn start_with_clock(ahead: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let rng = &mut rand::rng();
        let mut database = MemoryDatabase::new(REALM, rng).unwrap();
        let user = |name| Entry::user(principal(name), &PASSWORD.into()).unwrap();
        database.insert(user("alice"));
        database.insert(user("sensitive").with(EntryFlags::DISALLOW_FORWARDABLE));
        database.insert(user("locked").with(EntryFlags::LOCKED));
        let mut expired = user("expired");
        expired.password_expires = Some(SystemTime::now() - Duration::from_secs(60));
        database.insert(expired);
        let mut keytab = Keytab::default();
        for (name, flags) in [
            ("HTTP/servera.hop.test", EntryFlags::empty()),
            ("HTTP/serverb.hop.test", EntryFlags::empty()),
            ("HTTP/trusted.hop.test", EntryFlags::OK_AS_DELEGATE),
        ] {
            let entry = Entry::service(principal(name), rng).unwrap().with(flags);
            entry.export(&mut keytab, SystemTime::now());
            database.insert(entry);
        }
        save_keytab(&directory.path().join("services.keytab"), &keytab).unwrap();
        let mut user_keys = Keytab::default();
        database.lookup(&principal("alice")).unwrap().export(&mut user_keys, SystemTime::now());
        save_keytab(&directory.path().join("alice.keytab"), &user_keys).unwrap();

        let database = Arc::new(Mutex::new(database));
        let kdc = Kdc::new(REALM, Arc::clone(&database), Policy::default());
        let listener = KdcListener::bind((Ipv4Addr::LOCALHOST, 0).into()).await.unwrap();
        let listener = listener.with_clock(move || SystemTime::now() + Duration::from_secs(ahead));
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(listener.serve(Arc::new(Mutex::new(kdc))));
        let realm = Self { directory, address, database, server };
        realm.write_config(&format!("kdc = {address}"), "");
        realm
    }

    pub fn write_config(&self, kdcs: &str, libdefaults: &str) {
        let text = format!(
            "[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n \
             dns_canonicalize_hostname = false\n rdns = false\n {libdefaults}\n[realms]\n {REALM} = {{\n {kdcs}\n }}\n\
             [domain_realm]\n .hop.test = {REALM}\n"
        );
        std::fs::write(self.path("krb5.conf"), text).unwrap();
    }

    /// The environment of a program in this realm, with this credential cache.
    pub fn environment(&self, ccache: &str) -> Environment {
        Environment {
            config: Some(self.path("krb5.conf").to_str().unwrap().to_owned()),
            ccache: Some(ccache.to_owned()),
            ..Environment::from_process()
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// One of MIT's programs in this realm, with this credential cache.
    pub fn command(&self, program: &str, ccache: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("KRB5_CONFIG", self.path("krb5.conf"))
            .env("KRB5CCNAME", ccache)
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }

    /// Runs one of MIT's programs with a cache in a file and text for its standard input.
    pub async fn run(&self, program: &str, args: &[&str], ccache: &Path, input: &str) -> Output {
        self.run_in(program, args, &format!("FILE:{}", ccache.display()), input).await
    }

    /// The same with a cache of any kind.
    pub async fn run_in(&self, program: &str, args: &[&str], ccache: &str, input: &str) -> Output {
        let mut command = self.command(program, ccache);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
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
}

/// Whether MIT's programs are here; says so if not.
pub fn mit_is_installed() -> bool {
    let installed = |program| {
        Command::new(program).arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    };
    let all = ["kinit", "klist", "kvno"].into_iter().all(installed);
    if !all {
        eprintln!("skipped: no kinit, klist or kvno");
    }
    all
}

pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
pub fn succeeded(output: &Output) -> String {
    let text = text(output);
    assert!(output.status.success(), "{text}");
    text
}
