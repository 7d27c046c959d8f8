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

# --- RC4: nothing of it unless krb5.conf names it --------------------------------------------------------------------
def kadmin(query):
    done = at("kdc", "kadmin.local", "-r", "ONE.TEST", "-q", query,
              env={"KRB5_CONFIG": CONFIG, "KRB5_KDC_PROFILE": str(WORK / "mit" / "kdc.conf")})
    if done.code:
        raise SystemExit(f"kadmin.local {query}: {done.all}")


old = hostdir("servera") / "rc4.keytab"
old.unlink(missing_ok=True)
kadmin(f"cpw -e arcfour-hmac:normal -pw {PASSWORD} bob")
kadmin(f"ktadd -k {old} -e arcfour-hmac:normal HTTP/uncon.one.test")
kadmin("setstr HTTP/uncon.one.test session_enctypes arcfour-hmac")
PERMITTED = str(WORK / "mit" / "permitted.conf")
pathlib.Path(PERMITTED).write_text(pathlib.Path(CONFIG).read_text().replace(
    "[libdefaults]\n", "[libdefaults]\n  permitted_enctypes = aes256-cts aes128-cts arcfour-hmac\n"))
secret = hostdir("client") / "rc4.password"
secret.write_text(PASSWORD)
cache = hostdir("client") / "cc" / "bob.rc4"


def hop(config, *args):
    return at("client", HOP, *args, cache=cache, env={"KRB5_CONFIG": config})


login = ("login", "bob@ONE.TEST", "--password-file", str(secret))
r = hop(CONFIG, *login)
check("RC4: an account with no other key, not named", r.code == 1, r.all)
r = hop(PERMITTED, *login)
check("RC4: the same, named", r.code == 0, r.all)
r = at("client", "klist", "-e", cache=cache)
check("RC4: MIT's klist reads the cache", r.says("Default principal: bob@ONE.TEST"), r.all)
for config, named in ((CONFIG, False), (PERMITTED, True)):
    os.environ["KRB5_CONFIG"] = config
    serve("servera", f'listen = ["0.0.0.0:5985"]\nkeytab = "{old}"\nrealm = "ONE.TEST"\n', name="hop-mit")
    r = hop(PERMITTED, "run", "-c", "uncon.one.test", "id -un; 'x' * 40000")
    check(f"RC4: a server whose krb5.conf {'names it' if named else 'does not'}",
          (r.code == 0 and r.says("bob", "x" * 40000)) if named else r.code == 3, r.all[-3000:])
r = at("client", "klist", "-e", cache=cache)
check("RC4: the session's key is one", r.says("HTTP/uncon.one.test@ONE.TEST", "arcfour-hmac"), r.all)
r = hop(CONFIG, "run", "-c", "uncon.one.test", "id -un")
check("RC4: a ticket that lies in the cache is not used where it is not named", r.code == 3, r.all)
os.environ["KRB5_CONFIG"] = CONFIG
for host in ("servera", "serverb"):
    stop_serve(host, "hop-mit")
lab("down.sh", "--purge")
finish()
