"""pyspnego as the other end of an exchange. First line: how to set it up. Then one JSON command a line, one answer each."""
import base64, json, os, ssl, sys, tempfile

setup = json.loads(sys.stdin.readline())
for name, value in setup.get("environment", {}).items():
    os.environ[name] = value

import spnego, spnego._credssp as credssp, spnego.tls
from spnego.channel_bindings import GssChannelBindings

e = lambda b: None if b is None else base64.b64encode(b).decode()
d = lambda t: None if t is None else base64.b64decode(t)

if "files" in setup:
    folder = tempfile.mkdtemp()
    for name, text in setup["files"].items():
        path = os.path.join(folder, name)
        open(path, "w").write(text)
        os.environ[name] = path

# Its own SPNEGO, never GSS-API's; the bare mechanisms without it.
options = lambda protocol: spnego.NegotiateOptions[setup.get("options") or {"negotiate": "use_negotiate", "credssp": "use_negotiate"}.get(protocol, "none")]
bindings = setup.get("channel_bindings")
common = dict(hostname=setup.get("hostname"), service=setup.get("service"), 
              channel_bindings=bindings and GssChannelBindings(application_data=bindings.encode()))
user = dict(username=setup.get("username"), password=setup.get("password"))
if setup["usage"] == "accept":
    user = {}
make = lambda protocol, **kwargs: getattr(spnego, {"initiate": "client", "accept": "server"}[setup["usage"]])(
    protocol=protocol, options=options(protocol), **user, **common, **kwargs)

class GssNtlm:
    """gss-ntlmssp below MIT's GSS-API, bare or inside MIT's SPNEGO."""
    NTLM, SPNEGO = "1.3.6.1.4.1.311.2.2.10", "1.3.6.1.5.5.2"
    def __init__(self, spnego):
        import gssapi, gssapi.raw as raw
        ntlm = gssapi.OID.from_int_seq(self.NTLM)
        mech = gssapi.OID.from_int_seq(self.SPNEGO) if spnego else ntlm
        if setup["usage"] == "initiate":
            name = gssapi.Name(setup["username"], gssapi.NameType.user)
            cred = raw.acquire_cred_with_password(name, setup["password"].encode(), mechs=[mech], usage="initiate").creds
            if spnego:
                raw.set_neg_mechs(cred, [ntlm])
            flags = gssapi.RequirementFlag
            self.inner = gssapi.SecurityContext(
                name=gssapi.Name(f'{setup["service"]}@{setup["hostname"]}', gssapi.NameType.hostbased_service),
                creds=gssapi.Credentials(base=cred), mech=mech, usage="initiate",
                flags=flags.confidentiality | flags.integrity | flags.replay_detection | flags.out_of_sequence_detection,
                channel_bindings=bindings and raw.ChannelBindings(application_data=bindings.encode()))
        else:
            cred = gssapi.Credentials(usage="accept", mechs=[mech])
            if spnego:
                raw.set_neg_mechs(cred, [ntlm])
            self.inner = gssapi.SecurityContext(creds=cred, usage="accept")
    complete = property(lambda self: self.inner.complete)
    def step(self, token):
        return self.inner.step(token)
    def wrap_winrm(self, data):
        token = self.inner.wrap(data, True).message
        return spnego._context.WinRMWrapResult(header=token[:16], data=token[16:], padding_length=0)
    def unwrap_winrm(self, header, data):
        return self.inner.unwrap(header + data).message

kwargs = {}
if setup["protocol"] == "credssp":
    if "version" in setup:
        credssp._CREDSSP_VERSION = setup["version"]
    tls = spnego.tls.default_tls_context(setup["usage"]) if setup["usage"] == "initiate" else credssp._create_tls_context("accept")
    if "tls" in setup:
        tls.context.minimum_version = tls.context.maximum_version = ssl.TLSVersion[setup["tls"]]
    if "tickets" in setup:
        tls.context.num_tickets = setup["tickets"]
    kwargs["credssp_tls_context"] = tls
    if "inner" in setup:
        kwargs["credssp_negotiate_context"] = make(setup["inner"])
if setup["protocol"].startswith("gss-ntlmssp"):
    context = GssNtlm(setup["protocol"] == "gss-ntlmssp in spnego")
else:
    context = make(setup["protocol"], **kwargs)

def run(ask):
    name = ask["do"]
    data = d(ask.get("data"))
    if name == "step":
        token = context.step(data)
        return {"token": e(token), "complete": context.complete}
    if name == "wrap":
        wrapped = context.wrap_winrm(data)
        return {"header": e(wrapped.header), "body": e(wrapped.data)}
    if name == "unwrap":
        return {"data": e(context.unwrap_winrm(d(ask["header"]), data))}
    if name == "wrap_body":
        from pypsrp.encryption import WinRMEncryption
        content_type, body = WinRMEncryption(context, ask["protocol"]).wrap_message(data)
        return {"content_type": f'{content_type};protocol="{ask["protocol"]}";boundary="Encrypted Boundary"', "body": e(body)}
    if name == "unwrap_body":
        from pypsrp.encryption import WinRMEncryption
        return {"data": e(WinRMEncryption(context, ask["protocol"]).unwrap_message(data, "Encrypted Boundary"))}
    if name == "info":
        credential = context.get_extra_info("client_credential")
        return {"protocol": context.negotiated_protocol, "principal": context.client_principal,
                "version": context.get_extra_info("protocol_version"),
                "credential": credential and [credential.domain_name, credential.username, credential.password]}
    raise ValueError(name)

for line in sys.stdin:
    try:
        answer = run(json.loads(line))
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
