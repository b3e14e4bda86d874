import sqlite3
import tempfile
import unittest
from pathlib import Path

from shop.database import Database
from shop.migrations import migrate, statements, versions


class Sqlite(Database):
    """SQLite speaks the DB-API with question marks."""

    def __init__(self):
        connection = sqlite3.connect(":memory:")
        super().__init__(lambda: connection, (sqlite3.OperationalError,), size=1)

    def transaction(self):
        return Translating(super().transaction())


class Translating:
    def __init__(self, inner):
        self._inner = inner

    def __enter__(self):
        self._cursor = self._inner.__enter__()
        return self

    def __exit__(self, *error):
        return self._inner.__exit__(*error)

    def execute(self, statement, parameters=()):
        return self._cursor.execute(statement.replace("%s", "?"), parameters)

    def __getattr__(self, name):
        return getattr(self._cursor, name)


class MigrationsTest(unittest.TestCase):
    def folder(self, **files):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        for name, text in files.items():
            Path(folder.name, f"{name}.sql").write_text(text)
        return folder.name

    def test_applies_in_order_and_only_once(self):
        database = Sqlite()
        folder = self.folder(
            **{"0002_b": "insert into a values (7);\n", "0001_a": "create table a (n int);\ncreate index i on a (n);\n"}
        )
        self.assertEqual(migrate(database, folder), ["0001", "0002"])
        self.assertEqual(migrate(database, folder), [])
        self.assertEqual(database.rows("select n from a"), [{"n": 7}])

    def test_refuses_unclear_names(self):
        for files in ({"first": ""}, {"0001_a": "", "0001_b": ""}):
            with self.assertRaises(SystemExit):
                versions(self.folder(**files))

    def test_a_semicolon_within_a_line_ends_nothing(self):
        self.assertEqual(statements("select ';' as a;\n\nselect 2;\n"), ["select ';' as a", "select 2"])


if __name__ == "__main__":
    unittest.main()
