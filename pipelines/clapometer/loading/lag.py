"""How far the lake is behind the event log, and waiting until it is not."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from clapometer.domain import TransientError
from clapometer.eventlog import EventLog
from clapometer.lake.progress import loaded_offsets
from clapometer.lake.tables import Lake

PATIENCE_SECONDS = 30.0
POLL_SECONDS = 0.2


class NoLoaderError(TransientError):
    """Nothing of what waits in the log was loaded for a while."""


def log_ends(log: EventLog) -> dict[int, int]:
    """Returns the next offset of each partition of a log."""
    return {partition: log.next_offset(partition) for partition in log.partitions()}


def blocks_behind(lake: Lake, log: EventLog, ends: Mapping[int, int]) -> int:
    """Returns how many blocks before ``ends`` the lake does not have yet."""
    loaded = loaded_offsets(lake, log.identity, log.partitions())
    return sum(max(0, ends[partition] - offset) for partition, offset in loaded.items())


def wait_until_loaded(
    lake: Lake,
    log: EventLog,
    ends: Mapping[int, int],
    *,
    patience: float = PATIENCE_SECONDS,
    told: Callable[[int], None] = lambda _: None,
    seconds: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Returns once the lake has every block before ``ends``; whatever comes later is not waited for.

    Args:
        lake: The lake.
        log: Its log, which others write and load meanwhile.
        ends: Next offset of each partition that has to be reached.
        patience: How long nothing may be loaded, in seconds.
        told: Is told how many blocks are left, at every look.
        seconds: Returns the time that has passed.
        pause: Waits so many seconds.

    Raises:
        NoLoaderError: For ``patience`` seconds nothing was loaded.
    """
    last, since = -1, seconds()
    while left := blocks_behind(lake, log, ends):
        told(left)
        if left != last:
            last, since = left, seconds()
        elif seconds() - since >= patience:
            msg = f"none of the {left:,} blocks that wait was loaded for {patience:.0f} s: no loader gets on"
            raise NoLoaderError(msg)
        pause(POLL_SECONDS)
    told(0)
