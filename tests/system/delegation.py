"""Every way of delegation against real KDCs: one line for each way, KDC and case. Allowed cases end with a real second
hop, refused ones with the reason. `delegation.py [embedded] [samba] [mit] [trust]` runs a part."""
from lab import *

missing = have_lab("samba", "smbclient", "kinit", "krb5kdc")
if missing:
    skip("delegation by real KDCs", missing)
    raise SystemExit(0)
parts = sys.argv[1:] or ["embedded", "samba", "mit", "trust"]
WHY = f"& '{HOP}' ticket why"


def smb(host):
    return f"smbclient //{host}/share -N --use-kerberos=required -c 'get readme.txt -'"


def nest(host):
    return f"Invoke-Command -ComputerName {host} {{ hostname; id -un }}"


def run(host, script, *options, cache, seconds=60):
    return at("client", HOP, "run", "-c", host, *options, script, cache=cache, seconds=seconds)


def cell(way, kdc, case, r, allowed, *words):
    """One cell of the matrix: the second hop happened, or it did not and the reason is told."""
    hop = "secret of" in r.out or "\nserverb" in f"\n{r.out}"
    good = hop if allowed else not hop and r.says(*words)
    check(f"{way:<24} {kdc:<8} {case}", good, r.all)


def fronts(domain, keytabs, config="", name="hop"):
    """One server on servera plays every front end: the names lead to it, and it has all their keys."""
    front = merge_keytabs(hostdir("servera") / f"{name}-fronts.keytab",
                          *(keytabs / f"{n}.keytab" for n in ("servera", "uncon", "kcd", "kcdany", "rbcdfront")))
    back = merge_keytabs(hostdir("serverb") / f"{name}-backs.keytab", keytabs / "serverb.keytab", keytabs / "rbcdback.keytab")
    serve("servera", f'listen = ["0.0.0.0:5985"]\nkeytab = "{front}"\n{config}', name=name)
    serve("serverb", f'listen = ["0.0.0.0:5985"]\nkeytab = "{back}"\n{config}', name=name)


def transition(kdc, account, keytab, target, user, realm):
    """Protocol transition alone: S4U2Self and S4U2Proxy by a service, shown by `hop ticket get --for`."""
    return at("servera", HOP, "ticket", "get", target, "--for", f"{user}@{realm}", "--keytab", str(keytab),
              "--principal", account)


if "embedded" in parts:
    # `hop lab up`: our own KDC, on loopback.
    domain = subprocess.Popen([HOP, "lab", "up"], stdout=subprocess.PIPE, text=True)
    env = dict(os.environ)
    for line in domain.stdout:
        words = line.strip().removeprefix("export ").split("=", 1)
        if line.strip().startswith("export ") and not (words[0] == "KRB5CCNAME" and "KRB5CCNAME" in env and "hop-lab" in env["KRB5CCNAME"]):
            env[words[0]] = words[1].strip("'")
        if "Ctrl+C" in line:
            break
    folder = pathlib.Path(env["KRB5_CONFIG"]).parent

    def ours(*command, user="alice"):
        done = subprocess.run([HOP, *command], env={**env, "KRB5CCNAME": f"FILE:{folder}/{user}.ccache"}, text=True,
                              capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
        return Result(done.returncode, done.stdout, done.stderr)

    def second(host, *options, user="alice", to="serverb"):
        script = f"Invoke-Command -ComputerName {to} {{ $env:COMPUTERNAME }}"
        return ours("run", "-c", host, *options, script, user=user)

    only = ("--delegate", "constrained")
    cell("forwarded", "embedded", "allowed", second("trusted"), True)
    cell("forwarded", "embedded", "user sensitive", second("trusted", user="sensitive"), False, "may not be delegated")
    cell("forwarded", "embedded", "front end not listed", second("servera"), False, "not trusted for delegation")
    for way, front in (("constrained", "constrained"), ("resource-based", "resource")):
        cell(way, "embedded", "allowed", second(front, *only), True)
        cell(way, "embedded", "user sensitive", second(front, *only, user="sensitive"), False, "may not be delegated")
        cell(way, "embedded", "target not listed", second(front, *only, to="trusted"), False, "HTTP/trusted.hop.test", "not listed")
        cell(way, "embedded", "front end not listed", second("servera", *only), False, "not listed")
    get = lambda user, front="transition", to="HTTP/serverb.hop.test": ours(
        "ticket", "get", to, "--for", user, "--keytab", str(folder / "servera.keytab"),
        "--principal", f"HTTP/{front}.hop.test@HOP.TEST")
    for case, r, words in (("user sensitive", get("sensitive"), "not forwardable"),
                           ("target not listed", get("alice", to="HTTP/trusted.hop.test"), "not listed"),
                           ("flag missing", get("alice", "constrained"), "protocol transition"),
                           ("front end not listed", get("alice", "servera"), "not listed")):
        check(f"{'transition':<24} embedded {case}", r.code != 0 and r.says(words), r.all)
    r = get("alice")
    check(f"{'transition':<24} embedded allowed", r.code == 0 and r.says("for alice@HOP.TEST"), r.all)
    r = ours("doctor", "constrained", "--to", "serverb", *only)
    check("hop doctor: a second hop that works", r.code == 0 and r.says("the second hop works"), r.all)
    r = ours("doctor", "servera", "--to", "serverb")
    check("hop doctor: one that does not, with the conditions and the remedies",
          r.code == 1 and r.says("not listed", "Set-ADComputer", "--delegate forward"), r.all)
    r = ours("doctor", "servera", "--to", "cifs/nosuch.hop.test")
    check("hop doctor: a target that the domain does not know", r.code == 1 and r.says("setspn -S"), r.all)
    domain.send_signal(2)
    domain.wait(20)

if "samba" in parts:
    lab("up-samba.sh")
    K = WORK / "keytabs"
    homes("alice", "bob", "sensitive")
    fronts("hop.test", K)
    alice, sensitive = kinit("alice"), kinit("sensitive")
    B, S = "serverb.hop.test", smb("serverb.hop.test")
    cell("forwarded", "samba", "allowed", run("uncon.hop.test", S, cache=alice), True)
    cell("forwarded", "samba", "user sensitive", run("uncon.hop.test", f"{S}; {WHY}", cache=sensitive), False,
         "sensitive and cannot be delegated")
    cell("forwarded", "samba", "front end not listed", run("servera.hop.test", f"{S}; {WHY}", cache=alice), False,
         "not trusted for delegation")
    cell("forwarded", "samba", "insisted", run("servera.hop.test", S, "--delegate", "forward", cache=alice), True)
    plain = kinit("alice", flags=("-F",))
    cell("forwarded", "samba", "flag missing (kinit -F)",
         run("uncon.hop.test", f"{S}; {WHY}", "--delegate", "forward", cache=plain), False, "kinit")
    KCD = "kcd.hop.test"
    cell("constrained", "samba", "allowed", run(KCD, S, "--delegate", "constrained", cache=alice), True)
    cell("constrained", "samba", "allowed, remoting", run(KCD, nest(B), "--delegate", "constrained", cache=alice), True)
    cell("constrained", "samba", "allowed, by auto", run(KCD, S, cache=alice), True)
    cell("constrained", "samba", "user sensitive", run(KCD, f"{S}; {WHY}", cache=sensitive), False,
         "cifs/serverb.hop.test", "may not be delegated")
    cell("constrained", "samba", "target not listed", run(KCD, f"{smb('servera.hop.test')}; {WHY}", cache=alice), False,
         "cifs/servera.hop.test", "constrained delegation", "samba-tool delegation add-service")
    cell("constrained", "samba", "front end not listed", run("servera.hop.test", f"{S}; {WHY}", cache=alice), False,
         "constrained delegation", "--delegate forward")
    cell("constrained", "samba", "flag missing (kinit -F)",
         run(KCD, f"{S}; {WHY}", "--delegate", "constrained", cache=plain), False, "not forwardable")
    any_ = lambda user, target="cifs/serverb.hop.test", who="kcdany": transition(
        "samba", f"{who.upper()}$@HOP.TEST", K / f"{who}.keytab", target, user, "HOP.TEST")
    r = any_("alice")
    check("transition               samba    allowed", r.code == 0 and r.says("for alice@HOP.TEST"), r.all)
    r = any_("sensitive")
    check("transition               samba    user sensitive", r.code != 0 and r.says("not forwardable"), r.all)
    r = any_("alice", "cifs/servera.hop.test")
    check("transition               samba    target not listed", r.code != 0 and r.says("not listed"), r.all)
    r = any_("alice", who="kcd")
    check("transition               samba    flag missing", r.code != 0 and r.says("protocol transition"), r.all)
    print("skipped: no RBCD in Samba 4.17 - resource-based       samba")

    r = at("client", HOP, "doctor", KCD, "--to", "cifs/serverb.hop.test", cache=alice)
    check("hop doctor: constrained delegation in a Samba domain", r.code == 0 and r.says("the second hop works"), r.all)
    r = at("client", HOP, "doctor", "servera.hop.test", "--to", "cifs/serverb.hop.test", cache=alice)
    check("hop doctor: refused, with Samba's remedies", r.code == 1 and r.says("samba-tool delegation add-service"), r.all)

    # --- no ticket on server A that the real KDC would take ---------------------------------------------------------
    slow = ["bash", "-c", f"KRB5CCNAME=FILE:{alice} exec '{HOP}' run -c {KCD} --delegate constrained "
            f"\"{S}; sleep 30\" >/dev/null 2>&1"]
    process = subprocess.Popen([str(LAB / "netns.sh"), "exec", "client", *slow], stdin=subprocess.DEVNULL)
    for _ in range(100):
        if at("servera", "pgrep", "-f", "^sleep 30").code == 0:
            break
        time.sleep(0.1)
    caches = caches_left("servera")
    check("a constrained session has one cache on the server", len(caches) == 1, caches)
    for cache in caches:
        # A service that is not in the cache already: the KDC must be asked with the ticket-granting ticket.
        r = at("servera", "kvno", "ldap/dc.hop.test", cache=cache)
        check("the real KDC takes no ticket-granting ticket of the session", r.code != 0 and not r.says("not found"), r.all)
    process.terminate()
    process.wait(30)
    for host in ("servera", "serverb"):
        stop_serve(host)
    lab("down.sh", "--purge")

if "mit" in parts:
    lab("up-mit.sh", "deleg")
    K, CONFIG = WORK / "mit" / "keytabs", str(WORK / "mit" / "krb5.conf")
    os.environ["KRB5_CONFIG"] = CONFIG
    fronts("one.test", K, f'realm = "ONE.TEST"\n[environment]\nKRB5_CONFIG = "{CONFIG}"\n')
    cc = hostdir("client") / "cc"
    alice = kinit("alice", "ONE.TEST", cache=cc / "alice.one")
    sensitive = kinit("sensitive", "ONE.TEST", cache=cc / "sensitive.one")
    plain = kinit("alice", "ONE.TEST", cache=cc / "plain.one", flags=("-F",))
    B, C = nest("serverb.one.test"), nest("rbcdback.one.test")
    cell("forwarded", "mit", "allowed", run("uncon.one.test", B, cache=alice), True)
    cell("forwarded", "mit", "user sensitive", run("uncon.one.test", B, cache=sensitive), False, "may not be delegated")
    cell("forwarded", "mit", "front end not listed", run("servera.one.test", B, cache=alice), False,
         "not trusted for delegation")
    cell("forwarded", "mit", "flag missing (kinit -F)", run("uncon.one.test", B, "--delegate", "forward", cache=plain),
         False, "kinit")
    KCD = "kcd.one.test"
    only = ("--delegate", "constrained")
    cell("constrained", "mit", "allowed", run(KCD, B, *only, cache=alice), True)
    cell("constrained", "mit", "user sensitive", run(KCD, B, *only, cache=sensitive), False, "may not be delegated")
    cell("constrained", "mit", "target not listed", run(KCD, C, *only, cache=alice), False, "HTTP/rbcdback.one.test",
         "not listed")
    cell("constrained", "mit", "front end not listed", run("servera.one.test", B, *only, cache=alice), False,
         "not listed")
    cell("constrained", "mit", "flag missing (kinit -F)", run(KCD, B, *only, cache=plain), False, "not forwardable")
    any_ = lambda user, target="HTTP/serverb.one.test", who="kcdany": transition(
        "mit", f"HTTP/{who}.one.test@ONE.TEST", K / f"{who}.keytab", target, user, "ONE.TEST")
    r = any_("alice")
    check("transition               mit      allowed", r.code == 0 and r.says("for alice@ONE.TEST"), r.all)
    r = any_("sensitive")
    check("transition               mit      user sensitive", r.code != 0 and r.says("not forwardable"), r.all)
    r = any_("alice", "HTTP/rbcdback.one.test")
    check("transition               mit      target not listed", r.code != 0 and r.says("not listed"), r.all)
    r = any_("alice", who="kcd")
    check("transition               mit      flag missing", r.code != 0 and r.says("protocol transition"), r.all)
    RB = "rbcdfront.one.test"
    cell("resource-based", "mit", "allowed", run(RB, C, *only, cache=alice), True)
    cell("resource-based", "mit", "user sensitive", run(RB, C, *only, cache=sensitive), False, "may not be delegated")
    cell("resource-based", "mit", "target not listed", run(RB, B, *only, cache=alice), False, "HTTP/serverb.one.test",
         "not listed")
    cell("resource-based", "mit", "front end not listed", run("servera.one.test", C, *only, cache=alice), False,
         "allowed to act")
    for host in ("servera", "serverb"):
        stop_serve(host)
    del os.environ["KRB5_CONFIG"]
    lab("down.sh", "--purge")
if "trust" in parts:
    lab("up-samba.sh", TRUST="1")
    K = WORK / "keytabs"
    homes("alice")
    fronts("hop.test", K, '[[map]]\nprincipal = "alice@LEG.TEST"\nuser = "alice"\n')
    leg = kinit("alice", "LEG.TEST", cache=hostdir("client") / "cc" / "leg")
    S = smb("serverb.hop.test")
    r = run("servera.hop.test", "id -un; $PSSenderInfo.ConnectedUser", cache=leg)
    check("other forest: the first hop", r.says("alice", "alice@LEG.TEST") and r.code == 0, r.all)
    cell("forwarded", "trust", "insisted", run("servera.hop.test", S, "--delegate", "forward", cache=leg), True)
    cell("constrained", "trust", "allowed", run("kcd.hop.test", S, "--delegate", "constrained", cache=leg), True)
    cell("constrained", "trust", "target not listed",
         run("kcd.hop.test", f"{smb('servera.hop.test')}; {WHY}", "--delegate", "constrained", cache=leg), False,
         "cifs/servera.hop.test")
    for host in ("servera", "serverb"):
        stop_serve(host)
    lab("down.sh", "--purge")
finish()
