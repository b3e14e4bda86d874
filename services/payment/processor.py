"""The card processor: a stand-in that behaves like the real ones, deterministic and without any outside effect.

Like those it wants a key, checks a card's number and date, declines some cards, and answers
the same idempotency key with the same result. Its test cards are the well-known ones.
"""

import hashlib
import hmac
from datetime import UTC, datetime

DECLINED = {
    "4000000000000002": "The card was declined.",
    "4000000000009995": "The card has insufficient funds.",
}


class Declined(Exception):
    """The processor will not charge this card; the message is for its owner."""


class Processor:
    def __init__(self, key, today=lambda: datetime.now(UTC).date()):
        if not key:
            raise ValueError("the processor needs a key")
        self._key, self._today = key.encode(), today

    def charge(self, idempotency_key, amount_cents, currency, number, expiry):
        """Takes the money and returns the processor's reference."""
        if not luhn(number):
            raise Declined("The card number is not valid.")
        if expired(expiry, self._today()):
            raise Declined("The card has expired.")
        if number in DECLINED:
            raise Declined(DECLINED[number])
        message = f"{idempotency_key}:{amount_cents}:{currency}".encode()
        return "ch_" + hmac.new(self._key, message, hashlib.sha256).hexdigest()[:24]


def luhn(number):
    """Whether the last digit fits the others: catches every single wrong digit."""
    if not (number.isascii() and number.isdigit() and 12 <= len(number) <= 19):
        return False
    digits = [int(digit) for digit in reversed(number)]
    doubled = (digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def expired(expiry, today):
    """Whether a card of month/year, written MM/YY, is past its last day."""
    month, _, year = expiry.partition("/")
    try:
        return (2000 + int(year), int(month)) < (today.year, today.month) or not 1 <= int(month) <= 12
    except ValueError:
        return True
