"""The columns of rankings have one list; lake, answers and the SQL that answers give follow it."""

import msgspec

from clapometer.domain.results.rankings import COLUMNS, WHICH
from clapometer.lake.specs import SPECS
from clapometer.serving.reading.answers import NotRanked, Run, Standing
from clapometer.serving.reading.reproduction import reproduction

OURS = {"completion_rank"}
"""What an answer adds: computed from the others."""


def test_the_lake_has_the_columns_of_the_model() -> None:
    assert tuple(SPECS["rankings"].columns.names) == (*WHICH, *COLUMNS)


def test_an_answer_shows_every_column_of_an_item() -> None:
    shown = {field.name for field in msgspec.structs.fields(Standing)} - OURS
    assert shown == set(COLUMNS) - {"unranked_reason"}
    assert {field.name for field in msgspec.structs.fields(NotRanked)} - {"reason"} <= shown


def test_the_sql_of_an_answer_asks_for_every_column_that_the_answer_shows() -> None:
    told = reproduction(
        tenant="t", run_id="r", subject="prompts", segment="all", segment_value="", limit=1, offset=0
    ).sql
    asked = told.removeprefix("SELECT ").partition(" FROM ")[0].split(", ")
    assert asked == list(COLUMNS)


def test_an_answer_shows_every_column_of_a_run() -> None:
    assert {field.name for field in msgspec.structs.fields(Run)} == set(SPECS["runs"].columns.names) - {"tenant"}
