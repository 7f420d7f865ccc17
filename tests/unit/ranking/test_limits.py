"""Where outliers begin: few are set aside, one value more moves a limit by next to nothing, honest days all count."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clapometer.ranking import days_outside, first_days, outlier_limit

VALUES = st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=60)


@given(VALUES, st.floats(1e-3, 1e300))
def test_one_value_more_never_lifts_the_limit_beyond_what_the_others_allow(values, odd):
    one, more = np.array(values), np.array([*values, odd])
    assert outlier_limit([more], 2.0) <= max(2.0 * one.max(), 0.0) or len(values) == 1
    assert (more > outlier_limit([more], 2.0)).sum() <= 3


@given(VALUES, st.integers(0, 60))
def test_the_limit_does_not_depend_on_how_the_values_lie_in_parts(values, cut):
    whole = np.array(values)
    assert outlier_limit([whole[:cut], whole[cut:]], 2.0) == outlier_limit([whole], 2.0)


@pytest.mark.parametrize(("n", "beyond"), [(10, 3), (3_000, 3), (10_000, 10)])
def test_of_many_values_one_in_a_thousand_may_be_beyond_the_limit(n, beyond):
    values = np.append(np.ones(n - beyond), np.full(beyond, 1e9))
    assert outlier_limit([values], 2.0) == 2.0
    assert outlier_limit([np.append(values, np.full(beyond + 1, 1e9))], 2.0) == 2e9


def test_one_value_alone_has_nothing_to_be_an_outlier_of():
    assert outlier_limit([np.array([1e12])], 10.0) == 1e13
    assert outlier_limit([np.array([5.0, 1e12])], 10.0) == 50.0
    assert outlier_limit([], 10.0) == np.inf


MONTH = dict.fromkeys(range(28), 1000)


@pytest.mark.parametrize(
    ("days", "outside"),
    [
        pytest.param(MONTH | {-2_250: 1}, [-2_250], id="a television with a clock of 2020"),
        pytest.param(MONTH | {-3_000: 1, -2_000: 2, 400: 1}, [-3_000, -2_000, 400], id="strays before and after"),
        pytest.param(MONTH | {-2_250: 27}, [-2_250], id="many televisions with the same clock"),
        pytest.param(MONTH | {-2_250: 300}, [], id="a backfill of an old day"),
        pytest.param(MONTH | {-30 * k: 1 for k in range(1, 50)}, [], id="a trickle before"),
        pytest.param({7 * k: 50 for k in range(20)}, [], id="a weekly batch"),
        pytest.param({31 * k: 50 for k in range(20)}, [], id="a monthly batch"),
        pytest.param({0: 400, 1: 400, 16: 5}, [], id="a pause of two weeks, and a slow start after it"),
        pytest.param({0: 400, 90: 5}, [], id="a launch long after the tests"),
        pytest.param({0: 20, -7: 1}, [], id="a young platform"),
        pytest.param({0: 20, -400: 1}, [], id="a young platform, and one old impression of 21"),
        pytest.param({0: 300, -400: 1}, [-400], id="one old impression of 301"),
        pytest.param({5: 1}, [], id="one impression"),
        pytest.param({}, [], id="none"),
    ],
)
def test_days_far_away_with_next_to_no_traffic_are_no_days_of_the_run(days, outside):
    found = days_outside(np.array([*days], np.int64), np.array([*days.values()], np.float64))
    assert found.tolist() == sorted(outside)


def test_one_impression_with_a_wrong_date_makes_no_item_old():
    item = np.array([0, 0, 0, 1, 1, 2])
    day = np.array([-900, 3, 4, 2, 7, 5])
    shown = np.array([1.0, 5.0, 9.0, 4.0, 1.0, 1.0])
    assert first_days(item, day, shown, 4).tolist() == [3.0, 2.0, 5.0, np.inf]
