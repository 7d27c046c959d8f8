//! MIT's kinit, klist and kvno against our KDC, and reading and writing our files.

mod common;

use common::{PASSWORD, Realm, mit_is_installed, principal, succeeded, text};
use hop_kerberos::TicketFlags;
use hop_kerberos_io::{FileCcache, load_keytab};

#[tokio::test]
async fn kinit_klist_and_kvno_accept_our_kdc() {
    if !mit_is_installed() {
        return;
    }
    let realm = Realm::start().await;
    let ccache = realm.path("cc");
    succeeded(&realm.run("kinit", &["-f", "-p", "-r", "2d", "alice"], &ccache, PASSWORD).await);
    let listed = succeeded(&realm.run("klist", &["-f", "-e"], &ccache, "").await);
    assert!(listed.contains("Default principal: alice@HOP.TEST"), "{listed}");
    assert!(listed.contains("Flags: FPRIA"), "{listed}");
    assert!(listed.contains("aes256-cts-hmac-sha1-96"), "{listed}");
    let got =
        succeeded(&realm.run("kvno", &["HTTP/servera.hop.test", "HTTP/trusted.hop.test"], &ccache, "").await);
    assert!(got.contains("HTTP/servera.hop.test@HOP.TEST: kvno = 1"), "{got}");
    // kvno -k opens the tickets with the keytab we wrote
    let keytab = realm.path("services.keytab");
    let keytab = keytab.to_str().unwrap();
    succeeded(&realm.run("kvno", &["-k", keytab, "HTTP/serverb.hop.test"], &ccache, "").await);
    let listed = succeeded(&realm.run("klist", &["-f"], &ccache, "").await);
    assert!(listed.contains("Flags: FPATO"), "{listed}");

    // what MIT wrote, we read, and write again to the same bytes
    let cache = FileCcache::new(&ccache).load().unwrap();
    assert_eq!(cache.principal, principal("alice"));
    let trusted = cache.credentials().find(|c| c.server == principal("HTTP/trusted.hop.test")).unwrap();
    assert!(trusted.flags.contains(TicketFlags::OK_AS_DELEGATE | TicketFlags::FORWARDABLE));
    let bytes = std::fs::read(&ccache).unwrap();
    assert_eq!(cache.to_bytes().unwrap(), bytes);

    // renewal
    succeeded(&realm.run("kinit", &["-R"], &ccache, "").await);
    let listed = succeeded(&realm.run("klist", &["-f"], &ccache, "").await);
    assert!(listed.contains("renew until"), "{listed}");

    // with a keytab
    let keys = realm.path("alice.keytab");
    succeeded(&realm.run("kinit", &["-k", "-t", keys.to_str().unwrap(), "alice"], &ccache, "").await);
    succeeded(&realm.run("klist", &["-s"], &ccache, "").await);

    // user-to-user: two tickets of the same session
    let peer = realm.path("peer");
    succeeded(&realm.run("kinit", &["sensitive"], &peer, PASSWORD).await);
    let peer = peer.to_str().unwrap();
    succeeded(&realm.run("kvno", &["--u2u", peer, "sensitive"], &ccache, "").await);
}

#[tokio::test]
async fn kinit_over_tcp() {
    if !mit_is_installed() {
        return;
    }
    let realm = Realm::start().await;
    realm.write_config(&format!("kdc = {}", realm.address), "udp_preference_limit = 1");
    let ccache = realm.path("cc");
    succeeded(&realm.run("kinit", &["alice"], &ccache, PASSWORD).await);
    succeeded(&realm.run("kvno", &["HTTP/servera.hop.test"], &ccache, "").await);
}

#[tokio::test]
async fn refusals_come_in_mits_words() {
    if !mit_is_installed() {
        return;
    }
    let realm = Realm::start().await;
    let ccache = realm.path("cc");
    for (user, password, words) in [
        ("alice", "wrong", "Password incorrect"),
        ("nobody", PASSWORD, "not found in Kerberos database"),
        ("locked", PASSWORD, "credentials have been revoked"),
        ("HTTP/servera.hop.test", PASSWORD, "incorrect"),
    ] {
        let output = realm.run("kinit", &[user], &ccache, password).await;
        let text = text(&output);
        assert!(!output.status.success() && text.contains(words), "{user}: {text}");
    }
    // an account that cannot be delegated: no forwardable ticket, however much it asks
    succeeded(&realm.run("kinit", &["-f", "sensitive"], &ccache, PASSWORD).await);
    let listed = succeeded(&realm.run("klist", &["-f"], &ccache, "").await);
    assert!(listed.contains("Flags: RIA"), "{listed}");
    let unknown = realm.run("kvno", &["HTTP/nowhere.hop.test"], &ccache, "").await;
    assert!(text(&unknown).contains("Server HTTP/nowhere.hop.test@HOP.TEST not found"), "{}", text(&unknown));
    let user = realm.run("kvno", &["alice"], &ccache, "").await;
    assert!(!user.status.success(), "{}", text(&user));
}

#[tokio::test]
async fn klist_reads_our_keytabs() {
    if !mit_is_installed() {
        return;
    }
    let realm = Realm::start().await;
    let keytab = realm.path("services.keytab");
    let listed = succeeded(
        &realm.run("klist", &["-k", "-e", "-K", keytab.to_str().unwrap()], &realm.path("cc"), "").await,
    );
    assert_eq!(
        listed.matches("HTTP/servera.hop.test@HOP.TEST (aes256-cts-hmac-sha1-96)").count(),
        1,
        "{listed}"
    );
    for entry in load_keytab(&keytab).unwrap().entries {
        let hex: String = entry.key.value.expose().iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(listed.contains(&hex), "the key of {} in {listed}", entry.principal);
    }
}

#[tokio::test]
async fn we_read_the_keytabs_of_ktutil() {
    if !mit_is_installed() {
        return;
    }
    let realm = Realm::start().await;
    let keytab = realm.path("made");
    let path = keytab.display();
    let script = format!(
        "addent -password -p alice@HOP.TEST -k 300 -e aes256-cts\n{PASSWORD}\n\
         addent -password -p alice@HOP.TEST -k 2 -e aes128-cts\n{PASSWORD}\nwkt {path}\nquit\n"
    );
    if !text(&realm.run("ktutil", &[], &realm.path("cc"), &script).await).contains("ktutil") {
        eprintln!("skipped: no ktutil");
        return;
    }
    let keytab = load_keytab(&keytab).unwrap();
    let kvnos: Vec<u32> = keytab.entries.iter().map(|entry| entry.kvno).collect();
    assert_eq!(kvnos, [300, 2]);
    let ours = load_keytab(&realm.path("alice.keytab")).unwrap();
    let key = |keytab: &hop_kerberos::keytab::Keytab, etype| {
        keytab.entries.iter().find(|entry| entry.key.etype.number() == etype).unwrap().key.clone()
    };
    assert_eq!(key(&keytab, 18), key(&ours, 18));
    assert_eq!(key(&keytab, 17), key(&ours, 17));
}
