"""Answers every request with a greeting."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import idna


class Hello(BaseHTTPRequestHandler):
    def do_GET(self):
        text = f"hello from python, also known as {idna.encode('pythön').decode()}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


ThreadingHTTPServer(("", int(os.environ["PORT"])), Hello).serve_forever()
