"""The evidence of a training: outcomes that count, with what each is worth, and what is summed of them.

Each look goes over the files one by one, so memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clapometer.training.evidence.cells import Cells, Sums, sum_by_key
from clapometer.training.evidence.counted import Counted, Worths
from clapometer.training.evidence.outliers import Outliers
from clapometer.training.evidence.screening import Scored
from clapometer.training.evidence.tiers import Chances
from clapometer.training.evidence.viewers import Viewers

__all__ = ["Evidence", "Sample"]

Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sample:
    """Impressions that count, ``(n,)`` each.

    Attributes:
        clip: Row in all clips.
        viewer: Number of the viewer.
        day: Of the impression, from the first.
        label: What they are worth.
        examination: Of their place.
        weight: Uniform-exposure weight; 1 where all count alike.
        every: Of the viewers, every how many are in it.
    """

    clip: NDArray[np.int64]
    viewer: NDArray[np.int64]
    day: NDArray[np.int64]
    label: Floats
    examination: Floats
    weight: Floats
    every: int = 1


@dataclass(frozen=True, eq=False)
class Evidence:
    """The outcomes of a tenant that count, as a label rule reads them: what `Outcomes.scored` returns.

    Attributes:
        files: The outcomes.
        viewers: Everybody.
        worths: What they are worth.
        outliers: What does not count because no other outcome is like it.
        summary: What is known of them before anything is estimated.
        chances: What clips were due; None where slots were not filled from all of them.
    """

    files: Sequence[Counted]
    viewers: Viewers
    worths: Worths
    outliers: Outliers
    summary: Scored
    chances: Chances | None = None

    def values(self, column: str, min_impressions: int, max_values: int) -> list[str]:
        """Returns the values of a column with enough impressions, the most frequent first."""
        counts: dict[str, int] = {}
        for file in self.files:
            names = getattr(file.narrow, f"{column}s").to_pylist()
            for name, count in zip(names, np.bincount(file.take(column), minlength=len(names)).tolist(), strict=True):
                counts[name] = counts.get(name, 0) + count
        enough = sorted((-count, name) for name, count in counts.items() if name and count >= min_impressions)
        return [name for _, name in enough][:max_values]

    def cells(self, tier: str, values: Mapping[str, Sequence[str]]) -> tuple[Cells, dict[str, dict[str, Cells]]]:
        """Returns the cells of everything, and of those values of some columns that are wanted, in one look.

        Args:
            tier: C counts every impression alike, because nothing is known of how it came about.
            values: By column (audience, locale).
        """
        whole: list[Sums] = []
        parts: dict[tuple[str, str], list[Sums]] = {(name, value): [] for name in values for value in values[name]}
        for file in self.files:
            cell, columns = file.cell, file.columns(self.worths, uniform=tier == "C")
            keys, sums = sum_by_key(cell, columns)
            whole.append((file.keys(keys), sums))
            for name, wanted in values.items():
                code, names = file.take(name), getattr(file.narrow, f"{name}s").to_pylist()
                there = np.flatnonzero(np.bincount(code, minlength=len(names)))
                if len(there) == 1 and names[there[0]] in wanted:
                    parts[name, names[there[0]]].append(whole[-1])
                elif len(there) > 1:
                    for value, (keys, sums) in _by_value(code, names, wanted, cell, columns).items():
                        parts[name, value].append((file.keys(keys), sums))
        everything = Cells.of(whole)
        found = {name: dict[str, Cells]() for name in values}
        for (name, value), listed in parts.items():
            same = len(listed) == len(whole) and all(one is other for one, other in zip(listed, whole, strict=True))
            found[name][value] = everything if same else Cells.of(listed)
        return everything, found

    def sample(self, most: float, *, uniform: bool, where: tuple[str, str] | None = None) -> Sample:
        """Returns about so many impressions: all, or those of every n-th viewer.

        Args:
            most: How many.
            uniform: Whether all count alike.
            where: A column and its value (audience, locale): only those.
        """
        total = sum(len(file) if where is None else len(_rows_of(file, *where)) for file in self.files)
        every = max(1, int(total // most))
        parts = list(self._sampled(every, where, uniform=uniform))
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else [np.zeros(0)] * 6
        clip, viewer, day = (column.astype(np.int64) for column in columns[:3])
        label, examination, weight = columns[3:]
        return Sample(clip, viewer, day, label, examination, weight, every)

    def _sampled(self, every: int, where: tuple[str, str] | None, *, uniform: bool) -> Iterator[tuple[Any, ...]]:
        """Yields the columns of `Sample` from every file."""
        for file, numbered in zip(self.files, self.viewers.rows, strict=True):
            rows = file.of_viewers(file.narrow.viewers % np.uint64(every) == 0)
            if where is not None:
                rows = np.intersect1d(rows, _rows_of(file, *where), assume_unique=True)
            clip = file.clip[file.take("clip", rows)]
            yield (
                clip, numbered[file.take("viewer", rows)], file.days[file.take("day", rows)],
                file.labels(self.worths, rows), file.examination(self.worths, rows),
                file.weights(rows, uniform=uniform),
            )  # fmt: skip

    def viewers_by_model(self, models: Ints, most: int = 1 << 28) -> Ints:
        """Returns how many viewers saw each model version, ``(n_models,)``.

        Where viewers times models are more than ``most``, of every n-th viewer, counted n times.

        Args:
            models: Model index of each clip.
            most: Bytes of memory.
        """
        n, everybody = int(models.max(initial=-1)) + 1, len(self.viewers.hashes)
        every = 1 + n * everybody // most
        width = everybody // every + 1
        seen = np.zeros(n * width, np.bool_)
        for file, numbered in zip(self.files, self.viewers.rows, strict=True):
            rows = file.of_viewers(numbered % every == 0) if every > 1 else None
            viewer = (numbered // every)[file.take("viewer", rows)]
            seen[(models * width)[file.clip][file.take("clip", rows)] + viewer] = True
        viewers: Ints = seen.reshape(n, width).sum(1) * every
        return viewers


def _rows_of(file: Counted, column: str, value: str) -> Ints:
    """Returns which of the outcomes that count have a value of a column."""
    names = np.array([name == value for name in getattr(file.narrow, f"{column}s").to_pylist()], np.bool_)
    return np.flatnonzero(names[file.take(column)])


def _by_value(
    code: NDArray[np.integer[Any]],
    names: Sequence[str],
    wanted: Sequence[str],
    cell: NDArray[np.int64],
    columns: Sequence[NDArray[Any] | None],
) -> dict[str, Sums]:
    """Returns sums by cell of the rows with each wanted value.

    Args:
        code: Value of each row, an index in ``names``.
        names: Values.
        wanted: Some of them, or others.
        cell: Of each row.
        columns: To be summed.
    """
    number = np.array([wanted.index(name) + 1 if name in wanted else 0 for name in names])[code]
    rows, size = np.flatnonzero(number), len(wanted) + 1
    chosen = [None if column is None else column[rows] for column in columns]
    keys, sums = sum_by_key(cell[rows] * size + number[rows], chosen)
    values = keys % size
    return {name: (keys[values == k] // size, sums[:, values == k]) for k, name in enumerate(wanted, start=1)}
