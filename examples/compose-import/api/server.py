"""The API: /v1/books, and /healthz for those who wait for it."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import shelf


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/healthz":
            return self.answer({"ok": True})
        if self.path == "/v1/books":
            connection = shelf.connect()
            try:
                books = shelf.books(connection)
            finally:
                connection.close()
            version = os.environ.get("APP_VERSION")
            return self.answer({"shelf": os.environ["SHELF_NAME"], "version": version, "books": books})
        return self.answer({"error": "nothing here"}, 404)

    def answer(self, value, status=200):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    for name in ("SESSION_SECRET", "MAIL_TOKEN", "PAGE_SIZE"):
        assert os.environ.get(name), f"{name} is not set"
    print("listens on 5000, log level", os.environ["LOG_LEVEL"], flush=True)
    ThreadingHTTPServer(("0.0.0.0", 5000), Handler).serve_forever()
