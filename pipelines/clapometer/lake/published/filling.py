"""Fills published files up, so that DuckDB finds its way in one that replaces another while it is being opened.

DuckDB 2.0 opens a file twice. From its head it learns where the catalogue and the list of free blocks begin, closes
it, and opens the path again to look there. If the file was replaced in between, both have to be at the same places in
the new one, or the reader fails ("Failed to load metadata pointer", "No more data remaining in MetadataReader"). The
catalogue begins where it began in the template. The list lies behind all that was written: spaces push it to the
next round place. How many are needed is guessed, measured, and kept for the next file, which is right at once.
"""

import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_HEADER = struct.Struct("<QQQQ")
"""Of a database: checksum, number, and where the catalogue and the list of free blocks begin."""
_HEADERS_AT = (4096, 8192)
_PIECES = 64
"""Into which DuckDB divides a block of metadata, the smallest thing that has a place..."""
_PIECE_BYTES = 240
"""...and what fits into one of them, where blocks have 16 KiB."""
_FEWEST_PIECES = 4096
_STORED = (2.07, 19.0)
"""About how many bytes each character and each comma of a query needs: it is stored as text and as a parsed one."""
WHY = "Fills the file up, so that DuckDB finds its list of free blocks at the same place in the next one."


class Filling:
    """How much a file is filled up; what fitted the last one is remembered in a file of its own."""

    def __init__(self, queries: Iterable[str], memory: Path) -> None:
        """Args: ``queries`` are those by which files differ."""
        self._needed = int(sum(_STORED[0] * len(query) + _STORED[1] * query.count(",") for query in queries))
        self._memory = memory
        self._room = 0
        with suppress(OSError, ValueError):
            self._room = int(memory.read_text())

    @property
    def spaces(self) -> int:
        """How many characters fill the file up."""
        return max(0, self._room - self._needed)

    def fits(self, path: Path) -> bool:
        """Returns whether the file's list of free blocks is at a round place; if not, the next one's will be."""
        pieces = free_list(path)
        off = round_place(pieces - self.spaces // _PIECE_BYTES) - pieces
        if off:
            self._room = self._needed + self.spaces + off * _PIECE_BYTES
            self._memory.write_text(str(self._room))
        return off == 0


def round_place(pieces: int) -> int:
    """Returns the first place from ``pieces`` on that is used: each is twice the last, so that they seldom change."""
    return max(_FEWEST_PIECES, 1 << (pieces - 1).bit_length())


def free_list(path: Path) -> int:
    """Returns how many pieces before the list of free blocks there are in a database."""
    with path.open("rb") as file:
        head = file.read(_HEADERS_AT[-1] + _HEADER.size)
    *_, pointer = max((_HEADER.unpack_from(head, at) for at in _HEADERS_AT), key=lambda header: header[1])
    block, piece = pointer & ((1 << 56) - 1), pointer >> 56
    return int(block * _PIECES + piece)
