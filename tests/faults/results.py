"""Results as lines, as a file, and as the table of ``docs/reliability.md``."""

import datetime as dt
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec
from tests.faults.trial import Outcome

CODE = ("models", "pipelines", "services", "tests")
"""Folders whose state makes a result."""


class Entry(msgspec.Struct, frozen=True):
    """An outcome, when it was found and of which commit; results of old have none."""

    date: dt.date
    outcome: Outcome
    commit: str = ""


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


def commit_of_code() -> str:
    """Returns the commit of the code that runs, with a ``+`` where files differ from it."""
    commit = _git("rev-parse", "--short=8", "HEAD").strip()
    return f"{commit}+" if _git("status", "--porcelain", "--", *CODE) else commit


def _git(*arguments: str) -> str:
    root = Path(__file__).parents[2]
    return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout


def record(path: Path, outcome: Outcome, commit: str) -> None:
    """Writes an outcome into a file of results, in place of an earlier one of the same fault."""
    new = Entry(dt.datetime.now(dt.UTC).date(), outcome, commit)
    kept = [entry for entry in load(path) if (entry.outcome.fault, entry.outcome.log) != (outcome.fault, outcome.log)]
    path.write_bytes(msgspec.json.format(msgspec.json.encode([*kept, new]), indent=1) + b"\n")


def load(path: Path) -> list[Entry]:
    """Returns the results that a file holds; none where there is no file."""
    return msgspec.json.decode(path.read_bytes(), type=list[Entry]) if path.exists() else []


def table(entries: Sequence[Entry]) -> str:
    """Returns the results as a table of Markdown, with the totals as its last line."""
    head = (
        "| fault | log | times | acknowledged | lost | doubled | quarantined | ledger | ready after | date | commit |"
    )
    rows = [head, "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- | --- |"]
    for entry in sorted(entries, key=lambda entry: (entry.outcome.log, entry.outcome.fault)):
        each = entry.outcome
        counts = f"{each.acknowledged:,} | {each.lost} | {each.doubled} | {each.quarantined} | {each.ledger}"
        found = "**not finished**" if each.error else f"{each.ready_s} s"
        when = f"{entry.date} | {entry.commit or 'before'}"
        rows.append(f"| {each.fault} | {each.log} | {each.times} | {counts} | {found} | {when} |")
    return "\n".join([*rows, "", f"Together: {last_line([entry.outcome for entry in entries])}.", ""])
