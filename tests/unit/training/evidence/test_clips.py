"""Clips as arrays: which are one, which are gone, and what they are called."""

from pathlib import Path

import numpy as np
import pytest
from tests.support.event_rows import Row, at, clip, row
from tests.support.lakes import lake_of

from clapometer.training.evidence.clips import Clips, canonical, load_clips


def loaded(folder: Path, rows: list[Row]) -> Clips:
    with lake_of(folder, rows).connect() as con:
        return load_clips(con, "default")


@pytest.mark.parametrize(
    ("repost_of", "content", "unit"),
    [
        ([None, None, None], [None, None, None], [0, 1, 2]),
        ([None, "a", None], [None, None, None], [0, 0, 2]),
        (["c", None, None], [None, None, None], [0, 1, 0]),  # declared the wrong way round: the earliest stands
        ([None, "a", "b"], [None, None, None], [0, 0, 0]),
        ([None, None, None], ["x", "y", "x"], [0, 1, 0]),
        ([None, "a", None], [None, "x", "x"], [0, 0, 0]),  # equal to a repost
        (["gone", None, "gone"], [None, None, None], [0, 1, 0]),
        (["b", "a", "a"], [None, None, None], [0, 0, 0]),  # a circle
    ],
)
def test_reposts_and_equal_contents_are_one_clip(
    repost_of: list[str | None], content: list[str | None], unit: list[int]
) -> None:
    assert canonical(["a", "b", "c"], repost_of, content).tolist() == unit


def test_an_excluded_original_does_not_stand_for_its_reposts() -> None:
    excluded = np.array([True, False, False])
    assert canonical(["a", "b", "c"], [None, "a", "a"], [None] * 3, excluded).tolist() == [1, 1, 1]


def test_a_withdrawal_reaches_as_far_as_its_scope(tmp_path: Path) -> None:
    clips = loaded(
        tmp_path,
        [
            clip("a", time=at(1)),
            clip("b", time=at(2), lineage_parent_clip_id="a"),
            clip("c", time=at(3), lineage_parent_clip_id="b"),
            clip("d", time=at(4), content_hash="h"),
            clip("e", time=at(5), content_hash="h"),
            clip("f", time=at(6), flags_repost_of="d"),
            clip("g", time=at(7), lineage_parent_clip_id="d"),
            row("clip_withdrawn", "w1", at(9), clip_id="a", reason="rights", scope="descendants"),
            row("clip_withdrawn", "w2", at(9), clip_id="d", reason="rights", scope="duplicates"),
        ],
    )
    assert [id_ for id_, out in zip(clips.ids, clips.excluded, strict=True) if out] == list("abcdef")


def test_a_clip_that_is_registered_again_is_corrected_and_as_old_as_before(tmp_path: Path) -> None:
    clips = loaded(tmp_path, [clip("a", model="wrong"), clip("a", model="right", time=at(days=2)), clip("b")])
    assert clips.ids == ["a", "b"]
    assert clips.model.names[clips.model.index[0]] == "right@1"
    assert clips.registered_day[0] == clips.registered_day[1]


def test_items_are_named_by_what_they_are(tmp_path: Path) -> None:
    long = "a very long prompt " * 20
    clips = loaded(
        tmp_path,
        [
            clip("a", "p1", prompt_text=long, template_id="t", template_version="3", duration_ms=4_999),
            clip("b", "hashed", prompt_text=None, template_id="u", duration_ms=5_000, time=at(1)),
        ],
    )
    assert clips.prompt_labels == [long[:119] + "…", "hashed"]
    assert clips.template.names == ["t@3", "u"]
    bands = clips.segments["duration_band"]
    assert [bands.names[index] for index in bands.index] == ["under 5 s", "5-10 s"]


def test_other_tenants_clips_are_not_seen(tmp_path: Path) -> None:
    assert loaded(tmp_path, [clip("a"), clip("b", tenant="other")]).ids == ["a"]
