"""Records to a topic, acknowledged by all in-sync replicas, through kafka-python."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from kafka import KafkaProducer, errors
from kafka.partitioner import Partitioner

from clapometer.domain import LogFullError, TerminalError, TransientError
from clapometer.eventlog.contract import Position
from clapometer.eventlog.kafka.acknowledged import TAKEN_FOR_ANOTHER, Floor, Floors, current_ends
from clapometer.eventlog.kafka.client import connect, describe, request_timeout_ms
from clapometer.eventlog.kafka.records import Outgoing
from clapometer.eventlog.kafka.settings import KafkaSettings

BATCH_BYTES = 1 << 20
"""Largest record batch that is put together: brokers take this much unless told otherwise."""
LINGER_MS = 50
"""A group is sent when all of it is there, not when its first block is."""


class BlockProducer(Protocol):
    """What an adapter to a Kafka client library gives the log."""

    def send(self, records: Sequence[Outgoing]) -> list[Position]:
        """Returns the position of each record once all of them are acknowledged.

        Raises:
            LogFullError: Too much is on its way already; nothing was sent.
            TransientError: The broker is away; records of this call may or may not be in the topic.
        """
        ...

    def ready(self) -> bool:
        """Returns whether the broker answered last time, or does so now."""
        ...

    def close(self) -> None:
        """Releases what the producer holds; twice is harmless."""
        ...


class Underway:
    """Bounds how many bytes are on their way at a time; threads share it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._bytes = 0

    @contextmanager
    def room_for(self, records: Sequence[Outgoing]) -> Iterator[None]:
        """Counts the records as under way within the block; one call may exceed the limit when it is alone.

        Raises:
            LogFullError: There is no room; wait for others to end.
        """
        size = sum(len(record.value) for record in records)
        with self._lock:
            if self._bytes and self._bytes + size > self._limit:
                msg = f"{self._bytes} bytes are on their way to Kafka already"
                raise LogFullError(msg)
            self._bytes += size
        try:
            yield
        finally:
            with self._lock:
                self._bytes -= size


class Turns(Partitioner):  # type: ignore[misc]
    """Gives each pack of records the next partition that has a leader."""

    def __init__(self) -> None:
        self._turn = 0

    def next_pack(self) -> None:
        """Moves on to the next partition."""
        self._turn += 1

    def partition(self, topic: str, *_: object) -> int:
        """Returns the partition of this pack; ``_`` ends with the cluster's metadata."""
        cluster: Any = _[-1]
        choices = sorted(cluster.available_partitions_for_topic(topic) or cluster.partitions_for_topic(topic))
        return int(choices[self._turn % len(choices)])


class _Producer(KafkaProducer):  # type: ignore[misc]
    """A producer that can be given up: ``close`` alone waits for records that nobody waits for any more."""

    def abandon(self) -> None:
        self._sender.force_close()
        try:
            self.close(timeout=1)
        except errors.KafkaTimeoutError:
            return  # its thread sees the order when its socket times out


class KafkaPythonProducer:
    """Sends with acks=all and idempotence; after a failure it starts over with a new connection.

    A new connection is a new producer id: what the old one had in flight may be in the topic once, what is sent
    again is recognised by the loader. Threads may share it.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._producer: _Producer | None = None
        self._turns = Turns()
        self._closed = False
        self._underway = Underway(settings.buffer_bytes)
        self._floors = Floors({})

    def send(self, records: Sequence[Outgoing]) -> list[Position]:
        """Returns the position of each record once all of them are acknowledged."""
        if not records:
            return []
        with self._underway.room_for(records):
            return self._send(records)

    def ready(self) -> bool:
        """Returns whether a connection is there, or can be made now."""
        try:
            with self._lock:
                self._connected()
        except TransientError:
            return False
        return True

    def close(self) -> None:
        """Closes the connection."""
        with self._lock:
            self._closed = True
            producer, self._producer = self._producer, None
        if producer is not None:
            producer.abandon()

    def _send(self, records: Sequence[Outgoing]) -> list[Position]:
        producer = None
        try:
            with self._lock:
                producer = self._connected()
                floors, known = self._floors, self._floors.now()
                futures = self._enqueue(producer, records)
            producer.flush(self._settings.timeout_ms / 1000 + 1)
            return [_believed(future.get(timeout=1), floors, known) for future in futures]
        except errors.KafkaError as error:
            self._give_up(producer)
            msg = f"Kafka has not acknowledged {len(records)} records of {self._settings.topic}: {describe(error)}"
            if isinstance(error, errors.KafkaTimeoutError):
                msg += "; the broker is away, or the topic is missing (clapometer log init makes it)"
            raise TransientError(msg) from error

    def _enqueue(self, producer: _Producer, records: Sequence[Outgoing]) -> list[Any]:
        """Hands the records over, in packs that go to one partition each."""
        futures = []
        size = BATCH_BYTES
        for record in records:
            if size + len(record.value) > BATCH_BYTES:
                self._turns.next_pack()
                size = 0
            size += len(record.value)
            futures.append(producer.send(self._settings.topic, record.value, headers=record.headers))
        return futures

    def _connected(self) -> _Producer:
        if self._closed:
            msg = "the event log is closed"
            raise TerminalError(msg)
        if self._producer is None:
            self._floors = Floors(current_ends(self._settings))
            self._producer = connect(_Producer, self._settings, **producer_options(self._settings, self._turns))
        return self._producer

    def _give_up(self, producer: _Producer | None) -> None:
        with self._lock:
            if producer is None or self._producer is not producer:
                return
            self._producer = None
        producer.abandon()


def producer_options(settings: KafkaSettings, turns: Turns) -> dict[str, object]:
    """Returns the options that make a write durable, in order and bounded in time and memory."""
    return {
        "acks": "all",
        "metrics_enabled": False,
        "enable_idempotence": True,
        "compression_type": None if settings.compression == "none" else settings.compression,
        "partitioner": turns,
        "batch_size": BATCH_BYTES,
        "max_request_size": settings.max_block_bytes + BATCH_BYTES,
        "linger_ms": LINGER_MS,
        "delivery_timeout_ms": max(settings.timeout_ms, request_timeout_ms(settings) + LINGER_MS),
        "max_block_ms": settings.connect_ms,
        "allow_auto_create_topics": False,
    }


def _believed(metadata: Any, floors: Floors, known: Mapping[int, Floor]) -> Position:
    partition, offset, timestamp = metadata.partition, metadata.offset, metadata.timestamp or -1
    if offset < 0:
        msg = "the broker has the record but does not say where"
        raise errors.KafkaError(msg)
    if known.get(partition, Floor()).doubts(offset, timestamp):
        raise errors.KafkaError(TAKEN_FOR_ANOTHER.format(partition=partition, offset=offset))
    floors.raise_to(partition, offset, timestamp)
    return Position(partition, offset)
