"""Rows of a file that are left out: counted, and told by number, column and reason."""

import re
from collections import Counter
from dataclasses import dataclass, field

from clapometer.domain import InputError

MAX_REPORTED = 100
"""How many bad rows are kept with their reason; all are counted."""
MAX_REASONS = 100
"""How many different reasons are counted apart; the rest is counted as ``OTHER``."""
OTHER = "other reasons"
_VALUE = re.compile(r"^(?:'[^']*'|\"[^\"]*\"|[-+0-9][^ ]*(?: [0-9:.+]+)?)(?= is )")


@dataclass(frozen=True)
class BadRow:
    """A row that is left out: its number in the file, counted from 1 without the header, and why."""

    number: int
    reason: str


@dataclass
class RowsRead:
    """How many rows of a file were read, and which of them are bad.

    Attributes:
        rows: Rows read so far, bad ones too.
        n_bad: Bad rows so far.
        bad: The first ``MAX_REPORTED`` of them.
        reasons: Bad rows by reason, whatever the value that each has.
    """

    rows: int = field(default=0, init=False)
    n_bad: int = field(default=0, init=False)
    bad: list[BadRow] = field(default_factory=list, init=False)
    reasons: Counter[str] = field(default_factory=Counter, init=False)

    def refuse(self, number: int, error: InputError) -> None:
        """Counts a row as bad."""
        self.n_bad += 1
        if len(self.bad) < MAX_REPORTED:
            self.bad.append(BadRow(number, str(error)))
        alike = _VALUE.sub("a value", error.reason)
        reason = f"{error.field}: {alike}" if error.field else alike
        self.reasons[reason if reason in self.reasons or len(self.reasons) < MAX_REASONS else OTHER] += 1
