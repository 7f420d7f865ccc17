"""Cohorts that move an item together: new accounts that react to one version as nobody else does.

What a cohort (viewers first seen on the same days) gives an item is compared with what all others give it on the same
days, less what the cohort gives everything else: being lenient, or there late, is no difference. Viewers are
independent of each other, their impressions are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from clapometer.domain import InputError

__all__ = ["CohortLimits", "Seen", "cohorts_moving_together"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class CohortLimits:
    """When viewers who came together are no people.

    Attributes:
        chance: Largest probability that any cohort of people differs as much in any item, all that are looked at, by
            Student's t. A few busy viewers make its tail too thin for people: at 0.001 cohorts of people were
            found in 2 of 80 worlds (least 0.0003), while those of adversaries lay below 1e-9.
        days: Lengths of the times in which a cohort may have come.
        settled: First days whose viewers are in no cohort: most were there before anything was recorded.
        share: Largest share of all impressions: who gives more is no exception.
        viewers: Fewest viewers, as many as of equal influence on the item would tell as much.
        impressions: Fewest impressions of the item.
        cohorts: Most that are left out.
    """

    chance: float = 1e-5
    days: tuple[int, ...] = (1, 3)
    settled: int = 7
    share: float = 0.2
    viewers: float = 5.0
    impressions: int = 8
    cohorts: int = 20


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """Impressions, ``(n,)`` each.

    Attributes:
        viewer: Numbers from 0.
        day: Since the first day.
        item: What was shown, numbers from 0.
        worth: What it came to.
    """

    viewer: Ints
    day: Ints
    item: Ints
    worth: Floats

    def __post_init__(self) -> None:
        for field in fields(self):
            shape = np.shape(getattr(self, field.name))
            if shape != (len(self.viewer),):
                msg = f"has shape {shape}, must be {(len(self.viewer),)}"
                raise InputError(msg, field.name)


def cohorts_moving_together(seen: Seen, first: Ints, limits: CohortLimits | None = None) -> list[tuple[int, int]]:
    """Returns the first days, from and before, of viewers that are no people together.

    The shortest time goes first, as the fewest people came in it, and of them the least likely; all others are compared
    without it. Viewers of the first week are in none: when they came nobody knows.

    Args:
        seen: Impressions.
        first: Day on which each viewer was first seen.
        limits: When viewers are no people.

    References:
        Liang, Zeger (1986), Longitudinal data analysis using generalized linear models, Biometrika 73 (clusters).
        Beutel, Xu, Guruswami, Palow, Faloutsos (2013), CopyCatch: stopping group attacks by spotting lockstep behavior
        in social networks, WWW.
    """
    limits = limits or CohortLimits()
    came = first[seen.viewer]
    order = np.argsort(came, kind="stable")
    rows = _Rows(came[order], seen.viewer[order], seen.day[order], seen.item[order], seen.worth[order])
    found: list[tuple[int, int]] = []
    while len(found) < limits.cohorts and len(rows.came):
        cohort = _least_likely(rows, limits)
        if cohort is None:
            break
        found.append(cohort)
        rows = rows.take((rows.came < cohort[0]) | (rows.came >= cohort[1]))
    return found


def _least_likely(rows: _Rows, limits: CohortLimits) -> tuple[int, int] | None:
    """Returns the days of the cohort that people would be least likely, of the shortest that are no people."""
    everybody = _Everybody.of(rows)
    judged = [(days, _chances(rows, members, everybody, limits)) for days, members in _cohorts(rows, limits)]
    tests = sum(len(chances) for _, chances in judged)
    found = [
        (days[1] - days[0], float(chances.min()), days)
        for days, chances in judged
        if len(chances) and chances.min() * tests < limits.chance
    ]
    return min(found)[2] if found else None


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Impressions by the day on which their viewers came."""

    came: Ints
    viewer: Ints
    day: Ints
    item: Ints
    worth: Floats

    def take(self, rows: Flags | slice) -> _Rows:
        """Returns some of them."""
        return _Rows(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True, slots=True, eq=False)
class _Everybody:
    """Impressions and worth by day and item, ``(n_days, n_items)``, and how much impressions of an item differ."""

    shown: Floats
    worth: Floats
    spread: Floats

    @classmethod
    def of(cls, rows: _Rows) -> _Everybody:
        """Returns those of all rows."""
        days, items = int(rows.day.max()) + 1, int(rows.item.max()) + 1
        shown, worth = _by_day_and_item(rows, days, items)
        beyond = rows.worth - (worth / np.maximum(shown, 1.0))[rows.day, rows.item]
        spread = np.bincount(rows.item, beyond**2, items) / np.maximum(shown.sum(0), 1.0)
        return cls(shown, worth, spread)


def _by_day_and_item(rows: _Rows, days: int, items: int) -> tuple[Floats, Floats]:
    key = rows.day * items + rows.item
    shown = np.bincount(key, minlength=days * items).astype(np.float64)
    worth = np.bincount(key, rows.worth, days * items).astype(np.float64, copy=False)
    return shown.reshape(days, items), worth.reshape(days, items)


def _cohorts(rows: _Rows, limits: CohortLimits) -> Iterator[tuple[tuple[int, int], slice]]:
    """Yields those who came in each time: its days, and their rows; neither of the first days nor most."""
    start, end = int(rows.came[0]), int(rows.came[-1])
    for length in limits.days:
        for day in range(start + limits.settled, end + 2 - length):
            low, high = np.searchsorted(rows.came, (day, day + length)).tolist()
            if 0 < high - low <= limits.share * len(rows.came):
                yield (day, day + length), slice(low, high)


def _on_its_days(cohort: _Rows, everybody: _Everybody) -> tuple[_Rows, _Everybody]:
    """Returns both on the days on which the cohort was shown anything: all others cost time and say nothing."""
    days, day = np.unique(cohort.day, return_inverse=True)
    return replace(cohort, day=day), replace(everybody, shown=everybody.shown[days], worth=everybody.worth[days])


def _chances(rows: _Rows, members: slice, everybody: _Everybody, limits: CohortLimits) -> Floats:
    """Returns how likely people are to differ as much in each item that can be judged.

    The error is that of viewers as clusters, and not below that of as many impressions of everybody's: accounts that
    all do the same have none of their own, and neither have few impressions that came to nothing.
    """
    cohort, everybody = _on_its_days(rows.take(members), everybody)
    days, items = everybody.shown.shape
    shown_here, worth_here = _by_day_and_item(cohort, days, items)
    others = everybody.shown - shown_here
    compared = (others > 0)[cohort.day, cohort.item]
    if not compared.all():
        cohort, shown_here = cohort.take(compared), shown_here * (others > 0)
    usual = (everybody.worth - worth_here) / np.maximum(others, 1.0)
    viewers, viewer = np.unique(cohort.viewer, return_inverse=True)
    cell, size = viewer * items + cohort.item, len(viewers) * items
    shown = np.bincount(cell, minlength=size).reshape(-1, items)
    gave = np.bincount(cell, cohort.worth - usual[cohort.day, cohort.item], size).reshape(-1, items)
    of_item = shown.sum(0)
    alike = of_item**2 / np.maximum((shown**2).sum(0), 1)
    judged = (of_item >= limits.impressions) & (alike >= limits.viewers)
    rest_gave, rest_shown = gave.sum(1, keepdims=True) - gave, shown.sum(1, keepdims=True) - shown
    many, of_rest = np.maximum(of_item, 1), rest_shown.sum(0)
    rest = np.where(of_rest >= limits.impressions, of_rest, np.inf)  # who is shown one item only is compared by it only
    mean, rest_mean = gave.sum(0) / many, rest_gave.sum(0) / rest
    own = (gave - mean * shown) / many - (rest_gave - rest_mean * rest_shown) / rest
    error = np.maximum((own**2).sum(0), everybody.spread * (1 / many + 1 / rest))
    error += everybody.spread * (shown_here**2 / np.maximum(others, 1.0)).sum(0) / many**2
    moved = np.abs(mean - rest_mean)[judged] / np.sqrt(np.maximum(error[judged], 1e-24))
    chances: Floats = 2 * student.sf(moved, alike[judged] - 1)
    return chances
