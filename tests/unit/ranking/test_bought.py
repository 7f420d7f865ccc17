"""What could have been bought: bounds on what viewers who came within days can have moved."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clapometer.ranking import Bought, Budget, Suspects

SEEN = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 5), st.integers(-20, 20)), min_size=1, max_size=14
)  # viewer, day, push
BUDGETS = st.builds(Budget, st.integers(0, 3), st.integers(1, 6), st.integers(1, 4))


def arrays(seen: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    viewer, day, push = np.array(seen).T
    return viewer, day, push.astype(float)


def sets_that(budget: Budget, viewer: np.ndarray, day: np.ndarray) -> list[tuple[int, ...]]:
    """Every set of viewers that the budget allows."""
    everybody = np.unique(viewer).tolist()
    chosen = [c for n in range(budget.viewers + 1) for c in itertools.combinations(everybody, n)]
    allowed = []
    for some in chosen:
        rows = np.isin(viewer, some)
        days = day[rows]
        if rows.sum() <= budget.impressions and (not len(days) or days.max() - days.min() <= budget.days):
            allowed.append(some)
    return allowed


@given(SEEN, BUDGETS)
def test_no_set_of_viewers_that_the_budget_allows_pushes_more_than_is_said(
    seen: list[tuple[int, int, int]], budget: Budget
) -> None:
    viewer, day, push = arrays(seen)
    suspects = Suspects(viewer, day, budget)
    bought = suspects.bought(push[suspects.rows])
    moved = [push[np.isin(viewer, some)].sum() for some in sets_that(budget, viewer, day)]
    assert max(moved) <= bought.up + 1e-9
    assert -min(moved) <= bought.down + 1e-9


@given(SEEN, BUDGETS.filter(lambda budget: budget.viewers > 0))
def test_what_is_said_is_what_the_worst_viewers_push_where_impressions_are_not_scarce(
    seen: list[tuple[int, int, int]], budget: Budget
) -> None:
    viewer, day, push = arrays(seen)
    plenty = Budget(budget.viewers, len(seen), budget.days)
    suspects = Suspects(viewer, day, plenty)
    moved = [push[np.isin(viewer, some)].sum() for some in sets_that(plenty, viewer, day)]
    assert suspects.bought(push[suspects.rows]) == Bought(pytest.approx(max(moved)), pytest.approx(-min(moved)))


def test_who_was_there_for_longer_than_the_budget_is_no_suspect() -> None:
    viewer, day, push = np.array([0, 0, 1, 1]), np.array([0, 9, 4, 5]), np.array([5.0, 5.0, 1.0, 1.0])
    suspects = Suspects(viewer, day, Budget(200, 2_000, 3))
    assert suspects.rows.tolist() == [2, 3]
    assert suspects.bought(push[suspects.rows]) == Bought(2.0, 0.0)


def test_viewers_of_two_stretches_of_days_are_not_added_up() -> None:
    viewer, day, push = np.array([0, 1, 2]), np.array([0, 1, 30]), np.array([2.0, 1.0, 2.5])
    assert Suspects(viewer, day, Budget(200, 2_000, 3)).bought(push) == Bought(3.0, 0.0)


def test_impressions_beyond_the_budget_are_not_bought() -> None:
    viewer, push = np.arange(100) // 10, np.ones(100)
    assert Suspects(viewer, np.zeros(100, int), Budget(200, 25, 3)).bought(push) == Bought(25.0, 0.0)


def test_with_no_viewers_and_of_nobody_nothing_is_bought() -> None:
    viewer, nobody = np.arange(5), np.zeros(0, int)
    assert Suspects(viewer, viewer, Budget(0)).bought(np.zeros(0)) == Bought()
    assert Suspects(nobody, nobody, Budget()).bought(np.zeros(0)) == Bought()


def test_of_every_nth_viewer_as_much_is_said_of_all() -> None:
    viewer = np.repeat(np.arange(400), 5)
    push = np.where(viewer < 200, 1.0, 0.01)
    whole = Suspects(viewer, np.zeros(2_000, int), Budget(100, 500, 3))
    some = viewer % 4 == 0
    part = Suspects(viewer[some], np.zeros(some.sum(), int), Budget(100, 500, 3), every=4)
    assert part.bought(push[some]).up == pytest.approx(whole.bought(push).up, rel=0.05)


def test_it_says_how_few_viewers_of_one_stretch_close_a_gap_and_none_where_the_budget_does_not_reach() -> None:
    viewer, day = np.arange(20), np.zeros(20, int)
    suspects = Suspects(viewer, day, Budget(10, 2_000, 3))
    assert suspects.fewest(np.ones(20), 3.5) == 4
    assert suspects.fewest(np.ones(20), 15.0) is None
    assert suspects.fewest(-np.ones(20), 0.5) is None
