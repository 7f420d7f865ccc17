"""``clapometer sql`` and ``clapometer open``, as a user runs them."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from rich.console import Console
from tests.support.event_rows import clip, events_table, impression

from clapometer.cli.sql import lake_connection
from clapometer.domain import InputError
from clapometer.lake.published.publish import publish
from clapometer.lake.tables import Lake
from clapometer.operation import sql_shell, wiring
from clapometer.settings import Settings
from clapometer.training.train import train_once

COUNT = "SELECT count(*) AS n FROM outcomes"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with a run over three impressions, and three more impressions since."""
    lake = Lake(tmp_path_factory.mktemp("sql") / "lake")
    lake.append("events", events_table([clip("c1"), clip("c2", model="m2"), *(impression(f"i{n}") for n in range(3))]))
    train_once(lake, clock=wiring.utc_now)
    lake.append("events", events_table([impression(f"later {n}") for n in range(3)]))
    train_once(lake, clock=wiring.utc_now)
    publish(lake)
    return lake.root


def run(root: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "clapometer.cli.main", *arguments], input=stdin.encode(), capture_output=True,
        env={"CLAPOMETER_LAKE": str(root), "HOME": str(root), "PATH": ""}, cwd=root, check=False,
    )  # fmt: skip


def runs(root: Path) -> list[str]:
    with lake_connection(Settings(lake=root), None) as connection:
        return [run_id for (run_id,) in connection.execute("SELECT run_id FROM runs ORDER BY started_at").fetchall()]


def test_an_answer_comes_in_every_form(root: Path, tmp_path: Path) -> None:
    assert "│ 6 │" in run(root, "sql", COUNT).stdout.decode().replace("     ", " ").replace("  ", " ")
    assert list(csv.reader(io.StringIO(run(root, "sql", COUNT, "--format", "csv").stdout.decode()))) == [["n"], ["6"]]
    assert json.loads(run(root, "sql", "-", "--format", "json", stdin=COUNT).stdout) == {"n": 6}
    with pa.ipc.open_stream(run(root, "sql", COUNT, "--format", "arrow").stdout) as stream:
        assert stream.read_all().to_pylist() == [{"n": 6}]
    done = run(root, "sql", COUNT, "--format", "parquet", "--output", str(tmp_path / "n.parquet"))
    assert done.returncode == 0, done.stderr
    assert pq.read_table(tmp_path / "n.parquet").to_pylist() == [{"n": 6}]


def test_a_wrong_statement_is_one_line_and_exit_code_2(root: Path) -> None:
    done = run(root, "sql", "SELECT nope FROM outcomes")
    assert done.returncode == 2
    assert b"nope" in done.stderr
    assert b"Traceback" not in done.stderr


def test_the_lake_cannot_be_changed(root: Path) -> None:
    assert run(root, "sql", "DROP VIEW outcomes").returncode == 2
    assert json.loads(run(root, "sql", COUNT, "--format", "json").stdout) == {"n": 6}


def test_a_run_shows_the_lake_that_it_read(root: Path) -> None:
    first, second = runs(root)
    for run_id, impressions, known in ((first, 3, 1), (second, 6, 2)):
        with lake_connection(Settings(lake=root), run_id) as connection:
            assert connection.execute(COUNT).fetchall() == [(impressions,)]
            assert connection.execute("SELECT count(*) FROM runs").fetchall() == [(known,)]
            assert connection.execute("SELECT DISTINCT run_id FROM rankings_current").fetchall() == [(run_id,)]


def test_a_time_shows_the_lake_of_that_time(root: Path) -> None:
    with lake_connection(Settings(lake=root), None) as connection:
        ((finished,),) = connection.execute(
            "SELECT strftime(min(finished_at), '%Y-%m-%dT%H:%M:%S.%fZ') FROM runs"
        ).fetchall()
    with lake_connection(Settings(lake=root), finished) as connection:
        assert connection.execute(COUNT).fetchall() == [(3,)]


@pytest.mark.parametrize(
    ("as_of", "reason"),
    [
        ("2001-01-01T00:00:00Z", "is not kept as of"),
        ("no-such-run", "neither a time"),
        ("2026-01-01T00:00:00", "no zone"),
    ],
)
def test_a_time_or_run_that_is_not_kept_is_refused_with_what_is(root: Path, as_of: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason), lake_connection(Settings(lake=root), as_of):
        pass


def test_without_a_lake_it_says_what_makes_one(tmp_path: Path) -> None:
    done = run(tmp_path, "sql", COUNT)
    assert done.returncode == 3
    assert b"clapometer up" in done.stderr


def test_open_prints_the_file_and_names_a_program_that_is_missing(root: Path) -> None:
    assert run(root, "open").stdout.decode().strip() == str(root / "clapometer.duckdb")
    done = run(root, "open", "--with", "harlequin")
    assert done.returncode == 2
    assert b"harlequin" in done.stderr


def test_the_shell_takes_statements_over_several_lines_and_keeps_a_history(root: Path, tmp_path: Path) -> None:
    shown = Console(record=True, width=100, file=io.StringIO())
    with create_pipe_input() as keyboard, lake_connection(Settings(lake=root), None) as connection:
        keyboard.send_text("SELECT count(*) AS counted\rFROM outcomes;\rSELECT nope;\r.tables\r.quit\r")
        sql_shell.run(connection, tmp_path, keyboard=keyboard, screen=DummyOutput(), console=shown)
    text = shown.export_text()
    assert "counted" in text
    assert "6" in text
    assert "Binder Error" in text
    assert "rankings_current" in text
    assert "FROM outcomes;" in (tmp_path / "sql-history").read_text()


def test_the_shell_completes_tables_columns_and_keywords(root: Path) -> None:
    with lake_connection(Settings(lake=root), None) as connection:
        words = sql_shell.words(connection)
    assert {"outcomes", "impression_id", "SELECT", "approx_count_distinct"} <= set(words)
