r"""What days and ages are expected to do to a label, before its data: the covariance of time's effects.

The effect of a day is a slow drift (a random walk whose time is traffic), a day of the week, and a whim of its own; the
effect of a clip's age is a novelty that wears off (a ramp over ages that grow by about half) and a random walk about
that. How large each of the five is, is learnt from the same data by their marginal likelihood. Where the data cannot
tell one from another, as a launch from the day it fell on, the posterior stays as wide as the prior: what is not known
of time is in the intervals.

References:
    Robinson (1991), That BLUP is a good thing: the estimation of random effects, Statistical Science 6. Chung,
    Rabe-Hesketh, Dorie, Gelman, Liu (2013), A nondegenerate penalized likelihood estimator for variance parameters in
    multilevel models, Psychometrika 78.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clapometer.ranking.grouping import sum_by

__all__ = ["AGE_EDGES", "Columns", "age_bucket", "columns_of", "kernels", "likely_priors"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

AGE_EDGES = (1, 2, 3, 5, 8, 13, 21)
"""Ages in days at which a new bucket starts; clips older than the last edge are the reference."""
SCALES = np.array([0.3, 0.2, 0.1, 0.3, 0.1])
"""Usual sizes in log-odds of drift, week, whim, novelty and what is left of it, where the data say nothing."""
_MOST_ALONE = 60
"""Newest days that have an effect each; as many are left for all days before."""
_SIZES = np.geomspace(1 / 16, 4, 9)
"""Multiples of the usual sizes that are tried."""
_COARSE = np.geomspace(1 / 9, 3, 5)
"""The same where they are summed over."""
_UNLIKELY = 0.01
_DRIFT, _NOVELTY = 0, 3
_MANY = (1, 2, 4)
"""Parts that are many effects each."""


class Columns(NamedTuple):
    """Days that have an effect of their own.

    Attributes:
        of_day: Column of each day, ``(n_days,)``; of a day without traffic that of the one before.
        time: Share of the traffic before the middle of each column, ``(n_columns,)``.
        weekday: Share of each column's traffic on each of seven days, ``(n_columns, 7)``.
    """

    of_day: Ints
    time: Floats
    weekday: Floats


def columns_of(exposure: Floats) -> Columns:
    """Days by their traffic, ``(n_days,)``; old ones share columns where there are many, a pause takes no time."""
    busy = np.flatnonzero(exposure > 0)
    n = len(busy)
    number = np.arange(n)
    if n > 2 * _MOST_ALONE:
        old = n - _MOST_ALONE
        number = np.concatenate([number[:old] * _MOST_ALONE // old, _MOST_ALONE + np.arange(_MOST_ALONE)])
    size = int(number[-1]) + 1 if n else 1
    of_day = np.zeros(len(exposure), np.int64)
    of_day[busy] = number
    of_day = np.maximum.accumulate(of_day)
    share = sum_by(number, exposure[busy], size)
    weekday = sum_by(number * 7 + busy % 7, exposure[busy], size * 7).reshape(size, 7)
    weekday = weekday / np.maximum(share, 1e-300)[:, None]
    share = share / max(share.sum(), 1e-300)
    return Columns(of_day, np.cumsum(share) - share / 2, weekday)


def age_bucket(age: Ints) -> Ints:
    """Bucket of an age in days; ages below 0 (clock skew) count as 0."""
    bucket: Ints = np.searchsorted(AGE_EDGES, age, side="right")
    return bucket


def kernels(columns: Columns) -> Floats:
    """Covariances of the effects of days and ages for parts of size 1, ``(5, n, n)``; ages come after the days."""
    n, k = len(columns.time), len(AGE_EDGES)
    found = np.zeros((len(SCALES), n + k, n + k))
    days, ages = slice(0, n), slice(n, n + k)
    found[0, days, days] = np.minimum.outer(columns.time, columns.time)
    found[1, days, days] = columns.weekday @ columns.weekday.T
    found[2, days, days] = np.eye(n)
    ramp = np.arange(k, 0, -1) / k
    found[3, ages, ages] = np.outer(ramp, ramp)
    found[4, ages, ages] = np.minimum.outer(np.arange(k, 0, -1), np.arange(k, 0, -1))
    return found


def likely_priors(parts: Floats, information: Floats, pull: Floats) -> tuple[Floats, Floats]:
    r"""Covariances of time's effects, ``(k, n, n)``, and how likely each is, ``(k,)``.

    With :math:`b \sim N(H\theta, H)` and :math:`\theta \sim N(0, K)` the logarithm of the likelihood of K is
    :math:`-\frac12 \log|I + HK| + \frac12 b'K(I + HK)^{-1}b`. Sizes have a gamma prior of shape 2 that keeps them from
    0. Of what is many effects (days of the week, whims) the mode is taken; drift and novelty are hardly more than one
    number each, of which nobody can learn a variance: what they may be is summed over.

    Args:
        parts: As of `kernels`.
        information: H.
        pull: b.
    """
    size = SCALES.copy()

    def value(size: Floats) -> float:
        prior = np.tensordot(size**2, parts, 1)
        inside = np.eye(len(pull)) + information @ prior
        evidence = 0.5 * float(pull @ prior @ np.linalg.solve(inside, pull))
        return evidence - 0.5 * float(np.linalg.slogdet(inside)[1]) + float((2 * np.log(size) - size / SCALES).sum())

    def best(part: int) -> float:
        tried = [value(_changed(size, {part: each})) for each in SCALES[part] * _SIZES]
        return float(SCALES[part] * _SIZES[int(np.argmax(tried))])

    for part in (*range(len(SCALES)), *_MANY):
        size[part] = best(part)
    pairs = [
        _changed(size, {_DRIFT: SCALES[_DRIFT] * one, _NOVELTY: SCALES[_NOVELTY] * other})
        for one, other in itertools.product(_COARSE, _COARSE)
    ]
    logs = np.array([value(each) for each in pairs])
    weight = np.exp(logs - logs.max())
    weight /= weight.sum()
    some = weight > _UNLIKELY * weight.max()
    priors = np.stack([np.tensordot(each**2, parts, 1) for each, kept in zip(pairs, some, strict=True) if kept])
    return priors, weight[some] / weight[some].sum()


def _changed(size: Floats, parts: Mapping[int, float]) -> Floats:
    changed = size.copy()
    changed[list(parts)] = list(parts.values())
    return changed
