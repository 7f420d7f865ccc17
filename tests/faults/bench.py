"""Where trials take place: folders, systems and how much of everything there is to be."""

import shutil
import subprocess
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.brokers.broker import Broker
from tests.faults.system import System
from tests.faults.trial import Outcome

FULL_KILLS = 200
LOADERS = {"embedded": 1, "kafka": 2}


def started(folder: Path, log: str, *, broker: Mapping[str, Any] | None = None, **options: Any) -> System:
    """Returns a system to be entered; ``broker`` are arguments of the broker, ``options`` those of the system."""
    made = None
    if log == "kafka":
        (folder / "broker").mkdir()
        made = Broker(folder / "broker", **(broker or {}))
    return System(folder, broker=made, loaders=LOADERS[log], **options)


def library(name: str, folder: Path) -> Path:
    """Returns ``name.c`` of this package, compiled to be preloaded."""
    made = folder / f"{name}.so"
    source = Path(__file__).with_name(f"{name}.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", made, source, "-ldl"], check=True)
    return made


@dataclass(frozen=True)
class Bench:
    """How much is done.

    Attributes:
        kills: How many kills, over all kinds of them.
        seed: Seed of the moments.
    """

    kills: int = FULL_KILLS
    seed: int = 20_261_125

    @property
    def hold_s(self) -> float:
        """How long a fault lasts that has a duration: 30 s, less in the short form."""
        return 30.0 if self.kills >= FULL_KILLS else 8.0

    @property
    def repeats(self) -> int:
        """How often a quick fault is done."""
        return 10 if self.kills >= FULL_KILLS else 2

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Yields an empty folder; what went wrong in it stays to be looked at."""
        folder = Path(tempfile.mkdtemp(prefix="clapometer-faults-"))
        yield folder
        shutil.rmtree(folder)

    @contextmanager
    def system(self, log: str, **options: Any) -> Iterator[System]:
        """Yields a running system in a folder of its own."""
        with self.folder() as folder, started(folder, log, **options) as system:
            yield system

    def tried(self, fault: str, log: str, attempt: Callable[[], Outcome]) -> Outcome:
        """Returns the outcome of a trial; that it could not be finished is one, too."""
        try:
            return attempt()
        except Exception:  # noqa: BLE001 - the other faults are to be tried all the same
            return Outcome(fault, log, 0, error=traceback.format_exc())
