//! Users of the host's own file and of certificates: NTLM, CredSSP, Basic, certificates, HTTPS.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use hop_auth::UserName;
use hop_auth::ntlm::NtHash;
use hop_client::authentication::{Authentication, Login, Password, PasswordPolicy};
use hop_client::http::Settings;
use hop_client::tls::{ClientCertificate, TlsOptions, Trust};
use hop_client::winrs::{CommandEvent, ShellOptions};
use hop_client::{Connection, Error, Hosts, Target};
use hop_delegation::credssp::{List, Policy, Setting, Source};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    OtherNameValue, SanType,
};

use crate::Test;
use crate::domain::HOST;
use crate::server::{Server, current_user, wait_until};

pub const TESTS: &[Test] = &[
    ("https_with_basic_ntlm_and_certificates", https),
    ("a_wrong_password_is_refused_and_slow", wrong_password),
    ("credssp_hands_over_a_password", credssp),
    ("a_session_keeps_the_password_where_that_is_asked_for", kept_password),
    ("what_is_not_allowed_is_not_offered", not_offered),
    ("a_new_certificate_is_shown_without_a_restart", new_certificate),
    ("a_certificate_of_nobody_is_refused", certificates_of_others),
    ("a_password_over_http_is_refused", basic_over_http),
    ("strict_channel_bindings", strict_bindings),
    ("powershell_in_a_command_shell_is_the_configured_one", powershell),
];

const PASSWORD: &str = "Pässwörd-€";

/// What the server has besides its keytab: an authority, a certificate of its, a file of users.
struct House {
    server: Server,
    files: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl House {
    fn new(auth: &str) -> Self {
        let files = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let path = |name: &str| files.path().join(name);
        std::fs::write(path("ca.pem"), issuer.pem()).unwrap();
        write_server_certificate(&issuer, &path("server.pem"));
        let hash: String =
            NtHash::of_password(&PASSWORD.into()).expose().iter().map(|b| format!("{b:02X}")).collect();
        std::fs::write(path("users"), format!("carol:1:X:{hash}:[U]:LCT-0:\nroot:1:X:{hash}:[U]:LCT-0:\n"))
            .unwrap();
        std::fs::set_permissions(path("users"), std::fs::Permissions::from_mode(0o600)).unwrap();
        let me = current_user();
        let server = Server::start(&format!(
            "listen_https = ['127.0.0.1:0']\ncertificate = '{0}/server.pem'\nclient_ca = '{0}/ca.pem'\n\
             [auth]\nnetbios_name = 'SERVERA'\nntlm_auth = ''\nusers = '{0}/users'\n{auth}\n\
             [[map]]\nprincipal = 'carol@SERVERA'\nuser = '{me}'\n\
             [[certificate_map]]\nname = '*@hop.test'\nprincipal = '*@HOP.TEST'\n",
            files.path().display()
        ));
        Self { server, files, issuer }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// A certificate for a user, in `NAME.pem` with its key.
    fn client_certificate(
        &self,
        name: &str,
        issuer: &CertifiedIssuer<'static, KeyPair>,
    ) -> ClientCertificate {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let upn = vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3];
        params.subject_alt_names =
            vec![SanType::OtherName((upn, OtherNameValue::Utf8String(format!("{name}@hop.test"))))];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, issuer).unwrap();
        let path = self.path(&format!("{name}.pem"));
        std::fs::write(&path, certificate.pem() + &key.serialize_pem()).unwrap();
        ClientCertificate { chain: path.clone(), key: path }
    }

    fn target(&self, https: bool) -> Target {
        let mut target = Hosts::default().resolve(HOST).unwrap();
        if https {
            target = target.with_https();
        }
        target.address = "127.0.0.1".to_owned();
        target.port = if https { self.server.https_port() } else { self.server.port() };
        target
    }

    fn connect(&self, https: bool, login: Login, certificate: Option<ClientCertificate>) -> Connection {
        let tls = TlsOptions { trust: Trust::Authorities(self.path("ca.pem")), certificate };
        Connection::open(self.target(https), login, Settings { tls, ..Settings::default() }).unwrap()
    }
}

fn write_server_certificate(issuer: &CertifiedIssuer<'static, KeyPair>, path: &std::path::Path) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec![HOST.to_owned()]).unwrap().signed_by(&key, issuer).unwrap();
    std::fs::write(path, certificate.pem() + &key.serialize_pem()).unwrap();
}

fn login(authentication: Authentication, user: &str, password: &str) -> Login {
    Login {
        authentication,
        password: Some(Password { name: UserName::parse(user), password: password.into() }),
        allow_ntlm: true,
        policy: policy(),
        ..Login::default()
    }
}

/// The host may have the password although it proves its name by nothing.
fn policy() -> PasswordPolicy {
    let here = || Source::File("test".to_owned());
    let on = || Some(Setting::new(true, here()));
    let hosts = || List { enabled: on(), entries: vec![Setting::new(format!("wsman/{HOST}"), here())] };
    let policy =
        Policy { client: on(), allow_fresh: hosts(), allow_fresh_ntlm_only: hosts(), ..Policy::default() };
    PasswordPolicy { policy: std::sync::Arc::new(policy), ..PasswordPolicy::default() }
}

/// Runs a line in a shell of its own; its output.
fn run(connection: &Connection, line: &str) -> Result<String, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let shell = connection.open_shell(ShellOptions::default()).await?;
        let mut command = shell.run(line, &[]);
        let mut out = Vec::new();
        while let Some(event) = command.next().await {
            match event? {
                CommandEvent::Stdout(data) => out.extend(data),
                CommandEvent::Exit(_) => break,
                _ => {}
            }
        }
        drop(command);
        shell.close().await?;
        Ok(String::from_utf8(out).unwrap())
    })
}

const EVERYTHING: &str = "NTLM = true\nCredSSP = true\nBasic = true\nCertificate = true";

fn https() {
    let house = House::new(EVERYTHING);
    let me = format!("{}\n", current_user());
    for user in ["carol", r"SERVERA\Carol", r".\carol", r"WORKGROUP\CAROL"] {
        for way in [Authentication::Ntlm, Authentication::Basic] {
            let connection = house.connect(true, login(way, user, PASSWORD), None);
            assert_eq!(run(&connection, "id -un").unwrap(), me, "{way} {user}");
        }
    }
    let connection = house.connect(true, login(Authentication::Basic, "carol", PASSWORD), None);
    // Larger than a TLS record and than a pipe.
    assert_eq!(run(&connection, "head -c 300000 /dev/zero | tr '\\0' x").unwrap().len(), 300_000);
    let report = run(&connection, "cat $HOP_DELEGATION").unwrap();
    assert!(report.contains("mechanism-cannot-delegate") && report.contains("\"basic\""), "{report}");
    // The password is nowhere in the session's environment or the log.
    let environment = run(&connection, "env").unwrap();
    assert!(!environment.contains(PASSWORD));
    assert!(!house.server.log().contains(PASSWORD));

    let certificate = house.client_certificate("alice", &house.issuer);
    let by_certificate = Login { authentication: Authentication::Certificate, ..Login::default() };
    let connection = house.connect(true, by_certificate, Some(certificate));
    assert_eq!(run(&connection, "id -un").unwrap(), me);
    assert!(house.server.log().contains("by=\"certificate\""), "{}", house.server.log());
}

fn wrong_password() {
    let house = House::new(EVERYTHING);
    for way in [Authentication::Ntlm, Authentication::Basic, Authentication::CredSsp] {
        for (user, password) in [("carol", "wrong"), ("carol", ""), ("nobody-here", PASSWORD)] {
            let connection = house.connect(true, login(way, user, password), None);
            let error = run(&connection, "id").unwrap_err();
            assert!(
                matches!(error, Error::Unauthorized { .. } | Error::Authentication { .. }),
                "{way} {user}: {error}"
            );
        }
    }
    let log = house.server.log();
    assert!(log.contains("nobody-here") && !log.contains("session opened"), "{log}");
    // The file has root, but the account is below the floor and no line names it.
    let connection = house.connect(true, login(Authentication::Basic, "root", PASSWORD), None);
    let error = run(&connection, "id").unwrap_err();
    assert!(matches!(error, Error::Status { status: 403, .. }), "{error}");
}

fn credssp() {
    let house = House::new(EVERYTHING);
    let me = format!("{}\n", current_user());
    for https in [false, true] {
        let login = login(Authentication::CredSsp, "carol", PASSWORD);
        let connection = house.connect(https, login, None);
        assert_eq!(run(&connection, "id -un").unwrap(), me, "{https}");
        // Many records, many parts.
        assert_eq!(run(&connection, "head -c 200000 /dev/zero | tr '\\0' x").unwrap().len(), 200_000);
        let report = run(&connection, "cat $HOP_DELEGATION").unwrap();
        assert!(report.contains("\"credssp\""), "{report}");
    }
    assert!(!house.server.log().contains(PASSWORD));
}

fn kept_password() {
    let house = House::new(&format!("{EVERYTHING}\nCredSSPKeepPassword = true"));
    let read = "stat -c %a ${HOP_DELEGATION%/*}/password.json; cat ${HOP_DELEGATION%/*}/password.json";
    let connection = house.connect(false, login(Authentication::CredSsp, "carol", PASSWORD), None);
    let text = run(&connection, read).unwrap();
    assert_eq!(text, format!("600\n{{\"user\":\"carol\",\"password\":\"{PASSWORD}\"}}"));
    // Nobody else's sessions have it.
    let connection = house.connect(true, login(Authentication::Basic, "carol", PASSWORD), None);
    assert_eq!(run(&connection, &format!("{{ {read}; }} 2>&1 | grep -c '{PASSWORD}'; true")).unwrap(), "0\n");
    let gone = || {
        std::fs::read_dir(house.server.dir.path().join("run")).unwrap().flatten().all(|server| {
            let sessions = std::fs::read_dir(server.path()).into_iter().flatten().flatten();
            sessions.into_iter().all(|session| !session.path().join("password.json").exists())
        })
    };
    wait_until("the password has gone", gone);
    assert!(!house.server.log().contains(PASSWORD));
}

fn not_offered() {
    let house = House::new("");
    for way in [Authentication::Ntlm, Authentication::Basic, Authentication::CredSsp] {
        let connection = house.connect(true, login(way, "carol", PASSWORD), None);
        let error = run(&connection, "id").unwrap_err();
        assert!(matches!(error, Error::Unauthorized { .. } | Error::Authentication { .. }), "{way}: {error}");
    }
    let certificate = house.client_certificate("alice", &house.issuer);
    let by_certificate = Login { authentication: Authentication::Certificate, ..Login::default() };
    let connection = house.connect(true, by_certificate, Some(certificate));
    assert!(matches!(run(&connection, "id").unwrap_err(), Error::Unauthorized { .. }));
    assert!(!house.server.log().contains("session opened"));
}

fn new_certificate() {
    let house = House::new(EVERYTHING);
    let basic = || house.connect(true, login(Authentication::Basic, "carol", PASSWORD), None);
    run(&basic(), "true").unwrap();
    let prints = |log: &str| log.matches("fingerprint of the certificate").count();
    assert_eq!(prints(&house.server.log()), 1);
    let path = house.path("server.pem");
    write_server_certificate(&house.issuer, &path);
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(3);
    std::fs::File::open(&path).unwrap().set_modified(later).unwrap();
    run(&basic(), "true").unwrap();
    wait_until("the new certificate is read", || prints(&house.server.log()) == 2);
}

fn certificates_of_others() {
    let house = House::new(EVERYTHING);
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let stranger = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let by_certificate = || Login { authentication: Authentication::Certificate, ..Login::default() };
    let forged = house.client_certificate("alice", &stranger);
    let connection = house.connect(true, by_certificate(), Some(forged.clone()));
    let error = run(&connection, "id").unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    // Whoever has another way in may use it in spite of such a certificate.
    let connection = house.connect(true, login(Authentication::Basic, "carol", PASSWORD), Some(forged));
    run(&connection, "true").unwrap();
    // mallory's certificate is good, but the principal has no local user.
    let mallory = house.client_certificate("nobody-here", &house.issuer);
    let connection = house.connect(true, by_certificate(), Some(mallory));
    let error = run(&connection, "id").unwrap_err();
    assert!(matches!(error, Error::Status { status: 403, .. }), "{error}");
}

fn basic_over_http() {
    let house = House::new(EVERYTHING);
    let password: hop_secret::SecretString = PASSWORD.into();
    let credentials = hop_auth::BasicCredentials { user: "carol".to_owned(), password };
    let header = credentials.authorization().unwrap();
    let reply = crate::raw::head_of_answer(&house.server, header.expose());
    assert!(reply.starts_with("HTTP/1.1 401"), "{reply}");
    let reply = reply.to_lowercase();
    assert!(!reply.contains("basic realm"), "{reply}");
    assert!(reply.contains("negotiate") && reply.contains("credssp"), "{reply}");
}

fn strict_bindings() {
    let house = House::new(&format!("{EVERYTHING}\nCbtHardeningLevel = 'Strict'"));
    // Ours binds to the certificate.
    let connection = house.connect(true, login(Authentication::Ntlm, "carol", PASSWORD), None);
    run(&connection, "true").unwrap();
    // Whoever stands in between shows another certificate: the proof that is passed on is bound to that one.
    let own = house.path("server.pem");
    let other = house.path("other.pem");
    write_server_certificate(&house.issuer, &other);
    let relay = crate::raw::relay(&own, &other, house.server.https_port());
    let mut target = house.target(true);
    target.port = relay;
    let tls = TlsOptions { trust: Trust::Authorities(house.path("ca.pem")), certificate: None };
    let login = login(Authentication::Ntlm, "carol", PASSWORD);
    let relayed = Connection::open(target, login, Settings { tls, ..Settings::default() }).unwrap();
    let error = run(&relayed, "id").unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. } | Error::Authentication { .. }), "{error}");
    assert!(house.server.log().contains("channel bindings"), "{}", house.server.log());
    assert_eq!(house.server.log().matches("session opened").count(), 1);
}

fn powershell() {
    let files = tempfile::tempdir().unwrap();
    let program = files.path().join("my pwsh");
    std::fs::write(&program, "#!/bin/sh\necho \"$# $*\"\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut server = Server::start(&format!("command = ['{}', '-s']", program.display()));
    let tickets = server.domain.log_in("alice", crate::domain::REALM);
    let line = "powershell -NoProfile 'a  b'; PowerShell.exe -c 1";
    assert_eq!(crate::sessions::output(&server, tickets, line), "2 -NoProfile a  b\n2 -c 1\n");
}
