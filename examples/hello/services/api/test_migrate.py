import tempfile
import unittest
from pathlib import Path
from unittest import mock

from migrate import MIGRATIONS, migrate, versions


class FakeDatabase:
    def __init__(self, done=()):
        self.done = list(done)
        self.statements = []

    def run(self, statement, **params):
        self.statements.append(statement)
        if statement.startswith("select version"):
            return [[version] for version in self.done]
        if statement.startswith("insert into schema_migrations"):
            self.done.append(params["version"])
        return []


class MigrateTest(unittest.TestCase):
    def folder(self, *names):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        for name in names:
            Path(folder.name, name).write_text(f"-- {name}")
        return Path(folder.name)

    def setUp(self):
        # What migrate() prints is not the subject of these tests.
        self.enterContext(mock.patch("builtins.print"))

    def test_applies_in_order_each_in_a_transaction(self):
        db = FakeDatabase()
        folder = self.folder("0002_b.sql", "0001_a.sql", "notes.txt")
        self.assertEqual(migrate(db, folder), ["0001", "0002"])
        start = db.statements.index("begin")
        self.assertEqual(db.statements[start + 1], "-- 0001_a.sql")
        self.assertEqual(db.statements[start + 3], "commit")

    def test_takes_the_lock_before_it_looks(self):
        db = FakeDatabase()
        migrate(db, self.folder())
        self.assertIn("pg_advisory_lock", db.statements[0])

    def test_again_is_nothing(self):
        db = FakeDatabase(done=["0001"])
        self.assertEqual(migrate(db, self.folder("0001_a.sql")), [])
        self.assertNotIn("begin", db.statements)

    def test_refuses_unclear_names(self):
        for names in (["first.sql"], ["0001_a.sql", "0001_b.sql"]):
            with self.assertRaises(SystemExit):
                versions(self.folder(*names))

    def test_our_own_migrations_are_well_named(self):
        self.assertEqual(versions(MIGRATIONS)[0][0], "0001")


if __name__ == "__main__":
    unittest.main()
