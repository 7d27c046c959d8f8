//! A running server: this very program, started again with `serve`.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::domain::Domain;

pub struct Server {
    pub child: Child,
    pub domain: Domain,
    pub address: String,
    https: Option<String>,
    pub dir: tempfile::TempDir,
    log: PathBuf,
}

impl Server {
    /// Starts a server whose `alice@HOP.TEST` is the current user.
    pub fn start(extra: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o711)).unwrap();
        let keytab = dir.path().join("keytab");
        let domain = Domain::new(&keytab);
        let me = current_user();
        let run = dir.path().join("run");
        let text = format!(
            "listen = ['127.0.0.1:0']\nkeytab = '{}'\nruntime_dir = '{}'\nready_file = '{}'\n{extra}\n\
             [[map]]\nprincipal = 'alice@HOP.TEST'\nuser = '{me}'\n\
             [[map]]\nprincipal = 'sensitive@HOP.TEST'\nuser = '{me}'\n\
             [[map]]\nprincipal = 'mallory@HOP.TEST'\nuser = '{me}'\n\
             [[map]]\nprincipal = 'bob@HOP.TEST'\nuser = 'daemon'\n",
            keytab.display(),
            run.display(),
            dir.path().join("ready").display(),
        );
        let config = dir.path().join("server.toml");
        std::fs::write(&config, text).unwrap();
        let log = dir.path().join("log");
        let (child, address, https) = launch(&config, dir.path(), &log);
        Self { child, domain, address, https, dir, log }
    }

    /// Starts it again with the same configuration.
    pub fn restart(&mut self) {
        let (child, address, https) =
            launch(&self.dir.path().join("server.toml"), self.dir.path(), &self.log);
        (self.child, self.address, self.https) = (child, address, https);
    }

    pub fn port(&self) -> u16 {
        self.address.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    pub fn https_port(&self) -> u16 {
        self.https.as_ref().unwrap().rsplit_once(':').unwrap().1.parse().unwrap()
    }

    /// Every credential cache that is there.
    pub fn caches(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut todo = vec![self.dir.path().join("run")];
        while let Some(dir) = todo.pop() {
            for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
                match entry.path() {
                    path if path.is_dir() => todo.push(path),
                    path if path.ends_with("krb5cc") => found.push(path),
                    _ => {}
                }
            }
        }
        found
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The process id of the network process.
    pub fn network_process(&self) -> i32 {
        let path = format!("/proc/{0}/task/{0}/children", self.child.id());
        let children = std::fs::read_to_string(path).unwrap();
        let is_network = |pid: &&str| {
            std::fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|c| c.ends_with(b"serve-network-process\0"))
        };
        children.split_whitespace().find(is_network).unwrap().parse().unwrap()
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        nix::sys::signal::kill(pid, signal).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.signal(nix::sys::signal::Signal::SIGTERM);
            self.child.wait().unwrap();
        }
        if std::thread::panicking() {
            eprintln!("--- log of the server\n{}---", self.log());
        }
    }
}

fn launch(config: &Path, dir: &Path, log: &Path) -> (Child, String, Option<String>) {
    let ready = dir.join("ready");
    let _ = std::fs::remove_file(&ready);
    let log = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg("serve")
        .arg(config)
        .env("HOP_LOG", "debug")
        .stderr(log)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the server is ready", || {
        assert!(child.try_wait().unwrap().is_none(), "the server has ended");
        ready.exists()
    });
    let mut text = String::new();
    std::fs::File::open(ready).unwrap().read_to_string(&mut text).unwrap();
    let mut lines = text.lines().map(str::to_owned);
    (child, lines.next().unwrap(), lines.next())
}

pub fn current_user() -> String {
    nix::unistd::User::from_uid(nix::unistd::Uid::effective()).unwrap().unwrap().name
}

/// Waits for something that happens in another process.
pub fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(15);
    while !happened() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
