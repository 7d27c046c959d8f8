//! MIT's kvno asks our KDC for tickets in users' names.

#![allow(clippy::unwrap_used, reason = "tests may panic")]

mod common;

use common::{Realm, mit_is_installed, principal, succeeded, text};
use hop_kerberos::kdc::EntryFlags;

/// What kvno prints, by service and further arguments; the service has a forwardable ticket-granting ticket.
async fn kvno(realm: &Realm, front: &str, args: &[&str]) -> std::process::Output {
    let (ccache, keytab) = (realm.path("front"), realm.path("services.keytab"));
    let keytab = keytab.to_str().unwrap().to_owned();
    succeeded(&realm.run("kinit", &["-f", "-k", "-t", &keytab, front], &ccache, "").await);
    let mut arguments = vec!["-k", &keytab];
    arguments.extend(args);
    realm.run("kvno", &arguments, &ccache, "").await
}

#[tokio::test]
async fn kvno_asks_for_itself_and_for_others() {
    if !mit_is_installed() {
        return;
    }
    let realm = Realm::start().await;
    let (front, back) = ("HTTP/servera.hop.test", "HTTP/serverb.hop.test");
    let change = |name: &str, change: &dyn Fn(&mut hop_kerberos::kdc::Entry)| {
        change(realm.database.lock().unwrap().get_mut(&principal(name)).unwrap());
    };

    // S4U2Self, and the ticket in the cache
    succeeded(&kvno(&realm, front, &["-U", "alice", front]).await);
    let listed = succeeded(&realm.run("klist", &["-f"], &realm.path("front"), "").await);
    assert!(listed.contains("for client alice@HOP.TEST"), "{listed}");
    let nobody = kvno(&realm, front, &["-U", "nobody", front]).await;
    assert!(text(&nobody).contains("not found in Kerberos database"), "{}", text(&nobody));
    let other = kvno(&realm, front, &["-U", "alice", back]).await;
    assert!(!other.status.success(), "{}", text(&other));

    // S4U2Proxy: not allowed, allowed by the front end's list, by the target
    let refused = |output: &std::process::Output| {
        let text = text(output);
        assert!(!output.status.success() && text.contains("KDC can't fulfill requested option"), "{text}");
    };
    refused(&kvno(&realm, front, &["-U", "alice", "-P", back]).await);
    change(front, &|entry| {
        entry.allowed_to_delegate_to = vec![principal(back)];
        entry.flags |= EntryFlags::TRUSTED_TO_AUTH;
    });
    let got = succeeded(&kvno(&realm, front, &["-U", "alice", "-P", back]).await);
    assert!(got.contains("HTTP/serverb.hop.test@HOP.TEST: kvno = 1"), "{got}");
    refused(&kvno(&realm, front, &["-U", "sensitive", "-P", back]).await);
    change(front, &|entry| {
        entry.allowed_to_delegate_to.clear();
        entry.flags -= EntryFlags::TRUSTED_TO_AUTH;
    });
    refused(&kvno(&realm, front, &["-U", "alice", "-P", back]).await);
    change(back, &|entry| entry.allowed_to_act = vec![principal(front)]);
    succeeded(&kvno(&realm, front, &["-U", "alice", "-P", back]).await);
}
