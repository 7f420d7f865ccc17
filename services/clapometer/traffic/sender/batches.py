"""Events to request bodies, each no larger than a server takes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from clapometer.domain import Event

_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True)
class OutgoingBatch:
    """The encoded events of one request; a retry sends the same bytes, and so the same ids.

    Attributes:
        events: Each event as JSON.
    """

    events: tuple[bytes, ...]

    @property
    def body(self) -> bytes:
        """The events as one JSON array."""
        return b"[" + b",".join(self.events) + b"]"

    def halves(self) -> tuple["OutgoingBatch", "OutgoingBatch"]:
        """Returns the batch as two; for a server that takes less at once than we thought."""
        middle = len(self.events) // 2
        return OutgoingBatch(self.events[:middle]), OutgoingBatch(self.events[middle:])


def batched(events: Iterable[Event], max_events: int, max_bytes: int) -> Iterator[OutgoingBatch]:
    """Yields the events in their order, at most ``max_events`` and (a single giant aside) ``max_bytes`` at once."""
    kept: list[bytes] = []
    size = 2
    for event in events:
        encoded = _ENCODER.encode(event)
        if kept and (len(kept) == max_events or size + len(encoded) + 1 > max_bytes):
            yield OutgoingBatch(tuple(kept))
            kept, size = [], 2
        kept.append(encoded)
        size += len(encoded) + 1
    if kept:
        yield OutgoingBatch(tuple(kept))
