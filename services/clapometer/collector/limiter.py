"""How many events a key may send."""

from typing import Protocol


class Limiter(Protocol):
    """Counts what keys send; another implementation may share its counts between collectors."""

    def wait(self, key_id: str, now: float) -> float:
        """Returns for how many seconds the key has to wait; 0 where it need not."""
        ...

    def charge(self, key_id: str, events: int, now: float) -> None:
        """Counts events of the key at ``now`` (seconds)."""
        ...


class Unlimited:
    """Lets every key send as much as it likes."""

    def wait(self, key_id: str, now: float) -> float:  # noqa: ARG002 - the contract's arguments
        """Returns 0."""
        return 0.0

    def charge(self, key_id: str, events: int, now: float) -> None:
        """Counts nothing."""


class RateLimiter:
    """A leaky bucket a key: ``burst`` events at once, ``per_second`` in the long run.

    One request may overdraw the bucket, so that no batch is too large to be ever accepted; the next one waits.
    """

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst_seconds = burst / per_second
        self._drained_at: dict[str, float] = {}  # known keys only, so it cannot grow past their number

    def wait(self, key_id: str, now: float) -> float:
        """Returns for how many seconds the key has to wait."""
        return max(0.0, self._drained_at.get(key_id, 0.0) - now - self._burst_seconds)

    def charge(self, key_id: str, events: int, now: float) -> None:
        """Fills the key's bucket by ``events``."""
        self._drained_at[key_id] = max(now, self._drained_at.get(key_id, 0.0)) + events / self._per_second
