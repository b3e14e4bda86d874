"""Connections to the `greetings` database."""

import os
import queue
import struct
import time

from pg8000.native import Connection, DatabaseError, Error

# A broken connection shows itself as any of these, depending on where the driver was.
FAILURES = (Error, OSError, struct.error)

# SQLSTATE classes that speak of the server, not of the statement:
# lost connection, out of resources, shutting down, system error.
SERVER_TROUBLE = ("08", "53", "57", "58")


class Unavailable(Exception):
    """The database cannot answer now; the same request may succeed later."""


def connect(timeout=2.0):
    return Connection(
        user=os.environ["GREETINGS_USERNAME"],
        password=os.environ["GREETINGS_PASSWORD"],
        host=os.environ["GREETINGS_HOST"],
        port=int(os.environ["GREETINGS_PORT"]),
        database=os.environ["GREETINGS_DATABASE"],
        application_name="api-" + (os.environ.get("NODE_ID") or "local"),
        timeout=timeout,
    )


class Pool:
    """A few connections, opened when first needed and replaced when they break.

    A statement that met a broken connection is sent again on a new one, so
    statements must be safe to repeat.
    """

    def __init__(self, connect=connect, size=4, patience=2.0):
        self._connect = connect
        self._patience = patience
        self._slots = queue.LifoQueue()
        for _ in range(size):
            self._slots.put(None)
        self._last_success = float("-inf")
        self.server = "PostgreSQL"

    def run(self, statement, **params):
        try:
            connection = self._slots.get(timeout=self._patience)
        except queue.Empty:
            raise Unavailable("every database connection is busy") from None
        try:
            while True:
                reused = connection is not None
                try:
                    if not reused:
                        connection = self._open()
                    rows = connection.run(statement, **params)
                    self._last_success = time.monotonic()
                    return rows
                except FAILURES as error:
                    _discard(connection)
                    connection = None
                    if reused:
                        continue  # the server may have ended it while it was idle
                    if _is_a_bug(error):
                        raise
                    raise Unavailable("the database cannot be reached") from error
        finally:
            self._slots.put(connection)

    def check(self):
        """Raises Unavailable unless the database answers or has just answered."""
        # Under load the connections are busy with statements that succeed: that
        # is proof enough, and waiting in their queue would make a false alarm.
        if time.monotonic() - self._last_success > 1.0:
            self.run("select 1")

    def _open(self):
        connection = self._connect()
        version = connection.parameter_statuses.get("server_version", "")
        self.server = f"PostgreSQL {version.split()[0]}" if version else "PostgreSQL"
        return connection


def _discard(connection):
    if connection is not None:
        try:
            connection.close()
        except FAILURES:
            pass


def _is_a_bug(error):
    if not isinstance(error, DatabaseError):
        return False
    details = error.args[0] if error.args else None
    code = details.get("C", "") if isinstance(details, dict) else ""
    return not code.startswith(SERVER_TROUBLE)
