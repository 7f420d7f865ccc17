"""The process that runs one statement: ``python -m clapometer.serving.sandbox.worker``.

The job is a line on standard input, which stays open: its end is that of the server, and ends this process too.
What a statement may do is bounded three times: by what its parse tree may name (``statement``), by DuckDB (no access
outside the lake's folder, locked configuration, memory, spill space, time), and by the operating system (address
space, processor time, no new files beyond the spill). A process serves one statement, so nothing is left over for the
next one.
"""

import re
import resource
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from clapometer.lifeline import end_with_parent
from clapometer.serving.sandbox.formats import encoder
from clapometer.serving.sandbox.job import OVERHEAD, Frame, Job
from clapometer.serving.sandbox.privacy import protect
from clapometer.serving.sandbox.silence import mirror
from clapometer.serving.sandbox.statement import StatementError, check
from clapometer.serving.sandbox.tenant import open_tenant
from clapometer.serving.sandbox.types import batches, fitted

BATCH_ROWS = 2_048
_OF_THE_TEXT = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException, duckdb.SyntaxException)
"""Errors that are found before a row is read, so that no value of a viewer is in them."""
_PATH = re.compile(r"(?<![\w/])/(?:[\w.+=@~-]+/)+[\w.+=@~-]*")


def main() -> None:
    """Reads a job, runs it, and writes frames."""
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)
    end_with_parent()
    out = sys.stdout.buffer
    try:
        _limit_process(job)
        for piece in answer(job):
            _write(out, Frame.CONTENT, piece)
    except StatementError as error:
        _write(out, Frame.REFUSED, error.reason.encode())
    except (duckdb.Error, MemoryError, pa.ArrowException) as error:
        _write(out, Frame.REFUSED, _explain(error, job).encode())
    else:
        _write(out, Frame.END, b"")
    out.flush()


def answer(job: Job) -> Iterator[bytes]:
    """Yields the encoded answer.

    Raises:
        StatementError: The statement is not one that may be run.
        duckdb.Error: It failed, or was stopped by a limit.
    """
    with open_tenant(job) as view:
        statement = check(view.connection, job.sql, view.columns, view.table_functions, view.macros)
        if job.min_viewers > 1:
            with mirror(view.columns, view.macros) as empty:
                statement = protect(statement, view, job.min_viewers, empty)
        text = statement.sql(view.connection)
        timer = threading.Timer(job.seconds, view.connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            schema, found = batches(fitted(view.connection.sql(text), job.format), BATCH_ROWS)
            shown = map(_unoptimised, found) if statement.prefix else found
            yield from encoder(job.format)(schema, _limited(shown, job))
        finally:
            timer.cancel()


def _unoptimised(plans: pa.RecordBatch) -> pa.RecordBatch:
    """Returns the plan as it was written: the others tell how many rows, and which values, all tenants have."""
    return plans.filter(pc.equal(plans["explain_key"], "logical_plan"))


def _limited(reader: Iterable[pa.RecordBatch], job: Job) -> Iterator[pa.RecordBatch | None]:
    """Yields batches up to the limits; ``None`` at the end where there would have been more."""
    rows = size = 0
    for batch in reader:
        size += batch.nbytes
        if size > job.max_bytes:
            if rows == 0 and batch.num_rows == 1:
                msg = f"the first row alone is larger than {job.max_bytes:,} bytes"
                raise StatementError(msg)
            yield None
            return
        if rows + batch.num_rows > job.max_rows:
            yield batch.slice(0, job.max_rows - rows)
            yield None
            return
        rows += batch.num_rows
        yield batch


def _limit_process(job: Job) -> None:
    memory = job.memory + OVERHEAD
    seconds = int(job.seconds * job.threads) + 10
    for limit, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, job.spill_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))


def _explain(error: Exception, job: Job) -> str:
    """Returns what went wrong without saying where the lake is."""
    if isinstance(error, duckdb.InterruptException):
        return f"stopped after {job.seconds:g} seconds; ask for less, or read the published file"
    if isinstance(error, (duckdb.OutOfMemoryException, MemoryError, pa.ArrowMemoryError)):
        return f"stopped: it needs more than {job.memory >> 20} MiB of memory; ask for less, or read the published file"
    if job.min_viewers > 1 and not isinstance(error, _OF_THE_TEXT):
        return f"{type(error).__name__}: a value did not fit; which one is not told where viewers have a minimum"
    text = str(error).replace(str(Path(job.published).parent), "lake")
    return _PATH.sub("…", text)


def _write(out: BinaryIO, kind: Frame, content: bytes) -> None:
    out.write(bytes([kind]) + len(content).to_bytes(4, "big") + content)


if __name__ == "__main__":
    main()
