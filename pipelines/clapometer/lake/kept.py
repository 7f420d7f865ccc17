"""What is kept of files of outcomes between two trainings, and when it goes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from clapometer.lake.delta.storage import Storage
from clapometer.lake.tables import Lake

__all__ = ["drop_kept", "kept_file"]


def kept_file(storage: Storage, outcomes: Path, key: str) -> Path:
    """Returns where what was read of a file of outcomes is kept; ``key`` tells how it was read."""
    return storage.cache / "outcomes" / f"{outcomes.stem}-{key}.arrow"


def drop_kept(lake: Lake, gone: Iterable[Path] | None = None) -> None:
    """Deletes what is kept of some files of outcomes, or of all that the lake does not have any more."""
    folder = kept_file(lake.storage, Path(), "").parent
    if not folder.exists():
        return
    stems = {path.stem for path in (lake.files("outcomes") if gone is None else gone)}
    for path in folder.iterdir():
        if (path.name.rpartition("-")[0] in stems) != (gone is None):
            path.unlink(missing_ok=True)
