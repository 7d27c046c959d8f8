//! What goes over the wire to hosts that the policy does not list: nothing.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::{policy, quick};
use hop_auth::UserName;
use hop_client::{
    Connection, Hosts,
    authentication::{Authentication, Login, Password, PasswordPolicy},
    http::Settings,
    tls::{TlsOptions, Trust},
    winrs::ShellOptions,
};
use tokio::io::AsyncReadExt as _;

const HOST: &str = "servera.hop.test";

/// A listener that counts: connections, and bytes that came over them.
async fn counting() -> (u16, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let counts = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (connections, bytes) = counts.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            connections.fetch_add(1, Ordering::SeqCst);
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                bytes.fetch_add(count, Ordering::SeqCst);
            }
        }
    });
    (port, counts.0, counts.1)
}

#[tokio::test]
async fn nothing_is_sent_to_hosts_that_the_policy_does_not_list() {
    let (port, connections, bytes) = counting().await;
    let run = async |authentication, typed: &str, guard: PasswordPolicy, https: bool, trust| {
        let mut target = Hosts::default().resolve(typed).unwrap();
        (target.address, target.port, target.https) = ("127.0.0.1".to_owned(), port, https);
        let login = Login {
            authentication,
            password: Some(Password { name: UserName::parse("alice"), password: "Pässwörd-€".into() }),
            allow_ntlm: true,
            policy: guard,
            ..Login::default()
        };
        let soon = Duration::from_millis(300);
        let tls = TlsOptions { trust, certificate: None };
        let settings = Settings { authenticate: soon, network: soon, tls, ..quick() };
        let error = match Connection::open(target, login, settings) {
            Ok(connection) => connection.open_shell(ShellOptions::default()).await.unwrap_err(),
            Err(error) => error,
        };
        error.refusal().map(|refusal| (refusal.code(), refusal.error_id()))
    };
    let (credssp, ntlm, negotiate) =
        (Authentication::CredSsp, Authentication::Ntlm, Authentication::Negotiate);
    let all = ["*"];
    let mut off = policy(&all, &all, &all);
    Arc::make_mut(&mut off.policy).client = None;
    let mut denied = policy(&all, &all, &all);
    let same = denied.policy.allow_fresh.clone();
    Arc::make_mut(&mut denied.policy).deny_fresh = same;
    let code = |code: u32, id: &str| Some((code, id.to_owned()));
    let not_listed = || code(2_150_859_171, "-2144108125");
    for (authentication, typed, guard, https, trust, expected) in [
        (credssp, HOST, PasswordPolicy::default(), false, Trust::System, code(2_150_859_170, "-2144108126")),
        (credssp, HOST, off, false, Trust::System, code(2_150_859_170, "-2144108126")),
        (credssp, HOST, denied, false, Trust::System, not_listed()),
        (credssp, HOST, policy(&["wsman/*.other.test"], &[], &all), false, Trust::System, not_listed()),
        // The short name and the address are not what the list has, whatever the resolver makes of them.
        (credssp, "servera", policy(&["wsman/*.hop.test"], &[], &all), false, Trust::System, not_listed()),
        (credssp, "127.0.0.1", policy(&["wsman/*.hop.test"], &[], &all), false, Trust::System, not_listed()),
        (credssp, HOST, policy(&["wsman/other"], &[], &all), true, Trust::Anything, not_listed()),
        (ntlm, HOST, policy(&all, &all, &[]), false, Trust::System, code(2_150_858_980, "ServerNotTrusted")),
        (
            ntlm,
            HOST,
            policy(&all, &all, &["servera"]),
            false,
            Trust::System,
            code(2_150_858_980, "ServerNotTrusted"),
        ),
        (ntlm, HOST, policy(&all, &all, &[]), true, Trust::Anything, code(2_150_858_980, "ServerNotTrusted")),
        (
            ntlm,
            "127.0.0.1",
            policy(&all, &all, &[]),
            false,
            Trust::System,
            code(2_150_858_980, "ServerNotTrusted"),
        ),
        (
            negotiate,
            HOST,
            policy(&all, &all, &[]),
            false,
            Trust::System,
            code(2_150_858_980, "ServerNotTrusted"),
        ),
        (
            negotiate,
            "127.0.0.1",
            policy(&all, &all, &[]),
            false,
            Trust::System,
            code(2_150_859_195, "CannotUseIPAddress"),
        ),
    ] {
        let got = run(authentication, typed, guard, https, trust).await;
        assert_eq!(got, expected, "{authentication} {typed} https {https}");
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let counted = || (connections.load(Ordering::SeqCst), bytes.load(Ordering::SeqCst));
    assert_eq!(counted(), (0, 0), "connections and bytes");
    // The same listener counts what is allowed to go.
    for (authentication, https, trust) in
        [(credssp, false, Trust::Anything), (ntlm, false, Trust::System), (negotiate, false, Trust::System)]
    {
        let before = counted();
        assert_eq!(run(authentication, HOST, policy(&all, &[], &all), https, trust).await, None);
        let after = counted();
        assert!(after.0 > before.0 && after.1 > before.1, "{authentication}: {before:?} {after:?}");
    }
}
