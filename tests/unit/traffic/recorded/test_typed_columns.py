"""Cells are what the event model says of their column, whatever type the file gives it; or the row says why not."""

import datetime as dt
import math
import subprocess
import sys
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clapometer.domain import Event, InputError
from clapometer.traffic import EventFile

MIDNIGHT, NOON = map(dt.datetime.fromisoformat, ("2025-04-16", "2025-04-16T12:00:00"))
AT = "2026-05-04T12:00:00Z"
IMPRESSION = {"type": "impression", "id": "e", "time": AT, "impression_id": "i", "clip_id": "c", "viewer_id": "v"}
CLIP = {
    "type": "clip_registered", "id": "e", "time": AT, "clip_id": "c", "prompt_text": "fox", "model_name": "m",
    "model_version": "1", "duration_ms": 8000, "task": "t2v",
}  # fmt: skip
WATCHED = {"type": "watched", "id": "e", "time": AT, "impression_id": "i", "watched_ms": 100}
BOUGHT = {"type": "converted", "id": "e", "time": AT, "impression_id": "i", "kind": "purchase", "currency": "EUR"}
VOTED = {
    "type": "voted", "id": "e", "time": AT, "left_impression_id": "a", "right_impression_id": "b", "result": "tie",
}  # fmt: skip


def parquet(folder: Path, row: dict[str, Any], **cells: Any) -> EventFile:
    """A file with one row, of which ``cells`` have a type of their own."""
    columns = {name: pa.array([value]) for name, value in row.items()} | cells
    pq.write_table(pa.table(columns), folder / "e.parquet")
    return EventFile(folder / "e.parquet", source="/s")


def csv_file(folder: Path, row: dict[str, Any], **cells: str) -> EventFile:
    merged = row | cells
    lines = [",".join(merged), ",".join(f'"{str(cell).replace(chr(34), chr(34) * 2)}"' for cell in merged.values())]
    (folder / "e.csv").write_text("\n".join(lines) + "\n")
    return EventFile(folder / "e.csv", source="/s")


def data(source: EventFile) -> dict[str, Any]:
    """The data of the only event, as JSON has it; fails where the row is refused."""
    found: list[Event] = list(source.events())
    assert source.bad == []
    (event,) = found
    taken: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(event))["data"]
    return taken


def refused(source: EventFile) -> str:
    """Why the only row is no event."""
    assert list(source.events()) == []
    (row,) = source.bad
    assert row.number == 1
    return row.reason


def money(digits: str, kind: pa.DataType) -> pa.Array:
    return pa.array([Decimal(digits)], kind)


@pytest.mark.parametrize(
    ("row", "column", "cells", "taken"),
    [
        (BOUGHT, "value", money("19.99", pa.decimal128(10, 2)), 19.99),
        (BOUGHT, "value", money("-0.10", pa.decimal256(60, 2)), -0.1),
        (BOUGHT, "value", pa.array([20], pa.int32()), 20.0),
        (BOUGHT, "value", pa.array([0.25], pa.float32()), 0.25),
        (BOUGHT, "value", pa.array(["19.99"], pa.large_string()), 19.99),
        (BOUGHT, "order_id", pa.array([2**63 - 1], pa.int64()), "9223372036854775807"),
        (BOUGHT, "order_id", money("18446744073709551616", pa.decimal128(20, 0)), "18446744073709551616"),
        (IMPRESSION, "viewer_id", pa.array([42], pa.uint8()), "42"),
        (IMPRESSION, "viewer_id", pa.array([42.0], pa.float64()), "42"),
        (IMPRESSION, "viewer_id", pa.array(["v9"]).dictionary_encode(), "v9"),
        (IMPRESSION, "viewer_id", pa.array(["v9"], pa.string_view()), "v9"),
        (IMPRESSION, "viewer_id", pa.array([b"v9"], pa.binary()), "v9"),
        (IMPRESSION, "viewer_id", pa.array([uuid.UUID(int=1).bytes], pa.uuid()), str(uuid.UUID(int=1))),
        (IMPRESSION, "position", pa.array([3.0], pa.float64()), 3),
        (IMPRESSION, "position", money("3.00", pa.decimal128(5, 2)), 3),
        (IMPRESSION, "position", pa.array(["3.0"]), 3),
        (IMPRESSION, "position", pa.array([math.nan]), None),
        (IMPRESSION, "position", pa.array([None]), None),
        (IMPRESSION, "viewer_id", pa.array([None, "v9"]).slice(1), "v9"),
        (IMPRESSION, "explored", pa.array(["True"]), True),
        (IMPRESSION, "explored", pa.array([1.0]), True),
        (IMPRESSION, "explored", pa.array([1], pa.int8()), True),
        (IMPRESSION, "explored", pa.array([True]), True),
        (CLIP, "seed", pa.array([2**64 - 1], pa.uint64()), 2**64 - 1),
        (CLIP, "seed", money(str(2**64 - 1), pa.decimal128(20, 0)), 2**64 - 1),
        (CLIP, "seed", pa.array([-(2**63)]), -(2**63)),
        (CLIP, "seed", pa.array([str(2**64 - 1)], pa.string_view()), 2**64 - 1),
        (CLIP, "model_version", pa.array([dt.date(2025, 4, 16)]), "2025-04-16"),
        (CLIP, "model_version", pa.array([MIDNIGHT], pa.timestamp("s")), "2025-04-16"),
        (CLIP, "model_version", pa.array([MIDNIGHT], pa.timestamp("ns")), "2025-04-16"),
        (CLIP, "model_version", money("1.50", pa.decimal128(3, 2)), "1.50"),
        (CLIP, "model_version", pa.array([2]), "2"),
        (CLIP, "params", pa.array([{"cfg": 7.5, "steps": 30, "none": None}]), {"cfg": 7.5, "steps": 30}),
        (CLIP, "params", pa.array([[("steps", 30)]], pa.map_(pa.string(), pa.int16())), {"steps": 30}),
        (CLIP, "params", pa.array(['{"steps": 30}'], pa.string_view()), {"steps": 30}),
        (CLIP, "params", pa.array([{"cfg": Decimal("7.5"), "on": dt.date(2025, 4, 16)}]),
         {"cfg": 7.5, "on": "2025-04-16"}),
        (CLIP, "references", pa.array([[{"role": "start", "media": "image", "sha256": None}]]),
         [{"role": "start", "media": "image"}]),
        (WATCHED, "played_segments", pa.array([[[0, 5]]], pa.list_(pa.list_(pa.int32(), 2))), [[0, 5]]),
        (WATCHED, "played_segments", pa.array(["[[0, 5]]"]), [[0, 5]]),
        (VOTED, "axes", pa.array([[("motion", "left")]], pa.map_(pa.string(), pa.string())), {"motion": "left"}),
    ],
    ids=lambda value: value.type if isinstance(value, pa.Array) else None,
)  # fmt: skip
def test_a_column_of_any_type_that_holds_the_value_is_taken(
    tmp_path: Path, row: dict[str, Any], column: str, cells: pa.Array, taken: Any
) -> None:
    found = data(parquet(tmp_path, row, **{column: cells}))
    parts = [part for part in found.values() if isinstance(part, dict)]
    leaf = column.removeprefix("model_")
    value = found.get(column, next((part[leaf] for part in parts if leaf in part), None))
    assert value == taken
    assert type(value) is type(taken)


@pytest.mark.parametrize(
    ("row", "column", "cells", "reason"),
    [
        (BOUGHT, "value", money("0.3333333333333333333", pa.decimal128(20, 19)), "more digits"),
        (BOUGHT, "value", pa.array([2**53 + 1]), "more digits"),
        (BOUGHT, "value", pa.array([math.inf]), "a number"),
        (BOUGHT, "value", pa.array([True]), "true or false"),
        (BOUGHT, "value", pa.array([b"\xff"]), "UTF-8"),
        (IMPRESSION, "position", pa.array([3.5]), "3.5.*a whole number"),
        (IMPRESSION, "position", money("3.50", pa.decimal128(3, 2)), "3.50.*a whole number"),
        (IMPRESSION, "position", pa.array(["third"]), "'third'.*a whole number"),
        (IMPRESSION, "position", pa.array([10_001]), "at most 10000"),
        (IMPRESSION, "explored", pa.array([2]), "true or false"),
        (IMPRESSION, "explored", pa.array(["maybe"]), "true or false"),
        (IMPRESSION, "viewer_id", pa.array([1.5]), "1.5.*text"),
        (IMPRESSION, "viewer_id", pa.array([2.0**60]), "text"),
        (IMPRESSION, "viewer_id", pa.array([["v"]]), "a list.*text"),
        (IMPRESSION, "viewer_id", pa.array([{"id": "v"}]), "an object.*text"),
        (IMPRESSION, "viewer_id", pa.array([True]), "text"),
        (IMPRESSION, "viewer_id", pa.array([b"\xff"]), "UTF-8"),
        (CLIP, "seed", pa.array([1.8446744073709552e19]), "2\\^53"),
        (CLIP, "model_version", pa.array([2.0]), "2.0.*text"),
        (CLIP, "model_version", pa.array([NOON], pa.timestamp("us")), "a time, not text"),
        (CLIP, "model_version", pa.array([dt.datetime(2025, 4, 16, tzinfo=dt.UTC)], pa.timestamp("us", "UTC")),
         "a time, not text"),
        (CLIP, "model_version", pa.array([10**16], pa.timestamp("ms")), "cannot be read"),
        (CLIP, "duration_ms", pa.array([5], pa.duration("s")), "a duration"),
        (CLIP, "duration_ms", pa.array([5], pa.time64("ns")), "a time of day"),
        (CLIP, "params", pa.array(["{"]), "JSON"),
        (CLIP, "params", pa.array([{"at": NOON}]), "a time, not text"),
        (CLIP, "params", pa.array([[("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int8())), "cannot be read"),
        (WATCHED, "played_segments", pa.array([[[0.5, 5.0]]]), "played_segments"),
    ],
    ids=lambda value: value.type if isinstance(value, pa.Array) else None,
)  # fmt: skip
def test_what_would_not_come_over_whole_is_refused_by_row_and_column(
    tmp_path: Path, row: dict[str, Any], column: str, cells: pa.Array, reason: str
) -> None:
    why = refused(parquet(tmp_path, row, **{column: cells}))
    assert why.startswith(column)
    with pytest.raises(InputError, match=reason):
        raise InputError(why)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", "+02:00", "Europe/Berlin"])
def test_times_of_any_unit_and_zone_are_the_same_instant(tmp_path: Path, unit: str, zone: str) -> None:
    moment = dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)
    (event,) = parquet(tmp_path, IMPRESSION, time=pa.array([moment], pa.timestamp(unit, zone))).events()
    assert event.time == moment


@pytest.mark.parametrize("kind", [*map(pa.timestamp, ("s", "ms", "us", "ns")), pa.date32(), pa.date64()])
def test_times_without_a_zone_need_a_word(tmp_path: Path, kind: pa.DataType) -> None:
    cells = pa.array([MIDNIGHT]).cast(kind)
    assert "time: has no zone; " in refused(parquet(tmp_path, IMPRESSION, time=cells))
    (event,) = EventFile(tmp_path / "e.parquet", source="/s", assume_utc=True).events()
    assert event.time == MIDNIGHT.replace(tzinfo=dt.UTC)


def test_what_is_no_time_is_no_time_whatever_its_type(tmp_path: Path) -> None:
    for cells in (pa.array([1_777_896_000_000]), pa.array([1.5]), pa.array([[1]]), pa.array([5], pa.time32("s"))):
        assert refused(parquet(tmp_path, IMPRESSION, time=cells)).startswith("time: ")


@pytest.mark.parametrize(
    ("row", "column", "cell", "taken"),
    [
        (CLIP, "duration_ms", "3000.0", 3000),
        (CLIP, "duration_ms", "3e3", 3000),
        (CLIP, "seed", "18446744073709551615", 2**64 - 1),
        (WATCHED, "watched_ms", " 100.0 ", 100),
        (IMPRESSION, "explored", "1.0", True),
        (IMPRESSION, "explored", "False", False),
        (IMPRESSION, "viewer_id", "007", "007"),
        (IMPRESSION, "viewer_id", "3.0", "3.0"),
        (CLIP, "task", "i2v", "i2v"),
        (BOUGHT, "value", "19.990", 19.99),
        (BOUGHT, "value", ".5", 0.5),
    ],
)
def test_text_of_csv_is_read_as_its_column_says(
    tmp_path: Path, row: dict[str, Any], column: str, cell: str, taken: Any
) -> None:
    value = data(csv_file(tmp_path, row, **{column: cell}))[column]
    assert (value, type(value)) == (taken, type(taken))


@pytest.mark.parametrize("cell", ["3.5", "1_000", "0x10", "٣", "1e999999999", "1.8446744073709552e+19", "--3", "nan"])
def test_text_that_is_no_whole_number_is_refused_by_its_column(tmp_path: Path, cell: str) -> None:
    assert refused(csv_file(tmp_path, CLIP, duration_ms=cell)).startswith("duration_ms: ")


MIXED = """
    SELECT * FROM (VALUES
        ('clip_registered', 'e1', 'c', 'fox', 'm', '1', 't2v', 3000::DOUBLE, 7::DOUBLE, NULL, NULL, NULL, NULL),
        ('impression', 'e2', 'c', NULL, NULL, NULL, NULL, 'nan', NULL, 'i', 'v', 2::DOUBLE, NULL),
        ('watched', 'e3', NULL, NULL, NULL, NULL, NULL, NULL, 'nan', 'i', NULL, 'nan', 1500::DOUBLE),
        ('watched', 'e4', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'i', NULL, NULL, 2500::DOUBLE)
    ) AS rows (type, id, clip_id, prompt_text, model_name, model_version, task, duration_ms, seed, impression_id,
               viewer_id, position, watched_ms), (SELECT TIMESTAMPTZ '2026-05-04 12:00:00Z' AS time)
"""


@pytest.mark.parametrize("name", ["e.parquet", "e.csv", "e.ndjson"])
def test_mixed_events_whose_missing_cells_made_floats_of_whole_numbers_are_taken(tmp_path: Path, name: str) -> None:
    select = MIXED if name == "e.parquet" else MIXED.replace("'nan'", "NULL")
    form = {"e.parquet": "PARQUET", "e.csv": "CSV", "e.ndjson": "JSON"}[name]
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"COPY ({select}) TO '{tmp_path / name}' (FORMAT {form})")
    source = EventFile(tmp_path / name, source="/s")
    assert [event.id for event in source.events()] == ["e1", "e2", "e3", "e4"], source.bad


def test_types_of_duckdb_that_parquet_knows_otherwise_are_refused_by_name(tmp_path: Path) -> None:
    row = ", ".join(
        f"'{value}' AS {name}" for name, value in IMPRESSION.items() if name not in {"clip_id", "viewer_id"}
    )
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT {row}, INTERVAL 1 DAY AS viewer_id, TIME '10:00:00' AS clip_id) "
            f"TO '{tmp_path / 'e.parquet'}'"
        )
    assert "an interval" in refused(EventFile(tmp_path / "e.parquet", source="/s"))


def test_row_labels_of_pandas_are_no_column(tmp_path: Path) -> None:
    assert data(parquet(tmp_path, IMPRESSION, __index_level_0__=pa.array([7])))["viewer_id"] == "v"


def test_a_column_that_is_there_twice_or_has_no_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("type,id,id\nreacted,a,b\n")
    with pytest.raises(InputError, match="two columns are called `id`"):
        list(EventFile(tmp_path / "e.csv", source="/s").events())
    (tmp_path / "e.csv").write_text(",type,id\n0,reacted,a\n")
    with pytest.raises(InputError, match="a column has no name"):
        list(EventFile(tmp_path / "e.csv", source="/s").events())


def test_bad_rows_are_counted_by_reason_whatever_their_value(tmp_path: Path) -> None:
    table = pa.table(
        {name: [value] * 4 for name, value in IMPRESSION.items()} | {"position": pa.array([0.5, 1.5, 99_999.0, 2.0])}
    )
    pq.write_table(table, tmp_path / "e.parquet")
    source = EventFile(tmp_path / "e.parquet", source="/s")
    assert len(list(source.events())) == 1
    assert sorted(source.reasons.values()) == [1, 2]
    assert source.n_bad == sum(source.reasons.values())


def test_nanoseconds_need_no_pandas(tmp_path: Path) -> None:
    cells = pa.array([1_777_896_000_123_456_789], pa.timestamp("ns", "UTC"))
    parquet(tmp_path, IMPRESSION, time=cells)
    program = (
        "import sys; sys.modules['pandas'] = None\n"
        "from pathlib import Path\n"
        "from clapometer.traffic import EventFile\n"
        "print([event.time.isoformat() for event in EventFile(Path(sys.argv[1]), source='/s').events()])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "e.parquet")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['2026-05-04T12:00:00.123456+00:00']"


def test_what_a_row_lacks_is_told_by_its_columns(tmp_path: Path) -> None:
    row = {"type": "clip_registered", "id": "e", "time": AT, "clip_id": "c", "prompt_lang": "en"}
    assert refused(parquet(tmp_path, row)).startswith("prompt_text: give `text`, or `hash` where")
    assert refused(parquet(tmp_path, row)).endswith("(also missing: model_name, model_version, duration_ms, task)")
    assert refused(parquet(tmp_path, {**row, "prompt_lang": None})).startswith(
        "prompt_text: required fields are missing: p"
    )
    template = {**CLIP, "template_version": "1"}
    assert refused(csv_file(tmp_path, template)) == "template_id: required field is missing; add it"
