"""What is summed file by file is what the same impressions come to at once."""

from pathlib import Path

import numpy as np
import pytest
from tests.support.event_rows import at, clip, impression
from tests.support.lakes import NOW, lake_of, traffic

from clapometer.folding.fold import refresh_outcomes
from clapometer.labels import LabelRule, Weights, count_watches, fit_watch_quantiles, label_values, watch_bins
from clapometer.lake.tables import Lake
from clapometer.ranking import ClipCells
from clapometer.training.evidence.cells import Cells
from clapometer.training.evidence.clips import load_clips
from clapometer.training.evidence.outcomes import Outcomes
from clapometer.training.evidence.screening import Scored, Screening

RULE = LabelRule(name="test", version=1, weights=Weights(watch=0.5, completed=0.25))


def summed(lake: Lake, tier: str = "B", rule: LabelRule = RULE) -> tuple[Scored, Cells]:
    refresh_outcomes(lake)
    with lake.connect() as con:
        load_clips(con, "default")
        evidence = Outcomes.read(con, lake, "default", (rule, NOW)).scored(Screening())
        return evidence.summary, evidence.cells(tier, {})[0]


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


def test_sums_do_not_depend_on_how_the_outcomes_lie_in_files_in_any_bit(tmp_path: Path) -> None:
    rows = traffic(seed=5)
    rows = [
        row | {"trust": "none"} if row["type"] == "impression" and n % 5 == 0 else row for n, row in enumerate(rows)
    ]
    lake = lake_of(tmp_path, rows)
    scored, together = summed(lake)
    half = lake_of(tmp_path / "half", [])
    with lake.connect() as con:
        for part in (0, 1):
            half.append("events", con.sql("SELECT * FROM events WHERE type = 'clip_registered'").to_arrow_table())
            rows = con.sql(f"SELECT * FROM outcomes WHERE hash(impression_id, 1) % 2 = {part} ORDER BY impression_id")
            half.append("outcomes", rows.to_arrow_table())
    with half.connect() as con:
        load_clips(con, "default")
        evidence = Outcomes.read(con, half, "default", (RULE, NOW)).scored(Screening())
        assert evidence.summary.excluded == scored.excluded
        assert len(half.files("outcomes")) == 2 * 3
        assert len(lake.files("outcomes")) == 2
        assert same(evidence.cells("B", {})[0], together)


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
    with lake.connect() as con:
        load_clips(con, "default")
        evidence = Outcomes.read(con, lake, "default", (RULE, NOW)).scored(Screening())
        whole, _ = evidence.cells("B", {})
        again, found = evidence.cells("B", {"audience": ["adults", "kids"], "locale": ["en"]})
        assert same(again, whole)
        assert {column: set(values) for column, values in found.items()} == {
            "audience": {"kids", "adults"}, "locale": {"en"},
        }  # fmt: skip
        kids = con.sql("SELECT * FROM outcomes WHERE audience = 'kids'").to_arrow_table()
        assert evidence.values("audience", 1, 5) == sorted(
            ("kids", "adults"),
            key=lambda name: (
                -con.execute("SELECT count(*) FROM outcomes WHERE audience = ?", [name]).fetchall()[0][0],
                name,
            ),
        )
        assert found["audience"]["kids"].cells.impressions.sum() == kids.num_rows
        assert found["locale"]["en"].cells.impressions.sum() < whole.cells.impressions.sum()


def same(one: Cells, other: Cells) -> bool:
    """Whether all sums are, to the last bit."""
    columns = [(getattr(one.cells, name), getattr(other.cells, name)) for name in ClipCells.__slots__]
    columns += [(getattr(one, name), getattr(other, name)) for name in ("weight", "completed", "liked", "revenue")]
    return all(left.tobytes() == right.tobytes() for left, right in columns)
