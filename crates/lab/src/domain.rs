//! The domain: who is in it, and the files that everybody finds everybody else by.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use hop_kerberos::Principal;
use hop_kerberos::config::Config;
use hop_kerberos::kdc::{Entry, EntryFlags, Kdc, MemoryDatabase, Policy};
use hop_kerberos::keytab::Keytab;
use hop_kerberos_io::{FileCcache, KdcClient, KdcListener, Proof, TgtOptions, save_keytab};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::server::Server;
use crate::{Error, Options};

/// The domain's realm.
pub const REALM: &str = "HOP.TEST";
/// The password of every user in the domain.
pub const PASSWORD: &str = "Lab-Passw0rd";
/// The users: one like any, one whose account cannot be delegated.
pub(crate) const USERS: [(&str, EntryFlags); 2] =
    [("alice", EntryFlags::empty()), ("sensitive", EntryFlags::DISALLOW_FORWARDABLE)];

/// Other names of servera, with accounts of their own: one that the domain trusts for delegation, one that may act for
/// its users at serverb, one that may do so also for users who did not come by Kerberos, and one that serverb lets act
/// for them.
pub(crate) const ALIASES: [&str; 4] = ["trusted", "constrained", "transition", "resource"];

/// A running domain. Dropping it kills its servers and removes its files; [`stop`](Self::stop) does so in order.
#[derive(Debug)]
pub struct Domain {
    directory: TempDir,
    hop: PathBuf,
    servers: Vec<Server>,
    kdc: JoinHandle<std::io::Result<()>>,
    trust_servera: bool,
}

impl Domain {
    /// Starts KDC and servers and logs alice in.
    ///
    /// # Errors
    /// Whatever keeps a part of it from starting.
    pub async fn start(options: &Options) -> Result<Self, Error> {
        let directory = directory()?;
        let mut domain = Self {
            directory,
            hop: options.hop.clone(),
            servers: Vec::new(),
            kdc: tokio::spawn(async { Ok(()) }),
            trust_servera: options.trust_servera,
        };
        let address = domain.start_kdc(options).await?;
        domain.write("krb5.conf", &krb5_conf(address))?;
        for (user, _) in USERS {
            domain.log_in(user).await?;
        }
        let local_user = local_user()?;
        for name in ["servera", "serverb"] {
            domain.write(&format!("{name}.toml"), &domain.server_config(name, &local_user))?;
            let server = Server::spawn(&domain, name)?;
            domain.servers.push(server);
        }
        let mut hosts = String::new();
        for index in 0..domain.servers.len() {
            let Some(server) = domain.servers.get_mut(index) else { break };
            let name = server.name();
            let address = server.wait_until_ready().await;
            let address = address.ok_or_else(|| Error::NotReady { name, log: domain.log_tail(name) })?;
            hosts.push_str(&host_entry(name, address));
            if name == "servera" {
                for alias in ALIASES {
                    hosts.push_str(&host_entry(alias, address));
                }
            }
        }
        domain.write("hosts.toml", &hosts)?;
        Ok(domain)
    }

    /// Where the domain's files are.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The program that is server and client.
    pub fn hop(&self) -> &Path {
        &self.hop
    }

    /// Whether the KDC marks servera's tickets ok-as-delegate.
    pub fn trusts_servera(&self) -> bool {
        self.trust_servera
    }

    /// The variables that make programs use this domain as one of its users.
    pub fn environment(&self, user: &str) -> [(&'static str, String); 3] {
        [
            ("KRB5_CONFIG", self.path("krb5.conf").display().to_string()),
            ("KRB5CCNAME", format!("FILE:{}", self.path(&format!("{user}.ccache")).display())),
            ("HOP_HOSTS", self.path("hosts.toml").display().to_string()),
        ]
    }

    /// Waits until a server ends, which it should not; tells which.
    pub async fn server_ended(&mut self) -> &'static str {
        loop {
            for server in &mut self.servers {
                if server.has_ended() {
                    return server.name();
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// The end of a server's log.
    pub fn log_tail(&self, name: &str) -> String {
        let text = std::fs::read(self.path(&format!("{name}.log"))).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }

    /// Ends the servers (and with them their sessions), then the KDC; the files go when the domain is dropped.
    pub async fn stop(&mut self) {
        for server in &mut self.servers {
            server.ask_to_end();
        }
        for server in &mut self.servers {
            server.wait_for_end().await;
        }
        self.kdc.abort();
    }

    async fn start_kdc(&mut self, options: &Options) -> Result<SocketAddr, Error> {
        let rng = &mut rand::rng();
        let now = SystemTime::now();
        let mut database = MemoryDatabase::new(REALM, rng)?;
        for (user, flags) in USERS {
            let principal = Principal::new(REALM, &[user]);
            database.insert(Entry::user(principal, &PASSWORD.into())?.with(flags));
        }
        let names = ["servera", "serverb"].into_iter().chain(ALIASES);
        for host in names {
            let mut entry = Entry::service(service(host), rng)?;
            match host {
                "trusted" => entry.flags |= EntryFlags::OK_AS_DELEGATE,
                "servera" if options.trust_servera => entry.flags |= EntryFlags::OK_AS_DELEGATE,
                "constrained" => entry.allowed_to_delegate_to = vec![service("serverb")],
                "transition" => {
                    entry.flags |= EntryFlags::TRUSTED_TO_AUTH;
                    entry.allowed_to_delegate_to = vec![service("serverb")];
                }
                "serverb" => entry.allowed_to_act = vec![service("resource")],
                _ => {}
            }
            let file = if host == "serverb" { "serverb" } else { "servera" };
            let path = self.path(&format!("{file}.keytab"));
            let mut keytab =
                if path.exists() { hop_kerberos_io::load_keytab(&path)? } else { Keytab::default() };
            entry.export(&mut keytab, now);
            save_keytab(&path, &keytab)?;
            database.insert(entry);
        }
        let listener = KdcListener::bind((Ipv4Addr::LOCALHOST, 0).into()).await.map_err(Error::Kdc)?;
        let address = listener.local_addr().map_err(Error::Kdc)?;
        let kdc = Kdc::new(REALM, database, Policy::default());
        self.kdc = tokio::spawn(listener.serve(Arc::new(Mutex::new(kdc))));
        Ok(address)
    }

    /// As `kinit -f` does.
    async fn log_in(&self, user: &str) -> Result<(), Error> {
        let path = self.path("krb5.conf");
        let text = std::fs::read(&path).map_err(|source| Error::File { path: path.clone(), source })?;
        let config =
            Config::parse(&text).map_err(|source| hop_kerberos_io::Error::Config { path, source })?;
        let options = TgtOptions { forwardable: Some(true), ..TgtOptions::default() };
        let principal = Principal::new(REALM, &[user]);
        let password = PASSWORD.into();
        let cache = KdcClient::new(config).get_tgt(&principal, Proof::Password(&password), &options).await?;
        FileCcache::new(self.path(&format!("{user}.ccache"))).save(&cache)?;
        Ok(())
    }

    fn server_config(&self, name: &str, local_user: &str) -> String {
        let quote = |path: PathBuf| format!("{:?}", path.display().to_string());
        let mut text = format!(
            "listen = [\"127.0.0.1:0\"]\nkeytab = {}\nrealm = \"{REALM}\"\nruntime_dir = {}\nready_file = {}\n",
            quote(self.path(&format!("{name}.keytab"))),
            quote(self.path(&format!("{name}.run"))),
            quote(self.path(&format!("{name}.ready"))),
        );
        for (user, _) in USERS {
            text.push_str(&format!("\n[[map]]\nprincipal = \"{user}@{REALM}\"\nuser = \"{local_user}\"\n"));
        }
        // What is the same for every session on a machine of the domain. Both servers are really this one machine,
        // so each tells its sessions which of the two it is.
        text.push_str(&format!(
            "\n[environment]\nCOMPUTERNAME = \"{name}\"\nKRB5_CONFIG = {}\nHOP_HOSTS = {}\n",
            quote(self.path("krb5.conf")),
            quote(self.path("hosts.toml")),
        ));
        text
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Error> {
        let path = self.path(name);
        let written = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()));
        written.map_err(|source| Error::File { path, source })
    }
}

impl Drop for Domain {
    fn drop(&mut self) {
        self.kdc.abort();
    }
}

/// A directory of our own, in memory if possible: keys and tickets do not belong on a disk.
fn directory() -> Result<TempDir, Error> {
    let memory = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let places = [memory, Some("/dev/shm".into()), Some(std::env::temp_dir())];
    let mut last = None;
    for place in places.into_iter().flatten() {
        match tempfile::Builder::new().prefix("hop-lab-").tempdir_in(&place) {
            Ok(directory) => {
                for run in ["servera.run", "serverb.run"] {
                    let path = directory.path().join(run);
                    let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
                    made.map_err(|source| Error::File { path, source })?;
                }
                return Ok(directory);
            }
            Err(source) => last = Some(Error::File { path: place, source }),
        }
    }
    Err(last.unwrap_or(Error::Interrupted))
}

fn local_user() -> Result<String, Error> {
    let uid = nix::unistd::geteuid();
    let user = nix::unistd::User::from_uid(uid).ok().flatten();
    user.map(|user| user.name).ok_or(Error::NoUser(uid.as_raw()))
}

fn service(host: &str) -> Principal {
    Principal::service(REALM, "HTTP", &full_name(host))
}

fn full_name(host: &str) -> String {
    format!("{host}.{}", REALM.to_ascii_lowercase())
}

fn krb5_conf(kdc: SocketAddr) -> String {
    let domain = REALM.to_ascii_lowercase();
    format!(
        "[libdefaults]\n    default_realm = {REALM}\n    forwardable = true\n    dns_lookup_kdc = false\n    \
         dns_lookup_realm = false\n    dns_canonicalize_hostname = false\n    rdns = false\n\n\
         [realms]\n    {REALM} = {{\n        kdc = {kdc}\n    }}\n\n\
         [domain_realm]\n    .{domain} = {REALM}\n    {domain} = {REALM}\n"
    )
}

fn host_entry(name: &str, address: SocketAddr) -> String {
    let full = full_name(name);
    format!(
        "[[host]]\nname = [\"{name}\", \"{full}\"]\nhost_name = \"{full}\"\naddress = \"{}\"\nport = {}\n\n",
        address.ip(),
        address.port()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_find_everything_in_the_files() {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 4711));
        let config = Config::parse(krb5_conf(address).as_bytes()).unwrap();
        assert_eq!(config.kdcs(REALM)[0].port, 4711);
        assert_eq!(config.host_realm("servera.hop.test"), Some(REALM));
        assert!(config.defaults(None).unwrap().forwardable);
        let entry = host_entry("servera", address);
        assert!(
            entry.contains("host_name = \"servera.hop.test\"") && entry.contains("port = 4711"),
            "{entry}"
        );
    }
}
