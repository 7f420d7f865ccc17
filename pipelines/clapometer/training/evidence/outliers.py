"""Outcomes that no other outcome is like: what bounds how far any one event can move a ranking.

Which they are is decided from all outcomes that count, once per run, and recorded with it (``screened``), so that views
and audit leave out the same.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clapometer.domain import Exclusion
from clapometer.labels import SIGNALS, LabelRule
from clapometer.ranking import days_outside, outlier_limit
from clapometer.training.evidence.counted import Counted
from clapometer.training.evidence.outcome_files import Narrow

__all__ = ["Outliers", "find_outliers"]

_EPOCH = dt.date(1970, 1, 1)
_WEIGHTS, _AMOUNTS, _WEIGHED = 2.0, 10.0, 1.5
"""By how much weights, amounts, and amounts that labels weigh, may exceed those of all others but a few."""


@dataclass(frozen=True)
class Outliers:
    """What an outcome must not be to count.

    Attributes:
        days: Days that do not belong to the run, since 1970.
        weight: Most that ``1 / (propensity * candidates)`` may be.
        revenue: Most that an impression may have earned, by currency.
    """

    days: frozenset[int] = frozenset()
    weight: float = np.inf
    revenue: Mapping[str, float] = field(default_factory=dict)

    @property
    def dates(self) -> list[dt.date]:
        """The days, in order."""
        return [_EPOCH + dt.timedelta(days=day) for day in sorted(self.days)]

    def of(self, file: Counted) -> dict[Exclusion, NDArray[np.bool_]]:
        """Returns by reason which outcomes of a file it leaves out, ``(n,)`` each; the first that applies is given."""
        narrow = file.narrow
        found: dict[Exclusion, NDArray[np.bool_]] = {}
        outside = _on(narrow, self.days)
        if outside.any():
            found[Exclusion.OUTSIDE] = outside
        unlikely = narrow.weight > self.weight  # unknown ones are not
        if unlikely.any():
            found[Exclusion.UNLIKELY] = unlikely
        limit = np.array([self.revenue.get(name, np.inf) for name in narrow.currency.to_pylist()])
        rich = narrow.paid[np.abs(narrow.revenue) > limit] if len(limit) else narrow.paid
        if len(rich):
            found[Exclusion.UNPAID] = np.isin(np.arange(len(narrow)), rich)
        return found

    def without(self, file: Counted) -> tuple[Counted, dict[Exclusion, int]]:
        """Returns a file of which they do not count, and how many of those that did were left out, by reason."""
        left: dict[Exclusion, int] = {}
        for reason, rows in self.of(file).items():
            before, file = len(file), file.without(rows)
            left[reason] = before - len(file)
        return file, left


def find_outliers(files: Sequence[Counted], rule: LabelRule) -> Outliers:
    """Returns where outliers begin among the outcomes that count, given the rule that says what they are worth."""
    shown: dict[int, float] = {}
    for file in files:
        first = int(file.narrow.days[0] - file.days[0])
        for day, count in file.by_day().items():
            shown[first + day] = shown.get(first + day, 0.0) + count
    days = frozenset(days_outside(np.array([*shown]), np.array([*shown.values()], np.float64)).tolist())
    inside = [file.without(_on(file.narrow, days)) for file in files] if days else files
    weights = [file.take("weight") for file in inside]
    return Outliers(
        days=days,
        weight=outlier_limit([weight[~np.isnan(weight)] for weight in weights], _WEIGHTS),
        revenue={name: _most_paid(name, parts, rule) for name, parts in _amounts(inside).items()},
    )


def _most_paid(currency: str, amounts: Sequence[NDArray[np.float64]], rule: LabelRule) -> float:
    """Returns the most that an impression may have earned in a currency; less where labels weigh it.

    A purchase that no other is there to compare with may weigh as much as the heaviest other signal.
    """
    weight = abs(rule.weights.revenue)
    if not weight or currency != rule.currency:
        return outlier_limit(amounts, _AMOUNTS)
    if sum(len(part) for part in amounts) == 1:
        return max(abs(rule.weights.of(signal.name)) for signal in SIGNALS if signal.name != "revenue") / weight
    return outlier_limit(amounts, _WEIGHED)


def _on(narrow: Narrow, days: frozenset[int]) -> NDArray[np.bool_]:
    """Returns which outcomes of a file were shown on some days."""
    there = np.isin(narrow.days, [*days])
    return there[narrow.day] if there.any() else np.zeros(len(narrow), np.bool_)


def _amounts(files: Sequence[Counted]) -> dict[str, list[NDArray[np.float64]]]:
    """Returns what impressions earned, by currency."""
    found: dict[str, list[NDArray[np.float64]]] = {}
    for file in files:
        narrow = file.narrow
        counts = np.ones(len(narrow.paid), np.bool_) if file.kept is None else np.isin(narrow.paid, file.kept)
        counts &= np.abs(narrow.revenue) > 0  # of nothing there may be any number
        names = np.array(narrow.currency.to_pylist(), object)
        for name in sorted(set(names[counts].tolist())):
            found.setdefault(name, []).append(np.abs(narrow.revenue[counts & (names == name)]))
    return found
