"""A web server whose one page is for those whom Negotiate proves, and says who they are.

negotiate_web.py ADDRESS PORT    with the keytab of KRB5_KTNAME; needs python3-gssapi
"""
import base64
import http.server
import sys

import gssapi


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        word, _, token = self.headers.get("Authorization", "").partition(" ")
        if word.lower() != "negotiate":
            return self.answer(401, "who are you?", "Negotiate")
        context = gssapi.SecurityContext(creds=gssapi.Credentials(usage="accept"), usage="accept")
        try:
            reply = context.step(base64.b64decode(token))
        except gssapi.exceptions.GSSError as error:
            return self.answer(403, str(error))
        if not context.complete:
            return self.answer(403, "one token must do")
        self.answer(200, f"you are {context.initiator_name}", f"Negotiate {base64.b64encode(reply or b'').decode()}")

    def answer(self, status, text, authenticate=None):
        body = (text + "\n").encode()
        self.send_response(status)
        if authenticate:
            self.send_header("WWW-Authenticate", authenticate)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Page).serve_forever()
