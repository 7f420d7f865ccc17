r"""What day and age do to a label, with what is not known of them.

The examination hypothesis and position are in `examination`; here is time. Effects of days and ages are common to all
clips, :math:`E y = e\,C\,\mathrm{expit}(\ell_g + \theta_{\mathrm{day}} + \theta_{\mathrm{age}})` with the level
:math:`\ell_g` of each group absorbed, and random with the covariance of `prior`. So every version is compared with
the others *on the days on which both were there*, and a launch is told from novelty only as far as clips of several
ages were there on one day.

References:
    Breslow, Clayton (1993), Approximate inference in generalized linear mixed models, JASA 88.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit, logit

from clapometer.ranking.days.prior import AGE_EDGES, Columns, age_bucket, columns_of, kernels, likely_priors
from clapometer.ranking.grouping import sum_by

__all__ = ["MOST_SHIFT", "TimeCells", "TimeFit", "TimeOffsets", "fit_time_offsets"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_SHIFT = 1.5
"""Log-odds by which a day, and an age, may move a label at most: beyond that it is their having next to no data."""
_BUCKETS = len(AGE_EDGES) + 1
_STEPS = 25
_FEWEST_FREE = 5
"""Days of versions, beside those that day and version explain, to learn from what a day does to one version."""
_LEARNT = 2
"""Steps in which the prior is learnt anew."""


@dataclass(frozen=True, slots=True, eq=False)
class TimeOffsets:
    """Shifts of a clip's log-odds by calendar day (0 on an average impression's) and by age (0 for old clips).

    Attributes:
        day: ``(n_days,)``.
        age: ``(n_buckets,)``, the last is 0.
    """

    day: Floats
    age: Floats

    def at(self, day: Ints, age: Ints) -> Floats:
        """Offset of an impression on `day` of a clip that is `age` days old."""
        shift: Floats = self.day[day] + self.age[age_bucket(age)]
        return shift


class TimeCells(NamedTuple):
    """What time is learnt from, ``(n_cells,)`` each.

    Attributes:
        prompt: The independent pieces.
        version: Model version.
        group: Model version x stratum, whose level is absorbed.
        day: Days since the first day.
        age: Days since the clip's publication.
        label: Sum of the capped-weight label.
        exposure: Sum of the capped-weight exposure.
    """

    prompt: Ints
    version: Ints
    group: Ints
    day: Ints
    age: Ints
    label: Floats
    exposure: Floats


@dataclass(frozen=True, slots=True, eq=False)
class TimeFit:
    """Offsets, and what their errors are made of; effects are those of the columns' days, then of the ages.

    Attributes:
        offsets: The offsets.
        columns: Days that have an effect of their own.
        centre: Takes effects to offsets of mean 0, ``(n, n)``.
        gain: Effects by a unit of each score, ``(n, n)``.
        unknown: Covariance of what the prior pulled wrongly, ``(n, n)``.
        whim: Variance of what a day does to one version alone.
        prompts: The prompts, in order.
        pushed: Score of each prompt, group levels not absorbed, ``(n_prompts, n)``.
        lifted: Residual of each prompt by group, ``(n_prompts, n_groups)``.
        usual: Mean of the effects' columns by group, ``(n_groups, n)``.
    """

    offsets: TimeOffsets
    columns: Columns
    centre: Floats
    gain: Floats
    unknown: Floats
    whim: float
    prompts: Ints
    pushed: sparse.csr_matrix
    lifted: sparse.csr_matrix
    usual: Floats

    def errors_by_prompt(self, slope: Floats) -> Floats:
        """What each prompt adds to the error of quantities with these slopes by effect, ``(n_prompts, n_items)``.

        Args:
            slope: ``(n, n_items)``.
        """
        of_score = self.gain.T @ self.centre.T @ slope
        errors: Floats = self.pushed @ of_score - self.lifted @ (self.usual @ of_score)
        return errors

    def unknown_of(self, slope: Floats) -> Floats:
        """Covariance of the same because the prior pulled at what the data do not tell, ``(n_items, n_items)``."""
        centred = self.centre.T @ slope
        covariance: Floats = centred.T @ self.unknown @ centred
        return covariance


class _Design:
    """Cells as rows of effects: one day's and, but for old clips, one age's."""

    def __init__(self, cells: TimeCells, columns: Columns) -> None:
        n, k = len(columns.time), len(AGE_EDGES)
        rows = np.arange(len(cells.day))
        bucket = age_bucket(cells.age)
        young = bucket < k
        column = np.concatenate([columns.of_day[cells.day], n + bucket[young]])
        shape = (len(rows), n + k)
        entries = (np.ones(len(column)), (np.concatenate([rows, rows[young]]), column))
        self.matrix = sparse.csr_matrix(entries, shape)
        self.n_groups = int(cells.group.max(initial=0)) + 1
        self.groups = sparse.csr_matrix((np.ones(len(rows)), (cells.group, rows)), (self.n_groups, len(rows)))


class _State:
    """Group levels and effects while they are sought, and the quadratic form about them."""

    def __init__(self, cells: TimeCells, design: _Design, full: Floats, ridge: float) -> None:
        self.cells, self.design, self.full, self.ridge = cells, design, full, ridge
        overall = max(cells.label.sum() / max(full.sum(), 1e-12), 1e-6)
        self.usual = float(logit(min(overall, 0.9)))
        rate = (design.groups @ cells.label) / np.maximum(design.groups @ full, 1e-12)
        self.level = logit(np.clip(rate, min(0.02 * overall, 0.9), 0.9))
        self.effect = np.zeros(design.matrix.shape[1])
        self.look()

    def look(self) -> None:
        """Takes residuals and information anew."""
        matrix, groups = self.design.matrix, self.design.groups
        chance = expit(self.level[self.cells.group] + matrix @ self.effect)
        self.residual = self.cells.label - self.full * chance
        weight = self.full * chance * (1 - chance)
        self.own = groups @ weight + self.ridge
        self.pull = groups @ self.residual - self.ridge * (self.level - self.usual)
        weighted = matrix.multiply(weight[:, None]).tocsr()
        self.cross = (groups @ weighted).toarray()
        self.information = (matrix.T @ weighted).toarray() - self.cross.T @ (self.cross / self.own[:, None])
        self.score = matrix.T @ self.residual - self.cross.T @ (self.pull / self.own)

    def step(self, target: Floats) -> float:
        """Goes towards effects, at most by 1; returns how far it was."""
        move = target - self.effect
        lift = (self.pull - self.cross @ move) / self.own
        size = float(max(np.abs(move).max(initial=0.0), np.abs(lift).max(initial=0.0)))
        damping = min(1.0, 1.0 / max(size, 1e-12))
        self.effect, self.level = self.effect + damping * move, self.level + damping * lift
        self.look()
        return size


def fit_time_offsets(cells: TimeCells, *, ceiling: float, n_days: int, ridge: float = 1.0) -> TimeFit:
    """Effects of days and ages common to all groups, by penalised quasi-likelihood whose penalty is learnt.

    Labels are bounded, so an evening effect moves a weak clip by more in ratio and by less in points than a middling
    one. A day with next to no data moves neither the drift nor the zero, however far from the others it is, and a pause
    takes no time.

    Args:
        cells: What was earned when.
        ceiling: Label at which the logistic link saturates.
        n_days: Days from the first to the last.
        ridge: Penalty on group levels, in fully examined impressions of a label of `ceiling`: without it a group of
            which every label is 0 would be infinitely bad.
    """
    exposure = np.maximum(cells.exposure, 0.0)
    by_day = sum_by(cells.day, exposure, n_days)
    columns = columns_of(by_day)
    prompts, prompt = np.unique(cells.prompt, return_inverse=True)
    cells = cells._replace(prompt=prompt)
    fine = _Design(cells, columns)
    few = _collapse(cells, columns)
    state = _State(few, _Design(few, columns), few.exposure * ceiling, ridge * ceiling)
    parts = kernels(columns)
    spread, priors, chances = ceiling, parts, np.ones(1)
    for k in range(_STEPS):
        if k < _LEARNT:
            spread = max(_spread(cells, fine, state, ceiling), 1e-9 * ceiling)
            pull = (state.score + state.information @ state.effect) / spread
            priors, chances = likely_priors(parts, state.information / spread, pull)
        gain, _ = _gain(state, priors, chances, spread)
        if state.step(gain @ (state.score + state.information @ state.effect)) < 1e-7 and k >= _LEARNT:
            break
    gain, unknown = _gain(state, priors, chances, spread)
    whim = _whim(cells, columns, _residuals(cells, fine, state, ceiling), state, ceiling)
    centre = _centre(columns, by_day, len(gain))
    effect, n = np.clip(centre @ state.effect, -MOST_SHIFT, MOST_SHIFT), len(columns.time)
    offsets = TimeOffsets(day=effect[:n][columns.of_day], age=np.append(effect[n:], 0.0))
    errors = _by_prompt(cells, fine, state, ceiling)
    return TimeFit(offsets, columns, centre, gain, unknown, whim, prompts, *errors)


def _gain(state: _State, priors: Floats, chances: Floats, spread: float) -> tuple[Floats, Floats]:
    """Effects by a unit of each score, and the covariance of what the prior pulls wrongly, over all likely priors."""
    alone = np.eye(len(state.effect))
    gains = np.stack([prior @ np.linalg.inv(state.information @ prior + spread * alone) for prior in priors])
    gain: Floats = np.tensordot(chances, gains, 1)
    unknown, pull = np.zeros_like(gain), state.score + state.information @ state.effect
    for chance, prior, each in zip(chances, priors, gains, strict=True):
        missed, apart = alone - each @ state.information, (each - gain) @ pull
        unknown += chance * (missed @ prior @ missed.T + np.outer(apart, apart))
    return gain, unknown


def _collapse(cells: TimeCells, columns: Columns) -> TimeCells:
    """Adds up cells of one group, column and age bucket, and drops those without exposure."""
    n = len(columns.time)
    key = (cells.group * n + columns.of_day[cells.day]) * _BUCKETS + age_bucket(cells.age)
    keys, row = np.unique(key, return_inverse=True)
    label, exposure = (sum_by(row, column, len(keys)) for column in (cells.label, cells.exposure))
    used = exposure > 0
    keys = keys[used]
    day = np.zeros(n, np.int64)
    day[columns.of_day[::-1]] = np.arange(len(columns.of_day))[::-1]
    age = np.append(0, AGE_EDGES)[keys % _BUCKETS]
    none = np.zeros(len(keys), np.int64)
    return TimeCells(none, none, keys // (n * _BUCKETS), day[keys // _BUCKETS % n], age, label[used], exposure[used])


def _residuals(cells: TimeCells, design: _Design, state: _State, ceiling: float) -> Floats:
    level = np.append(state.level, np.full(max(design.n_groups - len(state.level), 0), state.usual))
    chance = expit(level[cells.group] + design.matrix @ state.effect)
    residual: Floats = cells.label - np.maximum(cells.exposure, 0.0) * ceiling * chance
    return residual


def _by_prompt(
    cells: TimeCells, design: _Design, state: _State, ceiling: float
) -> tuple[sparse.csr_matrix, sparse.csr_matrix, Floats]:
    """Scores of the prompts, their residuals by group, and the groups' usual columns."""
    residual = _residuals(cells, design, state, ceiling)
    n = int(cells.prompt.max(initial=0)) + 1
    rows = sparse.csr_matrix((residual, (cells.prompt, np.arange(len(residual)))), (n, len(residual)))
    usual = np.zeros((design.n_groups, design.matrix.shape[1]))
    usual[: len(state.own)] = state.cross / state.own[:, None]
    return (rows @ design.matrix).tocsr(), (rows @ design.groups.T).tocsr(), usual


def _whim(cells: TimeCells, columns: Columns, residual: Floats, state: _State, ceiling: float) -> float:
    """Variance of what a day does to one version: squared residuals of versions' days without those of prompts."""
    n = len(columns.time)
    place = cells.version * n + columns.of_day[cells.day]
    level = np.append(state.level, state.usual)[np.minimum(cells.group, len(state.level))]
    mass = sum_by(place, np.maximum(cells.exposure, 0.0) * ceiling * expit(level) * expit(-level))
    _, row = np.unique(cells.prompt * len(mass) + place, return_inverse=True)
    by_prompt = sum_by(row, residual)
    of_place = np.zeros(len(by_prompt), np.int64)
    of_place[row] = place
    luck = sum_by(of_place, by_prompt**2, len(mass))
    seen = mass > 0
    free = seen.sum() - len(np.unique(np.flatnonzero(seen) % n)) - len(np.unique(np.flatnonzero(seen) // n)) + 1
    if free < _FEWEST_FREE:
        return 0.0
    # fitted levels and days took their share of the squares with them
    lost = seen.sum() / free
    excess = float((sum_by(place, residual) ** 2).sum()) * lost - float(luck.sum())
    chance = 2 * float((luck**2).sum()) * lost**2
    # as much of it as is not chance: luck of few days must not widen every interval
    sure = excess**2 / max(excess**2 + chance, 1e-300)
    return float(max(excess, 0.0) * sure / max(float((mass**2).sum()), 1e-300))


def _spread(cells: TimeCells, design: _Design, state: _State, ceiling: float) -> float:
    """Variance of the scores over their information: of the prompts' scores, which are independent."""
    pushed, lifted, usual = _by_prompt(cells, design, state, ceiling)
    # the sum of squares of `pushed - lifted @ usual`, which would be dense
    both = float(((pushed.T @ lifted).toarray() * usual.T).sum())
    own = float(pushed.data @ pushed.data) - 2 * both + float((usual * ((lifted.T @ lifted) @ usual)).sum())
    return float(own / max(float(np.trace(state.information)), 1e-300))


def _centre(columns: Columns, by_day: Floats, n_effects: int) -> Floats:
    n, centre = len(columns.time), np.eye(n_effects)
    centre[:n, :n] -= sum_by(columns.of_day, by_day, n) / max(by_day.sum(), 1e-300)
    return centre
