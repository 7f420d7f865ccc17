"""Where trials take place: folders, systems and how much of everything there is to be."""

import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.brokers.broker import Broker
from tests.faults.system import System
from tests.faults.trial import Outcome

FULL_KILLS = 200
LOADERS = {"embedded": 1, "kafka": 1}


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
    def system(self, log: str, **options: object) -> Iterator[System]:
        """Yields a running system in a folder of its own."""
        with self.folder() as folder:
            broker = None
            if log == "kafka":
                (folder / "broker").mkdir()
                broker = Broker(folder / "broker")
            with System(folder, broker=broker, loaders=LOADERS[log], **options) as system:  # type: ignore[arg-type]
                yield system

    def tried(self, fault: str, log: str, attempt: Callable[[], Outcome]) -> Outcome:
        """Returns the outcome of a trial; that it could not be finished is one, too."""
        try:
            return attempt()
        except Exception as error:  # noqa: BLE001 - the other faults are to be tried all the same
            return Outcome(fault, log, 0, error=f"{error}\n{traceback.format_exc()}")
