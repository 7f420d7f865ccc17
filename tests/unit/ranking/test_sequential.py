import numpy as np
import pytest

from clapometer.domain import InputError
from clapometer.ranking.scrutiny.sequential import always_valid_intervals, always_valid_multiplier


def test_sixty_looks_at_a_running_mean_miss_in_less_than_five_per_cent():
    random = np.random.default_rng(0)
    looks = np.arange(1, 61)
    estimate = np.cumsum(random.normal(size=(4000, 60)), axis=1) / looks
    error = 1 / np.sqrt(looks)
    missed = np.abs(estimate) > always_valid_multiplier(error, error[-1]) * error
    naive = np.abs(estimate) > 1.96 * error
    assert missed.any(axis=1).mean() <= 0.05
    assert naive.any(axis=1).mean() > 0.25


def test_the_interval_is_tightest_where_it_was_planned():
    error = np.geomspace(0.001, 0.1, 400)
    reach = always_valid_multiplier(error, 0.01) * error
    fixed = 1.96 * error
    assert error[(reach / fixed).argmin()] == pytest.approx(0.01, rel=0.05)
    assert (reach > fixed).all()


def test_few_clusters_widen_the_interval():
    effects, covariance = np.array([0.1, -0.1]), 1e-4 * np.eye(2)
    low, high = always_valid_intervals(effects, covariance, 0.01)
    low_few, high_few = always_valid_intervals(effects, covariance, 0.01, degrees_of_freedom=25)
    assert (low_few < low).all()
    assert (high_few > high).all()
    np.testing.assert_allclose((low + high) / 2, effects)


@pytest.mark.parametrize(("planned", "level"), [(0.0, 0.95), (np.nan, 0.95), (0.1, 1.0)])
def test_a_plan_that_makes_no_sense_is_refused(planned, level):
    with pytest.raises(InputError):
        always_valid_multiplier(np.array([0.1]), planned, level)


def test_an_error_of_nothing_has_a_finite_multiplier():
    assert np.isfinite(always_valid_multiplier(np.array([0.0, 1e-300]), 0.01)).all()
