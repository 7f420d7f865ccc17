"""Files that are followed while a process runs: read again within a second of a change, unless they are too new."""

from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from clapometer.domain import InputError

T = TypeVar("T")
LOOK_SECONDS = 1.0


class Followed(Generic[T]):
    """What a file says now. A file that breaks leaves what it said last in force; ``error`` then says why.

    Args:
        path: The file.
        load: Returns what it says, or raises InputError.
        installed: Told whatever was read, at once and after each change.
    """

    def __init__(self, path: Path, load: Callable[[Path], T], installed: Callable[[T], object]) -> None:
        self.error: str | None = None
        self._path = path
        self._load = load
        self._installed = installed
        self._next_look = float("-inf")
        self._stamp = _stamp(path)
        installed(load(path))

    def look(self, seconds: float) -> None:
        """Reads the file again if it changed; looks at most once a second by ``seconds``, which never runs back."""
        if seconds >= self._next_look:
            self._next_look = seconds + LOOK_SECONDS
            self.look_now()

    def look_now(self) -> None:
        """Reads the file again if it changed."""
        stamp = _stamp(self._path)
        if stamp == self._stamp and self.error is None:
            return
        try:
            self._installed(self._load(self._path))
        except InputError as error:
            self.error = error.reason
        else:
            self.error = None
            self._stamp = stamp


def refuse_newer(path: Path, content: object, newest: int, setting: str) -> None:
    """Refuses what a later version wrote; files that name no format are as old as any.

    Raises:
        InputError: ``content``, which was decoded from the file, has a format above ``newest``.
    """
    found = content.get("format", newest) if isinstance(content, dict) else newest
    if isinstance(found, int) and found > newest:
        msg = f"{path.name} has format {found}, this version reads up to {newest}; upgrade Clapometer"
        raise InputError(msg, setting)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
