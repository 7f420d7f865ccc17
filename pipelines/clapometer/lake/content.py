"""A hash of what a table holds: equal for equal rows, whoever loaded them when, in however many files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from clapometer.domain import InputError
from clapometer.lake.specs import SPECS
from clapometer.lake.statements import sql
from clapometer.lake.tables import Lake


@dataclass(frozen=True)
class Content:
    """What a version of a table holds.

    Attributes:
        table: Its name.
        version: Of the table.
        rows: How many.
        hash: SHA-256 in hexadecimal.
    """

    table: str
    version: int
    rows: int
    hash: str


def content(
    lake: Lake, table: str, version: int | None = None, *, threads: int | None = None, memory_limit: str | None = None
) -> Content:
    """Returns the hash of a version of a table, the latest where none is given.

    Raises:
        InputError: There is no such table.
    """
    if table not in SPECS:
        msg = f"{table!r} is no table of the lake; one of {', '.join(SPECS)}"
        raise InputError(msg, "table")
    chosen = lake.version(table) if version is None else version
    left_out = SPECS[table].own
    exclude = "EXCLUDE ({})".format(", ".join(f'"{name}"' for name in left_out)) if left_out else ""
    with lake.connect({table: chosen}, threads=threads, memory_limit=memory_limit) as con:
        con.execute(f"CREATE TEMP VIEW chosen AS SELECT * {exclude} FROM {table}")  # noqa: S608 - our own names
        rows, low, high = con.execute(sql("lake/sql/content.sql")).fetchall()[0]
    digest = hashlib.sha256(f"{table} {rows} {low} {high}".encode()).hexdigest()
    return Content(table, chosen, rows, digest)
