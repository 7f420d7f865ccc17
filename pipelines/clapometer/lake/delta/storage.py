"""Where the lake's files lie, and how they get onto the disk for good: the one place that knows paths."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

from clapometer.domain import TerminalError
from clapometer.lake.delta.bucket import SCHEME, Bucket


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


def storage_at(address: Path | str, copies: Path, *, endpoint: str | None = None, region: str | None = None) -> Storage:
    """Returns where a lake is.

    Args:
        address: A folder, or ``s3://bucket/prefix``.
        copies: Folder for local copies of lakes on object stores, each in a folder of its own.
        endpoint: Address of an object store other than Amazon's.
        region: Of the bucket.

    Raises:
        InputError: The address names no bucket.
    """
    if not str(address).startswith(SCHEME):
        return Storage(Path(address).absolute())
    bucket = Bucket(str(address), endpoint=endpoint, region=region)
    return Storage((copies / bucket.name / bucket.prefix).absolute(), bucket)
