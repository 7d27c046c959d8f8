"""Every way of delegation against real KDCs: what is allowed works, what is refused says why."""
from lab import *

missing = have_lab("samba", "smbclient", "kinit")
if missing:
    skip("constrained delegation in a Samba domain", missing)
    raise SystemExit(0)

lab("up-samba.sh")
KEYTABS = WORK / "keytabs"
homes("alice", "bob", "sensitive")
# One server on servera plays every front end: the DNS names lead to it, and it has all their keys.
fronts = ("servera", "uncon", "kcd", "kcdany", "rbcdfront")
front = merge_keytabs(hostdir("servera") / "fronts.keytab", *(KEYTABS / f"{name}.keytab" for name in fronts))
serve("servera", f'listen = ["0.0.0.0:5985"]\nkeytab = "{front}"\n')
back = merge_keytabs(hostdir("serverb") / "backs.keytab", KEYTABS / "serverb.keytab", KEYTABS / "rbcdback.keytab")
serve("serverb", f'listen = ["0.0.0.0:5985"]\nkeytab = "{back}"\n')
alice, sensitive = kinit("alice"), kinit("sensitive")

SMB = "smbclient //serverb.hop.test/share -N --use-kerberos=required -c 'get readme.txt -'"
OWN = "smbclient //servera.hop.test/share -N --use-kerberos=required -c 'get readme.txt -'"
NEST = "Invoke-Command -ComputerName serverb.hop.test { hostname; id -un }"
WHY = f"& '{HOP}' ticket why"


def run(host, script, *options, cache=alice, seconds=60):
    return at("client", HOP, "run", "-c", host, *options, script, cache=cache, seconds=seconds)


KCD = "kcd.hop.test"
r = run(KCD, SMB, "--delegate", "constrained")
check("constrained, allowed: stock smbclient reads serverb's share", "secret of serverb" in r.out, r.all)
r = run(KCD, SMB)
check("constrained is what auto comes to where no ticket is forwarded", "secret of serverb" in r.out, r.all)
r = run(KCD, NEST, "--delegate", "constrained")
check("constrained, allowed: Invoke-Command reaches serverb as alice", r.says("serverb", "alice") and r.code == 0, r.all)
r = run(KCD, f"{OWN}; {WHY}", "--delegate", "constrained")
check("constrained, target not listed: refused, and the reason names target and remedies", "secret of" not in r.out and
      r.says("cifs/servera.hop.test", "constrained delegation", "samba-tool delegation add-service"), r.all)
r = run(KCD, f"{SMB}; {WHY}", cache=sensitive)
check("constrained, user sensitive: refused, and the reason names the account", "secret of" not in r.out and
      r.says("may not be delegated"), r.all)
r = run("servera.hop.test", f"{SMB}; {WHY}")
check("constrained, front end not listed: refused, with both ways out", "secret of" not in r.out and
      r.says("constrained delegation", "--delegate forward"), r.all)
r = run(KCD, "klist; cat $env:KRB5_CONFIG; env | grep -i krb")
check("the session's cache holds a ticket-granting ticket", r.says("krbtgt/HOP.TEST@HOP.TEST"), r.all)

# --- no ticket on server A that the real KDC would take -------------------------------------------------------------
slow = ["bash", "-c", f"KRB5CCNAME=FILE:{alice} exec '{HOP}' run -c {KCD} --delegate constrained "
        f"\"{SMB}; sleep 30\" >/dev/null 2>&1"]
process = subprocess.Popen([str(LAB / "netns.sh"), "exec", "client", *slow], stdin=subprocess.DEVNULL)
for _ in range(100):
    if at("servera", "pgrep", "-f", "^sleep 30").code == 0:
        break
    time.sleep(0.1)
caches = caches_left("servera")
check("a constrained session has one cache on the server", len(caches) == 1, caches)
for cache in caches:
    # A service that is not in the cache already: the real KDC must be asked with the ticket-granting ticket.
    r = at("servera", "kvno", "ldap/dc.hop.test", cache=cache)
    check("the real KDC takes no ticket-granting ticket of the session", r.code != 0 and not r.says("not found"), r.all)
process.terminate()
process.wait(30)
for host in ("servera", "serverb"):
    stop_serve(host)
finish()
