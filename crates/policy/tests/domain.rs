//! What is asked of a domain and how the answers are kept, with small programs in the place of `ldapsearch` and
//! `smbclient`.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hop_policy::{
    Error, Locations, Policy, Refresh,
    group_policy::{
        domain::Programs,
        security_descriptor::{SecurityDescriptor, Sid},
    },
    registry_pol::{Entry, encode},
};

const DELEGATION: &str = r"Software\Policies\Microsoft\Windows\CredentialsDelegation";
/// Of the default policy of a Samba domain.
const DESCRIPTOR: &[u8] = include_bytes!("corpus/security_descriptor/default_domain_policy");

/// A domain of files: `ldap/DN` is what ldapsearch prints for an object, `sysvol/PATH` what smbclient fetches.
struct Domain {
    folder: tempfile::TempDir,
}

impl Domain {
    fn new() -> Self {
        let domain = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir_all(domain.path("ldap")).unwrap();
        domain.program(
            "ldapsearch",
            r#"
            echo "$@" >>"$here/asked"
            while [ $# -gt 0 ]; do [ "$1" = -b ] && base=$2; shift; done
            [ -e "$here/ldap/${base:-root}" ] || exit 32
            cat "$here/ldap/${base:-root}""#,
        );
        domain.program(
            "smbclient",
            r#"
            echo "$@" >>"$here/asked"
            path=$(echo "$6" | cut -d'"' -f2)
            [ -e "$here/denied" ] && { echo "NT_STATUS_ACCESS_DENIED opening remote file"; exit 1; }
            [ -e "$here/sysvol/$path" ] || { echo "NT_STATUS_OBJECT_NAME_NOT_FOUND opening remote file"; exit 1; }
            cp "$here/sysvol/$path" registry.pol"#,
        );
        domain.object("root", "dn:\ndnsHostName: dc.hop.test\n");
        domain.link("");
        domain
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn program(&self, name: &str, script: &str) {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\nhere={}\n{script}\n", self.folder.path().display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn object(&self, dn: &str, text: &str) {
        fs::write(self.path("ldap").join(dn), text).unwrap();
    }

    fn link(&self, links: &str) {
        self.object("DC=hop,DC=test", &format!("dn: DC=hop,DC=test\nx: y\n{links}\n"));
    }

    /// A policy object that lets one host have passwords.
    fn policy(&self, id: &str, host: &str, more: &str) {
        let descriptor = STANDARD.encode(DESCRIPTOR);
        self.object(
            &format!("CN={id}"),
            &format!(
                "dn: CN={id}\ncn: {id}\ndisplayName: policy {id}\ngPCFileSysPath: \\\\hop.test\\sysvol\\hop.test\\Policies\\{id}\n\
                 gPCMachineExtensionNames: [{{35378eac-683f-11d2-a89a-00c04fbbcfa2}}{{D02B1F72}}]\n\
                 nTSecurityDescriptor:: {descriptor}\n{more}\n"
            ),
        );
        let folder = self.path("sysvol/hop.test/Policies").join(id).join("Machine");
        fs::create_dir_all(&folder).unwrap();
        let list = format!(r"{DELEGATION}\AllowFreshCredentials");
        let entries = [
            Entry::dword(DELEGATION, "AllowFreshCredentials", 1),
            Entry::text(&list, "**delvals.", " "),
            Entry::text(&list, "1", &format!("wsman/{host}")),
        ];
        fs::write(folder.join("Registry.pol"), encode(&entries)).unwrap();
    }

    fn programs(&self) -> Programs {
        Programs { ldapsearch: self.path("ldapsearch"), smbclient: self.path("smbclient"), ccache: None }
    }

    fn locations(&self) -> Locations {
        let file = self.path("policy.toml");
        if !file.exists() {
            fs::write(&file, "[credssp]\nclient = true\nallow_fresh = [\"wsman/local\"]\n[group_policy]\ndomain = \"hop.test\"\n")
                .unwrap();
        }
        Locations::new(|name| (name == "HOP_POLICY").then(|| file.clone().into()), false)
    }

    fn load(&self, refresh: &Refresh, now: SystemTime) -> Result<Policy, Error> {
        Policy::load_from(&self.locations(), refresh, &self.programs(), now)
    }

    fn asked(&self) -> String {
        fs::read_to_string(self.path("asked")).unwrap_or_default()
    }
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

const NOW: Refresh = Refresh::Now { within: Duration::from_secs(20) };

fn allowed(policy: &Policy) -> Vec<&str> {
    policy.effective.allow_fresh.effective().iter().map(|entry| entry.value.as_str()).collect()
}

#[test]
fn a_descriptor_of_samba() {
    let descriptor = SecurityDescriptor::decode(DESCRIPTOR).unwrap();
    assert!(descriptor.lets_apply(&[Sid::authenticated_users()]));
    assert!(!descriptor.lets_apply(&[Sid::everyone()]));
}

#[test]
fn the_domain_comes_before_the_machines_own_settings() {
    let domain = Domain::new();
    assert_eq!(allowed(&domain.load(&NOW, now()).unwrap()), ["wsman/local"]);
    domain.link("gPLink: [LDAP://CN={1};0][LDAP://CN={2};0][LDAP://CN={gone};0]");
    domain.policy("{1}", "one", "");
    domain.policy("{2}", "two", "");
    let policy = domain.load(&NOW, now()).unwrap();
    assert_eq!(allowed(&policy), ["wsman/two"]);
    assert_eq!(policy.overridden.len(), 1);
    assert_eq!(
        (policy.overridden[0].setting, policy.overridden[0].value.as_str()),
        ("AllowFreshCredentials", "wsman/local")
    );
    // The switch is the machine's own still.
    assert!(policy.effective.client.as_ref().unwrap().source.to_string().ends_with("policy.toml"));
    let state = policy.group_policy.unwrap();
    assert_eq!(
        state.objects,
        [("policy {1}".to_owned(), "{1}".to_owned()), ("policy {2}".to_owned(), "{2}".to_owned())]
    );
    let asked = domain.asked();
    for words in [
        "-Y GSSAPI -O minssf=56",
        "ldap:///DC%3Dhop%2CDC%3Dtest",
        "ldap://dc.hop.test",
        "//dc.hop.test/sysvol",
        "--use-kerberos=required --client-protection=sign",
    ] {
        assert!(asked.contains(words), "{words}: {asked}");
    }
}

#[test]
fn objects_that_do_not_apply() {
    let domain = Domain::new();
    domain.link("gPLink: [LDAP://CN={1};0]");
    domain.policy("{1}", "one", "flags: 2");
    assert_eq!(allowed(&domain.load(&NOW, now()).unwrap()), ["wsman/local"], "the part for machines is off");
    domain.policy("{1}", "one", "");
    let text = fs::read_to_string(domain.path("ldap/CN={1}")).unwrap();
    domain.object("CN={1}", &text.replace("\\\\hop.test\\sysvol\\", "\\\\hop.test\\..\\"));
    assert!(matches!(domain.load(&NOW, now()), Err(Error::Domain { .. })), "a folder that is not SYSVOL's");
    // No registry values, no descriptor.
    for without in ["gPCMachineExtensionNames", "nTSecurityDescriptor"] {
        let rest: Vec<&str> = text.lines().filter(|line| !line.starts_with(without)).collect();
        domain.object("CN={1}", &rest.join("\n"));
        assert_eq!(allowed(&domain.load(&NOW, now()).unwrap()), ["wsman/local"], "{without}");
    }
    domain.object("CN={1}", &text);
    assert_eq!(allowed(&domain.load(&NOW, now()).unwrap()), ["wsman/one"]);
    fs::remove_dir_all(domain.path("sysvol")).unwrap();
    assert_eq!(allowed(&domain.load(&NOW, now()).unwrap()), ["wsman/local"], "no file");
    // A file that may not be read could forbid something: that is an error, not nothing.
    domain.policy("{1}", "one", "");
    fs::write(domain.path("denied"), "").unwrap();
    assert!(matches!(domain.load(&NOW, now()), Err(Error::Program { program: "smbclient", .. })));
}

#[test]
fn what_was_kept_is_obeyed_until_it_is_old_and_where_nobody_answers() {
    let domain = Domain::new();
    domain.link("gPLink: [LDAP://CN={1};0]");
    domain.policy("{1}", "one", "");
    let stale = Refresh::WhenStale;
    let broken = || domain.program("ldapsearch", "echo \"Can't contact LDAP server\" >&2; exit 255");
    // Never read, and nobody there.
    let good = fs::read_to_string(domain.path("ldapsearch")).unwrap();
    broken();
    let error = domain.load(&stale, now()).unwrap_err();
    assert!(matches!(&error, Error::NeverRead { domain, .. } if domain == "hop.test"), "{error}");
    assert!(error.to_string().contains("Can't contact LDAP server"), "{error}");
    let shown = domain.load(&Refresh::Never, now()).unwrap();
    assert_eq!(shown.group_policy.unwrap().read_at, None);

    fs::write(domain.path("ldapsearch"), good).unwrap();
    assert_eq!(allowed(&domain.load(&stale, now()).unwrap()), ["wsman/one"]);
    // Fresh: the domain is not asked, whatever it says now.
    domain.policy("{1}", "other", "");
    let before = domain.asked();
    assert_eq!(allowed(&domain.load(&stale, now() + Duration::from_secs(89 * 60)).unwrap()), ["wsman/one"]);
    assert_eq!(domain.asked(), before);
    let later = now() + Duration::from_secs(91 * 60);
    assert_eq!(allowed(&domain.load(&stale, later).unwrap()), ["wsman/other"]);
    assert_ne!(domain.asked(), before);
    // A clock that was set back does not make it fresh for ever.
    domain.policy("{1}", "third", "");
    assert_eq!(allowed(&domain.load(&stale, now()).unwrap()), ["wsman/third"]);

    broken();
    let much_later = now() + Duration::from_secs(100 * 3600);
    let policy = domain.load(&stale, much_later).unwrap();
    assert_eq!(allowed(&policy), ["wsman/third"]);
    let state = policy.group_policy.unwrap();
    assert_eq!(state.read_at, Some(now()));
    assert!(state.problem.unwrap().contains("Can't contact LDAP server"));
    assert!(domain.load(&NOW, much_later).is_err(), "who asks for it now is told");
    // For five minutes nobody waits for it again.
    domain.program("ldapsearch", "echo again >>\"$here/asked\"; exit 255");
    let times = || domain.asked().matches("again").count();
    let problem = |after: u64| {
        let policy = domain.load(&stale, much_later + Duration::from_secs(after)).unwrap();
        assert_eq!(allowed(&policy), ["wsman/third"]);
        policy.group_policy.unwrap().problem.unwrap()
    };
    assert!(problem(299).contains("did not answer") && times() == 0);
    assert!(!problem(301).contains("did not answer") && times() == 1);
    assert!(problem(302).contains("did not answer") && times() == 1);
    // Another machine's policy is not this one's.
    let file = domain.path("policy.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text + "machine = \"PC$\"\n").unwrap();
    assert!(matches!(domain.load(&stale, much_later), Err(Error::NeverRead { .. })));
}

#[test]
fn an_object_of_another_domain_is_asked_of_that_domain() {
    let domain = Domain::new();
    domain.link("gPLink: [LDAP://CN={1},DC=child,DC=hop,DC=test;0]");
    domain.policy("{1}", "one", "");
    fs::rename(domain.path("ldap/CN={1}"), domain.path("ldap/CN={1},DC=child,DC=hop,DC=test")).unwrap();
    assert_eq!(allowed(&domain.load(&NOW, now()).unwrap()), ["wsman/one"]);
    assert!(domain.asked().contains("ldap:///dc%3Dchild%2Cdc%3Dhop%2Cdc%3Dtest"), "{}", domain.asked());
}

#[test]
fn a_controller_and_a_ticket_of_the_callers() {
    let domain = Domain::new();
    let _ = domain.locations();
    let file = domain.path("policy.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text + "controller = \"dc2.hop.test\"\n").unwrap();
    domain.program(
        "ldapsearch",
        "echo \"$KRB5CCNAME $@\" >>\"$here/asked\"; cat \"$here/ldap/DC=hop,DC=test\"",
    );
    let mut programs = domain.programs();
    programs.ccache = Some("FILE:/tmp/mine".to_owned());
    Policy::load_from(&domain.locations(), &NOW, &programs, now()).unwrap();
    let asked = domain.asked();
    assert!(asked.starts_with("FILE:/tmp/mine ") && asked.contains("ldap://dc2.hop.test"), "{asked}");
    assert!(!asked.contains("ldap:///"), "DNS was not asked: {asked}");
}

#[test]
fn programs_that_are_missing_or_do_not_end() {
    let domain = Domain::new();
    let mut programs = domain.programs();
    programs.ldapsearch = PathBuf::from("/nonexistent/ldapsearch");
    let load = |programs: &Programs, within| {
        let refresh = Refresh::Now { within: Duration::from_millis(within) };
        Policy::load_from(&domain.locations(), &refresh, programs, now()).unwrap_err()
    };
    assert!(load(&programs, 5000).to_string().contains("Debian package ldap-utils"));
    domain.program("ldapsearch", "echo 'SASL(-4): no mechanism available' >&2; exit 254");
    assert!(load(&domain.programs(), 5000).to_string().contains("libsasl2-modules-gssapi-mit"));
    domain.program("ldapsearch", "exec sleep 30");
    let started = std::time::Instant::now();
    assert!(matches!(load(&domain.programs(), 300), Error::TimedOut(_)));
    assert!(started.elapsed() < Duration::from_secs(5));
    domain.program("ldapsearch", "printf 'dn:\\ndnsHostName: a b\\n'");
    assert!(matches!(load(&domain.programs(), 5000), Error::Domain { .. }));
}

#[test]
fn a_folder_in_place_of_a_domain() {
    let domain = Domain::new();
    domain.policy("{1}", "one", "");
    let file = domain.path("folder.toml");
    let folder = domain.path("sysvol/hop.test/Policies");
    fs::write(&file, format!("[group_policy]\ndirectory = {:?}\n", folder.display().to_string())).unwrap();
    let locations = Locations::new(|name| (name == "HOP_POLICY").then(|| file.clone().into()), false);
    let load = || Policy::load_from(&locations, &Refresh::WhenStale, &domain.programs(), now());
    assert_eq!(allowed(&load().unwrap()), ["wsman/one"]);
    assert_eq!(domain.asked(), "");
    assert!(Path::new(&folder).exists());
    fs::remove_dir_all(&folder).unwrap();
    assert!(load().is_err(), "a folder that is gone could have forbidden something");
}
