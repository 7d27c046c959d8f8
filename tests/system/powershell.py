"""Real PowerShell over stdio, both ways: its New-PSSession -HostName opens `hop host`; our client drives its -sshs."""
import tempfile

from lab import *

PWSH = os.environ.get("PWSH") or next(
    (str(p) for p in (ROOT.parent / "shared" / "pwsh" / "pwsh", pathlib.Path("/opt/hop-peers/pwsh/pwsh")) if p.exists()),
    None) or shutil.which("pwsh")
if not PWSH:
    skip("PowerShell over stdio", "no pwsh")
    raise SystemExit(0)

folder = pathlib.Path(tempfile.mkdtemp())
(folder / "ssh").write_text(f'#!/bin/sh\nexec "{HOP}" host\n')
(folder / "ssh").chmod(0o755)
env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "NO_COLOR": "1", "TERM": "dumb"}


def pwsh(script, typed=None):
    arguments = [PWSH, "-NoLogo", "-NoProfile", "-c", "-" if typed else script]
    done = subprocess.run(arguments, input=typed or "", text=True, capture_output=True, env=env, timeout=90)
    return Result(done.returncode, done.stdout, done.stderr)


r = pwsh("$s = New-PSSession -HostName h -UserName u; $s.State; Invoke-Command -Session $s { 1 + 1; 'two' }; "
         "Invoke-Command -Session $s { Write-Warning w; Write-Verbose v -Verbose; Write-Error e }; "
         "(Invoke-Command -Session $s { [pscustomobject]@{ a = 1; b = 'x' } }).b; Remove-PSSession $s; $s.State")
check("PowerShell opens a session on `hop host`", r.says("Opened", "2", "two"), r.all)
check("PowerShell gets our streams", r.says("WARNING: w", "VERBOSE: v") and "e" in r.err, r.all)
check("PowerShell gets our objects and closes the session", "\nx\n" in r.out and "Closed" in r.out, r.all)
r = pwsh("Invoke-Command -HostName h -UserName u { throw 'no way' }")
check("PowerShell gets a terminating error", r.says("no way"), r.all)
r = pwsh("Invoke-Command -HostName h -UserName u { param($a, $b) $a * $b } -ArgumentList 6, 7")
check("PowerShell sends arguments", "42" in r.out, r.all)
r = pwsh("1..5 | Invoke-Command -HostName h -UserName u { $input | ForEach-Object { $_ * 2 } }")
check("PowerShell sends input", r.out.split() == ["2", "4", "6", "8", "10"], r.all)
r = pwsh("$j = Invoke-Command -HostName h -UserName u { Start-Sleep 60 } -AsJob; Start-Sleep 2; Stop-Job $j; $j.State")
check("PowerShell stops a pipeline", "Stopped" in r.out or "Failed" in r.out, r.all)
r = pwsh(None, typed="Enter-PSSession -HostName h -UserName u\n6 * 7\n$x = 5\n\"x is $x\"\nexit\n'back'\n")
check("Enter-PSSession: typed lines", r.says("42", "x is 5", "back"), r.all)

r = subprocess.run([HOP, "run", "--stdio", f"{PWSH} -sshs -NoLogo -NoProfile", "$Host.Name; 6 * 7; Write-Warning careful"],
                   text=True, capture_output=True, env=env, timeout=90, stdin=subprocess.DEVNULL)
check("our client drives a real PowerShell server",
      "ServerRemoteHost" in r.stdout and "42" in r.stdout and "careful" in r.stderr, f"{r.stdout}{r.stderr}")
shutil.rmtree(folder)
finish()
