"""What anchors are fitted to: signals of the impressions that count, by clip, by viewer and day, or one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clapometer.labels import SignalName
from clapometer.training.evidence.cells import Sums, add_up, sum_by_key
from clapometer.training.evidence.counted import UNIT, Counted
from clapometer.training.evidence.evidence import Evidence

__all__ = ["AnchorRows", "clip_means", "purchases", "returns"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_DAYS = 65_536


@dataclass(frozen=True, eq=False)
class AnchorRows:
    """Rows to fit to.

    Attributes:
        viewer: Number of the viewer, ``(n,)``.
        signals: ``(n, n_signals)``.
        happened: Whether it did, ``(n,)``.
    """

    viewer: Ints
    signals: Floats
    happened: Floats


def clip_means(evidence: Evidence, names: Sequence[SignalName], unit: Ints) -> tuple[Floats, Floats]:
    """Returns impressions of each clip, and means of its signals by how often its places were looked at.

    Args:
        evidence: What counts.
        names: Signals.
        unit: Clip that each one counts for.
    """
    found: list[Sums] = []
    for file in evidence.files:
        columns = [file.examination(evidence.worths), *_signals(file, evidence, names)]
        clip, sums = sum_by_key(file.take("clip"), [np.rint(column * UNIT) for column in columns])
        found.append((unit[file.clip[clip]], sums))
    clip, sums = add_up(found, len(names) + 2)
    shown, means = np.zeros(len(unit)), np.zeros((len(unit), len(names)))
    shown[clip] = sums[0]
    means[clip] = (sums[2:] / np.maximum(sums[1], 1e-9 * UNIT)).T
    return shown, means


def returns(evidence: Evidence, names: Sequence[SignalName], one_in: int, within: int) -> AnchorRows:
    """Returns mean signals of viewers on a day, and whether they were there again soon.

    Args:
        evidence: What counts.
        names: Signals.
        one_in: Share of viewers that is taken, always the same ones.
        within: Days; those whose time has not passed are left out.
    """
    days: list[Sums] = []
    seen = [np.zeros(0, np.int64)]
    for file, everybody, chosen in _chosen(evidence, one_in):
        own = chosen[file.take("viewer")]
        viewer, day = everybody[file.take("viewer")[own]], file.days[file.take("day")[own]]
        columns = [np.rint(column[own] * UNIT) for column in _signals(file, evidence, names)]
        days.append(sum_by_key(viewer * _DAYS + day, columns))
        narrow = file.narrow
        there = np.flatnonzero(chosen[narrow.viewer])
        seen.append(np.unique(everybody[narrow.viewer[there]] * _DAYS + file.days[narrow.day[there]]))
    key, sums = add_up(days, len(names) + 1)
    there = np.unique(np.concatenate(seen))
    happened = np.zeros(len(key), bool)
    for later in range(1, within + 1):
        happened |= np.isin(key + later, there)
    last = max((int(file.days[-1]) for file in evidence.files), default=0)
    passed = key % _DAYS + within <= last
    means = (sums[1:] / UNIT / np.maximum(sums[0], 1)).T
    return AnchorRows(key[passed] // _DAYS, means[passed], happened[passed].astype(np.float64))


def purchases(evidence: Evidence, names: Sequence[SignalName], one_in: int) -> AnchorRows:
    """Returns the signals of single impressions, and whether each led to a purchase.

    Args:
        evidence: What counts.
        names: Signals.
        one_in: Share of viewers that is taken, always the same ones.
    """
    parts = [np.zeros((0, len(names) + 2))]
    for file, everybody, chosen in _chosen(evidence, one_in):
        own = chosen[file.take("viewer")]
        columns = [*_signals(file, evidence, names), file.signal("purchase", evidence.worths)]
        parts.append(np.column_stack([everybody[file.take("viewer")][own], *(column[own] for column in columns)]))
    table = np.concatenate(parts)
    table = table[np.lexsort(table.T[::-1])]  # whatever file they were in
    return AnchorRows(table[:, 0].astype(np.int64), table[:, 1:-1], table[:, -1])


def _signals(file: Counted, evidence: Evidence, names: Sequence[SignalName]) -> list[Floats]:
    return [file.signal(name, evidence.worths) for name in names]


def _chosen(evidence: Evidence, one_in: int) -> Iterator[tuple[Counted, Ints, NDArray[np.bool_]]]:
    """Yields each file with the numbers of its viewers, and which of them are taken."""
    for file, everybody in zip(evidence.files, evidence.viewers.rows, strict=True):
        yield file, everybody, file.narrow.viewers % np.uint64(one_in) == 0
