"""Results as lines, as a file, and as the table of ``docs/reliability.md``."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import msgspec
from tests.faults.trial import Outcome


class Results(msgspec.Struct, frozen=True):
    """What one run of all faults found."""

    date: dt.date
    minutes: float
    outcomes: list[Outcome]


def line(outcome: Outcome) -> str:
    """Returns an outcome as a line for people."""
    if outcome.error:
        return f"FAILED  {outcome.fault} ({outcome.log}): {outcome.error}"
    counts = f"acknowledged {outcome.acknowledged}, lost {outcome.lost}, doubled {outcome.doubled}"
    aside = f", quarantined {outcome.quarantined}" if outcome.quarantined else ""
    verdict = "good   " if outcome.good else "FAILED "
    return (
        f"{verdict} {outcome.fault} ({outcome.log}) {outcome.times}x: {counts}{aside}, ledger {outcome.ledger}, "
        f"ready after {outcome.ready_s} s"
    )


def last_line(outcomes: Sequence[Outcome]) -> str:
    """Returns the totals."""
    names = ("kills", "acknowledged", "lost", "doubled", "ledger")
    return ", ".join(f"{name} {sum(getattr(outcome, name) for outcome in outcomes)}" for name in names)


def save(path: Path, outcomes: Sequence[Outcome], seconds: float) -> None:
    """Writes the results of a run."""
    results = Results(dt.datetime.now(dt.UTC).date(), round(seconds / 60, 1), list(outcomes))
    path.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def load(path: Path) -> Results:
    """Returns the results of a run."""
    return msgspec.json.decode(path.read_bytes(), type=Results)
