import unittest
from unittest import mock

from shop.database import Database, wired
from shop.errors import Unavailable


class Broken(Exception):
    pass


class DatabaseTest(unittest.TestCase):
    def test_a_connection_serves_again(self):
        connect = mock.Mock()
        database = Database(connect, (Broken,), size=1)
        for _ in range(3):
            with database.transaction() as cursor:
                cursor.execute("select 1")
        self.assertEqual(connect.call_count, 1)
        self.assertEqual(connect().commit.call_count, 3)

    def test_a_broken_connection_is_replaced(self):
        first, second = mock.Mock(), mock.Mock()
        first.cursor().execute.side_effect = Broken
        database = Database(mock.Mock(side_effect=[first, second]), (Broken,), size=1)
        with self.assertRaises(Unavailable), database.transaction() as cursor:
            cursor.execute("select 1")
        first.close.assert_called_once()
        with database.transaction() as cursor:
            cursor.execute("select 1")
        second.commit.assert_called_once()

    def test_an_idle_connection_that_died_is_not_noticed_by_anybody(self):
        first, second = mock.Mock(), mock.Mock()
        database = Database(mock.Mock(side_effect=[first, second]), (Broken,), size=1)
        with database.transaction():
            pass
        first.cursor().execute.side_effect = Broken
        with mock.patch("shop.database.PROBE_AFTER", -1), database.transaction():
            pass
        second.commit.assert_called_once()

    def test_a_server_that_is_away_gives_its_slot_back(self):
        database = Database(mock.Mock(side_effect=Broken), (Broken,), size=1, patience=0.1)
        for _ in range(3):
            with self.assertRaisesRegex(Unavailable, "cannot be reached"):
                database.check()

    def test_a_mistake_of_ours_is_not_called_unavailable(self):
        database = Database(mock.Mock(), (Broken,), size=1)
        with self.assertRaises(KeyError), database.transaction():
            raise KeyError("ours")

    def test_reads_the_wiring(self):
        wiring = {"X_HOST": "h", "X_PORT": "1", "X_USERNAME": "u", "X_PASSWORD": "p", "X_DATABASE": "d"}
        with mock.patch.dict("os.environ", wiring):
            self.assertEqual(wired("X")["port"], 1)


if __name__ == "__main__":
    unittest.main()
