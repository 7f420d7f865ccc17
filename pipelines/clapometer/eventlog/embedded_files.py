"""Whether the file of an embedded log is what it was: LMDB takes an empty one for a new log, and dies of a cut one."""

import os
import subprocess
import sys
from pathlib import Path

import lmdb

from clapometer.domain import TerminalError

DATA = "data.mdb"
IDENTITY = "identity"
"""File beside the data that says which log this is, so that a file that is gone is not taken for a new log."""
_METAS = 2
_WALK = """
import lmdb, os, sys
env = lmdb.open(sys.argv[1], readonly=True, lock=False, max_dbs=8)
env.copyfd(os.open(os.devnull, os.O_WRONLY), compact=True)
"""
"""Reads every page that is in use, in a process of its own: a page that the file lacks ends it with a signal."""


class DamagedLogError(TerminalError):
    """The file of the log is not what it was.

    Attributes:
        identity: Of the log that was there; empty where that is not known.
    """

    def __init__(self, folder: Path, what: str, identity: str = "") -> None:
        super().__init__(
            f"the event log is damaged: {folder / DATA} {what}. Lost for certain is what was acknowledged and not "
            f"loaded yet; what the lake has is safe. Stop all parts and keep a copy of {folder}; then restore lake and "
            f"log from one backup (`clapometer restore`), or move {folder} away to go on with an empty log"
        )
        self.identity = identity


def known_identity(folder: Path) -> str:
    """Returns which log a folder held; empty where nobody wrote it down."""
    try:
        return (folder / IDENTITY).read_text().strip()
    except FileNotFoundError:
        return ""


def remember_identity(folder: Path, identity: str) -> None:
    """Writes down, durably, which log this is.

    Raises:
        DamagedLogError: Another one was there.
    """
    known = known_identity(folder)
    if known == identity:
        return
    if known:
        raise DamagedLogError(folder, f"is another log ({identity}) than that of this folder ({known})", known)
    sync_folder(folder)  # the log itself first: without it, its name would call it gone
    temporary = folder / f"{IDENTITY}.{os.getpid()}"
    with temporary.open("w") as file:
        file.write(f"{identity}\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / IDENTITY)
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Makes what a folder names durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def check_there(folder: Path) -> None:
    """Raises ``DamagedLogError`` where a log was written down and its file is gone, or empty."""
    identity = known_identity(folder)
    if not identity:
        return
    data = folder / DATA
    if not data.exists():
        raise DamagedLogError(folder, "is gone", identity)
    if not data.stat().st_size:
        raise DamagedLogError(folder, "is empty", identity)


def check_length(folder: Path, env: lmdb.Environment) -> None:
    """Raises ``DamagedLogError`` where the file ends before pages that are in use.

    The last page may never have been written where nothing is on it, so a short file is read before it is judged.
    """
    pages, page = env.info()["last_pgno"] + 1, env.stat()["psize"]
    size = (folder / DATA).stat().st_size
    if size >= pages * page:
        return
    walk = [sys.executable, "-c", _WALK, str(folder)]
    if subprocess.run(walk, stderr=subprocess.DEVNULL, check=False).returncode:  # noqa: S603 - our own program
        what = f"was cut: it has {size:,} bytes of {pages * page:,}"
        raise DamagedLogError(folder, what, known_identity(folder))
