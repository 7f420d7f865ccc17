"""The chances that clips had to be shown, where every slot was filled from all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
from numpy.typing import NDArray

from clapometer.ranking import available_days, first_days, opportunities
from clapometer.training.evidence.cells import sum_by_key
from clapometer.training.evidence.clips import encode, numbers
from clapometer.training.evidence.counted import Counted

__all__ = ["Chances", "chances_of", "first_shown"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_SLACK = 0.1
_FEW, _MANY = 0.8, 1.25
"""Clips that were there over candidates, within which all that were there were candidates."""


@dataclass(frozen=True, eq=False)
class Chances:
    """What clips are due, ``(n_clips,)`` each.

    Attributes:
        version: Model version.
        names: Of the versions.
        opportunity: Sum of ``1 / candidates`` over slots while the clip was there; 0 for no candidate.
        batch: Clips of one number have the same chances; -1 for no candidate.
        slack: Share by which what a version is due may be wrong, ``(n_versions,)``: it came at some time of a day.
    """

    version: Ints
    names: Sequence[str]
    opportunity: Floats
    batch: Ints
    slack: Floats


def chances_of(
    con: duckdb.DuckDBPyConnection,
    shown: Floats,
    counts: NDArray[np.bool_],
    *,
    first_day: int,
    slots: Floats,
    logged: int,
) -> Chances | None:
    """Returns what clips are due; None where slots were filled from some of the clips, or nobody says from how many.

    Args:
        con: Connection with ``registered``.
        shown: Day of each clip's first impressions that count, infinity where it has none, ``(n_clips,)``.
        counts: Whether impressions of each clip count.
        first_day: Day 0, in days since 1970.
        slots: Sum of ``1 / candidates`` by day.
        logged: Slots.
    """
    query = "SELECT model, CAST(registered_at AS DATE) - DATE '1970-01-01' AS day FROM registered ORDER BY clip"
    table = con.sql(query).to_arrow_table()
    codes = encode(table["model"])
    published = available_days(numbers(table["day"]) - first_day, shown, codes.index, slots)
    chance = opportunities(slots, published)
    for candidates in (counts, np.isfinite(shown) & counts):
        due = np.where(candidates, chance, 0.0)
        if _FEW <= due.sum() / max(logged, 1) <= _MANY:
            break
    else:
        return None
    _, batch = np.unique(np.column_stack([codes.index, published]), axis=0, return_inverse=True)
    first = np.full(len(codes.names), len(slots))
    np.minimum.at(first, codes.index, np.clip(published, 0, len(slots)))
    slack = _SLACK + np.where(first > 0, 1 / np.maximum(len(slots) - first, 1), 0.0)
    return Chances(codes.index, codes.names, due, np.where(due > 0, batch.ravel(), -1), slack)


def first_shown(files: Sequence[Counted], n_clips: int) -> Floats:
    """Returns the day of each clip's first impressions that count, infinity where it has none, ``(n_clips,)``."""
    none = np.zeros(0, np.int64)
    found: list[tuple[Ints, Ints, Floats]] = [(none, none, np.zeros(0))]
    for file in files:
        cell, (shown,) = sum_by_key(file.cell, ())
        clip, day = np.divmod(cell >> 1, len(file.days))
        found.append((file.clip[clip], file.days[day], shown))
    clips, days, counts = (np.concatenate(column) for column in zip(*found, strict=True))
    return first_days(clips, days, counts, n_clips)
