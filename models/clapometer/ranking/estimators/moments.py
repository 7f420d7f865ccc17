"""Variances as moments, and what is left of them once data are in: the arithmetic of `empirical_bayes`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clapometer.ranking.grouping import sum_by
from clapometer.ranking.intervals import above_zero

__all__ = ["across", "co_moment", "information", "makers_of", "shared_and_own"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_TINY = 1e-12


class Shared(NamedTuple):
    """What the clips of a group share.

    Attributes:
        between: Variance of it.
        error: Standard error of that variance.
        within: Variance of single clips.
        within_error: Standard error of that variance.
        mean: Posterior mean for each group.
        spread: Posterior variance.
    """

    between: float
    error: float
    within: float
    within_error: float
    mean: Floats
    spread: Floats


def between_variance(group: Ints, maker: Ints, weight: Floats, residual: Floats, lost: Floats) -> tuple[float, float]:
    """Variance common to the clips of a group, and its standard error.

    It is the mean product of residuals of two clips of different makers.

    Clips of one maker also share how that maker suits the group, which is no part of it. Where there is only one
    maker, any two different clips have to do.

    Factors that were fitted to the same clips took something of it with them: the variance of their errors,
    `lost`, is given back (as in restricted maximum likelihood).

    The mean is that of the posterior under a flat prior on variances above 0, groups being independent: where
    the data cannot tell the variance from nothing, it must not be taken for nothing (Morris 1983).
    """
    cell = makers_of(group, maker)
    pairs, products = _products(group, cell, weight), _products(group, cell, weight * residual)
    total = float(pairs.sum())
    if total <= 0:
        return 1e-5, 0.0
    variance = float(products.sum()) / total + float((weight * lost).sum() / max(weight.sum(), _TINY))
    error = float(np.sqrt(((products - products.sum() / total * pairs) ** 2).sum())) / total
    return _not_nothing(variance, error)


def _not_nothing(variance: float, error: float) -> tuple[float, float]:
    """Mean and standard deviation of the posterior of a variance, a normal one that is cut off at 0."""
    found = above_zero(variance, error)
    return max(found, 1e-5), float(np.sqrt(max(error**2 - (found - variance) * found, 0.0)))


def makers_of(group: Ints, maker: Ints) -> Ints:
    """Number of the group and maker of each clip; of the clip alone where no group has two makers."""
    cell: Ints = np.unique(group * (int(maker.max(initial=0)) + 1) + maker, return_inverse=True)[1].ravel()
    inside = np.zeros(int(cell.max(initial=-1)) + 1, np.int64)
    inside[cell] = group
    return cell if len(np.unique(inside)) < len(inside) else np.arange(len(group))


def co_moment(group: Ints, cell: Ints, weight: Floats, one: Floats, other: Floats) -> float:
    """Weighted sum of products of differences between clips of a group and different cells, ``(n, k)`` columns."""
    whole = np.maximum(sum_by(group, weight), _TINY)[group]
    total = 0.0
    for a, b in zip(one.T, other.T, strict=True):
        for key, sign in ((group, 1.0), (cell, -1.0)):
            mass, left = sum_by(key, weight), sum_by(key, weight * a)
            total += sign * float((weight * (mass[key] * a - left[key]) * b / whole).sum())
    return total


def _products(group: Ints, cell: Ints, value: Floats) -> Floats:
    """Sum over the pairs of different cells of each group of the product of their sums, twice; cells lie in groups."""
    inside = np.zeros(int(cell.max(initial=-1)) + 1, np.int64)
    inside[cell] = group
    whole = sum_by(group, value)
    return whole**2 - sum_by(inside, sum_by(cell, value) ** 2, len(whole))


def within_variance(
    group: Ints, weight: Floats, residual: Floats, noise: Floats, between: float
) -> tuple[float, float]:
    """Variance of single clips, and its standard error: squares of residuals less noise and what groups share.

    As for what groups share, it is the mean of its posterior, groups being independent: few clips of a few
    impressions each cannot tell it from nothing, and taken for nothing it would make every pair of them certain.
    """
    square = weight**2
    total = max(float(square.sum()), _TINY)
    left = square * (residual**2 - noise)
    variance = float(left.sum()) / total
    error = float(np.sqrt((sum_by(group, left - variance * square) ** 2).sum())) / total
    return _not_nothing(variance - between, error)


def across(level: Ints, prompt: Ints, weight: Floats, residual: Floats) -> float:
    """Variance of a factor: the mean product of residuals of two different prompts of a level."""
    of, (mass, total) = by_prompt(level, prompt, weight, weight * residual)
    pairs = (sum_by(of, mass) ** 2 - sum_by(of, mass**2)).sum()
    return max(float((sum_by(of, total) ** 2 - sum_by(of, total**2)).sum() / pairs), _TINY) if pairs > 0 else _TINY


def information(level: Ints, prompt: Ints, precision: Floats, common: Floats, size: int) -> Floats:
    """Precision of each level's effect, its prompts being the independent pieces.

    Args:
        level: Of each clip.
        prompt: Of each clip.
        precision: Of each clip's rate, given its prompt's luck.
        common: Variance of that luck, in the units of the rate.
        size: Number of levels.
    """
    of, (mass, luck) = by_prompt(level, prompt, precision, precision * common)
    pieces = np.where(mass > 0, mass / np.maximum(1 + luck, 1.0), 0.0)
    return sum_by(of, pieces, size)


def by_prompt(level: Ints, prompt: Ints, *columns: Floats) -> tuple[Ints, list[Floats]]:
    """Level of each (level, prompt), and the sums of the columns in it."""
    width = int(prompt.max(initial=0)) + 1
    keys, cell = np.unique(level * width + prompt, return_inverse=True)
    return keys // width, [sum_by(cell, column, len(keys)) for column in columns]


def posterior_mean(
    group: Ints, precision: Floats, residual: Floats, variance: float, size: int
) -> tuple[Floats, Floats]:
    """Posterior mean and variance of each group's effect, whose prior variance is `variance`."""
    spread = 1 / (sum_by(group, precision, size) + 1 / max(variance, _TINY))
    return spread * sum_by(group, precision * residual, size), spread


def shared_and_own(
    group: Ints, maker: Ints, weight: Floats, residual: Floats, *, noise: Floats, lost: Floats, size: int
) -> Shared:
    """What the clips of each group share, by moments.

    Clips of weight 0 tell nothing; the other arguments are those of `between_variance` and `within_variance`.
    """
    between, error = between_variance(group, maker, weight, residual, lost)
    within, within_error = within_variance(group, weight, residual, noise, between)
    precision = np.where(weight > 0, 1 / (within + noise), 0.0)
    return Shared(between, error, within, within_error, *posterior_mean(group, precision, residual, between, size))
