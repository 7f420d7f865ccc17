"""What is damaged in the files of a lake: which file, what is lost for certain, and what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from clapometer.lake.delta.objects import ObjectPath
from clapometer.lake.delta.storage import Storage

Place = Path | ObjectPath
_ENTRY = re.compile(r"^(\d{20})\.json$")
_CHECKPOINT = re.compile(r"^(\d{20})\.checkpoint.*\.parquet$")
_HINT = "_last_checkpoint"
_MAGIC = b"PAR1"
_MISSING = "is missing"
_RESTORE = (
    "stop all parts, keep a copy of the lake and restore lake and log from one backup (`clapometer restore`); "
    "or bring back this one file from a copy"
)
_RESTORE_OBJECT = "stop all parts, and bring back this one object by the store's own versions or from a replica"


@dataclass(frozen=True)
class Damage:
    """A file that is not what it was.

    Attributes:
        path: The file.
        problem: What is wrong with it.
        lost: What is lost for certain.
        own_advice: What to do, where that is not to bring it back.
    """

    path: Place
    problem: str
    lost: str
    own_advice: str = ""

    @property
    def advice(self) -> str:
        """What to do."""
        return self.own_advice or (_RESTORE if isinstance(self.path, Path) else _RESTORE_OBJECT)

    def __str__(self) -> str:
        return f"{self.path} {self.problem}. Lost for certain: {self.lost}"


def find_damage(storage: Storage) -> Iterator[Damage]:
    """Yields what is damaged in a lake, as far as lengths and the ends of files tell; reads no rows.

    Of a lake on an object store the objects are looked at, and the copies of whole ones.

    Raises:
        TransientError: The object store does not answer.
    """
    for log in _logs(storage):
        damaged = list(_entries(log))
        yield from damaged
        if not damaged:
            yield from _files(log.parent, storage)


def find_log_damage(storage: Storage) -> Iterator[Damage]:
    """Yields what is damaged in the tables' logs alone, which costs little.

    Delta's readers take an empty entry for one that did nothing: whoever goes on writes beside rows that are gone.
    """
    for log in _logs(storage):
        yield from _entries(log)


def _logs(storage: Storage) -> Sequence[Place]:
    if storage.bucket is None:
        return sorted(storage.root.glob("*/_delta_log"))
    logs = [table / "_delta_log" for table in ObjectPath(storage.bucket).iterdir()]
    return [log for log in logs if any(log.iterdir())]


def _entries(log: Place) -> Iterator[Damage]:
    """Looks for a damaged checkpoint, for gaps in a table's log since it, and for entries that are cut."""
    names = [path.name for path in log.iterdir()]
    entries = sorted(int(found[1]) for name in names if (found := _ENTRY.match(name)))
    checkpoints = [name for name in names if _CHECKPOINT.match(name)]
    broken = list(_checkpoint(log, set(entries), checkpoints))
    yield from broken
    if broken:
        return
    checkpoint = max(map(_version, checkpoints), default=-1)
    table = log.parent.name
    for version in range(checkpoint + 1, max(entries, default=checkpoint) + 1):
        path = log / f"{version:020}.json"
        problem = _unreadable(path)
        if problem == _MISSING:
            yield Damage(
                path, problem, f"which files version {version} of {table} added; its rows cannot be told apart"
            )
        elif problem:
            yield Damage(path, problem, f"what version {version} of {table} committed")


def _version(name: str) -> int:
    return int(name[:20])


def _checkpoint(log: Place, entries: set[int], checkpoints: list[str]) -> Iterator[Damage]:
    """Looks whether the newest checkpoint is whole, be it that only the hint of Delta's readers knows of it."""
    version = max([*map(_version, checkpoints), _hinted(log)])
    if version < 0:
        return
    before = max((older for name in checkpoints if (older := _version(name)) < version), default=-1)
    hint, table = log / _HINT, log.parent.name
    for name in [name for name in checkpoints if _version(name) == version] or [f"{version:020}.checkpoint.parquet"]:
        path = log / name
        problem = _broken(path)
        if problem and entries.issuperset(range(before + 1, version + 1)):
            advice = f"stop all parts, move {path} (where it is there) and {hint} away, and start again"
            yield Damage(path, problem, "nothing: the entries before it say the same", advice)
        elif problem:
            lost = f"which files {table} had up to version {version}; its rows cannot be told apart"
            yield Damage(path, problem, lost)


def _hinted(log: Place) -> int:
    """Returns the version of the checkpoint that readers look for; -1 where they are told of none."""
    try:
        found = json.loads((log / _HINT).read_bytes())["version"]
    except (OSError, ValueError, LookupError, TypeError):
        return -1
    return found if isinstance(found, int) else -1


def _unreadable(entry: Place) -> str:
    """Returns what is wrong with an entry of a log; empty where nothing is."""
    try:
        content = entry.read_bytes()
    except FileNotFoundError:
        return _MISSING
    if not content.strip():
        return "is empty"
    try:
        for line in content.splitlines():
            json.loads(line)
    except ValueError:
        return "is cut or overwritten"
    return ""


def _files(table: Place, storage: Storage) -> Iterator[Damage]:
    options = None if storage.bucket is None else storage.bucket.options
    try:
        actions = DeltaTable(str(table), storage_options=options).get_add_actions(flatten=True)
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
        elif isinstance(table, ObjectPath):
            yield from _copy(storage.root / table.name / name, size)


def _copy(copy: Path, size: int) -> Iterator[Damage]:
    """Looks at the local copy of a whole object, if there is one."""
    problem = _broken(copy, size)
    if problem and problem != _MISSING:
        yield Damage(
            copy, problem, "nothing: the object store has it whole", f"delete {copy}: it is copied again when needed"
        )


def _broken(file: Place, size: int | None = None) -> str:
    """Returns what is wrong with a Parquet file; empty where both its ends, and its length if known, are right."""
    try:
        with closing(file.open("rb")) as content:
            found = content.seek(0, 2)
            if size is not None and found != size:
                return _other_length(found, size)
            if not found:
                return "is empty"
            content.seek(0)
            first = bytes(content.read(len(_MAGIC)))
            content.seek(max(0, found - len(_MAGIC)))
            whole = first == bytes(content.read(len(_MAGIC))) == _MAGIC
    except FileNotFoundError:
        return _MISSING
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    if whole:
        return ""
    return "was cut or overwritten" if size is None else "is no Parquet file any more"


def _other_length(found: int, size: int) -> str:
    return f"has {found:,} bytes of {size:,}: it was cut" if found < size else f"has {found:,} bytes, not {size:,}"
