"""When to send next: a token bucket for the rate, and waits that grow between tries."""

import datetime as dt
import email.utils
import math
import random
from dataclasses import dataclass, field

MAX_RETRY_AFTER_S = 300.0
"""Longest ``Retry-After`` that is honoured, in seconds; past it the server is as good as away."""


@dataclass
class TokenBucket:
    """Spreads events over time.

    Attributes:
        rate: Events per second; ``math.inf`` never waits.
        burst: How many events may go at once after a pause.
    """

    rate: float = math.inf
    burst: float = 1.0
    _tokens: float = field(default=0.0, init=False)
    _at: float | None = field(default=None, init=False)

    def delay(self, events: int, now: float) -> float:
        """Returns how many seconds after ``now`` the next ``events`` may go, and counts them as gone."""
        if math.isinf(self.rate):
            return 0.0
        elapsed = 0.0 if self._at is None else max(0.0, now - self._at)
        self._at = now
        self._tokens = min(self.burst, self._tokens + elapsed * self.rate) - events
        return max(0.0, -self._tokens / self.rate)


@dataclass
class Backoff:
    """Exponential waits with full jitter.

    References:
        M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    Attributes:
        first_s: Upper end of the first wait, in seconds.
        longest_s: Upper end that later waits grow to, in seconds.
        random: Source of the jitter.
    """

    first_s: float
    longest_s: float
    random: random.Random

    def wait(self, tries: int, retry_after_s: float | None) -> float:
        """Returns the seconds to wait after the ``tries``-th failure; never less than the server asked for."""
        ceiling = min(self.longest_s, self.first_s * 2.0 ** min(tries - 1, 32))
        jittered = self.random.uniform(0.0, ceiling)
        return jittered if retry_after_s is None else retry_after_s + jittered


def retry_after_s(header: str | None, now: dt.datetime) -> float | None:
    """Returns the seconds that a ``Retry-After`` header asks for (RFC 9110 §10.2.3), ``None`` where it asks nothing."""
    if header is None:
        return None
    text = header.strip()
    if text.isdecimal():
        return min(float(text), MAX_RETRY_AFTER_S)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return min(max(0.0, (moment - now).total_seconds()), MAX_RETRY_AFTER_S)
