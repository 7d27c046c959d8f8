#!/usr/bin/env python3
"""Whole processes, timed beside their peers on the same server: `hop run` of a trivial script against pypsrp doing the
same, and the start of `hop --version`. Prints medians, and ratios to copy into docs/benchmarks.md.

    cargo build --release --bin hop && python3 benches/whole_process.py [RUNS]

The server is `hop lab up`: a domain on loopback, nothing to install. pypsrp is looked for in target/peers (see
tests/system/install); without it its lines say `skipped: no pypsrp`.
"""
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
HOP = os.environ.get("HOP", str(ROOT / "target" / "release" / "hop"))
PYTHON = pathlib.Path(os.environ.get("HOP_PEERS", ROOT / "target" / "peers")) / "bin" / "python"
RUNS = int(sys.argv[1]) if len(sys.argv) > 1 else 15

PYPSRP = """
import sys
from pypsrp.powershell import PowerShell, RunspacePool
from pypsrp.wsman import WSMan
w = WSMan("127.0.0.1", port=int(sys.argv[1]), ssl=False, auth="kerberos", encryption="always",
          negotiate_hostname_override="servera.hop.test", negotiate_service="HTTP")
with w, RunspacePool(w) as pool:
    shell = PowerShell(pool)
    shell.add_script("1")
    assert shell.invoke() == [1]
"""


def once(command, env):
    """Seconds and peak memory in MB of one process."""
    start = time.perf_counter()
    child = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{command[:3]}: exit code {child.returncode}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def measure(name, command, env):
    once(command, env)
    results = [once(command, env) for _ in range(RUNS)]
    seconds, memory = (statistics.median(column) for column in zip(*results))
    print(f"{name:<34} {seconds * 1000:9.1f} ms  {memory:7.1f} MB")
    return seconds, memory


def main():
    env = dict(os.environ)
    lab = subprocess.Popen([HOP, "lab", "up"], stdout=subprocess.PIPE, text=True)
    try:
        for line in lab.stdout:
            found = re.match(r"\s+export (\w+)='?([^']*)'?$", line.rstrip("\n"))
            # The first cache named is alice's.
            if found and (found[1] != "KRB5CCNAME" or not env.get("LAB")):
                env[found[1]] = found[2]
                env["LAB"] = "yes" if found[1] == "KRB5CCNAME" else env.get("LAB", "")
            if "Ctrl+C" in line:
                break
        hosts = pathlib.Path(env["HOP_HOSTS"]).read_text()
        port = re.search(r'name = \["servera".*?port = (\d+)', hosts, re.S)[1]
        hop = measure("hop run -c servera 1", [HOP, "run", "-c", "servera", "1"], env)
        if PYTHON.exists():
            peer = measure("pypsrp, the same script", [str(PYTHON), "-c", PYPSRP, port], env)
            print(f"hop run needs 1/{peer[0] / hop[0]:.0f} of pypsrp's time and 1/{peer[1] / hop[1]:.1f} of its memory")
            measure("python3 -c 'import pypsrp.client'", [str(PYTHON), "-c", "import pypsrp.client"], env)
        else:
            print("skipped: no pypsrp")
        measure("hop run --shell winrs true", [HOP, "run", "-c", "servera", "--shell", "winrs", "true"], env)
        measure("hop --version", [HOP, "--version"], env)
        measure("hop shell -Command 1", [HOP, "shell", "-Command", "1"], env)
    finally:
        lab.send_signal(signal.SIGINT)
        lab.wait(20)


main()
