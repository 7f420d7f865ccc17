"""What outcomes are worth, learnt from those that count: signals of watching, and how much each place is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clapometer.labels import LabelRule, WatchCounts, fit_watch_quantiles
from clapometer.ranking import effective_sample_size, outlier_limit, position_curve
from clapometer.training.evidence.cells import UNIT, add_up, sum_by_key
from clapometer.training.evidence.counted import MOST_CAPPED, Counted, Worths
from clapometer.training.evidence.outcome_files import PLACES
from clapometer.training.evidence.screening import MainCurrency, main_currency
from clapometer.training.evidence.tiers import MIN_EXPLORED

__all__ = ["LearntWorths", "Places", "weigh"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Places:
    """What was shown in each place, surface and position in one number, ``(n_places,)`` each but ``slots``.

    Attributes:
        keys: The places.
        shown: Impressions, logged, explored, explored and logged ones, and slots, a row each, ``(5, n_places)``.
        slots: Slots by day, ``(n_days,)``.
    """

    keys: Ints
    shown: Floats
    slots: Floats

    @property
    def logged(self) -> int:
        """Impressions with a propensity."""
        return int(self.shown[1].sum())

    @property
    def explored(self) -> int:
        """Those of them that were shown by chance."""
        return int(self.shown[3].sum())


@dataclass(frozen=True, eq=False)
class LearntWorths:
    """What `weigh` learns of the outcomes that count.

    Attributes:
        worths: What they are worth.
        places: What was shown where.
        days: As many days of equal traffic would tell as much.
        currency: In which revenue is counted.
    """

    worths: Worths
    places: Places
    days: float
    currency: MainCurrency


def weigh(files: Sequence[Counted], rule: LabelRule) -> LearntWorths:
    """Returns what the outcomes that count are worth by a label rule."""
    places, days, watch = _places(files), _days(files), _watch_signals(files, rule)
    currency = main_currency(_purchases(files))
    seen = Worths(rule, watch, np.zeros(0), currency.name)
    return LearntWorths(replace(seen, examination=_examination(files, seen, places)), places, days, currency)


def _places(files: Sequence[Counted]) -> Places:
    """Returns what was shown in each place."""
    found, days = [], dict[int, float]()
    most = _most_of_a_slot(files)
    for file in files:
        explored, logged = file.explored, ~np.isnan(file.take("weight"))
        slot = np.rint(UNIT * np.minimum(1 / np.maximum(file.take("candidates"), 1), most))
        both = explored
        if not logged.all():
            slot, both = slot * logged, explored & logged
        place, sums = sum_by_key(file.take("place"), (logged, explored, both, slot))
        found.append((file.places[place], sums))
        for day, chances in file.by_day(slot).items():
            days[day] = days.get(day, 0.0) + chances
    keys, shown = add_up(found, 5)
    shown[4] /= UNIT
    slots = np.zeros(max(days, default=-1) + 1)
    slots[list(days)] = list(days.values())
    return Places(keys, shown, slots / UNIT)


def _most_of_a_slot(files: Sequence[Counted]) -> float:
    """Returns the largest ``1 / candidates`` that is taken as it is: a slot is a chance for every clip."""
    chances = [1 / np.maximum(file.take("candidates"), 1)[~np.isnan(file.take("weight"))] for file in files]
    return outlier_limit(chances, 2.0)


def _purchases(files: Sequence[Counted]) -> dict[str, int]:
    """Returns how many purchases that count are in each currency."""
    counts: dict[str, int] = {}
    for file in files:
        paid = file.narrow.currency
        if file.kept is not None:
            paid = paid.filter(pa.array(np.isin(file.narrow.paid, file.kept)))
        for pair in paid.value_counts().to_pylist():
            counts[pair["values"]] = counts.get(pair["values"], 0) + pair["counts"]
    return counts


def _days(files: Sequence[Counted]) -> float:
    """Returns how many days of equal traffic tell as much as those that there are."""
    shown: dict[int, float] = {}
    for file in files:
        for day, count in file.by_day().items():
            shown[day] = shown.get(day, 0.0) + count
    return effective_sample_size(np.array([*shown.values()], np.float64))


def _watch_signals(files: Sequence[Counted], rule: LabelRule) -> Floats:
    """Returns the signal of watching by `Narrow.watch`."""
    found = []
    for file in files:
        weight = file.take("weight")
        capped = np.where(np.isnan(weight), 1.0, np.minimum(weight, MOST_CAPPED))
        found.append(sum_by_key(file.take("watch"), (np.rint(capped * UNIT),)))
    watch, (_, weight) = add_up(found, 2)
    bins = (watch >> 11, watch >> 1 & 1023)
    quantiles = fit_watch_quantiles(WatchCounts(*bins, weight / UNIT), rule.watch)
    signals = np.zeros(int(watch.max(initial=0)) + 1)
    signals[watch] = np.where(watch & 1, rule.watch.neutral, quantiles.at(*bins))
    return signals


def _examination(files: Sequence[Counted], worths: Worths, places: Places) -> Floats:
    """Returns how much each place is looked at, by key: learnt from those that were filled by chance."""
    earned = np.zeros(1 + max((int(file.places.max()) for file in files), default=0))
    for file in files:
        rows = np.flatnonzero(file.explored)
        label = np.rint(file.labels(worths, rows) * UNIT)
        found, (_, sums) = sum_by_key(file.take("place")[rows], (label,))
        np.add.at(earned, file.places[found], sums)
    keys, shown = places.keys, places.shown
    filled = shown[4 if places.explored >= MIN_EXPLORED else 0]
    surface, position = keys // PLACES, keys % PLACES - 1
    curve: NDArray[Any] = np.zeros(len(earned))
    # where no position is given, there is nothing to bend along
    curve[keys] = position_curve(
        surface * 2 + (position < 0), np.maximum(position, 0), filled, shown[2], earned[keys] / UNIT
    )
    return curve
