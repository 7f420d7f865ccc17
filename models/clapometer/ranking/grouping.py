"""Sums by group: the one operation that every estimator here is made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["sum_by"]


def sum_by(group: NDArray[np.int64], values: NDArray[np.float64], size: int = 0) -> NDArray[np.float64]:
    """Sum of `values` in each group 0..size-1 (or more, when a group index is larger)."""
    return np.bincount(group, values, size).astype(np.float64, copy=False)
