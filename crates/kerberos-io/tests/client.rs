//! Our client against our KDC, MIT's programs on the files it leaves, and everything that can go wrong.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant, SystemTime};

use common::{PASSWORD, REALM, Realm, mit_is_installed, principal, succeeded};
use hop_kerberos::TicketFlags;
use hop_kerberos::config::Config;
use hop_kerberos_io::{
    AttemptError, Environment, Error, FileCcache, KdcClient, Proof, TgtOptions, Timing, load_keytab,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

const QUICK: Timing = Timing {
    stagger: Duration::from_millis(100),
    udp_wait: Duration::from_millis(100),
    udp_tries: 2,
    tcp_connect: Duration::from_millis(300),
    tcp_answer: Duration::from_millis(300),
};

fn client(realm: &Realm) -> KdcClient {
    let text = std::fs::read(realm.path("krb5.conf")).unwrap();
    KdcClient::new(Config::parse(&text).unwrap()).with_timing(QUICK)
}

fn with_kdcs(kdcs: &str) -> KdcClient {
    let text = format!("[realms]\n {REALM} = {{\n {kdcs}\n }}\n");
    KdcClient::new(Config::parse(text.as_bytes()).unwrap()).with_timing(QUICK)
}

fn forwardable() -> TgtOptions {
    TgtOptions { forwardable: Some(true), ..TgtOptions::default() }
}

async fn login(
    client: &KdcClient,
    user: &str,
    password: &str,
) -> Result<hop_kerberos::ccache::CredentialCache, Error> {
    client.get_tgt(&principal(user), Proof::Password(&password.into()), &forwardable()).await
}

#[tokio::test]
async fn tickets_of_every_kind() {
    let realm = Realm::start().await;
    let client = client(&realm);
    let cache = login(&client, "alice", PASSWORD).await.unwrap();
    assert!(cache.tgt().unwrap().flags.contains(TicketFlags::FORWARDABLE | TicketFlags::INITIAL));
    let file = FileCcache::new(realm.path("cc"));
    file.save(&cache).unwrap();

    let server = client.service_principal("HTTP", "ServerA.hop.test.", &cache.principal);
    assert_eq!(server, principal("HTTP/servera.hop.test"));
    let ticket = client.get_service_ticket(&file.clone().into(), &server).await.unwrap();
    assert!(!ticket.flags.contains(TicketFlags::OK_AS_DELEGATE));
    // the second time it comes from the cache
    assert_eq!(client.get_service_ticket(&file.clone().into(), &server).await.unwrap(), ticket);
    let trusted = principal("HTTP/trusted.hop.test");
    assert!(
        client
            .get_service_ticket(&file.clone().into(), &trusted)
            .await
            .unwrap()
            .flags
            .contains(TicketFlags::OK_AS_DELEGATE)
    );

    let forwarded = client.forwarded_tgt(&file.load().unwrap()).await.unwrap();
    assert!(forwarded.flags.contains(TicketFlags::FORWARDED | TicketFlags::FORWARDABLE));
    assert!(!forwarded.flags.contains(TicketFlags::INITIAL));
    // the machine it was forwarded to has a cache with nothing else in it, and goes on from there
    let mut session = hop_kerberos::ccache::CredentialCache::new(forwarded.client.clone());
    session.store(forwarded);
    let onward = client.service_ticket(&mut session, &principal("HTTP/serverb.hop.test")).await.unwrap();
    assert!(onward.flags.contains(TicketFlags::FORWARDED));

    let keytab = load_keytab(&realm.path("alice.keytab")).unwrap();
    let by_key =
        client.get_tgt(&principal("alice"), Proof::Keytab(&keytab), &TgtOptions::default()).await.unwrap();
    assert!(!by_key.tgt().unwrap().flags.contains(TicketFlags::FORWARDABLE));
}

#[tokio::test]
async fn mits_programs_use_our_cache() {
    if !mit_is_installed() {
        return;
    }
    let realm = Realm::start().await;
    let client = client(&realm);
    let file = FileCcache::new(realm.path("cc"));
    let cache = login(&client, "alice", PASSWORD).await.unwrap();
    for version in [hop_kerberos::ccache::CcacheVersion::V4, hop_kerberos::ccache::CcacheVersion::V3] {
        let mut cache = cache.clone();
        cache.version = version;
        file.save(&cache).unwrap();
        client.get_service_ticket(&file.clone().into(), &principal("HTTP/servera.hop.test")).await.unwrap();
        let listed = succeeded(&realm.run("klist", &["-f", "-e"], file.path(), "").await);
        assert!(listed.contains("HTTP/servera.hop.test@HOP.TEST"), "{listed}");
        // kvno adds its ticket to our file, and we read both
        succeeded(&realm.run("kvno", &["HTTP/serverb.hop.test"], file.path(), "").await);
        let names: Vec<String> = file.load().unwrap().credentials().map(|c| c.server.name()).collect();
        assert_eq!(names, ["krbtgt/HOP.TEST", "HTTP/servera.hop.test", "HTTP/serverb.hop.test"]);
    }
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(file.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    file.destroy().unwrap();
    assert!(matches!(file.load(), Err(Error::NoCcache { .. })));
}

#[tokio::test]
async fn refusals_are_typed() {
    let realm = Realm::start().await;
    let client = client(&realm);
    let refused = async |user, password| login(&client, user, password).await.unwrap_err();
    assert!(matches!(refused("alice", "wrong").await, Error::WrongPassword { .. }));
    assert!(matches!(refused("nobody", PASSWORD).await, Error::UnknownClient { .. }));
    assert!(matches!(refused("expired", PASSWORD).await, Error::PasswordExpired { .. }));
    assert!(matches!(refused("expired", "wrong").await, Error::WrongPassword { .. }));
    assert!(matches!(refused("locked", PASSWORD).await, Error::ClientRevoked { .. }));
    assert!(matches!(refused("x@ELSE.TEST", PASSWORD).await, Error::NoKdc { .. }));

    let mut sensitive = login(&client, "sensitive", PASSWORD).await.unwrap();
    assert!(!sensitive.tgt().unwrap().flags.contains(TicketFlags::FORWARDABLE));
    client.service_ticket(&mut sensitive, &principal("HTTP/servera.hop.test")).await.unwrap();
    assert!(matches!(client.forwarded_tgt(&sensitive).await, Err(Error::NotForwardable { .. })));
    let nowhere = principal("HTTP/nowhere.hop.test");
    let unknown = client.service_ticket(&mut sensitive, &nowhere).await.unwrap_err();
    assert!(matches!(unknown, Error::UnknownServer { .. }), "{unknown}");

    let empty = &mut hop_kerberos::ccache::CredentialCache::new(principal("alice"));
    assert!(matches!(client.service_ticket(empty, &nowhere).await, Err(Error::NoTgt { .. })));
    let mut old = login(&client, "alice", PASSWORD).await.unwrap();
    let mut tgt = old.tgt().unwrap().clone();
    tgt.end_time = SystemTime::now() - Duration::from_secs(1);
    old.store(tgt);
    assert!(matches!(client.service_ticket(&mut old, &nowhere).await, Err(Error::TgtExpired { .. })));

    let mut keytab = load_keytab(&realm.path("services.keytab")).unwrap();
    let options = TgtOptions::default();
    let nobody = client.get_tgt(&principal("alice"), Proof::Keytab(&keytab), &options).await;
    assert!(matches!(nobody, Err(Error::NoKey { .. })));
    keytab.entries.iter_mut().for_each(|entry| entry.principal = principal("alice"));
    let wrong = client.get_tgt(&principal("alice"), Proof::Keytab(&keytab), &options).await;
    assert!(matches!(wrong, Err(Error::WrongKey { .. })));
}

#[tokio::test]
async fn kdcs_that_do_not_do() {
    let realm = Realm::start().await;
    let good = realm.address;
    // nobody there; one that never answers; one that answers garbage; one that cuts the connection
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let silent_at = silent.local_addr().unwrap();
    let _silent_tcp = TcpListener::bind(silent_at).await.unwrap();
    let garbage = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let garbage_at = garbage.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        while let Ok((_, peer)) = garbage.recv_from(&mut buffer).await {
            let _ = garbage.send_to(b"HTTP/1.1 400 Bad Request\r\n\r\n", peer).await;
        }
    });
    let huge = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let huge_at = huge.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = huge.accept().await {
            let _ = stream.read_u32().await;
            let _ = stream.write_all(&[0x7f; 100]).await;
        }
    });
    let closed_at = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };

    let bad = [
        format!("kdc = {closed_at}"),
        format!("kdc = {silent_at}"),
        format!("kdc = {garbage_at}"),
        format!("kdc = tcp/{huge_at}"),
        "kdc = no.such.name.invalid".to_owned(),
    ];
    for kdc in &bad {
        // alone: a clear error, in time
        let begun = Instant::now();
        let error = login(&with_kdcs(kdc), "alice", PASSWORD).await.unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(5));
        let Error::KdcUnreachable { attempts, .. } = &error else { panic!("{error}") };
        let fits = match &attempts[0].1 {
            AttemptError::Io(_) => kdc.contains(&closed_at.to_string()),
            AttemptError::Timeout(_) => kdc.contains(&silent_at.to_string()),
            AttemptError::Garbage { length: 28 } => kdc.contains(&garbage_at.to_string()),
            AttemptError::TooLong { .. } => kdc.contains(&huge_at.to_string()),
            AttemptError::Name(_) => kdc.contains("invalid"),
            _ => false,
        };
        assert!(fits, "{kdc}: {error}");
        // with a good one behind it: no matter
        login(&with_kdcs(&format!("{kdc}\n kdc = {good}")), "alice", PASSWORD).await.unwrap();
    }
    let all = with_kdcs(&bad.join("\n"));
    let Error::KdcUnreachable { attempts, .. } = login(&all, "alice", PASSWORD).await.unwrap_err() else {
        panic!()
    };
    assert_eq!(attempts.len(), bad.len());
    // garbage that begins like an answer is the protocol's to refuse
    let cut = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let cut_at = cut.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = cut.accept().await {
            let _ = stream.write_all(&[0, 0, 0, 3, 0x6b, 0x30, 0x00]).await;
            let _ = stream.read(&mut [0; 4096]).await;
        }
    });
    let error = login(&with_kdcs(&format!("kdc = tcp/{cut_at}")), "alice", PASSWORD).await.unwrap_err();
    assert!(matches!(error, Error::Kerberos(hop_kerberos::Error::Malformed { .. })), "{error}");
}

#[tokio::test]
async fn a_clock_that_is_wrong() {
    let realm = Realm::start_with_clock(3600).await;
    // by default the KDC's clock counts, and the difference is kept with the tickets
    let client = client(&realm);
    let mut cache = login(&client, "alice", PASSWORD).await.unwrap();
    let offset = cache.kdc_offset.unwrap();
    assert!((3595..=3600).contains(&offset.seconds), "{offset:?}");
    client.service_ticket(&mut cache, &principal("HTTP/servera.hop.test")).await.unwrap();
    realm.write_config(&format!("kdc = {}", realm.address), "kdc_timesync = 0");
    let strict = self::client(&realm);
    let error = login(&strict, "alice", PASSWORD).await.unwrap_err();
    assert!(matches!(error, Error::Skew { .. }), "{error}");
    cache.kdc_offset = None;
    let error = strict.service_ticket(&mut cache, &principal("HTTP/serverb.hop.test")).await.unwrap_err();
    assert!(matches!(error, Error::Skew { .. }), "{error}");
}

#[tokio::test]
async fn names_from_environment_and_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    std::fs::create_dir(path("d")).unwrap();
    std::fs::write(path("d/b.conf"), "[libdefaults]\n default_realm = B\n").unwrap();
    std::fs::write(path("d/a"), "[libdefaults]\n default_realm = A\n").unwrap();
    std::fs::write(path("d/.hidden.conf"), "nonsense").unwrap();
    std::fs::write(path("d/backup~"), "nonsense").unwrap();
    std::fs::write(
        path("main"),
        format!(
            "includedir {}\ninclude {}\n[libdefaults]\n default_ccache_name = FILE:%{{TEMP}}/cc_%{{uid}}\n",
            path("d"),
            path("more")
        ),
    )
    .unwrap();
    std::fs::write(path("more"), "[libdefaults]\n default_keytab_name = /k_%{username}\n").unwrap();
    let environment = Environment {
        config: Some(format!("{}:{}", path("missing"), path("main"))),
        ccache: None,
        keytab: None,
        client_keytab: None,
        realm: None,
        kdcs: Vec::new(),
        uid: 7,
        effective_uid: 8,
        user_name: "alice".into(),
        temporary: "/t".into(),
    };
    let config = environment.load_config().unwrap();
    assert_eq!(config.default_realm(), Some("A"));
    assert_eq!(environment.ccache_name(&config).unwrap(), "FILE:/t/cc_7");
    assert_eq!(environment.keytab_name(&config).unwrap(), "/k_alice");
    assert_eq!(environment.ccache_name(&Config::default()).unwrap(), "FILE:/tmp/krb5cc_7");
    let named = Environment { ccache: Some("FILE:/x".into()), ..environment.clone() };
    assert_eq!(named.ccache_name(&config).unwrap(), "FILE:/x");
    let missing = Environment { config: Some(path("missing")), ..environment.clone() };
    assert!(matches!(missing.load_config(), Err(Error::NoConfig(_))));
    std::fs::remove_file(path("more")).unwrap();
    let error = environment.load_config().unwrap_err().to_string();
    assert!(error.contains("main") && error.contains("more"), "{error}");

    let damaged = FileCcache::new(path("main"));
    assert!(matches!(damaged.load(), Err(Error::Ccache { .. })));
}

#[tokio::test]
async fn many_writers_lose_no_ticket() {
    let realm = Realm::start().await;
    let client = client(&realm);
    let file = FileCcache::new(realm.path("cc"));
    file.save(&login(&client, "alice", PASSWORD).await.unwrap()).unwrap();
    let names = ["HTTP/servera.hop.test", "HTTP/serverb.hop.test", "HTTP/trusted.hop.test"];
    let mut tasks = tokio::task::JoinSet::new();
    for name in names.into_iter().cycle().take(12) {
        let (client, file) = (client.clone(), file.clone());
        tasks.spawn(async move {
            client.get_service_ticket(&file.clone().into(), &principal(name)).await.unwrap()
        });
    }
    tasks.join_all().await;
    assert_eq!(file.load().unwrap().credentials().count(), 1 + names.len());
    assert_eq!(
        std::fs::read_dir(realm.directory.path())
            .unwrap()
            .filter(|e| { e.as_ref().unwrap().file_name().to_string_lossy().starts_with("cc") })
            .count(),
        1
    );
}

#[tokio::test]
async fn tickets_are_renewed_while_they_can_be() {
    let realm = Realm::start().await;
    let client = client(&realm);
    let (lifetime, renewable_for) = (Some(Duration::from_secs(3600)), Some(Duration::from_secs(7200)));
    let wanted = TgtOptions { forwardable: Some(true), lifetime, renewable_for, ..TgtOptions::default() };
    let alice = principal("alice");
    let mut cache = client.get_tgt(&alice, Proof::Password(&PASSWORD.into()), &wanted).await.unwrap();
    let first = cache.tgt().unwrap().clone();
    let due = hop_kerberos_io::renewal_time(&first).unwrap();
    assert_eq!(due.duration_since(first.auth_time).unwrap(), Duration::from_secs(2400));
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let renewed = client.renew(&mut cache).await.unwrap();
    assert!(renewed.end_time > first.end_time && renewed.renew_till == first.renew_till);
    assert!(renewed.flags.contains(TicketFlags::RENEWABLE | TicketFlags::FORWARDABLE));
    assert_eq!((cache.credentials().count(), cache.tgt().unwrap()), (1, &renewed));
    client.service_ticket(&mut cache, &principal("HTTP/servera.hop.test")).await.unwrap();

    let wanted = TgtOptions { lifetime, ..TgtOptions::default() };
    let mut cache = client.get_tgt(&alice, Proof::Password(&PASSWORD.into()), &wanted).await.unwrap();
    assert!(matches!(client.renew(&mut cache).await, Err(Error::NotRenewable { .. })));
    let mut empty = hop_kerberos::ccache::CredentialCache::new(alice);
    assert!(matches!(client.renew(&mut empty).await, Err(Error::NoTgt { .. })));
}

#[tokio::test]
async fn kdcs_named_outside_of_files() {
    let realm = Realm::start().await;
    // What stands in the file leads nowhere.
    realm.write_config("kdc = 127.0.0.1:1", "");
    let environment = realm.environment("MEMORY:x");
    let named = Environment { kdcs: vec![realm.address.to_string()], ..environment.clone() };
    let with = |environment: Environment| KdcClient::from_environment(&environment).unwrap();
    login(&with(named.clone()), "alice", PASSWORD).await.unwrap();
    // No file at all.
    let nothing = Environment { config: Some("/dev/null".into()), ..named };
    assert!(matches!(KdcClient::from_environment(&nothing), Err(Error::KdcsWithoutRealm)));
    let client = with(Environment { realm: Some("HOP.TEST".into()), ..nothing });
    assert_eq!(client.client_principal("alice").await.unwrap(), principal("alice"));
    let mut cache = login(&client, "alice", PASSWORD).await.unwrap();
    let server = client.service_principal("HTTP", "servera.hop.test", &cache.principal);
    client.service_ticket(&mut cache, &server).await.unwrap();
    for realm in ["", "A B", "A\n[realms]", "A}"] {
        let wrong = Environment { realm: Some(realm.into()), ..environment.clone() };
        assert!(matches!(wrong.load_config(), Err(Error::RealmName(_))), "{realm:?}");
    }
    let wrong = Environment { kdcs: vec!["ftp://x".into()], ..environment };
    assert!(matches!(wrong.load_config(), Err(Error::KdcAddress(_))));
}
