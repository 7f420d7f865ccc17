"""CSV, Parquet and NDJSON as rows, a bounded number of them in memory."""

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, cast

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from clapometer.domain import InputError
from clapometer.traffic.recorded.rows import refuse_unknown

Row = Mapping[str, Any] | bytes | InputError
"""Cells by column, or a CloudEvent as it is, or what is wrong with the row."""

MAX_LINE_BYTES = 1_048_576
"""Longest line of NDJSON, in bytes: no event is larger than a request."""
_DELIMITERS = ",\t;|"
_FETCH_ROWS = 2_000
_PANDAS_INDEX = re.compile(r"__index_level_[0-9]+__")
"""Row labels that pandas writes beside the columns."""


def read_rows(path: Path) -> Iterator[Row]:
    """Yields the rows of a file; its name says the format: ``.csv``, ``.tsv``, ``.parquet``, ``.ndjson``, ``.jsonl``.

    All but Parquet may end in ``.gz``.

    Raises:
        InputError: The file is missing, of another format, or has a column that no event has.
    """
    name = path.name.lower().removesuffix(".gz")
    reader = next((reader for suffix, reader in _READERS.items() if name.endswith(suffix)), None)
    if reader is None:
        msg = f"the name ends in none of {', '.join(_READERS)}, so its format is not known"
        raise InputError(msg, str(path))
    if not path.is_file():
        msg = "no such file"
        raise InputError(msg, str(path))
    try:
        yield from reader(path)
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        msg = f"cannot be read (further): {error}"
        raise InputError(msg, str(path)) from error


def open_bytes(path: Path) -> IO[bytes]:
    """Opens a file, unpacked where its name ends in ``.gz``."""
    if path.suffix.lower() == ".gz":
        return cast(IO[bytes], gzip.open(path, "rb"))
    return path.open("rb")


def _csv(path: Path) -> Iterator[Row]:
    # A byte that is no UTF-8 stays in its cell, so that it costs that row only.
    with (
        open_bytes(path) as binary,
        io.TextIOWrapper(binary, "utf-8-sig", errors="surrogateescape", newline="") as text,
    ):
        header = text.readline()
        if "\0" in header or any("\udc80" <= character <= "\udcff" for character in header):
            msg = "its first line is not UTF-8; save it as UTF-8 (spreadsheets: CSV UTF-8)"
            raise InputError(msg, str(path))
        delimiter = max(_DELIMITERS, key=header.count)
        names = next(csv.reader([header], delimiter=delimiter), [])
        refuse_unknown(names, str(path))
        for cells in _guarded(csv.reader(text, delimiter=delimiter)):
            if isinstance(cells, InputError):
                yield cells
            elif cells:
                yield _row(names, cells)


def _guarded(reader: Iterator[list[str]]) -> Iterator[list[str] | InputError]:
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield InputError(str(error))


def _row(names: list[str], cells: list[str]) -> Row:
    if len(cells) != len(names):
        return InputError(f"{len(cells)} cells under {len(names)} columns")
    return dict(zip(names, cells, strict=True))


def _parquet(path: Path) -> Iterator[Row]:
    with pq.ParquetFile(path) as file:
        names = [name for name in file.schema_arrow.names if not _PANDAS_INDEX.fullmatch(name)]
        refuse_unknown(names, str(path))
        intervals = _intervals(file)
        for batch in file.iter_batches(_FETCH_ROWS, columns=names):
            columns = [
                _cells(name, column, "an interval" if name in intervals else "")
                for name, column in zip(names, batch.columns, strict=True)
            ]
            for cells in zip(*columns, strict=True):
                yield dict(zip(names, cells, strict=True))


def _intervals(file: pq.ParquetFile) -> set[str]:
    """Returns the columns that Parquet knows as INTERVAL; Arrow shows their bytes only."""
    columns = map(file.schema.column, range(len(file.schema.names)))
    return {column.path for column in columns if "INTERVAL" in {column.converted_type, column.logical_type.type}}


def _cells(name: str, column: pa.Array, unusable: str) -> list[Any]:
    """Returns the cells of a column; one that Python cannot hold is the error that says so."""
    kind = column.type
    if pa.types.is_time(kind) or pa.types.is_duration(kind):
        unusable = "a time of day" if pa.types.is_time(kind) else "a duration"
    if unusable:
        refusal = InputError(f"is {unusable}, which no field of an event is; convert the column", name)
        return [refusal if there else None for there in column.is_valid().to_pylist()]
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        column = column.cast(pa.timestamp("us", kind.tz), safe=False)  # as times are kept everywhere
    try:
        return list(column.to_pylist(maps_as_pydicts="strict"))
    except (ValueError, OverflowError, KeyError, ImportError, AttributeError):
        return [_python(name, scalar) for scalar in column]


def _python(name: str, scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py(maps_as_pydicts="strict")
    except (ValueError, OverflowError, KeyError, ImportError, AttributeError) as error:
        return InputError(f"holds a value ({scalar.type}) that cannot be read: {error}", name)


def _ndjson(path: Path) -> Iterator[Row]:
    with open_bytes(path) as lines:
        for number, line in enumerate(_lines(lines)):
            text = line.removeprefix(codecs.BOM_UTF8) if number == 0 else line
            if text.strip():
                yield _json_row(text)


def _lines(file: IO[bytes]) -> Iterable[bytes]:
    while line := file.readline(MAX_LINE_BYTES):
        yield line


def _json_row(line: bytes) -> Row:
    try:
        row = msgspec.json.decode(line)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        return InputError(f"not a line of JSON: {error}")
    if isinstance(row, list):
        return InputError("a JSON array, not one object a line; write each on a line of its own (pandas: `lines=True`)")
    if not isinstance(row, dict):
        return InputError("not a JSON object")
    return line.strip() if "specversion" in row and "data" in row else row


_READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".ndjson": _ndjson,
    ".jsonl": _ndjson,
    ".parquet": _parquet,
}
