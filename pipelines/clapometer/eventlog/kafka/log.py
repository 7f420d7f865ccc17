"""The event log of production: blocks in a Kafka topic."""

from collections.abc import Mapping, Sequence

from clapometer.domain import InputError
from clapometer.eventlog.contract import Position, Record
from clapometer.eventlog.kafka.producer import BlockProducer, KafkaPythonProducer
from clapometer.eventlog.kafka.reader import KafkaReader
from clapometer.eventlog.kafka.records import block_records, event_records
from clapometer.eventlog.kafka.settings import KafkaSettings


def make_producer(settings: KafkaSettings) -> BlockProducer:
    """Returns a producer of the library that the settings name.

    Raises:
        InputError: It is not installed.
    """
    if settings.client == "kafka-python":
        return KafkaPythonProducer(settings)
    try:
        from clapometer.eventlog.kafka.confluent import ConfluentProducer  # noqa: PLC0415 - an extra
    except ImportError as error:
        msg = "client=confluent needs confluent-kafka; pip install 'clapometer[confluent]', or leave the key out"
        raise InputError(msg, "client") from error
    return ConfluentProducer(settings)


class KafkaLog:
    """An ``EventLog`` in a Kafka topic.

    It connects when first used and connects again after a failure, so that it can be made while the broker is
    away. Threads may share it; after a fork, make it anew.
    """

    def __init__(self, settings: KafkaSettings, producer: BlockProducer | None = None) -> None:
        self._settings = settings
        self._producer = make_producer(settings) if producer is None else producer
        self._reader = KafkaReader(settings)

    @property
    def identity(self) -> str:
        """Returns the id that the cluster gave the topic; asks the broker the first time.

        Raises:
            TerminalError: There is no such topic.
            TransientError: The broker is away.
        """
        return self._reader.identity()

    def append_many(self, blocks: Sequence[bytes]) -> list[Position]:
        """Returns the position of each block once all in-sync replicas have all of them.

        A block that became several records has the position of the last.

        Raises:
            LogFullError: More than ``buffer_bytes`` are on their way; none of the blocks is in the log.
            TransientError: The broker is away; blocks of this call may or may not be in the log.
            TerminalError: A single event is larger than ``max_block_bytes``.
        """
        split = event_records if self._settings.record == "event" else block_records
        groups = [split(block, self._settings.max_block_bytes) for block in blocks]
        positions = self._producer.send([record for group in groups for record in group])
        ends: list[Position] = []
        index = -1
        for group in groups:
            index += len(group)
            ends.append(positions[index])
        return ends

    def read(self, partition: int, offset: int, max_bytes: int) -> list[Record]:
        """Returns records from ``offset`` on, about ``max_bytes`` of them and at least one; empty at the end.

        Offsets may have gaps: the next one to read is always that of the last record returned, plus one.

        Raises:
            TransientError: The broker is away.
        """
        return self._reader.read(partition, offset, max_bytes)

    def wait(self, offsets: Mapping[int, int], seconds: float) -> bool:
        """Returns whether some partition goes on beyond its offset; asks the brokers for all of them at once.

        Raises:
            TransientError: The broker is away.
        """
        return self._reader.wait(offsets, seconds)

    def partitions(self) -> list[int]:
        """Returns the partitions of the topic.

        Raises:
            TerminalError: There is no such topic.
            TransientError: The broker is away.
        """
        return self._reader.partitions()

    def next_offset(self, partition: int) -> int:
        """Returns the offset that the next record of ``partition`` gets."""
        return self._reader.next_offset(partition)

    def first_offset(self, partition: int) -> int:
        """Returns the offset of the oldest record that retention has left."""
        return self._reader.first_offset(partition)

    def trim(self, partition: int, before: int) -> int:
        """Drops records where the setting ``trim`` allows it, else none: the topic's retention does it."""
        return self._reader.trim(partition, before) if self._settings.trim else 0

    def scrub(self) -> None:
        """Does nothing: brokers delete their segments by the topic's retention, which clients do not decide over."""

    def fill_ratio(self) -> float:
        """Returns 0: the topic has no limit that a client can see."""
        return 0.0

    def ready(self) -> bool:
        """Returns whether the broker can be reached; takes ``connect_ms`` at most, a moment where it is."""
        return self._producer.ready()

    def close(self) -> None:
        """Closes the connections."""
        self._producer.close()
        self._reader.close()
