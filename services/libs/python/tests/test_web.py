import unittest
from unittest import mock

from flask import abort

from shop.errors import Unavailable
from shop.web import application


class WebTest(unittest.TestCase):
    def setUp(self):
        self.check = mock.Mock()
        self.app = application(self.check)
        self.client = self.app.test_client()

    def test_is_healthy_while_its_check_is(self):
        self.assertEqual(self.client.get("/healthz").status_code, 200)
        self.check.side_effect = Unavailable("the database cannot be reached")
        answer = self.client.get("/healthz")
        self.assertEqual((answer.status_code, answer.headers["retry-after"]), (503, "1"))

    def test_says_who_answers(self):
        self.assertEqual(self.client.get("/healthz").headers["x-served-by"], "local-local")

    def test_every_error_is_json(self):
        self.app.add_url_rule("/refused", view_func=lambda: abort(422, "Too many."), endpoint="refused")
        self.app.add_url_rule("/bug", view_func=lambda: 1 // 0, endpoint="bug")
        self.assertEqual(self.client.get("/refused").json, {"error": "Too many."})
        with self.assertLogs(level="ERROR"):
            self.assertEqual(self.client.get("/bug").status_code, 500)
        self.assertEqual(self.client.get("/nothing").status_code, 404)
        self.assertIn("error", self.client.get("/nothing").json)


if __name__ == "__main__":
    unittest.main()
