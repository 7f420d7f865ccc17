"""A few of the faults, so that every change is held to the promise; ``make faults`` does all of them."""

import datetime as dt

import pytest
from tests.faults.bench import Bench
from tests.faults.damage import damages
from tests.faults.kills import LEGS, shares
from tests.faults.pauses import restarts
from tests.faults.results import Entry, last_line, line, load, record, table
from tests.faults.trial import Outcome


def test_kills_are_dealt_out_exactly_and_no_group_of_processes_is_left_out():
    for total in (10, 200, 333):
        dealt = shares(total)
        assert sum(dealt.values()) == total
        assert set(dealt) == {(log, victims) for log, legs in LEGS.items() for victims in legs}
        assert min(dealt.values()) >= 1


def test_a_result_replaces_that_of_the_same_fault_and_the_totals_are_the_last_line(tmp_path):
    path = tmp_path / "results.json"
    first = Outcome("kill", "embedded", 2, acknowledged=10, kills=2)
    record(path, first, "c0ffee00")
    record(path, Outcome("kill", "kafka", 3, acknowledged=5, lost=1, kills=3), "c0ffee01")
    record(path, Outcome("kill", "embedded", 4, acknowledged=20, kills=4), "c0ffee02")
    outcomes = [entry.outcome for entry in load(path)]
    assert last_line(outcomes) == "kills 7, acknowledged 25, lost 1, doubled 0, ledger 0"
    assert [outcome.good for outcome in outcomes] == [False, True]
    told = table([*load(path), Entry(dt.date(2026, 11, 25), Outcome("tear", "kafka", 1))])
    assert told.count("| kill |") == 2
    assert [row.split(" | ")[-1] for row in told.splitlines()[2:5]] == ["c0ffee02 |", "c0ffee01 |", "before |"]


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome("f", "kafka", 1, lost=1),
        Outcome("f", "kafka", 1, doubled=1),
        Outcome("f", "kafka", 1, ledger=-1),
        Outcome("f", "kafka", 1, ready_s=60.1),
        Outcome("f", "kafka", 1, error="not finished"),
    ],
)
def test_whatever_breaks_the_promise_is_told_as_a_failure(outcome):
    assert not outcome.good
    assert line(outcome).startswith("FAILED")


@pytest.mark.parametrize("faults", [damages, restarts])
def test_damaged_bytes_and_restarts_lose_and_double_nothing(faults):
    outcomes = list(faults(Bench(kills=10), "embedded"))
    assert [line(outcome) for outcome in outcomes if not outcome.good] == []
    assert all(outcome.acknowledged for outcome in outcomes)
