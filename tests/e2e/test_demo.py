"""``clapometer demo`` as its user runs it: real processes, real HTTP, a ranking beside the truth."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.support.waiting import until
from tests.unit.traffic.recorded.test_kuairand import HEADER

SMALL = ["--prompts", "400", "--sessions", "2800"]
SAMPLE = ["--kuairand", "data/kuairand"]


def views(n: int) -> str:
    """Returns rows of KuaiRand; every tenth is an image post, and every hundredth is there twice."""
    draw = random.Random(7)
    rows = []
    for i in range(n):
        video = draw.randrange(40)
        duration = 0 if video % 10 == 0 else 5_000 + 500 * video
        play, liked = draw.randrange(12_000), draw.randrange(2)
        row = [draw.randrange(30), video, "d", "h", 1_649_600_000_000 + 60_000 * i, 1, 0, 0, 0, 0, play, duration]
        line = "\t".join(map(str, [*row, 0, 0, liked, "t"]))
        rows += [line] * (2 if i % 100 == 1 else 1)
    return HEADER + "\n".join(rows) + "\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder to run the demo in, with a small sample in ``data/kuairand``."""
    sample = tmp_path / "data" / "kuairand"
    sample.mkdir(parents=True)
    (sample / "reactions.tsv").write_text(views(600))
    subprocess.run(["gzip", str(sample / "reactions.tsv")], check=True)
    return tmp_path


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CLAPOMETER_")}
    with subprocess.Popen(
        [sys.executable, "-m", "clapometer.cli.main", "demo", *arguments],
        cwd=folder, env=clean, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.terminate()


def run(folder: Path, *arguments: str) -> tuple[int, str, str]:
    with started(folder, *arguments) as process:
        output, errors = process.communicate(timeout=300)
        return process.returncode, output, errors


def parts_of(folder: Path) -> list[int]:
    """Returns the processes that work in the demo's folders."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            where = (entry / "cwd").readlink()
        except OSError:
            continue
        if where.is_relative_to(folder / ".demo"):
            found.append(int(entry.name))
    return found


@pytest.fixture
def nothing_left(folder: Path) -> Iterator[None]:
    yield
    assert parts_of(folder) == []


@pytest.mark.usefixtures("nothing_left")
def test_the_whole_loop_adds_up_and_beats_the_completion_rate(folder: Path) -> None:
    code, output, errors = run(folder, *SMALL, *SAMPLE, "--summary", "summary.json")
    assert code == 0, errors
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    assert summary["ledger_difference"] == 0
    assert summary["acknowledged"] == summary["received"] == summary["stored"] + summary["duplicates"]
    assert summary["rejected"] == 0
    assert summary["repeated_rows"] > 0
    assert summary["duplicates"] == 3 * summary["repeated_rows"]  # impression, watched, reaction
    assert summary["tau"] > summary["tau_completion_rate"]
    assert sum(summary["excluded"].values()) > 1_000  # what the fake accounts did
    with duckdb.connect(f"{summary['lake']}/clapometer.duckdb", read_only=True) as lake:
        stored = lake.execute("SELECT count(*) FROM events").fetchone()
    assert stored == (summary["stored"],)
    for said in (
        "beside the truth",
        "Kendall's tau",
        "completion rate puts",
        "unranked: kuairand@real",
        "clapometer.duckdb",
    ):
        assert said in output


def test_kept_it_stays_up_and_says_how_to_stop_it(folder: Path) -> None:
    code, output, errors = run(folder, *SMALL, *SAMPLE, "--keep", "--summary", "summary.json", "--lake", "kept")
    assert code == 0, errors
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["lake"] == str(folder / "kept")
    assert f"kill {summary['pid']}" in output
    try:
        with urllib.request.urlopen(f"{summary['addresses']['serving']}/", timeout=120) as page:
            assert b"Clapometer" in page.read()
    finally:
        os.kill(summary["pid"], signal.SIGTERM)
    until(lambda: parts_of(folder) == [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("nothing_left")
def test_a_signal_ends_it_with_all_its_processes(folder: Path, number: signal.Signals) -> None:
    with started(folder, "--prompts", "2000", "--sessions", "60000") as process:
        until(lambda: len(parts_of(folder)) >= 5, seconds=150)
        process.send_signal(number)
        process.communicate(timeout=300)
        assert process.returncode != 0


def test_a_folder_without_a_sample_is_named(tmp_path: Path) -> None:
    code, _, errors = run(tmp_path, "--kuairand", "nothing-here")
    assert code == 2
    assert "nothing-here holds no reactions.tsv.gz" in errors
    assert not (tmp_path / ".demo").exists()


def test_who_reads_it_through_a_pipe_is_told_line_by_line_what_it_is_at(folder: Path) -> None:
    code, _, errors = run(folder, *SMALL, *SAMPLE)
    assert code == 0
    told = [line for line in errors.splitlines() if line.endswith(" s")]
    assert {line.split(":")[0] for line in told} >= {"set-up", "simulated world", "training"}


def test_a_lake_with_something_in_it_is_left_alone(folder: Path) -> None:
    (folder / "lake").mkdir()
    (folder / "lake" / "precious").touch()
    code, _, errors = run(folder, "--lake", "lake")
    assert code == 2
    assert "not empty" in errors
    assert [path.name for path in (folder / "lake").iterdir()] == ["precious"]


def test_a_port_that_is_taken_is_named(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, errors = run(folder, "--port", str(port))
    assert code == 2
    assert str(port) in errors
