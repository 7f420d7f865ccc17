"""Least squares with prompts absorbed: the arithmetic of `fixed_effects`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from clapometer.ranking.grouping import sum_by
from clapometer.ranking.intervals import above_zero, jackknife_residuals

__all__ = ["Fit", "Levels", "bent", "expected_levels", "interaction_strength", "least_squares"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_PROMPTS_PER_COLUMN = 10
"""Fewest prompts per column of what predicts their levels."""


class Levels(NamedTuple):
    """What is expected of the prompts' levels.

    Attributes:
        columns: The levels are linear in these up to luck, ``(n_prompts, k)``.
        strength: What that is worth, in clips of weight 1: the variance of such a clip over that of the luck.
    """

    columns: Floats
    strength: float


class Fit:
    """A weighted least squares fit with prompts absorbed, and what its influence needs.

    Attributes:
        effects: Of the items, centred, ``(n_items,)``.
        coefficient: Of the design's columns: items first, then item x stratum.
        base: Level of each prompt, ``(n_prompts,)``.
        level: Mean level plus mean item.
        mass: Sum of the weights of each prompt.
        residual: ``(n,)``.
        noise: Variance of a clip of weight 1.
    """

    def __init__(
        self,
        prompt: Ints,
        score: Floats,
        weight: Floats,
        *,
        design: sparse.csr_matrix,
        penalty: Floats,
        contrast: Floats,
    ) -> None:
        self.mass = sum_by(prompt, weight)
        total = np.maximum(self.mass, 1e-300)
        rows = sparse.csr_matrix((weight, (prompt, np.arange(len(prompt)))), (len(total), len(prompt)))
        means = sparse.diags(1 / total) @ rows @ design
        # Within-prompt deviations: the prompts' effects are gone, exactly.
        self.within = (design - means[prompt]).tocsr()
        self.prompt, self.weight, self.penalty = prompt, weight, penalty
        gram = (self.within.T @ self.within.multiply(weight[:, None])).toarray() + np.diag(penalty)
        self.inverse = np.linalg.pinv(gram, rcond=1e-11, hermitian=True)
        inside = score - (sum_by(prompt, weight * score) / total)[prompt]
        self.coefficient: Floats = self.inverse @ (self.within.T @ (weight * inside))
        coefficient = self.coefficient
        self.residual: Floats = inside - self.within @ coefficient
        self.contrast = contrast - contrast.mean(0)
        self.effects: Floats = self.contrast @ coefficient
        self.base: Floats = sum_by(prompt, weight * (score - design @ coefficient)) / total
        self.level = float(self.base.mean() + (contrast @ coefficient).mean())
        spare = max(len(score) - len(total) - len(contrast) + 1, 1)
        self.noise = float(weight @ self.residual**2) / spare

    def score_influence(self, left: int, right: int | None) -> Floats:
        """Derivative of the difference of two effects by each score, ``(n,)``; of an effect where `right` is None."""
        contrast = self.contrast[left] if right is None else self.contrast[left] - self.contrast[right]
        moved = self.inverse @ contrast
        influence: Floats = self.weight * (self.within @ moved)
        return influence

    def prompt_scores(self) -> Floats:
        """CR3 contributions of the prompts to the error of the effects, ``(n_prompts, n_items)``."""
        residual = jackknife_residuals(self.within, self.inverse, self.weight, self.residual, self.prompt)
        influence = (self.within @ (self.inverse @ self.contrast.T)) * (self.weight * residual)[:, None]
        return np.column_stack([sum_by(self.prompt, column) for column in influence.T])

    def shrinkage_covariance(self) -> Floats:
        """Of the effects' errors because coefficients were shrunk that are draws with the penalty's variance."""
        pulled = (self.contrast @ self.inverse) * np.sqrt(self.penalty)
        covariance: Floats = self.noise * (pulled @ pulled.T)
        return covariance


def least_squares(key: Ints, score: Floats, weight: Floats, ridge: float, levels: Levels | None = None) -> Fit:
    """Fits scores on the columns item, prompt, stratum of `key`, ``(n_clips, 3)``.

    What is expected of a prompt's level is one more observation of it: a row without item.
    """
    item, prompt, stratum = key.T
    n_items, n_strata, n = int(item.max()) + 1, int(stratum.max()) + 1, len(item)
    share = np.bincount(_of_prompt(prompt, stratum), minlength=n_strata) / (int(prompt.max()) + 1)
    columns = [item]
    penalty: list[Floats]
    contrast: list[Floats]
    penalty, contrast = [np.zeros(n_items)], [np.eye(n_items)]
    if n_strata > 1:
        columns.append(n_items + item * n_strata + stratum)
        penalty.append(np.full(n_items * n_strata, ridge))
        contrast.append(np.kron(np.eye(n_items), share).astype(np.float64))
    entries = (np.ones(n * len(columns)), (np.tile(np.arange(n), len(columns)), np.concatenate(columns)))
    design = sparse.csr_matrix(entries, (n, sum(map(len, penalty))))
    if levels is not None:
        n_prompts, k = levels.columns.shape
        design = sparse.block_diag([design, sparse.csr_matrix(-levels.columns)], format="csr")
        prompt = np.concatenate([prompt, np.arange(n_prompts)])
        score = np.concatenate([score, np.zeros(n_prompts)])
        weight = np.concatenate([weight, np.full(n_prompts, levels.strength)])
        penalty.append(np.zeros(k))
        contrast.append(np.zeros((n_items, k)))
    return Fit(
        prompt,
        score,
        weight,
        design=design,
        penalty=np.concatenate(penalty),
        contrast=np.hstack(contrast),
    )


def bent(
    fitted: Fit, key: Ints, score: Floats, weight: Floats, *, ridge: float, curvature: float
) -> tuple[Fit, Floats]:
    """The fit when effects grow with the level of the prompt, and scores from which that is gone.

    Both are unchanged where there is no positive level.
    """
    item, prompt, stratum = key.T
    straight = score
    for _ in range(2):
        if not fitted.level > 0:
            break
        value = fitted.coefficient[: item.max() + 1, None]
        if stratum.any():
            value = value + fitted.coefficient[len(value) :].reshape(len(value), -1)
        advantage = (value - value.mean(0))[item, stratum]
        relative = (fitted.base - fitted.base.mean()) / fitted.level
        straight = score - curvature * advantage * relative[prompt]
        fitted = least_squares(key, straight, weight, ridge)
    return fitted, straight


def interaction_strength(fitted: Fit) -> float:
    """Clips that "no interaction" is worth: the variance of a clip of weight 1 over that of the interactions.

    The latter is a moment: the mean square of the fitted interactions without their noise; see `above_zero`.
    """
    pulled = fitted.penalty > 0
    if not pulled.any():
        return 0.0
    inverse, penalty = fitted.inverse[np.ix_(pulled, pulled)], fitted.penalty[pulled]
    # what is left of an interaction when the ridge has pulled at it, and the noise that is left with it
    kept = np.eye(len(penalty)) - inverse * penalty
    kept, noise = kept @ kept.T, fitted.noise * (inverse - (inverse * penalty) @ inverse)
    mass = float(np.trace(kept))
    variance = float((fitted.coefficient[pulled] ** 2).sum() - np.trace(noise)) / mass
    error = float(np.sqrt(2 * ((noise + max(variance, 0.0) * kept) ** 2).sum())) / mass
    return fitted.noise / max(above_zero(variance, error), 1e-9 * fitted.noise)


def expected_levels(fitted: Fit, key: Ints) -> Levels | None:
    """What the items of a prompt, their number and its stratum say of its level; None with too few prompts to tell.

    Whoever gives hard prompts to one item and easy ones to another does so by the items that a prompt has
    (Mundlak 1978); the rest is luck, whose variance is a moment: that of the levels without their noise.
    """
    item, prompt, stratum = key.T
    n_prompts = len(fitted.base)
    count = sparse.csr_matrix((np.ones(len(item)), (prompt, item)), (n_prompts, int(item.max()) + 1)).toarray()
    of_prompt = _of_prompt(prompt, stratum)
    columns = np.hstack([
        count / count.sum(1, keepdims=True),
        count,
        (of_prompt[:, None] == np.arange(1, of_prompt.max() + 1)).astype(float),
    ])  # fmt: skip
    if n_prompts < _PROMPTS_PER_COLUMN * columns.shape[1]:
        return None
    noise = fitted.noise / np.maximum(fitted.mass, 1e-300)
    root = np.sqrt(fitted.mass / (fitted.mass + 1))
    found = np.linalg.lstsq(columns * root[:, None], fitted.base * root, rcond=None)[0]
    luck = (fitted.base - columns @ found) ** 2 - noise
    total = root**2 @ luck
    mass = float(root @ root) * (1 - columns.shape[1] / n_prompts)
    error = float(np.sqrt((root**4) @ (luck - total / mass) ** 2)) / mass
    return Levels(columns, fitted.noise / max(above_zero(float(total) / mass, error), 1e-9 * fitted.noise))


def _of_prompt(prompt: Ints, stratum: Ints) -> Ints:
    of_prompt = np.zeros(int(prompt.max()) + 1, np.int64)
    of_prompt[prompt] = stratum
    return of_prompt
