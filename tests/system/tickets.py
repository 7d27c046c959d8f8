"""Logging in and credential caches in a Samba Active Directory domain: names, machines without krb5.conf, refusals,
and stock smbclient using what `hop login` wrote, in every kind of cache."""
import json

from lab import *

missing = have_lab("samba", "smbclient", "klist")
if missing:
    skip("tickets in a Samba domain", missing)
    raise SystemExit(0)

lab("up-samba.sh")
FOLDER = hostdir("client") / "tickets"
FOLDER.mkdir(exist_ok=True)
PASSWORD_FILE = FOLDER / "password"
PASSWORD_FILE.write_text(PASSWORD + "\n")
SMB = ("smbclient", "//serverb.hop.test/share", "-N", "--use-kerberos=required", "-c", "get readme.txt -")


def hop(cache, *args, config=None):
    env = {"KRB5CCNAME": cache}
    if config:
        env["KRB5_CONFIG"] = config
    return at("client", HOP, *args, env=env)


def login(cache, user, *options, config=None):
    return hop(cache, "login", user, "--password-file", str(PASSWORD_FILE), *options, config=config)


def samba(*args):
    done = at("dc", "samba-tool", *args)
    if done.code:
        raise SystemExit(f"samba-tool {args}: {done.all}")


file = f"FILE:{FOLDER}/cc"
kinds = [file, f"DIR:{FOLDER}/ccs", f"KEYRING:session:hop{os.getpid()}", f"KEYRING:user:hop{os.getpid()}"]
for cache in kinds:
    kind = cache.split("/")[0].rstrip(":")
    r = login(cache, "alice", "--renewable", "2d")
    if "not permitted" in r.all or "not implemented" in r.all:
        skip(f"smbclient with {kind}", "no keyrings")
        continue
    check(f"hop login into {kind}", r.code == 0 and r.says("alice@HOP.TEST", "forwardable", "renewable until"), r.all)
    r = at("client", *SMB, env={"KRB5CCNAME": cache})
    check(f"stock smbclient uses it ({kind})", "secret of serverb" in r.out, r.all)
    r = hop(cache, "ticket", "ls", "--json")
    tickets = json.loads(r.out)[0]["tickets"] if r.code == 0 else []
    check(f"hop sees smbclient's ticket ({kind})", any(t["server"].startswith("cifs/serverb") for t in tickets), r.all)
    r = hop(cache, "ticket", "get", "uncon.hop.test")
    check(f"ok-as-delegate is shown ({kind})", r.says("HTTP/uncon.hop.test@HOP.TEST", "ok-as-delegate"), r.all)
    r = at("client", "klist", env={"KRB5CCNAME": cache})
    check(f"klist sees hop's ticket ({kind})", r.says("HTTP/uncon.hop.test@HOP.TEST", "renew until"), r.all)
    r = hop(cache, "ticket", "rm", "--all")
    check(f"nothing is left of {kind}", r.code == 0 and at("client", "klist", "-s", env={"KRB5CCNAME": cache}).code != 0,
          r.all)

# A user principal name whose suffix is no realm.
ldif = FOLDER / "upn.ldif"
ldif.write_text("dn: CN=bob,CN=Users,DC=hop,DC=test\nchangetype: modify\nreplace: userPrincipalName\n"
                "userPrincipalName: robert@brand.example\n")
done = at("dc", "ldbmodify", "-H", str(hostdir("dc") / "private" / "sam.ldb"), str(ldif))
if done.code:
    done = at("dc", "sh", "-c", f"ldbmodify -H $(find /var/lib/samba {hostdir('dc')} -name sam.ldb 2>/dev/null | head -1) {ldif}")
check("bob has another principal name", done.code == 0, done.all)
for name, owner in (("alice", "alice"), ("alice@HOP.TEST", "alice"), ("alice@hop.test", "alice"), ("HOP\\alice", "alice"),
                    ("hop.test\\alice", "alice"), ("robert@brand.example", "bob")):
    r = login(file, name)
    check(f"login as {name}", r.code == 0 and r.says(f"{owner}@HOP.TEST in"), r.all)
    if r.code == 0:
        r = hop(file, "ticket", "get", "servera.hop.test")
        check(f"and a service ticket as {name}", r.code == 0, r.all)

# A service speaks of a user by such a name: the ticket itself says that it is bob's.
def in_the_name_of(user, account="kcdany", *options):
    return at("servera", HOP, "ticket", "get", "cifs/serverb.hop.test", "--for", user, "--keytab",
              str(WORK / "keytabs" / f"{account}.keytab"), "--principal", f"{account.upper()}$@HOP.TEST", *options)


for name in ("robert@brand.example", "Robert@Brand.Example"):
    r = in_the_name_of(name)
    check(f"a ticket in the name of {name}", r.code == 0 and r.says("cifs/serverb.hop.test@HOP.TEST", "for bob@HOP.TEST"), r.all)
r = in_the_name_of("nobody@brand.example")
check("in the name of nobody", r.code == 1 and r.says("does not know the client", "brand.example"), r.all)
r = in_the_name_of("robert@brand.example", "kcd")
check("evidence that is not forwardable is told apart from other refusals",
      r.code == 1 and r.says("the evidence ticket is not forwardable", "protocol transition", "for-any-protocol"), r.all)

# No krb5.conf: KDCs by DNS, and by name.
none = "/dev/null"
r = login(file, "alice", "--realm", "HOP.TEST", config=none)
check("no krb5.conf, KDCs by DNS", r.code == 0, r.all)
r = hop(file, "ticket", "get", "servera.hop.test", "--realm", "HOP.TEST", config=none)
check("and a service ticket by DNS", r.code == 0, r.all)
r = login(file, "alice@HOP.TEST", "--kdc", "dc.hop.test", config=none)
check("no krb5.conf, the KDC named", r.code == 0, r.all)
homes("alice", "bob")
serve("servera", f'listen = ["0.0.0.0:5985"]\nkeytab = "{WORK}/keytabs/servera.keytab"\n')
for user in ("alice@HOP.TEST", "HOP\\alice"):
    r = hop(f"FILE:{FOLDER}/none", "run", "-c", "servera.hop.test", "--realm", "HOP.TEST", "--kdc", "dc.hop.test",
            "--user", user, "--password-file", str(PASSWORD_FILE), "id -un", config=none)
    check(f"no krb5.conf: hop run as {user}", r.code == 0 and r.says("alice"), r.all)
r = hop(f"FILE:{FOLDER}/none", "run", "-c", "servera.hop.test", "id -un")
check("hop run without a ticket says how to get one", r.code == 3 and r.says("does not exist", "hop login"), r.all)
r = login(file, "alice")
r = hop(file, "run", "-c", "servera.hop.test", "id -un")
check("hop run with hop login's ticket", r.code == 0 and r.says("alice"), r.all)
r = at("client", "klist", env={"KRB5CCNAME": file})
check("hop run leaves its service ticket in the cache", r.says("HTTP/servera.hop.test@HOP.TEST"), r.all)
r = login(file, "alice@HOP.TEST", "--kdc", "serverb.hop.test", config=none)
check("a KDC that is none", r.code == 1 and r.says("no kdc of realm HOP.TEST could be used", "serverb.hop.test:88"), r.all)

# Refusals.
samba("user", "create", "late", PASSWORD, "--must-change-at-next-login")
r = login(file, "late")
check("a password that must be changed", r.code == 1 and r.says("must change the password", "kpasswd late@HOP.TEST"), r.all)
samba("user", "create", "gone", PASSWORD)
samba("user", "disable", "gone")
r = login(file, "gone")
check("a disabled account", r.code == 1 and r.says("is disabled", "administrators"), r.all)
samba("user", "create", "past", PASSWORD)
samba("user", "setexpiry", "past", "--days=-1")
r = login(file, "past")
check("an account that has expired", r.code == 1 and r.says("the account of past@HOP.TEST has expired"), r.all)
r = login(file, "nobody")
check("an unknown user", r.code == 1 and r.says("does not know the client nobody@HOP.TEST"), r.all)
for user in ("late", "gone", "past"):
    samba("user", "delete", user)
finish()
