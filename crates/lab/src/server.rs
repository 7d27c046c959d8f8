//! One server of the domain: `hop serve` in a process of its own.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::{Domain, Error};

/// How long a server may take until it listens.
const START: Duration = Duration::from_secs(20);
/// How long it may take to end its sessions and itself.
const END: Duration = Duration::from_secs(5);

/// A server process; killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    name: &'static str,
    child: Child,
    ready_file: PathBuf,
}

impl Server {
    pub(crate) fn spawn(domain: &Domain, name: &'static str) -> Result<Self, Error> {
        let log_path = domain.path(&format!("{name}.log"));
        let log = File::create(&log_path).map_err(|source| Error::File { path: log_path.clone(), source })?;
        let errors = log.try_clone().map_err(|source| Error::File { path: log_path, source })?;
        let child = Command::new(domain.hop())
            .arg("serve")
            .arg("--config")
            .arg(domain.path(&format!("{name}.toml")))
            // A server inherits nobody's tickets.
            .env_remove("KRB5CCNAME")
            .env_remove("KRB5_KTNAME")
            .env("KRB5_CONFIG", domain.path("krb5.conf"))
            .env("HOP_HOSTS", domain.path("hosts.toml"))
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            // Ctrl+C at the terminal is for the lab, which then ends its servers.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| Error::Start { program: domain.hop().to_owned(), source })?;
        Ok(Self { name, child, ready_file: domain.path(&format!("{name}.ready")) })
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// The address it listens on; nothing if it ended, or took too long.
    pub(crate) async fn wait_until_ready(&mut self) -> Option<SocketAddr> {
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if let Ok(text) = std::fs::read_to_string(&self.ready_file)
                && text.ends_with('\n')
            {
                return text.lines().find_map(|line| line.trim().parse().ok());
            }
            if self.has_ended() {
                return None;
            }
            sleep(Duration::from_millis(20)).await;
        }
        None
    }

    pub(crate) fn ask_to_end(&mut self) {
        let pid = self.child.id().and_then(|pid| pid.try_into().ok());
        if let Some(pid) = pid {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }

    pub(crate) async fn wait_for_end(&mut self) {
        if timeout(END, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}
