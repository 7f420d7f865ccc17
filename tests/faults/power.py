"""A power cut: what was not synced is gone.

Log and lake lie on a file system of their own, in a file. The kernel shuts it down at a moment under load as a
power cut would, and everything that is not on the disk by then is lost; after that it is mounted again.
"""

import fcntl
import os
import random
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.bench import Bench, started
from tests.faults.kills import MOMENT
from tests.faults.trial import Outcome, judge, trial

SHUT_DOWN = 0x8004587D
"""EXT4_IOC_SHUTDOWN."""
WITHOUT_FLUSHING = struct.pack("I", 2)


class Disk:
    """A disk with a power switch, mounted at ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "disk"
        self._image = folder / "disk.img"
        self.folder.mkdir()
        with self._image.open("wb") as image:
            image.truncate(1 << 30)
        subprocess.run(["mkfs.ext4", "-q", self._image], check=True)
        self.mount()

    def mount(self) -> None:
        """Mounts it; what its journal knows is brought in order."""
        subprocess.run(["mount", "-o", "loop", self._image, self.folder], check=True)

    def unmount(self) -> None:
        """Unmounts it; nobody may use it."""
        subprocess.run(["umount", self.folder], check=True)

    def cut(self) -> None:
        """Lets no further byte onto the disk."""
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(handle, SHUT_DOWN, WITHOUT_FLUSHING)
        finally:
            os.close(handle)


@contextmanager
def _disk(folder: Path) -> Iterator[Disk]:
    disk = Disk(folder)
    try:
        yield disk
    finally:
        disk.unmount()


def power_cuts(bench: Bench, log: str) -> Iterator[Outcome]:
    """Yields the outcome of power cuts at random moments."""
    name = "power cut: log and lake lose what is not synced"
    yield bench.tried(name, log, lambda: _cuts(bench, log, name))


def _cuts(bench: Bench, log: str, name: str) -> Outcome:
    chance = random.Random(f"{bench.seed}-power")
    with bench.folder() as folder, _disk(folder) as disk:
        places = {"lake": disk.folder / "lake", "log_folder": disk.folder / "log"}
        with started(folder, log, **places) as system, trial(system, "power") as running:
            for number in range(2 * bench.repeats):
                running.wait_for_acknowledged(chance.randrange(10, MOMENT))
                if number % 2:
                    running.wait_for_stored()
                disk.cut()
                for part in (system.collector, *system.loaders):
                    part.kill()
                disk.unmount()
                disk.mount()
                running.times += 1
                since = time.monotonic()
                for part in (system.collector, *system.loaders):
                    part.start()
                running.note_ready(since)
            return judge(running, name)
