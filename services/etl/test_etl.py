import contextlib
import json
import random
import unittest
from collections import Counter
from datetime import UTC, datetime
from types import SimpleNamespace

from facts import Malformed, read
from load import begin_of, load
from seed import OUTFITS, history
from shop.errors import Unavailable

ORDER = {
    "id": "e1",
    "type": "order.placed",
    "time": "2026-05-01T10:00:00+00:00",
    "visitor": "v1",
    "data": {
        "order": "o1",
        "items": [
            {"product": "tee", "size": "S", "quantity": 1, "price_cents": 2900},
            {"product": "tee", "size": "M", "quantity": 2, "price_cents": 2900},
            {"product": "hat", "size": "One size", "quantity": 1, "price_cents": 1900},
        ],
    },
}
VIEW = {**ORDER, "id": "e2", "type": "product.viewed", "data": {"product": "tee"}}


class FactsTest(unittest.TestCase):
    def test_an_order_is_a_row_for_each_product(self):
        table, rows = read(json.dumps(ORDER))
        self.assertEqual(table, "purchases")
        self.assertEqual([(row["product"], row["quantity"]) for row in rows], [("tee", 3), ("hat", 1)])
        self.assertEqual(rows[0]["placed_at"], datetime(2026, 5, 1, 10, tzinfo=UTC))

    def test_a_view_is_a_row(self):
        table, rows = read(json.dumps(VIEW))
        self.assertEqual((table, rows[0]["event_id"]), ("views", "e2"))

    def test_other_events_are_nobodys(self):
        self.assertEqual(read(json.dumps({**VIEW, "type": "cart.added"})), (None, []))

    def test_what_is_no_event_is_malformed(self):
        for wrong in ("", "[]", "7", '{"type": "order.placed"}', b"\xff", json.dumps({**VIEW, "time": "noon"})):
            with self.assertRaises(Malformed, msg=wrong):
                read(wrong)


class FakeStream:
    """One partition of one topic."""

    def __init__(self, *values):
        self.messages = [SimpleNamespace(offset=i, value=value) for i, value in enumerate(values)]

    def partitions_for_topic(self, topic):
        return {0} if topic == "orders" else None

    def assign(self, partitions):
        [self.partition] = partitions

    def beginning_offsets(self, partitions):
        return {self.partition: 0}

    def end_offsets(self, partitions):
        return {self.partition: len(self.messages)}

    def seek(self, partition, offset):
        self.at = offset

    def position(self, partition):
        return self.at

    def poll(self, timeout_ms):
        batch = self.messages[self.at : self.at + 2]
        self.at += len(batch)
        return {self.partition: batch}


class FakeDatabase:
    """Tables in memory; a row that is there already is not added."""

    def __init__(self):
        self.added, self.offsets = [], {}

    @contextlib.contextmanager
    def transaction(self):
        yield self

    def execute(self, statement, parameters):
        if "into offsets" in statement:
            topic, partition, following = parameters
            self.offsets[topic, partition] = following
        else:
            self.rowcount = int(parameters not in self.added)
            if self.rowcount:
                self.added.append(parameters)

    def rows(self, statement):
        return [{"topic": t, "partition": p, "next": n} for (t, p), n in self.offsets.items()]


class LoadTest(unittest.TestCase):
    def test_reads_on_where_it_stopped(self):
        database, order = FakeDatabase(), json.dumps(ORDER)
        self.assertEqual(load(FakeStream(order), database), (1, 2))
        self.assertEqual(load(FakeStream(order), database), (0, 0))
        self.assertEqual(load(FakeStream(order, json.dumps(VIEW)), database), (1, 1))
        self.assertEqual(database.offsets, {("orders", 0): 2})

    def test_from_the_beginning_again_adds_nothing(self):
        database, order = FakeDatabase(), json.dumps(ORDER)
        load(FakeStream(order), database)
        database.offsets.clear()
        self.assertEqual(load(FakeStream(order), database), (1, 0))

    def test_a_malformed_message_stops_nothing(self):
        database = FakeDatabase()
        self.assertEqual(load(FakeStream("?", "?", json.dumps(ORDER)), database), (3, 2))

    def test_a_stream_without_topics_is_empty(self):
        stream = FakeStream()
        stream.partitions_for_topic = lambda topic: None
        self.assertEqual(load(stream, FakeDatabase()), (0, 0))

    def test_a_stream_that_falls_silent_is_not_waited_for_for_ever(self):
        stream = FakeStream(json.dumps(ORDER))
        stream.poll = lambda timeout_ms: {}
        with self.assertRaises(Unavailable):
            load(stream, FakeDatabase())

    def test_where_to_begin(self):
        self.assertEqual(begin_of(None, 3, 9), 3, "never read")
        self.assertEqual(begin_of(5, 3, 9), 5, "read before")
        self.assertEqual(begin_of(1, 3, 9), 3, "the stream has forgotten what comes next")
        self.assertEqual(begin_of(50, 0, 9), 0, "another stream of the same name")


class SeedTest(unittest.TestCase):
    def test_the_past_is_the_same_each_time(self):
        now = datetime(2026, 5, 1, tzinfo=UTC)
        self.assertEqual(history(now, random.Random(1)), history(now, random.Random(1)))

    def test_outfits_stay_together(self):
        purchases, _ = history(datetime(2026, 5, 1, tzinfo=UTC), random.Random(1896))
        orders = {}
        for order, product, *_ in purchases:
            orders.setdefault(order, set()).add(product)
        with_sweater = Counter(p for order in orders.values() if "nordby-fisherman-sweater" in order for p in order)
        del with_sweater["nordby-fisherman-sweater"]
        self.assertIn(with_sweater.most_common(1)[0][0], OUTFITS[0])


if __name__ == "__main__":
    unittest.main()
