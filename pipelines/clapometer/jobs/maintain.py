"""Upkeep of the lake: few files instead of many, a short log, and nothing deleted under a reader.

Small files are merged in tiers, like the runs of a log-structured merge tree: eight files of about one size
become one, so that each row is rewritten a few times in its life and a partition never has many files. The
files that were merged stay until a grace time is over, for whoever still reads an older snapshot.
"""

import datetime as dt
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import duckdb

from clapometer.domain import TransientError
from clapometer.lake import TABLES, CommitConflictError, Lake, publish
from clapometer.lake.commit import Table
from clapometer.lake.data_files import TIDY, DataFile
from clapometer.lake.schema import WATCHING_SUFFIX
from clapometer.lake.statements import quote
from clapometer.lake.tables import REWRITES

FANOUT = 8
DAYS_OPEN = 3
"""A day so long before the newest one gets no more files, even where clocks are wrong by two days."""


@dataclass(frozen=True)
class UpkeepSettings:
    """How the lake is kept.

    Attributes:
        interval_s: Time between two looks for files to merge.
        target_bytes: Size from which on a file is left alone.
        vacuum_interval_s: Time between two deletions of files that nobody needs any more.
        grace_hours: How long a file outlives its removal from a table; longer than any reader reads.
        memory_limit: Memory of DuckDB.
    """

    interval_s: float = 60.0
    target_bytes: int = 256 << 20
    vacuum_interval_s: float = 3600.0
    grace_hours: int = 24
    memory_limit: str = "256MB"


@dataclass(frozen=True)
class UpkeepReport:
    """What was done: files merged, files they became, and files deleted."""

    merged: int = 0
    made: int = 0
    deleted: int = 0


def compact(lake: Lake, settings: UpkeepSettings) -> UpkeepReport:
    """Merges small files of every table, durably; readers and loaders go on meanwhile."""
    merged = made = 0
    for name in TABLES:
        table = lake.table(name)
        table.refresh()
        groups = list(_groups(table.files(), settings.target_bytes))
        for group in groups:
            if _merge(table, group, settings):
                merged += len(group)
                made += 1
        if groups:
            table.checkpoint()
    if made:
        publish(lake)
    return UpkeepReport(merged, made)


def vacuum(lake: Lake, settings: UpkeepSettings) -> UpkeepReport:
    """Deletes files that no snapshot of the grace time names, and what crashed writers left behind."""
    publish(lake)  # the published file must not be the last to name them
    deleted = sum(len(lake.table(name).vacuum(settings.grace_hours)) for name in TABLES)
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

    ``lake`` should be an object of this thread's own.
    """
    vacuumed_at = time.monotonic()
    while not stop.wait(settings.interval_s):
        try:
            also()
            report = compact(lake, settings)
            if time.monotonic() - vacuumed_at >= settings.vacuum_interval_s:
                vacuumed_at = time.monotonic()
                report = UpkeepReport(report.merged, report.made, vacuum(lake, settings).deleted)
        except Exception as error:  # noqa: BLE001 - the loop outlives it; the lake is whole, only less tidy
            on_error(error)
        else:
            if report != UpkeepReport():
                on_report(report)


def _groups(files: Sequence[DataFile], target_bytes: int) -> Iterator[list[DataFile]]:
    """Yields files of one partition to merge: whole tiers of at least ``FANOUT`` files, small ones first.

    Of days that are over, which get no more files, all small ones: or what is left of every day would add up.
    """
    partitions: dict[tuple[str | None, ...], list[DataFile]] = defaultdict(list)
    over = _days_over(files)
    for file in files:
        if file.size < target_bytes:
            partitions[(*file.partition.values(), _suffix(file))].append(file)
    for (day, *_), small in partitions.items():
        if over and day is not None and day <= over:
            yield from _bins(sorted(small, key=lambda file: file.path), target_bytes)
            continue
        tiers: dict[int, list[DataFile]] = defaultdict(list)
        for file in sorted(small, key=lambda file: file.path):
            tiers[_tier(file.size)].append(file)
        for _, tier in sorted(tiers.items()):
            if len(tier) >= FANOUT:
                yield from _bins(tier, target_bytes)


def _days_over(files: Sequence[DataFile]) -> str:
    """Returns the last day that is over, as a partition names it; empty where there is none."""
    newest = max((day for file in files for day in file.partition.values() if day), default="")
    return str(dt.date.fromisoformat(newest) - dt.timedelta(days=DAYS_OPEN)) if newest else ""


def _suffix(file: DataFile) -> str:
    """Returns the end of the name, which tells the columns; only files with the same columns are merged."""
    return WATCHING_SUFFIX if file.path.endswith(WATCHING_SUFFIX) else ".parquet"


def _tier(size: int) -> int:
    """Returns the power of ``FANOUT`` that a size in bytes lies at."""
    return (max(size, 1).bit_length() - 1) // (FANOUT.bit_length() - 1)


def _bins(files: Sequence[DataFile], target_bytes: int) -> Iterator[list[DataFile]]:
    """Splits files so that none of the merged ones gets much larger than the target."""
    group: list[DataFile] = []
    for file in files:
        if group and sum(each.size for each in group) + file.size > target_bytes:
            if len(group) > 1:
                yield group
            group = []
        group.append(file)
    if len(group) > 1:
        yield group


def _merge(table: Table, group: Sequence[DataFile], settings: UpkeepSettings) -> bool:
    """Replaces files by one with the same rows; returns whether nobody else rewrote the table meanwhile."""
    values = dict(group[0].partition)
    path = table.new_file(values, _suffix(group[0]))
    config: dict[str, str | bool | int | float | list[str]] = {"threads": 1, "memory_limit": settings.memory_limit}
    listed = ", ".join(quote(str(path)) for path in table.local(group))
    try:
        with duckdb.connect(config=config) as connection:
            connection.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
            connection.execute(
                f"COPY (SELECT * FROM read_parquet([{listed}], hive_partitioning = false)) "  # noqa: S608 - our paths
                f"TO {quote(str(path))} ({TIDY})"
            )
        if not {file.path for file in group} <= {file.path for file in table.files()}:
            path.unlink()
            return False
        added = table.added(path, values, data_change=False)
        removed = table.removed(group, data_change=False)
        table.commit([added, *removed], {REWRITES: (table.txn(REWRITES) or 0) + 1})
    except CommitConflictError:
        path.unlink(missing_ok=True)
        table.refresh()
        return False
    except (duckdb.Error, OSError, TransientError):
        path.unlink(missing_ok=True)
        raise
    return True
