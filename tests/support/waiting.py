"""Waiting for something to become true, with a deadline instead of a guess."""

import time
from collections.abc import Callable

PATIENCE = 120.0
"""Seconds after which something will not become true any more, however busy the machine is."""


def until(condition: Callable[[], object], seconds: float = PATIENCE, every: float = 0.01) -> None:
    """Returns once ``condition()`` is true; fails after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            msg = f"still not true after {seconds} s: {condition}"
            raise AssertionError(msg)
        time.sleep(every)
