import datetime as dt
import email.utils
import math
import random

import pytest

from clapometer.traffic.sender.pacing import MAX_RETRY_AFTER_S, Backoff, TokenBucket, retry_after_s

NOW = dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("soon", None),
        ("", None),
        ("-3", None),
        ("0", 0.0),
        (" 12 ", 12.0),
        ("999999", MAX_RETRY_AFTER_S),
        (email.utils.format_datetime(NOW + dt.timedelta(seconds=9), usegmt=True), 9.0),
        (email.utils.format_datetime(NOW - dt.timedelta(seconds=9), usegmt=True), 0.0),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_s(header, NOW) == seconds


def test_waits_grow_to_a_limit_and_never_undercut_the_server() -> None:
    backoff = Backoff(0.1, 6.4, random.Random(1))
    assert all(0 <= backoff.wait(1, None) <= 0.1 for _ in range(100))
    assert max(backoff.wait(50, None) for _ in range(100)) <= 6.4
    assert max(backoff.wait(50, None) for _ in range(100)) > 3.2
    assert all(5 <= backoff.wait(1, 5.0) <= 5.1 for _ in range(100))


def test_a_bucket_spreads_events_evenly() -> None:
    bucket = TokenBucket(rate=100.0, burst=10)
    now, sent = 0.0, 0
    while sent < 1000:
        now += bucket.delay(10, now)
        sent += 10
    assert now == pytest.approx(10.0)


def test_a_pause_gives_no_more_than_one_burst() -> None:
    bucket = TokenBucket(rate=100.0, burst=10)
    bucket.delay(10, 0.0)
    assert bucket.delay(10, 3600.0) == 0.0
    assert bucket.delay(10, 3600.0) == pytest.approx(0.1)


def test_an_endless_rate_never_waits() -> None:
    assert TokenBucket(math.inf).delay(10**9, 0.0) == 0.0
