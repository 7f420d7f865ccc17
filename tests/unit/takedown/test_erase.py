"""A viewer who is erased is gone from every byte of log and lake; everybody else is still there."""

import datetime as dt
import itertools
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from tests.support.builders import NOW, block, event, impression, registered, watched
from tests.support.waiting import until

from clapometer.domain import InputError, reject
from clapometer.eventlog import EmbeddedLog
from clapometer.folding.fold import refresh_outcomes
from clapometer.lake.delta.table import Table
from clapometer.lake.ledger import ledger_difference
from clapometer.lake.lock import TrainingLockedError, no_training
from clapometer.lake.tables import Lake
from clapometer.loading.loader import Loader, LoadSettings
from clapometer.takedown import erase
from clapometer.takedown.erase import ErasureReport, erase_viewers, pending
from clapometer.takedown.rewrite import rewrite
from clapometer.training.train import train_once
from clapometer.upkeep.merge import UpkeepSettings, compact

VIEWER, OTHER = "viewer-7f3a91d2c4", "viewer-who-stays"
PLAYED = {VIEWER: 10, OTHER: 4000}
"""What each watches of a clip: the one likes all without having seen any, as a bot does."""


def clock() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def blocks() -> list[bytes]:
    """Requests that name both viewers: accepted events, votes, a refused event, in nine files and a clip of theirs."""
    made = [block([registered("c1"), registered("c2", clip="theirs", lineage={"creator_id": VIEWER})], trust="key")]
    for n in range(9):
        shown = [impression(f"{viewer} {n}", viewer=viewer) for viewer in (VIEWER, OTHER)]
        seen = [watched(f"w {viewer} {n}", impression=f"{viewer} {n}", ms=ms) for viewer, ms in PLAYED.items()]
        seen.append(event("reacted", f"r{n}", {"impression_id": f"{VIEWER} {n}", "reaction": "like"}))
        ballot = {"left_impression_id": f"{VIEWER} {n}", "right_impression_id": f"{OTHER} {n}", "result": "left"}
        made.append(block([*shown, *seen, event("voted", f"v{n}", ballot)], trust="key"))
    for viewer in (VIEWER, OTHER):
        raw = msgspec.json.encode({"viewer_id": viewer, "propensity": 2})
        made.append(block([], rejected=[reject(raw, InputError("no propensity", "propensity"), 0)]))
    return made


def load(log: EmbeddedLog, lake: Lake, *written: bytes) -> None:
    loader = Loader(log, lake, LoadSettings(threads=1), clock=lambda: NOW)
    for one in written:  # a commit each, so that there are many files
        log.append_many([one])
        loader.load_once()
    loader.close()


def order(viewer: str = VIEWER, tenant: str = "default") -> bytes:
    return block([event("viewer_erased", f"erase {viewer}", {"viewer_id": viewer})], tenant=tenant, trust="key")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log and a lake that was folded, ranked and compacted: the viewer is in old and new files of several tables."""
    folder = tmp_path_factory.mktemp("made")
    log, lake = EmbeddedLog(folder / "log"), Lake(folder / "lake")
    load(log, lake, *blocks())
    refresh_outcomes(lake)
    compact(lake, UpkeepSettings())
    train_once(lake, clock=clock)
    theirs = registered("c3", clip="also theirs", lineage={"creator_id": VIEWER})
    load(log, lake, block([event("viewer_erased", f"erase {VIEWER}", {"viewer_id": VIEWER}), theirs], trust="key"))
    log.close()
    return folder


@pytest.fixture
def log(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[EmbeddedLog]:
    if "lake" in request.fixturenames:
        shutil.copytree(request.getfixturevalue("made"), tmp_path, dirs_exist_ok=True)
    log = EmbeddedLog(tmp_path / "log")
    yield log
    log.close()


@pytest.fixture
def lake(tmp_path: Path, log: EmbeddedLog) -> Lake:
    return Lake(tmp_path / "lake")


def holders(folder: Path, text: str) -> list[str]:
    """Returns the files below a folder that hold a text, in their bytes or in the rows that they encode."""
    found = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        held = text.encode() in path.read_bytes()
        if path.suffix == ".parquet":
            held = held or text in repr(pq.ParquetFile(path).read().to_pylist())
        if held:
            found.append(str(path.relative_to(folder)))
    return found


def rows(lake: Lake, query: str) -> list[tuple]:
    with lake.connect(threads=1) as connection:
        return [tuple(row.values()) for row in connection.sql(query).to_arrow_table().to_pylist()]


def test_nothing_of_an_erased_viewer_is_left_in_any_file(tmp_path: Path, log: EmbeddedLog, lake: Lake) -> None:
    assert len(holders(tmp_path, VIEWER)) > 4
    kept = list((lake.storage.cache / "outcomes").iterdir())
    assert {path.name.rpartition("-")[0] for path in kept} == {path.stem for path in lake.files("outcomes")}
    report = erase_viewers(lake, clock=clock, log=log)
    log.close()
    assert holders(tmp_path, VIEWER) == []
    assert not any(path.exists() for path in kept)
    assert len(holders(tmp_path / "lake", OTHER)) > 1
    assert report.viewers == 1
    assert report.rows == {"events": 9 * 4 + 3, "outcomes": 9, "rejected": 1, "screened": 1}


def test_a_viewer_that_training_took_for_a_bot_is_erased_from_what_it_left_out(log: EmbeddedLog, lake: Lake) -> None:
    assert rows(lake, "SELECT item FROM screened WHERE subject = 'viewer'") == [(VIEWER,)]
    erase_viewers(lake, clock=clock, log=log)
    assert rows(lake, "SELECT item FROM screened WHERE subject = 'viewer'") == []


def test_everything_else_stays_and_the_ledger_adds_up(log: EmbeddedLog, lake: Lake) -> None:
    erase_viewers(lake, clock=clock, log=log)
    assert ledger_difference(lake) == 0
    assert rows(lake, "SELECT sum(suppressed) FROM ledger") == [(9 * 4 + 1,)]
    assert rows(lake, "SELECT viewer_id, count(*) FROM outcomes GROUP BY 1") == [(OTHER, 9)]
    assert rows(lake, "SELECT count(*) FILTER (raw != ''), count(*) FROM rejected") == [(1, 2)]
    assert rows(lake, "SELECT clip_id, lineage_creator_id FROM events WHERE clip_id = 'theirs'") == [("theirs", None)]


def test_outcomes_are_those_that_a_fold_without_the_viewer_gives(log: EmbeddedLog, lake: Lake) -> None:
    erase_viewers(lake, clock=clock, log=log)
    left = rows(lake, "SELECT * FROM outcomes ORDER BY impression_id")
    refresh_outcomes(lake, full=True)
    assert rows(lake, "SELECT * FROM outcomes ORDER BY impression_id") == left


def test_the_register_proves_it_without_the_id(log: EmbeddedLog, lake: Lake) -> None:
    report = erase_viewers(lake, clock=clock, log=log)
    ((erasure_id, tenant, viewers, requested, finished, removed),) = rows(lake, "SELECT * FROM erasures")
    assert (erasure_id, tenant, viewers) == (report.erasure_id, "default", 1)
    assert requested == NOW
    assert finished > requested
    assert msgspec.json.decode(removed) == dict(report.rows)


def test_an_erasure_is_done_once(log: EmbeddedLog, lake: Lake) -> None:
    erase_viewers(lake, clock=clock, log=log)
    assert erase_viewers(lake, clock=clock, log=log).viewers == 0
    assert rows(lake, "SELECT count(*) FROM erasures") == [(1,)]


def test_a_viewer_of_another_tenant_with_the_same_id_stays(tmp_path: Path, log: EmbeddedLog) -> None:
    lake = Lake(tmp_path / "lake")
    load(log, lake, block([impression("a", viewer=VIEWER)]), block([impression("b", viewer=VIEWER)], tenant="other"))
    load(log, lake, order())
    erase_viewers(lake, clock=clock, log=log)
    assert rows(lake, "SELECT tenant FROM impressions") == [("other",)]


def test_while_a_training_runs_nothing_is_changed_under_it(log: EmbeddedLog, lake: Lake) -> None:
    with no_training(lake), pytest.raises(TrainingLockedError, match="was not started"):
        erase_viewers(lake, clock=clock, log=log)
    assert pending(lake).num_rows == 1
    assert erase_viewers(lake, clock=clock, log=log).viewers == 1


def test_events_after_an_erasure_are_loaded_and_trained_on(log: EmbeddedLog, lake: Lake) -> None:
    erase_viewers(lake, clock=clock, log=log)
    load(log, lake, block([impression("later", viewer=OTHER)], trust="key"))
    assert train_once(lake, clock=clock).run.error is None
    assert rows(lake, "SELECT count(*) FROM outcomes") == [(10,)]
    assert ledger_difference(lake) == 0


def test_a_running_loader_erases_by_itself(tmp_path: Path, log: EmbeddedLog, lake: Lake) -> None:
    stop = threading.Event()
    settings = LoadSettings(threads=1, upkeep=UpkeepSettings(interval_s=0.05))
    loader = Loader(log, lake, settings, clock=clock)
    thread = threading.Thread(target=loader.run, args=(stop,))
    thread.start()
    try:
        until(lambda: rows(lake, "SELECT count(*) FROM erasures") == [(1,)], every=0.1)
    finally:
        stop.set()
        thread.join()
        loader.close()
    log.close()
    assert holders(tmp_path, VIEWER) == []


STEPS = [
    *[("rewrite", n) for n in range(2, 6)],
    *[("stale_files", n) for n in range(1, 6)],
    *[(name, 1) for name in ("_register", "settle", "drop_kept", "delete", "purge", "_delete_orders")],
    *[("commit", n) for n in range(4, 9)], ("append", 1), ("append", 2), ("publish", 1), ("publish", 2), ("delete", 2),
]  # fmt: skip
"""What an erasure does after its first rewrite: which call of what."""


def fail(patched: pytest.MonkeyPatch, on: object, name: str, nth: int) -> None:
    """Lets the nth call of a function fail before it does anything."""
    real, calls = getattr(on, name), itertools.count(1)

    def failing(*args: object, **kwargs: object) -> object:
        if next(calls) == nth:
            msg = "the disk failed"
            raise OSError(msg)
        return real(*args, **kwargs)

    patched.setattr(on, name, failing)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{step[0]}-{step[1]}")
def test_an_erasure_that_fails_at_a_step_is_done_by_the_next_one(
    tmp_path: Path, log: EmbeddedLog, lake: Lake, step: tuple[str, int]
) -> None:
    name, nth = step
    with pytest.MonkeyPatch.context() as patched:
        fail(patched, {"delete": lake, "append": lake, "commit": Table}.get(name, erase), name, nth)
        with pytest.raises(OSError, match="the disk failed"):
            erase_viewers(lake, clock=clock, log=log)
    erase_viewers(lake, clock=clock, log=log)
    log.close()
    assert holders(tmp_path, VIEWER) == []
    assert rows(lake, "SELECT viewers FROM erasures") == [(1,)]
    assert rows(lake, "SELECT viewer_id, count(*) FROM outcomes GROUP BY ALL") == [(OTHER, 9)]
    assert ledger_difference(lake) == 0
    assert erase_viewers(lake, clock=clock) == ErasureReport()


def test_what_a_loader_adds_while_an_erasure_runs_goes_with_its_impression(
    log: EmbeddedLog, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = [impression("late", viewer=VIEWER), watched("w late", impression="late")]
    real = rewrite

    def loading(lake: Lake, name: str, *rest: Any, **named: Any) -> object:
        if name == "events" and late:
            load(log, Lake(lake.root), block([late.pop(0), late.pop(0)], trust="key"))
        return real(lake, name, *rest, **named)

    monkeypatch.setattr(erase, "rewrite", loading)
    erase_viewers(lake, clock=clock, log=log)
    assert rows(lake, "SELECT type FROM events WHERE impression_id = 'late'") == []
    assert ledger_difference(lake) == 0


def test_orders_that_come_while_an_erasure_is_done_again_are_registered_once_each(
    tmp_path: Path, log: EmbeddedLog, lake: Lake
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        fail(patched, erase, "publish", 1)
        with pytest.raises(OSError, match="the disk failed"):
            erase_viewers(lake, clock=clock, log=log)
    load(log, lake, order(OTHER))
    report = erase_viewers(lake, clock=clock, log=log)
    log.close()
    assert report.viewers == 2
    assert rows(lake, "SELECT viewers FROM erasures") == [(1,), (1,)]
    assert (holders(tmp_path, VIEWER), holders(tmp_path, OTHER)) == ([], [])


QUOTES = {
    "number": ("12345678901", b'{"viewer_id": 12345678901, "propensity": 2}'),
    "number cut off": ("12345678901", b'{"viewer_id": 12345678901, "prop'),
    "escaped as Python does": ("jos\u00e9-9f3a", rb'{"viewer_id": "jos\u00e9-9f3a"}'),
    "escaped in capitals": ("jos\u00e9-9f3a", rb'{"viewer_id": "jos\u00E9-9f3a"}'),
    "escaped and cut off": ("jos\u00e9-9f3a", rb'{"viewer_id": "jos\u00e9-9f3a", "pro'),
    "escaped as PHP does": ("a/b-9f3a77", rb'{"data": [{"viewer_id": "a\/b-9f3a77"}]}'),
    "escaped as PHP does and cut off": ("a/b-9f3a77", rb'{"viewer_id": "a\/b-9f3a77", "x": "'),
    "escaped without need": ("abc-9f3a77", rb'{"viewer_id": "\u0061bc-9f3a77"}'),
    "not UTF-8": ("jos\u00e9-9f3a", b'{"viewer_id": "jos\xc3\xa9-9f3a", "x": "\xff"}'),
    "not UTF-8, a number": ("12345678901", b'{"viewer_id":12345678901, "x": "\xff"}'),
    "a NUL": ("abc-9f3a77", b'{"viewer_id": "abc-9f3a77"}\0'),
    "nothing else": ("abc-9f3a77", b'"abc-9f3a77"'),
    "only the number": ("12345678901", b"12345678901"),
    "an impression": ("abc-9f3a77", rb'{"impression_id": "shown \u0031", "watched_ms": -1}'),
    "an impression, cut off": ("abc-9f3a77", b'{"impression_id": "shown 1", "watched_'),
    "an impression, a number": ("abc-9f3a77", b'{"impression_id": 77, "watched_ms": -1}'),
}


def test_dead_letters_are_known_by_what_they_say_not_by_how_it_is_spelled(tmp_path: Path, log: EmbeddedLog) -> None:
    others = [
        b'{"viewer_id": 123456789012}', b'{"viewer_id": "123456789010"', b'{"position": 77}', b"x12345678901 y", b"",
        b'{"viewer_id": "jos\xc3\xa8-9f3a"}', b"\xff\xfe", b"{", b'"shown 12"', b'{"a/b": "9f3a77"}', b'{"x": "\\',
    ]  # fmt: skip
    lake = Lake(tmp_path / "lake")
    viewers = sorted({viewer for viewer, _ in QUOTES.values()})
    shown = [impression("shown 1", viewer="abc-9f3a77"), impression("77", viewer="abc-9f3a77")]
    raws = [*(raw for _, raw in QUOTES.values()), *others]
    letters = [reject(raw, InputError(f"{n}", "x"), 0) for n, raw in enumerate(raws)]
    load(log, lake, block(shown, rejected=letters, trust="key"), block([], rejected=letters, tenant="other"))
    load(log, lake, *(order(viewer) for viewer in viewers))
    erase_viewers(lake, clock=clock, log=log)
    blank = rows(lake, "SELECT CAST(reason AS INT) FROM rejected WHERE encoding = 'erased' ORDER BY 1")
    assert [list(QUOTES)[n] if n < len(QUOTES) else others[n - len(QUOTES)] for (n,) in blank] == list(QUOTES)
    assert rows(lake, "SELECT DISTINCT tenant FROM rejected WHERE encoding = 'erased'") == [("default",)]


PROGRAM = """
import datetime as dt, sys
from clapometer.eventlog import EmbeddedLog
from clapometer.takedown.erase import erase_viewers
from clapometer.lake.tables import Lake
from clapometer.lake.delta.table import Table
lake, log = Lake(sys.argv[1] + "/lake"), EmbeddedLog(sys.argv[1] + "/log")
print("go", flush=True)
erase_viewers(lake, clock=lambda: dt.datetime.now(dt.UTC), log=log)
"""


@pytest.mark.parametrize("milliseconds", [20, 60, 150, 300])
def test_an_erasure_that_is_killed_is_done_by_the_next_one(
    tmp_path: Path, log: EmbeddedLog, lake: Lake, milliseconds: int
) -> None:
    log.close()
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        process.wait(milliseconds / 1000)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    process.communicate()
    again = EmbeddedLog(tmp_path / "log")
    erase_viewers(Lake(lake.root), clock=clock, log=again)
    again.close()
    assert ledger_difference(Lake(lake.root)) == 0
    assert rows(Lake(lake.root), "SELECT count(*) FROM impressions") == [(9,)]
