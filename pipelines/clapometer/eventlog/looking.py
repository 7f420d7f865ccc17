"""Waiting for what another process does, where nothing tells us: a cheap look now and then."""

import time
from collections.abc import Callable


def look_until(found: Callable[[], bool], seconds: float, every: float) -> bool:
    """Returns whether ``found()`` came true within ``seconds``; asks at once, and then ``every`` so many seconds."""
    deadline = time.monotonic() + seconds
    while not found():
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(every, left))
    return True
