//! The way between realms, encryption types and names, against MIT's krb5kdc.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests may panic and say what they skip"
)]

mod common;

use common::mit::{MitRealm, krb5kdc_is_installed, run};
use common::{mit_is_installed, succeeded};
use hop_kerberos::Principal;
use hop_kerberos::ccache::CredentialCache;
use hop_kerberos::config::Config;
use hop_kerberos_io::{Error, KdcClient, Proof, TgtOptions};

const PASSWORD: &str = "Pa55-word";

fn client(text: &str) -> KdcClient {
    KdcClient::new(Config::parse(text.as_bytes()).unwrap())
}

async fn log_in(client: &KdcClient, name: &str) -> Result<CredentialCache, Error> {
    let who = client.client_principal(name).await.unwrap();
    client.get_tgt(&who, Proof::Password(&PASSWORD.into()), &TgtOptions::default()).await
}

/// The realms whose ticket-granting tickets a cache has.
fn visited(cache: &CredentialCache) -> Vec<String> {
    let krbtgt = cache.credentials().filter(|c| c.server.is_krbtgt());
    krbtgt.map(|c| c.server.components[1].clone()).collect()
}

/// `A.TEST` trusts `MIDDLE.EXAMPLE` trusts `B.OTHER`; and `A.TEST` trusts its parent `TEST`, which trusts `C.TEST`.
#[tokio::test]
async fn the_way_between_realms() {
    if !krb5kdc_is_installed() {
        return;
    }
    let cross = |to: &str, from: &str| format!("addprinc -pw cross-{to} krbtgt/{to}@{from}");
    let service = |host: &str| format!("addprinc -randkey HTTP/{host}");
    // The service's KDC accepts a client from afar only if it knows the way, too. The client's does not, and leads
    // elsewhere.
    let known = "[capaths]\n A.TEST = {\n  B.OTHER = MIDDLE.EXAMPLE\n }\n";
    let start = |realm: &str, queries: &[String]| {
        let knows = if realm == "B.OTHER" { known } else { "" };
        MitRealm::start(realm, knows, &queries.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let (middle, b, top, c) = (
        cross("MIDDLE.EXAMPLE", "A.TEST"),
        cross("B.OTHER", "MIDDLE.EXAMPLE"),
        cross("TEST", "A.TEST"),
        cross("C.TEST", "TEST"),
    );
    let kdcs = [
        start("A.TEST", &[format!("addprinc -pw {PASSWORD} alice"), middle.clone(), top.clone()]),
        start("MIDDLE.EXAMPLE", &[middle, b.clone(), service("m.middle.example")]),
        start("B.OTHER", &[b, service("h.b.other")]),
        start("TEST", &[top, c.clone()]),
        start("C.TEST", &[c, service("h.c.test")]),
    ];
    let groups: String = kdcs.iter().map(MitRealm::group).collect();
    let base = format!(
        "[libdefaults]\n default_realm = A.TEST\n dns_lookup_kdc = false\n dns_canonicalize_hostname = false\n\
         [realms]\n{groups}[domain_realm]\n .b.other = B.OTHER\n .c.test = C.TEST\n .middle.example = MIDDLE.EXAMPLE\n"
    );
    let capaths = format!("{base}{known}");

    let by_names = client(&base);
    let with_capaths = client(&capaths);
    let cache = log_in(&by_names, "alice").await.unwrap();
    let get = async |client: &KdcClient, host: &str| {
        let mut cache = cache.clone();
        let server = client.service_principal("HTTP", host, &cache.principal);
        client.service_ticket(&mut cache, &server).await.map(|_| visited(&cache))
    };
    assert_eq!(get(&by_names, "m.middle.example").await.unwrap(), ["A.TEST", "MIDDLE.EXAMPLE"]);
    assert_eq!(get(&with_capaths, "h.b.other").await.unwrap(), ["A.TEST", "MIDDLE.EXAMPLE", "B.OTHER"]);
    // Nothing leads there by name.
    let error = get(&by_names, "h.b.other").await.unwrap_err();
    assert!(matches!(error, Error::UnknownServer { .. } | Error::Referrals { .. }), "{error}");
    // The names alone lead up and down again.
    assert_eq!(get(&by_names, "h.c.test").await.unwrap(), ["A.TEST", "TEST", "C.TEST"]);

    // MIT's kvno goes the same way by names. (By capaths it does not get there: it lets itself be led astray.)
    if mit_is_installed() {
        let (config, ccache) = (kdcs[0].path("client.conf"), kdcs[0].path("cc"));
        std::fs::write(&config, &capaths).unwrap();
        succeeded(&run(&config, &ccache, "kinit", &["alice"], PASSWORD).await);
        succeeded(&run(&config, &ccache, "kvno", &["HTTP/h.c.test@C.TEST"], "").await);
    }
}

#[tokio::test]
async fn encryption_types_by_configuration() {
    if !krb5kdc_is_installed() {
        return;
    }
    let queries = [
        format!("addprinc -pw {PASSWORD} +requires_preauth alice"),
        format!("addprinc -pw {PASSWORD} -e rc4-hmac:normal +requires_preauth old"),
        "addprinc -randkey HTTP/h.a.test".to_owned(),
    ];
    let queries: Vec<&str> = queries.iter().map(String::as_str).collect();
    let kdc = MitRealm::start("A.TEST", "allow_weak_crypto = true", &queries);
    let with = |more: &str| {
        client(&format!(
            "[libdefaults]\n default_realm = A.TEST\n dns_lookup_kdc = false\n {more}\n[realms]\n{}",
            kdc.group()
        ))
    };
    let service = Principal::service("A.TEST", "HTTP", "h.a.test");
    for (more, of_tgt, of_ticket) in [
        ("", 18, 18),
        ("permitted_enctypes = aes128-cts", 17, 17),
        ("default_tkt_enctypes = aes128-cts aes256-cts", 17, 18),
        ("default_tgs_enctypes = aes256-sha2", 18, 20),
        // Only what both lists have.
        (
            "permitted_enctypes = aes256-sha2 aes128-cts\n default_tkt_enctypes = aes256-cts aes128-cts",
            17,
            20,
        ),
    ] {
        let client = with(more);
        let mut cache = log_in(&client, "alice").await.unwrap();
        assert_eq!(cache.tgt().unwrap().session_key.etype.number(), of_tgt, "{more}");
        let ticket = client.service_ticket(&mut cache, &service).await.unwrap();
        assert_eq!(ticket.session_key.etype.number(), of_ticket, "{more}");
    }
    // Nothing in common, told before or by the KDC.
    let none = with("permitted_enctypes = camellia256-cts");
    assert!(matches!(log_in(&none, "alice").await, Err(Error::Kerberos(_))));
    // An account with RC4 alone: not with what is usual.
    let error = log_in(&with(""), "old").await.unwrap_err().to_string();
    assert!(error.contains("no common encryption type"), "{error}");
}

/// Between login and the next ticket the KDC's clock, or ours, is set.
#[tokio::test]
async fn a_clock_that_is_set_in_between() {
    let realm = common::Realm::start_with_clock(3600).await;
    let environment = realm.environment("MEMORY:x");
    let client = KdcClient::from_environment(&environment).unwrap();
    let alice = common::principal("alice");
    let proof = common::PASSWORD.into();
    let mut cache = client.get_tgt(&alice, Proof::Password(&proof), &TgtOptions::default()).await.unwrap();
    let service = common::principal("HTTP/servera.hop.test");
    assert!(cache.kdc_offset.take().is_some());
    // A ticket from the future, as the cache sees it; not so the KDC.
    client.service_ticket(&mut cache.clone(), &service).await.unwrap();
    realm.write_config(&format!("kdc = {}", realm.address), "kdc_timesync = 0");
    let strict = KdcClient::from_environment(&environment).unwrap();
    let refused = strict.service_ticket(&mut cache, &service).await;
    assert!(matches!(refused, Err(Error::Skew { .. })), "{refused:?}");
}
