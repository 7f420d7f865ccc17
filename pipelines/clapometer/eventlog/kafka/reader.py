"""Reads partitions by assignment and seek: where to read from is the caller's knowledge, kept in the lake."""

import datetime as dt
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition, errors

from clapometer.domain import TerminalError, TransientError
from clapometer.eventlog.contract import Record
from clapometer.eventlog.kafka.client import connect, translated
from clapometer.eventlog.kafka.records import poison, to_blocks
from clapometer.eventlog.kafka.settings import KafkaSettings
from clapometer.eventlog.looking import look_until

UNREADABLE = (errors.CorruptRecordError, errors.UnsupportedCodecError)
FETCH_WAIT_MS = 50
"""How long the broker holds a request at the end of a partition; the next partition waits for it."""
LOOK_SECONDS = 0.25
"""How often who waits asks for the ends of partitions. A fetch that the brokers hold would be dearer: kafka-python 3.0
reads one partition at a time, and what it then fetches of the others is thrown away."""
POLLED_RECORDS = 256
"""Records unpacked at a time, at most; fewer where they are large."""
FIRST_GUESS_BYTES = 65_536
"""Assumed size of a record before one was seen."""


class _Cursor:
    """What was fetched of a partition and not yet returned."""

    def __init__(self, following: int) -> None:
        self.following = following
        self.fetched: deque[Any] = deque()
        self.error: Exception | None = None

    @property
    def position(self) -> int:
        """Offset to fetch from next."""
        return int(self.fetched[-1].offset) + 1 if self.fetched else self.following


class KafkaReader:
    """Reads blocks, also from records of other producers; threads may share it, one at a time reads.

    Only committed records are read. After a failure it starts over with a new connection.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._consumer: Any = None
        self._cursors: dict[int, _Cursor] = {}
        self._assigned: int | None = None
        self._identity = ""
        self._closed = False
        self._largest = FIRST_GUESS_BYTES

    def read(self, partition: int, offset: int, max_bytes: int) -> list[Record]:
        """Returns records from ``offset`` on, about ``max_bytes`` of them and at least one; empty at the end.

        Raises:
            TransientError: The broker is away.
        """
        with self._session() as consumer:
            cursor = self._cursors.get(partition)
            if cursor is None or cursor.following != offset:
                cursor = self._seek(consumer, partition, offset)
            if cursor is None:
                return []
            try:
                taken = self._take(consumer, partition, cursor, max_bytes)
            except UNREADABLE as error:
                return [self._skip_corrupt(consumer, partition, cursor, error)]
            except errors.OffsetOutOfRangeError:  # retention was faster than we are
                del self._cursors[partition]
                raise
        return to_blocks(partition, taken, self._settings.foreign_tenant, self._settings.foreign_trust)

    def wait(self, offsets: Mapping[int, int], seconds: float) -> bool:
        """Returns whether some partition goes on beyond its offset; where none does, waits up to ``seconds`` for that.

        Raises:
            TransientError: The broker is away.
        """
        return look_until(lambda: self._beyond(offsets), seconds, LOOK_SECONDS)

    def identity(self) -> str:
        """Returns the id that the cluster gave the topic: one that was deleted and made again has another.

        Raises:
            TerminalError: There is no such topic.
            TransientError: The broker is away.
        """
        if not self._identity:
            admin = connect(KafkaAdminClient, self._settings)
            try:
                with translated(f"Kafka topic {self._settings.topic} could not be looked up"):
                    (found,) = admin.describe_topics([self._settings.topic])
            finally:
                admin.close()
            if found["error_code"]:
                raise _missing(self._settings)
            self._identity = str(found["topic_id"]).replace("-", "")
        return self._identity

    def partitions(self) -> list[int]:
        """Returns the partitions of the topic.

        Raises:
            TerminalError: There is no such topic.
            TransientError: The broker is away.
        """
        with self._session() as consumer:
            found = consumer.partitions_for_topic(self._settings.topic)
        if not found:
            raise _missing(self._settings)
        return sorted(found)

    def next_offset(self, partition: int) -> int:
        """Returns the offset that the next record of ``partition`` gets."""
        with self._session() as consumer:
            return self._bounds(consumer, partition)[1]

    def first_offset(self, partition: int) -> int:
        """Returns the offset of the oldest record left, or of the next one where none is."""
        with self._session() as consumer:
            return self._bounds(consumer, partition)[0]

    def trim(self, partition: int, before: int) -> int:
        """Has the broker drop the records before ``before``; returns how many."""
        with self._session() as consumer:
            first, following = self._bounds(consumer, partition)
            target = min(before, following)
            if target <= first:
                return 0
            admin = connect(KafkaAdminClient, self._settings)
            try:
                admin.delete_records({self._at(partition): target}, timeout_ms=self._settings.timeout_ms)
            finally:
                admin.close()
            self._cursors.pop(partition, None)
            return target - first

    def close(self) -> None:
        """Closes the connection."""
        with self._lock:
            self._closed = True
            self._drop()

    @contextmanager
    def _session(self) -> Iterator[Any]:
        """Yields the connected consumer; a failure drops it."""
        with self._lock:
            if self._closed:
                msg = "the event log is closed"
                raise TerminalError(msg)
            if self._consumer is None:
                self._consumer = connect(KafkaConsumer, self._settings, **consumer_options(self._settings))
            try:
                with translated(f"Kafka topic {self._settings.topic} could not be read"):
                    yield self._consumer
            except TransientError:
                self._drop()
                raise

    def _drop(self) -> None:
        consumer, self._consumer = self._consumer, None
        self._cursors.clear()
        self._assigned = None
        if consumer is not None:
            with translated("closing"):
                consumer.close(autocommit=False, timeout_ms=1000)

    def _at(self, partition: int) -> TopicPartition:
        return TopicPartition(self._settings.topic, partition)

    def _beyond(self, offsets: Mapping[int, int]) -> bool:
        if not offsets:
            return False
        with self._session() as consumer:
            ends = consumer.end_offsets([self._at(each) for each in offsets], self._settings.timeout_ms)
            return any(ends[self._at(each)] > offset for each, offset in offsets.items())

    def _bounds(self, consumer: Any, partition: int) -> tuple[int, int]:
        at = self._at(partition)
        timeout = self._settings.timeout_ms
        return consumer.beginning_offsets([at], timeout)[at], consumer.end_offsets([at], timeout)[at]

    def _seek(self, consumer: Any, partition: int, offset: int) -> _Cursor | None:
        """Goes to ``offset``, or to the oldest record after it; returns None past the end."""
        first, following = self._bounds(consumer, partition)
        if offset > following:
            self._cursors.pop(partition, None)
            return None
        self._assigned = None
        cursor = self._cursors[partition] = _Cursor(max(offset, first))
        return cursor

    def _take(self, consumer: Any, partition: int, cursor: _Cursor, max_bytes: int) -> list[Any]:
        """Returns fetched records of about ``max_bytes``; waits only for the first."""
        if cursor.error is not None:
            error, cursor.error = cursor.error, None
            raise error
        taken: list[Any] = []
        size = 0
        while size < max_bytes:
            try:
                if not cursor.fetched and not self._fetch(consumer, partition, cursor, wait=not taken):
                    break
            except UNREADABLE as error:
                if not taken:
                    raise
                cursor.error = error  # kept: kafka-python 3.0 loops for ever when it is asked there again
                break
            length = len(cursor.fetched[0].value or b"")
            if taken and size + length > max_bytes:
                break
            size += length
            taken.append(cursor.fetched.popleft())
            cursor.following = taken[-1].offset + 1
        return taken

    def _fetch(self, consumer: Any, partition: int, cursor: _Cursor, *, wait: bool) -> bool:
        """Fetches records of ``partition``; returns whether there are any."""
        at = self._at(partition)
        if self._assigned != partition:  # one at a time: kafka-python 3.0 can lose what it holds of paused ones
            consumer.assign([at])
            consumer.seek(at, cursor.position)
            self._assigned = partition
        self._poll(consumer, 0)
        if cursor.fetched or not wait:
            return bool(cursor.fetched)
        end = consumer.end_offsets([at], self._settings.timeout_ms)[at]
        deadline = time.monotonic() + self._settings.timeout_ms / 1000
        while not cursor.fetched and consumer.position(at, self._settings.timeout_ms) < end:
            left = deadline - time.monotonic()
            if left <= 0:
                msg = f"no records of partition {partition} within {self._settings.timeout_ms} ms"
                raise errors.KafkaTimeoutError(msg)
            self._poll(consumer, int(left * 1000) + 1)
        return bool(cursor.fetched)

    def _poll(self, consumer: Any, timeout_ms: int) -> None:
        count = max(1, min(POLLED_RECORDS, self._settings.fetch_bytes // self._largest))
        for at, records in consumer.poll(timeout_ms=timeout_ms, max_records=count).items():
            self._cursors[at.partition].fetched.extend(records)
            self._largest = max(1, *(len(record.value or b"") for record in records))

    def _skip_corrupt(self, consumer: Any, partition: int, cursor: _Cursor, error: Exception) -> Record:
        """Finds the next record that can be read; returns a dead letter for what lies before it."""
        start = cursor.following
        end = self._bounds(consumer, partition)[1]
        for candidate in range(start + 1, end + 1):
            cursor.fetched.clear()
            cursor.following = candidate
            consumer.seek(self._at(partition), candidate)
            try:
                self._fetch(consumer, partition, cursor, wait=True)
            except UNREADABLE:
                continue
            break
        reason = f"cannot be read: records {start} to {cursor.following - 1}: {error}"
        received_at = dt.datetime.fromtimestamp(0, dt.UTC)
        return poison(partition, cursor.following - 1, reason, self._settings.foreign_tenant, received_at)


def consumer_options(settings: KafkaSettings) -> dict[str, object]:
    """Returns the options of reading without a group, in bounded memory."""
    return {
        "enable_auto_commit": False,
        "metrics_enabled": False,
        "auto_offset_reset": "none",
        "isolation_level": "read_committed",
        "max_partition_fetch_bytes": settings.fetch_bytes,
        "fetch_max_bytes": 4 * settings.fetch_bytes,
        "fetch_max_wait_ms": FETCH_WAIT_MS,
        "allow_auto_create_topics": False,
    }


def _missing(settings: KafkaSettings) -> TerminalError:
    return TerminalError(f"Kafka has no topic {settings.topic}; `clapometer log init` makes it")
