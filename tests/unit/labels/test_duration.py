"""Watch quantiles: uniform for every length, monotone in watching, the same in SQL."""

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import spearmanr

from clapometer.domain import InputError
from clapometer.labels import (
    Watch,
    WatchCounts,
    count_watches,
    duration_bin_sql,
    fit_watch_quantiles,
    ratio_bin_sql,
    watch_bins,
)


def plays(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns watched, total and duration: long clips are finished less, a tenth is never started."""
    rng = np.random.default_rng(seed)
    duration = np.round(np.exp(rng.uniform(8.0, 11.5, n)))
    ratio = np.exp(rng.normal(0.4 - 0.4 * (np.log(duration) - 8.0), 0.8, n))
    total = np.round(np.where(rng.random(n) < 0.1, 0.0, ratio * duration))
    return np.minimum(total, duration), total, duration


def quantiles(watch: Watch, watched: np.ndarray, total: np.ndarray, duration: np.ndarray) -> np.ndarray:
    bins = watch_bins(watch, watched, total, duration)
    return fit_watch_quantiles(count_watches(*bins), watch).at(*bins)


@pytest.mark.parametrize("weight", [np.nan, np.inf, -1.0])
def test_weights_that_are_no_weights_are_refused(weight: float) -> None:
    counts = WatchCounts(np.array([1]), np.array([0]), np.array([weight]))
    with pytest.raises(InputError, match="weight"):
        fit_watch_quantiles(counts, Watch())


def test_no_impressions_make_an_empty_table_that_knows_no_length() -> None:
    nothing = np.zeros(0, np.int64)
    table = fit_watch_quantiles(WatchCounts(nothing, nothing, np.zeros(0)), Watch())
    assert np.isnan(table.at(np.array([3]), np.array([0]))).all()


def test_the_quantile_does_not_depend_on_length_although_watch_time_and_ratio_do() -> None:
    watched, total, duration = plays(40_000)
    quantile = quantiles(Watch(), watched, total, duration)
    assert abs(spearmanr(quantile, duration)[0]) < 0.03
    assert spearmanr(watched / duration, duration)[0] < -0.3
    assert spearmanr(watched, duration)[0] > 0.3


def test_the_quantile_is_uniform_for_every_length() -> None:
    watched, total, duration = plays(60_000, seed=1)
    quantile = quantiles(Watch(max_plays=50), watched, total, duration)
    for low, high in ((3_000, 5_000), (8_000, 12_000), (40_000, 90_000)):
        inside = quantile[(duration >= low) & (duration < high)]
        assert inside.mean() == pytest.approx(0.5, abs=0.02)
        assert np.quantile(inside, [0.25, 0.5, 0.75]) == pytest.approx([0.25, 0.5, 0.75], abs=0.04)


def test_of_two_clips_of_the_same_length_the_one_watched_longer_is_never_below() -> None:
    watched, total, _ = plays(20_000, seed=2)
    duration = np.full(20_000, 10_000.0)
    quantile = quantiles(Watch(), watched, total, duration)
    order = np.argsort(np.minimum(total, 20_000))
    assert (np.diff(quantile[order]) >= 0).all()


def test_all_the_same_watch_time_is_one_half() -> None:
    same = np.full(100, 5_000.0)
    assert quantiles(Watch(), same, same, np.full(100, 5_000.0)) == pytest.approx(np.full(100, 0.5))


def test_a_rare_length_borrows_from_its_neighbours_and_a_common_one_does_not() -> None:
    rng = np.random.default_rng(3)
    short = rng.uniform(0, 5_000, 5_000)
    duration = np.concatenate([np.full(5_000, 5_000.0), [5_600.0]])
    watched = np.concatenate([short, [5_600.0]])
    assert quantiles(Watch(), watched, watched, duration)[-1] > 0.95
    alone = quantiles(Watch(min_impressions=1), watched, watched, duration)
    assert alone[-1] == pytest.approx(0.5)


def test_counts_of_two_halves_add_up_to_the_counts_of_all() -> None:
    watched, total, duration = plays(5_000, seed=4)
    watch = Watch()
    bins = watch_bins(watch, watched, total, duration)
    half = count_watches(bins[0][:2_000], bins[1][:2_000]) + count_watches(bins[0][2_000:], bins[1][2_000:])
    whole = fit_watch_quantiles(count_watches(*bins), watch)
    np.testing.assert_allclose(fit_watch_quantiles(half, watch).quantile, whole.quantile)


def test_loops_count_up_to_the_limit_and_only_where_the_rule_says_so() -> None:
    duration, watched = np.full(3, 10_000.0), np.full(3, 10_000.0)
    total = np.array([10_000.0, 20_000.0, 90_000.0])
    looped = watch_bins(Watch(), watched, total, duration)[1]
    assert looped[0] < looped[1] == looped[2]
    assert len(set(watch_bins(Watch(measure="unique"), watched, total, duration)[1])) == 1


@pytest.mark.parametrize("watch", [Watch(), Watch(measure="unique"), Watch(max_plays=3.5)])
def test_sql_and_numpy_find_the_same_bins(watch: Watch) -> None:
    watched, total, duration = plays(5_000, seed=5)
    rows = pa.table(
        {"watched_ms": watched.astype(int), "total_ms": total.astype(int), "duration_ms": duration.astype(int)}
    )
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        found = connection.sql(
            f"SELECT {duration_bin_sql()} AS duration_bin, {ratio_bin_sql(watch)} AS ratio_bin FROM rows"
        ).fetchnumpy()
    expected = watch_bins(watch, watched, total, duration)
    np.testing.assert_array_equal(found["duration_bin"], expected[0])
    np.testing.assert_array_equal(found["ratio_bin"], expected[1])
