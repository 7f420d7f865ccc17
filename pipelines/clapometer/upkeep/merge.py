"""Upkeep of the lake: few files instead of many, a short log, and nothing deleted under a reader.

Small files are merged in tiers, like the runs of a log-structured merge tree: eight files of about one size
become one, so that each row is rewritten a few times in its life and a partition never has many files. The
files that were merged stay until a grace time is over, for whoever still reads an older snapshot. Days of events
before the window of repeated events are written once more, without the hashes that it needs.
"""

import datetime as dt
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, takewhile
from pathlib import Path

import duckdb

from clapometer.domain import TransientError
from clapometer.lake.delta.files import DataFile
from clapometer.lake.delta.packing import is_packed, suffix_of, write_tidily
from clapometer.lake.delta.table import CommitConflictError, Table
from clapometer.lake.duck import connect
from clapometer.lake.kept import drop_kept
from clapometer.lake.published.publish import publish
from clapometer.lake.specs import TABLES
from clapometer.lake.statements import quote
from clapometer.lake.tables import REWRITES, Lake

FANOUT = 8
PACKED_AT_ONCE = 4
"""Groups of files packed at one look, so that a lake of an older release is packed little by little."""
DAYS_OPEN = 3
"""A day so long before the newest one gets no more files, even where clocks are wrong by two days."""


@dataclass(frozen=True)
class UpkeepSettings:
    """How the lake is kept.

    Attributes:
        interval_s: Time between two looks for files to merge.
        target_bytes: Size from which on a file is left alone.
        target_rows: No more rows than that are merged into one file: more are hard to sort in so little memory.
        vacuum_interval_s: Time between two deletions of files that nobody needs any more.
        grace_hours: How long a file outlives its removal from a table; longer than any reader reads.
        memory_mb: Memory of DuckDB, in MiB; up to four times as much for files that cannot be sorted in it.
        window_days: Days for which a repeated event is recognised; older days of ``events`` are packed, which leaves
            out the hashes that this needs.
    """

    interval_s: float = 60.0
    target_bytes: int = 256 << 20
    target_rows: int = 8_000_000
    vacuum_interval_s: float = 3600.0
    grace_hours: int = 24
    memory_mb: int = 128
    window_days: int = 7


@dataclass(frozen=True)
class UpkeepReport:
    """What was done: files merged, files they became, and files deleted."""

    merged: int = 0
    made: int = 0
    deleted: int = 0


def compact(lake: Lake, settings: UpkeepSettings, *, until: Callable[[], bool] = lambda: False) -> UpkeepReport:
    """Merges small files of every table, durably, or as many as there is time for; readers and loaders go on meanwhile.

    Args:
        lake: What to merge the files of.
        settings: How it is kept.
        until: Asked before each merging; the rest is left for the next time once it is true.

    Raises:
        duckdb.OutOfMemoryException: Some files cannot be merged in the memory that there is; all others were.
    """
    merged = made = 0
    too_large: duckdb.OutOfMemoryException | None = None
    for name in TABLES:
        table = lake.table(name)
        table.refresh()
        files = table.files()
        due = _due(files, settings.window_days) if name == "events" else {}
        groups = [(group, False) for group in _groups(files, settings, without=due)]
        groups += [(group, True) for group in islice(_days(due.values(), settings), PACKED_AT_ONCE)]
        for group, packed in takewhile(lambda _: not until(), groups):
            try:
                done = _merge(table, group, settings, packed=packed)
            except duckdb.OutOfMemoryException as error:
                too_large = error
                continue
            merged += len(group) * done
            made += done
        if groups:
            table.checkpoint()
    if made:
        publish(lake)
    if too_large is not None:
        raise too_large
    return UpkeepReport(merged, made)


def vacuum(lake: Lake, settings: UpkeepSettings) -> UpkeepReport:
    """Deletes files that no snapshot of the grace time names, and what crashed writers left behind."""
    publish(lake)  # the published file must not be the last to name them
    deleted = sum(len(lake.table(name).vacuum(settings.grace_hours)) for name in TABLES)
    drop_kept(lake)
    oldest = time.time() - settings.grace_hours * 3600
    for path in lake.storage.scratch.iterdir():
        if path.is_file() and path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)
            deleted += 1
    return UpkeepReport(deleted=deleted)


def keep_up(
    lake: Lake,
    settings: UpkeepSettings,
    stop: threading.Event,
    *,
    on_report: Callable[[UpkeepReport], None] = lambda _: None,
    on_error: Callable[[Exception], None] = lambda _: None,
    also: Callable[[], object] = lambda: None,
) -> None:
    """Compacts and vacuums at intervals until ``stop`` is set, and does ``also`` what else is to be done.

    None of the three waits for another that fails. A merging that has begun when it is stopped is finished, no other is
    begun. Where no table has changed since, only the vacuum is due again. ``lake`` should be an object of this
    thread's own.
    """
    vacuumed_at = time.monotonic()
    due = [_OnChange(lake, also), _OnChange(lake, partial(compact, lake, settings, until=stop.is_set))]
    while not stop.wait(settings.interval_s):
        duties: list[Callable[[], object]] = [*due]
        if time.monotonic() - vacuumed_at >= settings.vacuum_interval_s:
            vacuumed_at = time.monotonic()
            duties.append(partial(vacuum, lake, settings))
        for duty in takewhile(lambda _: not stop.is_set(), duties):
            try:
                done = duty()
            except Exception as error:  # noqa: BLE001 - the loop outlives it; the lake is whole, only less tidy
                on_error(error)
            else:
                if isinstance(done, UpkeepReport) and done != UpkeepReport():
                    on_report(done)


class _OnChange:
    """Does a duty unless the tables are as they were before it was last done well."""

    def __init__(self, lake: Lake, duty: Callable[[], object]) -> None:
        self._lake = lake
        self._duty = duty
        self._versions: dict[str, int] = {}

    def __call__(self) -> object:
        versions = self._lake.versions()
        if versions == self._versions:
            return None
        done = self._duty()
        self._versions = versions
        return done


def _due(files: Sequence[DataFile], window_days: int) -> dict[str, DataFile]:
    """Returns the files of ``events`` with hashes that are of no more use, of days before the window, by path."""
    left = _days_over(files, window_days + 1)
    return {
        file.path: file
        for file in files
        if not is_packed(file.path) and "" < (file.partition["received_date"] or "") <= left
    }


def _days(files: Iterable[DataFile], settings: UpkeepSettings) -> Iterator[list[DataFile]]:
    """Yields all files, those of a day with the same columns together, up to the target."""
    partitions: dict[tuple[str | None, ...], list[DataFile]] = defaultdict(list)
    for file in sorted(files, key=lambda file: file.path):
        partitions[(*file.partition.values(), suffix_of([file.path], packed=False))].append(file)
    for listed in partitions.values():
        yield from _bins(listed, settings)


def _groups(
    files: Sequence[DataFile], settings: UpkeepSettings, *, without: Container[str]
) -> Iterator[list[DataFile]]:
    """Yields files of one partition to merge: whole tiers of at least ``FANOUT`` files, small ones first.

    Files of outcomes that several days share are left alone: they are merged as they are folded, and are to stay small.
    Of days that are over, which get no more files, all small ones: or what is left of every day would add up.
    """
    partitions: dict[tuple[object, ...], list[DataFile]] = defaultdict(list)
    over = _days_over(files, DAYS_OPEN)
    for file in files:
        if file.size < settings.target_bytes and file.path not in without and None not in file.partition.values():
            partitions[(*file.partition.values(), suffix_of([file.path], packed=False))].append(file)
    for (day, *_), small in partitions.items():
        if isinstance(day, str) and day <= over:
            yield from _several(_bins(sorted(small, key=lambda file: file.path), settings))
            continue
        tiers: dict[int, list[DataFile]] = defaultdict(list)
        for file in sorted(small, key=lambda file: file.path):
            tiers[_tier(file.size)].append(file)
        for _, tier in sorted(tiers.items()):
            if len(tier) >= FANOUT:
                yield from _several(_bins(tier, settings))


def _several(groups: Iterable[list[DataFile]]) -> Iterator[list[DataFile]]:
    return (group for group in groups if len(group) > 1)


def _days_over(files: Sequence[DataFile], days: int) -> str:
    """Returns the last day so long before the newest one, as a partition names it; empty where there is none."""
    newest = max((day for file in files for day in file.partition.values() if day), default="")
    return str(dt.date.fromisoformat(newest) - dt.timedelta(days=days)) if newest else ""


def _tier(size: int) -> int:
    """Returns the power of ``FANOUT`` that a size in bytes lies at."""
    return (max(size, 1).bit_length() - 1) // (FANOUT.bit_length() - 1)


def _bins(files: Sequence[DataFile], settings: UpkeepSettings) -> Iterator[list[DataFile]]:
    """Splits files so that none of the merged ones gets much larger than the target."""
    group: list[DataFile] = []
    size = rows = 0
    for file in files:
        size, rows = size + file.size, rows + file.rows
        if group and (size > settings.target_bytes or rows > settings.target_rows):
            yield group
            group, size, rows = [], file.size, file.rows
        group.append(file)
    if group:
        yield group


def _merge(table: Table, group: Sequence[DataFile], settings: UpkeepSettings, *, packed: bool) -> bool:
    """Replaces files by one with the same rows; returns whether nobody else rewrote the table meanwhile."""
    values = dict(group[0].partition)
    path = table.new_file(values, suffix_of([file.path for file in group], packed=packed))
    try:
        _write(table, group, path, settings.memory_mb)
        if not {file.path for file in group} <= {file.path for file in table.files()}:
            path.unlink()
            return False
        added = table.added(path, values, data_change=False)
        removed = table.removed(group, data_change=False)
    except (duckdb.Error, OSError, TransientError):
        path.unlink(missing_ok=True)
        raise
    try:
        table.commit([added, *removed], {REWRITES: (table.txn(REWRITES) or 0) + 1})
    except CommitConflictError:
        path.unlink(missing_ok=True)
        table.refresh()
        return False
    # whatever else is raised, the commit may be there all the same: then the table names the file
    return True


def _write(table: Table, group: Sequence[DataFile], path: Path, memory_mb: int) -> None:
    """Writes the rows of files to a new one, in twice the memory where that is not enough, and twice that."""
    listed = ", ".join(quote(str(path)) for path in table.local(group))
    rows = f"SELECT * FROM read_parquet([{listed}], hive_partitioning = false)"  # noqa: S608 - our paths
    for limit_mb in (memory_mb, 2 * memory_mb, 4 * memory_mb):
        spill = str(table.folder.parent / ".tmp" / "spill-upkeep")
        try:
            with connect(threads=1, memory_limit=f"{limit_mb}MiB", temp_directory=spill) as connection:
                write_tidily(connection, table.folder.name, rows, path)
        except duckdb.OutOfMemoryException:
            if limit_mb > 2 * memory_mb:
                raise
        else:
            return
