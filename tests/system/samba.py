"""The main job in a Samba Active Directory domain: both hops, who is let on, who is refused and why, nothing left."""
import time

from lab import *

missing = have_lab("samba", "smbclient", "kinit")
if missing:
    skip("second hop in a Samba domain", missing)
    raise SystemExit(0)

lab("up-samba.sh")
KEYTABS = WORK / "keytabs"
CONFIG = """listen = ["0.0.0.0:5985"]
keytab = "{keytab}"
"""
# The domain controller's winbind names its users DOMAIN\\user.
DC_MAP = """
[[map]]
principal = "*@HOP.TEST"
user = 'HOP\\*'
"""
homes("alice", "bob", "sensitive")
# uncon is another name of servera, with an account of its own: one server, the keys of both.
both = merge_keytabs(hostdir("servera") / "both.keytab", KEYTABS / "servera.keytab", KEYTABS / "uncon.keytab")
serve("servera", CONFIG.format(keytab=both))
serve("serverb", CONFIG.format(keytab=KEYTABS / "serverb.keytab"))
serve("dc", CONFIG.format(keytab=KEYTABS / "dc.keytab") + DC_MAP)

alice, sensitive = kinit("alice"), kinit("sensitive")
plain = kinit("alice", flags=("-F",))
SMB = "smbclient //serverb.hop.test/share -N --use-kerberos=required -c 'get readme.txt -'"
OWN = "smbclient //servera.hop.test/share -N --use-kerberos=required -c 'get readme.txt -'"
NEST = "Invoke-Command -ComputerName serverb.hop.test { hostname; id -un }"
TRUST = "not trusted for delegation"


def run(host, script, *options, cache=alice, seconds=60):
    return at("client", HOP, "run", "-c", host, *options, script, cache=cache, seconds=seconds)


def sh(host, command, *options, cache=alice):
    return at("client", HOP, "run", "--shell", "winrs", "-c", host, *options, command, cache=cache)


A = "servera.hop.test"
r = run(A, "id -un; hostname")
check("alice runs a command on servera as herself", r.code == 0 and r.out.split()[-2:] == ["alice", "servera"] or
      r.says("alice") and r.says("servera") and r.code == 0, r.all)
remembered = hostdir("client") / "cache" / "hop" / "hosts.json"
check("that servera proved itself by Kerberos is remembered", f'"{A}"' in remembered.read_text(), remembered)
remembered.write_text("{ garbled")
r = run(A, "id -un")
check("a memory that is garbled does not matter, and is made anew",
      r.code == 0 and not r.err and f'"{A}"' in remembered.read_text(), r.all)
r = sh(A, "id -un; hostname; echo oops >&2; exit 7")
check("WinRS: /bin/sh as alice, both streams, exit code", "alice" in r.out and "oops" in r.err and r.code != 0, r.all)
r = sh(A, SMB, "--delegate", "forward")
check("WinRS with a forwarded ticket: stock smbclient reads serverb's share", "secret of serverb" in r.out, r.all)
r = run(A, SMB, "--delegate", "forward")
check("PSRP with a forwarded ticket: stock smbclient reads serverb's share", "secret of serverb" in r.out, r.all)
r = run(A, NEST, "--delegate", "forward")
check("Invoke-Command from servera reaches serverb as alice", r.says("serverb", "alice") and r.code == 0, r.all)
r = run(A, OWN, "--delegate", "forward")
check("servera's own share opens with a forwarded ticket", "secret of servera" in r.out, r.all)

for name, script in (("smbclient to serverb", SMB), ("smbclient to servera itself", OWN)):
    r = run(A, script)
    check(f"auto through servera: {name} fails", "secret of" not in r.out, r.all)
    r = run(A, f"{script}; & '{HOP}' ticket why")
    check(f"auto through servera: `hop ticket why` tells the reason after {name}", r.says(TRUST), r.all)
r = run(A, NEST)
check("auto through servera: Invoke-Command fails and says why, with remedies",
      r.code != 0 and r.says(TRUST) and r.says("--delegate forward"), r.all)
r = run(A, NEST, "--delegate", "never")
check("never: the reason is the client's choice", r.code != 0 and r.says("--delegate never"), r.all)
r = run(A, NEST, "--delegate", "forward", cache=plain)
check("a kinit without -f: insisting is refused, both possible causes named",
      r.code != 0 and r.says("kinit") and r.says("sensitive"), r.all)

for host, who in (("uncon.hop.test", "uncon (trusted for delegation)"), ("dc.hop.test", "the domain controller")):
    r = run(host, SMB)
    check(f"default through {who}: the second hop works with no option", "secret of serverb" in r.out, r.all)
    r = run(host, NEST)
    check(f"default through {who}: Invoke-Command reaches serverb", r.says("serverb", "alice") and r.code == 0, r.all)

r = run(A, "id -un", cache=sensitive)
check("sensitive makes the first hop", r.code == 0 and "sensitive" in r.out, r.all)
for script in (SMB, NEST):
    for mode in ("auto", "forward"):
        r = run("uncon.hop.test", script, "--delegate", mode, cache=sensitive)
        check(f"sensitive, {mode}: no second hop by {script.split()[0]}",
              "secret of" not in r.out and "\nserverb" not in r.out, r.all)
r = run("uncon.hop.test", NEST, cache=sensitive)
check("sensitive: the reason names the account", r.says("sensitive"), r.all)

# --- nothing is left ------------------------------------------------------------------------------------------------
time.sleep(1)
for host in ("servera", "serverb", "dc"):
    left = caches_left(host)
    check(f"no credential cache is left on {host}", not left, "\n".join(left))
for victim in ("network", "monitor", "session"):
    slow = ["bash", "-c", f"KRB5CCNAME=FILE:{alice} exec '{HOP}' run -c {A} --delegate forward 'sleep 60' >/dev/null 2>&1"]
    process = subprocess.Popen([str(LAB / "netns.sh"), "exec", "client", *slow], stdin=subprocess.DEVNULL)
    for _ in range(100):
        if at("servera", "pgrep", "-f", "^sleep 60").code == 0:
            break
        time.sleep(0.1)
    held = caches_left("servera")
    check(f"kill -9 of the {victim}: a session with a cache was there", len(held) == 1, held)
    tree = at("servera", "ps", "-eo", "pid,ppid,args").out
    pids = [line.split()[0] for line in tree.splitlines() if "hop" in line and {
        "network": "network" in line, "monitor": "serve --config" in line and "network" not in line,
        "session": line.rstrip().endswith(" host") or "hop host" in line}[victim] and "ps -eo" not in line]
    check(f"kill -9 of the {victim}: it was found", bool(pids), tree)
    at("servera", "kill", "-9", *pids[:1])
    process.wait(30)
    time.sleep(1)
    if victim in ("network", "monitor"):
        check(f"kill -9 of the {victim}: no process of the session is left",
              at("servera", "pgrep", "-f", "^sleep 60").code != 0, at("servera", "ps", "-ef").out)
        serve("servera", CONFIG.format(keytab=both))
        time.sleep(0.3)
    left = caches_left("servera")
    check(f"kill -9 of the {victim}: no credential cache is left", not left, left)

# --- bad input ------------------------------------------------------------------------------------------------------
secret = hostdir("client") / "wrong.pw"
secret.write_text("not-her-passw0rd")
r = run(A, "1", "--user", "alice@HOP.TEST", "--password-file", str(secret))
check("wrong password: said so, nothing ran", r.code != 0 and r.says("password") and "not-her" not in r.all, r.all)
secret.write_text(PASSWORD)
r = run(A, "id -un", "--user", "alice@HOP.TEST", "--password-file", str(secret), cache="/nonexistent/cc")
check("a password from a file", r.code == 0 and "alice" in r.out, r.all)
r = run(A, "1", "--user", "nobody-here@HOP.TEST", "--password-file", str(secret))
check("unknown principal: said so", r.code != 0 and r.says("nobody-here"), r.all)
for user, words in (("expired", ["expired"]), ("mustchange", ["expired"]), ("disabled", ["revoked"])):
    r = run(A, "1", "--user", f"{user}@HOP.TEST", "--password-file", str(secret))
    check(f"{user} account: said so", r.code != 0 and (r.says(*words) or r.says("disabled") or r.says("chang")), r.all)
r = run(A, "1", cache="/nonexistent/cc")
check("no ticket: said so, with the remedy", r.code != 0 and r.says("kinit"), r.all)
r = run("nosuchhost.hop.test", "1")
check("unknown host: said so", r.code != 0 and r.says("nosuchhost"), r.all)
admin = hostdir("client") / "cc" / "administrator"
at("client", "kinit", "-c", str(admin), "administrator", stdin="Adm1n-Passw0rd\n")
r = run(A, "id -un", cache=admin)
check("a principal without a local account above UID_MIN or a line of its own is refused or maps to its own account",
      "root" not in r.out, r.all)
machine = hostdir("client") / "cc" / "machine"
at("servera", "kinit", "-k", "-t", str(KEYTABS / "servera.keytab"), "-c", str(machine), "SERVERA$")
r = run("serverb.hop.test", "id -un", cache=machine)
check("another host's NAME$ is refused", r.code != 0 and r.says("SERVERA$"), r.all)

check("no secret in any server's log",
      not any(PASSWORD in log_of(h) or "not-her-passw0rd" in log_of(h) for h in ("servera", "serverb", "dc")))
for host in ("servera", "serverb", "dc"):
    stop_serve(host)
finish()
