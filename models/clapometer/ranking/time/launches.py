"""From which day on clips could be shown, when their registration may tell another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clapometer.ranking.cells import opportunities

__all__ = ["available_days"]

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
