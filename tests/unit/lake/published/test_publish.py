"""The published file: complete, replaced atomically, never broken under a reader."""

import struct
import threading

import duckdb
import pytest
from tests.support.builders import block, event, impression, registered
from tests.unit.lake.test_tables import letters

from clapometer.eventlog import MemoryLog
from clapometer.lake.published.filling import round_place
from clapometer.lake.published.publish import publish
from clapometer.lake.schema import WATCHING_SUFFIX
from clapometer.lake.specs import TABLES
from clapometer.lake.tables import Lake
from clapometer.loading.loader import Loader, LoadSettings


def counted(lake: Lake) -> int:
    """Opens the published file as an analyst does and counts the dead letters."""
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{lake.storage.published}' AS lake (READ_ONLY)")
        (found,) = connection.execute("SELECT count(*) FROM lake.rejected").fetchall()
        return int(found[0])


def test_the_file_shows_the_latest_commit_of_every_table(tmp_path):
    lake = Lake(tmp_path)
    publish(lake)
    assert counted(lake) == 0
    version = lake.append("rejected", letters("one", "two"))
    assert publish(lake)["rejected"] == version
    assert counted(lake) == 2
    with duckdb.connect(str(lake.storage.published), read_only=True) as connection:
        shown = dict(connection.execute("SELECT table_name, version FROM snapshot").fetchall())
    assert shown == lake.versions()


def test_every_table_and_view_has_a_comment(tmp_path):
    lake = Lake(tmp_path)
    publish(lake)
    with duckdb.connect(str(lake.storage.published), read_only=True) as connection:
        views = connection.execute(
            "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal AND schema_name = 'main'"
        ).fetchall()
    assert {*TABLES, "clips", "impressions", "rankings_current"} <= {name for name, _ in views}
    assert [name for name, comment in views if not comment] == []


def test_a_reader_keeps_its_snapshot_while_others_are_published(tmp_path):
    lake = Lake(tmp_path)
    lake.append("rejected", letters("one"))
    publish(lake)
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{lake.storage.published}' AS lake (READ_ONLY)")
        lake.overwrite_partitions("rejected", letters("two", "three"), None)
        publish(lake)
        assert connection.execute("SELECT reason FROM lake.rejected").fetchall() == [("one",)]
    assert counted(lake) == 2


def test_what_duckdb_looks_for_first_is_at_one_place_in_the_first_file_and_all_that_replace_it(tmp_path):
    lake, log = Lake(tmp_path / "lake"), MemoryLog()
    loader = Loader(log, lake, LoadSettings(upkeep=None))
    publish(lake)
    places = {where_duckdb_looks(lake)}
    for number in range(12):
        log.append_many([block([registered(f"r{number}"), impression(f"i{number}")][: 1 + number % 2])])
        loader.load_once()
        lake.append("rejected", letters(str(number)))
        places.add(where_duckdb_looks(lake))
        publish(lake)
        places.add(where_duckdb_looks(lake))
    loader.close()
    assert len(places) == 1


def where_duckdb_looks(lake: Lake) -> tuple[int, int]:
    head = lake.storage.published.read_bytes()[:12_288]
    headers = [struct.unpack_from("<QQQQ", head, at) for at in (4096, 8192)]
    _, _, catalogue, free_blocks = max(headers, key=lambda header: header[1])
    return catalogue, free_blocks


@pytest.mark.parametrize(("pieces", "place"), [(1, 4096), (4096, 4096), (4097, 8192), (8193, 16_384)])
def test_the_place_moves_only_when_the_list_of_files_has_doubled(pieces, place):
    assert round_place(pieces) == place


def test_a_forgotten_or_damaged_measure_of_the_filling_is_taken_again(tmp_path):
    lake = Lake(tmp_path)
    publish(lake)
    place = where_duckdb_looks(lake)
    (memory,) = lake.storage.cache.rglob("*.absolute")
    for damage in ("", "much", "123", "999999"):
        memory.write_text(damage)
        publish(lake)
        assert where_duckdb_looks(lake) == place


@pytest.mark.parametrize("damage", ["cut", "empty", "zeros", "one byte"])
def test_a_damaged_template_is_made_again(tmp_path, damage):
    lake = Lake(tmp_path / "lake")
    publish(lake)
    (template,) = (lake.storage.cache / "catalogues").glob("*.duckdb")
    content = template.read_bytes()
    half = len(content) // 2
    damaged = {
        "cut": content[:half], "empty": b"", "zeros": bytes(len(content)),
        "one byte": content[:half] + bytes([content[half] ^ 255]) + content[half + 1 :],
    }  # fmt: skip
    template.chmod(0o600)
    template.write_bytes(damaged[damage])
    lake.append("rejected", letters("one"))
    publish(lake)
    assert counted(lake) == 1
    assert template.stat().st_size == len(content)


def test_publishing_leaves_nothing_behind_but_the_file(tmp_path):
    lake = Lake(tmp_path)
    for _ in range(3):
        publish(lake)
    assert list(lake.storage.scratch.iterdir()) == []
    assert [path.name for path in tmp_path.glob("*.duckdb*")] == ["clapometer.duckdb"]


def test_of_several_publishers_the_newest_snapshot_wins(tmp_path):
    Lake(tmp_path).versions()

    def work(name: int) -> None:
        lake = Lake(tmp_path)
        for index in range(5):
            lake.append("rejected", letters(f"{name}-{index}"))
            publish(lake)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted(Lake(tmp_path)) == 10


def test_clips_are_found_without_opening_the_files_of_what_viewers_did(tmp_path):
    lake, log = Lake(tmp_path), MemoryLog()
    shown = {"impression_id": "i1", "clip_id": "c1", "viewer_id": "v1"}
    clip = {
        "clip_id": "c1", "prompt": {"text": "a cat"}, "model": {"name": "m", "version": "1"}, "duration_ms": 5_000,
        "task": "t2v",
    }  # fmt: skip
    log.append_many([block([event("clip_registered", "c1", clip), event("impression", "i1", shown)], trust="key")])
    loader = Loader(log, lake, LoadSettings(upkeep=None))
    loader.load_once()
    loader.close()
    narrow = [path for path in lake.files("events") if path.name.endswith(WATCHING_SUFFIX)]
    for path in narrow:
        path.unlink()
    with duckdb.connect(str(lake.storage.published), read_only=True) as connection:
        assert connection.execute("SELECT clip_id, model FROM clips").fetchall() == [("c1", "m@1")]
        with pytest.raises(duckdb.Error, match="watching"):
            connection.execute("SELECT count(*) FROM impressions").fetchall()
