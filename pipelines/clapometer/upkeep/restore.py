"""A backup becomes a system again: in empty places, checked byte for byte, and then published."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clapometer.domain import InputError, TerminalError
from clapometer.lake.published.publish import publish
from clapometer.lake.tables import Lake
from clapometer.upkeep.backup import FILES, LAKE, LOG, Manifest, latest_backup, read_manifest
from clapometer.upkeep.copies import CopiedFile, fsync_tree, relative_files, restore_file

_PARTIAL = ".restoring"


@dataclass(frozen=True)
class RestorePlan:
    """Where a backup goes.

    Attributes:
        lake: Folder of the lake; must be empty or not there.
        log: Folder of the embedded log, likewise; None where the log is elsewhere.
        files: Single files by name; those that are there must be equal to the backup's.
    """

    lake: Path
    log: Path | None
    files: Mapping[str, Path]


def choose_backup(folder: Path) -> Path:
    """Returns the backup that a folder is, or the newest one in it.

    Raises:
        InputError: There is none.
    """
    if (folder / "manifest.json").exists():
        return folder
    found = latest_backup(folder)
    if found is None:
        msg = f"{folder} holds no complete backup"
        raise InputError(msg, "backup")
    return found


def restore(backup: Path, plan: RestorePlan) -> Manifest:
    """Puts a backup into place and publishes its lake; returns what it has.

    The lake appears at once, when all of it is there and checked; a restore that was interrupted can be repeated.

    Raises:
        InputError: It is no backup, or something is in its place.
        TerminalError: The backup is damaged; nothing was put into place.
    """
    manifest = read_manifest(backup)
    places = {LAKE: plan.lake} | ({LOG: plan.log} if plan.log is not None and _has(manifest, LOG) else {})
    for place in places.values():
        _refuse_occupied(place)
    _refuse_other_files(backup, manifest, plan)
    staged = {
        name: _stage(backup / name, place, relative_files(manifest.files, name)) for name, place in places.items()
    }
    for name, file in relative_files(manifest.files, FILES).items():
        if name in plan.files and not plan.files[name].exists():
            restore_file(backup / FILES / name, plan.files[name], file)
    # the log first: a lake without its log would be loaded from nothing
    for name in sorted(staged, key=lambda each: each == LAKE):
        if places[name].exists():
            places[name].rmdir()
        staged[name].rename(places[name])
        fsync_tree(places[name])
    _check(Lake(plan.lake), manifest)
    return manifest


def _has(manifest: Manifest, under: str) -> bool:
    return bool(relative_files(manifest.files, under))


def _refuse_occupied(place: Path) -> None:
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        msg = f"{place} is not empty; move it away first (a restore replaces nothing)"
        raise InputError(msg, str(place))


def _refuse_other_files(backup: Path, manifest: Manifest, plan: RestorePlan) -> None:
    for name in relative_files(manifest.files, FILES):
        place = plan.files.get(name)
        if place is not None and place.exists() and place.read_bytes() != (backup / FILES / name).read_bytes():
            msg = f"{place} is there and differs from the backup's; move it away first"
            raise InputError(msg, str(place))


def _stage(source: Path, place: Path, files: Mapping[str, CopiedFile]) -> Path:
    """Copies the files of a folder beside their place; returns where they are."""
    staged = place.with_name(place.name + _PARTIAL)
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    try:
        for path, file in files.items():
            restore_file(source / path, staged / path, file)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise
    fsync_tree(staged)
    return staged


def _check(lake: Lake, manifest: Manifest) -> None:
    """Compares versions and rows of the tables, and publishes them.

    Raises:
        TerminalError: They differ.
    """
    for name, version in manifest.tables.items():
        found = lake.version(name), lake.rows(name)
        if found != (version, manifest.rows[name]):
            msg = f"{name} has version and rows {found}, the backup says {(version, manifest.rows[name])}"
            raise TerminalError(msg)
    publish(lake)
