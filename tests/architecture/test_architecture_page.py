"""The picture of the rooms and the ways through them are those of the code."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "architecture.md"
LINKS = re.findall(r"\[`(\w[\w.]*)`\]\(\.\./\.\./([^)]+)\)", PAGE.read_text())
QUESTIONS = [line for line in PAGE.read_text().split("## Where is it?")[1].splitlines() if line.startswith("| ")][2:]


def test_the_picture_shows_the_rooms_and_imports_as_they_are() -> None:
    drawn = runpy.run_path(str(ROOT / "scripts" / "architecture.py"))
    assert drawn["architecture"]() == PAGE.read_text(), "run python scripts/architecture.py"


def test_no_room_is_reached_from_itself() -> None:
    drawn = runpy.run_path(str(ROOT / "scripts" / "architecture.py"))
    arrows = drawn["imports"]()
    assert {room for room in arrows if room in drawn["reached"](arrows, room)} == set()


@pytest.mark.parametrize(("name", "path"), LINKS, ids=str)
def test_what_the_ways_name_is_where_they_say(name: str, path: str) -> None:
    text = (ROOT / path).read_text()
    assert name == Path(path).name or re.search(rf"^\s*(async )?(def|class) {name}\b|^{name}\b.*=", text, re.MULTILINE)


@pytest.mark.parametrize("question", QUESTIONS)
def test_each_question_of_a_newcomer_is_answered_by_one_room_and_at_most_two_files(question: str) -> None:
    _, _, room, files, _ = question.split("|")
    assert room.count("`") == 2
    assert 1 <= files.count("](") <= 2


def test_both_ways_have_numbered_steps() -> None:
    ways = PAGE.read_text().split("\n## The walk of ")[1:]
    steps = [re.findall(r"^(\d+)\. .*\]\(", way.split("\n## ")[0], re.MULTILINE) for way in ways]
    assert [len(each) for each in steps] == [8, 8]
