"""What changed from one export to another: for copies that were made of the first and have to follow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clapometer.domain import InputError
from clapometer.export.export import IDENTITY
from clapometer.export.folder import Manifest, read_manifest
from clapometer.lake.duck import connect
from clapometer.lake.statements import quote, sql

_FETCH_ROWS = 10_000


def changes(old: Path, new: Path) -> Iterator[dict[str, Any]]:
    """Yields the rows that differ between two exports of one kind, ordered by prompt.

    Each has ``change`` (added, changed or removed) before its columns; a changed row is as the new export has it, a
    removed one as the old one had it. A pair whose order turned is removed and added. Rows that were drawn count once.

    Raises:
        InputError: A folder is no export, or the two are of different kinds.
    """
    before, after = read_manifest(old), read_manifest(new)
    if before.options.kind != after.options.kind:
        msg = f"{old} has rows of {before.options.kind}, {new} of {after.options.kind}; compare exports of one kind"
        raise InputError(msg, "new")
    query = sql("export/sql/changes.sql").format(
        old=_rows(old, before), new=_rows(new, after), identity=IDENTITY[after.options.kind]
    )
    with connect() as connection:
        found = connection.execute(query)
        names = [column[0] for column in found.description or ()]
        while rows := found.fetchmany(_FETCH_ROWS):
            yield from (dict(zip(names, row, strict=True)) for row in rows)


def _rows(folder: Path, manifest: Manifest) -> str:
    parts = [
        f"SELECT *, {quote(split)} AS split FROM read_parquet({quote(str(folder / f'{split}.parquet'))})"  # noqa: S608
        for split in manifest.splits
    ]
    return " UNION ALL ".join(parts)
