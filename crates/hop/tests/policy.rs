//! `hop credssp`, `hop trust`, the cmdlets of CredSSP and the refusals of `hop run`, as a user meets them.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests may panic")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

/// A machine with settings of its own.
struct Machine {
    folder: tempfile::TempDir,
}

/// How a command ended.
struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(machine.path("password"), "Secret-Passw0rd\n").unwrap();
        fs::write(
            machine.path("krb5.conf"),
            "[libdefaults]\n dns_lookup_kdc = false\n default_realm = NO.TEST\n[realms]\n NO.TEST = {\n  kdc = 127.0.0.1:1\n }\n",
        )
        .unwrap();
        // Nobody listens there; what is refused must be so before anybody looks.
        fs::write(machine.path("hosts.toml"), "[[host]]\nname = \"*\"\naddress = \"127.0.0.1\"\nport = 1\n")
            .unwrap();
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn hop(&self, words: &[&str]) -> Ended {
        let output = Command::new(env!("CARGO_BIN_EXE_hop"))
            .args(words)
            .env("HOP_POLICY", self.path("policy.toml"))
            .env("HOP_HOSTS", self.path("hosts.toml"))
            .env("KRB5_CONFIG", self.path("krb5.conf"))
            .env("KRB5CCNAME", format!("FILE:{}", self.path("none").display()))
            .env("NO_COLOR", "1")
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Ended {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn script(&self, text: &str) -> Vec<String> {
        fs::write(self.path("script.ps1"), text).unwrap();
        let ended = self.hop(&["shell", "-File", "script.ps1"]);
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{}", ended.out);
        ended.out.lines().map(str::to_owned).collect()
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.hop(&["credssp", "status", "--json"]).out).unwrap()
    }

    /// `hop run` by a way of authentication, with a password.
    fn run(&self, host: &str, way: &[&str]) -> Ended {
        let words =
            ["run", "-c", host, "--user", "alice@NO.TEST", "--password-file", "password", "--authentication"];
        self.hop(&[&words[..], way, &["1"]].concat())
    }
}

#[test]
fn enable_status_disable() {
    let machine = Machine::new();
    let file = machine.path("policy.toml").display().to_string();
    let client = ["credssp", "enable", "--role", "client", "--delegate-computer"];
    let ended = machine.hop(&[&client[..], &["a"]].concat());
    assert!(ended.code == 2 && ended.err.contains("--force"), "{}", ended.err);
    assert!(!machine.path("policy.toml").exists(), "nobody could be asked");
    for wrong in [
        &["credssp", "enable", "--role", "client", "--force"][..],
        &["credssp", "enable", "--role", "server", "--delegate-computer", "a", "--force"],
        &["credssp", "enable", "--role", "both", "--force"],
        &["credssp", "refresh", "--domain", "../x"],
        &["credssp", "refresh"],
    ] {
        assert_eq!(machine.hop(wrong).code, 2, "{wrong:?}");
    }
    let ended = machine.hop(&[&client[..], &["*.*", "--force"]].concat());
    assert!(ended.code == 1 && ended.err.contains("at most one *"), "{}", ended.err);

    let ended = machine.hop(&[&client[..], &["servera.x.test,*.y.test", "--ntlm-only", "--force"]].concat());
    assert!(ended.code == 0 && ended.out.contains(&file), "{}", ended.err);
    assert_eq!(machine.hop(&["credssp", "enable", "--role", "Server", "--force"]).code, 0);
    let status = machine.status();
    assert_eq!(status["client"], json!({ "value": true, "source": file }));
    assert_eq!(status["service"]["value"], json!(true));
    for list in ["AllowFreshCredentials", "AllowFreshCredentialsWhenNTLMOnly"] {
        let entries = &status["lists"][list]["entries"];
        assert_eq!(
            entries[0],
            json!({ "value": "wsman/servera.x.test", "source": file, "valid": true }),
            "{list}"
        );
        assert_eq!(entries[1]["value"], json!("wsman/*.y.test"));
    }
    let text = machine.hop(&["credssp", "status"]).out;
    assert!(text.starts_with(
        "The machine is configured to allow delegating fresh credentials to the following target(s): \
         wsman/*.y.test,wsman/servera.x.test\nThis computer is configured to receive credentials from a remote client \
         computer.\n"
    ));

    assert_eq!(machine.hop(&["credssp", "disable", "--role", "client"]).code, 0);
    assert_eq!(machine.hop(&["credssp", "disable", "--role", "server"]).code, 0);
    let status = machine.status();
    assert_eq!((&status["client"]["value"], &status["service"]["value"]), (&json!(false), &json!(false)));
    assert_eq!(status["lists"]["AllowFreshCredentials"]["entries"], json!([]));
}

#[test]
fn trusted_hosts() {
    let machine = Machine::new();
    assert_eq!(machine.hop(&["trust", "add", "a"]).code, 2);
    assert_eq!(machine.hop(&["trust", "add", "10.0.0.1", "*.lab", "--force"]).code, 0);
    assert_eq!(machine.hop(&["trust", "rm", "10.0.0.1", "--force"]).code, 0);
    let listed = machine.hop(&["trust", "ls"]).out;
    assert!(
        listed.contains("*.lab") && listed.contains("policy.toml") && !listed.contains("10.0.0.1"),
        "{listed}"
    );
}

#[test]
fn refusals_of_hop_run() {
    let machine = Machine::new();
    let refused = |ended: Ended, words: &[&str]| {
        assert_eq!((ended.code, ended.out.as_str()), (3, ""), "{}", ended.err);
        for word in words {
            assert!(ended.err.contains(word), "{word}: {}", ended.err);
        }
        assert!(!ended.err.contains("Secret-Passw0rd"));
    };
    let credssp = ["credssp", "--allow-ntlm"];
    refused(
        machine.run("a.x.test", &credssp),
        &[
            "CredSSP authentication is currently disabled",
            "2150859170, 0x803381A2",
            "Nothing was sent",
            "hop credssp enable --role client --delegate-computer a.x.test",
        ],
    );
    machine.hop(&["credssp", "enable", "--role", "client", "--delegate-computer", "*.x.test", "--force"]);
    refused(machine.run("a", &credssp), &["2150859171, 0x803381A3", "A computer policy does not allow"]);
    refused(
        machine.hop(&["run", "-c", "a.x.test", "--authentication", "credssp", "1"]),
        &["2150859169", "--user"],
    );
    refused(machine.run("a.x.test", &["ntlm"]), &["2150858980", "TrustedHosts", "hop trust add a.x.test"]);
    refused(
        machine.run("10.1.2.3", &["negotiate", "--allow-ntlm"]),
        &["2150859195", "Default authentication may be used with an IP address"],
    );
    let https = ["ntlm", "--https", "--skip-cn-check"];
    refused(machine.run("a.x.test", &https), &["2150858980", "warning: --skip-cn-check"]);
    refused(machine.run("a.x.test", &["ntlm", "--https", "--skip-ca-check"]), &["2150858980"]);
    // What is allowed gets as far as the closed port.
    machine.hop(&["trust", "add", "a.x.test", "--force"]);
    for way in [&credssp[..], &["ntlm"], &["negotiate", "--allow-ntlm"], &https] {
        refused(machine.run("a.x.test", way), &["port 1 was refused"]);
    }
}

#[test]
fn a_server_that_takes_no_passwords() {
    let machine = Machine::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let hosts = fs::read_to_string(machine.path("hosts.toml")).unwrap();
    fs::write(machine.path("hosts.toml"), hosts.replace("port = 1\n", &format!("port = {port}\n"))).unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let count = stream.read(&mut request).unwrap();
        let answer = b"HTTP/1.1 401 \r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer).unwrap();
        String::from_utf8_lossy(&request[..count]).into_owned()
    });
    machine.hop(&["credssp", "enable", "--role", "client", "--delegate-computer", "*.x.test", "--force"]);
    let ended = machine.run("a.x.test", &["credssp", "--allow-ntlm"]);
    let request = server.join().unwrap();
    assert!(request.contains("CredSSP ") && !request.contains("Secret-Passw0rd"), "{request}");
    assert_eq!(ended.code, 3);
    for words in ["offers Negotiate", "hop credssp enable --role server", "Enable-WSManCredSSP -Role Server"]
    {
        assert!(ended.err.contains(words), "{words}: {}", ended.err);
    }
}

#[test]
fn cmdlets() {
    let machine = Machine::new();
    let lines = machine.script(
        "Get-WSManCredSSP\n\
         $r = Enable-WSManCredSSP -Role Client -DelegateComputer a.x.test, *.y.test -Force; $r.CredSSP; $r.cfg\n\
         $r = Enable-WSManCredSSP Server -Force; $r.CredSSP; $r.cfg\n\
         Get-WSManCredSSP\n\
         Disable-WSManCredSSP -Role Client; Disable-WSManCredSSP -Role Server\n\
         Get-WSManCredSSP\n",
    );
    let none = "The machine is not configured to allow delegating fresh credentials.";
    let takes_none = "This computer is not configured to receive credentials from a remote client computer.";
    assert_eq!(
        lines,
        [
            none,
            takes_none,
            "true",
            "http://schemas.microsoft.com/wbem/wsman/1/config/client/auth",
            "true",
            "http://schemas.microsoft.com/wbem/wsman/1/config/service/auth",
            "The machine is configured to allow delegating fresh credentials to the following target(s): wsman/*.y.test,wsman/a.x.test",
            "This computer is configured to receive credentials from a remote client computer.",
            none,
            takes_none,
        ]
    );
    let error = |command: &str| {
        machine.script(&format!(
            "try {{ {command} }} catch {{ $_.FullyQualifiedErrorId; \"$($_.CategoryInfo)\"; $_.Exception.Message }}\n"
        ))
    };
    let enable = "System.InvalidOperationException,Microsoft.WSMan.Management.EnableWSManCredSSPCommand";
    let category = "NotSpecified: (:) [Enable-WSManCredSSP], InvalidOperationException";
    assert_eq!(
        error("Enable-WSManCredSSP -Role Server -DelegateComputer x -Force"),
        [
            enable,
            category,
            "The DelegateComputer parameter cannot be used when the Role parameter value is Server. The DelegateComputer parameter can be used only when the Role parameter value is Client."
        ]
    );
    assert_eq!(
        error("Enable-WSManCredSSP -Role Client -Force"),
        [
            enable,
            category,
            "The DelegateComputer parameter is mandatory when the Role parameter value is Client."
        ]
    );
    assert_eq!(
        error("Enable-WSManCredSSP -Role Both -Force")[0],
        "ParameterArgumentValidationError,Microsoft.WSMan.Management.EnableWSManCredSSPCommand"
    );
    // Something else than this file could set it: here the other file, with the same effect as Group Policy.
    assert_eq!(
        error("Enable-WSManCredSSP -Role Client -DelegateComputer '*.*' -Force")[0],
        "WsManError,Microsoft.WSMan.Management.EnableWSManCredSSPCommand"
    );
}

#[test]
fn refusals_in_the_embedded_powershell() {
    let machine = Machine::new();
    // Kerberos is tried when there is a connection, and NTLM would come after it.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let hosts = fs::read_to_string(machine.path("hosts.toml")).unwrap();
    fs::write(machine.path("hosts.toml"), hosts.replace("port = 1\n", &format!("port = {port}\n"))).unwrap();
    let caught = |command: &str| {
        machine.script(&format!(
            "$c = [pscredential]::new('alice@NO.TEST', (ConvertTo-SecureString 'Secret-Passw0rd' -AsPlainText -Force))\n\
             try {{ {command} -ErrorAction Stop }} catch {{ $_.FullyQualifiedErrorId; $_.Exception.ErrorCode; \
             $_.Exception.GetType().Name; \"$_\" }}\n"
        ))
    };
    for (command, id, code, words) in [
        (
            "Invoke-Command -ComputerName a -Authentication Credssp { 1 }",
            "-2144108127,PSSessionStateBroken",
            "-2144108127",
            "Requests must include user name and password",
        ),
        (
            "New-PSSession -ComputerName a -Authentication Credssp",
            "-2144108127,PSSessionOpenFailed",
            "-2144108127",
            "Requests must include user name and password",
        ),
        (
            "Invoke-Command -ComputerName a -Authentication Credssp -Credential $c { 1 }",
            "-2144108126,PSSessionStateBroken",
            "-2144108126",
            "CredSSP authentication is currently disabled",
        ),
        (
            "Invoke-Command -ComputerName a -Credential $c { 1 }",
            "ServerNotTrusted,PSSessionStateBroken",
            "-2144108316",
            "TrustedHosts",
        ),
        (
            "Invoke-Command -ComputerName 10.0.0.1 -Credential $c { 1 }",
            "CannotUseIPAddress,PSSessionStateBroken",
            "-2144108101",
            "IP address",
        ),
    ] {
        let lines = caught(command);
        assert_eq!(lines[..3], [id, code, "PSRemotingTransportException"], "{command}: {lines:?}");
        let start = format!(
            "[{}] Connecting to remote server",
            if command.contains("10.0.0.1") { "10.0.0.1" } else { "a" }
        );
        assert!(lines[3].starts_with(&start) && lines[3].contains(words), "{lines:?}");
        assert!(
            lines[3].ends_with("For more information, see the about_Remote_Troubleshooting Help topic."),
            "{lines:?}"
        );
        assert!(!lines.concat().contains("Secret-Passw0rd"));
    }
    listener.set_nonblocking(true).unwrap();
    let mut connections = 0;
    while let Ok((mut stream, _)) = listener.accept() {
        let mut sent = Vec::new();
        stream.set_nonblocking(false).unwrap();
        stream.read_to_end(&mut sent).unwrap();
        assert_eq!(sent, b"", "something was sent");
        connections += 1;
    }
    assert_eq!(connections, 2, "for the two that Kerberos was tried for");
}
