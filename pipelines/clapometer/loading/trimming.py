"""When blocks leave the log: some time after the lake has them, so that a lost tail can be loaded again."""

from collections import deque
from collections.abc import Callable, Mapping

from clapometer.eventlog import EventLog

STEPS = 60
PRESSURE = 0.8
"""A log fuller than this gives up blocks before their time: refusing new ones would be worse."""


class Trimmer:
    """Remembers what was loaded when, and deletes blocks ``retention_s`` after their load.

    A restart forgets: blocks loaded before count as loaded then. ``seconds`` must never run back, or blocks would stay
    for as long as the clock was set back, and be gone too early where it was set forward.
    """

    def __init__(self, log: EventLog, retention_s: float, seconds: Callable[[], float]) -> None:
        self._log = log
        self._retention = retention_s
        self._seconds = seconds
        self._loaded: deque[tuple[float, dict[int, int]]] = deque()

    def loaded(self, next_offsets: Mapping[int, int]) -> None:
        """Notes that the lake has, durably, everything before these offsets."""
        now = self._seconds()
        if self._loaded and now - self._loaded[-1][0] < self._retention / STEPS:
            now, _ = self._loaded.pop()
        self._loaded.append((now, dict(next_offsets)))

    def trim(self) -> int:
        """Deletes the blocks whose time has come; returns how many."""
        due: dict[int, int] = {}
        now = self._seconds()
        while self._loaded and now - self._loaded[0][0] >= self._retention:
            due.update(self._loaded.popleft()[1])
        if self._loaded and self._log.fill_ratio() > PRESSURE:
            for _ in range((len(self._loaded) + 1) // 2):
                due.update(self._loaded.popleft()[1])
        return sum(self._log.trim(partition, before) for partition, before in due.items())
