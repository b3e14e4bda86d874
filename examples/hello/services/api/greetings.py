"""What a greeting is, and the statements that keep it."""

import unicodedata
from uuid import UUID, uuid4

TINTS = ("sun", "peach", "rose", "lilac", "sky", "mint")
NEWEST = 30


class Invalid(Exception):
    def __init__(self, field, problem):
        super().__init__(problem)
        self.field = field


def parse(data):
    """A greeting from a request's JSON, or Invalid with a message for the person who wrote it."""
    if not isinstance(data, dict):
        raise Invalid(None, "Send a JSON object with author and message.")
    return {
        "id": _id(data.get("id")),
        "author": _text(data, "author", "name", limit=40),
        "message": _text(data, "message", "message", limit=280, lines=True),
        "tint": _tint(data.get("tint")),
    }


def _id(value):
    # The sender may choose the id: sending the same greeting twice then adds it once.
    if value is None or value == "":
        return uuid4()
    try:
        return UUID(value)
    except (ValueError, TypeError, AttributeError):
        raise Invalid("id", "The id must be a UUID.") from None


def _text(data, field, title, limit, lines=False):
    value = data.get(field, "")
    if not isinstance(value, str):
        raise Invalid(field, f"The {title} must be text.")
    value = value.replace("\r\n", "\n").replace("\t", " ").strip()
    if not any(unicodedata.category(c)[0] in "LMNPS" for c in value):
        raise Invalid(field, f"Please write a {title}.")
    if len(value) > limit:
        raise Invalid(field, f"The {title} has {len(value)} characters; at most {limit} fit.")
    # Cc are control characters, Cs halves of surrogate pairs: neither can be stored or shown.
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in value if not (lines and c == "\n")):
        raise Invalid(field, f"The {title} has characters that cannot be shown.")
    return value


def _tint(value):
    if value is None or value == "":
        return TINTS[0]
    if value not in TINTS:
        raise Invalid("tint", f"The tint must be one of {', '.join(TINTS)}.")
    return value


class Wall:
    def __init__(self, pool):
        self._pool = pool

    def check(self):
        self._pool.check()

    def newest(self):
        rows = self._pool.run(
            "select id, author, message, tint, created_at, (select count(*) from greetings) "
            f"from greetings order by created_at desc, id limit {NEWEST}"
        )
        return {
            "greetings": [
                {
                    "id": str(id),
                    "author": author,
                    "message": message,
                    "tint": tint,
                    "created_at": created_at.isoformat(),
                }
                for id, author, message, tint, created_at, _ in rows
            ],
            "total": rows[0][-1] if rows else 0,
            "database": self._pool.server,
        }

    def add(self, greeting):
        """Adds a greeting; False if this very greeting is there already."""
        added = self._pool.run(
            "insert into greetings (id, author, message, tint) "
            "values (:id, :author, :message, :tint) on conflict (id) do nothing returning id",
            **greeting,
        )
        return bool(added)
