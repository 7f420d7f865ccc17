"""Which items votes can rank: one that they cannot place never takes the others down."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clapometer.ranking import BradleyTerry, Reason, Unranked, comparable_items

Vote = tuple[int, int, float]


def fair(n: int = 200, items: int = 3, seed: int = 0) -> list[Vote]:
    """Votes among equals: everybody wins and loses."""
    random = np.random.default_rng(seed)
    return [(*random.choice(items, 2, replace=False).tolist(), float(random.integers(0, 2))) for _ in range(n)]


def comparable(votes: list[Vote], n_items: int, fewest: int = 5) -> tuple[list[int], dict[int, Reason]]:
    pairs = np.array([vote[:2] for vote in votes], np.int64).reshape(-1, 2)
    cluster = np.arange(len(votes))[:, None]  # every vote about a prompt of its own
    core, others = comparable_items(
        pairs, np.array([vote[2] for vote in votes]), n_items, cluster=cluster, fewest=(fewest,)
    )
    return core.tolist(), {each.item: each.reason for each in others}


NEWCOMERS = {
    "three lost votes": ([(3, 0, 0.0), (1, 3, 1.0), (2, 3, 1.0)], Reason.NEVER_WON),
    "always loses": ([(3, k % 3, 0.0) for k in range(60)], Reason.NEVER_WON),
    "always wins": ([(3, k % 3, 1.0) for k in range(60)], Reason.NEVER_LOST),
    "one won and one lost": ([(3, 0, 1.0), (3, 1, 0.0)], Reason.TOO_FEW_VOTES),
    "two ties": ([(3, 0, 0.5), (3, 1, 0.5)], Reason.TOO_FEW_VOTES),
    "only with another newcomer": ([(3, 4, 1.0), (4, 3, 1.0)] * 30, Reason.NO_CHAIN_OF_VOTES),
    "lost to one that lost": ([(3, 4, 0.0)] * 30 + [(4, 0, 0.0)] * 30, Reason.NEVER_WON),
    "beat whom the others beat": ([(3, 4, 1.0)] * 30 + [(4, 0, 0.0)] * 30, Reason.NO_CHAIN_OF_VOTES),
}


@pytest.mark.parametrize(("votes", "reason"), NEWCOMERS.values(), ids=NEWCOMERS)
def test_a_newcomer_that_votes_cannot_place_leaves_the_others_as_they_are(votes: list[Vote], reason: Reason) -> None:
    core, others = comparable(fair() + votes, 1 + max(max(vote[:2]) for vote in votes))
    assert core == [0, 1, 2]
    assert others[3] == reason


def test_the_largest_part_is_ranked_and_of_equal_ones_that_with_most_votes() -> None:
    other = [(left + 3, right + 3, result) for left, right, result in fair(80, seed=1)]
    assert comparable(fair(120) + other, 6)[0] == [0, 1, 2]
    assert comparable(fair(60) + other, 6)[0] == [3, 4, 5]
    larger = [(left + 3, right + 3, result) for left, right, result in fair(80, items=4, seed=1)]
    core, others = comparable(fair(500) + larger, 7)
    assert core == [3, 4, 5, 6]
    assert set(others.values()) == {Reason.NO_CHAIN_OF_VOTES}


def test_many_newcomers_with_few_votes_do_not_displace_those_with_many() -> None:
    ring: list[Vote] = [(3, 4, 1.0), (4, 5, 1.0), (5, 6, 1.0), (6, 3, 1.0)]
    core, others = comparable(fair() + ring, 7)
    assert core == [0, 1, 2]
    assert set(others) == {3, 4, 5, 6}


def test_a_strict_order_ranks_nobody_and_says_of_each_why() -> None:
    votes: list[Vote] = [(0, 1, 1.0), (1, 2, 1.0), (0, 2, 1.0)] * 40
    core, others = comparable(votes, 3)
    assert core == []
    assert others == {0: Reason.NEVER_LOST, 1: Reason.NO_CHAIN_OF_VOTES, 2: Reason.NEVER_WON}


def test_no_votes_rank_nobody() -> None:
    core, others = comparable_items(
        np.zeros((0, 2), np.int64), np.zeros(0), 0, cluster=np.zeros((0, 1), np.int64), fewest=(5,)
    )
    assert (core.tolist(), others) == ([], ())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.integers(0, 6), st.sampled_from([0.0, 0.5, 1.0])).filter(
            lambda v: v[0] != v[1]
        ),
        max_size=60,
    )
)
def test_whatever_people_say_every_item_is_ranked_or_has_a_reason_and_the_ranked_ones_have_strengths(
    votes: list[Vote],
) -> None:
    pairs = np.array([vote[:2] for vote in votes], np.int64).reshape(-1, 2)
    result = np.array([vote[2] for vote in votes])
    core, others = comparable_items(pairs, result, 7, cluster=np.arange(len(votes))[:, None], fewest=(2,))
    assert sorted([*core.tolist(), *(each.item for each in others)]) == list(range(7))
    assert all(isinstance(each, Unranked) for each in others)
    if len(core):
        place = {item: k for k, item in enumerate(core.tolist())}
        kept = np.isin(pairs, core).all(1)
        among = np.array([[place[left], place[right]] for left, right in pairs[kept].tolist()])
        fit = BradleyTerry().fit(among, result[kept], n_items=len(core))  # Ford's condition holds
        assert np.isfinite(fit.strengths_).all()
