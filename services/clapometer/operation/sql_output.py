"""Answers of ``clapometer sql`` as a table, CSV, JSON lines, Parquet or Arrow: whole, or not at all."""

import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import BinaryIO, Literal

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from clapometer.domain import InputError, TerminalError
from clapometer.serving.sandbox import as_csv, batches, fitted, rows
from clapometer.terminal.printing import echo, exact_output

BINARY = ("parquet", "arrow")
_ROWS = 100_000
Batches = Iterator[pa.RecordBatch]


def write(
    connection: duckdb.DuckDBPyConnection,
    statement: str,
    form: Literal["table", "csv", "json", "parquet", "arrow"],
    output: Path | None = None,
) -> None:
    """Runs a statement and writes the answer to ``output``, or to standard output.

    A file is there when all of the answer is in it; one of that name stays as it is until then.

    Raises:
        InputError: The statement is wrong, or a terminal was to show bytes.
        TerminalError: The file cannot be written.
    """
    if output is None and form in BINARY and sys.stdout.isatty():
        msg = f"{form} is not for a terminal; name a file with --output, or pipe it"
        raise InputError(msg, "format")
    try:
        relation = connection.sql(statement)
        if relation is None:
            return  # a statement without an answer, such as SET
        if form == "table":
            show(relation, output)
            return
        schema, found = batches(fitted(relation, form), _ROWS)
        with _opened(output) as file:
            _WRITERS[form](schema, found, file)
    except (duckdb.Error, pa.ArrowException) as error:
        raise InputError(str(error), "sql") from error


def show(relation: duckdb.DuckDBPyRelation, output: Path | None = None) -> None:
    """Prints a relation as DuckDB does."""
    text = str(relation).rstrip("\n")
    if output is None:
        echo(text)
    else:
        with _whole(output) as file:
            file.write(f"{text}\n".encode())


def _opened(output: Path | None) -> AbstractContextManager[BinaryIO]:
    return nullcontext(exact_output()) if output is None else _whole(output)


@contextmanager
def _whole(output: Path) -> Iterator[BinaryIO]:
    """Yields a file that gets its name once it is complete; a pipe or a device is written as it is.

    Raises:
        TerminalError: It cannot be written.
    """
    path = output.resolve()
    temporary = path.with_name(f".{path.name[:200]}.{os.getpid()}.part")
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as file:
                yield file
            return
        with temporary.open("xb") as file:
            yield file
        if path.exists():
            temporary.chmod(stat.S_IMODE(path.stat().st_mode))
        temporary.replace(path)
    except OSError as error:
        msg = f"{output} cannot be written: {error.strerror or error}; it is as it was before"
        raise TerminalError(msg) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _write_csv(schema: pa.Schema, found: Batches, file: BinaryIO) -> None:
    file.writelines(as_csv(schema, found))


def _write_json(schema: pa.Schema, found: Batches, file: BinaryIO) -> None:
    """Writes a JSON object per line and row."""
    for batch in found:
        file.writelines(
            msgspec.json.encode(dict(zip(schema.names, row, strict=True)), enc_hook=str) + b"\n" for row in rows(batch)
        )


def _write_parquet(schema: pa.Schema, found: Batches, file: BinaryIO) -> None:
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in found:
            writer.write_batch(batch)


def _write_arrow(schema: pa.Schema, found: Batches, file: BinaryIO) -> None:
    with pa.ipc.new_stream(file, schema) as writer:
        for batch in found:
            writer.write_batch(batch)


_WRITERS: dict[str, Callable[[pa.Schema, Batches, BinaryIO], None]] = {
    "csv": _write_csv, "json": _write_json, "parquet": _write_parquet, "arrow": _write_arrow,
}  # fmt: skip
