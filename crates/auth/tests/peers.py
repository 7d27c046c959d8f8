"""What pyspnego and pypsrp make of our tokens and bodies, and what they make themselves. One JSON object in, one out."""
import base64, json, sys
from pypsrp.encryption import WinRMEncryption
from spnego._spnego import NegState, NegTokenInit, NegTokenResp, unpack_token

class Mirror:
    """A security context that both ends can play: a fixed header, the bytes inverted."""
    def wrap_winrm(self, data):
        return b"HEADER", bytes(b ^ 0xFF for b in data), 0
    def unwrap_winrm(self, header, data):
        assert header == b"HEADER", header
        return bytes(b ^ 0xFF for b in data)

e = lambda b: None if b is None else base64.b64encode(b).decode()
ask = json.load(sys.stdin)
answer = {}
token = unpack_token(base64.b64decode(ask["init"]))
answer["init"] = {"mech_types": token.mech_types, "mech_token": e(token.mech_token)}
token = unpack_token(base64.b64decode(ask["resp"]))
answer["resp"] = {"neg_state": int(token.neg_state), "supported_mech": token.supported_mech,
                  "response_token": e(token.response_token), "mech_list_mic": e(token.mech_list_mic)}
answer["their_init"] = e(NegTokenInit(mech_types=["1.2.840.48018.1.2.2", "1.2.840.113554.1.2.2"],
                                      mech_token=b"x" * 300, mech_list_mic=b"mic").pack())
answer["their_resp"] = e(NegTokenResp(neg_state=NegState.accept_incomplete, supported_mech="1.2.840.113554.1.2.2",
                                      response_token=b"y", mech_list_mic=b"z").pack())
for name in ("SPNEGO", "Kerberos"):
    protocol = f"application/HTTP-{name}-session-encrypted"
    encryption = WinRMEncryption(Mirror(), protocol)
    content_type, body = encryption.wrap_message(base64.b64decode(ask["plain"]))
    answer[name] = {
        "content_type": f'{content_type};protocol="{protocol}";boundary="Encrypted Boundary"', "body": e(body),
        "read": e(encryption.unwrap_message(base64.b64decode(ask[name]), "Encrypted Boundary"))}
json.dump(answer, sys.stdout)
