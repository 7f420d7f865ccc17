"""Schedules mean what cron means, everywhere; what is no schedule is refused with the form that is wanted."""

import datetime as dt
import re

import pytest
from croniter import croniter
from hypothesis import given
from hypothesis import strategies as st

from clapometer.domain import InputError
from clapometer.training.when import MACROS, Cron, Interval, parse_when

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)  # a Thursday
END = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)


def times(text: str, most: int = 2_000) -> list[dt.datetime]:
    """Returns the first times of a schedule in the year 2026."""
    when, moment, found = parse_when(text), START - dt.timedelta(seconds=1), list[dt.datetime]()
    while len(found) < most and (moment := when.after(moment)) < END:
        found.append(moment)
    return found


def days(text: str) -> list[str]:
    return [f"{each:%a %m-%d %H:%M}" for each in times(text)]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("0 9 * * 1", ["Mon 01-05 09:00", "Mon 01-12 09:00"]),
        ("0 9 * * 0", ["Sun 01-04 09:00", "Sun 01-11 09:00"]),
        ("0 9 * * 7", ["Sun 01-04 09:00", "Sun 01-11 09:00"]),
        ("0 9 * * sun", ["Sun 01-04 09:00", "Sun 01-11 09:00"]),
        ("0 9 * * MON", ["Mon 01-05 09:00", "Mon 01-12 09:00"]),
        ("0 9 * * 1-5", ["Thu 01-01 09:00", "Fri 01-02 09:00", "Mon 01-05 09:00"]),
        ("0 9 * * mon-fri", ["Thu 01-01 09:00", "Fri 01-02 09:00", "Mon 01-05 09:00"]),
        ("0 9 * * 5-7", ["Fri 01-02 09:00", "Sat 01-03 09:00", "Sun 01-04 09:00", "Fri 01-09 09:00"]),
        ("0 9 * * 6,7", ["Sat 01-03 09:00", "Sun 01-04 09:00", "Sat 01-10 09:00"]),
        ("0 9 * * 0-7/2", ["Thu 01-01 09:00", "Sat 01-03 09:00", "Sun 01-04 09:00", "Tue 01-06 09:00"]),
        ("30 4 1,15 * 5", ["Thu 01-01 04:30", "Fri 01-02 04:30", "Fri 01-09 04:30", "Thu 01-15 04:30"]),
        ("0 0 13 * fri", ["Fri 01-02 00:00", "Fri 01-09 00:00", "Tue 01-13 00:00"]),
        ("0 0 */2 * *", ["Thu 01-01 00:00", "Sat 01-03 00:00"]),
        ("*/20 * * * *", ["Thu 01-01 00:00", "Thu 01-01 00:20"]),
        ("5-59/20 */6 * * *", ["Thu 01-01 00:05", "Thu 01-01 00:25", "Thu 01-01 00:45", "Thu 01-01 06:05"]),
        ("5-5/10 9 * * *", ["Thu 01-01 09:05", "Fri 01-02 09:05"]),
        ("0 12 31 jan-mar *", ["Sat 01-31 12:00", "Tue 03-31 12:00"]),
        ("0 0 1 jan,JUL *", ["Thu 01-01 00:00", "Wed 07-01 00:00"]),
        ("@weekly", ["Sun 01-04 00:00", "Sun 01-11 00:00"]),
        ("@daily", ["Thu 01-01 00:00", "Fri 01-02 00:00"]),
        ("@monthly", ["Thu 01-01 00:00", "Sun 02-01 00:00"]),
    ],
)
def test_a_cron_expression_means_what_cron_means(text: str, first: list[str]) -> None:
    assert days(text)[: len(first)] == first


def part(least: int, most: int) -> st.SearchStrategy[str]:
    """Returns texts of one field."""
    number = st.integers(least, most)
    span = st.tuples(number, number).map(sorted).filter(lambda pair: pair[0] < pair[1])
    item = st.one_of(
        number.map(str), span.map(lambda pair: f"{pair[0]}-{pair[1]}"),
        st.tuples(span, st.integers(1, 9)).map(lambda both: f"{both[0][0]}-{both[0][1]}/{both[1]}"),
    )  # fmt: skip
    return st.one_of(
        st.just("*"), st.integers(1, 9).map("*/{}".format), st.lists(item, min_size=1, max_size=3).map(",".join)
    )


FIELDS = st.tuples(part(0, 59), part(0, 23), part(1, 31), part(1, 12), part(0, 7))


@given(FIELDS)
def test_an_independent_reader_of_cron_finds_the_same_times_over_a_year(fields: tuple[str, ...]) -> None:
    text = " ".join(fields)
    try:
        ours = times(text, 400)
    except InputError as error:
        refused = str(error)
        assert re.search("no such day ever comes|means both to cron and either", refused)
        return
    oracle = croniter(text, START - dt.timedelta(seconds=1), implement_cron_bug=True)
    assert ours == [each for each in (oracle.get_next(dt.datetime) for _ in ours) if each < END]


@pytest.mark.parametrize("name", MACROS)
def test_the_names_are_those_of_cron(name: str) -> None:
    oracle = croniter(name, START - dt.timedelta(seconds=1))
    assert times(name, 50) == [each for each in (oracle.get_next(dt.datetime) for _ in times(name, 50)) if each < END]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("15 minutes", "five fields"),
        ("", "five fields"),
        ("15", "five fields"),
        ("hourly", "five fields"),
        ("-5m", "five fields"),
        ("0m", "longer than nothing"),
        ("999999999d", "at most 366 days"),
        ("* * * *", "this has 4"),
        ("0 0 9 * * 1", "this has 6"),
        ("61 * * * *", "minute '61': '61' is not from 0 to 59"),
        ("0 24 * * *", "hour '24'"),
        ("0 0 0 * *", "day of the month '0'"),
        ("0 0 * 13 *", "month '13': '13' is not from 1 to 12, or jan to dec"),
        ("0 0 * * 8", "day of the week '8'"),
        ("0 0 * * monday", "'monday' is not from 0 to 7, or sun to sat"),
        ("0 0 * * fri-mon", "the range ends before it begins; write `fri-7,0-mon`"),
        ("5/15 * * * *", "a step goes with a range: `5-59/15`"),
        ("*/0 * * * *", "a step is at least 1"),
        ("*,5 * * * *", "write `*` alone"),
        ("0 0 L * *", "'l' is not from"),
        ("0 0 ? * 1", "'?' is no number"),
        ("0 0 * * 1#2", "'1#2' is no number"),
        ("0 0 15W * *", "no number"),
        ("0 0 30 feb *", "no such day ever comes"),
        ("0 0 31 4,6,9,11 *", "no such day ever comes"),
        ("0 0 */2 * 1", "list the days"),
        ("0 0 1 * */2", "list the days"),
        ("@every 1h", "@hourly, @daily"),
        ("@reboot", "@hourly, @daily"),
        ("TZ=Asia/Tokyo 0 9 * * *", "times are UTC"),
        ("1\u0665m", "five fields"),
    ],
)
def test_what_is_no_schedule_or_not_the_same_everywhere_is_refused_with_the_form_wanted(text: str, reason: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_when(text)
    said = str(refused.value)
    assert said.startswith(f"schedule: {text!r} is no schedule: ")
    assert reason in said
    assert "write an interval such as 15m, 6h or 1d, or a cron expression in UTC" in said


@pytest.mark.parametrize(
    ("text", "seconds"), [("15m", 900), ("every 2h", 7_200), ("1d", 86_400), ("30s", 30), (" 5 M ", 300)]
)
def test_intervals_are_read(text: str, seconds: int) -> None:
    assert parse_when(text) == Interval(dt.timedelta(seconds=seconds))


def test_a_time_is_later_than_the_moment_it_follows_to_the_microsecond() -> None:
    nine = dt.datetime(2026, 1, 5, 9, tzinfo=dt.UTC)
    when = parse_when("0 9 * * 1")
    assert isinstance(when, Cron)
    assert when.after(nine - dt.timedelta(microseconds=1)) == nine
    assert when.after(nine) == nine + dt.timedelta(days=7)
    assert when.after(nine.astimezone(dt.timezone(dt.timedelta(hours=9)))) == nine + dt.timedelta(days=7)
