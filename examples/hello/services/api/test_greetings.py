import unittest
from uuid import UUID

from greetings import Invalid, parse


class ParseTest(unittest.TestCase):
    def refuse(self, field, **data):
        with self.assertRaises(Invalid) as caught:
            parse({"author": "Ada", "message": "hello", **data})
        self.assertEqual(caught.exception.field, field)
        return str(caught.exception)

    def test_fills_in_what_is_missing(self):
        greeting = parse({"author": " Ada ", "message": "hello"})
        self.assertEqual(greeting["author"], "Ada")
        self.assertEqual(greeting["tint"], "sun")
        self.assertIsInstance(greeting["id"], UUID)

    def test_keeps_the_id_of_the_sender(self):
        id = "6f1f2b52-9c3e-4f6d-8a53-0d6b1f0a7c11"
        self.assertEqual(parse({"id": id, "author": "a", "message": "b"})["id"], UUID(id))

    def test_normalises_line_ends(self):
        greeting = parse({"author": "Ada", "message": "one\r\ntwo"})
        self.assertEqual(greeting["message"], "one\ntwo")

    def test_says_what_is_wrong(self):
        self.assertEqual(self.refuse("author", author="  "), "Please write a name.")
        self.assertEqual(self.refuse("author", author="\u200b"), "Please write a name.")
        self.assertEqual(self.refuse("message", message=""), "Please write a message.")
        self.assertIn("281 characters; at most 280", self.refuse("message", message="x" * 281))
        self.assertIn("must be text", self.refuse("author", author=7))
        self.assertIn("cannot be shown", self.refuse("author", author="a\nb"))
        self.assertIn("cannot be shown", self.refuse("message", message="a\0b"))
        self.assertIn("cannot be shown", self.refuse("message", message="half \ud83d"))
        self.assertIn("one of sun", self.refuse("tint", tint="black"))
        self.assertIn("UUID", self.refuse("id", id="1"))
        self.assertIn("UUID", self.refuse("id", id=1))

    def test_counts_characters_not_bytes(self):
        self.assertEqual(len(parse({"author": "Ada", "message": "é" * 280})["message"]), 280)

    def test_wants_an_object(self):
        for data in (None, [], "hello", 1):
            with self.assertRaises(Invalid):
                parse(data)


if __name__ == "__main__":
    unittest.main()
