"""Propensities are exact: checked against every outcome that a small slate can have, and by drawing large ones."""

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from clapometer.serving.slates.policies import RankedPolicy, ranked_chances, uniform_slate


def enumerated(n: int, slots: int, share: Fraction) -> list[list[Fraction]]:
    """Returns the chance of every clip at every slot, by going through all that can happen."""
    chance = [[Fraction(0)] * n for _ in range(slots)]
    for explored in itertools.product([True, False], repeat=slots):
        weight = math.prod((share if is_explored else 1 - share for is_explored in explored), start=Fraction(1))
        draws = list(itertools.permutations(range(n), sum(explored)))
        for drawn in draws:
            rest, best = iter(drawn), (clip for clip in range(n) if clip not in drawn)
            for slot, is_explored in enumerate(explored):
                chance[slot][next(rest) if is_explored else next(best)] += weight / len(draws)
    return chance


@pytest.mark.parametrize(("n", "slots"), [(1, 1), (3, 1), (3, 3), (4, 2), (5, 4), (6, 3)])
@pytest.mark.parametrize("share", [Fraction(0), Fraction(1, 10), Fraction(1, 2), Fraction(1)])
def test_propensities_are_what_all_outcomes_together_say(n: int, slots: int, share: Fraction) -> None:
    found = ranked_chances(n, slots, float(share))
    expected = np.array(enumerated(n, slots, share), dtype=float)
    assert found[:, np.minimum(np.arange(n), slots)] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("n", "slots"), [(500, 50), (200, 20), (50, 50)])
def test_the_chances_of_a_slot_sum_to_one(n: int, slots: int) -> None:
    found = ranked_chances(n, slots, 0.1)
    full = found[:, np.minimum(np.arange(n), slots)]
    assert full.sum(axis=1) == pytest.approx(np.ones(slots), abs=1e-9)
    assert (full > 0).all()


def draw_weights(groups: Sequence[int], slots: int, share: float, draws: int) -> NDArray[np.float64]:
    """Returns every candidate's mean sum of 1/(propensity × candidates) per slate; equal ones are shuffled."""
    policy, random, n = RankedPolicy(), Random(4), sum(groups)
    starts = [0, *itertools.accumulate(groups)]
    total = np.zeros(n)
    for _ in range(draws):
        order = [
            clip
            for low, size in zip(starts, groups, strict=False)
            for clip in random.sample(range(low, low + size), size)
        ]
        for choice in policy.slate(groups, slots, share, random):
            total[order[choice.index]] += 1 / (choice.propensity * n)
    return total / draws


@pytest.mark.parametrize("groups", [[1] * 8, [2, 1, 3, 2], [8]], ids=["ordered", "ties", "all alike"])
def test_weighting_by_the_inverse_propensity_recovers_uniform_exposure(groups: list[int]) -> None:
    slots = 4
    weights = draw_weights(groups, slots, 0.4, 40_000)
    # Every candidate's expected weight is slots / n: what the estimators count as its opportunity.
    assert weights == pytest.approx(np.full(8, slots / 8), rel=0.06)
    label = np.linspace(0.9, 0.1, 8)  # the better a clip, the earlier it stands
    assert weights @ label / slots == pytest.approx(label.mean(), rel=0.01)


def test_without_weights_the_mean_is_that_of_what_the_policy_favours() -> None:
    policy, random, label = RankedPolicy(), Random(4), np.linspace(0.9, 0.1, 8)
    shown = [label[choice.index] for _ in range(2_000) for choice in policy.slate([1] * 8, 4, 0.1, random)]
    assert np.mean(shown) > label.mean() + 0.15


def test_explored_slots_are_a_simple_random_sample_of_all_candidates() -> None:
    policy, random = RankedPolicy(), Random(9)
    counts = np.zeros((3, 6))
    for _ in range(60_000):
        for slot, choice in enumerate(policy.slate([1] * 6, 3, 0.3, random)):
            if choice.explored:
                counts[slot, choice.index] += 1
    assert counts / counts.sum(axis=1, keepdims=True) == pytest.approx(np.full((3, 6), 1 / 6), abs=0.012)


def test_the_explored_share_of_slots_is_as_asked() -> None:
    policy, random = RankedPolicy(), Random(2)
    explored = [choice.explored for _ in range(5_000) for choice in policy.slate([1] * 30, 10, 0.1, random)]
    assert np.mean(explored) == pytest.approx(0.1, abs=0.005)


def test_candidates_that_are_all_alike_have_equal_chances() -> None:
    for choice in RankedPolicy().slate([20], 7, 0.1, Random(3)):
        assert choice.propensity == pytest.approx(1 / 20)


def test_no_clip_fills_two_slots_and_no_slot_stays_empty() -> None:
    policy, random = RankedPolicy(), Random(8)
    for _ in range(500):
        slate = policy.slate([1] * 12, 12, 0.5, random)
        assert sorted(choice.index for choice in slate) == list(range(12))


def test_without_exploration_the_order_is_the_ranking_and_certain() -> None:
    slate = RankedPolicy().slate([1] * 9, 5, 0.0, Random(1))
    assert [(choice.index, choice.propensity, choice.explored) for choice in slate] == [
        (i, 1.0, False) for i in range(5)
    ]


def test_a_uniform_slate_gives_every_clip_the_same_chance() -> None:
    random, counts = Random(6), np.zeros(5)
    for _ in range(20_000):
        slate = uniform_slate(5, 2, random)
        assert [choice.propensity for choice in slate] == [0.2, 0.2]
        counts[slate[0].index] += 1
    assert counts / 20_000 == pytest.approx(np.full(5, 0.2), abs=0.012)


def test_more_slots_than_candidates_show_every_candidate_once() -> None:
    assert len(uniform_slate(3, 10, Random(1))) == len(RankedPolicy().slate([1, 1, 1], 10, 0.2, Random(1))) == 3


def test_only_so_many_tables_of_chances_are_remembered() -> None:
    policy = RankedPolicy(remembered=2)
    for n in (5, 6, 7):
        policy.chances(n, 2, 0.1)
    assert policy.chances(7, 2, 0.1) is policy.chances(7, 2, 0.1)
    assert len(policy._chances) == 2
