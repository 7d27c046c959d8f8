"""Every way in, in the Samba domain: other people's clients by CredSSP, NTLM, Basic and certificate, over HTTP and HTTPS,
and the second hop from there."""
import shlex

from lab import *

python = PEERS / "bin" / "python"
missing = (have_lab("samba", "smbclient", "kinit", "curl", "openssl", "ntlm_auth")
           or (None if (PEERS / "bin" / "ansible").exists() else "no ansible (tests/system/install)"))
if missing:
    skip("every way in", missing)
    raise SystemExit(0)

lab("up-samba.sh")
homes("alice", "bob")
alice = kinit("alice")
A, KCDANY = "servera.hop.test", "kcdany.hop.test"
pki = hostdir("client") / "pki"
pki.mkdir(parents=True, exist_ok=True)


def openssl(*arguments, stdin=None):
    subprocess.run(["openssl", *arguments], check=True, input=stdin, text=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, cwd=pki)


def certificate(name, extension):
    """NAME.pem: a certificate of the lab's authority with its key."""
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", "req.csr")
    (pki / "ext").write_text(extension)
    openssl("x509", "-req", "-in", "req.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
            "-extfile", "ext", "-out", f"{name}.crt")
    both = pki / f"{name}.pem"
    both.write_text((pki / f"{name}.crt").read_text() + (pki / f"{name}.key").read_text())
    return both


UPN = "extendedKeyUsage=clientAuth\nsubjectAltName=otherName:1.3.6.1.4.1.311.20.2.3;UTF8:{}@hop.test\n"
openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=lab", "-keyout", "ca.key", "-out",
        "ca.pem")
CA = pki / "ca.pem"
server = certificate("server", f"subjectAltName=DNS:{A},DNS:{KCDANY}\n")
alice_pem = certificate("alice", UPN.format("alice"))
nobody_pem = certificate("nobody", UPN.format("nobody-here"))
for file in pki.iterdir():
    file.chmod(0o644)

CONFIG = """listen = ["0.0.0.0:{http}"]
listen_https = ["0.0.0.0:{https}"]
keytab = "{keytabs}/{name}.keytab"
certificate = "{server}"
client_ca = "{ca}"
{extra}
[auth]
NTLM = true
CredSSP = true
Basic = true
Certificate = true
[[certificate_map]]
name = "*@hop.test"
principal = "*@HOP.TEST"
"""


def config(name, http, https, extra=""):
    return CONFIG.format(name=name, http=http, https=https, keytabs=WORK / "keytabs", server=server, ca=CA, extra=extra)


serve("servera", config("servera", 5985, 5986))
serve("servera", config("kcdany", 15985, 15986), name="kcdany")
HTTP, HTTPS = f"http://{A}:5985/wsman", f"https://{A}:5986/wsman"
SMB = "smbclient //serverb.hop.test/share -N --use-kerberos=required -c 'get readme.txt -'"
SECRET = "secret of serverb"


def client(library, auth, url, script, user="HOP\\alice", password=PASSWORD, cert="-", cache=None):
    return at("client", str(python), str(ROOT / "tests/system/ways_client.py"), library, auth, url, user, password, str(CA),
              str(cert), script, cache=cache or "/nonexistent/cc", seconds=120)


# --- CredSSP ---------------------------------------------------------------------------------------------------------
for library in ("pypsrp", "pywinrm"):
    for url in (HTTP, HTTPS):
        for user in ("HOP\\alice", "alice@HOP.TEST") if url == HTTP else ("alice@hop.test",):
            r = client(library, "credssp", url, f"id -un; {SMB}", user=user)
            check(f"{library} by CredSSP as {user} over {url[:5].rstrip(':')}: alice, and smbclient reads serverb's share",
                  "alice" in r.out and SECRET in r.out and "had errors" not in r.out, r.all)
r = client("pypsrp", "credssp", HTTP, f"& '{HOP}' ticket why; klist")
check("the session's ticket is the one that CredSSP's password got", r.says("CredSSP", "krbtgt/HOP.TEST"), r.all)
r = client("pypsrp", "credssp", HTTP, "1", password="not-her-passw0rd")
check("CredSSP with a wrong password is refused", r.code != 0 and "session opened" not in r.all, r.all)
check("no password is in the server's log", PASSWORD not in log_of("servera") and "not-her" not in log_of("servera"))
r = client("pypsrp", "credssp", HTTP, "id -un", user="sensitive@HOP.TEST")
check("CredSSP as a user who may not be delegated works, as on Windows", "sensitive" in r.out, r.all)

# --- NTLM, Basic, certificates ---------------------------------------------------------------------------------------
for library in ("pypsrp", "pywinrm"):
    for auth, url, user in (("ntlm", HTTP, "HOP\\alice"), ("ntlm", HTTP, "alice@HOP.TEST"), ("ntlm", HTTPS, "HOP\\alice"),
                            ("basic", HTTPS, "alice"), ("basic", HTTPS, "alice@HOP.TEST")):
        r = client(library, auth, url, "id -un", user=user)
        check(f"{library} by {auth} as {user} over {url[:5].rstrip(':')}", "alice" in r.out and "had errors" not in r.out, r.all)
        r = client(library, auth, url, "id -un", user=user, password="not-her-passw0rd")
        check(f"{library} by {auth} as {user} over {url[:5].rstrip(':')}: a wrong password is refused", r.code != 0, r.all)
    r = client(library, "certificate", HTTPS, "id -un", user="-", cert=alice_pem)
    check(f"{library} by certificate", "alice" in r.out and "had errors" not in r.out, r.all)
    r = client(library, "certificate", HTTPS, "id -un", user="-", cert=nobody_pem)
    check(f"{library}: a certificate of nobody here is refused", r.code != 0 and "alice" not in r.out, r.all)
    r = client(library, "kerberos", HTTPS, "id -un", user="-", cache=alice)
    check(f"{library} by Kerberos over https, bound to the certificate", "alice" in r.out, r.all)
r = client("pypsrp", "ntlm", HTTP, "id -un", user="HOP\\protected")
check("a member of Protected Users cannot use NTLM: the domain refuses", r.code != 0 and "protected" not in r.out, r.all)
r = client("pypsrp", "ntlm", HTTP, f"{SMB}; & '{HOP}' ticket why")
check("NTLM brings nothing that could travel on, and the session says so",
      SECRET not in r.out and r.says("did not sign in", "Kerberos"), r.all)
r = client("pypsrp", "basic", f"http://{A}:5985/wsman", "1", user="alice")
check("Basic over HTTP is refused", r.code != 0, r.all)

# --- protocol transition ---------------------------------------------------------------------------------------------
for auth, url, options in (("ntlm", f"http://{KCDANY}:15985/wsman", {}), ("basic", f"https://{KCDANY}:15986/wsman", {}),
                           ("certificate", f"https://{KCDANY}:15986/wsman", {"user": "-", "cert": alice_pem})):
    r = client("pypsrp", auth, url, f"id -un; {SMB}", **options)
    check(f"by {auth} to kcdany: the second hop by protocol transition, smbclient reads serverb's share",
          "alice" in r.out and SECRET in r.out, r.all + log_of("servera", "kcdany")[-1500:])

# --- curl ------------------------------------------------------------------------------------------------------------
IDENTIFY = ('<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
            'xmlns:w="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"><s:Header/><s:Body><w:Identify/></s:Body></s:Envelope>')
SOAP = ["-H", "Content-Type: application/soap+xml;charset=UTF-8", "--data", IDENTIFY, "-sS", "--cacert", str(CA), "-w",
        "\n%{http_code}\n"]
MUTUAL = "Authorization: http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual"
for name, options in (("--negotiate", ["--negotiate", "-u", ":"]), ("--basic", ["--basic", "-u", f"alice:{PASSWORD}"]),
                      ("with a certificate", ["--cert", str(alice_pem), "-H", MUTUAL])):
    r = at("client", "curl", *options, *SOAP, HTTPS, cache=alice)
    check(f"curl {name} over https is answered", "\n200" in r.out and "IdentifyResponse" in r.out, r.all)
r = at("client", "curl", "--basic", "-u", f"alice:{PASSWORD}x", *SOAP, HTTPS)
check("curl --basic with a wrong password gets 401", "\n401" in r.out, r.all)

# --- our NTLM in Samba's directory -----------------------------------------------------------------------------------
example = pathlib.Path(HOP).parent / "examples" / "ldap_login"
if not example.exists():
    subprocess.run(["cargo", "build", "--locked", "-q", "-p", "hop-auth", "--example", "ldap_login"], cwd=ROOT, check=True)
    example = ROOT / "target/debug/examples/ldap_login"
r = at("client", str(example), "dc.hop.test", "HOP\\alice", "DC=hop,DC=test", stdin=PASSWORD + "\n")
check("LDAP with SASL GSS-SPNEGO: our NTLM logs in to Samba, sealed messages both ways", r.out.strip() == "DC=hop,DC=test", r.all)
r = at("client", str(example), "dc.hop.test", "HOP\\alice", "DC=hop,DC=test", stdin="not-her-passw0rd\n")
check("LDAP: a wrong password is refused", r.code != 0 and "refused" in r.all, r.all)

# --- Ansible ---------------------------------------------------------------------------------------------------------
inventory = hostdir("client") / "inventory.ini"
common = f"ansible_shell_type=powershell ansible_become=false ansible_winrm_ca_trust_path={CA} ansible_psrp_ca_cert={CA}"
for connection in ("winrm", "psrp"):
    for auth in ("kerberos", "ntlm", "credssp", "basic", "certificate"):
        https = auth in ("basic", "certificate")
        who = {"kerberos": {"user": "alice@HOP.TEST"}, "ntlm": {"user": "HOP\\alice", "password": PASSWORD},
               "credssp": {"user": "alice@HOP.TEST", "password": PASSWORD}, "basic": {"user": "alice", "password": PASSWORD},
               "certificate": {}}[auth]
        values = {f"ansible_{k}": v for k, v in who.items()}
        values.update(ansible_connection=connection, ansible_port=5986 if https else 5985)
        if connection == "winrm":
            values.update(ansible_winrm_transport=auth, ansible_winrm_scheme="https" if https else "http",
                          ansible_winrm_kinit_mode="manual")
            if auth == "certificate":
                values.update(ansible_winrm_cert_pem=alice_pem, ansible_winrm_cert_key_pem=alice_pem)
        else:
            values.update(ansible_psrp_auth=auth, ansible_psrp_protocol="https" if https else "http",
                          ansible_psrp_message_encryption="auto" if https else "always", ansible_psrp_negotiate_service="HTTP")
            if auth == "certificate":
                values.update(ansible_psrp_certificate_pem=alice_pem, ansible_psrp_certificate_key_pem=alice_pem)
        inventory.write_text(f"{A} {common} " + " ".join(f"{k}={shlex.quote(str(v))}" for k, v in values.items()) + "\n")
        r = at("client", str(PEERS / "bin/ansible"), "-i", str(inventory), "all", "-m", "raw", "-a", "id -un; 6 * 7",
               cache=alice, seconds=120, env={"HOME": str(hostdir("client")), "ANSIBLE_LOCALHOST_WARNING": "0"})
        check(f"Ansible's raw module over {connection} by {auth}",
              r.code == 0 and "alice" in r.out and "42" in r.out and "rc=0" in r.out, r.all)

# --- hop by every way ------------------------------------------------------------------------------------------------
policy = hostdir("client") / "policy.toml"
policy.unlink(missing_ok=True)
pw = hostdir("client") / "alice.pw"
pw.write_text(PASSWORD + "\n")
ENV = {"HOP_POLICY": str(policy), "HOME": str(hostdir("client"))}
WHO = ("--user", "alice@HOP.TEST", "--password-file", str(pw))
TLS = ("--https", "--ca", str(CA))


def hop(*arguments, cache="/nonexistent/cc", seconds=60):
    return at("client", HOP, *arguments, cache=cache, env=ENV, seconds=seconds)


def run(script, *options, host=A, **more):
    return hop("run", "-c", host, *options, script, **more)


def sessions():
    return log_of("servera").count("session opened")


before = sessions()
r = run("1", "--authentication", "credssp", *WHO)
check("CredSSP without a policy: nothing is sent, WinRM's code and text, the remedy",
      r.code == 3 and r.says("2150859170", "CredSSP authentication is currently disabled in the client configuration",
                             "hop credssp enable"), r.all)
r = hop("credssp", "enable", "--role", "client", "--delegate-computer", "*.other.test", "--force")
check("hop credssp enable --role client", r.code == 0, r.all)
r = run("1", "--authentication", "credssp", *WHO)
check("CredSSP to a host that the policy does not list: nothing is sent",
      r.code == 3 and r.says("2150859171", "does not allow the delegation of the user credentials"), r.all)
check("no session was opened on the way", sessions() == before)
r = hop("credssp", "enable", "--role", "client", "--delegate-computer", "*.hop.test", "--force")
r = hop("credssp", "status")
check("hop credssp status shows the list and where it stands", r.says("wsman/*.hop.test", str(policy)), r.all)
for options in ((), TLS):
    r = run(f"id -un; {SMB}", "--authentication", "credssp", *WHO, *options)
    check(f"hop run by CredSSP{' over https' if options else ''}: smbclient reads serverb's share", r.code == 0 and
          "alice" in r.out and SECRET in r.out, r.all)
r = run(f"id -un; {SMB}", "--delegate", "credssp", *WHO)
check("hop run --delegate credssp is the same", r.code == 0 and SECRET in r.out, r.all)
NEST = ("$c = [pscredential]::new('alice@HOP.TEST', (ConvertTo-SecureString '" + PASSWORD + "' -AsPlainText -Force)); "
        f"Invoke-Command -ComputerName {A} -Authentication Credssp -Credential $c {{ {SMB} }}")
r = hop("shell", "-Command", NEST)
check("Invoke-Command -Authentication Credssp -Credential of the embedded PowerShell", SECRET in r.out, r.all)
r = hop("shell", "-Command", f"Invoke-Command -ComputerName {A} -Authentication Credssp {{ 1 }}", cache=alice)
check("without a credential it fails with WinRM's text", r.says("user name and password", "CredSSP"), r.all)
r = hop("shell", "-Command", "Get-WSManCredSSP")
check("Get-WSManCredSSP", r.says("configured to allow delegating fresh credentials", "wsman/*.hop.test"), r.all)

r = run("id -un", "--authentication", "ntlm", *WHO)
check("NTLM over HTTP to a host that is not trusted: nothing is sent, WinRM's words, the remedy",
      r.code == 3 and r.says("TrustedHosts", "hop trust add"), r.all)
r = hop("trust", "add", A, "--force")
r = run("id -un", "--authentication", "ntlm", *WHO)
check("NTLM over HTTP to a host in TrustedHosts", r.code == 0 and "alice" in r.out, r.all)
hop("trust", "rm", A)
for way, options in (("ntlm", WHO), ("basic", WHO), ("negotiate", WHO), ("kerberos", ()),
                     ("certificate", ("--certificate", str(alice_pem)))):
    r = run("id -un", "--authentication", way, *options, *TLS, cache=alice)
    check(f"hop run by {way} over https", r.code == 0 and "alice" in r.out, r.all)
LOST = ("proved its name by Kerberos", "Leave out --allow-ntlm")
nobody = {**ENV, "KRB5_CONFIG": "/dev/null"}
BY_NTLM = ("--user", "HOP\\alice", "--password-file", str(pw), *TLS, "id -un")
r = at("client", HOP, "run", "-c", A, "--allow-ntlm", *BY_NTLM, env=nobody)
check("NTLM in Kerberos's place with a host that once proved itself by Kerberos: it works, and hop says what is lost",
      r.code == 0 and "alice" in r.out and r.says(*LOST), r.all)
r = at("client", HOP, "run", "-c", A, "--authentication", "ntlm", *BY_NTLM, env=nobody)
check("NTLM that was asked for: nothing is said", r.code == 0 and "alice" in r.out and not r.says(*LOST), r.all)
r = run("id -un", "--authentication", "kerberos", "--https", cache=alice)
check("a certificate that nobody vouches for is refused", r.code == 3 and r.says("certificate"), r.all)

# --- users of the host's own, and the service's switch -----------------------------------------------------------------
users, own = hostdir("servera") / "users", hostdir("servera") / "policy.toml"
for file in (users, own):
    file.unlink(missing_ok=True)
carol = hostdir("client") / "carol.pw"
carol.write_text("Cärols-Pässwörd\n")
r = at("servera", HOP, "user", "add", "alice", "--file", str(users), "--password-file", str(carol))
check("hop user add", r.code == 0 and at("servera", HOP, "user", "ls", "--file", str(users)).out == "alice\n", r.all)
alone = f"""listen = ["0.0.0.0:25985"]
keytab = "{WORK}/keytabs/servera.keytab"
certificate = "{server}"
[auth]
NTLM = true
ntlm_auth = ""
users = "{users}"
"""
os.environ["HOP_POLICY"] = str(own)
serve("servera", alone, name="alone")
WHO_ALONE = ("--user", "SERVERA\\alice", "--password-file", str(carol), "--allow-ntlm")
hop("trust", "add", A, "--force")
r = run("id -un", "--authentication", "ntlm", *WHO_ALONE, host=f"{A}:25985")
check("a user of the host's own file by NTLM", r.code == 0 and "alice" in r.out, r.all)
hop("credssp", "enable", "--role", "client", "--delegate-computer", A, "--ntlm-only", "--force")
r = run("id -un", "--authentication", "credssp", *WHO_ALONE, host=f"{A}:25985")
check("a service that takes no passwords offers no CredSSP, and the remedy is named",
      r.code == 3 and r.says("hop credssp enable --role server"), r.all)
r = at("servera", HOP, "credssp", "enable", "--role", "server", "--force")
check("hop credssp enable --role server", r.code == 0, r.all)
serve("servera", alone, name="alone")
r = run("id -un; & '" + HOP + "' ticket why", "--authentication", "credssp", *WHO_ALONE, host=f"{A}:25985")
check("after that it does; a user whom no domain knows gets no ticket, and is told",
      "alice" in r.out and r.says("no credential"), r.all)
serve("servera", alone + f"CredSSPKeepPassword = true\n[environment]\nHOP_POLICY = '{own}'\n", name="alone")
serve("serverb", alone.replace("servera.keytab", "serverb.keytab").replace(f'users = "{users}"', f'users = "{users}b"'), name="alone")
at("serverb", HOP, "user", "add", "alice", "--file", f"{users}b", "--password-file", str(carol))
at("servera", HOP, "trust", "add", "serverb.hop.test", "--force")
NTLM_NEST = "Invoke-Command -ComputerName serverb.hop.test -Port 25985 { hostname; id -un }"
r = run(NTLM_NEST, "--authentication", "credssp", *WHO_ALONE, host=f"{A}:25985")
check("hosts without a domain: the session keeps CredSSP's password, and Invoke-Command goes on to serverb by NTLM",
      r.says("serverb", "alice") and r.code == 0, r.all)
for host in ("servera", "serverb"):
    stop_serve(host, "alone")
os.environ.pop("HOP_POLICY")

time_left = caches_left("servera")
check("no credential cache is left on servera", not time_left, time_left)
stop_serve("servera")
stop_serve("servera", "kcdany")
finish()
