"""The folder of an export: there when all of it is written, with a manifest that says what it is."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from clapometer.domain import InputError, TerminalError
from clapometer.export.options import ExportOptions
from clapometer.lake.delta.durable import fsync
from clapometer.upkeep.copies import CopiedFile, describe_file, fsync_tree

FORMAT = 1
MANIFEST = "manifest.json"
_PARTIAL, _OLD = ".partial", ".old"


class Split(msgspec.Struct, frozen=True):
    """One part of an export: its rows, and the files that each hold all of them."""

    rows: int
    files: dict[str, CopiedFile]

    @classmethod
    def of(cls, rows: int, paths: Sequence[Path]) -> Split:
        """Returns the part with these files, which are on disk then."""
        return cls(rows, {path.name: describe_file(path) for path in paths})


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an export holds.

    Attributes:
        format: Of the export.
        run_id: The run whose labels these are.
        rule: Name and version of its label rule.
        tier: Of what viewers did, A to C.
        tier_reason: Why it is C.
        as_of: The time whose outcomes the run knew.
        options: What was asked for.
        left_out: Labels that are not exported, by reason.
        splits: ``train``, and ``test`` where prompts were held out.
    """

    format: int = FORMAT
    run_id: str
    rule: str
    tier: str
    tier_reason: str
    as_of: dt.datetime
    options: ExportOptions
    left_out: dict[str, int]
    splits: dict[str, Split]


@dataclass
class Making:
    """An export that is being made in ``folder``; it takes its place when it is kept."""

    folder: Path
    target: Path

    def keep(self, manifest: Manifest) -> None:
        """Puts the export where it belongs, durably, in the place of an earlier one."""
        text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
        (self.folder / MANIFEST).write_bytes(text + b"\n")
        fsync_tree(self.folder)
        old = self.target.with_name(self.target.name + _OLD)
        shutil.rmtree(old, ignore_errors=True)
        if self.target.is_dir():
            self.target.rename(old)
        self.folder.rename(self.target)
        fsync(self.target.parent)
        shutil.rmtree(old, ignore_errors=True)


@contextmanager
def filled(target: Path) -> Iterator[Making]:
    """Yields a folder to write an export into; what was not kept at the end is gone.

    Raises:
        InputError: The target holds other things than an export, or cannot be made.
        TerminalError: The disk is full, or fails.
    """
    target = target.absolute()
    _check(target)
    partial = target.with_name(target.name + _PARTIAL)
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
    except OSError as error:
        msg = f"cannot be written: {error}"
        raise InputError(msg, "out") from error
    try:
        yield Making(partial, target)
    except OSError as error:
        msg = f"the export cannot be written: {error}"
        raise TerminalError(msg) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def read_manifest(folder: Path) -> Manifest:
    """Returns what an export holds.

    Raises:
        InputError: The folder is no export that this version made.
    """
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError) as error:
        msg = f"{folder} is no export of Clapometer: {error}"
        raise InputError(msg, "folder") from error


def _check(target: Path) -> None:
    if not target.parent.is_dir():
        msg = f"{target.parent} is no folder; make it first"
        raise InputError(msg, "out")
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    try:
        read_manifest(target)
    except InputError as error:
        msg = f"{target} holds other things than an export; name a new folder"
        raise InputError(msg, "out") from error
