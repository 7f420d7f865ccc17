import math

import pytest

from clapometer.traffic.worlds.truth_check import RankedRow, check


def row(item: str, rank: int | None, effect: float | None, completion: float | None = 0.5) -> RankedRow:
    low, high = (None, None) if effect is None else (effect - 0.1, effect + 0.1)
    reason = None if rank else "nothing to compare it with"
    return RankedRow(item, item, rank, rank, rank, effect, low, high, completion, reason)


def test_a_perfect_ranking_agrees_with_the_truth_and_its_reverse_disagrees() -> None:
    rows = [row("a", 1, 0.2, 0.1), row("b", 2, 0.0, 0.2), row("c", 3, -0.2, 0.3)]
    found = check(rows, {"a": 0.9, "b": 0.7, "c": 0.5})
    assert (found.tau, found.tau_completion_rate, found.covered) == (1.0, -1.0, 1.0)
    assert [checked.true_rank for checked in found.rows] == [1, 2, 3]
    assert [checked.completion_rank for checked in found.rows] == [3, 2, 1]


def test_compared_are_differences_from_the_mean_not_levels() -> None:
    found = check([row("a", 1, 0.2), row("b", 2, -0.2)], {"a": 100.2, "b": 99.8})
    assert [checked.true_effect for checked in found.rows] == pytest.approx([0.2, -0.2])
    assert found.covered == 1.0


def test_what_the_truth_does_not_know_is_left_out_and_what_has_no_place_is_kept_apart() -> None:
    rows = [row("a", 1, 0.2), row("stranger", 2, 0.1), row("b", 3, -0.2), row("c", None, None, None)]
    found = check(rows, {"a": 2.0, "b": 1.0, "c": 3.0})
    assert [checked.row.item for checked in found.rows] == ["a", "b"]
    assert [unranked.item for unranked in found.unranked] == ["c"]
    assert [checked.true_rank for checked in found.rows] == [1, 2]


def test_an_interval_that_misses_counts_as_a_miss() -> None:
    assert check([row("a", 1, 0.5), row("b", 2, -0.2)], {"a": 0.2, "b": -0.2}).covered == 0.5


def test_the_worst_is_what_the_completion_rate_misplaces_most() -> None:
    rows = [row("a", 1, 0.2, 0.3), row("b", 2, 0.1, 0.1), row("c", 3, 0.0, 0.2), row("d", 4, -0.1, 0.4)]
    worst = check(rows, {"a": 4.0, "b": 3.0, "c": 2.0, "d": 1.0}).worst
    assert worst is not None
    assert worst.row.item == "d"


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_items_have_no_correlation(n: int) -> None:
    found = check([row("a", 1, 0.0)][:n], {"a": 1.0})
    assert math.isnan(found.tau)
    assert math.isnan(found.tau_completion_rate)
    assert (found.worst is None) == (n == 0)
