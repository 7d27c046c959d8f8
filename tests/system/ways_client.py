"""One script or command by somebody else's client; runs on the lab's client host, in the peers' Python.

    ways_client.py pypsrp|pywinrm AUTH URL USER PASSWORD CA|- CERT|- SCRIPT

Prints what came out, then `had errors` with what they were.
"""
import sys
import urllib.parse

library, auth, url, user, password, ca, cert, script = sys.argv[1:]
parts = urllib.parse.urlsplit(url)
https = parts.scheme == "https"

if library == "pypsrp":
    from pypsrp.powershell import PowerShell, RunspacePool
    from pypsrp.wsman import WSMan

    options = {}
    if auth == "certificate":
        options.update(certificate_pem=cert, certificate_key_pem=cert)
    elif user != "-":
        options.update(username=user, password=password)
    wsman = WSMan(parts.hostname, port=parts.port, ssl=https, auth=auth, cert_validation=ca if https else False,
                  encryption="auto" if https else "always", negotiate_service="HTTP", **options)
    with wsman, RunspacePool(wsman) as pool:
        shell = PowerShell(pool)
        shell.add_script(script)
        print(*shell.invoke(), sep="\n")
        if shell.streams.error:
            print("had errors", *shell.streams.error)
else:
    import winrm

    options = {"cert_pem": cert, "cert_key_pem": cert} if auth == "certificate" else {}
    session = winrm.Session(url, auth=(None if user == "-" else user, password), transport=auth,
                            server_cert_validation="validate" if https else "ignore",
                            ca_trust_path=ca if https else "legacy_requests",
                            message_encryption="auto" if https else "always", **options)
    # run_cmd is the system's shell, run_ps the engine behind `powershell -encodedcommand`.
    r = session.run_cmd("echo", ["cmd", "$(id -un)"])
    print(r.std_out.decode().strip(), r.status_code)
    r = session.run_ps(script)
    print(r.std_out.decode())
    if r.status_code:
        print("had errors", r.status_code, r.std_err.decode())
