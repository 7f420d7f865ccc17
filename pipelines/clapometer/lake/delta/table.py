"""One Delta table: files that are on disk before the log names them, and commits that are on disk on return.

``deltalake`` does not fsync what it writes. So the Parquet files are written here, fsynced, and then named in
the table's log by ``create_write_transaction``, whose entry is fsynced too. Application transactions (pairs
of name and number) are part of the commit: that is what makes a load exactly once.

References:
    Delta transaction log protocol, https://github.com/delta-io/delta/blob/master/PROTOCOL.md
"""

import datetime as dt
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction

from clapometer.domain import TransientError
from clapometer.lake.delta.bucket import Bucket
from clapometer.lake.delta.durable import fsync, partition_folder
from clapometer.lake.delta.files import (
    Commit,
    DataFile,
    commit_infos,
    new_files,
    now_ms,
    split,
    statistics,
    text,
    version_at,
)
from clapometer.lake.delta.log import DeltaLog

CHECKPOINT_INTERVAL = 100
REOPEN_INTERVAL = 20
"""Versions since the checkpoint it was opened from, after which a table is opened anew, from a new one: the library
carries all of them, and 60 versions after it a commit takes six times as long."""
_PROPERTIES = {
    "delta.checkpointInterval": str(CHECKPOINT_INTERVAL),
    "delta.deletedFileRetentionDuration": "interval 2 days",  # twice the grace time of the vacuum
}
_RETRIES = 20
_DOWNLOADS = 8
"""Files that are fetched from an object store at once."""


class CommitConflictError(TransientError):
    """Another process committed with the same application transaction: read the table again and redo."""


class Table:
    """A Delta table in ``folder``, created where it is missing; its log is kept for ``log_days``.

    Where there is a ``bucket``, the table is there, under the name of the folder, and the folder holds copies of its
    files: those written here, and those that were asked for.
    """

    def __init__(
        self,
        folder: Path,
        schema: pa.Schema,
        partition_by: Sequence[str],
        bucket: Bucket | None = None,
        *,
        log_days: int = 7,
    ) -> None:
        self.folder = folder
        self.schema = schema
        self.partition_by = tuple(partition_by)
        self._bucket = bucket
        self._log = DeltaLog(folder, bucket)
        self._place = str(folder) if bucket is None else f"{bucket.url}/{folder.name}"
        self._options = None if bucket is None else bucket.options
        with self._reached():
            folder.mkdir(parents=True, exist_ok=True)
            if not DeltaTable.is_deltatable(self._place, self._options):
                DeltaTable.create(
                    self._place, schema, mode="ignore", partition_by=list(partition_by),
                    configuration={**_PROPERTIES, "delta.logRetentionDuration": f"interval {log_days} days"},
                    storage_options=self._options,
                )  # fmt: skip
                self._log.sync(0)
                fsync(folder.parent)
            self._delta = self._open()
        self._numbers: tuple[int, dict[str, int | None]] = -1, {}
        self._listed: tuple[int, list[DataFile]] | None = None
        self._durable = max(-1, self.version - CHECKPOINT_INTERVAL)
        self._doubtful: int | None = None
        self._base = self._log.checkpointed()

    def declared(self) -> pa.Schema:
        """Returns the columns that the table's log declares."""
        return pa.schema(self._delta.schema().to_arrow())

    def declare_types(self) -> None:
        """Declares the columns' types of this version, which the table's files have, durably."""
        schema, nowhere = Schema.from_arrow(self.schema), [(self.partition_by[0], "=", "0001-01-01")]
        columns = list(self.partition_by)  # without the filter all files would go
        self._alter(lambda delta: delta.create_write_transaction([], "overwrite", schema, columns, nowhere))

    def add_columns(self, fields: Sequence[pa.Field]) -> None:
        """Declares columns that the table's files have, durably."""
        self._alter(lambda delta: delta.alter.add_columns(list(Schema.from_arrow(pa.schema(fields)).fields)))

    def allow_null(self, column: str) -> None:
        """Declares that a column may be null, durably."""
        self._alter(lambda delta: delta.alter.drop_column_not_null(column))

    def _alter(self, change: Callable[[DeltaTable], None]) -> None:
        """Changes what the table's log declares; raises `CommitConflictError` where another process was first."""
        try:
            change(self._delta)
        except CommitFailedError as error:
            msg = f"another process changed {self.folder.name} first: {error}"
            raise CommitConflictError(msg) from error
        self._delta = self._open()
        self.make_durable()

    def refresh(self) -> int:
        """Reads what others committed; returns the version.

        Raises:
            TransientError: The object store does not answer.
        """
        if self._log.goes_on(self.version):
            with self._reached():
                self._delta.update_incremental()
        if self.version - self._base >= REOPEN_INTERVAL:
            self._reopen()
        return self.version

    def _open(self, version: int | None = None) -> DeltaTable:
        return DeltaTable(self._place, version=version, storage_options=self._options)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """Says what it means when the object store cannot be reached."""
        try:
            yield
        except (DeltaError, OSError) as error:
            if self._bucket is None:
                raise
            raise TransientError(str(self._bucket.explain(error))) from error

    @property
    def version(self) -> int:
        """Version as of the last refresh or commit."""
        return self._delta.version()

    def txn(self, app_id: str, version: int | None = None) -> int | None:
        """Returns the number that ``app_id`` had committed last in a version; without one, as of the last refresh."""
        if version not in (None, self.version):
            return self._open(version).transaction_version(app_id)
        if self._numbers[0] != self.version:
            self._numbers = self.version, {}
        known = self._numbers[1]
        if app_id not in known:  # asking reads the log
            known[app_id] = self._delta.transaction_version(app_id)
        return known[app_id]

    def files(self, version: int | None = None) -> list[DataFile]:
        """Returns the files of a version; without one, as of the last refresh."""
        if version not in (None, self.version):
            return self._read_files(self._open(version))
        if self._listed is None or self._listed[0] != self.version:
            self._listed = self.version, self._read_files(self._delta)
        return list(self._listed[1])

    def _read_files(self, delta: DeltaTable) -> list[DataFile]:
        actions = pa.table(delta.get_add_actions(flatten=True))
        partitions = [actions[f"partition.{column}"].to_pylist() for column in self.partition_by]
        return [
            DataFile(path, size, rows or 0, dict(zip(self.partition_by, map(text, values), strict=True)))
            for path, size, rows, *values in zip(
                actions["path"].to_pylist(),
                actions["size_bytes"].to_pylist(),
                actions["num_records"].to_pylist(),
                *partitions,
                strict=True,
            )
        ]

    def local(self, files: Iterable[DataFile]) -> list[Path]:
        """Returns the paths of files on this machine; what no machine has any more is missing there.

        Raises:
            TransientError: The object store does not answer.
        """
        return self._copies([self.folder / file.path for file in files])

    def _copies(self, paths: list[Path]) -> list[Path]:
        bucket = self._bucket
        if bucket is not None and (missing := [path for path in paths if not path.exists()]):
            scratch = self.folder.parent / ".tmp"
            with ThreadPoolExecutor(_DOWNLOADS) as pool:
                list(pool.map(lambda path: bucket.download(self._key(path), path, scratch), missing))
        return paths

    def _key(self, path: Path) -> str:
        return path.relative_to(self.folder.parent).as_posix()

    def write(self, table: pa.Table) -> list[AddAction]:
        """Writes a table of this schema as one durable file per partition; a commit has to name them."""
        added = []
        for values, part in split(table, self.partition_by):
            path = self.new_file(values)
            pq.write_table(part.drop_columns(list(values)), path, compression="zstd")
            added.append(self.added(path, values))
        return added

    def new_file(self, values: dict[str, str | None], suffix: str = ".parquet") -> Path:
        """Returns the path of a file to be written in a partition."""
        return partition_folder(self.folder, values) / f"{uuid.uuid4().hex}{suffix}"

    def added(self, path: Path, values: dict[str, str | None], *, data_change: bool = True) -> AddAction:
        """Returns the action that adds a written file, which is durable then, in the bucket if there is one.

        Raises:
            TransientError: The object store did not take it.
        """
        fsync(path)
        fsync(path.parent)
        if self._bucket is not None:
            self._bucket.upload(path, self._key(path))
        return AddAction(
            path=str(path.relative_to(self.folder)),
            size=path.stat().st_size,
            partition_values=values,
            modification_time=now_ms(),
            data_change=data_change,
            stats=statistics(pq.read_metadata(path)),
        )

    def removed(self, files: Iterable[DataFile], *, data_change: bool = True) -> list[RemoveAction]:
        """Returns the actions that remove ``files`` from the table; the files stay until they are vacuumed."""
        return [RemoveAction(file.path, data_change, now_ms(), file.size, dict(file.partition)) for file in files]

    def commit(
        self,
        actions: Sequence[AddAction | RemoveAction],
        txns: Mapping[str, int],
        metadata: Mapping[str, str] | None = None,
    ) -> int:
        """Commits atomically and durably; returns a version that has it.

        Raises:
            CommitConflictError: One of ``txns`` was committed by someone else since the last refresh.
        """
        before, known = self._numbers
        self._numbers = -1, {}
        properties = CommitProperties(
            custom_metadata=dict(metadata or {}),
            app_transactions=[Transaction(app_id, number) for app_id, number in txns.items()],
            max_commit_retries=_RETRIES,
        )
        try:
            self._delta.create_write_transaction(
                list(actions),
                "append",
                self._delta.schema(),
                partition_by=list(self.partition_by),
                commit_properties=properties,
                post_commithook_properties=PostCommitHookProperties(
                    create_checkpoint=False, cleanup_expired_logs=False
                ),
            )
        except CommitFailedError as error:
            msg = f"another process changed {self.folder.name} first: {error}"
            raise CommitConflictError(msg) from error
        except (DeltaError, OSError) as error:
            msg = f"{self.folder.name} could not be committed: {error}"
            raise TransientError(msg) from error
        if self.version == before + 1:  # nobody else committed in between
            self._numbers = self.version, {**known, **txns}
        after = self.refresh()
        self.make_durable()
        return after

    def make_durable(self) -> None:
        """Returns once all that this object has seen of the log is on disk, whoever wrote it.

        An entry whose sync failed is written anew before it is trusted: the system says only once that bytes did
        not get onto the disk, and a second sync of the same file succeeds without them.

        Raises:
            TransientError: The disk failed.
        """
        while self._durable < self.version:
            try:
                if self._doubtful == self._durable + 1:
                    self._log.rewrite(self._doubtful)
                self._log.sync(self._durable + 1)
            except OSError as error:
                self._doubtful = self._durable + 1
                msg = f"the log of {self.folder.name} could not be brought onto the disk: {error}"
                raise TransientError(msg) from error
            self._durable += 1

    def commits(self, after: int) -> Iterator[Commit]:
        """Yields what the commits later than version ``after`` said, oldest first, as far as the log is kept.

        Read from the log itself: the library's ``history`` numbers commits from this object's version down, and
        so wrongly once somebody else has committed.
        """
        for version in range(after + 1, self.version + 1):
            yield from (Commit(version, info) for info in commit_infos(self.log_entry(version) or b""))

    def version_at(self, moment: dt.datetime) -> int:
        """Returns the version that the table had at a time.

        Raises:
            InputError: The table is younger, or its log does not reach back that far.
        """
        return version_at(self._open(), self.log_entry, moment)

    def log_entry(self, version: int) -> bytes | None:
        """Returns the bytes of a commit; ``None`` where the log no longer has it."""
        return self._log.entry(version)

    def added_since(self, version: int) -> list[DataFile] | None:
        """Returns the files with new rows of all commits after ``version``; ``None`` where the log is too short."""
        added: list[DataFile] = []
        for later in range(version + 1, self.version + 1):
            entry = self.log_entry(later)
            if entry is None:
                return None
            added += new_files(entry)
        return added

    def _reopen(self) -> None:
        """Opens the table anew, from a checkpoint: deltalake takes longer for each version since it was opened.

        Where that fails, as on a full disk, the table is only slower.
        """
        self._base = self.version
        with suppress(DeltaError, OSError, TransientError):
            if self.version - self._log.checkpointed() >= REOPEN_INTERVAL:
                self.checkpoint()
            self._base = self._log.checkpointed()
            self._delta = self._open()

    def checkpoint(self) -> None:
        """Sums up the log in one file, so that opening the table stays fast, and drops expired log entries."""
        with self._reached():
            self._delta.create_checkpoint()
            self._log.sync_checkpoint(self.version)
            self._delta.cleanup_metadata()

    def vacuum(self, grace_hours: float) -> list[str]:
        """Deletes files that no version of the last ``grace_hours`` names; returns their paths."""
        with self._reached():
            deleted = self._delta.vacuum(
                retention_hours=max(0, int(grace_hours)), dry_run=False, enforce_retention_duration=False, full=True
            )
        self.forget(grace_hours)
        return deleted

    def forget(self, grace_hours: float) -> None:
        """Deletes local copies, as old as that, of files that the latest version does not name."""
        if self._bucket is None:
            return
        kept = {self.folder / file.path for file in self.files()}
        oldest = time.time() - grace_hours * 3600
        for path in self.folder.rglob("*.parquet"):
            if path not in kept and path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)

    def stale(self) -> list[Path]:
        """Returns the files that some commit named and the latest version does not."""
        self.refresh()
        with self._reached():
            listed = self._delta.vacuum(retention_hours=0, dry_run=True, enforce_retention_duration=False, full=False)
        return self._copies([self.folder / unquote(path) for path in listed])

    def delete(self, paths: Iterable[Path]) -> None:
        """Deletes files that no commit needs, from the bucket too if there is one.

        Raises:
            TransientError: The object store does not answer.
        """
        for path in paths:
            if self._bucket is not None:
                self._bucket.delete(self._key(path))
            path.unlink(missing_ok=True)
