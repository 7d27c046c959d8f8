"""The lab of tests/lab seen from a test: hosts, tickets, servers; and a tiny TAP-like reporter."""
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAB = ROOT / "tests" / "lab"
WORK = pathlib.Path(os.environ.get("WORKDIR", "/dev/shm/hoplab"))
HOP = os.environ.get("HOP", str(ROOT / "target" / "debug" / "hop"))
PEERS = pathlib.Path(os.environ.get("HOP_PEERS", ROOT / "target" / "peers"))
PASSWORD = "Us3r-Passw0rd"

failures = []
count = 0


def check(name, good, detail=""):
    """One line of result; `detail` is shown where it fails."""
    global count
    count += 1
    print(f"{'ok' if good else 'NOT OK'} {count} - {name}", flush=True)
    if not good:
        failures.append(name)
        for line in str(detail).splitlines()[-25:]:
            print(f"#   {line}", flush=True)


def skip(name, why):
    print(f"skipped: {why} - {name}", flush=True)


def finish():
    print(f"{count - len(failures)} of {count} ok")
    sys.exit(1 if failures else 0)


def have_lab(*programs):
    """Whether hosts can be made here; says what is missing."""
    if os.geteuid() != 0:
        return "no root"
    missing = [p for p in ("ip", "nsenter", *programs) if not shutil.which(p)]
    return f"no {', '.join(missing)}" if missing else None


def lab(script, *args, **env):
    subprocess.run([str(LAB / script), *args], check=True, env={**os.environ, **env},
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL if not os.environ.get("VERBOSE") else None)


def hostdir(host):
    return WORK / "hosts" / host


def at(host, *command, cache=None, env=None, stdin=None, seconds=60):
    """Runs a command on a host of the lab; stdout and stderr come back together and apart."""
    variables = dict(env or {})
    if cache:
        variables["KRB5CCNAME"] = f"FILE:{cache}"
    full = [str(LAB / "netns.sh"), "exec", host, "env", "-u", "KRB5CCNAME", f"XDG_CACHE_HOME={hostdir(host)}/cache",
            *(f"{k}={v}" for k, v in variables.items()), *command]
    try:
        done = subprocess.run(full, stdin=subprocess.DEVNULL if stdin is None else None, input=stdin, text=True,
                              capture_output=True, timeout=seconds, errors="replace")
        return Result(done.returncode, done.stdout, done.stderr)
    except subprocess.TimeoutExpired as late:
        text = lambda b: (b or b"").decode(errors="replace") if isinstance(b, bytes) else (b or "")
        return Result(-1, text(late.stdout), text(late.stderr) + f"\n(no end within {seconds} s)")


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def all(self):
        return f"exit code {self.code}\n{self.out}{self.err}"

    def says(self, *words):
        text = " ".join(f"{self.out} {self.err}".split()).lower()
        return all(word.lower() in text for word in words)


def kinit(user, realm=None, cache=None, flags=("-f",)):
    """A ticket from MIT's kinit on the client, in a cache of its own."""
    cache = cache or hostdir("client") / "cc" / f"{user}{'' if '-f' in flags else '-plain'}"
    principal = f"{user}@{realm}" if realm else user
    done = at("client", "kinit", *flags, "-c", str(cache), principal, stdin=PASSWORD + "\n")
    if done.code:
        raise SystemExit(f"kinit {principal}: {done.all}")
    return cache


def homes(*users):
    """Home folders of domain users, as a join makes them."""
    for host in ("servera", "serverb"):
        for user in users:
            home = hostdir(host) / "home" / user
            home.mkdir(parents=True, exist_ok=True)
            at(host, "chown", user, str(home))


def merge_keytabs(target, *sources):
    """One keytab of several: entries follow the two bytes of the version."""
    body = b"".join(pathlib.Path(s).read_bytes()[2:] for s in sources)
    target.write_bytes(struct.pack(">H", 0x0502) + body)
    target.chmod(0o600)
    return target


def serve(host, config, name="hop"):
    """`hop serve` as root on a host, in the background; waits until it listens."""
    folder = hostdir(host)
    file = folder / f"{name}.toml"
    file.write_text(config)
    script = (f'. {LAB}/lab-env.sh; pid_kill "$(hdir {host})/run/{name}.pid"; '
              f'start_daemon {host} {name} {HOP} serve --config {file} >/dev/null 2>&1')
    subprocess.run(["bash", "-c", script], check=True)
    port = next((line.rsplit(":", 1)[1].strip(' "]') for line in config.splitlines() if line.startswith("listen")), "5985")
    for _ in range(100):
        if at(host, "bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}").code == 0:
            return
        time.sleep(0.1)
    log = folder / "logs" / f"{name}.log"
    raise SystemExit(f"hop serve on {host} does not listen:\n{log.read_text() if log.exists() else '(no log)'}")


def stop_serve(host, name="hop"):
    subprocess.run(["bash", "-c", f'. {LAB}/lab-env.sh; pid_kill "$(hdir {host})/run/{name}.pid"'], check=False)


def log_of(host, name="hop"):
    file = hostdir(host) / "logs" / f"{name}.log"
    return file.read_text(errors="replace") if file.exists() else ""


def caches_left(host):
    """Credential caches of sessions that still lie about on a host (its own view of /run, /tmp and /dev/shm)."""
    found = at(host, "sh", "-c", "find /run /tmp /dev/shm -xdev \\( -name 'krb5cc*' -o -name '*.ccache' -o -name ccache "
               "-o -name 'cc' -type f \\) 2>/dev/null; true")
    return [line for line in found.out.split() if "/hoplab/" not in line and "/hop-lab-" not in line]
