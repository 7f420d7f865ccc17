"""Backups of a running system: a lake that is consistent, the blocks that it does not have yet, keys and secrets.

Nothing has to stop. Files of the lake never change, so a backup is a version of each table: its log up to that version,
and the files. What matters is the order. A table that says something of another is taken before it: erasures and runs
before their results, results and the ledger before ``events``. Dead letters are taken after ``events``, and the event
log last: it then has every block that the lake lacks, and what it has twice is recognised.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from clapometer.domain import InputError, TerminalError
from clapometer.eventlog import EventLog
from clapometer.lake.delta.durable import fsync
from clapometer.lake.delta.format import MARKER
from clapometer.lake.progress import loaded_offsets
from clapometer.lake.specs import SPECS
from clapometer.lake.tables import Lake
from clapometer.upkeep.copies import CopiedFile, copy_file, describe_file, fsync_tree

FORMAT = 1
MANIFEST = "manifest.json"
ORDER = sorted(SPECS, key=lambda name: SPECS[name].backup)
LAKE, LOG, FILES = "lake", "log", "files"
_LOG_ENTRY = re.compile(r"^(\d{20})\.(json|checkpoint.*\.parquet)$")
_LAST_CHECKPOINT = "_last_checkpoint"
_PARTIAL = ".partial"
_TRIES = 5

Copier = Callable[[Path], None]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup has.

    Attributes:
        format: Of the backup.
        made_at: When it was begun: nothing acknowledged before is missing.
        version: Of Clapometer.
        tables: Version of each table.
        rows: Rows of each table.
        log: ``embedded``, or that the log is elsewhere, and its identity.
        offsets: Next offset of each partition of the log.
        files: Every file by its path.
    """

    format: int
    made_at: dt.datetime
    version: str
    tables: dict[str, int]
    rows: dict[str, int]
    log: str
    offsets: dict[int, int]
    files: dict[str, CopiedFile]


@dataclass(frozen=True)
class BackupPlan:
    """What is to be backed up.

    Attributes:
        lake: The lake.
        log: The event log.
        copy_log: Copies the embedded log into a folder, consistently while it is written; None for a log that has
            backups of its own.
        files: Single files (keys, secrets, settings) by name; those that are not there are left out.
        version: Of Clapometer.
        now: When this is.
    """

    lake: Lake
    log: EventLog
    copy_log: Copier | None
    files: Mapping[str, Path]
    version: str
    now: dt.datetime


@dataclass
class _Work:
    """A backup that is being made in ``folder``, beside an ``earlier`` one."""

    folder: Path
    earlier: Path | None
    known: Mapping[str, CopiedFile]
    files: dict[str, CopiedFile] = field(default_factory=dict)

    def take(self, source: Path, path: str, *, may_change: bool = False) -> None:
        """Copies a file to ``path`` of the backup; one that never changes is linked to the earlier backup's."""
        earlier = None if self.earlier is None or may_change else self.earlier / path
        self.files[path] = copy_file(source, self.folder / path, earlier, self.known.get(path))


def back_up(plan: BackupPlan, folder: Path) -> tuple[Path, Manifest]:
    """Makes a backup in a new folder inside ``folder``; returns it and what it has.

    Files that the latest backup there has already are linked, not copied: they never change.

    Raises:
        InputError: The folder lies in the lake, or cannot be written.
        TerminalError: The lake changed faster than it could be copied.
    """
    if folder.absolute().is_relative_to(plan.lake.root):
        msg = f"{folder} lies in the lake itself; choose a folder elsewhere, better on another disk"
        raise InputError(msg, "folder")
    target = folder / f"{plan.now.astimezone(dt.UTC):%Y%m%dT%H%M%S.%fZ}"
    partial = target.with_name(target.name + _PARTIAL)
    earlier = latest_backup(folder)
    known = read_manifest(earlier).files if earlier else {}
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise InputError(str(error), "folder") from error
    try:
        manifest = _fill(plan, _Work(partial, earlier, known))
        _durably(partial / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1))
        fsync_tree(partial)
        partial.rename(target)
        fsync(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return target, manifest


def _fill(plan: BackupPlan, work: _Work) -> Manifest:
    tables, rows = {}, {}
    for name in ORDER:
        tables[name] = _take_table(plan.lake, name, work)
        rows[name] = plan.lake.rows(name, tables[name])
    with suppress(FileNotFoundError):
        work.take(plan.lake.root / MARKER, f"{LAKE}/{MARKER}", may_change=True)
    offsets = _take_log(plan, work, tables["events"])
    for name, path in plan.files.items():
        with suppress(FileNotFoundError):
            work.take(path, f"{FILES}/{name}", may_change=True)
    return Manifest(
        format=FORMAT, made_at=plan.now, version=plan.version, tables=tables, rows=rows,
        log=f"{'embedded' if plan.copy_log else 'elsewhere'} {plan.log.identity}", offsets=offsets, files=work.files,
    )  # fmt: skip


def _take_table(lake: Lake, name: str, work: _Work) -> int:
    """Copies a version of a table; returns it. Files that older versions need are taken as far as they are there."""
    for _ in range(_TRIES):
        version = lake.version(name)
        needed = set(lake.files(name, version))
        try:
            _take_log_entries(lake, name, version, work)
            for path in sorted(needed):
                work.take(path, _inside(lake, path))
        except FileNotFoundError:  # merged and deleted meanwhile: the next version has other files
            continue
        for path in sorted(set(lake.storage.table(name).rglob("*.parquet")) - needed):
            if "_delta_log" not in path.parts:
                with suppress(FileNotFoundError):
                    work.take(path, _inside(lake, path))
        return version
    msg = f"files of {name} were deleted while they were copied, {_TRIES} times; use a longer grace time"
    raise TerminalError(msg)


def _take_log_entries(lake: Lake, name: str, version: int, work: _Work) -> None:
    """Copies what the table's log says up to a version, and which checkpoint is the newest of it."""
    log = lake.storage.table(name) / "_delta_log"
    checkpoints = []
    for path in sorted(log.iterdir()):
        match = _LOG_ENTRY.match(path.name)
        if match and int(match[1]) <= version:
            work.take(path, _inside(lake, path))
            checkpoints += [int(match[1])] if match[2] != "json" else []
    with suppress(FileNotFoundError):
        said = json.loads((log / _LAST_CHECKPOINT).read_bytes())
        if said.get("version") in checkpoints:
            work.take(log / _LAST_CHECKPOINT, _inside(lake, log / _LAST_CHECKPOINT), may_change=True)


def _inside(lake: Lake, path: Path) -> str:
    return f"{LAKE}/{path.relative_to(lake.root)}"


def _take_log(plan: BackupPlan, work: _Work, events: int) -> dict[int, int]:
    """Copies the embedded log; returns the offsets up to which it is.

    Raises:
        TerminalError: The log gave up blocks meanwhile that the copied version of the lake lacks.
    """
    if plan.copy_log is None:
        return {partition: plan.log.next_offset(partition) for partition in plan.log.partitions()}
    folder = work.folder / LOG
    folder.mkdir()
    loaded = loaded_offsets(plan.lake, plan.log.identity, plan.log.partitions(), events)
    plan.copy_log(folder)
    for path in sorted(folder.iterdir()):
        work.files[f"{LOG}/{path.name}"] = describe_file(path)
    for partition, offset in loaded.items():
        first = next(iter(plan.log.read(partition, offset, 1)), None)
        if first is not None and first.offset > offset:
            msg = (
                f"blocks {offset} to {first.offset - 1} left the event log while the lake was copied; set "
                "log_retention_seconds to more than a backup takes"
            )
            raise TerminalError(msg)
    return {partition: plan.log.next_offset(partition) for partition in plan.log.partitions()}


def latest_backup(folder: Path) -> Path | None:
    """Returns the newest complete backup in a folder; None where there is none."""
    found = sorted(path.parent for path in folder.glob(f"*/{MANIFEST}") if not path.parent.name.endswith(_PARTIAL))
    return found[-1] if found else None


def read_manifest(backup: Path) -> Manifest:
    """Returns what a backup has.

    Raises:
        InputError: It is none, is not complete, or is of a newer format.
    """
    try:
        content = (backup / MANIFEST).read_bytes()
        found = msgspec.json.decode(content)["format"]
        if found > FORMAT:
            msg = f"{backup} has format {found}, this version reads up to {FORMAT}; upgrade Clapometer"
            raise InputError(msg, "backup")
        return msgspec.json.decode(content, type=Manifest)
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{backup} is no complete backup: {error}"
        raise InputError(msg, "backup") from error


def _durably(path: Path, content: bytes) -> None:
    path.write_bytes(content + b"\n")
    fsync(path)
