import unittest

from pg8000.native import DatabaseError, InterfaceError

from database import Pool, Unavailable


class FakeConnection:
    parameter_statuses = {"server_version": "15.14 (Debian 15.14-1)"}

    def __init__(self, *answers):
        self.answers = list(answers)
        self.closed = False

    def run(self, statement, **params):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self):
        self.closed = True


def pool_of(*connections, **options):
    waiting = list(connections)

    def connect():
        connection = waiting.pop(0)
        if isinstance(connection, Exception):
            raise connection
        return connection

    return Pool(connect, **options)


class PoolTest(unittest.TestCase):
    def test_keeps_a_connection(self):
        pool = pool_of(FakeConnection([[1]], [[2]]))
        self.assertEqual(pool.run("select 1"), [[1]])
        self.assertEqual(pool.run("select 2"), [[2]])
        self.assertEqual(pool.server, "PostgreSQL 15.14")

    def test_replaces_a_connection_that_broke(self):
        broken = FakeConnection([[1]], InterfaceError("network error"))
        pool = pool_of(broken, FakeConnection([[2]]))
        pool.run("select 1")
        self.assertEqual(pool.run("select 2"), [[2]])
        self.assertTrue(broken.closed)

    def test_gives_up_when_a_new_connection_fails_too(self):
        pool = pool_of(ConnectionRefusedError(), FakeConnection([[1]]))
        with self.assertRaises(Unavailable):
            pool.run("select 1")
        self.assertEqual(pool.run("select 1"), [[1]], "and recovers")

    def test_a_server_that_shuts_down_is_unavailable(self):
        pool = pool_of(FakeConnection(DatabaseError({"C": "57P01"})))
        with self.assertRaises(Unavailable):
            pool.run("select 1")

    def test_a_wrong_statement_is_a_bug(self):
        pool = pool_of(FakeConnection(DatabaseError({"C": "42P01"})))
        with self.assertRaises(DatabaseError):
            pool.run("select nonsense")

    def test_waits_for_a_connection_only_so_long(self):
        pool = pool_of(size=0, patience=0.01)
        with self.assertRaises(Unavailable):
            pool.run("select 1")

    def test_recent_success_is_proof_of_health(self):
        pool = pool_of(FakeConnection([[1]]))
        pool.run("select 1")
        pool.check()

    def test_without_recent_success_health_asks_the_database(self):
        with self.assertRaises(Unavailable):
            pool_of(ConnectionRefusedError()).check()


if __name__ == "__main__":
    unittest.main()
