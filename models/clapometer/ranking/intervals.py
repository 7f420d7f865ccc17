"""Intervals, rank ranges and the probability of being best, from estimates and their joint covariance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import norm
from scipy.stats import t as student

__all__ = [
    "above_zero",
    "confidence_intervals",
    "jackknife_residuals",
    "probability_best",
    "rank_ranges",
    "simultaneous_intervals",
]

_FAR_BELOW = -1e3
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def jackknife_residuals(
    within: sparse.csr_matrix, inverse: Floats, weight: Floats, residual: Floats, cluster: Ints
) -> Floats:
    r"""Residuals as if each cluster had been left out of the fit, ``(n,)``.

    :math:`\tilde e_g = (I - H_{gg})^{-1} e_g` with :math:`H_{gg} = X_g (X'WX + R)^{-1} X_g' W_g`: with them
    the sandwich is the delete-one-cluster jackknife (CR3), which does not flatter small samples.

    Args:
        within: Design after the clusters' own effects were taken out, ``(n, k)``.
        inverse: ``(X'WX + R)^-1``, ``(k, k)``.
        weight: ``(n,)``.
        residual: ``(n,)``.
        cluster: Cluster index of each row.

    References:
        Bell, McCaffrey (2002), Survey Methodology 28. MacKinnon, Nielsen, Webb (2023), Cluster-robust
        inference: a guide to empirical practice, J. Econometrics 232.
    """
    order = np.argsort(cluster, kind="stable")
    first = np.concatenate([[0], np.flatnonzero(np.diff(cluster[order])) + 1])
    size = np.diff(np.append(first, len(cluster)))
    corrected = residual.copy()
    for n in np.unique(size[size > 1]):
        starts = first[size == n]
        chunk = max(1, 2_000_000 // int(n * within.shape[1]))
        for begin in range(0, len(starts), chunk):
            rows = order[starts[begin : begin + chunk, None] + np.arange(n)]
            x = within[rows.ravel()].toarray().reshape(*rows.shape, -1)
            hat = (x @ inverse) @ x.transpose(0, 2, 1) * weight[rows][:, None, :]
            corrected[rows] = np.linalg.solve(np.eye(n) - hat, residual[rows][:, :, None])[:, :, 0]
    return corrected


def confidence_intervals(
    effects: Floats, covariance: Floats, level: float = 0.95, degrees_of_freedom: float = np.inf
) -> tuple[Floats, Floats]:
    """Lower and upper ends of the two-sided interval of each effect, one at a time, ``(n,)`` each.

    Example:
        >>> low, high = confidence_intervals(np.array([0.3]), np.array([[0.01]]))
        >>> [round(float(end), 3) for end in (low[0], high[0])]
        [0.104, 0.496]
    """
    reach = student.ppf(0.5 + level / 2, degrees_of_freedom) * np.sqrt(np.diag(covariance))
    return effects - reach, effects + reach


def simultaneous_intervals(
    effects: Floats,
    covariance: Floats,
    level: float = 0.95,
    degrees_of_freedom: float = np.inf,
    *,
    seed: int = 0,
    draws: int = 4000,
) -> tuple[Floats, Floats]:
    r"""Lower and upper ends of intervals that cover all effects at once with probability `level`, ``(n,)`` each.

    The reach is the `level` quantile of :math:`\max_i |T_i|`, T multivariate Student, and never shorter than that
    of one effect alone.

    References:
        Hothorn, Bretz, Westfall (2008), Simultaneous inference in general parametric models, Biometrical J. 50.
    """
    error = np.sqrt(np.diag(covariance))
    alone = float(student.ppf(0.5 + level / 2, degrees_of_freedom))
    if not (error > 0).any():
        return effects.copy(), effects.copy()
    noise = np.abs(_draws(np.zeros(len(effects)), covariance, seed, draws)[:, error > 0] / error[error > 0]).max(1)
    if np.isfinite(degrees_of_freedom):
        chi = np.random.default_rng([seed, 1]).chisquare(degrees_of_freedom, draws)
        noise = noise * np.sqrt(degrees_of_freedom / chi)
    reach = max(float(np.quantile(noise, level)), alone) * error
    return effects - reach, effects + reach


def above_zero(variance: float, error: float) -> float:
    """Posterior mean of a variance that was estimated with a normal error, under a flat prior above 0."""
    ratio = variance / max(error, 1e-9)
    if ratio < _FAR_BELOW:  # there the logarithms below cancel, and exp overflows on what is left of them
        return -max(error, 1e-9) / ratio
    return variance + max(error, 1e-9) * float(np.exp(norm.logpdf(ratio) - norm.logcdf(ratio)))


def rank_ranges(
    effects: Floats,
    covariance: Floats,
    level: float = 0.95,
    seed: int = 0,
    draws: int = 4000,
    *,
    slack: Floats | None = None,
) -> Ints:
    r"""First and last rank of every item, right for all items at once with probability `level`.

    All pairwise differences are tested together: the critical value is the `level` quantile of
    :math:`\max_{i<j} |Z_i - Z_j| / \sigma_{ij}` with :math:`Z \sim N(0, \Sigma)`. An item's first rank is 1 plus
    the number of items significantly better, its last is n minus the number significantly worse.

    Args:
        effects: ``(n,)``.
        covariance: Of them.
        level: Of all ranges together.
        seed: Of the draws.
        draws: How many.
        slack: By how much one item has to be better than another beside chance, ``(n, n)``.

    Returns:
        ``(n, 2)``, rank 1 is best.

    References:
        Mogstad, Romano, Shaikh, Wilhelm (2024), Inference for ranks, Review of Economic Studies 91.

    Example:
        >>> rank_ranges(np.array([0.9, 0.1, 0.0]), np.diag([0.01, 0.01, 0.01])).tolist()
        [[1, 1], [2, 3], [2, 3]]
    """
    n = len(effects)
    first, second = np.triu_indices(n, 1)
    if not len(first):
        return np.ones((n, 2), np.int64)
    variance = np.diag(covariance)
    spread = np.sqrt(np.maximum(variance[first] + variance[second] - 2 * covariance[first, second], 1e-300))
    noise = _draws(np.zeros(n), covariance, seed, draws)
    largest = np.max(np.abs(noise[:, first] - noise[:, second]) / spread, axis=1)
    gap = effects[first] - effects[second]
    better = np.zeros((n, n), bool)
    reach = np.quantile(largest, level) * spread
    needed = np.zeros((n, n)) if slack is None else slack
    better[first, second] = gap > reach + needed[first, second]
    better[second, first] = -gap > reach + needed[second, first]
    return np.column_stack([1 + better.sum(0), n - better.sum(1)])


def probability_best(effects: Floats, covariance: Floats, seed: int = 0, draws: int = 4000) -> Floats:
    """Probability that each item has the largest effect, ``(n,)``, sums to 1.

    The share of draws from ``N(effects, covariance)``, the posterior under a flat prior, in which the
    item comes first; items that come first together share it.

    Example:
        >>> probability_best(np.array([0.1, 0.0]), np.diag([0.01, 0.01])).round(1).tolist()
        [0.8, 0.2]
    """
    if not len(effects):
        return np.zeros(0)
    sample = _draws(effects, covariance, seed, draws)
    first = sample == sample.max(1, keepdims=True)
    chance: Floats = (first / first.sum(1, keepdims=True)).mean(0)
    return chance


def _draws(mean: Floats, covariance: Floats, seed: int, draws: int) -> Floats:
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    normal = np.random.default_rng(seed).standard_normal((draws, len(mean)))
    sample: Floats = mean + normal @ root.T
    return sample
