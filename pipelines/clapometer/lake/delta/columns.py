"""Tables that an older version made get the columns that have come since; others are refused, and left as they are."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.exceptions import DeltaError

from clapometer.domain import TerminalError, TransientError
from clapometer.lake.delta.packing import is_packed, suffix_of
from clapometer.lake.delta.table import CommitConflictError, Table
from clapometer.lake.schema import WATCHING_SUFFIX, WIDE
from clapometer.lake.specs import SPECS


def bring_columns_up_to_date(table: Table) -> list[str]:
    """Returns the columns that a table lacked, and has now: unknown (null) in all old rows.

    Files are written anew before the table's schema names the columns, so that a crash in between repeats work.

    Raises:
        CommitConflictError: Another process is at it; open the table again.
        TerminalError: The table has columns that this version does not know, or is too large to be written anew.
    """
    found = {field.name: field.nullable for field in table.declared()}
    missing, unknown = (
        [name for name in table.schema.names if name not in found],
        sorted({*found} - {*table.schema.names}),
    )
    if unknown or (missing and not SPECS[table.folder.name].grows):
        differs = "; ".join(
            f"{what} {', '.join(names)}" for what, names in (("lacks", missing), ("also has", unknown)) if names
        )
        msg = (
            f"table {table.folder.name} of the lake is of another version of Clapometer: it {differs}. Use that "
            "version, or load the lake again from the event log"
        )
        raise TerminalError(msg)
    try:
        _widen(table)
    except CommitConflictError:
        raise
    except (DeltaError, OSError, TransientError):
        pass  # a lake that cannot be written can still be read: views widen what they read
    if missing:
        _rewrite(table)
        table.add_columns([table.schema.field(name) for name in missing])
    with suppress(DeltaError, OSError, TransientError):  # a lake that cannot be written can still be read
        for field in table.schema:
            if field.nullable and not found.get(field.name, True):
                table.allow_null(field.name)
    return missing


def _widen(table: Table) -> None:
    """Gives columns the type that holds more than that of older versions, in the files and in the table's log."""
    declared = {field.name: field.type for field in table.declared()}
    wider = [field for field in table.schema if field.type == WIDE != declared.get(field.name, WIDE)]
    if not wider:
        return
    added, removed = [], []
    for file in table.files():
        (path,) = table.local([file])
        rows = pq.ParquetFile(path).read()
        present = [field for field in wider if field.name in rows.column_names and rows[field.name].type != WIDE]
        if not present:
            continue
        for field in present:
            at = rows.column_names.index(field.name)
            rows = rows.set_column(at, field, rows[field.name].cast(field.type))
        new = table.new_file(dict(file.partition), suffix_of([path], packed=is_packed(path)))
        pq.write_table(rows, new, compression="zstd")
        added.append(table.added(new, dict(file.partition), data_change=False))
        removed.append(file)
    if added:
        table.commit([*added, *table.removed(removed, data_change=False)], {})
    table.declare_types()


def _rewrite(table: Table) -> None:
    """Replaces the table's files by ones that have all columns."""
    added, removed = [], []
    for file in table.files():
        path = table.folder / file.path
        rows = pq.ParquetFile(path).read()
        lacking = [field for field in table.schema if field.name not in {*rows.column_names, *table.partition_by}]
        if not lacking or path.name.endswith(WATCHING_SUFFIX):
            continue
        for field in lacking:
            rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
        if table.folder.name == "runs" and any(field.name == "tier" for field in lacking):
            rows = _with_own_columns(rows)
        new = table.new_file(dict(file.partition))
        pq.write_table(rows, new, compression="zstd")
        added.append(table.added(new, dict(file.partition), data_change=False))
        removed.append(file)
    if added:
        table.commit([*added, *table.removed(removed, data_change=False)], {})


class _Recorded(msgspec.Struct):
    """What ``parameters`` held in runs of versions that had no column for the others."""

    as_of: dt.datetime
    parameters: dict[str, object]
    tier: str = ""
    tier_reason: str = ""


def _with_own_columns(runs: pa.Table) -> pa.Table:
    """Returns records of runs with what ``parameters`` held beside the parameters in columns of its own."""
    rows = runs.to_pylist()
    for row in rows:
        try:
            recorded = msgspec.json.decode(row["parameters"] or "", type=_Recorded)
        except msgspec.MsgspecError:  # of another shape: it stays as it is
            continue
        row.update(msgspec.structs.asdict(recorded), parameters=msgspec.json.encode(recorded.parameters).decode())
    return pa.Table.from_pylist(rows, schema=runs.schema)
