"""Programs that know nothing of hop, in sessions whose tickets come one by one by constrained delegation: curl, ssh and
psql reach serverb as the user, where the domain lets servera, and where it does not `hop ticket why` says so."""
from lab import *

missing = have_lab("samba", "kinit", "curl", "ssh", "/usr/sbin/sshd")
if missing:
    skip("other programs in constrained sessions", missing)
    raise SystemExit(0)

lab("up-samba.sh")
KEYTABS = WORK / "keytabs"
homes("alice")
FRONT, BACK = "kcd.hop.test", "serverb.hop.test"
BACK_KEYTAB = KEYTABS / "serverb.keytab"
front = merge_keytabs(hostdir("servera") / "front.keytab", KEYTABS / "servera.keytab", KEYTABS / "kcd.keytab")
serve("servera", f'listen = ["0.0.0.0:5985"]\nkeytab = "{front}"\n')
serve("serverb", f'listen = ["0.0.0.0:5985"]\nkeytab = "{BACK_KEYTAB}"\n')
alice = kinit("alice")
folder = hostdir("serverb") / "programs"
folder.mkdir(exist_ok=True)


def daemon(name, *command):
    """A daemon on serverb that has serverb's keys."""
    words = " ".join(f"'{word}'" for word in command)
    script = (f'. {LAB}/lab-env.sh; stop_daemon serverb {name}; '
              f'start_daemon serverb {name} env KRB5_KTNAME={BACK_KEYTAB} KRB5RCACHENAME=none: {words} >/dev/null 2>&1')
    subprocess.run(["bash", "-c", script], check=True)


def listens(port):
    for _ in range(100):
        if at("serverb", "bash", "-c", f"exec 3<>/dev/tcp/{BACK}/{port}").code == 0:
            return
        time.sleep(0.1)
    raise SystemExit(f"nothing listens on port {port} of serverb")


def samba(*args):
    done = at("dc", "samba-tool", *args)
    if done.code:
        raise SystemExit(f"samba-tool {args}: {done.all}")


def run(command, host=FRONT):
    """A command line of /bin/sh in a constrained session on servera; then what the session says of refusals."""
    script = f"& sh -c '{command} 2>&1'; & '{HOP}' ticket why"
    return at("client", HOP, "run", "-c", host, "--delegate", "constrained", script, cache=alice)


# --- curl ------------------------------------------------------------------------------------------------------------
CURL = "curl -sS -m 20 --negotiate -u :"
r = run(f"{CURL} -X POST -o /dev/null -w %{{http_code}} http://{BACK}:5985/wsman")
check("curl --negotiate to hop serve's own address", "200" in r.out.split(), r.all)
if subprocess.run(["/usr/bin/python3", "-c", "import gssapi"], capture_output=True).returncode == 0:
    daemon("web", "/usr/bin/python3", str(ROOT / "tests" / "system" / "negotiate_web.py"), "0.0.0.0", "8080")
    listens(8080)
    r = run(f"{CURL} http://{BACK}:8080/")
    check("curl --negotiate to a web server that says who came", r.says("you are alice@HOP.TEST"), r.all)
    r = run(f"curl -sS -m 20 http://{BACK}:8080/")
    check("without --negotiate it is nobody", r.says("who are you?"), r.all)
else:
    skip("curl --negotiate to a web server that says who came", "no python3-gssapi")

# --- ssh -------------------------------------------------------------------------------------------------------------
key = folder / "host_key"
key.unlink(missing_ok=True)
subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
(folder / "sshd_config").write_text(f"""Port 22
HostKey {key}
PidFile none
UsePAM no
StrictModes no
AuthenticationMethods gssapi-with-mic
GSSAPIAuthentication yes
GSSAPIStrictAcceptorCheck no
""")
at("serverb", "mkdir", "-p", "/run/sshd")
daemon("sshd", "/usr/sbin/sshd", "-D", "-e", "-f", str(folder / "sshd_config"))
listens(22)
SSH = ("ssh -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "
       f'-o PreferredAuthentications=gssapi-with-mic -o GSSAPIAuthentication=yes alice@{BACK} "hostname; id -un; klist"')
r = run(SSH, host="servera.hop.test")
check("ssh by a server that the domain does not let: refused, and why",
      "\nserverb" not in f"\n{r.out}" and r.says("host/serverb.hop.test", "the domain refuses constrained delegation"), r.all)
r = run(SSH)
check("ssh by one that it lets: there as alice, by Kerberos", r.out.split()[:2] == ["serverb", "alice"], r.all)
check("and no ticket went along", not r.says("krbtgt/HOP.TEST"), r.all)

# --- psql ------------------------------------------------------------------------------------------------------------
postgres = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), default=None)
if postgres and (postgres / "initdb").exists() and (postgres / "psql").exists():
    data = folder / "pg"
    keytab = folder / "postgres.keytab"
    shutil.copy(BACK_KEYTAB, keytab)
    shutil.chown(keytab, "postgres")
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir()
    shutil.chown(data, "postgres")
    as_postgres = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
    done = at("serverb", *as_postgres, str(postgres / "initdb"), "-D", str(data), "-A", "trust", "--no-sync")
    if done.code:
        raise SystemExit(f"initdb: {done.all}")
    (data / "pg_hba.conf").write_text("local all all trust\nhost all all 0.0.0.0/0 gss include_realm=0 krb_realm=HOP.TEST\n")
    daemon("postgres", *as_postgres, str(postgres / "postgres"), "-D", str(data), "-c", "listen_addresses=*", "-c", "fsync=off",
           "-c", f"krb_server_keyfile={keytab}", "-c", f"unix_socket_directories={data}")
    listens(5432)
    done = at("serverb", *as_postgres, str(postgres / "psql"), "-h", str(data), "-d", "postgres", "-c", "create role alice login")
    check("postgres is up", done.code == 0, done.all)
    samba("spn", "add", f"postgres/{BACK}", "SERVERB$")
    samba("delegation", "add-service", "KCD$", f"postgres/{BACK}")
    QUERY = "select current_user, (select gss_authenticated and encrypted from pg_stat_gssapi where pid = pg_backend_pid())"
    r = run(f'{postgres}/psql -h {BACK} -U alice -d postgres -Atc "{QUERY}"')
    check("psql: alice by Kerberos, encrypted by it", "alice|t" in r.out.split(), r.all)
else:
    skip("psql", "no PostgreSQL server")

for name in ("web", "sshd", "postgres"):
    subprocess.run(["bash", "-c", f". {LAB}/lab-env.sh; stop_daemon serverb {name}"], check=False)
for host in ("servera", "serverb"):
    stop_serve(host)
lab("down.sh", "--purge")
finish()
