//! Our KDC and MIT's trust each other: clients of either get tickets in the other's realm.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests may panic and say what they skip")]

mod common;

use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{PASSWORD, Realm, mit_is_installed, principal, succeeded};
use hop_kerberos::Principal;
use hop_kerberos::kdc::Entry;
use hop_kerberos_io::{Error, KdcClient, Proof, TgtOptions};

const THEIRS: &str = "MIT.TEST";
const SECRET: &str = "Between-2026";

struct Mit(Child);

impl Drop for Mit {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// MIT's KDC for its realm, in the other realm's folder; both know of the other.
fn start(ours: &Realm) -> Option<Mit> {
    let programs = ["/usr/sbin/krb5kdc", "/usr/sbin/kdb5_util", "/usr/sbin/kadmin.local"];
    if !programs.iter().all(|p| Path::new(p).exists()) {
        eprintln!("skipped: no krb5kdc");
        return None;
    }
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let d = ours.directory.path();
    let shown = d.display();
    let (realm, address) = (common::REALM, ours.address);
    let text = format!(
        "[libdefaults]\n default_realm = {realm}\n dns_lookup_kdc = false\n dns_canonicalize_hostname = false\n \
         rdns = false\n[realms]\n {realm} = {{\n kdc = {address}\n }}\n {THEIRS} = {{\n kdc = 127.0.0.1:{port}\n }}\n\
         [domain_realm]\n .hop.test = {realm}\n .mit.test = {THEIRS}\n"
    );
    std::fs::write(d.join("krb5.conf"), text).unwrap();
    let config = format!(
        "[kdcdefaults]\n kdc_listen = 127.0.0.1:{port}\n kdc_tcp_listen = 127.0.0.1:{port}\n[logging]\n \
         kdc = FILE:{shown}/log\n[realms]\n {THEIRS} = {{\n  database_name = {shown}/db\n  \
         key_stash_file = {shown}/stash\n  acl_file = {shown}/acl\n }}\n"
    );
    std::fs::write(d.join("kdc.conf"), config).unwrap();
    let command = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("KRB5_CONFIG", d.join("krb5.conf"))
            .env("KRB5_KDC_PROFILE", d.join("kdc.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    };
    let run = |program: &str, arguments: &[&str]| {
        assert!(command(program, arguments).status().unwrap().success(), "{arguments:?}");
    };
    run(programs[1], &["-r", THEIRS, "create", "-s", "-P", "master"]);
    for query in [
        &format!("addprinc -pw {PASSWORD} bob"),
        "addprinc -randkey HTTP/web.mit.test",
        &format!("ktadd -q -k {shown}/mit.keytab HTTP/web.mit.test"),
        &format!("addprinc -pw {SECRET} -e aes256-cts:normal,aes128-cts:normal krbtgt/{realm}@{THEIRS}"),
        &format!("addprinc -pw {SECRET} -e aes256-cts:normal,aes128-cts:normal krbtgt/{THEIRS}@{realm}"),
    ] {
        run(programs[2], &["-r", THEIRS, "-q", query]);
    }
    let mut process = Mit(command(programs[0], &["-n", "-r", THEIRS]).spawn().unwrap());
    for _ in 0..100 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        assert!(
            process.0.try_wait().unwrap().is_none(),
            "{}",
            std::fs::read_to_string(d.join("log")).unwrap()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    Some(process)
}

#[tokio::test]
async fn clients_of_either_get_tickets_in_the_others_realm() {
    if !mit_is_installed() {
        return;
    }
    let realm = Realm::start().await;
    let Some(_mit) = start(&realm) else { return };
    for (from, to) in [(common::REALM, THEIRS), (THEIRS, common::REALM)] {
        realm.database.lock().unwrap().insert(Entry::trust(from, to, &SECRET.into()).unwrap());
    }
    realm.database.lock().unwrap().refer(".mit.test", THEIRS);

    // MIT's client: our user at their service, their user at ours; the tickets open with the services' keytabs
    let ccache = realm.path("cc");
    succeeded(&realm.run("kinit", &["-f", "alice"], &ccache, PASSWORD).await);
    let keytab = realm.path("mit.keytab");
    succeeded(&realm.run("kvno", &["-k", keytab.to_str().unwrap(), "HTTP/web.mit.test"], &ccache, "").await);
    let ccache = realm.path("cc2");
    succeeded(&realm.run("kinit", &["-f", "bob@MIT.TEST"], &ccache, PASSWORD).await);
    let keytab = realm.path("services.keytab");
    let service = "HTTP/servera.hop.test@HOP.TEST";
    succeeded(&realm.run("kvno", &["-k", keytab.to_str().unwrap(), service], &ccache, "").await);

    // our client, by referral of our KDC
    let client = KdcClient::from_environment(&realm.environment("MEMORY:x")).unwrap();
    let password = PASSWORD.into();
    let proof = Proof::Password(&password);
    let mut cache = client.get_tgt(&principal("alice"), proof, &TgtOptions::default()).await.unwrap();
    let theirs = Principal::service(common::REALM, "HTTP", "web.mit.test");
    let ticket = client.service_ticket(&mut cache, &theirs).await.unwrap();
    assert_eq!((ticket.server.realm.as_str(), ticket.client), (THEIRS, principal("alice")));
    // and their user, who showed a ticket to our service, by constrained delegation
    let bob = Principal::new(THEIRS, &["bob"]);
    let options = TgtOptions { forwardable: Some(true), ..TgtOptions::default() };
    let mut cache = client.get_tgt(&bob, proof, &options).await.unwrap();
    let front = principal("HTTP/servera.hop.test");
    let evidence = client.service_ticket(&mut cache, &front).await.unwrap();
    let back = principal("HTTP/serverb.hop.test");
    realm.database.lock().unwrap().get_mut(&front).unwrap().allowed_to_delegate_to = vec![back.clone()];
    let keytab = hop_kerberos_io::load_keytab(&keytab).unwrap();
    let own = client.get_tgt(&front, Proof::Keytab(&keytab), &options).await.unwrap();
    let ticket = client.s4u2proxy(&own, &evidence, &back).await.unwrap();
    assert_eq!(ticket.client, bob);

    // a service of theirs: our user by S4U2Self there and back, and for that one, as for one who showed a ticket,
    // at a service of ours that allows it
    let theirs = Principal::service(THEIRS, "HTTP", "web.mit.test");
    let (ccache, keytab) = (realm.path("web"), realm.path("mit.keytab"));
    let keytab_name = keytab.to_str().unwrap();
    let name = theirs.to_string();
    succeeded(&realm.run("kinit", &["-f", "-k", "-t", keytab_name, &name], &ccache, "").await);
    succeeded(&realm.run("kvno", &["-I", "alice@HOP.TEST", "-k", keytab_name, &name], &ccache, "").await);
    let keys = hop_kerberos_io::load_keytab(&keytab).unwrap();
    let own = client.get_tgt(&theirs, Proof::Keytab(&keys), &options).await.unwrap();
    let mut cache = client.get_tgt(&principal("alice"), proof, &options).await.unwrap();
    let evidence = client.service_ticket(&mut cache, &theirs).await.unwrap();
    let refused = client.s4u2proxy(&own, &evidence, &back).await;
    assert!(matches!(refused, Err(Error::DelegationRefused { .. })), "{refused:?}");
    realm.database.lock().unwrap().get_mut(&back).unwrap().allowed_to_act = vec![theirs.clone()];
    // (our own users are not believed to be ours from abroad)
    let refused = client.s4u2proxy(&own, &evidence, &back).await;
    assert!(refused.is_err(), "{refused:?}");
    let mut cache = client.get_tgt(&bob, proof, &options).await.unwrap();
    let evidence = client.service_ticket(&mut cache, &theirs).await.unwrap();
    assert_eq!(client.s4u2proxy(&own, &evidence, &back).await.unwrap().client, bob);
    // MIT's client goes by referral only where it does not know the host's realm; its KDC still does
    let file = realm.path("krb5.conf");
    let text = std::fs::read_to_string(&file).unwrap().replace(" .hop.test = HOP.TEST\n", "");
    std::fs::write(file, text).unwrap();
    let arguments = ["-k", keytab_name, "-I", "bob@MIT.TEST", "-P", "-S", "HTTP", "serverb.hop.test"];
    succeeded(&realm.run("kvno", &arguments, &ccache, "").await);
}
