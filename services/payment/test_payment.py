import contextlib
import unittest
from datetime import date
from unittest import mock

from app import create
from charges import Charges, Invalid, Request
from processor import Declined, Processor, expired, luhn

GOOD, BAD = "4242 4242 4242 4242", "4000 0000 0000 0002"
TODAY = date(2026, 5, 15)


class FakeLedger:
    """The one table, in memory."""

    def __init__(self):
        self.charges = {}

    def check(self):
        pass

    @contextlib.contextmanager
    def transaction(self):
        yield self

    def execute(self, statement, parameters):
        if statement.startswith("insert"):
            key, fingerprint, *_ = parameters
            self.charges.setdefault(key, [fingerprint, "pending", None, None])
        elif statement.startswith("select"):
            self._row = self.charges[parameters[0]]
        elif statement.startswith("update"):
            *settled, key = parameters
            self.charges[key][1:] = settled

    def fetchone(self):
        return self._row


class ProcessorTest(unittest.TestCase):
    def setUp(self):
        self.processor = Processor("key", today=lambda: TODAY)

    def test_knows_card_numbers(self):
        self.assertTrue(luhn("4242424242424242"))
        for wrong in ("4242424242424243", "424242", "", "4242a24242424242", "²²²²²²²²²²²²²²²²"):
            self.assertFalse(luhn(wrong), wrong)

    def test_knows_when_a_card_ends(self):
        self.assertFalse(expired("05/26", TODAY))
        for past in ("04/26", "12/25", "13/30", "x", "1/"):
            self.assertTrue(expired(past, TODAY), past)

    def test_the_same_key_is_the_same_charge(self):
        charge = lambda key: self.processor.charge(key, 100, "EUR", "4242424242424242", "12/30")
        self.assertEqual(charge("a"), charge("a"))
        self.assertNotEqual(charge("a"), charge("b"))

    def test_declines_with_the_reason(self):
        with self.assertRaisesRegex(Declined, "insufficient"):
            self.processor.charge("a", 100, "EUR", "4000000000009995", "12/30")

    def test_does_nothing_without_a_key(self):
        with self.assertRaises(ValueError):
            Processor("")


class ChargesTest(unittest.TestCase):
    def setUp(self):
        self.processor = mock.Mock(wraps=Processor("key", today=lambda: TODAY))
        self.ledger = FakeLedger()
        self.client = create(Charges(self.ledger, self.processor, "secret")).test_client()

    def charge(self, key="order-0001", amount=12900, number=GOOD):
        card = {"number": number, "expiry": "12 / 30"}
        body = {"amount_cents": amount, "currency": "EUR", "card": card}
        return self.client.post("/charges", json=body, headers={"idempotency-key": key})

    def test_charges_once_however_often_it_is_asked(self):
        first, again = self.charge(), self.charge()
        self.assertEqual((first.status_code, first.json["status"]), (201, "paid"))
        self.assertEqual(first.json, again.json)
        self.assertEqual(self.processor.charge.call_count, 1)

    def test_a_declined_card_stays_declined_and_says_why(self):
        for _ in range(2):
            answer = self.charge(number=BAD)
            self.assertEqual((answer.status_code, answer.json["reason"]), (402, "The card was declined."))

    def test_a_key_is_not_for_another_charge(self):
        self.charge()
        self.assertEqual(self.charge(amount=1).status_code, 409)
        self.assertEqual(self.charge(number="5555555555554444").status_code, 409)

    def test_keeps_no_card_number(self):
        self.charge()
        self.assertNotIn("4242424242424242", repr(self.ledger.charges))

    def test_refuses_what_is_no_charge(self):
        self.assertEqual(self.charge(key="x").status_code, 422)
        for amount in (0, -1, True, "100", 10**9):
            self.assertEqual(self.charge(amount=amount).status_code, 422, amount)
        self.assertEqual(self.client.post("/charges", data="no").status_code, 422)
        with self.assertRaises(Invalid):
            Request.parse("order-0001", {"amount_cents": 1, "currency": "USD", "card": {}})


if __name__ == "__main__":
    unittest.main()
