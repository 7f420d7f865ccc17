"""A lake on an object store, over HTTP: loads, trains, publishes and is read as one in a folder."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
from tests.support.builders import block, watched
from tests.support.lakes import NOW, lake_of, traffic
from tests.support.object_store import CREDENTIALS, REGION, create_bucket, object_store
from tests.support.waiting import until

from clapometer.domain import InputError, TerminalError, TransientError
from clapometer.eventlog import EmbeddedLog
from clapometer.lake.damage import find_damage
from clapometer.lake.delta.bucket import Bucket
from clapometer.lake.delta.format import FORMAT, MARKER
from clapometer.lake.delta.storage import storage_at
from clapometer.lake.ledger import ledger_difference
from clapometer.lake.published.publish import follow, publish
from clapometer.lake.tables import Lake
from clapometer.loading.loader import Loader, LoadSettings
from clapometer.operation.damage import damage_behind, refuse_damaged_logs
from clapometer.settings import load_settings
from clapometer.training.train import reproduce, train_once
from clapometer.upkeep.merge import UpkeepSettings, compact, vacuum

KILLS = 8


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    with object_store() as address:
        yield address


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def place(store: str, request: pytest.FixtureRequest) -> str:
    bucket = f"b{abs(hash(request.node.name)):x}"
    create_bucket(store, bucket)
    return f"s3://{bucket}/some/lake"


def on_machine(folder: Path, place: str, store: str) -> Lake:
    """The lake as a machine with its own disk sees it."""
    return Lake(storage_at(place, folder, endpoint=store, region=REGION))


def test_a_lake_on_an_object_store_ranks_like_one_in_a_folder(tmp_path: Path, place: str, store: str) -> None:
    events = traffic()
    here = lake_of(tmp_path / "folder", events)
    there = on_machine(tmp_path / "copies", place, store)
    with here.connect() as con:
        there.append("events", con.sql("FROM events").to_arrow_table())
    expected, found = (train_once(lake, clock=lambda: NOW).run for lake in (here, there))
    assert found.status == "succeeded", found.error
    trained = on_machine(tmp_path / "another machine", place, store)
    rows = "SELECT subject, item, rank, effect_low, effect_high FROM rankings ORDER BY ALL"
    with here.connect() as one, trained.connect() as two:
        assert two.execute(rows).fetchall() == one.execute(rows).fetchall()
    assert found.outcomes == expected.outcomes
    assert reproduce(trained, found.run_id).same


def test_other_machines_read_what_was_published(tmp_path: Path, place: str, store: str) -> None:
    log = EmbeddedLog(tmp_path / "log")
    log.append_many([block([watched(f"{k}") for k in range(20)])])
    loader = on_machine(tmp_path / "loader", place, store)
    Loader(log, loader).load_once()
    publish(loader)
    reader = on_machine(tmp_path / "reader", place, store)
    stop = threading.Event()
    thread = threading.Thread(target=follow, args=(reader, stop, pytest.fail), kwargs={"interval_s": 0.05})
    thread.start()
    try:
        until(reader.storage.published.exists)
        assert count(reader.storage.published) == 20
        log.append_many([block([watched(f"{k}") for k in range(10, 30)])])
        Loader(log, loader).load_once()
        until(lambda: count(reader.storage.published) == 30)
    finally:
        stop.set()
        thread.join()
    log.close()


def count(path: Path) -> int:
    with duckdb.connect(str(path), read_only=True) as con:
        return con.execute("SELECT count(*) FROM events").fetchall()[0][0]


def test_the_file_in_the_bucket_reads_a_copy_of_what_lies_beside_it(
    tmp_path: Path, place: str, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = on_machine(tmp_path / "copies", place, store)
    log = EmbeddedLog(tmp_path / "log")
    log.append_many([block([watched(f"{k}") for k in range(20)])])
    Loader(log, lake).load_once()
    publish(lake)
    copied = tmp_path / "downloaded"
    bucket = lake.storage.bucket
    assert bucket is not None
    files = [path.relative_to(lake.root).as_posix() for path in lake.files("events")]
    for key in [*files, "clapometer.duckdb"]:
        assert bucket.download(key, copied / key, tmp_path)
    monkeypatch.chdir(copied)
    assert count(Path("clapometer.duckdb")) == 20
    log.close()


def test_the_bucket_says_the_format_of_its_lake_to_every_machine(tmp_path: Path, place: str, store: str) -> None:
    bucket = on_machine(tmp_path / "first", place, store).storage.bucket
    assert bucket is not None
    assert json.loads(bucket.read(MARKER) or b"") == {"format": FORMAT}
    newer = tmp_path / "newer.json"
    newer.write_text(json.dumps({"format": FORMAT + 1}))
    bucket.upload(newer, MARKER)
    for machine in ("first", "second"):
        with pytest.raises(TerminalError, match=f"has format {FORMAT + 1}, this version reads up to {FORMAT}"):
            on_machine(tmp_path / machine, place, store)


def test_compaction_and_vacuum_tidy_the_bucket_and_the_copies(tmp_path: Path, place: str, store: str) -> None:
    lake = on_machine(tmp_path / "copies", place, store)
    log = EmbeddedLog(tmp_path / "log")
    loader = Loader(log, lake)
    for batch in range(12):
        log.append_many([block([watched(f"{batch}")])])
        loader.load_once()
    before = lake.files("events")
    assert compact(lake, UpkeepSettings()).merged
    vacuum(lake, UpkeepSettings(grace_hours=0))
    bucket = lake.storage.bucket
    assert bucket is not None
    gone = [path for path in before if path not in lake.files("events")]
    assert gone
    assert not any(path.exists() for path in gone)
    assert all(bucket.read(path.relative_to(lake.root).as_posix()) is None for path in gone)
    with on_machine(tmp_path / "another machine", place, store).connect() as con:
        assert con.execute("SELECT count(*), count(DISTINCT id) FROM events").fetchall() == [(12, 12)]
    loader.close()
    log.close()


def test_a_loader_that_is_killed_stores_every_event_once_in_the_bucket(tmp_path: Path, place: str, store: str) -> None:
    chance = random.Random(8)
    log = EmbeddedLog(tmp_path / "log")
    sent: set[str] = set()
    for kill in range(KILLS):
        for _ in range(20):
            names = [f"{chance.randrange(2000)}" for _ in range(chance.randrange(12))]
            log.append_many([block([watched(name) for name in names])])
            sent |= set(names)
        # now and then on another machine, which has no copy
        process = start(tmp_path / "log", place, tmp_path / f"machine {kill % 3}", store)
        try:
            process.wait(chance.uniform(0.0, 1.5))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it must not have failed by itself"
        assert process.stdout is not None
        process.stdout.close()
    lake = on_machine(tmp_path / "machine 9", place, store)
    loader = Loader(log, lake)
    while loader.load_once().blocks:
        pass
    with lake.connect(threads=1) as con:
        stored = con.execute("SELECT id FROM events").fetchall()
    assert sorted(id_ for (id_,) in stored) == sorted(sent)
    assert ledger_difference(lake) == 0
    log.close()


def start(log: Path, place: str, copies: Path, store: str) -> "subprocess.Popen[str]":
    """Starts a loader and waits until it is about to load."""
    command = [sys.executable, "-m", "tests.unit.loading.loading_process", str(log), place, str(copies), store]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"AWS_REGION": REGION})
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def missing_entry(lake: Lake, bucket: Bucket) -> tuple[str, str]:
    key = f"events/_delta_log/{1:020}.json"
    bucket.delete(key)
    return f"{bucket.url}/{key} is missing", "which files version 1 of events added; its rows cannot be told apart"


def empty_entry(lake: Lake, bucket: Bucket) -> tuple[str, str]:
    key = f"events/_delta_log/{1:020}.json"
    bucket.upload(written(lake, b""), key)
    return f"{bucket.url}/{key} is empty", "what version 1 of events committed"


def cut_file(lake: Lake, bucket: Bucket) -> tuple[str, str]:
    file = lake.files("events")[0]
    bucket.upload(written(lake, file.read_bytes()[:50]), key := file.relative_to(lake.root).as_posix())
    return f"{bucket.url}/{key} has 50 bytes of", "1 rows of events"


def gone_file(lake: Lake, bucket: Bucket) -> tuple[str, str]:
    bucket.delete(key := lake.files("events")[0].relative_to(lake.root).as_posix())
    return f"{bucket.url}/{key} is missing", "1 rows of events"


def overwritten_file(lake: Lake, bucket: Bucket) -> tuple[str, str]:
    file = lake.files("events")[0]
    bucket.upload(written(lake, bytes(file.stat().st_size)), key := file.relative_to(lake.root).as_posix())
    return f"{bucket.url}/{key} is no Parquet file any more", "1 rows of events"


def cut_copy(lake: Lake, bucket: Bucket) -> tuple[str, str]:
    file = lake.files("events")[0]
    os.truncate(file, 50)
    return f"{file} has 50 bytes of", "nothing: the object store has it whole"


def written(lake: Lake, content: bytes) -> Path:
    path = lake.storage.temporary(".damaged")
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("damage", [missing_entry, empty_entry, cut_file, gone_file, overwritten_file, cut_copy])
def test_a_damaged_object_is_named_with_what_is_lost_and_what_to_do(
    tmp_path: Path, place: str, store: str, monkeypatch: pytest.MonkeyPatch, damage: Callable[..., tuple[str, str]]
) -> None:
    lake = on_machine(tmp_path / "copies", place, store)
    bucket = lake.storage.bucket
    assert bucket is not None
    log = EmbeddedLog(tmp_path / "log")
    loader = Loader(log, lake, LoadSettings(upkeep=None))
    for name in "abc":
        log.append_many([block([watched(name)])])
        loader.load_once()
    loader.close()
    log.close()
    assert list(find_damage(lake.storage)) == []
    problem, lost = damage(lake, bucket)
    (found,) = find_damage(lake.storage)
    assert str(found).startswith(problem)
    assert str(found).endswith(f"Lost for certain: {lost}")
    assert ("delete" if damage is cut_copy else "the store's own versions") in found.advice
    settings = {"LAKE": place, "LAKE_COPIES": tmp_path / "copies", "LAKE_ENDPOINT": store, "LAKE_REGION": REGION}
    for name, value in (settings | {"LOG_FOLDER": tmp_path / "log", "KEYS_FILE": tmp_path / "keys.json"}).items():
        monkeypatch.setenv(f"CLAPOMETER_{name}", str(value))
    assert problem in damage_behind(load_settings())
    if "entry" in damage.__name__:
        with pytest.raises(TerminalError, match=r"Lost for certain: wh.*What to do: stop all parts, and bring back"):
            refuse_damaged_logs(load_settings())
    else:
        refuse_damaged_logs(load_settings())


def test_a_bucket_that_is_not_there_is_named(tmp_path: Path, store: str) -> None:
    with pytest.raises(InputError, match=r"no bucket 'nobody'.*create it") as caught:
        on_machine(tmp_path, "s3://nobody/lake", store)
    assert caught.value.field == "lake"


def test_a_server_that_is_away_is_named_and_worth_another_try(tmp_path: Path) -> None:
    with pytest.raises(TransientError, match=r"http://127.0.0.1:9 does not answer.*lake_endpoint"):
        on_machine(tmp_path, "s3://bucket/lake", "http://127.0.0.1:9")


def test_refused_credentials_say_which_to_set(tmp_path: Path, place: str, store: str) -> None:
    storage = storage_at(place, tmp_path, endpoint=store, region=REGION)
    assert storage.bucket is not None
    for answer in ("403 Forbidden: InvalidAccessKeyId", "SignatureDoesNotMatch", "no credentials: 169.254.169.254"):
        found = storage.bucket.explain(OSError(answer))
        assert isinstance(found, InputError)
        assert "AWS_ACCESS_KEY_ID" in str(found)


@pytest.mark.parametrize("address", ["s3://", "s3:///prefix", "s3://bucket?x=1"])
def test_an_address_without_a_bucket_is_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="s3://bucket/prefix"):
        storage_at(address, tmp_path)


def test_a_store_that_stops_answering_fails_a_commit_that_can_be_made_again(tmp_path: Path) -> None:
    with object_store() as address:
        create_bucket(address, "once")
        lake = on_machine(tmp_path, "s3://once/lake", address)
        lake.versions()
    with pytest.raises(TransientError, match="does not answer"):
        lake.version("events")
