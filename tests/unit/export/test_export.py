"""Exports: the labels of a run as files, whole or not at all, and never what may not be trained on."""

import json
import statistics
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.support.event_rows import Row, answer, at, clip, events_table, row
from tests.support.lakes import clock, lake_of, traffic

from clapometer.domain import InputError, NotFoundError, TerminalError
from clapometer.export.difference import changes
from clapometer.export.export import Source, export_run
from clapometer.export.folder import read_manifest
from clapometer.export.options import ExportOptions
from clapometer.lake.tables import Lake
from clapometer.training.parameters import Parameters
from clapometer.training.train import train_once

PREFERENCE = ExportOptions(kind="trl-preference")


def allowed(rows: list[Row]) -> list[Row]:
    """The rows, every clip of which may be trained on and has a prompt with a text."""
    registered = {"training_allowed": True}
    return [
        {**r, **registered, "prompt_text": f'a {r["prompt_id"]}, \n"turning"'} if r["type"] == "clip_registered" else r
        for r in rows
    ]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = lake_of(tmp_path_factory.mktemp("lake"), allowed(traffic()))
    report = train_once(lake, clock=clock, parameters=Parameters(min_impressions=50))
    assert report.run.status == "succeeded", report.run.error
    return lake


def rows_of(folder: Path, split: str = "train") -> list[dict[str, Any]]:
    read = [json.loads(line) for line in (folder / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]
    assert pq.read_table(folder / f"{split}.parquet").to_pylist() == read
    return read


def labels_of(lake: Lake) -> list[dict[str, Any]]:
    with lake.connect() as connection:
        return list(connection.sql("FROM comparisons").to_arrow_table().to_pylist())


def test_every_label_is_a_row_or_has_a_reason_and_the_better_clip_is_the_chosen_one(
    trained: Lake, tmp_path: Path
) -> None:
    manifest = export_run(Source(trained), PREFERENCE, tmp_path / "out")
    rows, labels = rows_of(tmp_path / "out"), labels_of(trained)
    assert len(rows) + sum(manifest.left_out.values()) == len(labels)
    assert set(manifest.left_out) <= {"a tie"}
    expected = {
        (label["left_clip_id"], label["right_clip_id"])[:: 1 if label["result"] == "left" else -1]: label
        for label in labels
        if label["result"] != "tie"
    }
    assert {(r["chosen"], r["rejected"]) for r in rows} == set(expected)
    for r in rows:
        label = expected[r["chosen"], r["rejected"]]
        assert r["posterior"] == max(label["p_left"], 1 - label["p_left"])
        assert r["margin"] == abs(label["margin"])
        assert r["prompt"] == f'a {label["prompt_id"]}, \n"turning"'


def test_the_same_run_gives_the_same_bytes(trained: Lake, tmp_path: Path) -> None:
    options = ExportOptions(kind="trl-unpaired", held_out=0.3, resample=500)
    for name in ("a", "b", "b"):  # over an earlier one, too
        export_run(Source(trained), options, tmp_path / name)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["README.md", "manifest.json", "test.jsonl", "test.parquet", "train.jsonl", "train.parquet"]
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in names)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_no_prompt_is_trained_on_and_tested_on(tmp_path: Path) -> None:
    rows = allowed(traffic())
    for r in rows:  # the same text under many ids
        if r["type"] == "clip_registered":
            r["prompt_text"] = ("A  Vase", "a vase ", "a vase\n", "a cat")[int(r["prompt_id"][1:]) % 4]
    lake = lake_of(tmp_path / "lake", rows)
    train_once(lake, clock=clock, parameters=Parameters(min_impressions=50))
    options = [ExportOptions(kind="trl-preference", held_out=0.5, seed=seed) for seed in range(8)]
    split = 0
    for n, option in enumerate(options):
        manifest = export_run(Source(lake), option, tmp_path / str(n))
        texts = [
            {" ".join(r["prompt"].lower().split()) for r in rows_of(tmp_path / str(n), s)} for s in manifest.splits
        ]
        assert sum(map(len, texts)) == len(set.union(*texts))
        split += len(texts) == 2
    assert split > 0


def test_resampling_draws_each_row_as_often_as_its_weight_says(trained: Lake, tmp_path: Path) -> None:
    export_run(Source(trained), PREFERENCE, tmp_path / "once")
    once = {(r["chosen"], r["rejected"]): r["weight"] for r in rows_of(tmp_path / "once")}
    export_run(Source(trained), ExportOptions(kind="trl-preference", resample=10_000), tmp_path / "drawn")
    drawn = [(r["chosen"], r["rejected"]) for r in rows_of(tmp_path / "drawn")]
    assert len(drawn) == pytest.approx(10_000, abs=1)
    whole = sum(once.values())
    assert all(abs(drawn.count(pair) - 10_000 * weight / whole) <= 1.01 for pair, weight in once.items())


def test_caps_keep_what_tells_most(trained: Lake, tmp_path: Path) -> None:
    everything = export_run(Source(trained), PREFERENCE, tmp_path / "all")
    options = ExportOptions(kind="trl-preference", max_per_prompt=1, max_per_model=5)
    manifest = export_run(Source(trained), options, tmp_path / "few")
    rows, before = rows_of(tmp_path / "few"), rows_of(tmp_path / "all")
    assert len({r["prompt_id"] for r in rows}) == len(rows)
    assert max(sum(r["chosen_model"] == model for r in rows) for model in {r["chosen_model"] for r in rows}) == 5
    best = {p: max(r["weight"] for r in before if r["prompt_id"] == p) for p in {r["prompt_id"] for r in before}}
    assert all(r["weight"] == best[r["prompt_id"]] for r in rows)
    assert sum(manifest.left_out.values()) - sum(everything.left_out.values()) == len(before) - len(rows)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (row("clip_withdrawn", "gone", at(days=3), clip_id="c0-0", reason="rights"), "a clip was taken down"),
        (clip("c0-0", "p0", "m0", at(days=3), prompt_text="a"), "training is not allowed for a clip"),
    ],
)
def test_what_may_not_be_trained_on_is_in_no_export_and_a_copy_is_told(
    tmp_path: Path, changed: Row, reason: str
) -> None:
    lake = lake_of(tmp_path / "lake", allowed(traffic()))
    train_once(lake, clock=clock, parameters=Parameters(min_impressions=50))
    export_run(Source(lake), PREFERENCE, tmp_path / "old")
    lake.append("events", events_table([changed]))
    manifest = export_run(Source(lake), PREFERENCE, tmp_path / "new")
    gone = [r for r in rows_of(tmp_path / "old") if "c0-0" in {r["chosen"], r["rejected"]}]
    assert gone
    assert manifest.left_out[reason] >= len(gone)
    assert not [r for r in rows_of(tmp_path / "new") if "c0-0" in {r["chosen"], r["rejected"]}]
    found = list(changes(tmp_path / "old", tmp_path / "new"))
    assert [{**f, "split": None} for f in found] == [{"change": "removed", **r, "split": None} for r in gone]


def test_a_prompt_whose_text_stays_private_is_left_out(tmp_path: Path) -> None:
    rows = allowed(traffic())
    for r in rows:
        if r["type"] == "clip_registered" and r["prompt_id"] == "p0":
            r["prompt_text"] = None
    lake = lake_of(tmp_path / "lake", rows)
    train_once(lake, clock=clock, parameters=Parameters(min_impressions=50))
    manifest = export_run(Source(lake), PREFERENCE, tmp_path / "out")
    assert manifest.left_out["the prompt has no text"] == sum(r["prompt_id"] == "p0" for r in labels_of(lake))
    assert "p0" not in {r["prompt_id"] for r in rows_of(tmp_path / "out")}


def test_a_clip_that_is_taken_down_during_the_export_is_not_in_it(tmp_path: Path) -> None:
    lake = lake_of(tmp_path / "lake", allowed(traffic()))
    train_once(lake, clock=clock, parameters=Parameters(min_impressions=50))
    steps: list[str] = []

    def told(step: str) -> None:
        steps.append(step)
        if step == "writing train" and steps.count(step) == 1:
            lake.append("events", events_table([row("clip_withdrawn", "w", at(days=3), clip_id="c0-0", reason="x")]))

    export_run(Source(lake), PREFERENCE, tmp_path / "out", told=told)
    assert steps.count("writing train") == 2
    assert not [r for r in rows_of(tmp_path / "out") if "c0-0" in {r["chosen"], r["rejected"]}]


def test_changes_name_what_was_added_and_changed_and_need_one_kind(trained: Lake, tmp_path: Path) -> None:
    export_run(Source(trained), PREFERENCE, tmp_path / "all")
    middle = statistics.median(r["posterior"] for r in rows_of(tmp_path / "all"))
    export_run(Source(trained), ExportOptions(kind="trl-preference", min_posterior=middle), tmp_path / "sure")
    assert {r["posterior"] >= middle for r in rows_of(tmp_path / "sure")} == {True}
    found = list(changes(tmp_path / "sure", tmp_path / "all"))
    assert {f["change"] for f in found} == {"added"}
    assert len(found) == len(rows_of(tmp_path / "all")) - len(rows_of(tmp_path / "sure"))
    assert list(changes(tmp_path / "all", tmp_path / "all")) == []
    export_run(Source(trained), ExportOptions(kind="trl-unpaired"), tmp_path / "clips")
    with pytest.raises(InputError, match="compare exports of one kind"):
        list(changes(tmp_path / "all", tmp_path / "clips"))


def test_a_label_that_more_impressions_changed_is_told(tmp_path: Path) -> None:
    lake = lake_of(tmp_path / "lake", allowed(traffic()))
    for name in ("first", "later"):
        train_once(lake, clock=clock, parameters=Parameters(min_impressions=50))
        export_run(Source(lake), PREFERENCE, tmp_path / name)
        lake.append("events", events_table([answer("reacted", "i-c0-0-0", "late", at(days=3), reaction="like")]))
    found = list(changes(tmp_path / "first", tmp_path / "later"))
    assert [f for f in found if f["change"] == "changed" and "c0-0" in {f["chosen"], f["rejected"]}]


def test_a_folder_with_other_things_is_left_alone(trained: Lake, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years")
    (tmp_path / "file").write_text("x")
    for out, reason in (
        (mine, "other things"),
        (tmp_path / "file", "other things"),
        (tmp_path / "no" / "x", "no folder"),
    ):
        with pytest.raises(InputError, match=reason) as told:
            export_run(Source(trained), PREFERENCE, out)
        assert told.value.field == "out"
    assert (mine / "thesis.txt").read_text() == "years"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "mine"]


def test_what_fails_in_the_middle_leaves_the_earlier_export(
    trained: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    export_run(Source(trained), PREFERENCE, out)
    before = read_manifest(out)

    def full(step: str) -> None:
        if step == "writing test":
            raise OSError(28, "No space left on device")

    with pytest.raises(TerminalError, match="No space left"):
        export_run(Source(trained), ExportOptions(kind="trl-unpaired"), out, told=full)
    assert read_manifest(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_is_not_there_is_said(trained: Lake, tmp_path: Path) -> None:
    empty = lake_of(tmp_path / "empty", allowed(traffic(models=1, prompts=1)))
    for lake, run, tenant, reason in (
        (trained, "nosuch", "default", "no run 'nosuch'"),
        (trained, None, "other", "no run that succeeded yet"),
        (empty, None, "default", "no run that succeeded yet"),
    ):
        with pytest.raises(NotFoundError, match=reason):
            export_run(Source(lake), ExportOptions(kind="trl-preference", tenant=tenant), tmp_path / "out", run_id=run)
    ours = labels_of(trained)[0]["run_id"]
    with pytest.raises(InputError, match=r"run: run .* is not of tenant 'other'; name its tenant, too"):
        export_run(Source(trained), ExportOptions(kind="trl-preference", tenant="other"), tmp_path / "out", run_id=ours)
    with pytest.raises(InputError, match=r"nothing of run .* is left to export: .* of a weaker tier"):
        export_run(Source(trained), ExportOptions(kind="trl-preference", min_tier="A"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [("min_posterior", 0.4), ("min_posterior", 1.0), ("min_posterior", float("nan")), ("held_out", 1.0),
     ("held_out", -0.1), ("max_per_prompt", 0), ("max_per_model", -1), ("resample", 0)],
)  # fmt: skip
def test_an_option_out_of_range_is_named(field: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{field}: must be"):
        ExportOptions(kind="trl-preference", **{field: value})
