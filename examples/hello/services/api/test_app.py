import http.client
import json
import socket
import threading
import time
import unittest

from app import handler
from database import Unavailable
from server import Server


class FakeWall:
    def __init__(self):
        self.rows = {}
        self.down = False
        self.delay = 0

    def check(self):
        time.sleep(self.delay)
        if self.down:
            raise Unavailable()

    def newest(self):
        self.check()
        return {"greetings": [], "total": len(self.rows), "database": "fake"}

    def add(self, greeting):
        self.check()
        new = greeting["id"] not in self.rows
        self.rows[greeting["id"]] = greeting
        return new


class ApiTest(unittest.TestCase):
    def setUp(self):
        self.wall = FakeWall()
        self.server = Server(("127.0.0.1", 0), handler(self.wall, "test"))
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        self.client = self.new_client()

    def tearDown(self):
        self.server.shutdown()
        self.thread.join()
        if self.server.fileno() != -1:
            self.server.leave()

    def new_client(self):
        client = http.client.HTTPConnection(*self.server.server_address, timeout=5)
        self.addCleanup(client.close)
        return client

    def ask(self, method, path, body=None, client=None, **headers):
        client = client or self.client
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        client.request(method, path, body, headers)
        answer = client.getresponse()
        text = answer.read()
        self.assertEqual(answer.headers["x-served-by"], "api-test")
        return answer, json.loads(text) if text else None

    def post(self, data, **headers):
        body = data if isinstance(data, (bytes, str)) else json.dumps(data)
        headers = {"content_type": "application/json", **headers}
        return self.ask("POST", "/greetings", body, **headers)

    def test_adds_and_lists(self):
        answer, added = self.post({"author": "Ada", "message": "hello", "tint": "mint"})
        self.assertEqual(answer.status, 201)
        self.assertEqual(added["tint"], "mint")
        answer, wall = self.ask("GET", "/greetings")
        self.assertEqual((answer.status, wall["total"]), (200, 1))

    def test_the_same_greeting_twice_is_one(self):
        greeting = {"id": "6f1f2b52-9c3e-4f6d-8a53-0d6b1f0a7c11", "author": "a", "message": "b"}
        self.assertEqual(self.post(greeting)[0].status, 201)
        self.assertEqual(self.post(greeting)[0].status, 200)

    def test_a_connection_is_kept(self):
        self.ask("GET", "/greetings")
        kept = self.client.sock
        self.ask("GET", "/greetings?again")
        self.post({"author": "", "message": "refused, but read to its end"})
        self.ask("HEAD", "/greetings")
        self.ask("GET", "/greetings")
        self.assertIsNotNone(kept)
        self.assertIs(self.client.sock, kept)

    def test_refusals_are_clear(self):
        answer, problem = self.post({"author": "Ada"})
        self.assertEqual((answer.status, problem["field"]), (422, "message"))
        self.assertEqual(self.post("{")[0].status, 400)
        self.assertEqual(self.post("[" * 8000)[0].status, 400)
        self.assertEqual(self.post(b"\xff")[0].status, 400)
        self.assertEqual(self.post("a=b", content_type="text/plain")[0].status, 415)
        self.assertEqual(self.ask("GET", "/nothing")[0].status, 404)
        answer, _ = self.ask("DELETE", "/greetings")
        self.assertEqual((answer.status, answer.headers["allow"]), (405, "GET, POST"))

    def test_bodies_are_limited(self):
        self.assertEqual(self.post("x" * 8193)[0].status, 413)
        self.assertEqual(self.post("x" * 900_000)[0].status, 413)
        self.assertEqual(self.post("{}", content_length="many")[0].status, 400)
        self.assertEqual(self.post("{}", transfer_encoding="chunked")[0].status, 411)

    def test_garbage_gets_an_answer(self):
        with socket.create_connection(self.server.server_address, timeout=5) as raw:
            raw.sendall(b"hello there, server\r\n\r\n")
            self.assertIn(b" 400 ", raw.makefile("rb").readline())

    def test_health_is_honest(self):
        self.assertEqual(self.ask("GET", "/healthz")[0].status, 200)
        self.wall.down = True
        self.assertEqual(self.ask("GET", "/healthz")[0].status, 503)
        self.assertEqual(self.ask("GET", "/greetings")[0].status, 503)
        self.assertEqual(self.post({"author": "a", "message": "b"})[0].status, 503)

    def test_while_it_drains_everything_is_answered(self):
        kept, late = self.new_client(), self.new_client()
        self.ask("GET", "/greetings", client=kept)
        drain = threading.Thread(target=self.server.drain, args=(0.3, 0.0, 0.3))
        drain.start()
        while not self.server.draining:
            time.sleep(0.001)
        for client in (kept, late):
            answer, _ = self.ask("GET", "/greetings", client=client)
            self.assertEqual((answer.status, answer.headers["connection"]), (200, "close"))
        drain.join()

    def test_leaves_when_the_last_answer_is_out(self):
        idle, slow = self.new_client(), self.new_client()
        self.ask("GET", "/healthz", client=idle)
        self.wall.delay = 0.3
        answers = []
        asking = threading.Thread(
            target=lambda: answers.append(self.ask("GET", "/greetings", client=slow)[0])
        )
        asking.start()
        time.sleep(0.1)
        self.server.drain(0, 0, 0)
        self.thread.join()
        started = time.monotonic()
        self.server.leave()
        asking.join()
        self.assertEqual(answers[0].status, 200)
        self.assertLess(time.monotonic() - started, 2)
        with self.assertRaises(OSError):
            self.ask("GET", "/healthz", client=self.new_client())


if __name__ == "__main__":
    unittest.main()
