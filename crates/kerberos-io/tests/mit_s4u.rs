//! Tickets in a user's name from MIT's krb5kdc, with the lab's module for delegation rules.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests may panic and say what they skip"
)]

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use hop_kerberos::ap::KeytabKeys;
use hop_kerberos::ccache::CredentialCache;
use hop_kerberos::config::Config;
use hop_kerberos::gss::{Acceptor, AcceptorOptions, GssFlags, Initiator, InitiatorOptions};
use hop_kerberos::replay::MemoryReplayCache;
use hop_kerberos::{Credential, ErrorCode, Principal, TicketFlags};
use hop_kerberos_io::{Error, KdcClient, Proof, TgtOptions, load_keytab};

const ONE: &str = "ONE.TEST";
const TWO: &str = "TWO.TEST";
const PASSWORD: &str = "Alice-2026";

/// A KDC of two realms that trust each other.
struct Kdc {
    process: Child,
    directory: tempfile::TempDir,
    client: KdcClient,
}

impl Drop for Kdc {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("{}", std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default());
        }
    }
}

fn principal(name: &str) -> Principal {
    Principal::parse(name, Some(ONE)).unwrap()
}

/// The KDC with these delegation rules; nothing where MIT's KDC or a C compiler is not installed.
fn kdc() -> Option<Kdc> {
    let programs = ["/usr/sbin/krb5kdc", "/usr/sbin/kdb5_util", "/usr/sbin/kadmin.local"];
    if !programs.iter().all(|p| Path::new(p).exists()) {
        eprintln!("skipped: no krb5kdc");
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let d = directory.path();
    let Some(()) = build_module(d) else {
        eprintln!("skipped: no db2.so, cc or libkrb5-dev for the module with delegation rules");
        return None;
    };
    // Free a moment ago is good enough.
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let shown = d.display();
    let text = format!(
        "[libdefaults]\n default_realm = {ONE}\n dns_lookup_kdc = false\n[realms]\n \
         {ONE} = {{\n  kdc = 127.0.0.1:{port}\n }}\n {TWO} = {{\n  kdc = 127.0.0.1:{port}\n }}\n\
         [domain_realm]\n .one.test = {ONE}\n .two.test = {TWO}\n"
    );
    std::fs::write(d.join("krb5.conf"), &text).unwrap();
    let realms: String = [ONE, TWO]
        .map(|r| {
            format!(" {r} = {{\n  database_module = {r}\n  key_stash_file = {shown}/{r}.stash\n  acl_file = {shown}/acl\n }}\n")
        })
        .concat();
    let modules: String = [ONE, TWO]
        .map(|r| format!(" {r} = {{\n  db_library = deleg\n  database_name = {shown}/{r}.db\n }}\n"))
        .concat();
    let config = format!(
        "[kdcdefaults]\n kdc_listen = 127.0.0.1:{port}\n kdc_tcp_listen = 127.0.0.1:{port}\n\
         [logging]\n kdc = FILE:{shown}/log\n[realms]\n{realms}[dbmodules]\n db_module_dir = {shown}\n{modules}"
    );
    std::fs::write(d.join("kdc.conf"), config).unwrap();
    let rules = "proxy HTTP/kcd.one.test@ONE.TEST HTTP/serverb.one.test@ONE.TEST\n\
                 proxy HTTP/kcdany.one.test@ONE.TEST HTTP/serverb.one.test@ONE.TEST\n\
                 rbcd HTTP/rbcdback.one.test@ONE.TEST HTTP/rbcdfront.one.test@ONE.TEST\n\
                 rbcd HTTP/rbcdback.two.test@TWO.TEST HTTP/rbcdfront.one.test@ONE.TEST\n";
    std::fs::write(d.join("rules"), rules).unwrap();
    let command = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("KRB5_CONFIG", d.join("krb5.conf"))
            .env("KRB5_KDC_PROFILE", d.join("kdc.conf"))
            .env("KDB_DELEG_RULES", d.join("rules"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    };
    let run = |program: &str, arguments: &[&str]| {
        assert!(command(program, arguments).status().unwrap().success(), "{arguments:?}");
    };
    for realm in [ONE, TWO] {
        run(programs[1], &["-r", realm, "create", "-s", "-P", "master"]);
        let domain = realm.to_lowercase();
        let mut queries = vec![
            format!("addprinc -pw {PASSWORD} alice"),
            format!("addprinc -pw {PASSWORD} -allow_forwardable sensitive"),
        ];
        for (service, attribute) in [
            ("kcd", ""),
            ("kcdany", "+ok_to_auth_as_delegate"),
            ("rbcdfront", ""),
            ("rbcdback", ""),
            ("serverb", ""),
            ("other", ""),
        ] {
            queries.push(format!("addprinc -randkey {attribute} HTTP/{service}.{domain}"));
            queries.push(format!("ktadd -q -k {shown}/{service}.{domain}.keytab HTTP/{service}.{domain}"));
        }
        for trust in ["ONE.TEST@TWO.TEST", "TWO.TEST@ONE.TEST"] {
            queries.push(format!("addprinc -pw Cross-{trust} -e aes256-cts:normal krbtgt/{trust}"));
        }
        for query in queries {
            run(programs[2], &["-r", realm, "-q", &query]);
        }
    }
    let mut process = command(programs[0], &["-n", "-r", ONE, "-r", TWO]).spawn().unwrap();
    for _ in 0..100 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        assert!(process.try_wait().unwrap().is_none(), "{}", std::fs::read_to_string(d.join("log")).unwrap());
        std::thread::sleep(Duration::from_millis(20));
    }
    let client = KdcClient::new(Config::parse(text.as_bytes()).unwrap());
    Some(Kdc { process, directory, client })
}

fn build_module(directory: &Path) -> Option<()> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/lab/kdb_deleg.c");
    let db2 = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|e| e.path().join("krb5/plugins/kdb/db2.so"));
    let db2 = db2.chain([PathBuf::from("/usr/lib/krb5/plugins/kdb/db2.so")]).find(|p| p.exists())?;
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", &format!("-DDB2_SO=\"{}\"", db2.display()), "-o"])
        .arg(directory.join("deleg.so"))
        .arg(source)
        .args(["-lkrb5", "-ldl"])
        .stderr(Stdio::null())
        .status()
        .ok()?;
    built.success().then_some(())
}

impl Kdc {
    fn keytab(&self, host: &str) -> hop_kerberos::keytab::Keytab {
        load_keytab(&self.directory.path().join(format!("{host}.keytab"))).unwrap()
    }

    /// A service with its own ticket-granting ticket.
    async fn front(&self, name: &str) -> CredentialCache {
        let service = principal(name);
        let keytab = self.keytab(&service.components[1]);
        // S4U2Self gives forwardable tickets for a forwardable one only.
        let options = TgtOptions { forwardable: Some(true), ..TgtOptions::default() };
        self.client.get_tgt(&service, Proof::Keytab(&keytab), &options).await.unwrap()
    }

    /// What a user's client shows to a service.
    async fn evidence(&self, user: &str, service: &Principal) -> Credential {
        let options = TgtOptions { forwardable: Some(true), ..TgtOptions::default() };
        let password = PASSWORD.into();
        let mut cache =
            self.client.get_tgt(&principal(user), Proof::Password(&password), &options).await.unwrap();
        let ticket = self.client.service_ticket(&mut cache, service).await.unwrap();
        let (client, flags) = self.accept(&ticket);
        assert_eq!((client, flags), (principal(user), ticket.flags));
        // As the service sees it: without anything but the ticket.
        Credential { session_key: self.accepted(&ticket).evidence.session_key, ..ticket }
    }

    fn accepted(&self, ticket: &Credential) -> hop_kerberos::gss::Accepted {
        let options = InitiatorOptions {
            credential: ticket,
            forwarded: None,
            channel_bindings: None,
            advertise_bindings: false,
            flags: GssFlags::CONF | GssFlags::INTEG,
        };
        let now = SystemTime::now();
        let (token, _) = Initiator::new(&options, now, &mut rand::rng()).unwrap();
        let keytab = self.keytab(&ticket.server.components[1]);
        let mut keys = KeytabKeys::new(&keytab);
        let mut replay = MemoryReplayCache::default();
        let options = AcceptorOptions::default();
        Acceptor::accept(&token, &mut keys, &mut replay, &options, now, &mut rand::rng()).unwrap()
    }

    /// Whom a service takes the owner of a ticket for.
    fn accept(&self, ticket: &Credential) -> (Principal, TicketFlags) {
        let accepted = self.accepted(ticket);
        (accepted.client, accepted.ticket_flags)
    }
}

#[track_caller]
fn refused_with(result: Result<Credential, Error>, expected: ErrorCode) {
    match result {
        Err(Error::DelegationRefused { code, status: None, .. }) => assert_eq!(code, expected),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn constrained_delegation() {
    let Some(kdc) = kdc() else { return };
    let client = &kdc.client;
    let back = principal("HTTP/serverb.one.test");

    let front = kdc.front("HTTP/kcd.one.test").await;
    let evidence = kdc.evidence("alice", &front.principal).await;
    let ticket = client.s4u2proxy(&front, &evidence, &back).await.unwrap();
    assert_eq!((&ticket.client, &ticket.server), (&principal("alice"), &back));
    assert_eq!(kdc.accept(&ticket).0, principal("alice"));

    // a target that is not on the list
    let other = client.s4u2proxy(&front, &evidence, &principal("HTTP/other.one.test")).await;
    refused_with(other, ErrorCode::KDC_ERR_BADOPTION);
    // one that there is not
    let none = client.s4u2proxy(&front, &evidence, &principal("HTTP/none.one.test")).await;
    assert!(matches!(none, Err(Error::UnknownServer { .. })), "{none:?}");
    // a front end that has no list
    let unlisted = kdc.front("HTTP/other.one.test").await;
    let shown = kdc.evidence("alice", &unlisted.principal).await;
    refused_with(client.s4u2proxy(&unlisted, &shown, &back).await, ErrorCode::KDC_ERR_BADOPTION);
    // evidence that was shown to somebody else
    let stolen = client.s4u2proxy(&front, &shown, &back).await;
    refused_with(stolen, ErrorCode::KDC_ERR_SERVER_NOMATCH);
    // a user who must not be delegated: the ticket is not forwardable
    let shown = kdc.evidence("sensitive", &front.principal).await;
    assert!(!shown.flags.contains(TicketFlags::FORWARDABLE));
    refused_with(client.s4u2proxy(&front, &shown, &back).await, ErrorCode::KDC_ERR_BADOPTION);
}

#[tokio::test]
async fn protocol_transition() {
    let Some(kdc) = kdc() else { return };
    let client = &kdc.client;
    let back = principal("HTTP/serverb.one.test");
    let alice = principal("alice");

    let front = kdc.front("HTTP/kcdany.one.test").await;
    let own = client.s4u2self(&front, &alice, &front.principal, &[]).await.unwrap();
    assert_eq!((&own.client, &own.server), (&alice, &front.principal));
    assert!(own.flags.contains(TicketFlags::FORWARDABLE));
    assert_eq!(kdc.accept(&own).0, alice);
    let ticket = client.s4u2proxy(&front, &own, &back).await.unwrap();
    assert_eq!(kdc.accept(&ticket).0, alice);

    // somebody who is not there, and somebody who must not be delegated
    let nobody = client.s4u2self(&front, &principal("nobody"), &front.principal, &[]).await;
    assert!(
        matches!(&nobody, Err(Error::UnknownClient { client }) if *client == principal("nobody")),
        "{nobody:?}"
    );
    let own = client.s4u2self(&front, &principal("sensitive"), &front.principal, &[]).await.unwrap();
    assert!(!own.flags.contains(TicketFlags::FORWARDABLE));
    refused_with(client.s4u2proxy(&front, &own, &back).await, ErrorCode::KDC_ERR_BADOPTION);
    // a ticket for another service than oneself
    let other = client.s4u2self(&front, &alice, &back, &[]).await;
    assert!(matches!(other, Err(Error::DelegationRefused { .. })), "{other:?}");
}

#[tokio::test]
async fn resource_based_delegation() {
    let Some(kdc) = kdc() else { return };
    let client = &kdc.client;
    let back = principal("HTTP/rbcdback.one.test");

    let front = kdc.front("HTTP/rbcdfront.one.test").await;
    let evidence = kdc.evidence("alice", &front.principal).await;
    let ticket = client.s4u2proxy(&front, &evidence, &back).await.unwrap();
    assert_eq!(kdc.accept(&ticket).0, principal("alice"));
    let own = client.s4u2self(&front, &principal("alice"), &front.principal, &[]).await.unwrap();
    let ticket = client.s4u2proxy(&front, &own, &back).await.unwrap();
    assert_eq!(kdc.accept(&ticket).0, principal("alice"));

    let shown = kdc.evidence("sensitive", &front.principal).await;
    refused_with(client.s4u2proxy(&front, &shown, &back).await, ErrorCode::KDC_ERR_BADOPTION);
    let other = kdc.front("HTTP/other.one.test").await;
    let shown = kdc.evidence("alice", &other.principal).await;
    refused_with(client.s4u2proxy(&other, &shown, &back).await, ErrorCode::KDC_ERR_BADOPTION);
}

#[tokio::test]
async fn across_realms() {
    let Some(kdc) = kdc() else { return };
    let client = &kdc.client;
    // the target is in another realm and names the front end
    let front = kdc.front("HTTP/rbcdfront.one.test").await;
    let evidence = kdc.evidence("alice", &front.principal).await;
    let back = principal("HTTP/rbcdback.two.test@TWO.TEST");
    let ticket = client.s4u2proxy(&front, &evidence, &back).await.unwrap();
    assert_eq!(kdc.accept(&ticket).0, principal("alice"));
    // and one that does not
    let other = client.s4u2proxy(&front, &evidence, &principal("HTTP/other.two.test@TWO.TEST")).await;
    refused_with(other, ErrorCode::KDC_ERR_BADOPTION);
    // the user is in another realm
    let stranger = principal("alice@TWO.TEST");
    let own = client.s4u2self(&front, &stranger, &front.principal, &[]).await.unwrap();
    assert_eq!(kdc.accept(&own).0, stranger);
}
