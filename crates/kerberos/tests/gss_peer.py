"""MIT's GSS-API as the other end of a test: frames of four length bytes and data, in on stdin, out on stdout.

gss_peer.py accept SERVICE            with the keytab of KRB5_KTNAME
gss_peer.py initiate SERVICE [deleg]  with the cache of KRB5CCNAME

First the context tokens; then the acceptor tells the client's name and, on the next frame, the client of the
delegated credential or "-". After that each frame is an operation: a letter, then its data.
"""

import struct
import sys

import gssapi
from gssapi.raw import IOV, IOVBufferType, RequirementFlag as Flag, unwrap_iov, wrap_iov

KERBEROS = gssapi.MechType.kerberos


def read():
    head = sys.stdin.buffer.read(4)
    if len(head) < 4:
        sys.exit(0)
    return sys.stdin.buffer.read(struct.unpack(">I", head)[0])


def write(data):
    sys.stdout.buffer.write(struct.pack(">I", len(data)) + data)
    sys.stdout.buffer.flush()


def accept(service):
    name = gssapi.Name(service, gssapi.NameType.kerberos_principal)
    context = gssapi.SecurityContext(creds=gssapi.Credentials(name=name, usage="accept"), usage="accept")
    write(context.step(read()) or b"")
    write(str(context.initiator_name).encode())
    delegated = context.delegated_creds
    write(str(delegated.name).encode() if delegated else b"-")
    return context


def initiate(service, deleg):
    name = gssapi.Name(service, gssapi.NameType.kerberos_principal)
    flags = [
        Flag.mutual_authentication,
        Flag.replay_detection,
        Flag.out_of_sequence_detection,
        Flag.confidentiality,
        Flag.integrity,
    ]
    if deleg:
        flags.append(Flag.delegate_to_peer)
    context = gssapi.SecurityContext(name=name, mech=KERBEROS, flags=flags, usage="initiate")
    write(context.step())
    context.step(read())
    return context


def operate(context, kind, data):
    if kind == b"w":
        return context.wrap(data, True).message
    if kind == b"s":
        return context.wrap(data, False).message
    if kind == b"u":
        opened = context.unwrap(data)
        return (b"1" if opened.encrypted else b"0") + opened.message
    if kind == b"m":
        return context.get_signature(data)
    if kind == b"v":
        length = struct.unpack(">I", data[:4])[0]
        context.verify_signature(data[4 : 4 + length], data[4 + length :])
        return b"ok"
    if kind == b"d":
        iov = IOV(IOVBufferType.header, data, IOVBufferType.padding, std_layout=False)
        wrap_iov(context, iov, confidential=True)
        header = iov[0].value
        return struct.pack(">I", len(header)) + header + iov[1].value + (iov[2].value or b"")
    if kind == b"o":
        length = struct.unpack(">I", data[:4])[0]
        header, body = data[4 : 4 + length], data[4 + length :]
        # Tokens of RC4 are framed, and have a byte of padding.
        end = len(body) - (1 if header[:1] == b"\x60" else 0)
        padding = (IOVBufferType.padding, False, body[end:])
        iov = IOV((IOVBufferType.header, False, header), body[:end], padding, std_layout=False)
        unwrap_iov(context, iov)
        return iov[1].value
    raise ValueError(kind)


def main():
    if sys.argv[1] == "accept":
        context = accept(sys.argv[2])
    else:
        context = initiate(sys.argv[2], "deleg" in sys.argv[3:])
    while True:
        frame = read()
        try:
            write(b"+" + operate(context, frame[:1], frame[1:]))
        except gssapi.exceptions.GSSError as error:
            write(b"-" + str(error).encode())


main()
