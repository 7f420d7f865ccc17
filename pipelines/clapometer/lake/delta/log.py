"""The log of a Delta table as files: what each commit says, and that it is on the disk."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

from clapometer.lake.delta.bucket import Bucket
from clapometer.lake.delta.durable import fsync


class DeltaLog:
    """The log of the table in ``folder``; in ``bucket``, under the folder's name, where there is one."""

    def __init__(self, folder: Path, bucket: Bucket | None) -> None:
        self._folder = folder / "_delta_log"
        self._key = f"{folder.name}/_delta_log"
        self._bucket = bucket

    def entry(self, version: int) -> bytes | None:
        """Returns the bytes of a commit; ``None`` where the log no longer has it."""
        return self._read(f"{version:020d}.json")

    def checkpointed(self) -> int:
        """Returns the version of the last checkpoint; -1 where there is none."""
        found = self._read("_last_checkpoint")
        return -1 if found is None else int(json.loads(found)["version"])

    def goes_on(self, version: int) -> bool:
        """Returns whether there may be commits after a version; asking the file system costs less than a listing."""
        if self._bucket is not None:
            return True
        return (self._folder / f"{version + 1:020d}.json").exists() or self.checkpointed() > version

    def sync(self, version: int) -> None:
        """Returns once a commit is on disk. A bucket's servers have it already."""
        if self._bucket is None:
            entry = self._folder / f"{version:020d}.json"
            if entry.exists():
                fsync(entry)
            fsync(self._folder)

    def sync_checkpoint(self, version: int) -> None:
        """Returns once a checkpoint is on disk."""
        if self._bucket is None:
            for path in self._folder.glob(f"{version:020d}.checkpoint*"):
                fsync(path)
            fsync(self._folder)

    def rewrite(self, version: int) -> None:
        """Replaces a commit by a copy of itself that is on disk."""
        entry = self.entry(version)
        if entry is None:
            return
        path = self._folder / f".{version:020d}.json.{uuid.uuid4().hex}"
        try:
            path.write_bytes(entry)
            fsync(path)
            path.rename(self._folder / f"{version:020d}.json")
        finally:
            path.unlink(missing_ok=True)

    def _read(self, name: str) -> bytes | None:
        if self._bucket is not None:
            return self._bucket.read(f"{self._key}/{name}")
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None
