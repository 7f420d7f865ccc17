"""A takedown names the runs that contained the clip."""

from pathlib import Path

from tests.support.event_rows import at, clip, events_table
from tests.support.lakes import clock, lake_of, traffic

from clapometer.takedown.runs_of_clip import runs_with_clip
from clapometer.training.train import train_once


def test_the_runs_after_its_first_impression_and_its_preference_labels_are_named(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic())
    first = train_once(lake, clock=clock).run
    second = train_once(lake, clock=clock).run
    traces = runs_with_clip(lake, "default", "c0-1")
    assert traces.clips == ["c0-1"]
    assert traces.runs == [first.run_id, second.run_id]
    assert set(traces.pairs) == {first.run_id, second.run_id}


def test_a_clip_that_was_never_shown_was_in_no_run(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, [*traffic(), clip("unseen", time=at())])
    train_once(lake, clock=clock)
    traces = runs_with_clip(lake, "default", "unseen")
    assert (traces.runs, traces.pairs) == ([], {})


def test_the_scope_adds_descendants_or_duplicates(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, [clip("a", content_hash="h"), clip("b", lineage_parent_clip_id="a")])
    lake.append(
        "events",
        events_table(
            [
                clip("c", lineage_parent_clip_id="b"),
                clip("d", content_hash="h"),
                clip("e", flags_repost_of="a"),
                clip("f", content_hash="other"),
            ]
        ),
    )
    assert runs_with_clip(lake, "default", "a").clips == ["a"]
    assert runs_with_clip(lake, "default", "a", "descendants").clips == ["a", "b", "c"]
    assert runs_with_clip(lake, "default", "a", "duplicates").clips == ["a", "d", "e"]
