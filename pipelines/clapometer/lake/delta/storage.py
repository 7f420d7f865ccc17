"""Where the lake's files lie, and how they get onto the disk for good: the one place that knows paths."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clapometer.domain import TerminalError

if TYPE_CHECKING:
    from clapometer.lake.delta.bucket import Bucket


@dataclass(frozen=True)
class Storage:
    """A folder that holds a lake, or the local copy of one on an object store.

    Attributes:
        root: The folder.
        bucket: Where the lake is, if not in the folder.
    """

    root: Path
    bucket: Bucket | None = None

    def prepare(self) -> None:
        """Creates the folders that everything else expects.

        Raises:
            TerminalError: The folder cannot be created.
            InputError: The bucket does not exist, or may not be used.
            TransientError: The object store does not answer.
        """
        try:
            for folder in (self.root, self.scratch, self.cache):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"the lake {self.root} cannot be used: {error}"
            raise TerminalError(msg) from error
        if self.bucket is not None:
            self.bucket.check()

    def table(self, name: str) -> Path:
        """Returns the folder of a Delta table."""
        return self.root / name

    @property
    def scratch(self) -> Path:
        """Half-written files; on the lake's file system, so that renaming is atomic."""
        return self.root / ".tmp"

    @property
    def cache(self) -> Path:
        """What can be made again from the tables."""
        return self.root / ".cache"

    @property
    def published(self) -> Path:
        """The file that analysts open."""
        return self.root / "clapometer.duckdb"

    def temporary(self, suffix: str) -> Path:
        """Returns a path in ``scratch`` that nobody else uses."""
        return self.scratch / f"{uuid.uuid4().hex}{suffix}"


def fsync(path: Path) -> None:
    """Returns once the file, or the entries of the folder, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def partition_folder(table: Path, values: dict[str, str | None]) -> Path:
    """Returns the folder of a partition, created durably; the table's own where it has no partitions."""
    folder = table
    for column, value in values.items():
        folder = folder / f"{column}={value}"
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            fsync(folder.parent)
    return folder
