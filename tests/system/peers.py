"""pypsrp and pywinrm, unchanged, against our server in the Samba domain."""
from lab import *

python = PEERS / "bin" / "python"
missing = have_lab("samba", "smbclient", "kinit") or (None if python.exists() else "no pypsrp (tests/system/install)")
if missing:
    skip("pypsrp and pywinrm", missing)
    raise SystemExit(0)

lab("up-samba.sh")
for host in ("servera", "serverb"):
    serve(host, f'listen = ["0.0.0.0:5985"]\nkeytab = "{WORK}/keytabs/{host}.keytab"\n')
homes("alice")
alice = kinit("alice")
A = "servera.hop.test"
script = str(ROOT / "tests" / "system" / "clients.py")

r = at("client", str(python), script, "pypsrp", A, cache=alice, seconds=120)
lines = dict(line.split(" ", 1) for line in r.out.splitlines() if " " in line)
for key, want in {
    # Null is an empty message, as PowerShell sends it; pypsrp shows it as an empty text.
    "types": "['int', 'str', 'int', 'float', 'bool', 'str', 'list', 'dict', ",
    "values": "[1, 'two', 3, 4.5, True] [5, 6] {'a': 7}",
    "object": "{} {'Name': 'n', 'Value': 8} ['System.Management.Automation.PSCustomObject', 'System.Object']",
    # pypsrp's had_errors tells of failed pipelines only.
    "error": "['bad thing'] False",
    "warning": "['careful']",
    "verbose": "['more']",
    "debug": "['bug']",
    "information": "['fyi']",
    "progress": "[('act', 'st', 40)]",
    "output": "['done']",
    "throw": "thrown",
    "arguments": "[42]",
    "input": "[10]",
    "large": "1000000",
    "many": "2000 2001000",
    "commands": "2",
    "identity": "['alice', 'alice@HOP.TEST', 7]",
}.items():
    check(f"pypsrp: {key}", want in lines.get(key, ""), f"wanted {want}\ngot {lines.get(key)}\n{r.err[-1500:]}")
r = at("client", str(python), script, "pypsrp", A, "delegate", cache=alice, seconds=120)
check("pypsrp with negotiate_delegate=True: smbclient reads serverb's share", "secret of serverb" in r.out, r.all)
check("pypsrp with negotiate_delegate=True: Invoke-Command reaches serverb", "\nserverb" in r.out, r.all)
r = at("client", str(python), script, "winrs", A, cache=alice, seconds=60)
check("pywinrm runs a WinRS command", "winrs alice err 3" in r.out, r.all)
for host in ("servera", "serverb"):
    stop_serve(host)
finish()
