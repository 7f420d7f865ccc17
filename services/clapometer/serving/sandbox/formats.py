"""Answers as JSON, CSV or an Arrow stream, piece by piece."""

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pyarrow as pa

from clapometer.serving.sandbox.job import Format
from clapometer.serving.sandbox.values import values

Batches = Iterator[pa.RecordBatch | None]
"""Batches; a ``None`` at the end says that rows were left out."""
MEDIA_TYPES: dict[Format, str] = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "arrow": "application/vnd.apache.arrow.stream",
}
TRUNCATED = b"clapometer:truncated"
"""Key in the metadata of the last batch of an Arrow stream from which rows were left out."""


def encoder(form: Format) -> Callable[[pa.Schema, Batches], Iterator[bytes]]:
    """Returns what turns batches into pieces of an answer."""
    return {"json": as_json, "csv": as_csv, "arrow": as_arrow}[form]


def as_json(schema: pa.Schema, batches: Batches) -> Iterator[bytes]:
    """Yields ``{"columns": [{"name", "type"}], "rows": [[…]], "truncated": bool}``."""
    columns = [{"name": field.name, "type": str(field.type)} for field in schema]
    yield b'{"columns":' + msgspec.json.encode(columns) + b',"rows":['
    first, truncated = True, False
    for batch in batches:
        if batch is None:
            truncated = True
        elif batch.num_rows:
            encoded = msgspec.json.encode(rows(batch), enc_hook=str)[1:-1]
            yield encoded if first else b"," + encoded
            first = False
    yield b'],"truncated":' + (b"true" if truncated else b"false") + b"}\n"


def as_csv(schema: pa.Schema, batches: Batches) -> Iterator[bytes]:
    """Yields CSV (RFC 4180) with a header; nested values as JSON. A last line ``# truncated`` says so."""
    yield _csv([[field.name for field in schema]])
    for batch in batches:
        yield b"# truncated\r\n" if batch is None else _csv(rows(batch))


def as_arrow(schema: pa.Schema, batches: Batches) -> Iterator[bytes]:
    """Yields an Arrow IPC stream; where rows are left out, an empty last batch says so in its metadata."""
    sink = _Pieces()
    with pa.ipc.new_stream(sink, schema) as writer:
        for batch in batches:
            if batch is None:
                writer.write_batch(_empty(schema), {TRUNCATED: b"1"})
            else:
                writer.write_batch(batch)
            yield sink.taken()
    yield sink.taken()


class _Pieces(io.RawIOBase):
    """A file that is read off as it is written."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        self._pieces.append(bytes(piece))
        return len(self._pieces[-1])

    def taken(self) -> bytes:
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)


def rows(batch: pa.RecordBatch) -> list[tuple[Any, ...]]:
    """Returns the rows of a batch as values of JSON; columns may share a name."""
    return list(zip(*(values(column) for column in batch.columns), strict=True))


def _csv(lines: list[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([_cell(value) for value in line] for line in lines)
    return text.getvalue().encode()


def _cell(value: object) -> object:
    if isinstance(value, (list, dict)):
        return msgspec.json.encode(value, enc_hook=str).decode()
    if isinstance(value, bytes):  # a member of a union: others come as text
        return msgspec.json.encode(value).decode().strip('"')
    return value.isoformat() if hasattr(value, "isoformat") else value
