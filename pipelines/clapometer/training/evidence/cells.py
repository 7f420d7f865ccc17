"""Sums per clip, day and viewer fold: what the estimators are given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clapometer.ranking import ClipCells

__all__ = ["Cells", "Sums", "add_up", "sum_by_key"]

Floats = NDArray[np.float64]
Sums = tuple[NDArray[np.int64], Floats]
"""Keys, each once and in order, and sums by key, a row of them for every column: the first are counts."""
UNIT = 2.0**20
"""Sums are of whole units of 2^-20: any other sum of floats would depend on the order of rows and files."""
_COLUMNS = (
    "sum_label", "sum_exposure", "sum_weighted_label", "sum_weighted_exposure", "sum_capped_label",
    "sum_capped_exposure",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Cells:
    """Sums per clip, day, viewer fold and value of a segment, ordered by them, each column ``(n_cells,)``.

    Attributes:
        cells: For the estimators.
        weight: Sum of the uniform-exposure weights.
        completed: Impressions watched to the end.
        liked: Likes.
        revenue: In the tenant's currency.
    """

    cells: ClipCells
    weight: Floats
    completed: Floats
    liked: Floats
    revenue: Floats

    @classmethod
    def of(cls, parts: Iterable[Sums]) -> Cells:
        """Returns the cells of some files together, from sums in whole units by ``clip * 2^17 + day * 2 + fold``.

        Rows are impressions, the sums of `ClipCells`, weight, completed, liked and revenue.
        """
        key, sums = add_up(parts, len(_COLUMNS) + 5)
        n = len(_COLUMNS)
        named = {name: sums[k] / UNIT for k, name in enumerate(_COLUMNS, start=1)}
        cells = ClipCells(clip=key >> 17, day=key >> 1 & 0xFFFF, fold=key & 1, impressions=sums[0], **named)
        return cls(cells, sums[n + 1] / UNIT, sums[n + 2], sums[n + 3], sums[n + 4] / UNIT)

    def take(self, rows: NDArray[np.bool_]) -> Cells:
        """Returns some of the cells."""
        columns = {name: getattr(self.cells, name)[rows] for name in ClipCells.__slots__}
        extra = (column[rows] for column in (self.weight, self.completed, self.liked, self.revenue))
        return Cells(ClipCells(**columns), *extra)


def sum_by_key(key: NDArray[np.integer[Any]], columns: Sequence[NDArray[Any] | None]) -> Sums:
    """Returns counts and sums of columns by key.

    Args:
        key: Whole numbers from 0, ``(n,)``.
        columns: ``(n,)`` each; None is zeros. One that is given again is not summed again.
    """
    key = key.astype(np.int64, copy=False)
    size = int(key.max(initial=0)) + 1
    present = np.arange(size)
    if size > 4 * len(key):
        present, key = np.unique(key, return_inverse=True)
        size = len(present)
    counts = np.bincount(key, minlength=size)
    rows = np.flatnonzero(counts)
    done: dict[int, Floats] = {id(None): np.zeros(len(rows))}
    for column in columns:
        if id(column) not in done:
            done[id(column)] = np.bincount(key, column, size)[rows].astype(np.float64, copy=False)
    return present[rows], np.array([counts[rows], *(done[id(column)] for column in columns)], np.float64)


def add_up(parts: Iterable[Sums], n_columns: int) -> Sums:
    """Returns the sums of some parts together; ``n_columns`` are those of each, counts included."""
    listed = [(np.zeros(0, np.int64), np.zeros((n_columns, 0))), *parts]
    key = np.concatenate([keys for keys, _ in listed])
    order = np.argsort(key, kind="stable")
    key = key[order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    sums = np.empty((n_columns, len(first)))
    for row in range(n_columns):
        column = np.concatenate([part[row] for _, part in listed])[order]
        sums[row] = column if len(first) == len(key) else np.add.reduceat(column, first)
    return key[first], sums
