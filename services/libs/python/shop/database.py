"""Connections to SQL databases by the variables of their wiring: {ALIAS}_HOST, _PORT, _USERNAME, _PASSWORD, _DATABASE."""

import os
import queue
import struct
import time
from contextlib import contextmanager

from shop.errors import Unavailable

PROBE_AFTER = 1.0  # seconds of idleness after which a connection is asked before it is used


def wired(alias):
    """Where the database is and who we are there."""
    return {
        "host": os.environ[f"{alias}_HOST"],
        "port": int(os.environ[f"{alias}_PORT"]),
        "user": os.environ[f"{alias}_USERNAME"],
        "password": os.environ[f"{alias}_PASSWORD"],
        "database": os.environ[f"{alias}_DATABASE"],
    }


def postgres(alias, timeout=5.0):
    from pg8000 import dbapi

    return Database(
        lambda: dbapi.connect(**wired(alias), timeout=timeout, application_name=os.environ.get("OTEL_SERVICE_NAME")),
        failures=(dbapi.InterfaceError, dbapi.OperationalError, OSError, struct.error),
    )


def mariadb(alias, timeout=5.0):
    import pymysql

    return Database(
        lambda: pymysql.connect(
            **wired(alias),
            charset="utf8mb4",
            connect_timeout=timeout,
            read_timeout=timeout,
            write_timeout=timeout,
        ),
        failures=(pymysql.InterfaceError, pymysql.OperationalError, OSError),
    )


class Database:
    """A few connections, opened when first needed and replaced when they break."""

    def __init__(self, connect, failures, size=8, patience=3.0):
        self._connect = connect
        self._failures = failures
        self._patience = patience
        self._slots = queue.LifoQueue()
        for _ in range(size):
            self._slots.put((None, 0.0))

    @contextmanager
    def transaction(self):
        """A cursor whose statements all happen or none does."""
        connection = self._take()
        try:
            with self._translated():
                cursor = connection.cursor()
                yield cursor
                connection.commit()
        except BaseException:
            self._discard(connection)
            connection = None
            raise
        finally:
            self._slots.put((connection, time.monotonic()))

    def rows(self, statement, parameters=()):
        """The rows that one statement gives, as dictionaries."""
        with self.transaction() as cursor:
            cursor.execute(statement, tuple(parameters))
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row)) for row in cursor.fetchall()]

    def check(self):
        self.rows("select 1")

    def _take(self):
        try:
            connection, used = self._slots.get(timeout=self._patience)
        except queue.Empty:
            raise Unavailable("every connection to the database is busy") from None
        if connection is not None and time.monotonic() - used > PROBE_AFTER:
            # The server may have ended it meanwhile.
            try:
                connection.cursor().execute("select 1")
                connection.rollback()
            except self._failures:
                self._discard(connection)
                connection = None
        if connection is None:
            try:
                with self._translated():
                    connection = self._connect()
            except BaseException:
                self._slots.put((None, 0.0))
                raise
        return connection

    @contextmanager
    def _translated(self):
        try:
            yield
        except self._failures as error:
            raise Unavailable("the database cannot be reached") from error

    def _discard(self, connection):
        try:
            connection.close()
        except self._failures:
            pass
