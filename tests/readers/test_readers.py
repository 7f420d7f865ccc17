"""Every kind of reader opens the published file a thousand times while events stream in and a run trains."""

import datetime as dt
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from tests.e2e.running import RunningService
from tests.readers import reader
from tests.support.waiting import until

HERE = Path(__file__).parent
TOOLS = HERE.parents[1] / ".tools" / "duckdb"
Opening = list[int]
OPENINGS = 1_000


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RunningService]:
    running = RunningService(tmp_path, schedule="20s")
    yield running
    running.stop()


def by_python(folder: str | None, file: Path, openings: int) -> list[str]:
    environment = {**os.environ, "PYTHONPATH": str(TOOLS / folder) if folder else ""}
    return _lines([sys.executable, str(HERE / "reader.py"), str(file), str(openings)], environment)


def by_cli(folder: str, file: Path, openings: int) -> list[str]:
    program = str(TOOLS / folder / "bin" / "duckdb")
    query = f"SELECT '[\"' || version() || '\", ' || concat_ws(', ', #1, #2, #3, #4) || ']' FROM ({reader.QUERY})"
    query = query.replace("#", "answer.c").replace(f"({reader.QUERY})", f"({reader.QUERY}) AS answer(c1, c2, c3, c4)")
    command = [program, "-readonly", "-noheader", "-list", str(file), "-c", query]
    environment = {**os.environ, "PYTHONPATH": str(TOOLS / folder)}
    return [line for _ in range(openings) for line in _lines(command, environment)]


def by_jdbc(_: str | None, file: Path, openings: int) -> list[str]:
    (driver,) = (TOOLS / "jdbc").glob("duckdb_jdbc-*.jar")
    return _lines(["java", "-cp", str(driver), str(HERE / "Reader.java"), str(file), str(openings)], dict(os.environ))


def _lines(command: list[str], environment: dict[str, str]) -> list[str]:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout.splitlines()


READERS = [
    (by_python, None, 300, "2."),
    (by_python, "duckdb-1.4.5", 200, "1.4."),
    (by_python, "duckdb-1.5.6", 200, "1.5."),
    (by_cli, "duckdb-cli-1.4.4", 50, "v1.4."),
    (by_cli, "duckdb-cli-1.5.6", 50, "v1.5."),
    (by_jdbc, None, 200, "v1.5."),
]


def events(batch: int) -> list[dict[str, object]]:
    """Returns a batch of what viewers do, and a clip that they do it with."""
    now = dt.datetime.now(dt.UTC).isoformat()
    numbers = range(batch * 200, batch * 200 + 200)
    clip = {
        "clip_id": f"c{batch}", "prompt": {"text": f"prompt {batch % 30}"}, "duration_ms": 8_000, "task": "t2v",
        "model": {"name": "m", "version": str(batch % 3)},
    }  # fmt: skip
    made: list[tuple[str, str, dict[str, object]]] = [
        ("clip_registered", f"c{batch}", clip),
        *(
            ("impression", f"i{n}", {"impression_id": f"i{n}", "clip_id": f"c{batch}", "viewer_id": f"v{n % 99}"})
            for n in numbers
        ),
        *(("watched", f"w{n}", {"impression_id": f"i{n}", "watched_ms": n % 9_000}) for n in numbers),
    ]
    head = {"specversion": "1.0", "source": "/readers-test", "time": now}
    return [{**head, "id": id_, "type": f"clapometer.{kind}.v1", "data": data} for kind, id_, data in made]


def test_a_thousand_openings_by_every_reader_during_loading_and_training(service: RunningService) -> None:
    key = service.secret_key()
    service.start("serving")
    published = service.lake / "clapometer.duckdb"
    until(published.exists)
    done = threading.Event()

    def send() -> int:
        batch = 0
        while not done.wait(0.5):
            batch += 1
            assert service.post("/v1/events", key, events(batch))["accepted"] == 401
        return batch

    with ThreadPoolExecutor(len(READERS) + 1) as pool:
        sending = pool.submit(send)
        running = [pool.submit(read, folder, published, openings) for read, folder, openings, _ in READERS]
        try:
            answers = [each.result() for each in running]
        finally:
            done.set()
    assert sending.result() > 5
    assert sum(map(len, answers)) == OPENINGS
    for lines, (*_, release) in zip(answers, READERS, strict=True):
        opened = [json.loads(line) for line in lines]
        assert all(version.startswith(release) for version, *_ in opened)
        shown = [numbers[:3] for _, *numbers in opened]
        assert all(later >= earlier for earlier, later in pairwise(shown)), "a later opening shows no earlier snapshot"
        assert shown[-1][1] > shown[0][1], "it saw events come in"
    assert service.stop() == 0
