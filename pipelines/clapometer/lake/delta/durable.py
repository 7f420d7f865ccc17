"""Files and folders that are on the disk for good."""

from __future__ import annotations

import os
from pathlib import Path


def fsync(path: Path) -> None:
    """Returns once the file, or the entries of the folder, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


UNKNOWN = "__HIVE_DEFAULT_PARTITION__"
"""What the folder of a partition that is null is called, by Hive and all who read such folders."""


def partition_folder(table: Path, values: dict[str, str | None]) -> Path:
    """Returns the folder of a partition, created durably; the table's own where it has no partitions."""
    folder = table
    for column, value in values.items():
        folder = folder / f"{column}={UNKNOWN if value is None else value}"
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            fsync(folder.parent)
    return folder
