"""From which day on clips could be shown, when their registration may tell another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clapometer.ranking.cells import ClipCells, ClipTable, opportunities
from clapometer.ranking.grouping import sum_by

__all__ = ["as_launched", "available_days"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_SURELY = 20.0
"""Impressions that chance would have shown of a batch of which none was: odds of 1 to 5e8."""


def available_days(registered: Ints, shown: Floats, version: Ints, slots: Floats) -> Ints:
    """Day from which each clip could be shown, in days since the first, ``(n_clips,)``.

    A clip that was shown before it was registered was there before. And a catalogue may be registered long before it is
    let out: clips of one version that were registered on one day, none of which was shown for so long that chance would
    have shown many, were not there yet.

    Args:
        registered: Day of each clip's registration; may be before the first.
        shown: Day of its first impressions, infinity where it has none.
        version: Model version.
        slots: Chances of a clip by day, ``(n_days,)``; zeros where they are not known.
    """
    published = np.minimum(registered, shown).astype(np.int64)
    batches, batch = np.unique(np.column_stack([version, published]), axis=0, return_inverse=True)
    launch = np.full(len(batches), np.inf)
    np.minimum.at(launch, batch.ravel(), shown)
    launch = np.minimum(launch, len(slots)).astype(np.int64)
    chances = opportunities(slots, batches[:, 1], np.maximum(launch, batches[:, 1])) * np.bincount(batch.ravel())
    late: Ints = np.where(chances >= _SURELY, launch, batches[:, 1])[batch.ravel()]
    return late


def as_launched(cells: ClipCells, clips: ClipTable, version: int, launch: int) -> tuple[ClipCells, ClipTable] | None:
    """One version under two names, of which the second is launched later: whatever tells them apart is no difference.

    The first name has what one viewer fold saw, the second what the other one saw from the launch on. Clips keep their
    ages: the novelty of the log is that of both names.

    Args:
        cells: Sums by clip, day and viewer fold.
        clips: The clips.
        version: Of which the clips are.
        launch: Day from which the second name is there.

    Returns:
        Cells and clips of version 0 and 1; None where the version was not there before the launch.
    """
    rows = np.flatnonzero((clips.model == version) & clips.is_canonical)
    published = clips.published_day[rows]
    if not len(rows) or published.min() >= launch:
        return None
    place = np.full(len(clips), -1)
    place[rows] = np.arange(len(rows))
    second = cells.fold % 2 == 1
    kept = (place[cells.clip] >= 0) & (~second | (cells.day >= launch))
    columns = {name: getattr(cells, name)[kept] for name in ClipCells.__slots__}
    of = second[kept].astype(np.int64)
    clip = place[columns["clip"]]
    n_days = int(cells.day.max(initial=0)) + 1
    there = np.maximum(np.bincount(np.clip(published, 0, n_days - 1), minlength=n_days).cumsum(), 1)
    chances, first = [], (published, np.maximum(published, launch))
    for name in (0, 1):
        weight = sum_by(columns["day"][of == name], columns["sum_weighted_exposure"][of == name], n_days)
        chances.append(opportunities(weight / there, first[name]))
    number = np.arange(2 * len(rows))
    table = ClipTable(
        unit=number,
        model=number // len(rows),
        prompt=np.tile(clips.prompt[rows], 2),
        published_day=np.tile(published, 2),
        stratum=np.tile(clips.strata[rows], 2),
        opportunity=None if clips.opportunity is None else np.concatenate(chances),
    )
    return ClipCells(**columns | {"clip": clip + of * len(rows), "fold": np.zeros_like(of)}), table
