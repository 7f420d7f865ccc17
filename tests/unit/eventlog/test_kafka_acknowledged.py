"""Acknowledgements of records that the broker did not store are not believed."""

import pytest

from clapometer.eventlog.kafka.acknowledged import CLOCK_MS, Floor, Floors


@pytest.mark.parametrize(
    ("offset", "timestamp", "doubted"),
    [
        (9, 50_000, True),
        (10, 50_000, False),
        (11, 50_000 - CLOCK_MS, False),
        (11, 50_000 - CLOCK_MS - 1, True),
        (11, -1, False),
    ],
)
def test_an_offset_before_the_end_or_a_time_before_the_newest_is_of_another_record(offset, timestamp, doubted):
    assert Floor(offset=10, timestamp=50_000).doubts(offset, timestamp) is doubted


def test_nothing_is_doubted_of_a_partition_that_nothing_is_known_of():
    assert not Floor().doubts(0, 0)
    assert not Floor().doubts(0, -1)


def test_what_is_acknowledged_meanwhile_is_judged_by_what_was_known_before():
    floors = Floors({0: 5})
    before = floors.now()
    floors.raise_to(0, 7, 1_000)
    floors.raise_to(0, 6, 900)  # of another thread, and heard later
    assert not before[0].doubts(5, 0)
    assert floors.now() == {0: Floor(8, 1_000)}
