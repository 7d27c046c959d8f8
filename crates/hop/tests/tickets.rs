//! `hop login` and `hop ticket` against MIT's krb5kdc, the caches read by MIT's programs.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests may panic and say what they skip"
)]

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const REALM: &str = "TICKETS.TEST";
const PASSWORD: &str = "Pa55-word";

struct Realm {
    process: Child,
    port: u16,
    directory: tempfile::TempDir,
}

impl Drop for Realm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Realm {
    /// A fresh realm, or nothing where MIT's programs are not installed.
    fn start() -> Option<Self> {
        let programs =
            ["/usr/sbin/krb5kdc", "/usr/sbin/kdb5_util", "/usr/sbin/kadmin.local", "/usr/bin/klist"];
        if let Some(missing) = programs.iter().find(|program| !Path::new(program).exists()) {
            eprintln!("skipped: no {missing}");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let d = directory.path();
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let shown = d.display();
        std::fs::write(
            d.join("krb5.conf"),
            format!(
                "[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n rdns = false\n\
                 dns_canonicalize_hostname = false\n[realms]\n {REALM} = {{\n  kdc = 127.0.0.1:{port}\n }}\n\
                 [domain_realm]\n .tickets.test = {REALM}\n"
            ),
        )
        .unwrap();
        let config = format!(
            "[kdcdefaults]\n kdc_listen = 127.0.0.1:{port}\n kdc_tcp_listen = 127.0.0.1:{port}\n\
             [logging]\n kdc = FILE:{shown}/log\n[realms]\n {REALM} = {{\n  database_name = {shown}/db\n  \
             key_stash_file = {shown}/stash\n  acl_file = {shown}/acl\n  max_renewable_life = 7d\n }}\n"
        );
        std::fs::write(d.join("kdc.conf"), config).unwrap();
        std::fs::write(d.join("password"), format!("{PASSWORD}\nand nothing of this\n")).unwrap();
        let command = |program: &str, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
            command.env("KRB5_CONFIG", d.join("krb5.conf")).env("KRB5_KDC_PROFILE", d.join("kdc.conf"));
            command
        };
        let run = |program: &str, arguments: &[&str]| {
            assert!(command(program, arguments).status().unwrap().success(), "{program} {arguments:?}");
        };
        run(programs[1], &["-r", REALM, "create", "-s", "-P", "master"]);
        for query in [
            &format!("modprinc -maxrenewlife 7d krbtgt/{REALM}"),
            &format!("addprinc -pw {PASSWORD} -maxrenewlife 7d +requires_preauth alice"),
            &format!("addprinc -pw {PASSWORD} -maxrenewlife 7d +requires_preauth bob"),
            &format!("addprinc -pw {PASSWORD} +requires_preauth -pwexpire \"3 days\" soon"),
            &format!("addprinc -pw {PASSWORD} +requires_preauth +needchange must-change"),
            &format!("addprinc -pw {PASSWORD} +requires_preauth -pwexpire yesterday expired"),
            &format!("addprinc -pw {PASSWORD} +requires_preauth -allow_tix disabled"),
            "addprinc -randkey +ok_as_delegate HTTP/a.tickets.test",
            &format!("ktadd -norandkey -k {shown}/alice.keytab alice"),
        ] {
            run(programs[2], &["-r", REALM, "-q", query]);
        }
        let process = command(programs[0], &["-n", "-r", REALM]).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "krb5kdc does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Self { process, port, directory })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn run(&self, program: &str, cache: &str, arguments: &[&str]) -> Output {
        Command::new(program)
            .args(arguments)
            .env("KRB5_CONFIG", self.path("krb5.conf"))
            .env("KRB5CCNAME", cache)
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn hop(&self, cache: &str, arguments: &[&str]) -> Output {
        self.run(env!("CARGO_BIN_EXE_hop"), cache, arguments)
    }

    /// Logs in with the password in a file.
    fn login(&self, cache: &str, user: &str, more: &[&str]) -> Output {
        let password = self.path("password");
        let arguments = [&["login", user, "--password-file", password.to_str().unwrap()], more].concat();
        self.hop(cache, &arguments)
    }
}

#[track_caller]
fn good(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
fn bad(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn login_list_get_and_remove() {
    let Some(realm) = Realm::start() else { return };
    for cache in [
        format!("FILE:{}", realm.path("cc").display()),
        format!("DIR:{}", realm.path("ccs").display()),
        format!("KEYRING:session:hoptest{}", std::process::id()),
    ] {
        let cache = cache.as_str();
        let none = realm.hop(cache, &["ticket", "ls"]);
        if String::from_utf8_lossy(&none.stderr).contains("not permitted") {
            eprintln!("skipped: no keyrings");
            continue;
        }
        let text = bad(&none, 1);
        assert!(text.contains("does not exist") && text.contains("hop login"), "{text}");

        let text = good(&realm.login(cache, "alice", &["--lifetime", "2h", "--renewable", "5d"]));
        assert!(text.contains("alice@TICKETS.TEST in ") && text.contains("forwardable"), "{text}");
        assert!(text.contains("(1 h 59 min left)") || text.contains("(2 h 0 min left)"), "{text}");
        let klist = good(&realm.run("klist", cache, &["-f"]));
        assert!(klist.contains("Default principal: alice@TICKETS.TEST"), "{klist}");
        assert!(klist.contains("renew until") && klist.contains("Flags: FRIA"), "{klist}");

        let text = good(&realm.hop(cache, &["ticket", "get", "a.tickets.test"]));
        assert!(text.starts_with("HTTP/a.tickets.test@TICKETS.TEST\n"), "{text}");
        assert!(text.contains("ok-as-delegate"), "{text}");
        assert!(good(&realm.run("klist", cache, &["-f"])).contains("HTTP/a.tickets.test@TICKETS.TEST"));
        let text = bad(&realm.hop(cache, &["ticket", "get", "CIFS/nowhere.tickets.test"]), 1);
        assert!(text.contains("does not know the service") && text.contains("setspn"), "{text}");

        let text = good(&realm.hop(cache, &["ticket", "ls"]));
        let words = "forwardable, initial, pre-authenticated, renewable until 20";
        assert!(text.contains(words) && text.contains("  krbtgt/TICKETS.TEST@TICKETS.TEST\n"), "{text}");
        let list: Value =
            serde_json::from_str(&good(&realm.hop(cache, &["ticket", "ls", "--json"]))).unwrap();
        assert_eq!(list[0]["principal"], "alice@TICKETS.TEST");
        assert_eq!(list[0]["default"], true);
        assert_eq!(list[0]["tickets"][0]["current"], true);
        assert!(list[0]["tickets"].as_array().unwrap().len() == 2, "{list}");
        let flags = serde_json::to_string(&list).unwrap();
        assert!(flags.contains("\"ok-as-delegate\"") && flags.contains("\"renewable\""), "{flags}");

        // A second login: another cache where there can be several, else in place of the first.
        good(&realm.login(cache, "bob", &["-F"]));
        let klist = good(&realm.run("klist", cache, &["-f"]));
        assert!(
            klist.contains("Default principal: bob@TICKETS.TEST") && klist.contains("Flags: IA"),
            "{klist}"
        );
        let all = good(&realm.hop(cache, &["ticket", "ls", "--all"]));
        assert_eq!(all.contains("alice@TICKETS.TEST in "), !cache.starts_with("FILE"), "{all}");

        good(&realm.hop(cache, &["ticket", "get", "HTTP/a.tickets.test"]));
        good(&realm.hop(cache, &["ticket", "rm", "a.tickets.test"]));
        let text = bad(&realm.hop(cache, &["ticket", "rm", "a.tickets.test"]), 1);
        assert!(text.contains("no ticket for HTTP/a.tickets.test@TICKETS.TEST"), "{text}");
        good(&realm.hop(cache, &["ticket", "rm", "--all"]));
        assert!(!realm.run("klist", cache, &["-s"]).status.success());
        assert_eq!(good(&realm.hop(cache, &["ticket", "rm"])), "");
    }
}

#[test]
fn login_by_keytab_and_on_a_machine_without_krb5_conf() {
    let Some(realm) = Realm::start() else { return };
    let cache = format!("FILE:{}", realm.path("cc").display());
    let keytab = realm.path("alice.keytab");
    let text = good(&realm.hop(&cache, &["login", "--keytab", keytab.to_str().unwrap()]));
    assert!(text.contains("alice@TICKETS.TEST"), "{text}");
    // The cache says who.
    let password = realm.path("password");
    good(&realm.hop(&cache, &["login", "--password-file", password.to_str().unwrap()]));

    let bare = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hop"));
        command.args(arguments).env("KRB5_CONFIG", "/dev/null").env("KRB5CCNAME", &cache);
        command.stdin(Stdio::null()).output().unwrap()
    };
    let kdc = format!("127.0.0.1:{}", realm.port);
    let file = password.to_str().unwrap();
    let text = bad(&bare(&["login", "alice", "--password-file", file]), 1);
    assert!(text.contains("no realm") && text.contains("--realm REALM"), "{text}");
    let text = bad(&bare(&["login", "alice", "--password-file", file, "--kdc", &kdc]), 1);
    assert!(text.contains("--realm REALM"), "{text}");
    good(&bare(&["login", "alice@TICKETS.TEST", "--password-file", file, "--kdc", &kdc]));
    good(&bare(&["login", "alice", "--password-file", file, "--kdc", &kdc, "--realm", REALM]));
    good(&bare(&["login", r"tickets\alice", "--password-file", file, "--kdc", &kdc, "--realm", REALM]));
    good(&bare(&["ticket", "get", "a.tickets.test", "--kdc", &kdc, "--realm", REALM]));
    let text =
        bad(&bare(&["login", "alice", "--password-file", file, "--kdc", "ftp://x", "--realm", REALM]), 1);
    assert!(text.contains("no address of a kdc"), "{text}");
}

#[test]
fn refusals_say_what_to_do() {
    let Some(realm) = Realm::start() else { return };
    let cache = format!("FILE:{}", realm.path("cc").display());
    for (user, said, advice) in [
        ("expired", "has expired", "kpasswd expired@TICKETS.TEST"),
        ("must-change", "has expired", "kpasswd must-change@TICKETS.TEST"),
        ("disabled", "locked, disabled or has expired", "administrators"),
        ("nobody", "does not know the client nobody@TICKETS.TEST", ""),
    ] {
        let text = bad(&realm.login(&cache, user, &[]), 1);
        assert!(text.contains(said) && text.contains(advice), "{user}: {text}");
    }
    let text = good(&realm.login(&cache, "soon", &[]));
    assert!(text.contains("expires in 2 d 23 h") || text.contains("expires in 3 d 0 h"), "{text}");
    good(&realm.hop(&cache, &["ticket", "rm"]));
    std::fs::write(realm.path("password"), "wrong").unwrap();
    let text = bad(&realm.login(&cache, "alice", &[]), 1);
    assert!(text.contains("wrong password for alice@TICKETS.TEST"), "{text}");
    let text = bad(&realm.login(&cache, "alice", &["--lifetime", "soon"]), 2);
    assert!(text.contains("expected a time span"), "{text}");
    let text = bad(&realm.hop("API:x", &["ticket", "ls"]), 1);
    assert!(text.contains("type API are not supported"), "{text}");
    assert!(!realm.path("cc").exists());
}
