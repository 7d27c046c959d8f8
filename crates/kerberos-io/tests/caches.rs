//! Credential caches of every kind, shared with MIT's kinit, klist, kvno, kswitch and kdestroy.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests may panic and say what they skip"
)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{PASSWORD, Realm, mit_is_installed, principal, succeeded};
use hop_kerberos::Credential;
use hop_kerberos::ccache::{CredentialCache, KdcOffset};
use hop_kerberos_io::{Ccache, Ccaches, Error, KdcClient, Proof, TgtOptions};

/// The caches and the client of a user in the realm whose `KRB5CCNAME` is this.
fn user(realm: &Realm, name: &str) -> (Ccaches, KdcClient) {
    let environment = realm.environment(name);
    let config = environment.load_config().unwrap();
    (Ccaches::new(&environment, &config).unwrap(), KdcClient::new(config))
}

async fn log_in(caches: &Ccaches, client: &KdcClient, name: &str) -> Ccache {
    let who = principal(name);
    let options = TgtOptions { forwardable: Some(true), ..TgtOptions::default() };
    let content = client.get_tgt(&who, Proof::Password(&PASSWORD.into()), &options).await.unwrap();
    let cache = caches.for_principal(caches.default_name(), &who).unwrap();
    cache.save(&content).unwrap();
    caches.make_primary(&cache).unwrap();
    let kept = cache.load().unwrap();
    assert_eq!(
        (&kept.principal, kept.entries()),
        (&content.principal, content.entries()),
        "{}",
        cache.name()
    );
    // Some keep whole seconds.
    let seconds = |content: &CredentialCache| content.kdc_offset.map(|offset| offset.seconds);
    assert_eq!(seconds(&kept), seconds(&content), "{}", cache.name());
    cache
}

fn services(cache: &Ccache) -> Vec<String> {
    let mut names: Vec<String> = cache.load().unwrap().credentials().map(|c| c.server.name()).collect();
    names.sort();
    names
}

/// One cache: written by us and used by MIT's programs, then the other way round.
async fn both_ways(realm: &Realm, name: &str) {
    let (caches, client) = user(realm, name);
    let run = async |program: &str, args: &[&str], input: &str| {
        succeeded(&realm.run_in(program, args, name, input).await)
    };
    let cache = log_in(&caches, &client, "alice").await;
    let (a, b) = (principal("HTTP/servera.hop.test"), principal("HTTP/serverb.hop.test"));
    client.get_service_ticket(&cache, &a).await.unwrap();
    let listed = run("klist", &["-f"], "").await;
    assert!(listed.contains("Default principal: alice@HOP.TEST"), "{listed}");
    assert!(listed.contains("HTTP/servera.hop.test@HOP.TEST"), "{listed}");
    run("kvno", &["HTTP/servera.hop.test", "HTTP/serverb.hop.test"], "").await;
    assert_eq!(services(&cache), ["HTTP/servera.hop.test", "HTTP/serverb.hop.test", "krbtgt/HOP.TEST"]);
    // A ticket that MIT's program fetched opens the way to nothing new: it is used from the cache.
    let kept = cache.load().unwrap().find(&b, std::time::SystemTime::now()).unwrap().clone();
    assert_eq!(client.get_service_ticket(&cache, &b).await.unwrap(), kept);

    assert_eq!((cache.remove(&a).unwrap(), cache.remove(&a).unwrap()), (1, 0));
    let listed = run("klist", &[], "").await;
    assert!(!listed.contains("servera") && listed.contains("serverb"), "{listed}");
    // One stored in place of another leaves one.
    cache.store(kept.clone()).unwrap();
    cache.store(kept).unwrap();
    assert_eq!(services(&cache), ["HTTP/serverb.hop.test", "krbtgt/HOP.TEST"]);

    run("kdestroy", &[], "").await;
    let gone = caches.default_cache().unwrap().load().unwrap_err();
    assert!(matches!(gone, Error::NoCcache { .. }), "{gone}");
    run("kinit", &["-f", "-r", "2d", "alice"], PASSWORD).await;
    let cache = caches.default_cache().unwrap();
    let content = cache.load().unwrap();
    assert_eq!(content.principal, principal("alice"));
    assert!(content.tgt().unwrap().renew_till.is_some());
    // MIT's programs keep settings in their caches, which survive our saving them.
    let settings = content.entries().len() - content.credentials().count();
    client.get_service_ticket(&cache, &a).await.unwrap();
    cache.save(&cache.load().unwrap()).unwrap();
    let content = cache.load().unwrap();
    assert_eq!(content.entries().len() - content.credentials().count(), settings);
    let listed = run("klist", &["-C"], "").await;
    assert!(listed.contains("HTTP/servera.hop.test@HOP.TEST"), "{listed}");
    run("kinit", &["-R"], "").await;
    assert!(cache.load().unwrap().tgt().is_some());

    cache.destroy().unwrap();
    cache.destroy().unwrap();
    assert!(!realm.run_in("klist", &["-s"], name, "").await.status.success());
}

/// A collection: ours and MIT's programs see the same caches and the same primary one.
async fn collection(realm: &Realm, name: &str) {
    let (caches, client) = user(realm, name);
    let run = async |program: &str, args: &[&str], input: &str| {
        succeeded(&realm.run_in(program, args, name, input).await)
    };
    let alice = log_in(&caches, &client, "alice").await;
    let sensitive = log_in(&caches, &client, "sensitive").await;
    assert_ne!(alice, sensitive);
    assert_eq!(log_in(&caches, &client, "alice").await, alice);
    assert_eq!(caches.collection(name).unwrap(), [alice.clone(), sensitive.clone()]);
    let listed = run("klist", &["-l"], "").await;
    assert!(listed.contains("alice@HOP.TEST") && listed.contains("sensitive@HOP.TEST"), "{listed}");
    assert!(listed.contains(&alice.name()), "{} in {listed}", alice.name());
    assert!(run("klist", &[], "").await.contains("Default principal: alice@HOP.TEST"));
    run("kswitch", &["-p", "sensitive"], "").await;
    assert_eq!(caches.default_cache().unwrap(), sensitive);
    caches.make_primary(&alice).unwrap();
    assert!(run("klist", &[], "").await.contains("Default principal: alice@HOP.TEST"));
    // Named in full it is one cache, whatever the primary is.
    assert_eq!(caches.resolve(&sensitive.name()).unwrap(), sensitive);
    let listed = succeeded(&realm.run_in("klist", &[], &sensitive.name(), "").await);
    assert!(listed.contains("Default principal: sensitive@HOP.TEST"), "{listed}");
    // kinit finds the cache of its principal in the collection.
    run("kinit", &["sensitive"], PASSWORD).await;
    assert_eq!(caches.collection(name).unwrap().len(), 2);
    run("kdestroy", &["-A"], "").await;
    assert!(alice.load().is_err() && sensitive.load().is_err());
}

/// What MIT's programs do with the difference of clocks in a cache.
#[derive(Clone, Copy)]
enum Mit {
    ReadsAndWritesTheDifference,
    /// They ask for it only where a list of all tickets is had, which they do not need with Heimdal's daemon.
    WritesTheDifference,
}

/// A KDC an hour ahead: MIT's programs get on only by the difference that we keep in the cache, and we by theirs.
async fn clock(realm: &Realm, name: &str, mit: Mit) {
    let (caches, client) = user(realm, name);
    let cache = log_in(&caches, &client, "alice").await;
    if !matches!(mit, Mit::WritesTheDifference) {
        succeeded(&realm.run_in("kvno", &["HTTP/servera.hop.test"], name, "").await);
    }
    cache.destroy().unwrap();
    succeeded(&realm.run_in("kinit", &["alice"], name, PASSWORD).await);
    let cache = caches.default_cache().unwrap();
    let offset = cache.load().unwrap().kdc_offset.unwrap().seconds;
    assert!((3590..3610).contains(&offset), "{offset}");
    client.get_service_ticket(&cache, &principal("HTTP/servera.hop.test")).await.unwrap();
    cache.destroy().unwrap();
}

#[tokio::test]
async fn files() {
    if mit_is_installed() {
        let realm = Realm::start().await;
        both_ways(&realm, &format!("FILE:{}", realm.path("cc").display())).await;
        both_ways(&realm, realm.path("cc").to_str().unwrap()).await;
        let realm = Realm::start_with_clock(3600).await;
        clock(&realm, &format!("FILE:{}", realm.path("cc").display()), Mit::ReadsAndWritesTheDifference)
            .await;
    }
}

#[tokio::test]
async fn directories() {
    if mit_is_installed() {
        let realm = Realm::start().await;
        both_ways(&realm, &format!("DIR:{}", realm.path("ccs").display())).await;
        collection(&realm, &format!("DIR:{}", realm.path("ccs2").display())).await;
        let mode = |name| std::fs::metadata(realm.path(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("ccs"), 0o700);
        let (caches, client) = user(&realm, &format!("DIR:{}", realm.path("ccs").display()));
        log_in(&caches, &client, "alice").await;
        assert_eq!(mode("ccs/tkt"), 0o600);
        both_ways(&realm, &format!("DIR::{}", realm.path("ccs/tktother").display())).await;
        std::fs::write(realm.path("ccs/primary"), "../../etc/passwd\n").unwrap();
        assert!(matches!(caches.default_cache(), Err(Error::Io { .. })));
    }
}

#[tokio::test]
async fn memory() {
    let realm = Realm::start().await;
    let (caches, client) = user(&realm, "MEMORY:mine");
    let cache = log_in(&caches, &client, "alice").await;
    client.get_service_ticket(&cache, &principal("HTTP/servera.hop.test")).await.unwrap();
    assert_eq!(
        services(&caches.clone().default_cache().unwrap()),
        ["HTTP/servera.hop.test", "krbtgt/HOP.TEST"]
    );
    assert_eq!(caches.in_memory(), ["MEMORY:mine"]);
    let (others, _) = user(&realm, "MEMORY:mine");
    assert!(matches!(others.default_cache().unwrap().load(), Err(Error::NoCcache { .. })));
    assert_eq!(cache.remove(&principal("HTTP/servera.hop.test")).unwrap(), 1);
    cache.destroy().unwrap();
    assert!(matches!(cache.load(), Err(Error::NoCcache { .. })));
}

#[tokio::test]
async fn keyrings() {
    let realm = Realm::start().await;
    let unique = format!("hoptest{:08x}", rand::random::<u32>());
    let (caches, client) = user(&realm, &format!("KEYRING:process:{unique}"));
    if let Err(error) = caches.default_cache() {
        eprintln!("skipped: no keyrings ({error})");
        return;
    }
    // MIT's programs cannot see into another process, so this one is ours alone, from whatever thread.
    let cache = log_in(&caches, &client, "alice").await;
    client.get_service_ticket(&cache, &principal("HTTP/servera.hop.test")).await.unwrap();
    let seen = std::thread::spawn(move || services(&cache)).join().unwrap();
    assert_eq!(seen, ["HTTP/servera.hop.test", "krbtgt/HOP.TEST"]);
    keyrings_forget_tickets_by_the_kdcs_clock(&caches, &client).await;
    if mit_is_installed() {
        let uid = nix::unistd::geteuid();
        for name in [
            format!("KEYRING:{unique}"),
            format!("KEYRING:session:{unique}"),
            format!("KEYRING:user:{unique}"),
            format!("KEYRING:persistent:{uid}:{unique}"),
        ] {
            both_ways(&realm, &name).await;
        }
        collection(&realm, &format!("KEYRING:session:{unique}c")).await;
        collection(&realm, &format!("KEYRING:user:{unique}c")).await;
        let realm = Realm::start_with_clock(3600).await;
        clock(&realm, &format!("KEYRING:user:{unique}t"), Mit::ReadsAndWritesTheDifference).await;
    }
}

async fn keyrings_forget_tickets_by_the_kdcs_clock(caches: &Ccaches, client: &KdcClient) {
    let wanted = TgtOptions { lifetime: Some(Duration::from_secs(600)), ..TgtOptions::default() };
    let mut content =
        client.get_tgt(&principal("alice"), Proof::Password(&PASSWORD.into()), &wanted).await.unwrap();
    let cache = caches.default_cache().unwrap();
    let seconds = |ahead| Some(KdcOffset { seconds: ahead, microseconds: 0 });
    // By this machine's clock the ticket ended an hour ago; by the KDC's it lives.
    let tgt = content.tgt().unwrap().clone();
    let hour = Duration::from_secs(3600);
    content.kdc_offset = seconds(-3600);
    content.store(Credential {
        auth_time: tgt.auth_time - hour,
        end_time: tgt.end_time - hour,
        ..tgt.clone()
    });
    cache.save(&content).unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(cache.load().unwrap(), content);
    // And here it lives for some seconds only.
    content.kdc_offset = seconds(595);
    content.store(tgt);
    cache.save(&content).unwrap();
    assert_eq!(cache.load().unwrap(), content);
    std::thread::sleep(Duration::from_millis(4000));
    let gone = cache.load().unwrap_err();
    assert!(matches!(gone, Error::NoCcache { .. }), "{gone}");
}

/// A daemon on a socket of its own, ended with the test.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(self.0.id().cast_signed()),
            nix::sys::signal::Signal::SIGTERM,
        );
        let _ = self.0.wait();
    }
}

impl Daemon {
    fn start(command: &mut Command, socket: &Path) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::os::unix::net::UnixStream::connect(socket).is_err() {
            assert!(Instant::now() < deadline, "the daemon does not listen");
            assert!(child.try_wait().unwrap().is_none(), "the daemon has ended");
            std::thread::sleep(Duration::from_millis(50));
        }
        Self(child)
    }

    /// Heimdal's.
    fn heimdal(realm: &Realm) -> Option<Self> {
        Self::in_directory(realm, "/usr/sbin/kcm", &[], "")
    }

    /// SSSD's, with an empty database.
    fn sssd(realm: &Realm) -> Option<Self> {
        let path = |name: &str| realm.path(name).display().to_string();
        for name in ["etc", "log", "lib/db", "lib/secrets", "lib/mc", "lib/pipes/private"] {
            std::fs::create_dir_all(realm.path(name)).unwrap();
        }
        let private = |name: &str, mode| {
            std::fs::set_permissions(realm.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        std::fs::write(realm.path("etc/sssd.conf"), "[sssd]\nservices =\n[kcm]\n").unwrap();
        private("etc/sssd.conf", 0o600);
        private("lib/secrets", 0o700);
        let mounts = format!(
            "mount --bind {} /etc/sssd && mount --bind {} /var/lib/sss && mount --bind {} /var/log/sssd && ",
            path("etc"),
            path("lib"),
            path("log")
        );
        Self::in_directory(
            realm,
            "/usr/libexec/sssd/sssd_kcm",
            &["--uid=0", "--gid=0", "--logger=stderr"],
            &mounts,
        )
    }

    /// The daemons listen in one place only: that place is put into the realm's directory, for them alone.
    fn in_directory(realm: &Realm, program: &str, args: &[&str], mounts: &str) -> Option<Self> {
        if !Path::new(program).exists() || !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: no {program}, or not root");
            return None;
        }
        let run = realm.path("run");
        std::fs::create_dir(&run).unwrap();
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c"])
            .arg(format!("{mounts} mount --bind {} /run && exec {program} {}", run.display(), args.join(" ")))
            .env("KRB5_CONFIG", realm.path("krb5.conf"));
        Some(Self::start(&mut command, &socket(realm)))
    }
}

fn socket(realm: &Realm) -> std::path::PathBuf {
    realm.path("run/.heim_org.h5l.kcm-socket")
}

async fn kcm(start: impl Fn(&Realm) -> Option<Daemon>, mit: Mit) {
    if !mit_is_installed() {
        return;
    }
    for ahead in [0, 3600] {
        let realm = Realm::start_with_clock(ahead).await;
        let socket = socket(&realm);
        realm
            .write_config(&format!("kdc = {}", realm.address), &format!("kcm_socket = {}", socket.display()));
        let (caches, _) = user(&realm, "KCM:");
        let error = caches.default_cache().unwrap_err().to_string();
        assert!(error.contains("kcm-socket") && error.contains("No such file"), "{error}");
        let Some(_daemon) = start(&realm) else { return };
        if ahead > 0 {
            clock(&realm, "KCM:", mit).await;
            continue;
        }
        both_ways(&realm, "KCM:").await;
        both_ways(&realm, &format!("KCM:{}:mine", nix::unistd::geteuid())).await;
        collection(&realm, "KCM:").await;
    }
}

#[tokio::test]
async fn heimdals_kcm() {
    kcm(Daemon::heimdal, Mit::WritesTheDifference).await;
}

#[tokio::test]
async fn sssds_kcm() {
    kcm(Daemon::sssd, Mit::ReadsAndWritesTheDifference).await;
}

#[test]
fn names_are_understood_or_refused() {
    let environment = hop_kerberos_io::Environment {
        ccache: Some("FILE:/a".into()),
        ..hop_kerberos_io::Environment::from_process()
    };
    let caches = Ccaches::new(&environment, &Default::default()).unwrap();
    for (given, name) in
        [("FILE:/a", "FILE:/a"), ("/b", "FILE:/b"), ("DIR::/c/tktx", "DIR::/c/tktx"), ("c", "FILE:c")]
    {
        assert_eq!(caches.resolve(given).unwrap().name(), name);
    }
    assert_eq!(caches.resolve("DIR:/nowhere").unwrap().name(), "DIR::/nowhere/tkt");
    for wrong in ["FILE:", "", "DIR::/c/x", "KEYRING:thread:x", "MEMORY:", "KEYRING:"] {
        assert!(matches!(caches.resolve(wrong), Err(Error::CcacheName { .. })), "{wrong}");
    }
    assert!(matches!(caches.resolve("API:x"), Err(Error::CcacheType { .. })));
}
