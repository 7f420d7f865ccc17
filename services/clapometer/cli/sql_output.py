"""Answers of ``clapometer sql`` as a table, CSV, JSON lines, Parquet or Arrow."""

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO, Literal

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from clapometer.domain import InputError
from clapometer.serving.sandbox import as_csv

BINARY = ("parquet", "arrow")


def write(
    connection: duckdb.DuckDBPyConnection,
    statement: str,
    form: Literal["table", "csv", "json", "parquet", "arrow"],
    output: Path | None = None,
) -> None:
    """Runs a statement and writes the answer to ``output``, or to standard output.

    Raises:
        InputError: The statement is wrong, or a terminal was to show bytes.
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
        with _opened(output) as file:
            _write(relation.to_arrow_reader(100_000), form, file)
    except duckdb.Error as error:
        raise InputError(str(error), "sql") from error


def show(relation: duckdb.DuckDBPyRelation, output: Path | None = None) -> None:
    """Prints a relation as DuckDB does."""
    text = str(relation).rstrip("\n")
    if output is None:
        typer.echo(text)
    else:
        output.write_text(text + "\n", encoding="utf-8")


def _opened(output: Path | None) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdout.buffer) if output is None else output.open("wb")


def _write(reader: pa.RecordBatchReader, form: str, file: BinaryIO) -> None:
    writers = {"csv": _write_csv, "json": _write_json, "parquet": _write_parquet, "arrow": _write_arrow}
    writers[form](reader, file)


def _write_csv(reader: pa.RecordBatchReader, file: BinaryIO) -> None:
    file.writelines(as_csv(reader.schema, iter(reader)))


def _write_json(reader: pa.RecordBatchReader, file: BinaryIO) -> None:
    """Writes a JSON object per line and row."""
    names = reader.schema.names
    for batch in reader:
        columns = [column.to_pylist() for column in batch.columns]
        file.writelines(
            msgspec.json.encode(dict(zip(names, row, strict=True)), enc_hook=str) + b"\n"
            for row in zip(*columns, strict=True)
        )


def _write_parquet(reader: pa.RecordBatchReader, file: BinaryIO) -> None:
    with pq.ParquetWriter(file, reader.schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch)


def _write_arrow(reader: pa.RecordBatchReader, file: BinaryIO) -> None:
    with pa.ipc.new_stream(file, reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
