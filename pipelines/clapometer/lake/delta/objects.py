"""Objects of a bucket as paths: as much of ``pathlib.Path`` as is needed to look a lake through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clapometer.lake.delta.bucket import Bucket

if TYPE_CHECKING:
    from obstore import ReadableFile


@dataclass(frozen=True)
class ObjectPath:
    """An object, or a folder of objects.

    Attributes:
        bucket: Where it is.
        key: Its key there; empty for all of the lake.
    """

    bucket: Bucket
    key: str = ""

    def __str__(self) -> str:
        """Returns its whole address."""
        return f"{self.bucket.url}/{self.key}".rstrip("/")

    def __truediv__(self, name: str) -> ObjectPath:
        return ObjectPath(self.bucket, f"{self.key}/{name}".lstrip("/"))

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def parent(self) -> ObjectPath:
        """The folder it is in."""
        return ObjectPath(self.bucket, self.key.rpartition("/")[0])

    def iterdir(self) -> Iterator[ObjectPath]:
        """Yields what is in the folder: objects, and the folders that objects are in."""
        return (self / name for name in self.bucket.names(self.key))

    def read_bytes(self) -> bytes:
        """Returns what is in it.

        Raises:
            FileNotFoundError: It is not there.
        """
        content = self.bucket.read(self.key)
        if content is None:
            raise FileNotFoundError(self.key)
        return content

    def open(self, _mode: str) -> ReadableFile:
        """Returns it as a file of bytes to read.

        Raises:
            FileNotFoundError: It is not there.
        """
        return self.bucket.open(self.key)
