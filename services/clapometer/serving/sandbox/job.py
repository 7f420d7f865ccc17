"""What a sandbox process is asked to do, and the frames in which it answers."""

from enum import IntEnum
from typing import Literal

import msgspec

Format = Literal["json", "csv", "arrow"]


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A statement with its limits; sizes are bytes.

    Attributes:
        published: The file to read.
        tenant: Whose rows.
        sql: The statement as it was sent.
        format: Form of the answer.
        spill: Folder for what does not fit into memory.
        seconds: Time after which the statement is stopped.
        memory: DuckDB's memory; the process gets ``OVERHEAD`` more.
        spill_bytes: Most that may be spilled.
        max_rows: Rows after which the answer ends.
        max_bytes: Size after which the answer ends.
        min_viewers: Viewers that a cell of the answer must have; below 2, rows of single viewers may be read.
        threads: Threads of DuckDB.
    """

    published: str
    tenant: str
    sql: str
    format: Format = "json"
    spill: str = ""
    seconds: float = 30.0
    memory: int = 512 << 20
    spill_bytes: int = 1 << 30
    max_rows: int = 100_000
    max_bytes: int = 64 << 20
    min_viewers: int = 0
    threads: int = 1


class Frame(IntEnum):
    """Kinds of frames on a sandbox's standard output: a byte, the length in four bytes, and the content."""

    REFUSED = 0
    """Why there is no answer, in words."""
    CONTENT = 1
    """A piece of the answer."""
    END = 2
    """The answer is complete."""


HEADER_BYTES = 5
OVERHEAD = 1 << 30
"""Address space, in bytes, that a process needs beside DuckDB's memory: libraries, stacks of threads, one batch."""
