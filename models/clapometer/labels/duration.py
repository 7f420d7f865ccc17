r"""Watch time as a place among clips of the same length.

Long clips are watched longer but finished less often, so neither watch time nor watch ratio compares clips of
different length. The mid-distribution quantile

.. math:: q(w, d) = P(W < w \mid D = d) + \tfrac12 P(W = w \mid D = d)

does: it is uniform on [0, 1], with mean 1/2, for clips of every length. It is computed from counts per (length
bin, watch-ratio bin). Counts of disjoint impressions add up, SQL makes them in one ``GROUP BY``, and joining the
quantiles back is one equi-join with a small table. Bins of length are about 8 % wide; each takes in as many of its
neighbours, with weights falling linearly with distance, as it needs to rest on ``min_impressions``.

References:
    Zhan et al. (2022), Deconfounding duration bias in watch-time prediction, KDD, arXiv 2206.06003. Parzen
    (2004), Quantile probability and statistical data modeling, Statistical Science 19 (mid-distributions).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clapometer.domain import InputError
from clapometer.labels.rule import Watch

__all__ = [
    "WatchCounts", "WatchQuantiles", "count_watches", "duration_bin_sql", "fit_watch_quantiles", "ratio_bin_sql",
    "shared_lengths", "watch_bins", "watched_sql",
]  # fmt: skip

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_BINS_PER_E = 12.5
"""Length bins per factor e of length: each is 8 % wide."""
_FIRST_RATIO = 200.0
"""Watch ratios are resolved to 1/200 of the clip near 0, and to 2 % of themselves beyond."""
_RATIO_BINS_PER_E = 50.0
_SAME_LENGTH, _FEWEST_OTHERS = 2, 0.1
"""Bins within which lengths are one, and the share of their impressions that have to be others'."""


@dataclass(frozen=True, slots=True, eq=False)
class WatchCounts:
    """Impressions (or their weight) per length bin and watch-ratio bin, each column ``(n_cells,)``."""

    duration_bin: Ints
    ratio_bin: Ints
    weight: Floats

    def __add__(self, other: WatchCounts) -> WatchCounts:
        """Counts of both sets of impressions; repeated bins are summed when fitted."""
        return WatchCounts(
            np.concatenate([self.duration_bin, other.duration_bin]),
            np.concatenate([self.ratio_bin, other.ratio_bin]),
            np.concatenate([self.weight, other.weight]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class WatchQuantiles:
    """The lookup table: one row per observed length bin and possible ratio bin, each column ``(n_rows,)``."""

    duration_bin: Ints
    ratio_bin: Ints
    quantile: Floats

    def at(self, duration_bin: Ints, ratio_bin: Ints) -> Floats:
        """Returns the quantile of each impression; NaN where the length was never seen."""
        width = int(self.ratio_bin.max(initial=-1)) + 1
        bins = self.duration_bin[::width] if width else self.duration_bin
        if not len(bins):
            return np.full(len(duration_bin), np.nan)
        row = np.searchsorted(bins, duration_bin)
        known = bins[np.minimum(row, len(bins) - 1)] == duration_bin
        place = np.where(known, row * width + np.minimum(ratio_bin, width - 1), 0)
        return np.where(known, self.quantile[place], np.nan)


def watched_sql(watch: Watch) -> str:
    """Returns the SQL of the watch time in milliseconds, over ``watched_ms``, ``total_ms`` and ``duration_ms``."""
    unique = "COALESCE(watched_ms, 0)"
    if watch.measure == "unique":
        return f"LEAST({unique}, duration_ms)"
    return f"LEAST(GREATEST({unique}, COALESCE(total_ms, 0)), {watch.max_plays!r} * duration_ms)"


def duration_bin_sql() -> str:
    """Returns the SQL of the length bin of ``duration_ms``."""
    return f"CAST(FLOOR(LN(GREATEST(duration_ms, 1)) * {_BINS_PER_E!r}) AS BIGINT)"


def ratio_bin_sql(watch: Watch) -> str:
    """Returns the SQL of the watch-ratio bin."""
    ratio = f"{watched_sql(watch)} / CAST(GREATEST(duration_ms, 1) AS DOUBLE)"
    return f"CAST(FLOOR(LN(1.0 + {_FIRST_RATIO!r} * ({ratio})) * {_RATIO_BINS_PER_E!r}) AS BIGINT)"


def watch_bins(watch: Watch, watched_ms: Floats, total_ms: Floats, duration_ms: Floats) -> tuple[Ints, Ints]:
    """Returns length bin and ratio bin of each impression, as the SQL does; NaN watch times count as 0."""
    duration = np.maximum(np.asarray(duration_ms, float), 1.0)
    ratio = watch_time(watch, watched_ms, total_ms, duration) / duration
    return (
        np.floor(np.log(duration) * _BINS_PER_E).astype(np.int64),
        np.floor(np.log(1.0 + _FIRST_RATIO * ratio) * _RATIO_BINS_PER_E).astype(np.int64),
    )


def watch_time(watch: Watch, watched_ms: Floats, total_ms: Floats, duration_ms: Floats) -> Floats:
    """Returns what `watched_sql` computes."""
    unique = np.nan_to_num(np.asarray(watched_ms, float))
    if watch.measure == "unique":
        once: Floats = np.minimum(unique, duration_ms)
        return once
    played = np.maximum(unique, np.nan_to_num(np.asarray(total_ms, float)))
    capped: Floats = np.minimum(played, watch.max_plays * duration_ms)
    return capped


def count_watches(duration_bin: Ints, ratio_bin: Ints, weight: Floats | None = None) -> WatchCounts:
    """Returns the counts of single impressions, as the SQL's ``GROUP BY`` does."""
    pairs, cell = np.unique(np.column_stack([duration_bin, ratio_bin]), axis=0, return_inverse=True)
    pairs = pairs.reshape(-1, 2)
    total = np.bincount(cell.ravel(), weight, len(pairs)).astype(np.float64)
    return WatchCounts(pairs[:, 0], pairs[:, 1], total)


def fit_watch_quantiles(counts: WatchCounts, watch: Watch) -> WatchQuantiles:
    """Returns the quantile of every (observed length bin, possible ratio bin).

    Weights are those of exposure: count each impression once, or by the inverse of its propensity, so that
    clips that were shown a lot do not set the standard.

    Raises:
        InputError: A weight is negative, NaN or infinite.
    """
    if not np.isfinite(counts.weight).all() or (counts.weight < 0).any():
        msg = "must be finite and not negative"
        raise InputError(msg, "weight")
    bins, row = np.unique(counts.duration_bin, return_inverse=True)
    width = int(counts.ratio_bin.max(initial=-1)) + 1
    cells = np.bincount(row * width + counts.ratio_bin, counts.weight, len(bins) * width).reshape(len(bins), width)
    below = np.cumsum(cells, axis=1)
    middle = below - cells / 2
    quantile = np.empty_like(middle)
    size = cells.sum(axis=1)
    for k in range(len(bins)):
        mix = _neighbours(bins, size, k, watch.min_impressions)
        total = float(mix @ size)
        quantile[k] = (mix @ middle) / total if total > 0 else watch.neutral
    return WatchQuantiles(np.repeat(bins, width), np.tile(np.arange(width), len(bins)), quantile.ravel())


def shared_lengths(item: Ints, duration_bin: Ints, weight: Floats, n_items: int) -> Floats:
    """Returns the share of each item's impressions that are of a length that other items have, too, ``(n_items,)``.

    A quantile among clips that are all of one item says nothing of that item: its mean is 1/2 whatever it is worth.
    Another length counts as the same within two bins, that is a sixth.

    Args:
        item: Of each clip, from 0.
        duration_bin: Of each clip.
        weight: Impressions of each clip.
        n_items: Number of items.
    """
    bins, row = np.unique(duration_bin, return_inverse=True)
    size = np.bincount(row * n_items + item, weight, len(bins) * n_items).reshape(len(bins), n_items)
    near = (np.abs(bins[:, None] - bins[None, :]) <= _SAME_LENGTH).astype(np.float64) @ size
    others = near.sum(1, keepdims=True) - near
    shared = np.where(others >= _FEWEST_OTHERS * near.sum(1, keepdims=True), size, 0.0).sum(0)
    total = size.sum(0)
    share: Floats = np.divide(shared, total, out=np.ones(n_items), where=total > 0)
    return share


def _neighbours(bins: Ints, size: Floats, k: int, needed: float) -> Floats:
    """Weights of the bins around bin ``k``: the narrowest triangle that holds ``needed`` impressions."""
    distance = np.abs(bins - bins[k]).astype(np.float64)
    mix: Floats = np.ones(len(bins))
    for reach in np.unique(distance) + 1.0:
        mix = np.maximum(0.0, 1.0 - distance / reach)
        if mix @ size >= needed:
            break
    return mix
