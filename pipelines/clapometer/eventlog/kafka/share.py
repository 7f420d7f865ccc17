"""Which partitions this loader reads, when several loaders share a topic.

The consumer group only hands out partitions. Offsets are never committed to it, and it is no lock: a loader that
stalls may go on believing for a moment that it owns what another one reads already. Exactly once rests on the
lake, whose commit names the offset it starts from and is refused if another loader has committed past it.
"""

import threading
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from kafka import ConsumerRebalanceListener, KafkaConsumer
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.structs import MemberState

from clapometer.domain import TerminalError, TransientError
from clapometer.eventlog.kafka.client import connect, translated
from clapometer.eventlog.kafka.settings import KafkaSettings

SESSION_MS = 10_000
"""A loader that died is noticed after this long."""
POLL_MS = 50
JOIN_MS = 500
"""Longest wait in one call while joining: kafka-python 3.0 loses a join that finishes between two short polls."""
REBALANCE_MS = 60_000
"""A loader that has not asked for its share for this long loses it."""
FRESH_SECONDS = 0.5
"""How long a loader goes by what it was told last."""
STUCK_SECONDS = 15.0
"""A join that takes longer is taken for lost, and begun anew."""


class Share(NamedTuple):
    """The partitions that a loader owns in one generation of the group."""

    generation: int
    partitions: tuple[int, ...]


class PartitionShare:
    """Membership of one loader in the group; call :meth:`owned` at least once a minute.

    It never fetches a record: assigned partitions are paused at once.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._consumer: Any = None
        self._closed = False
        self._owned: set[int] = set()
        self._stable_at = 0.0
        self._settled: list[int] | None = None
        self._asked_at = float("-inf")

    def share(self) -> Share:
        """Returns what this loader owns now; nothing while the group is being rearranged.

        Raises:
            TransientError: The broker is away; what was owned is not any more.
        """
        with self._lock:
            try:
                with translated(f"consumer group {self._settings.group}"):
                    consumer = self._joined()
                    joining = consumer.group_metadata().state != MemberState.STABLE
                    consumer.poll(timeout_ms=JOIN_MS if joining else POLL_MS)
                    member = consumer.group_metadata()
            except TransientError:
                self._drop()
                raise
            now = time.monotonic()
            if member.state != MemberState.STABLE:
                if now - self._stable_at > STUCK_SECONDS:
                    self._drop()
                return Share(-1, ())
            self._stable_at = now
            return Share(member.generation_id, tuple(sorted(self._owned)))

    def owned(self) -> list[int]:
        """Returns the partitions this loader owns now; empty while the group is being rearranged."""
        return list(self.share().partitions)

    def settled(self) -> list[int] | None:
        """Returns the partitions this loader owns; ``None`` while the group is being rearranged.

        In a group at rest it asks every ``FRESH_SECONDS`` only: a loader that still reads a partition it has lost
        loses time, never an event.
        """
        if time.monotonic() - self._asked_at >= FRESH_SECONDS:
            generation, partitions = self.share()
            self._settled = None if generation < 0 else list(partitions)
            self._asked_at = time.monotonic() if self._settled is not None else float("-inf")
        return self._settled

    def holds(self, partitions: Iterable[int]) -> bool:
        """Returns whether all of ``partitions`` are owned now: ask before a commit, to spare a refused one."""
        try:
            return set(partitions) <= set(self.share().partitions)
        except TransientError:
            return False

    def close(self) -> None:
        """Leaves the group, so that others take over at once."""
        with self._lock:
            self._closed = True
            self._drop()

    def _joined(self) -> Any:
        if self._closed:
            msg = "the membership is closed"
            raise TerminalError(msg)
        if self._consumer is None:
            self._consumer = connect(KafkaConsumer, self._settings, **_options(self._settings))
            self._stable_at = time.monotonic()
            self._consumer.subscribe([self._settings.topic], listener=_Listener(self._consumer, self._owned))
            self._consumer.topics()  # who joins before the topic is known is assigned nothing and has to join again
        return self._consumer

    def _drop(self) -> None:
        consumer, self._consumer = self._consumer, None
        self._owned.clear()
        if consumer is not None:
            with translated("leaving the group"):
                consumer.close(autocommit=False, timeout_ms=2000)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Keeps the set of owned partitions, and keeps them from being fetched."""

    def __init__(self, consumer: Any, owned: set[int]) -> None:
        self._consumer = consumer
        self._owned = owned

    def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        self._owned.difference_update(at.partition for at in revoked)

    def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        self._owned.update(at.partition for at in assigned)
        self._consumer.pause(*self._consumer.assignment())


def _options(settings: KafkaSettings) -> dict[str, object]:
    return {
        "group_id": settings.group,
        "enable_auto_commit": False,
        "metrics_enabled": False,
        "auto_offset_reset": "earliest",
        "fetch_max_wait_ms": 100,
        "session_timeout_ms": SESSION_MS,
        "max_poll_interval_ms": REBALANCE_MS,
        "heartbeat_interval_ms": SESSION_MS // 4,
        "partition_assignment_strategy": (RangePartitionAssignor,),
        "allow_auto_create_topics": False,
    }
