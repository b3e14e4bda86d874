"""Prints what is on a topic, one event a line: `python peek.py orders`. It changes nothing."""

import logging
import os
import sys

from kafka import KafkaConsumer, TopicPartition

from shop import logs


def peek(consumer, topic):
    """The messages of a topic from its first to the newest that is there now."""
    partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
    consumer.assign(partitions)
    ends = consumer.end_offsets(partitions)
    consumer.seek_to_beginning(*partitions)
    while any(consumer.position(partition) < ends[partition] for partition in partitions):
        for messages in consumer.poll(timeout_ms=1000).values():
            yield from (message.value.decode("utf-8", "replace") for message in messages)


if __name__ == "__main__":
    logs.begin(sys.stderr)
    logging.getLogger("kafka").setLevel(logging.WARNING)
    brokers = os.environ["STREAM_BROKERS"].split(",")
    for event in peek(KafkaConsumer(bootstrap_servers=brokers, group_id=None, enable_auto_commit=False), sys.argv[1]):
        print(event)
