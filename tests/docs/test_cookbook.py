"""Every question of the cookbook has an answer, in every DuckDB that the page promises."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.support.cookbook import questions

from clapometer.lake.tables import Lake

TOOLS = Path(__file__).parents[2] / ".tools" / "duckdb"
QUESTIONS = questions()
Row = dict[str, Any]


@pytest.fixture(scope="module")
def published(lake: Lake) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(lake.storage.published), read_only=True) as connection:
        yield connection


def answer(published: duckdb.DuckDBPyConnection, number: int) -> list[Row]:
    (query,) = [query for words, query in QUESTIONS.items() if words.startswith(f"{number}. ")]
    found: list[Row] = published.sql(query.rstrip().removesuffix(";")).to_arrow_table().to_pylist()
    return found


def test_there_are_twenty_questions() -> None:
    assert [words.split(".")[0] for words in QUESTIONS] == [str(number) for number in range(1, 21)]


@pytest.mark.parametrize("number", range(1, 21))
def test_every_question_has_an_answer_with_numbers_that_can_be(
    published: duckdb.DuckDBPyConnection, number: int
) -> None:
    rows = answer(published, number)
    assert rows
    numbers = [value for row in rows for value in row.values() if isinstance(value, float)]
    assert all(math.isfinite(value) for value in numbers)
    for row in rows:
        for name, value in row.items():
            if value is not None and (
                name.endswith(("_rate", "_share", "share_of_shown", "p_best")) or name == "share"
            ):
                assert 0 <= value <= 1, name
        for low, high in (("low", "high"), ("effect_low", "effect_high"), ("estimate_low", "estimate_high")):
            if row.get(low) is not None and high in row:
                assert row[low] <= row[high]


def test_the_answers_are_those_of_the_world(published: duckdb.DuckDBPyConnection) -> None:
    """What the simulated world is known to be like shows in the answers."""
    models = answer(published, 1)
    assert [row["rank"] for row in models[:3]] == [1, 2, 3]
    assert {row["tier"] for row in models} == {"B"}
    curve = [row["share"] for row in answer(published, 5)]
    assert curve == sorted(curve, reverse=True)
    assert curve[0] == 1 > curve[-1]
    lengths = answer(published, 6)
    rates = [row["completion_rate"] for row in lengths]
    assert rates == sorted(rates, reverse=True), "raw completion falls with length"
    assert all(abs(row["duration_adjusted_completion"] - 0.5) < 0.01 for row in lengths)
    assert {row["variant"] for row in answer(published, 10)} == {"on", "off"}
    assert [row["name"] for row in answer(published, 13)][0::7] == ["shown", "purchased"]
    blind = answer(published, 16)
    assert all(row["blind"] > row["positive"] / 2 for row in blind)
    events = {row["what"]: row["events"] for row in answer(published, 17)}
    assert events["refused: unknown event type"] == 1
    assert events["received but neither stored, duplicate, rejected nor suppressed"] == 0
    (taken,) = answer(published, 18)
    assert taken["impressions"] >= taken["after_withdrawal"] > 0
    (reported,) = answer(published, 15)
    assert (reported["negative"], reported["expected"] < 1) == (8, True)
    agreement = answer(published, 19)
    agreed = sum(row["votes"] * row["agreement"] for row in agreement) / sum(row["votes"] for row in agreement)
    assert agreed > 0.55, "what viewers do goes with what people vote"


@pytest.mark.parametrize("release", ["", "duckdb-1.4.5", "duckdb-1.5.6"], ids=lambda name: name or "this one")
def test_every_duckdb_fetches_the_same_answers_with_nothing_else_installed(
    lake: Lake, published: duckdb.DuckDBPyConnection, release: str, tmp_path: Path
) -> None:
    asked = list(QUESTIONS.values())
    (tmp_path / "asked.json").write_text(json.dumps(asked))
    program = (
        "import sys; sys.modules |= dict.fromkeys(('pytz', 'pandas', 'pyarrow'))\n"
        "import duckdb, json\n"
        "connection = duckdb.connect(sys.argv[1], read_only=True)\n"
        "asked = json.load(open(sys.argv[2]))\n"
        "print(json.dumps([len(connection.execute(query).fetchall()) for query in asked]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(lake.storage.published), str(tmp_path / "asked.json")],
        env={**os.environ, "PYTHONPATH": str(TOOLS / release)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    last_line = done.stdout.splitlines()[-1]  # a progress bar may come before
    assert json.loads(last_line) == [len(published.execute(query).fetchall()) for query in asked]


@pytest.mark.parametrize("release", ["duckdb-cli-1.4.4", "duckdb-cli-1.5.6"])
def test_the_statements_run_as_the_page_says(lake: Lake, release: str) -> None:
    program = str(TOOLS / release / "bin" / "duckdb")
    for words, query in QUESTIONS.items():
        done = subprocess.run(
            [program, "-readonly", "-csv", str(lake.storage.published), "-c", query],
            env={**os.environ, "PYTHONPATH": str(TOOLS / release)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{words}: {done.stderr}"
        assert len(done.stdout.splitlines()) >= 2, words
