"""Sums in SQL equal sums in numpy, whatever the threads."""

from pathlib import Path

import numpy as np
import pytest
from tests.event_rows import at, clip, impression
from tests.unit.jobs.lakes import NOW, lake_of, traffic

from clapometer.jobs.cells import Cells, SegmentedCells
from clapometer.jobs.clips import load_clips
from clapometer.jobs.outcomes import refresh_outcomes
from clapometer.jobs.statistics import Scored, score_outcomes
from clapometer.labels import LabelRule, Weights, count_watches, fit_watch_quantiles, label_values, watch_bins
from clapometer.lake import Lake
from clapometer.ranking import ClipCells

RULE = LabelRule(name="test", version=1, weights=Weights(watch=0.5, completed=0.25))


def summed(lake: Lake, tier: str = "B", threads: int = 2, rule: LabelRule = RULE) -> tuple[Scored, Cells]:
    refresh_outcomes(lake)
    with lake.connect(threads=threads) as con:
        load_clips(con, "default")
        scored = score_outcomes(con, "default", rule, NOW)
        return scored, SegmentedCells(con, tier).everything()


def test_cells_are_the_sums_that_numpy_makes_of_the_same_impressions(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic())
    scored, found = summed(lake)
    with lake.connect() as con:
        load_clips(con, "default")
        t = con.sql(
            f"""SELECT clip, CAST(shown_date - DATE '1970-01-01' AS BIGINT) - {scored.first_day} AS day,
            CAST(hash(viewer_id) % 2 AS BIGINT) AS fold, duration_ms, coalesce(propensity, 1) AS propensity, candidates,
            position, coalesce(watched_ms, 0) AS watched_ms, coalesce(total_ms, 0) AS total_ms, liked, saved, shared,
            commented, followed, disliked, hidden, not_interested, reported, clicked, visual_searched, carted, purchased
            FROM outcomes JOIN registered USING (clip_id)"""
        ).fetchnumpy()
    columns = {name: np.asarray(column).astype(np.float64) for name, column in t.items()}
    bins = watch_bins(RULE.watch, columns["watched_ms"], columns["total_ms"], columns["duration_ms"])
    weight = 1 / (columns["propensity"] * columns["candidates"])
    columns["watch_quantile"] = fit_watch_quantiles(count_watches(*bins, weight), RULE.watch).at(*bins)
    label = label_values(RULE, columns)
    index = {name: columns[name].astype(np.int64) for name in ("clip", "day", "fold")}
    expected = ClipCells.from_impressions(
        index["clip"], index["day"], index["fold"], label=label, examination=np.ones(len(label)), weight=weight
    )
    for name in ("clip", "day", "fold", "impressions", "sum_label", "sum_weighted_label", "sum_capped_label"):
        np.testing.assert_allclose(getattr(found.cells, name), getattr(expected, name), atol=1e-4, err_msg=name)
    # the curve has mean 1 over all slots
    assert found.cells.sum_exposure.sum() == pytest.approx(len(label), rel=1e-3)


def test_sums_do_not_depend_on_threads_in_any_bit(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic(seed=5))
    (_, one), (_, four) = summed(lake, threads=1), summed(lake, threads=4)
    for name in ClipCells.__slots__:
        assert getattr(one.cells, name).tobytes() == getattr(four.cells, name).tobytes(), name


def test_propensities_that_are_missing_or_tiny_leave_finite_sums(tmp_path: Path) -> None:
    odd = [
        clip("x"),
        impression("a", "x", propensity=1e-300, candidates=1),
        impression("b", "x", propensity=0.5),
        impression("c", "x", candidates=7),
        impression("d", "x"),
    ]
    scored, found = summed(lake_of(tmp_path, odd))
    assert (scored.logged, scored.tier) == (1, "C")
    assert found.weight.sum() == 1e6
    assert np.isfinite(found.cells.sum_weighted_label).all()


def test_without_logged_chance_every_impression_counts_alike(tmp_path: Path) -> None:
    scored, found = summed(lake_of(tmp_path, traffic(logged=False)), tier="C")
    assert (scored.tier, scored.explored) == ("C", 0)
    assert found.weight.sum() == found.cells.impressions.sum() == 360


def test_outcomes_of_clips_nobody_registered_are_counted_and_left_out(tmp_path: Path) -> None:
    scored, found = summed(lake_of(tmp_path, [clip("x"), impression("a", "x"), impression("b", "unknown", at(5))]))
    assert scored.excluded == {"clip not registered": 1}
    assert found.cells.impressions.tolist() == [1.0]


def test_cells_of_segments_add_up_to_those_of_everything_and_are_what_is_summed_alone(tmp_path: Path) -> None:
    rows = [
        row | {"audience": ("kids", "adults", None)[n % 3], "locale": ("en", "de")[n % 2]}
        if row["type"] == "impression"
        else row
        for n, row in enumerate(traffic(shown=6))
    ]
    lake = lake_of(tmp_path, rows)
    refresh_outcomes(lake)
    with lake.connect(threads=3) as con:
        load_clips(con, "default")
        score_outcomes(con, "default", RULE, NOW)
        whole = SegmentedCells(con, "B").everything()
        cells = SegmentedCells(con, "B", {"audience": ["adults", "kids"], "locale": ["en"]})
        assert same(cells.everything(), whole)
        audience, locale = cells.by("audience"), cells.by("locale")
        assert (set(audience), set(locale)) == ({"kids", "adults"}, {"en"})
        con.execute("CREATE OR REPLACE TEMP TABLE scored AS FROM scored WHERE audience = 'kids'")
        assert same(audience["kids"], SegmentedCells(con, "B").everything())


def same(one: Cells, other: Cells) -> bool:
    """Whether all sums are, to the last bit."""
    columns = [(getattr(one.cells, name), getattr(other.cells, name)) for name in ClipCells.__slots__]
    columns += [(getattr(one, name), getattr(other, name)) for name in ("weight", "completed", "liked", "revenue")]
    return all(left.tobytes() == right.tobytes() for left, right in columns)
