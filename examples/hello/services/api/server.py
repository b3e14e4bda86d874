"""A small HTTP/1.1 server that leaves without dropping a request.

One thread per connection, keep-alive, and a way out in three steps: first
everything is still answered while clients are told to go elsewhere, then the
door is closed, then the last answers are finished.
"""

import json
import select
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer

MAX_BODY = 8 * 1024
MAX_DISCARD = 1024 * 1024


class Refused(Exception):
    """An answer other than success, with its reason."""

    def __init__(self, status, problem, field=None, headers=()):
        super().__init__(problem)
        self.status, self.field, self.headers = status, field, dict(headers)


class Handler(BaseHTTPRequestHandler):
    """Subclasses map (method, path) to functions in `routes`; each returns (status, data)."""

    protocol_version = default_request_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave in one packet
    timeout = 75  # seconds that a kept connection may be silent

    routes = {}
    served_by = "local"
    quiet_paths = ("/healthz",)  # answered as ever, but no reason to stay

    def setup(self):
        super().setup()
        self.busy = False
        self.server.handler_of(self.connection, self)

    def handle_one_request(self):
        super().handle_one_request()
        self.busy = False

    def parse_request(self):
        self.busy = True
        return super().parse_request()

    def handle_expect_100(self):
        go_on = super().handle_expect_100()
        self.wfile.flush()
        return go_on

    def dispatch(self):
        path = self.path.partition("?")[0]
        if path not in self.quiet_paths:
            self.server.last_request = time.monotonic()
        try:
            status, data = self._call(path)
            self.answer(status, data)
        except Refused as refused:
            problem = {"error": str(refused)}
            if refused.field:
                problem["field"] = refused.field
            self.answer(refused.status, problem, refused.headers)
        except (ConnectionError, TimeoutError):
            raise
        except Exception as error:
            print(f"{self.command} {path}: {error!r}", file=sys.stderr, flush=True)
            self.answer(500, {"error": "Something went wrong here."})

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = dispatch

    def _call(self, path):
        body = self._read_body()
        method = "GET" if self.command == "HEAD" else self.command
        methods = self.routes.get(path)
        if methods is None:
            raise Refused(404, "There is nothing here.")
        if method not in methods:
            allowed = ", ".join(sorted(methods))
            raise Refused(405, f"Only {allowed} here.", headers={"allow": allowed})
        return methods[method](self, body)

    def _read_body(self):
        # A body that is not read to its end would be taken for the next request,
        # and closing on unread data can take the answer with it.
        if "transfer-encoding" in self.headers:
            self.close_connection = True
            raise Refused(411, "Send the body with a Content-Length.")
        length = self.headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit() and len(length) < 19):
            self.close_connection = True
            raise Refused(400, "The Content-Length is not a number.")
        length = int(length)
        if length <= MAX_BODY:
            body = self.rfile.read(length)
            if len(body) < length:
                raise ConnectionError("the client left in the middle of its request")
            return body
        self.close_connection = True
        left = min(length, MAX_DISCARD)
        while left > 0 and (chunk := self.rfile.read(min(left, 65536))):
            left -= len(chunk)
        raise Refused(413, f"The body is larger than {MAX_BODY} bytes.")

    def json_body(self, body):
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Refused(415, "Send application/json.")
        try:
            return json.loads(body.decode("utf-8"))
        except (ValueError, RecursionError):
            raise Refused(400, "The body is not valid JSON.") from None

    def answer(self, status, data, headers=()):
        body = json.dumps(data, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        if self.server.draining:
            self.close_connection = True
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("content-type", "application/json; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.send_header("cache-control", "no-store")
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self):
        return "api"

    def send_response(self, code, message=None):
        super().send_response(code, message)
        self.send_header("x-served-by", self.served_by)

    def send_error(self, code, message=None, explain=None):
        # Called by the base class for what is no HTTP request at all.
        self.close_connection = True
        self.answer(code, {"error": message or self.responses.get(code, ("",))[0]})

    def log_message(self, format, *args):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True

    def __init__(self, address, handler):
        self._lock = threading.Lock()
        self._handlers = {}  # by connection; None until its thread has begun
        self.draining = False
        self.last_request = time.monotonic()
        super().__init__(address, handler)

    def server_bind(self):
        # HTTPServer would ask DNS for the name of this machine, which can take seconds.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def process_request(self, request, client_address):
        self.handler_of(request, None)
        super().process_request(request, client_address)

    def handler_of(self, connection, handler):
        with self._lock:
            self._handlers[connection] = handler

    def shutdown_request(self, request):
        super().shutdown_request(request)
        with self._lock:
            self._handlers.pop(request, None)

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)

    def drain(self, least=3.0, quiet=1.0, most=6.0):
        """Goes on serving until new requests go elsewhere, then makes serve_forever return.

        It takes a moment until everybody who sends requests here has heard that
        this process leaves. Meanwhile each answer says `connection: close`.
        """
        started = time.monotonic()
        self.draining = True
        while True:
            now = time.monotonic()
            calm = now - started >= least and now - self.last_request >= quiet
            if calm or now - started >= most:
                break
            time.sleep(0.05)
        self.shutdown()

    def leave(self, patience=5.0):
        """After serve_forever has returned: takes in who has already knocked, finishes, closes."""
        self.draining = True
        while select.select([self], [], [], 0)[0]:
            self.handle_request()
        self.server_close()
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            with self._lock:
                if not self._handlers:
                    return
                idle = [c for c, handler in self._handlers.items() if handler and not handler.busy]
            for connection in idle:
                # Ends the wait for a next request, but one that has just arrived is still read.
                try:
                    connection.shutdown(socket.SHUT_RD)
                except OSError:
                    pass
            time.sleep(0.02)


def run(server):
    """Serves until SIGTERM, then drains; SIGINT skips the drain. Nothing in flight is lost."""

    def on_signal(least, quiet, most):
        def start(signum, frame):
            if not server.draining:
                server.draining = True
                threading.Thread(
                    target=server.drain, args=(least, quiet, most), daemon=True
                ).start()

        return start

    signal.signal(signal.SIGTERM, on_signal(3.0, 1.0, 6.0))
    signal.signal(signal.SIGINT, on_signal(0.0, 0.0, 0.0))
    server.serve_forever(poll_interval=0.1)
    server.leave()
