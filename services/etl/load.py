"""The job `load`: reads what is new on the stream into tables, and ends.

Offsets and rows move together in one transaction; rows that are there already stay as they are.
So it may be stopped at any time, run twice at once, or run again from the beginning: the tables are the same.
"""

import logging
import os
import sys

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from facts import Malformed, read
from shop import logs
from shop.database import postgres
from shop.errors import Unavailable

TOPICS = ("orders", "activity")
PATIENCE = 20  # empty answers in a row, a second each, after which the stream counts as away


def begin_of(stored, first, end):
    """Where to read on: where we stopped, or at the first message if the stream is another one since or has forgotten."""
    return stored if stored is not None and first <= stored <= end else first


def store(database, partition, messages):
    """Adds the rows of some messages of one partition and remembers how far it was read; returns how many were added."""
    added = 0
    with database.transaction() as cursor:
        for message in messages:
            try:
                table, rows = read(message.value)
            except Malformed as malformed:
                logs.say("skipped a message", topic=partition.topic, offset=message.offset, cause=str(malformed))
                continue
            for row in rows:
                columns, marks = ", ".join(row), ", ".join(["%s"] * len(row))
                cursor.execute(
                    f"insert into {table} ({columns}) values ({marks}) on conflict do nothing", tuple(row.values())
                )
                added += cursor.rowcount
        cursor.execute(
            "insert into offsets (topic, partition, next) values (%s, %s, %s) "
            "on conflict (topic, partition) do update set next = excluded.next",
            (partition.topic, partition.partition, messages[-1].offset + 1),
        )
    return added


def load(consumer, database):
    """Reads up to what is on the stream now; returns how many messages it read and rows it added."""
    partitions = [
        TopicPartition(topic, number) for topic in TOPICS for number in sorted(consumer.partitions_for_topic(topic) or ())
    ]
    if not partitions:
        return 0, 0
    consumer.assign(partitions)
    firsts, ends = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
    stored = {
        TopicPartition(row["topic"], row["partition"]): row["next"]
        for row in database.rows("select topic, partition, next from offsets")
    }
    for partition in partitions:
        consumer.seek(partition, begin_of(stored.get(partition), firsts[partition], ends[partition]))
    read_messages = added = empty = 0
    while any(consumer.position(partition) < ends[partition] for partition in partitions):
        batches = consumer.poll(timeout_ms=1000)
        empty = 0 if batches else empty + 1
        if empty > PATIENCE:
            raise Unavailable("the stream does not answer any more")
        for partition, messages in batches.items():
            added += store(database, partition, messages)
            read_messages += len(messages)
    return read_messages, added


def main():
    logs.begin()
    logging.getLogger("kafka").setLevel(logging.WARNING)
    try:
        consumer = KafkaConsumer(
            bootstrap_servers=os.environ["STREAM_BROKERS"].split(","),
            client_id="etl",
            group_id=None,
            enable_auto_commit=False,
            request_timeout_ms=10_000,
        )
        messages, rows = load(consumer, postgres("ANALYTICS", timeout=30))
        consumer.close()
    except (KafkaError, Unavailable) as error:
        logs.say("could not load", cause=repr(error))
        sys.exit(1)
    logs.say("loaded", messages=messages, rows=rows)


if __name__ == "__main__":
    main()
