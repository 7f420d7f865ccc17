"""Damage to the files of a lake is told by file, with what is lost for certain."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from deltalake import DeltaTable
from tests.support.lakes import lake_of, traffic

from clapometer.lake.damage import find_damage
from clapometer.lake.tables import Lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = lake_of(tmp_path, traffic(prompts=2))
    for prompts in (3, 4):
        lake.append("events", lake_rows(tmp_path / f"{prompts}", prompts))
    return lake


def lake_rows(folder: Path, prompts: int):
    with lake_of(folder, traffic(prompts=prompts)).connect() as con:
        return con.sql("SELECT * FROM events").to_arrow_table()


def said(lake: Lake) -> list[str]:
    return [str(each).removeprefix(f"{lake.root}/") for each in find_damage(lake.storage)]


def test_a_sound_lake_is_not_damaged(lake: Lake) -> None:
    assert said(lake) == []


def test_an_entry_that_is_missing_is_named(lake: Lake) -> None:
    (lake.root / "events" / "_delta_log" / f"{1:020}.json").unlink()
    assert said(lake) == [
        f"events/_delta_log/{1:020}.json is missing. Lost for certain: which files version 1 of events added; its rows "
        "cannot be told apart"
    ]


@pytest.mark.parametrize(("content", "problem"), [("", "is empty"), ('{"commitInfo": {"tim', "is cut or overwritten")])
def test_an_entry_that_is_cut_is_named(lake: Lake, content: str, problem: str) -> None:
    (lake.root / "events" / "_delta_log" / f"{2:020}.json").write_text(content)
    (found,) = said(lake)
    assert found.startswith(f"events/_delta_log/{2:020}.json {problem}. Lost for certain: what version 2 of events")


def test_files_that_are_cut_gone_or_overwritten_are_named_with_their_rows(lake: Lake) -> None:
    files = lake.files("events")[:3]
    rows = [file_rows(lake, file) for file in files]
    files[0].write_bytes(files[0].read_bytes()[:100])
    files[1].unlink()
    files[2].write_bytes(bytes(files[2].stat().st_size))
    problems = ("has 100 bytes of", "is missing", "is no Parquet file any more")
    found = {str(each.path): each for each in find_damage(lake.storage)}
    for file, problem, count in zip(files, problems, rows, strict=True):
        assert found[str(file)].problem.startswith(problem)
        assert found[str(file)].lost == f"{count:,} rows of events"
    assert len(found) == 3


def file_rows(lake: Lake, file: Path) -> int:
    (rows,) = (each.rows for each in lake.table("events").files() if (lake.root / "events" / each.path) == file)
    return rows


def test_an_entry_before_the_newest_checkpoint_may_be_gone(lake: Lake) -> None:
    DeltaTable(str(lake.root / "events")).create_checkpoint()
    (lake.root / "events" / "_delta_log" / f"{1:020}.json").unlink()
    assert said(lake) == []


def cut(file: Path) -> str:
    os.truncate(file, 100)
    return "was cut or overwritten"


def empty(file: Path) -> str:
    os.truncate(file, 0)
    return "is empty"


def gone(file: Path) -> str:
    file.unlink()
    return "is missing"


@pytest.fixture
def checkpoint(lake: Lake) -> Path:
    """Returns the newest checkpoint of the events, before the last entry."""
    DeltaTable(str(lake.root / "events")).create_checkpoint()
    lake.append("events", lake_rows(lake.root / "more", 2))
    (file,) = (lake.root / "events" / "_delta_log").glob("*.checkpoint.parquet")
    return file


@pytest.mark.parametrize("damage", [cut, empty, gone])
def test_a_checkpoint_whose_entries_are_there_is_named_and_going_on_without_it_loses_nothing(
    lake: Lake, checkpoint: Path, damage: Callable[[Path], str]
) -> None:
    rows = DeltaTable(str(lake.root / "events")).count()
    problem = damage(checkpoint)
    (found,) = find_damage(lake.storage)
    assert (found.path, found.problem) == (checkpoint, problem)
    assert found.lost == "nothing: the entries before it say the same"
    hint = checkpoint.with_name("_last_checkpoint")
    assert f"move {checkpoint} (where it is there) and {hint} away" in found.advice
    checkpoint.unlink(missing_ok=True)
    hint.unlink()
    assert said(lake) == []
    assert DeltaTable(str(lake.root / "events")).count() == rows


@pytest.mark.parametrize("damage", [cut, empty, gone])
def test_a_checkpoint_whose_entries_are_gone_is_named_with_what_it_alone_knew(
    lake: Lake, checkpoint: Path, damage: Callable[[Path], str]
) -> None:
    checkpoint.with_name(f"{0:020}.json").unlink()
    problem = damage(checkpoint)
    (found,) = find_damage(lake.storage)
    assert (found.path, found.problem) == (checkpoint, problem)
    assert (
        found.lost == f"which files events had up to version {int(checkpoint.name[:20])}; its rows cannot be told apart"
    )
    assert "restore lake and log from one backup" in found.advice


@pytest.mark.parametrize("hint", ["", "{", "[]", '{"version": "x"}'])
def test_a_hint_that_says_nothing_is_no_damage(lake: Lake, checkpoint: Path, hint: str) -> None:
    checkpoint.with_name("_last_checkpoint").write_text(hint)
    assert said(lake) == []
