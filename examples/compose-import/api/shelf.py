"""The shelf itself, as it lies in the database."""

import os
from urllib.parse import parse_qs, unquote, urlsplit

import pg8000.native


def connect():
    """A connection by DATABASE_URL."""
    url = urlsplit(os.environ["DATABASE_URL"])
    return pg8000.native.Connection(
        user=unquote(url.username),
        password=unquote(url.password),
        host=url.hostname,
        port=url.port or 5432,
        database=url.path.lstrip("/"),
        application_name=parse_qs(url.query).get("application_name", ["shelf"])[0],
    )


def books(connection):
    """All books, and when each was read."""
    rows = connection.run("SELECT title, read_at IS NOT NULL FROM books ORDER BY id")
    return [{"title": title, "read": read} for title, read in rows]
