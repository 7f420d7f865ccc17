"""Packed files: fewer bytes, the same rows, and repeated events are still recognised."""

import datetime as dt
import shutil
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from tests.support.builders import NOW, block, event, impression, registered, watched

from clapometer.eventlog import MemoryLog
from clapometer.folding.fold import refresh_outcomes
from clapometer.lake.content import content
from clapometer.lake.delta import packing
from clapometer.lake.delta.packing import is_packed
from clapometer.lake.schema import WATCHING_SUFFIX
from clapometer.lake.tables import Lake
from clapometer.loading.loader import Loader, LoadReport, LoadSettings
from clapometer.takedown.erase import erase_viewers
from clapometer.upkeep.merge import UpkeepSettings, compact

DAYS = 12
KEPT = 8
"""Days that keep their hashes where the window is a week: the newest, and as many as an event may be older."""


def day(number: int) -> dt.datetime:
    return NOW + dt.timedelta(days=number)


def said(number: int) -> list[bytes]:
    """Returns what came in on a day: ids that are those of impressions, and ids that are not."""
    mine = [impression(f"{number}-{n}", viewer=f"v{n}", propensity=0.1 + n / 7) for n in range(3)]
    other = event(
        "impression", f"event {number}", {"impression_id": f"{number}-x", "clip_id": "clip", "viewer_id": "x"}
    )
    bought = [
        event("converted", f"{number}-{n}", {"impression_id": f"{number}-0", "kind": "purchase", "value": 2.5, "currency": "EUR"}, source=f"/{n}")  # noqa: E501
        for n in range(2)
    ]  # fmt: skip
    shown = [*mine, other, watched(f"w{number}", impression=f"{number}-0", end_reason="skipped"), *bought]
    return [
        block([registered(f"r{number}", clip="clip"), *shown], received_at=day(number), trust="key"),
        block([watched(f"late{number}", impression=f"{number}-x", ms=7)], received_at=day(number)),
    ]


def load(lake: Lake, *blocks: bytes) -> LoadReport:
    """Loads blocks with a loader that has no cache of keys."""
    shutil.rmtree(lake.storage.cache / "keys", ignore_errors=True)
    log = MemoryLog()
    log.append_many(list(blocks))
    loader = Loader(log, lake, LoadSettings(threads=1, upkeep=None))
    report = loader.load_once()
    loader.close()
    return report


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a lake of ``DAYS`` days."""
    lake = Lake(tmp_path_factory.mktemp("loaded"))
    for half in range(2):
        load(lake, *(said(number)[half] for number in range(DAYS)))
    refresh_outcomes(lake)
    return lake.root


@pytest.fixture
def lake(loaded: Path, tmp_path: Path) -> Lake:
    return Lake(shutil.copytree(loaded, tmp_path / "lake"))


def packed(lake: Lake) -> Lake:
    while compact(lake, UpkeepSettings()).made:
        pass
    return lake


def rows(lake: Lake, query: str) -> list[tuple[object, ...]]:
    with lake.connect(threads=1) as con:
        return con.execute(query).fetchall()


def test_days_before_the_window_lose_their_hashes_and_nothing_else(lake: Lake) -> None:
    before = content(lake, "events")
    everything = "SELECT * EXCLUDE (event_key, payload_hash) REPLACE (epoch_us(received_at) AS received_at, "
    everything += "epoch_us(time) AS time, epoch_us(client_time) AS client_time) FROM events ORDER BY source, id"
    events = rows(lake, everything)
    packed(lake)
    after = content(lake, "events")
    assert (after.rows, after.hash) == (before.rows, before.hash)
    assert rows(lake, everything) == events
    of_day = "SELECT received_date::VARCHAR, count(event_key), count(payload_hash) FROM events GROUP BY 1 ORDER BY 1"
    assert [found for _, *found in rows(lake, of_day)] == [[0, 0]] * (DAYS - KEPT) + [[9, 9]] * KEPT


def test_ids_of_impressions_are_kept_once_and_seen_in_all_views(lake: Lake) -> None:
    (path,) = [path for path in packed(lake).files("events") if "2026-05-01" in str(path) and "watching" in path.name]
    held = pq.ParquetFile(path).read(columns=["type", "id", "impression_id"]).to_pylist()
    assert [row["id"] for row in held if row["type"] == "impression"] == [None, None, None, "event 0"]
    assert all(row["id"] for row in held if row["type"] != "impression")
    assert rows(lake, "SELECT id FROM impressions WHERE id LIKE '0-%' ORDER BY 1") == [("0-0",), ("0-1",), ("0-2",)]


def test_packing_is_done_once_and_keeps_one_file_for_each_kind_of_columns(lake: Lake) -> None:
    files = packed(lake).files("events")
    assert sum(map(is_packed, files)) == 2 * (DAYS - KEPT)
    version = lake.version("events")
    assert compact(lake, UpkeepSettings()).made == 0
    assert lake.version("events") == version


def test_packed_days_are_done_a_few_at_a_time(lake: Lake) -> None:
    reports = [compact(lake, UpkeepSettings()) for _ in range(4)]
    assert [report.made > 0 for report in reports] == [True, True, False, False]


def test_a_longer_window_keeps_more_days(lake: Lake) -> None:
    while compact(lake, UpkeepSettings(window_days=30)).made:
        pass
    assert not any(map(is_packed, lake.files("events")))


def test_a_repeated_event_of_a_packed_day_is_recognised_and_a_changed_one_is_a_conflict(lake: Lake) -> None:
    packed(lake)
    again = load(lake, *said(0))
    assert (again.stored, again.duplicate, again.conflict) == (0, 9, 0)
    changed = load(lake, block([watched("w0", ms=5, impression="0-0")], received_at=day(0), trust="key"))
    assert (changed.stored, changed.duplicate, changed.conflict) == (0, 1, 1)
    assert load(lake, *said(DAYS - 1)).stored == 0


def test_what_comes_late_to_a_packed_day_is_packed_too(lake: Lake) -> None:
    packed(lake)
    assert load(lake, block([watched("very late")], received_at=day(1))).stored == 1
    packed(lake)
    assert rows(lake, "SELECT count(event_key) FROM events WHERE id = 'very late'") == [(0,)]
    assert load(lake, block([watched("very late")], received_at=day(1))).duplicate == 1


def test_outcomes_are_the_same_and_none_is_folded_again(lake: Lake) -> None:
    all_rows = (
        "SELECT * REPLACE (epoch_us(shown_at) AS shown_at, epoch_us(last_event_at) AS last_event_at) FROM outcomes"
    )
    before = rows(lake, f"{all_rows} ORDER BY impression_id")
    assert [row for row in before if 5.0 in row]
    packed(lake)
    assert refresh_outcomes(lake).dates == ()
    refresh_outcomes(lake, full=True)
    assert rows(lake, f"{all_rows} ORDER BY impression_id") == before


def test_erasure_leaves_a_packed_file_packed(lake: Lake) -> None:
    packed(lake)
    load(lake, block([event("viewer_erased", "gone", {"viewer_id": "v1"})], received_at=day(DAYS), trust="key"))
    report = erase_viewers(lake, clock=lambda: day(DAYS))
    assert report.rows["events"] == DAYS + 1
    assert rows(lake, "SELECT count(*), count(event_key) FROM events WHERE received_date = '2026-05-01'") == [(8, 0)]
    assert rows(lake, "SELECT count(*) FROM impressions WHERE id LIKE '0-%'") == [(2,)]


def test_erasure_sorts_nothing_so_that_it_fits_any_memory(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    shown = [impression(f"{n * 7 % 20}", viewer=f"v{n}") for n in range(20)]
    load(lake, block([*shown, registered("clip")], received_at=day(0)))

    def ids() -> list[str]:
        (watching,) = (path for path in lake.files("events") if path.name.endswith(WATCHING_SUFFIX))
        return [str(row["impression_id"]) for row in pq.read_table(watching, partitioning=None).to_pylist()]

    before = ids()
    load(lake, block([event("viewer_erased", "gone", {"viewer_id": "v3"})], received_at=day(0), trust="key"))
    erase_viewers(lake, clock=lambda: day(0))
    assert ids() == [name for name in before if name != "1"]
    assert ids() != sorted(ids())


def encodings(path: Path, column: str) -> set[str]:
    groups = pq.read_metadata(path)
    names = groups.schema.names
    return {e for n in range(groups.num_row_groups) for e in groups.row_group(n).column(names.index(column)).encodings}


@pytest.mark.parametrize("viewers", [3, 1_000_000])
def test_names_are_kept_as_differences_only_where_that_takes_less(tmp_path: Path, viewers: int) -> None:
    path = tmp_path / f"file{WATCHING_SUFFIX}"
    names = "substr(md5((hash(n) % {})::VARCHAR), 1, 20)"
    shown = f"""SELECT 'impression' AS type, lpad(n::VARCHAR, 9, '0') AS id, 'e' || id AS impression_id,
        'clip_' || n AS clip_id, {names.format(viewers)} AS viewer_id, {names.format(2)} AS session_id,
        NULL::VARCHAR AS slate_id, n AS watched_ms, 7 AS total_ms, 5::BIGINT AS event_key, 5::BIGINT AS payload_hash,
        TIMESTAMPTZ '2026-05-01' AS time, time AS client_time, time AS received_at FROM range(3000) t(n)"""
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        packing.write_tidily(con, "events", shown, path)
        columns = "SELECT clip_id, viewer_id, session_id, slate_id, watched_ms, total_ms"
        given, read = f"{columns} FROM ({shown})", f"{columns} FROM read_parquet('{path}')"
        assert con.execute(f"{read} EXCEPT ALL {given} UNION ALL ({given} EXCEPT ALL {read})").fetchall() == []
    assert "DELTA_BYTE_ARRAY" in encodings(path, "clip_id")
    assert "DELTA_BINARY_PACKED" in encodings(path, "watched_ms")
    assert ("RLE_DICTIONARY" in encodings(path, "viewer_id")) == (viewers == 3)
    assert "RLE_DICTIONARY" in encodings(path, "session_id")


def test_a_file_of_no_rows_is_a_file(tmp_path: Path, lake: Lake) -> None:
    with lake.connect(threads=1) as con:
        packing.write_tidily(con, "events", "FROM events WHERE false", tmp_path / "none.parquet")
    assert pq.read_metadata(tmp_path / "none.parquet").num_rows == 0
