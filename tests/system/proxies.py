"""HTTPS sessions through real proxies, squid and tinyproxy, with and without authentication to the proxy: whole
sessions with several requests, Kerberos and CredSSP inside, and every refusal with its reason."""
from lab import *

missing = have_lab("samba", "kinit", "openssl", "squid", "tinyproxy", "ss")
if missing:
    skip("sessions through proxies", missing)
    raise SystemExit(0)

lab("up-samba.sh")
lab("up-proxies.sh")
homes("alice", "bob")
FOLDER = hostdir("client") / "proxies"
FOLDER.mkdir(exist_ok=True)
A, PROXY = "servera.hop.test", "proxy.hop.test"
PROXY_ADDRESS = at("client", "getent", "hosts", PROXY).out.split()[0]


def certificate(host):
    """A certificate authority of the lab's, and a certificate of its for a host."""
    here = hostdir(host)
    subprocess.run(f"""
        set -e; cd {FOLDER}
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj '/CN=lab authority' \\
            -keyout ca.key -out ca.pem
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN={A}' -keyout {here}/https.key -out host.csr
        printf 'subjectAltName=DNS:{A}\\nextendedKeyUsage=serverAuth\\n' >host.ext
        openssl x509 -req -in host.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile host.ext -out {here}/https.pem
        chmod 600 {here}/https.key""", shell=True, executable="/bin/bash", check=True, capture_output=True)
    return f'certificate = "{here}/https.pem"\ncertificate_key = "{here}/https.key"\n'


serve("servera", f'listen = ["0.0.0.0:5985"]\nlisten_https = ["0.0.0.0:5986"]\n{certificate("servera")}'
      f'keytab = "{WORK}/keytabs/servera.keytab"\n[auth]\nCredSSP = true\n')
alice = kinit("alice")
secret = FOLDER / "password"
secret.write_text(PASSWORD + "\n")
wrong = FOLDER / "wrong"
wrong.write_text("not-her-passw0rd\n")
CA = ("--ca", str(FOLDER / "ca.pem"))
HTTPS = ("--https", *CA)
# Long enough for several Receives, then where the connection comes from.
SLOW = "sh -c 'for i in 1 2 3 4 5 6; do echo line $i; sleep 0.5; done; id -un; ss -Htn sport = :5986'"
proxy = lambda port, user="": f"http://{user}{PROXY}:{port}"


POLICY = {"HOP_POLICY": str(FOLDER / "policy.toml")}
enabled = at("client", HOP, "credssp", "enable", "--role", "client", "--delegate-computer", A, "--force", env=POLICY)
check("servera may have passwords", enabled.code == 0, enabled.all)


def run(*options, script="id -un", host=A, env=None, cache=alice, seconds=60):
    return at("client", HOP, "run", "-c", host, *options, script, cache=cache, env={**POLICY, **(env or {})}, seconds=seconds)


def through(r):
    """The whole session went through the proxy."""
    return r.code == 0 and r.says("line 1", "line 6", "alice") and PROXY_ADDRESS in r.out


def direct(r):
    return r.code == 0 and r.says("line 6", "alice") and PROXY_ADDRESS not in r.out


r = run(*HTTPS, script=SLOW)
check("HTTPS without proxy", direct(r), r.all)
AS_ALICE = ("--user", "alice@HOP.TEST", "--password-file", str(secret))
BASIC = ("--proxy-password-file", str(secret))
WAYS = (("tinyproxy", 8888, "", ()), ("squid", 3128, "", ()), ("squid with Basic", 3129, "alice@", BASIC),
        ("squid with Negotiate", 3130, "", ()), ("squid with Negotiate, by password", 3130, "alice@", BASIC))
for name, port, user, options in WAYS:
    to = ("--proxy", proxy(port, user), *options)
    r = run(*HTTPS, *to, script=SLOW)
    check(f"{name}: Kerberos", through(r), r.all)
    r = run(*HTTPS, *to, "--shell", "winrs", script=SLOW)
    check(f"{name}: a command shell", through(r), r.all)
    r = run(*HTTPS, *to, "--authentication", "credssp", *AS_ALICE, script=SLOW)
    check(f"{name}: CredSSP", through(r), r.all)
r = at("client", HOP, "ticket", "ls", cache=alice)
check("a ticket for the proxy itself is kept", r.says(f"HTTP/{PROXY}@HOP.TEST"), r.all)
SMB = "smbclient //serverb.hop.test/share -N --use-kerberos=required -c 'get readme.txt -'"
r = run(*HTTPS, "--proxy", proxy(3128), "--delegate", "forward", script=SMB)
check("the second hop, with a forwarded ticket that went through the proxy", "secret of serverb" in r.out, r.all)
r = run(*HTTPS, "--proxy", proxy(3128), "--delegate", "credssp", *AS_ALICE, script=SMB)
check("the second hop, by --delegate credssp through the proxy", "secret of serverb" in r.out, r.all)

# Two pipelines of one session, by the environment.
variables = {"HTTPS_PROXY": proxy(3128), "SSL_CERT_FILE": str(FOLDER / "ca.pem")}
TWO = (f"$s = New-PSSession -ComputerName {A} -UseSSL; Invoke-Command -Session $s {{ {SLOW}; $a = 'kept' }}; "
       "Invoke-Command -Session $s { \"second: $a\" }; Remove-PSSession $s")
r = at("client", HOP, "shell", "-c", TWO, cache=alice, env=variables)
check("HTTPS_PROXY: two pipelines of one session", through(r) and r.says("second: kept"), r.all)

# Who says which proxy.
closed = f"http://{PROXY}:9"
r = run(*HTTPS, script=SLOW, env={"https_proxy": proxy(8888)})
check("https_proxy", through(r), r.all)
r = run(*HTTPS, script=SLOW, env={"HTTPS_PROXY": f"http://alice:{PASSWORD}@{PROXY}:3129"})
check("HTTPS_PROXY with user and password", through(r), r.all)
r = run(*HTTPS, script=SLOW, env={"HTTPS_PROXY": closed, "NO_PROXY": "hop.test"})
check("NO_PROXY", direct(r), r.all)
r = run(*HTTPS, "--no-proxy", "192.0.2.0/24,hop.test", script=SLOW, env={"HTTPS_PROXY": closed})
check("--no-proxy", direct(r), r.all)
r = run(*HTTPS, "--proxy", "none", script=SLOW, env={"HTTPS_PROXY": closed})
check("--proxy none", direct(r), r.all)
hosts = FOLDER / "hosts.toml"
hosts.write_text(f'[[host]]\nname = "a"\nhost_name = "{A}"\nhttps = true\nproxy = "{proxy(3128)}"\n')
r = run(*CA, host="a", script=SLOW, env={"HOP_HOSTS": str(hosts), "HTTPS_PROXY": closed})
check("the host's entry comes before the environment", through(r), r.all)
r = run(*CA, "--proxy", proxy(8888), host="a", script=SLOW, env={"HOP_HOSTS": str(hosts)})
check("the option comes before the host's entry", through(r), r.all)

# Plain HTTP.
r = run("--proxy", proxy(3128))
check("HTTP through a proxy is refused with WinRM's code and the remedy", r.code == 2 and r.says("2150859185", "--https"), r.all)
r = run(env={"HTTPS_PROXY": closed})
check("HTTP does not mind HTTPS_PROXY", r.code == 0 and r.says("alice"), r.all)

# Refusals.
r = run(*HTTPS, "--proxy", f"http://alice:{PASSWORD}@{PROXY}:3129")
check("a password in the address", r.code == 2 and r.says("list of processes", "--proxy-password-file"), r.all)
r = run(*HTTPS, "--proxy", proxy(3129))
check("Basic is demanded and there is no user", r.code == 3 and r.says("demands authentication (Basic)", "http://USER@HOST:PORT"), r.all)
r = run(*HTTPS, "--proxy", proxy(3129, "alice@"), "--proxy-password-file", str(wrong))
check("a wrong password for the proxy", r.code == 3 and r.says("refused the credentials (Basic)") and "not-her" not in r.all, r.all)
r = run(*HTTPS, "--proxy", proxy(3130), cache="/nonexistent/cc", env={"KRB5CCNAME": "FILE:/nonexistent/cc"})
check("no ticket", r.code == 3 and r.says("/nonexistent/cc"), r.all)
r = run(*HTTPS, "--proxy", proxy(3130), *AS_ALICE, cache="/nonexistent/cc")
check("the host's credentials are not the proxy's", r.code == 3 and r.says("demands authentication (Negotiate)"), r.all)
r = run(*HTTPS, "--proxy", proxy(3130), "--proxy-authentication", "basic")
check("only Basic may be used, only Negotiate is offered", r.code == 3 and r.says("(Negotiate)", "basic is what may be used"), r.all)
r = run(*HTTPS, "--proxy", proxy(8888), host=f"{A}:5999")
check("a port that the proxy's rules do not allow", r.code == 3 and r.says("rules do not allow", "5999"), r.all)
r = run(*HTTPS, "--proxy", proxy(3128), host=f"{A}:5999")
check("squid: nothing listens at the host", r.code == 3 and r.says("cannot reach", "ERR_CONNECT_FAIL"), r.all)
(FOLDER / "nowhere.toml").write_text(f'[[host]]\nname = "a"\nhost_name = "{A}"\nhttps = true\naddress = "nosuch.hop.test"\n')
r = run(*CA, "--proxy", proxy(3128), host="a", env={"HOP_HOSTS": str(FOLDER / "nowhere.toml")})
check("squid: a name that the proxy does not know", r.code == 3 and (r.says("the proxy cannot resolve the name of nosuch.hop.test")
                                                                 or r.says("the proxy cannot reach nosuch.hop.test")), r.all)
r = run(*HTTPS, "--proxy", closed)
check("no proxy there", r.code == 3 and r.says("the proxy refused the connection"), r.all)
r = run(*HTTPS, "--proxy", "http://nosuch.hop.test:3128")
check("a proxy that has no address", r.code == 3 and r.says("the proxy's name cannot be resolved"), r.all)
r = run(*HTTPS, "--proxy", f"http://{A}:5985")
check("a proxy that is a web server", r.code == 3 and r.says("the proxy"), r.all)

# In the middle of a session the proxy goes.
began = time.time()
process = subprocess.Popen([str(LAB / "netns.sh"), "exec", "client", "env", f"KRB5CCNAME=FILE:{alice}", HOP, "run", "-c", A, *HTTPS,
                            "--proxy", proxy(8888), "sh -c 'echo begun; sleep 50'"], stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
first = process.stdout.readline()
subprocess.run(["bash", "-c", f". {LAB}/lab-env.sh; stop_daemon proxy tinyproxy KILL"], check=False)
try:
    rest = process.communicate(timeout=20)[0]
    check("a proxy that goes in the middle: a clear error, and no waiting",
          "begun" in first and process.returncode == 3 and f"it goes through the proxy {PROXY}:8888" in rest, first + rest)
except subprocess.TimeoutExpired:
    process.kill()
    check("a proxy that goes in the middle: a clear error, and no waiting", False, f"it hangs since {time.time() - began} s")

check("no password in any log", not any(PASSWORD in log_of(h, n) or "not-her-passw0rd" in log_of(h, n)
                                        for h, n in (("servera", "hop"), ("proxy", "squid"), ("proxy", "tinyproxy"))))
stop_serve("servera")
lab("down.sh", "--purge")
finish()
