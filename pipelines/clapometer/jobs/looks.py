"""A look at every file of outcomes, several files at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["look"]

File = TypeVar("File")
Found = TypeVar("Found")


def look(work: Callable[[File], Found], files: Iterable[File], threads: int) -> list[Found]:
    """Returns what ``work`` finds in each file, in their order, which threads do not change.

    numpy lets go of the interpreter's lock in nearly all that it does to a file's columns, so threads are enough.
    """
    if threads < 2:
        return [work(file) for file in files]
    with ThreadPoolExecutor(threads, "clapometer-look") as pool:
        return list(pool.map(work, files))
