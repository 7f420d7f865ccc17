"""Durable copies of files, each with a digest, that cost nothing where an earlier copy has the same file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from clapometer.domain import TerminalError
from clapometer.lake.delta.durable import fsync

_CHUNK = 4 << 20


class CopiedFile(msgspec.Struct, frozen=True):
    """A file of a backup.

    Attributes:
        size: Bytes.
        digest: BLAKE2b in hexadecimal.
    """

    size: int
    digest: str


def copy_file(source: Path, target: Path, earlier: Path | None = None, known: CopiedFile | None = None) -> CopiedFile:
    """Returns what was copied, which is on disk then.

    Args:
        source: A file; one that never changes where ``earlier`` is given.
        target: Where to; its folder is made.
        earlier: A copy of the same file.
        known: What that copy is; it is linked instead of copied where its size is right.

    Raises:
        FileNotFoundError: There is no such file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if earlier is not None and known is not None and _linked(source, target, earlier, known):
        return known
    digest, size = hashlib.blake2b(), 0
    with source.open("rb") as reading, target.open("wb") as writing:
        os.fchmod(writing.fileno(), os.fstat(reading.fileno()).st_mode & 0o700 | 0o200)
        while chunk := reading.read(_CHUNK):
            digest.update(chunk)
            writing.write(chunk)
            size += len(chunk)
        writing.flush()
        os.fsync(writing.fileno())
    return CopiedFile(size, digest.hexdigest())


def describe_file(path: Path) -> CopiedFile:
    """Returns what a file is, which is on disk then."""
    digest = hashlib.blake2b()
    with path.open("rb") as reading:
        while chunk := reading.read(_CHUNK):
            digest.update(chunk)
    fsync(path)
    return CopiedFile(path.stat().st_size, digest.hexdigest())


def _linked(source: Path, target: Path, earlier: Path, known: CopiedFile) -> bool:
    try:
        if source.stat().st_size != known.size or earlier.stat().st_size != known.size:
            return False
        os.link(earlier, target)
    except FileNotFoundError:
        return False
    except OSError:  # a file system without links
        return False
    return True


def restore_file(source: Path, target: Path, known: CopiedFile) -> None:
    """Copies a file out of a backup, and checks that it is what was put in.

    Raises:
        TerminalError: It is missing or damaged.
    """
    try:
        found = copy_file(source, target)
    except FileNotFoundError as error:
        msg = f"the backup has lost {source}; use another one"
        raise TerminalError(msg) from error
    if found != known:
        msg = f"{source} of the backup is damaged: {found.size} bytes with another digest than when it was made"
        raise TerminalError(msg)


def fsync_tree(root: Path) -> None:
    """Returns once the entries of all folders under ``root`` are on disk, and the folder itself in its parent."""
    for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        fsync(folder)
    fsync(root.parent)


def relative_files(files: Mapping[str, CopiedFile], under: str) -> dict[str, CopiedFile]:
    """Returns the files of a folder of a backup by their path in it."""
    prefix = f"{under}/"
    return {path.removeprefix(prefix): file for path, file in files.items() if path.startswith(prefix)}
