"""No verdict contradicts the interval, the places or the probability of being the best that stand beside it."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from clapometer.domain import Verdict, against, verdict
from clapometer.ranking import confidence_intervals, probability_best, rank_ranges, simultaneous_intervals


@settings(max_examples=150, deadline=None)
@given(
    st.integers(2, 15),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.05, 0.3, 1.0, 5.0]),
    st.sampled_from([3.0, 30.0, np.inf]),
)
def test_no_verdict_contradicts_interval_places_or_chance(n: int, seed: int, spread: float, degrees: float) -> None:
    random = np.random.default_rng(seed)
    root = random.normal(size=(n, n)) * 0.1
    covariance = root @ root.T / n * random.uniform(0.1, 10)
    effects = random.normal(0, spread, n)
    effects -= effects.mean()
    ranges = rank_ranges(effects, covariance, draws=500)
    best = probability_best(effects, covariance, draws=500)
    alone = confidence_intervals(effects, covariance, 0.95, degrees)
    joint = simultaneous_intervals(effects, covariance, 0.95, degrees, draws=500)
    assert (joint[0] <= alone[0]).all()
    assert (joint[1] >= alone[1]).all()
    for i in range(n):
        first, last = ranges[i].tolist()
        found = verdict(joint[0][i], joint[1][i], (first, last), n, best=float(best[i]), calibrated=True)
        if found is Verdict.KEEP:
            assert alone[0][i] > 0
            assert last < n
            assert last <= n - n / 3
        if found is Verdict.STOP:
            assert alone[1][i] < 0
            assert first > 1
            assert first > n / 3
        if found is Verdict.EXPLORE:
            assert first == 1
            assert best[i] >= 0.01
        unlogged = verdict(joint[0][i], joint[1][i], (first, last), n, best=float(best[i]), calibrated=False)
        assert unlogged is Verdict.NOT_ENOUGH


def test_places_one_to_eleven_are_never_called_certain() -> None:
    assert verdict(0.01, 0.3, (1, 11), 12, best=0.0, calibrated=True) is Verdict.NOT_ENOUGH
    assert verdict(0.01, 0.3, (1, 11), 12, best=0.2, calibrated=True) is Verdict.EXPLORE
    assert verdict(-0.3, -0.01, (1, 11), 12, best=0.0, calibrated=True) is Verdict.NOT_ENOUGH


def test_the_simultaneous_intervals_hold_for_all_items_at_once() -> None:
    random = np.random.default_rng(5)
    covariance = np.eye(8) - 1 / 8
    held = 0
    for _ in range(300):
        error = random.multivariate_normal(np.zeros(8), covariance)
        low, high = simultaneous_intervals(error, covariance, draws=1_000)
        held += bool(((low <= 0) & (high >= 0)).all())
    assert 0.92 <= held / 300 <= 0.985


@given(st.floats(-1, 1), st.floats(0, 1))
def test_left_is_better_exactly_where_right_is_worse(difference: float, half: float) -> None:
    words = {"better": "worse", "worse": "better", "not enough evidence": "not enough evidence"}
    forth = against(difference - half, difference + half, calibrated=True)
    back = against(-difference - half, -difference + half, calibrated=True)
    assert words[forth] == back
    assert against(difference - half, difference + half, calibrated=False) == "not enough evidence"
