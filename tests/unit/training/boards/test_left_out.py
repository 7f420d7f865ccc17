"""Whatever a run leaves out can be read in the lake, each with the reason."""

from collections import Counter
from pathlib import Path

import duckdb
from tests.support.event_rows import Row, answer, at, clip, impression, row
from tests.support.lakes import clock, lake_of, traffic

from clapometer.training.parameters import Parameters
from clapometer.training.train import train_once

WHOLE = Parameters(segments=())


def watched(id_: str, clip_id: str, **values: object) -> list[Row]:
    return [
        impression(id_, clip_id, at(), surface="feed", position=0, propensity=0.1, candidates=10, **values),
        answer("watched", id_, f"w{id_}", at(), watched_ms=5_000),
    ]


def rows_of_every_reason() -> list[Row]:
    fake = [
        each
        for k in range(12)
        for each in [
            impression(f"f{k}", f"c{k}-0", at(seconds=k), viewer_id="fake", surface="feed"),
            answer("watched", f"f{k}", f"wf{k}", at(seconds=k), watched_ms=50),
            answer("reacted", f"f{k}", f"rf{k}", at(seconds=k), reaction="like"),
        ]
    ]
    return [
        *traffic(),
        clip("ad", "p1", "m1", at(days=-1), flags_ad=True), *watched("i-ad", "ad"),
        clip("marked", "p1", "m1", at(days=-1), flags_watermark=True), *watched("i-marked", "marked"),
        clip("gone", "p1", "m1", at(days=-1)), *watched("i-gone", "gone"),
        row("clip_withdrawn", "w1", at(days=1), clip_id="gone", reason="rights", scope="clip", trust="key"),
        clip("mine", "p2", "m2", at(days=-1), lineage_creator_id="me", content_hash="h1"),
        *watched("i-mine", "mine", viewer_id="me"), *watched("i-theirs", "mine", viewer_id="somebody"),
        clip("again", "p2", "m2", at(), content_hash="h1"), *watched("i-again", "again"),
        *watched("i-unknown", "nobody registered it"), *watched("i-forged", "c1-1", trust="forged"), *fake,
    ]  # fmt: skip


def test_every_row_that_does_not_count_has_its_reason_in_the_published_file(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, rows_of_every_reason())
    run = train_once(lake, clock=clock, parameters=WHOLE).run
    assert run.error is None
    with duckdb.connect(str(tmp_path / "clapometer.duckdb"), read_only=True) as con:
        excluded = con.execute("SELECT impression_id, excluded_reason FROM excluded_outcomes").fetchall()
        screened = con.execute("SELECT subject, item, reason, counts_for FROM screened ORDER BY ALL").fetchall()
    reasons = dict(excluded)
    assert {k: v for k, v in reasons.items() if not k.startswith("f")} == {
        "i-ad": "advertisement",
        "i-marked": "watermark",
        "i-gone": "clip withdrawn",
        "i-mine": "creator's own view",
        "i-unknown": "clip not registered",
        "i-forged": "untrusted impression",
    }
    assert {reasons[f"f{k}"] for k in range(12)} == {"viewer reacts to clips it did not watch"}
    assert Counter(reasons.values()) == run.excluded
    assert screened == [
        ("clip", "ad", "advertisement", None),
        ("clip", "again", "repost", "mine"),
        ("clip", "gone", "clip withdrawn", None),
        ("clip", "marked", "watermark", None),
        ("viewer", "fake", "viewer reacts to clips it did not watch", None),
        ("weight", "2.0", "propensity below what exploration allows", None),
    ]


def test_reposts_that_are_dropped_count_for_nobody(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, rows_of_every_reason())
    train_once(lake, clock=clock, parameters=Parameters(segments=(), drop_reposts=True))
    with lake.connect() as con:
        assert con.execute("SELECT counts_for FROM screened WHERE item = 'again'").fetchall() == [(None,)]
    with duckdb.connect(str(tmp_path / "clapometer.duckdb"), read_only=True) as con:
        found = con.execute("SELECT excluded_reason FROM excluded_outcomes WHERE clip_id = 'again'").fetchall()
    assert found == [("repost",)]
