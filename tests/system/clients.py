"""Other people's clients against our server; runs on the lab's client host, in the peers' Python.

    clients.py pypsrp HOST [delegate]   prints what a pypsrp runspace pool gives back
    clients.py winrs HOST               prints what pywinrm's run_cmd gives back
    clients.py time HOST                runs one trivial script (for the benchmark)
"""
import sys

what, host, *more = sys.argv[1:]

if what in ("pypsrp", "time", "sleeper"):
    from pypsrp.complex_objects import GenericComplexObject
    from pypsrp.powershell import PowerShell, RunspacePool
    from pypsrp.wsman import WSMan

    wsman = WSMan(host, port=5985, ssl=False, auth="kerberos", encryption="always",
                  negotiate_delegate="delegate" in more, negotiate_service="HTTP")
    with wsman, RunspacePool(wsman) as pool:
        def run(script, arguments=()):
            shell = PowerShell(pool)
            shell.add_script(script)
            for argument in arguments:
                shell.add_argument(argument)
            out = shell.invoke()
            return shell, out

        if what == "time":
            print(run("1")[1])
            sys.exit(0)
        if "delegate" in more:
            shell, out = run("smbclient //serverb.hop.test/share -N --use-kerberos=required -c 'get readme.txt -' 2>&1; "
                             "(Invoke-Command -ComputerName serverb.hop.test { hostname }).ToString()")
            print(*out, *shell.streams.error, sep="\n")
            sys.exit(0)
        shell, out = run("1; 'two'; [long]3; 4.5; $true; $null; ,(5,6); @{ a = 7 }; [datetime]'2026-01-02'; [guid]::Empty; "
                         "[pscustomobject]@{ Name = 'n'; Value = 8 }")
        print("types", [type(o).__name__ for o in out])
        print("values", out[:5], out[6], out[7])
        last = out[-1]
        print("object", last.adapted_properties, last.extended_properties, last.types)
        shell, out = run("Write-Error 'bad thing'; Write-Warning 'careful'; Write-Verbose 'more' -Verbose; "
                         "Write-Debug 'bug' -Debug; Write-Information 'fyi'; "
                         "Write-Progress -Activity 'act' -Status 'st' -PercentComplete 40; 'done'")
        print("error", [str(e) for e in shell.streams.error], shell.had_errors)
        print("warning", [str(w.message) for w in shell.streams.warning])
        print("verbose", [str(v.message) for v in shell.streams.verbose])
        print("debug", [str(d.message) for d in shell.streams.debug])
        print("information", [str(i.message_data) for i in shell.streams.information])
        print("progress", [(p.activity, p.description, p.percent_complete) for p in shell.streams.progress])
        print("output", out)
        try:
            shell, out = run("throw 'thrown'")
            print("throw", [str(e) for e in shell.streams.error], shell.had_errors)
        except Exception as error:
            print("throw", str(error))
        shell, out = run("param($a, $b) $a + $b", [40, 2])
        print("arguments", out)
        shell = PowerShell(pool)
        shell.add_script("begin { $n = 0 } process { $n += $_ } end { $n }")
        print("input", shell.invoke(input=[1, 2, 3, 4]))
        shell, out = run("'x' * 1000000")
        print("large", len(out[0]))
        shell, out = run("1..2000")
        print("many", len(out), sum(out))
        shell = PowerShell(pool)
        shell.add_cmdlet("Get-Date").add_parameter("Format", "yyyy").add_statement()
        shell.add_cmdlet("Write-Output").add_argument("b")
        print("commands", len(shell.invoke()))
        shell, out = run("id -un; $PSSenderInfo.ConnectedUser; $PSVersionTable.PSVersion.Major")
        print("identity", out)
elif what == "winrs":
    import winrm
    from winrm.protocol import Protocol

    protocol = Protocol(endpoint=f"http://{host}:5985/wsman", transport="kerberos", server_cert_validation="ignore",
                        message_encryption="always")
    shell = protocol.open_shell()
    command = protocol.run_command(shell, "id -un; echo err >&2; exit 3")
    out, err, code = protocol.get_command_output(shell, command)
    print("winrs", out.decode().strip(), err.decode().strip(), code)
    protocol.cleanup_command(shell, command)
    protocol.close_shell(shell)
