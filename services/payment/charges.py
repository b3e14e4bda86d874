"""Charges, each made at most once however often it is asked for."""

import hashlib
import hmac
import json
import re
from dataclasses import dataclass

from processor import Declined

KEY = re.compile(r"[\w-]{8,80}$", re.ASCII)
MOST_CENTS = 2_000_000


class Invalid(Exception):
    """A request that no repetition makes better."""


class Conflict(Exception):
    """The same key for another charge."""


@dataclass(frozen=True)
class Request:
    key: str
    amount_cents: int
    currency: str
    number: str
    expiry: str

    @classmethod
    def parse(cls, key, data):
        """A charge from a request's header and JSON."""
        if not (isinstance(key, str) and KEY.match(key)):
            raise Invalid("Send an Idempotency-Key of 8 to 80 letters, digits or dashes.")
        card = data.get("card") if isinstance(data, dict) else None
        if not isinstance(card, dict):
            raise Invalid("Send a JSON object with amount_cents, currency and card.")
        amount, currency = data.get("amount_cents"), data.get("currency")
        if not (type(amount) is int and 0 < amount <= MOST_CENTS):
            raise Invalid(f"The amount must be 1 to {MOST_CENTS} cents.")
        if currency != "EUR":
            raise Invalid("We charge in EUR.")
        number = re.sub(r"[ -]", "", str(card.get("number", "")))
        return cls(key, amount, currency, number, str(card.get("expiry", "")).replace(" ", ""))

    def fingerprint(self, secret):
        """Tells charges apart without keeping the card: a keyed hash."""
        content = json.dumps([self.amount_cents, self.currency, self.number, self.expiry])
        return hmac.new(secret.encode(), content.encode(), hashlib.sha256).hexdigest()


class Charges:
    def __init__(self, database, processor, secret):
        self._database, self._processor, self._secret = database, processor, secret

    def check(self):
        self._database.check()

    def make(self, request):
        """The charge's record. Asking again with the same key answers the same and charges nothing."""
        self._begin(request)
        with self._database.transaction() as cursor:
            # The row is locked: of two who ask at once, one charges and the other reads what came of it.
            cursor.execute(
                "select fingerprint, status, reference, reason from charges where key = %s for update", (request.key,)
            )
            fingerprint, status, reference, reason = cursor.fetchone()
            if fingerprint != request.fingerprint(self._secret):
                raise Conflict("This Idempotency-Key belongs to another charge.")
            if status == "pending":
                status, reference, reason = self._settle(request)
                cursor.execute(
                    "update charges set status = %s, reference = %s, reason = %s, settled_at = now() where key = %s",
                    (status, reference, reason, request.key),
                )
        return {
            "key": request.key,
            "status": status,
            "reference": reference,
            "reason": reason,
            "amount_cents": request.amount_cents,
            "currency": request.currency,
            "card_last4": request.number[-4:],
        }

    def _begin(self, request):
        # Its own transaction: what we are about to ask the processor for is on record before we ask.
        with self._database.transaction() as cursor:
            cursor.execute(
                "insert into charges (key, fingerprint, amount_cents, currency, card_last4, status) "
                "values (%s, %s, %s, %s, %s, 'pending') on conflict (key) do nothing",
                (
                    request.key,
                    request.fingerprint(self._secret),
                    request.amount_cents,
                    request.currency,
                    request.number[-4:],
                ),
            )

    def _settle(self, request):
        try:
            reference = self._processor.charge(
                request.key, request.amount_cents, request.currency, request.number, request.expiry
            )
            return "paid", reference, None
        except Declined as declined:
            return "declined", None, str(declined)
