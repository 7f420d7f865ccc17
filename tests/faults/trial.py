"""One fault under load, and the comparison after it."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.faults.system import READY_SECONDS, System
from tests.faults.traffic import Found, Sender, compare
from tests.support.waiting import until

CATCH_UP_SECONDS = 120
"""How long the loaders may need for what was acknowledged, once nothing more is sent."""


@dataclass(frozen=True)
class Outcome:
    """What a fault did: the first five are counts, and of them only the first two may be above 0.

    Attributes:
        fault: What was done to what.
        log: ``embedded`` or ``kafka``.
        times: How often.
        acknowledged: Events answered 202 before, while and after.
        lost: Of these, those that the lake does not have.
        doubled: Of these, rows beyond the first.
        ledger: By how much the ledger does not add up.
        quarantined: Of these, those in damaged blocks that were set aside in `rejected`.
        ready_s: Longest time from the end of a fault to ``/readyz``.
        kills: How many of ``times`` were kill -9.
        error: Why the trial could not be finished.
    """

    fault: str
    log: str
    times: int
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    ledger: int = 0
    quarantined: int = 0
    ready_s: float = 0.0
    kills: int = 0
    error: str = ""

    @property
    def good(self) -> bool:
        """Whether nothing is lost, doubled or unaccounted for, and the collector was ready soon enough."""
        return not (self.error or self.lost or self.doubled or self.ledger) and self.ready_s <= READY_SECONDS


@dataclass
class Trial:
    """A sender, and what is noted while faults are done to its system."""

    system: System
    sender: Sender
    times: int = 0
    ready_s: float = 0.0

    def wait_for_acknowledged(self, more: int, seconds: float = 120) -> None:
        """Returns once ``more`` further events are acknowledged."""
        goal = self.sender.acknowledged() + more
        until(lambda: self.sender.acknowledged() >= goal, seconds)

    def wait_for_stored(self, seconds: float = 120) -> None:
        """Returns once the lake has more than it had."""
        before = self.system.stored(self.sender)
        until(lambda: self.system.stored(self.sender) > before, seconds, every=0.05)

    def note_ready(self, since: float) -> None:
        """Waits until the collector is ready and notes how long that took from ``since`` (monotonic) on."""
        self.system.wait_until_ready()
        self.ready_s = max(self.ready_s, time.monotonic() - since)

    def probe(self, seconds: float, allowed: set[int]) -> None:
        """Lets a fault last, and sends single events meanwhile: each is answered, and a 503 says when to come back."""
        end = time.monotonic() + seconds
        answers = set()
        while time.monotonic() < end:
            status, retry_after = self.system.probe()
            assert (status == 503) == (retry_after is not None), (status, retry_after)
            answers.add(status)
            time.sleep(0.1)
        assert answers <= allowed, f"answered {answers} in the fault, not {allowed}"

    @contextmanager
    def fault(self, end: Callable[[], None]) -> Iterator[None]:
        """Counts a fault whose beginning and duration are the body, and ends it; all has to go on soon after."""
        self.times += 1
        try:
            yield
        finally:
            since = time.monotonic()
            end()
        self.note_ready(since)
        self.wait_for_acknowledged(100, READY_SECONDS)
        self.wait_for_stored(READY_SECONDS)


@contextmanager
def trial(system: System, fault: str, rate: float = 1000) -> Iterator[Trial]:
    """Yields a trial whose events are flowing into the lake."""
    running = Trial(system, system.sender(fault.replace(" ", "-"), rate))
    try:
        running.wait_for_stored()
        yield running
    except Exception as error:
        error.add_note(system.outputs())
        raise
    finally:
        running.sender.halt()


def judge(running: Trial, fault: str, *, killing: bool = False, set_aside: Iterable[int] = ()) -> Outcome:
    """Stops sending, lets the loaders finish and returns what is to be found in the lake."""
    system, sender = running.system, running.sender
    acknowledged = sender.finish()
    aside = set(set_aside)

    def found() -> Found:
        return compare(system.lake, sender.source, acknowledged, aside)

    with contextlib.suppress(AssertionError):  # what is missing then is counted as lost
        until(lambda: not found().lost, CATCH_UP_SECONDS, every=0.5)
    ledger = system.ledger()
    last = found()
    return Outcome(
        fault=fault, log=system.log, times=running.times,
        acknowledged=last.acknowledged, lost=last.lost, doubled=last.doubled, ledger=ledger,
        quarantined=last.quarantined, ready_s=round(running.ready_s, 1), kills=running.times if killing else 0,
    )  # fmt: skip
