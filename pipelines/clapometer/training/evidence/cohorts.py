"""Viewers that do not count for when they came: those who are too new, and cohorts that move a model version together.

A large lake is looked at in part: of every n-th viewer, which nobody can choose to be, as it depends on all outcomes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clapometer.labels import ScreeningLimits, ScreeningReason, Seen, cohorts_moving_together, newcomers
from clapometer.labels.screening import MIX
from clapometer.training.evidence.counted import LABELLED, Counted, Worths
from clapometer.training.evidence.viewers import Viewers

__all__ = ["screen_by_age"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

MOST_ITEMS = 64
"""Model versions that are looked at, those with most clips; the others are one."""
MOST_ROWS, MOST_SUMS = 1 << 20, 1 << 23
_BINS = 1024


def screen_by_age(
    viewers: Viewers, files: Sequence[Counted], model: Ints, worths: Worths, *, limits: ScreeningLimits, out: Flags
) -> dict[int, ScreeningReason]:
    """Returns why viewers do not count for when they came, by their place.

    Args:
        viewers: Everybody.
        files: Their outcomes.
        model: Model version of each registered clip.
        worths: What outcomes are worth, as far as it is known without the others.
        limits: How long viewers are new, and when those who came together are no people.
        out: Viewers that do not count anyway.
    """
    seen = viewers.seen
    new = newcomers(seen.first, seen.impressions, _last_day(files), limits) & ~out
    old = (seen.impressions > 0) & ~new & ~out
    found = dict.fromkeys(np.flatnonzero(new).tolist(), ScreeningReason.NEW)
    sample = _sample(viewers, files, _items(model), worths, old)
    if len(sample.viewer):
        for start, end in cohorts_moving_together(sample, seen.first, limits.cohorts):
            cohort = np.flatnonzero(old & (seen.first >= start) & (seen.first < end))
            found |= dict.fromkeys(cohort.tolist(), ScreeningReason.COHORT)
    return found


def _last_day(files: Sequence[Counted]) -> int:
    """Returns the last day on which more than a few impressions were."""
    shown: dict[int, int] = {}
    for file in files:
        narrow = file.narrow
        for day, count in zip(narrow.days.tolist(), np.bincount(narrow.day).tolist(), strict=True):
            shown[day] = shown.get(day, 0) + count
    few, after = sum(shown.values()) // 1_000, 0
    for day in sorted(shown, reverse=True):
        after += shown[day]
        if after > few:
            return day
    return 0


def _items(model: Ints) -> Ints:
    """Returns the number of each clip's model version, those without a number of their own together; -1 for none."""
    clips = np.bincount(model + 1)[1:]
    number = np.full(len(clips) + 1, MOST_ITEMS)
    most = np.argsort(-clips, kind="stable")[:MOST_ITEMS]
    number[most] = np.arange(len(most))
    number[-1] = -1
    return np.append(number[model], -1)


def _sample(viewers: Viewers, files: Sequence[Counted], item: Ints, worths: Worths, old: Flags) -> Seen:
    """Returns impressions of viewers, who are numbered by their place."""
    total = sum(len(file.narrow) for file in files)
    every = 1 + max(total // MOST_ROWS, int(old.sum()) * (int(item.max()) + 1) // MOST_SUMS)
    mixed = (viewers.hashes ^ np.uint64(total)) * np.uint64(MIX)
    chosen = old & ((mixed >> np.uint64(32)) % np.uint64(every) == 0)
    fixed, bins = worths.fixed(), np.zeros(_BINS)
    none = np.zeros(0, np.int64)
    parts: list[tuple[NDArray[Any], ...]] = [(none, none, none, np.zeros(0), none)]
    for file, places in zip(files, viewers.rows, strict=True):
        narrow = file.narrow
        shown = item[file.clip][narrow.clip]
        rows = np.flatnonzero(chosen[places][narrow.viewer] & (shown >= 0))
        watch = narrow.watch[rows] >> 1 & _BINS - 1
        bins += np.bincount(watch, minlength=_BINS)
        day = narrow.days[narrow.day[rows]]
        parts.append((places[narrow.viewer[rows]], day, shown[rows], fixed[narrow.flags[rows] & LABELLED], watch))
    viewer, day, shown, worth, watch = (np.concatenate(column) for column in zip(*parts, strict=True))
    quantile = (np.cumsum(bins) - bins / 2) / max(bins.sum(), 1.0)
    first = day.min(initial=0) if len(day) else 0
    return Seen(viewer, day - first, shown, worth + worths.rule.weights.watch * quantile[watch])
