"""Which outcomes count, and what is known of them before anything is estimated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ORPHANS = "engagement without impression"
"""The reason of `boards.left_out.count_orphans`: these are no outcomes, and not counted among them."""

COSTLY = "cost far beyond all other"
"""The reason of clips whose cost does not count; they do."""


@dataclass(frozen=True)
class Screening:
    """Which clips do not count.

    Attributes:
        ads: Drop advertisements.
        watermarks: Drop clips with a watermark.
        reposts: Drop reposts; where this is off, they count for the original.
    """

    ads: bool = True
    watermarks: bool = True
    reposts: bool = False

    def parameters(self) -> dict[str, bool]:
        """Returns those of ``known.sql``."""
        return {"drop_ads": self.ads, "drop_watermarks": self.watermarks, "drop_reposts": self.reposts}


@dataclass(frozen=True)
class MainCurrency:
    """The currency in which a tenant's revenue, or cost, is counted.

    Attributes:
        name: None where there is no money.
        share: Of the impressions that sold, or of the clips of known cost, those in this currency.
    """

    name: str | None = None
    share: float | None = None


def main_currency(counts: Mapping[str, int]) -> MainCurrency:
    """Returns the most frequent currency, the first by name of several: as the view ``main_currencies`` chooses."""
    given = {name: n for name, n in counts.items() if n}
    if not given:
        return MainCurrency()
    chosen = min(given, key=lambda name: (-given[name], name))
    return MainCurrency(chosen, given[chosen] / sum(given.values()))


@dataclass(frozen=True, eq=False)
class Scored:
    """What is known of a tenant's outcomes before anything is estimated.

    Attributes:
        first_day: Day 0, in days since 1970.
        outcomes: All of them.
        excluded: Number of outcomes that do not count, by reason.
        logged: Outcomes that count and have a propensity.
        explored: Those of them that were shown by chance.
        slots: Sum of ``1 / candidates`` over the logged ones by day, ``(n_days,)``.
        days: Of traffic, as many as days of equal traffic would tell as much (Kish); a day with next to none is none.
        currency: In which revenue is counted.
        tier_reason: Why the tier is C; empty where it is B.
    """

    first_day: int
    outcomes: int
    excluded: dict[str, int]
    logged: int
    explored: int
    slots: Floats
    days: float
    currency: MainCurrency
    tier_reason: str

    @property
    def counted(self) -> int:
        """Outcomes that count."""
        return self.outcomes - sum(self.excluded.values())

    @property
    def tier(self) -> str:
        """B where exposure was partly left to logged chance, and the data do not contradict it; else C."""
        return "C" if self.tier_reason else "B"
