"""Which acknowledgements are believed: a broker can acknowledge a record that it did not store.

An idempotent producer is known by an id and by the numbers of its batches. A controller that gives an id out twice
makes brokers take batches of the second producer for repeats of the first one's, and acknowledge them with the offset
and the time of those. No offset of a new record can lie before the end that its partition had before it was sent.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from kafka import KafkaConsumer, TopicPartition

from clapometer.eventlog.kafka.client import connect, translated
from clapometer.eventlog.kafka.reader import consumer_options
from clapometer.eventlog.kafka.settings import KafkaSettings

CLOCK_MS = 10_000
"""By so much the clocks of brokers that take a partition over from each other may differ."""


TAKEN_FOR_ANOTHER = (
    "the broker acknowledges offset {offset} of partition {partition}, which held another record before: it takes this "
    "producer for another one, and has not stored the record"
)


@dataclass(frozen=True)
class Floor:
    """What a partition is known to have: an acknowledgement below it is of another record.

    Attributes:
        offset: Its end.
        timestamp: When the broker stored the newest record that was acknowledged; -1 where it does not say.
    """

    offset: int = 0
    timestamp: int = -1

    def doubts(self, offset: int, timestamp: int) -> bool:
        """Returns whether a record sent after this was known cannot be where it is said to be."""
        return offset < self.offset or 0 <= timestamp < self.timestamp - CLOCK_MS


class Floors:
    """What is known of each partition since a producer connected; threads share it."""

    def __init__(self, ends: Mapping[int, int]) -> None:
        self._lock = threading.Lock()
        self._floors = {partition: Floor(end) for partition, end in ends.items()}

    def now(self) -> Mapping[int, Floor]:
        """Returns what is known now: take it before sending, and judge by it what is acknowledged then."""
        with self._lock:
            return dict(self._floors)

    def raise_to(self, partition: int, offset: int, timestamp: int) -> None:
        """Notes an acknowledgement that is believed."""
        with self._lock:
            known = self._floors.get(partition, Floor())
            self._floors[partition] = Floor(max(known.offset, offset + 1), max(known.timestamp, timestamp))


def current_ends(settings: KafkaSettings) -> dict[int, int]:
    """Returns the end of each partition; none where there is no such topic.

    Raises:
        TransientError: The broker is away.
    """
    consumer = connect(KafkaConsumer, settings, **consumer_options(settings))
    try:
        with translated(f"the ends of Kafka topic {settings.topic} could not be asked for"):
            found = consumer.partitions_for_topic(settings.topic) or ()
            at = {TopicPartition(settings.topic, partition): partition for partition in found}
            ends = consumer.end_offsets(list(at), settings.timeout_ms) if at else {}
            return {at[place]: int(end) for place, end in ends.items()}
    finally:
        consumer.close(autocommit=False, timeout_ms=1000)
