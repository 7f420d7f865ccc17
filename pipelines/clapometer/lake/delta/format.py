"""The format of a lake's folder: read where it is ours, brought up to date where it is older, refused where newer."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from clapometer.domain import TerminalError, TransientError
from clapometer.lake.delta.durable import fsync
from clapometer.lake.delta.storage import Storage

FORMAT = 4
"""1: tables without a marker. 2: the same with ``format.json``. 3: files of ``events`` may lack what other columns tell
(`clapometer.lake.delta.packing`), and the marker is in the bucket too, if there is one. 4: files of ``outcomes`` may
have several days, and then no partition, and what weighs nothing is in files of its own. Columns that results and dead
letters have got since are added when a table is opened (`clapometer.lake.delta.columns`); that is no new format."""
MARKER = "format.json"


def _only_mark(storage: Storage) -> None:
    """The marker, which every step writes, is all that is new; old files stay as they are."""


MIGRATIONS: dict[int, Callable[[Storage], None]] = dict.fromkeys((1, 2, 3), _only_mark)
"""What brings a lake of a format to the next one, but for the marker."""


def bring_up_to_date(storage: Storage) -> int:
    """Returns the format that the lake had; it has `FORMAT` afterwards.

    Every step is written down before the next one begins; a step that is repeated after a crash does no harm.

    Raises:
        TerminalError: The lake is of a newer format, or its marker is damaged.
    """
    found = read_format(storage)
    for format_ in range(found, FORMAT):
        MIGRATIONS[format_](storage)
        # a lake that cannot be written can still be read
        with suppress(OSError, TransientError):
            _mark(storage, format_ + 1)
    return found


def read_format(storage: Storage) -> int:
    """Returns the format of a lake; that of a new one where the folder holds none.

    Raises:
        TerminalError: The lake is of a newer format, or its marker is damaged.
        TransientError: The object store does not answer.
    """
    marker = storage.root / MARKER
    try:
        content = _read(storage)
        if content is None:
            return 1
        found = json.loads(content)["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f'{marker} is damaged ({error}); write {{"format": {FORMAT}}} into it, or restore the lake from a backup'
        raise TerminalError(msg) from error
    if not isinstance(found, int) or found < 1 or found > FORMAT:
        msg = f"the lake {storage.root} has format {found}, this version reads up to {FORMAT}; upgrade Clapometer"
        raise TerminalError(msg)
    return found


def _mark(storage: Storage, format_: int) -> None:
    path = storage.temporary(".json")
    _write(path, json.dumps({"format": format_}).encode() + b"\n")
    if storage.bucket is not None:
        storage.bucket.upload(path, MARKER)
    path.rename(storage.root / MARKER)
    fsync(storage.root)


def _read(storage: Storage) -> bytes | None:
    """Returns the marker's bytes; the local copy's where the bucket has none, as format 2 left it."""
    found = None if storage.bucket is None else storage.bucket.read(MARKER)
    try:
        return (storage.root / MARKER).read_bytes() if found is None else found
    except FileNotFoundError:
        return None


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
