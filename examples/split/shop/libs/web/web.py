"""An HTTP server for functions, and a client for the services behind it."""

import json
import os
import signal
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def serve(answer):
    """Answers requests by `answer(method, path, body)`, which gives a text or something for JSON, or None."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def reply(self):
            length = int(self.headers.get("content-length") or 0)
            body = self.rfile.read(length).decode()
            found = "ok" if self.path == "/healthz" else answer(self.command, self.path, body)
            is_page = isinstance(found, str)
            content = (found if is_page else json.dumps(found)).encode()
            self.send_response(404 if found is None else 200)
            self.send_header("content-type", "text/html; charset=utf-8" if is_page else "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = reply

        def log_message(self, format, *arguments):
            print(format % arguments, file=sys.stderr, flush=True)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ThreadingHTTPServer(("", int(os.environ["PORT"])), Handler).serve_forever()


def fetch(url):
    with urllib.request.urlopen(url, timeout=5) as response:
        return json.load(response)
