"""Disks that are full, for a while: of the log, of the lake, of the broker."""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.faults.bench import Bench, started
from tests.faults.system import System
from tests.faults.trial import Outcome, Trial, judge, trial
from tests.support.waiting import until

MEGABYTES = 256


class SmallDisk:
    """A disk of its own, in memory, that can be filled to the last byte and emptied again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leaves no room."""
        handle = os.open(self._ballast, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            size = 1 << 20
            while size:
                try:
                    os.write(handle, bytes(size))
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    size //= 2
        finally:
            os.close(handle)

    def empty(self) -> None:
        """Gives the room back."""
        self._ballast.unlink()


@contextmanager
def small_disk(folder: Path, megabytes: int = MEGABYTES) -> Iterator[SmallDisk]:
    """Yields a disk that is mounted below ``folder``."""
    mount = folder / "disk"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "clapometer", mount], check=True)
    try:
        yield SmallDisk(mount)
    finally:
        subprocess.run(["umount", "--lazy", mount], check=True)


def full_disks(bench: Bench, log: str) -> Iterator[Outcome]:
    """Yields an outcome for each part whose disk fills up."""
    parts = {"embedded": ("log", "lake"), "kafka": ("broker", "lake")}[log]
    for part in parts:
        name = f"disk of the {part} full for {bench.hold_s / 3:.0f} s"
        yield bench.tried(name, log, lambda part=part, name=name: _full(bench, log, part, name))


def _full(bench: Bench, log: str, part: str, name: str) -> Outcome:
    with bench.folder() as folder, small_disk(folder) as disk:
        options: dict[str, Any] = {
            "log": {"log_folder": disk.folder / "log", "log_retention_seconds": 3600},
            "lake": {"lake": disk.folder / "lake"},
            "broker": {"broker": {"data": disk.folder / "data"}},
        }[part]
        with started(folder, log, **options) as system, trial(system, f"full-{part}") as running:
            for number in range(bench.repeats // 2):
                _fill(running, system, disk, part, bench.hold_s / 3, kill=number % 2 == 1)
            return judge(running, name)


def _fill(running: Trial, system: System, disk: SmallDisk, part: str, seconds: float, *, kill: bool) -> None:
    """Fills the disk for a while; with ``kill`` the process that needs it is killed and started meanwhile."""
    process = {"log": system.collector, "lake": system.loaders[0], "broker": system.broker}[part]
    assert process is not None

    def end() -> None:
        disk.empty()
        if part == "broker":  # Kafka ends when it cannot write, and is somebody else's to start again
            process.kill()
            process.start()

    with running.fault(end):
        disk.fill()
        if kill and part != "broker":
            process.kill()
            process.start()
            if part == "log":
                system.wait_until_alive()
        if part == "log":
            until(lambda: not system.is_ready(), seconds)  # what is free inside the log's file is taken first
        running.probe(seconds, {"log": {202, 503}, "lake": {202}, "broker": {202, 503}}[part])
