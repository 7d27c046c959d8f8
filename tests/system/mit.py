"""The first hop and forwarding with an MIT KDC; users are local accounts."""
from lab import *

missing = have_lab("krb5kdc", "kinit")
if missing:
    skip("MIT realm", missing)
    raise SystemExit(0)

lab("up-mit.sh", "deleg")
KEYTABS = WORK / "mit" / "keytabs"
CONFIG = str(WORK / "mit" / "krb5.conf")
os.environ["KRB5_CONFIG"] = CONFIG
for host in ("servera", "serverb"):
    serve(host, f'listen = ["0.0.0.0:5985"]\nkeytab = "{KEYTABS}/{host}.keytab"\nrealm = "ONE.TEST"\n'
          f'[environment]\nKRB5_CONFIG = "{CONFIG}"\n', name="hop-mit")
alice = kinit("alice", "ONE.TEST", cache=hostdir("client") / "cc" / "alice.one")
r = at("client", HOP, "run", "-c", "servera.one.test", "id -un; hostname", cache=alice)
check("alice runs a command on servera as herself", r.code == 0 and r.says("alice", "servera"), r.all)
nest = "Invoke-Command -ComputerName serverb.one.test { hostname; id -un }"
r = at("client", HOP, "run", "-c", "servera.one.test", "--delegate", "forward", nest, cache=alice)
check("with a forwarded ticket, Invoke-Command reaches serverb", r.code == 0 and r.says("serverb", "alice"), r.all)
r = at("client", HOP, "run", "-c", "servera.one.test", nest, cache=alice)
check("without, it is refused with the reason", r.code != 0 and r.says("not trusted for delegation"), r.all)
for host in ("servera", "serverb"):
    stop_serve(host, "hop-mit")
finish()
