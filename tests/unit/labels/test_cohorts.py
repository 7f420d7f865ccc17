"""Cohorts: accounts that came together and push one version are found, people who came together are not."""

import numpy as np
import pytest

from clapometer.domain import InputError
from clapometer.labels import CohortLimits, ScreeningLimits, Seen, cohorts_moving_together, newcomers

DAYS, ITEMS = 20, 5


def people(seed: int, n: int = 900) -> tuple[Seen, np.ndarray]:
    """Viewers who come on any day and stay, lenient or not, with versions of unequal merit and days of unequal mood."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, DAYS, n)
    viewer = np.repeat(np.arange(n), 25)
    day = rng.integers(first[viewer], DAYS)
    item = rng.integers(0, ITEMS, len(viewer))
    merit = np.linspace(-0.1, 0.1, ITEMS)[item] + np.linspace(0, 0.1, DAYS)[day] + rng.beta(2, 8, n)[viewer]
    first = np.full(n, DAYS)
    np.minimum.at(first, viewer, day)
    return Seen(viewer, day, item, (rng.random(len(viewer)) < merit).astype(float)), first


def with_accounts(seed: int, accounts: int, each: int, *, day: int, praise: float) -> tuple[Seen, np.ndarray]:
    """People, and accounts that came on one day and answer like them but for the last version."""
    seen, first = people(seed)
    rng = np.random.default_rng(seed + 1)
    copied = rng.choice(np.flatnonzero(seen.day >= day), accounts * each)
    item = seen.item[copied]
    worth = np.where((item == ITEMS - 1) & (rng.random(len(item)) < praise), 1.0, seen.worth[copied])
    joined = (
        (seen.viewer, len(first) + np.repeat(np.arange(accounts), each)), (seen.day, np.full(len(item), day)),
        (seen.item, item), (seen.worth, worth),
    )  # fmt: skip
    return Seen(*(np.concatenate(pair) for pair in joined)), np.append(first, np.full(accounts, day))


def test_people_who_came_together_are_people() -> None:
    found = [cohorts_moving_together(*people(seed), CohortLimits(chance=0.05)) for seed in range(40)]
    assert sum(map(bool, found)) <= 6


@pytest.mark.parametrize(("accounts", "each"), [(160, 15), (300, 8)])
def test_accounts_that_answer_like_people_but_for_one_version_are_found_by_their_day(accounts: int, each: int) -> None:
    for seed in range(3):
        seen, first = with_accounts(seed, accounts, each, day=12, praise=0.9)
        assert cohorts_moving_together(seen, first) == [(12, 13)]


def test_what_pulls_down_is_found_as_well() -> None:
    seen, first = with_accounts(1, 60, 40, day=9, praise=0.0)
    late = seen.viewer >= first.size - 60
    worth = np.where(late & (seen.item == 0), -1.0, seen.worth)
    assert cohorts_moving_together(Seen(seen.viewer, seen.day, seen.item, worth), first) == [(9, 10)]


def test_accounts_of_two_days_are_found_one_after_the_other() -> None:
    seen, first = with_accounts(4, 160, 30, day=8, praise=0.9)
    late = np.arange(len(first)) >= len(first) - 80
    first = np.where(late, 15, first)
    day = np.where(late[seen.viewer], 15, seen.day)
    found = cohorts_moving_together(Seen(seen.viewer, day, seen.item, seen.worth), first)
    assert sorted(found) == [(8, 9), (15, 16)]


def test_who_is_lenient_with_everything_moves_nothing() -> None:
    seen, first = with_accounts(2, 60, 40, day=12, praise=0.0)
    late = seen.viewer >= first.size - 60
    worth = np.where(late, seen.worth + 0.5, seen.worth)
    assert cohorts_moving_together(Seen(seen.viewer, seen.day, seen.item, worth), first) == []


def test_one_viewer_is_no_cohort() -> None:
    seen, first = with_accounts(2, 1, 200, day=12, praise=1.0)
    assert cohorts_moving_together(seen, first, CohortLimits(days=(1,), chance=0.001)) == []


@pytest.mark.parametrize("n", [0, 1])
def test_nobody_and_a_single_viewer_are_no_cohort(n: int) -> None:
    some = np.zeros(n, np.int64)
    assert cohorts_moving_together(Seen(some, some, some, np.zeros(n)), some) == []


def test_a_column_of_another_length_is_named() -> None:
    with pytest.raises(InputError, match="worth"):
        Seen(np.zeros(3, int), np.zeros(3, int), np.zeros(3, int), np.zeros(2))


def test_viewers_of_the_last_days_wait_where_they_are_few() -> None:
    first, shown = np.array([0, 0, 5, 7, 8, 9]), np.array([60, 60, 10, 4, 4, 4])
    limits = ScreeningLimits(new_days=3, new_share=0.1)
    assert newcomers(first, shown, 9, limits).tolist() == [False, False, False, True, True, True]


@pytest.mark.parametrize(("first", "shown"), [([0, 0, 9], [60, 20, 10]), ([9, 9, 9], [50, 1, 1]), ([], [])])
def test_nobody_waits_where_newcomers_are_many(first: list[int], shown: list[int]) -> None:
    limits = ScreeningLimits(new_days=3, new_share=0.1)
    assert not newcomers(np.array(first, int), np.array(shown, int), 9, limits).any()
