"""How much each vote weighs, so that nobody's opinion counts as that of many."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_OF_ONE", "most_of_one", "voter_weights"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_OF_ONE = 5
"""Votes up to which everybody's weigh in full."""


def most_of_one(voter: Ints) -> float:
    """Returns what one voter's votes weigh at most together: as many as the typical (median) voter's, or `MOST_OF_ONE`.

    In a panel in which all judge much, all weigh in full; among many who vote now and then, nobody is a panel.
    """
    counts = np.bincount(voter)
    return max(float(MOST_OF_ONE), float(np.median(counts[counts > 0]))) if len(voter) else float(MOST_OF_ONE)


def voter_weights(voter: Ints) -> Floats:
    """Returns the weight of each vote, ``(n_votes,)``, 1 but for voters who voted more than `most_of_one`.

    Args:
        voter: Number of who cast each vote, ``(n_votes,)``.
    """
    counts = np.bincount(voter, minlength=1)
    weights: Floats = np.minimum(1.0, most_of_one(voter) / np.maximum(counts[voter], 1))
    return weights
