"""Waiting for something to become true, with a deadline instead of a guess."""

import time
from collections.abc import Callable


def until(condition: Callable[[], object], seconds: float = 10.0, every: float = 0.01) -> None:
    """Returns once ``condition()`` is true; fails after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            msg = f"still not true after {seconds} s: {condition}"
            raise AssertionError(msg)
        time.sleep(every)
