"""pypsrp's HTTP client: one command in a command shell. The way is told in JSON on standard input."""
import json, sys, warnings
warnings.simplefilter("ignore")
ask = json.load(sys.stdin)
try:
    from pypsrp.shell import Process, WinRS
    from pypsrp.wsman import WSMan
    if ask["auth"] == "credssp":
        import requests_credssp
    wsman = WSMan("127.0.0.1", port=ask["port"], username=ask["username"], password=ask["password"], ssl=ask["ssl"],
                  auth=ask["auth"], cert_validation=False, encryption=ask.get("encryption", "auto"), reconnection_retries=0,
                  connection_timeout=10, read_timeout=20, operation_timeout=10, no_proxy=True, **ask.get("more", {}))
    with WinRS(wsman) as shell:
        process = Process(shell, ask["command"])
        process.invoke()
        process.signal("http://schemas.microsoft.com/wbem/wsman/1/windows/shell/signal/terminate")
    answer = {"out": process.stdout.decode(), "code": process.rc}
except ImportError as error:
    answer = {"missing": str(error)}
except Exception as error:
    answer = {"error": f"{type(error).__name__}: {error}"}
json.dump(answer, sys.stdout)
