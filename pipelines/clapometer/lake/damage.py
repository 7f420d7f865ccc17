"""What is damaged in the files of a lake: which file, what is lost for certain, and what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

_ENTRY = re.compile(r"^(\d{20})\.json$")
_CHECKPOINT = re.compile(r"^(\d{20})\.checkpoint.*\.parquet$")
_MAGIC = b"PAR1"
_RESTORE = (
    "stop all parts, keep a copy of the lake and restore lake and log from one backup (`clapometer restore`); "
    "or bring back this one file from a copy"
)


@dataclass(frozen=True)
class Damage:
    """A file that is not what it was.

    Attributes:
        path: The file.
        problem: What is wrong with it.
        lost: What is lost for certain.
        advice: What to do.
    """

    path: Path
    problem: str
    lost: str
    advice: str = _RESTORE

    def __str__(self) -> str:
        return f"{self.path} {self.problem}. Lost for certain: {self.lost}"


def find_damage(root: Path) -> Iterator[Damage]:
    """Yields what is damaged in a lake in a folder, as far as lengths and the ends of files tell; reads no rows."""
    for log in sorted(root.glob("*/_delta_log")):
        damaged = list(_entries(log))
        yield from damaged
        if not damaged:
            yield from _files(log.parent)


def _entries(log: Path) -> Iterator[Damage]:
    """Looks for gaps in a table's log since the newest checkpoint, and for entries that are cut."""
    names = [path.name for path in log.iterdir()]
    entries = sorted(int(found[1]) for name in names if (found := _ENTRY.match(name)))
    checkpoint = max((int(found[1]) for name in names if (found := _CHECKPOINT.match(name))), default=-1)
    needed = [version for version in entries if version > checkpoint]
    table = log.parent.name
    last = max(entries, default=checkpoint)
    for version in sorted(set(range(checkpoint + 1, last + 1)) - set(needed)):
        path = log / f"{version:020}.json"
        yield Damage(
            path, "is missing", f"which files version {version} of {table} added; its rows cannot be told apart"
        )
    for version in needed:
        path = log / f"{version:020}.json"
        problem = _unreadable(path)
        if problem:
            yield Damage(path, problem, f"what version {version} of {table} committed")


def _unreadable(entry: Path) -> str:
    """Returns what is wrong with an entry of a log; empty where nothing is."""
    content = entry.read_bytes()
    if not content.strip():
        return "is empty"
    try:
        for line in content.splitlines():
            json.loads(line)
    except ValueError:
        return "is cut or overwritten"
    return ""


def _files(table: Path) -> Iterator[Damage]:
    try:
        actions = DeltaTable(str(table)).get_add_actions(flatten=True)
        listed = zip(
            *(actions.column(name).to_pylist() for name in ("path", "size_bytes", "num_records")), strict=True
        )  # fmt: skip
    except (DeltaError, OSError, KeyError) as error:
        yield Damage(
            table / "_delta_log", f"cannot be read: {error}", f"nothing, as far as can be told, of {table.name}"
        )
        return
    for name, size, rows in listed:
        problem = _broken(table / name, size)
        if problem:
            yield Damage(table / name, problem, f"{rows or 0:,} rows of {table.name}")


def _broken(file: Path, size: int) -> str:
    """Returns what is wrong with a Parquet file; empty where its length and both its ends are right."""
    try:
        found = file.stat().st_size
        if found != size:
            return (
                f"has {found:,} bytes of {size:,}: it was cut" if found < size else f"has {found:,} bytes, not {size:,}"
            )
        with file.open("rb") as content:
            first = content.read(len(_MAGIC))
            content.seek(-len(_MAGIC), 2)
            return "" if first == content.read() == _MAGIC else "is no Parquet file any more"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
