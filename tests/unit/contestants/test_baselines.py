"""The everyday rankings compute what they are known to compute."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from statsmodels.stats.proportion import proportion_confint

from clapometer.contestants import (
    bayesian_average,
    naive_bradley_terry,
    online_elo,
    raw_mean,
    self_normalised_ips,
    session_pairs,
    wilson_lower_bound,
)
from clapometer.domain import InputError

ITEM = np.array([0, 0, 0, 0, 1, 1, 3])
LIKED = np.array([1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0])


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(InputError, match="outcome"):
        raw_mean(ITEM, LIKED[:3], 4)


@pytest.mark.parametrize("weight", [np.nan, np.inf, -1.0])
def test_weights_that_are_no_weights_are_refused(weight: float) -> None:
    with pytest.raises(InputError, match="propensity"):
        self_normalised_ips(ITEM, LIKED, np.full(7, weight), 4)


def test_an_item_without_data_has_no_value() -> None:
    for baseline in (
        raw_mean(ITEM, LIKED, 4),
        wilson_lower_bound(ITEM, LIKED, 4),
        self_normalised_ips(ITEM, LIKED, np.ones(7), 4),
    ):
        assert np.isnan(baseline.values[2])
        assert np.isfinite(baseline.values[[0, 1, 3]]).all()


def test_raw_mean_and_its_error_are_those_of_the_rows() -> None:
    baseline = raw_mean(ITEM, LIKED, 4)
    assert baseline.values[0] == pytest.approx(0.75)
    assert baseline.standard_errors[0] == pytest.approx(LIKED[:4].std(ddof=1) / 2)
    assert np.isnan(baseline.standard_errors[3])
    low, high = baseline.intervals()
    assert high[0] - low[0] == pytest.approx(2 * 1.959964 * baseline.standard_errors[0])


def test_the_wilson_bound_is_that_of_statsmodels() -> None:
    baseline = wilson_lower_bound(ITEM, LIKED, 4)
    expected = [proportion_confint(k, n, method="wilson")[0] for k, n in ((3, 4), (1, 2))]
    assert baseline.values[:2] == pytest.approx(expected)


def test_the_bayesian_average_lies_between_the_rate_and_the_overall_rate() -> None:
    rng = np.random.default_rng(0)
    rate = rng.beta(4, 16, 200)
    item = np.repeat(np.arange(200), 30)
    liked = (rng.random(6_000) < rate[item]).astype(float)
    raw, shrunk = raw_mean(item, liked, 200).values, bayesian_average(item, liked, 200).values
    low, high = np.minimum(raw, liked.mean()), np.maximum(raw, liked.mean())
    assert ((shrunk >= low - 1e-12) & (shrunk <= high + 1e-12)).all()
    assert np.mean((shrunk - rate) ** 2) < 0.7 * np.mean((raw - rate) ** 2)


def test_without_any_spread_the_bayesian_average_is_the_overall_rate() -> None:
    baseline = bayesian_average(np.array([0, 0, 1, 1]), np.array([1.0, 0.0, 1.0, 0.0]), 3)
    assert baseline.values == pytest.approx([0.5, 0.5, 0.5], abs=1e-6)


def test_self_normalised_ips_is_a_weighted_regression_on_the_items() -> None:
    rng = np.random.default_rng(1)
    item, weight, y = rng.integers(0, 3, 50), rng.exponential(size=50), rng.normal(size=50)
    fitted = LinearRegression(fit_intercept=False).fit(np.eye(3)[item], y, weight)
    baseline = self_normalised_ips(item, y, weight, 3)
    np.testing.assert_allclose(baseline.values, fitted.coef_)
    even = self_normalised_ips(item, y, np.ones(50), 3)
    np.testing.assert_allclose(even.values, raw_mean(item, y, 3).values)


def test_session_pairs_are_disjoint_within_sessions_and_decided() -> None:
    rng = np.random.default_rng(2)
    session, item = np.repeat(np.arange(500), 5), rng.integers(0, 4, 2_500)
    liked = (rng.random(2_500) < 0.3).astype(float)
    winner, loser = session_pairs(session, item, liked)
    assert 0 < len(winner) <= 1_000
    assert (winner != loser).all()
    np.testing.assert_array_equal(session_pairs(session, item, liked)[0], winner)


def test_naive_bradley_terry_of_two_items_is_the_log_odds() -> None:
    winner = np.array([0] * 30 + [1] * 10)
    baseline = naive_bradley_terry(winner, 1 - winner, 2)
    assert baseline.values[0] - baseline.values[1] == pytest.approx(np.log(3))
    # Var(log odds) = 1/30 + 1/10, and each strength is half of the gap.
    assert baseline.standard_errors[0] == pytest.approx(np.sqrt(1 / 30 + 1 / 10) / 2)


def test_elo_follows_the_published_update() -> None:
    first = online_elo(np.array([0]), np.array([1]), 3, k=32)
    assert first.values == pytest.approx([16.0, -16.0, 0.0])
    second = online_elo(np.array([0, 0]), np.array([1, 1]), 3, k=32).values
    assert second[0] == pytest.approx(16 + 32 * (1 - 1 / (1 + 10 ** (-32 / 400))))
    assert np.isnan(first.standard_errors).all()


def test_elo_depends_on_the_order_of_the_duels_which_is_what_is_wrong_with_it() -> None:
    winner = np.array([0] * 20 + [1] * 20)
    forward = online_elo(winner, 1 - winner, 2, resamples=20, seed=1)
    backward = online_elo(winner[::-1], 1 - winner[::-1], 2)
    assert forward.values[1] > 0 > backward.values[1]
    assert (forward.standard_errors > 0).all()
