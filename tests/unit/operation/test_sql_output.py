"""Every type of DuckDB in every form of answer, read back by the library of that form."""

import csv
import json
import math
import os
import stat
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clapometer.domain import InputError, TerminalError
from clapometer.operation.sql_output import write

HUGE = 2**127 - 1
# Expression, and what JSON, CSV, Parquet and Arrow read back; `...` where it is what Parquet reads.
TYPES: dict[str, tuple[str, Any, str, Any, Any]] = {
    "interval": ("INTERVAL '14 months 2 days 3.5 seconds'", "1 year 2 months 2 days 00:00:03.5",
                 "1 year 2 months 2 days 00:00:03.5", "1 year 2 months 2 days 00:00:03.5", ...),
    "long interval": ("INTERVAL 3000000 HOURS", "3000000:00:00", "3000000:00:00", "3000000:00:00", ...),
    "time": ("TIME '10:00:00.5'", "10:00:00.500000", "10:00:00.500000", "10:00:00.500000", ...),
    "time with a zone": ("'10:00:00+02'::TIMETZ", "10:00:00+02", "10:00:00+02", "10:00:00+02", ...),
    "timestamp": ("TIMESTAMP '2026-01-01 10:00:00'", "2026-01-01T10:00:00", "2026-01-01T10:00:00",
                  "2026-01-01 10:00:00", ...),
    "timestamp with a zone": ("TIMESTAMPTZ '2026-01-01 10:00:00Z'", "2026-01-01T10:00:00Z",
                              "2026-01-01T10:00:00+00:00", "2026-01-01 10:00:00+00:00", ...),
    "nanoseconds": ("'2026-01-01 00:00:00.123456789'::TIMESTAMP_NS", "2026-01-01 00:00:00.123456789",
                    "2026-01-01 00:00:00.123456789", None, None),
    "date": ("DATE '2026-01-01'", "2026-01-01", "2026-01-01", "2026-01-01", ...),
    "infinite date": ("'infinity'::DATE", "infinity", "infinity", None, None),
    "infinite time": ("'-infinity'::TIMESTAMPTZ", "-infinity", "-infinity", None, None),
    "far date": ("DATE '290000-02-29' ", "+290000-02-29", "+290000-02-29", None, None),
    "far time": ("TIMESTAMP '20000-01-01 10:00:00.25'", "+20000-01-01T10:00:00.250000",
                 "+20000-01-01T10:00:00.250000", None, None),
    "old date": ("'0044-03-15 (BC)'::DATE", "-0043-03-15", "-0043-03-15", None, None),
    "hugeint": (f"{HUGE}::HUGEINT", str(HUGE), str(HUGE), HUGE, ...),
    "uhugeint": (f"{2**128 - 1}::UHUGEINT", str(2**128 - 1), str(2**128 - 1), str(2**128 - 1), ...),
    "ubigint": ("18446744073709551615::UBIGINT", 2**64 - 1, str(2**64 - 1), 2**64 - 1, ...),
    "bignum": (f"'{10**50}'::BIGNUM", str(10**50), str(10**50), str(10**50), ...),
    "decimal": ("0.00000001::DECIMAL(38, 8)", "0.00000001", "0.00000001", Decimal("0.00000001"), ...),
    "uuid": ("'00000000-0000-0000-0000-00000000000a'::UUID", "00000000-0000-0000-0000-00000000000a",
             "00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000a", ...),
    "blob": ("'\\xFFab'::BLOB", "/2Fi", "\\xFFab", b"\xffab", ...),
    "bit": ("'10101'::BIT", "10101", "10101", "10101", ...),
    "enum": ("'b'::ENUM('a', 'b')", "b", "b", "b", ...),
    "json": ("'{\"a\": 1}'::JSON", '{"a": 1}', '{"a": 1}', '{"a": 1}', ...),
    "list": ("[1, NULL]", [1, None], "[1,null]", [1, None], ...),
    "array": ("array_value(1, 2)", [1, 2], "[1,2]", [1, 2], ...),
    "struct": ("{'a': 1, 'b \"c': NULL}", {"a": 1, 'b "c': None}, '{"a":1,"b \\"c":null}', {"a": 1, 'b "c': None}, ...),
    "map": ("MAP {'a': 1}", {"a": 1}, '{"a":1}', [("a", 1)], ...),
    "map of numbers": ("MAP {2: 'x'}", {"2": "x"}, '{"2":"x"}', [(2, "x")], ...),
    "map of dates": ("MAP {DATE '2026-01-01': 'x'}", {"2026-01-01": "x"}, '{"2026-01-01":"x"}', None, None),
    "union": ("union_value(num := 2)", 2, "2", "2", 2),
    "union of intervals": ("union_value(i := INTERVAL 1 DAY)", "1 day", "1 day", "1 day", ...),
    "variant": ("1::VARIANT", "1", "1", "1", ...),
    "nan": ("'nan'::DOUBLE", "NaN", "NaN", math.nan, ...),
    "infinity": ("'-inf'::FLOAT", "-Infinity", "-Infinity", -math.inf, ...),
    "null": ("NULL", None, "", None, ...),
    "nested": ("[{'i': INTERVAL 1 DAY, 'u': 1::UHUGEINT, 'f': 'nan'::FLOAT}, NULL]",
               [{"i": "1 day", "u": "1", "f": "NaN"}, None], '[{"i":"1 day","u":"1","f":"NaN"},null]', None, None),
    "array of intervals": ("array_value(INTERVAL 1 DAY)", ["1 day"], '["1 day"]', ["1 day"], ...),
    "map of intervals": ("MAP {INTERVAL 1 DAY: '1'::BIT}", {"1 day": "1"}, '{"1 day":"1"}', [("1 day", "1")], ...),
    "tuple": ("row(1, INTERVAL 1 DAY)", {"element1": 1, "element2": "1 day"}, '{"element1":1,"element2":"1 day"}',
              {"element1": 1, "element2": "1 day"}, ...),
    "list of far dates": ("[DATE '20000-01-01', NULL]", ["+20000-01-01", None], '["+20000-01-01",null]', None, None),
    "map of far dates": ("MAP {'a': {'d': DATE '20000-01-01'}}", {"a": {"d": "+20000-01-01"}},
                         '{"a":{"d":"+20000-01-01"}}', None, None),
}  # fmt: skip


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        opened.execute("SET TimeZone = 'UTC'")
        yield opened


def same(found: object, expected: object) -> bool:
    return found == expected or str(found) == str(expected)


@pytest.mark.parametrize("kind", TYPES)
def test_a_value_of_any_type_is_read_back(connection: duckdb.DuckDBPyConnection, tmp_path: Path, kind: str) -> None:
    expression, as_json, as_csv, as_parquet, as_arrow = TYPES[kind]
    path = tmp_path / "answer"
    sql = f"SELECT {expression} AS x, 1 AS y UNION ALL SELECT NULL, 2 ORDER BY y"
    write(connection, sql, "json", path)
    assert [json.loads(line)["x"] for line in path.read_text().splitlines()] == [as_json, None]
    write(connection, sql, "csv", path)
    with path.open(newline="") as text:
        assert list(csv.reader(text)) == [["x", "y"], [as_csv, "1"], ["", "2"]]
    write(connection, sql, "parquet", path)
    table = pq.read_table(path)
    assert table.num_rows == 2
    if as_parquet is not None:
        assert same(table.column("x").to_pylist()[0], as_parquet)
    write(connection, sql, "arrow", path)
    with pa.ipc.open_stream(path.read_bytes()) as stream:
        table = stream.read_all()
    assert table.num_rows == 2
    if as_arrow is not None:
        assert same(table.column("x").to_pylist()[0], as_parquet if as_arrow is ... else as_arrow)


@pytest.mark.parametrize("form", ["json", "csv", "parquet", "arrow", "table"])
def test_an_answer_without_rows_has_its_columns(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, form: Any
) -> None:
    write(connection, "SELECT INTERVAL 1 DAY AS lag, 1 AS n WHERE false", form, tmp_path / "answer")
    if form == "parquet":
        assert pq.read_table(tmp_path / "answer").column_names == ["lag", "n"]
    if form == "csv":
        assert (tmp_path / "answer").read_text().strip() == "lag,n"


def test_columns_of_one_name_are_all_there(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    sql = "SELECT 1 AS a, 2 AS a, 3 AS a_1"
    write(connection, sql, "json", tmp_path / "answer")
    assert json.loads((tmp_path / "answer").read_text()) == {"a": 1, "a_2": 2, "a_1": 3}
    write(connection, sql, "parquet", tmp_path / "answer")
    assert pq.read_table(tmp_path / "answer").to_pylist() == [{"a": 1, "a_2": 2, "a_1": 3}]


LATE = "SELECT CASE WHEN i = 250000 THEN error('too late') ELSE i END AS x FROM range(300000) t(i)"


@pytest.mark.parametrize("form", ["json", "csv", "parquet", "arrow", "table"])
@pytest.mark.parametrize("before", [None, b"what was there"])
def test_a_statement_that_fails_half_way_leaves_the_file_as_it_was(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path, form: Any, before: bytes | None
) -> None:
    path = tmp_path / "answer"
    if before is not None:
        path.write_bytes(before)
    sql = LATE if form != "table" else "SELECT error('too late') AS x"
    with pytest.raises(InputError, match="too late"):
        write(connection, sql, form, path)
    assert [found.read_bytes() for found in tmp_path.iterdir()] == [before] * (before is not None)


def test_a_disk_that_is_full_leaves_the_file_as_it_was(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match="No such file or directory"):
        write(connection, "SELECT 1", "csv", tmp_path / "nowhere" / "answer.csv")
    with pytest.raises(TerminalError, match=r"/dev/full.*No space left"):
        write(connection, "SELECT i FROM range(100000) t(i)", "csv", Path("/dev/full"))
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_replaced_keeps_its_rights_and_a_link_stays_a_link(
    connection: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path, link = tmp_path / "answer", tmp_path / "link"
    path.write_text("before")
    path.chmod(0o640)
    link.symlink_to(path)
    write(connection, "SELECT 1 AS x", "csv", link)
    assert link.is_symlink()
    assert path.read_text().split() == ["x", "1"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_pipe_is_written_as_it_is(connection: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write(connection, "SELECT 1 AS x", "csv", pipe)
        assert os.read(reader, 100).split() == [b"x", b"1"]
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
