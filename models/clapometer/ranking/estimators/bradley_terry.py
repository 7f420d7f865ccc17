"""Strengths from comparisons: Bradley-Terry with ties, covariates and clusters, on aggregated counts."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.special import expit
from sklearn.base import BaseEstimator

from clapometer.domain import InputError

__all__ = ["BradleyTerry"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_MAX_STEPS = 100


class BradleyTerry(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    r"""Log-odds strengths of items from pairwise comparisons, by Newton's method.

    .. math:: P(i \succ j) = \operatorname{expit}(\theta_i - \theta_j + x'\beta), \qquad \sum_i \theta_i = 0

    A row is any number of comparisons of the same pair with the same result: aggregate before fitting, the
    cost depends on the number of rows. Ties are half a win for either side (``ties="half"``, which keeps
    strengths on the scale of wins), or a third result (``ties="davidson"``) with

    .. math:: P(i \sim j) = \nu \sqrt{\pi_i \pi_j} / (\pi_i + \pi_j + \nu \sqrt{\pi_i \pi_j}), \quad
        \pi = e^{\theta}, \; \pi_i \text{ taking } x'\beta \text{ along}.

    Parameters:
        ties: ``half`` or ``davidson``.
        ridge: Penalty ``ridge / 2 * sum(theta**2)``; with one, items that always win have a finite strength.
        covariate_ridge: The same for the coefficients of the covariates, which then exist whatever was compared;
            1 takes them for draws with variance 1.
        tolerance: Newton stops when no coefficient moves by more.

    Attributes:
        strengths_: Of items 0..n-1, mean 0, ``(n_items,)``.
        covariance_: Of the strengths, ``(n_items, n_items)``: the sandwich over clusters, or the inverse
            information without clusters.
        coefficients_: Of the covariates, ``(n_covariates,)``.
        coefficient_covariance_: Of these.
        tie_: :math:`\log\nu`; None without ``davidson``.
        n_comparisons_: Total weight.

    References:
        Bradley, Terry (1952), Biometrika 39. Ford (1957), Amer. Math. Monthly 64 (when strengths exist).
        Davidson (1970), JASA 65 (ties). Cameron, Miller (2015), J. Human Resources 50 (clusters). Cameron,
        Gelbach, Miller (2011), J. Business & Economic Statistics 29 (two-way clusters).

    Example:
        >>> games = [[0, 1], [0, 1], [1, 2], [1, 2], [0, 2]]  # left, right
        >>> fit = BradleyTerry().fit(games, [1, 0, 1, 0, 0.5], sample_weight=[30, 10, 20, 10, 8])
        >>> fit.strengths_.round(2).tolist()
        [0.68, -0.15, -0.53]
        >>> round(float(fit.probability(0, 2)), 2)
        0.77
    """

    def __init__(
        self,
        ties: Literal["half", "davidson"] = "half",
        ridge: float = 0.0,
        tolerance: float = 1e-10,
        covariate_ridge: float = 0.0,
    ) -> None:
        self.ties = ties
        self.ridge = ridge
        self.covariate_ridge = covariate_ridge
        self.tolerance = tolerance

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        covariates: ArrayLike | None = None,
        cluster: ArrayLike | None = None,
        n_items: int | None = None,
    ) -> Self:
        """Fits rows of comparisons.

        Args:
            X: Left and right item of each row, integers ``(n_rows, 2)``.
            y: 1 where left won, 0 where right won, 0.5 for a tie, ``(n_rows,)``.
            sample_weight: Comparisons in each row; None is 1 each.
            covariates: Advantage of left, such as the difference of the two positions, ``(n_rows, q)``.
            cluster: Rows of one viewer (or prompt) share a number, ``(n_rows,)``; two-way where rows depend by
                viewer and by prompt, ``(n_rows, 2)``; None trusts the model's own variance.
            n_items: Number of items when the last ones may be missing.

        Raises:
            InputError: A value is not allowed, or the strengths do not exist: items are not connected by
                comparisons, or some never lost to (or won against) others. Names the components.
        """
        pairs, result, weight = _checked(X, y, sample_weight)
        n = int(max(n_items or 0, pairs.max(initial=-1) + 1))
        extra = (
            np.zeros((len(pairs), 0)) if covariates is None else np.asarray(covariates, float).reshape(len(pairs), -1)
        )
        if not np.isfinite(extra).all():
            msg = "must be finite"
            raise InputError(msg, "covariates")
        if self.ties not in ("half", "davidson"):
            msg = f"must be half or davidson, is {self.ties}"
            raise InputError(msg, "ties")
        _refuse_unconnected(pairs, result, weight, n, strongly=self.ridge == 0)
        design = _design(pairs, extra, n)
        scores, information = self._newton(design, result, weight, n)
        inverse = np.linalg.inv(information + _pin(n, information)).astype(np.float64)
        covariance = inverse if cluster is None else _clustered(inverse, scores, np.asarray(cluster))
        centre = np.eye(n) - 1 / n
        self.covariance_: Floats = centre @ covariance[:n, :n] @ centre
        q = design.shape[1]
        self.coefficient_covariance_: Floats = covariance[n:q, n:q]
        self.n_comparisons_ = float(weight.sum())
        return self

    def probability(self, left: ArrayLike, right: ArrayLike) -> Floats:
        """Probability that `left` beats `right` where there is no tie, covariates 0."""
        gap = self.strengths_[np.asarray(left)] - self.strengths_[np.asarray(right)]
        chance: Floats = expit(gap)
        return chance

    def _newton(self, design: sparse.csr_matrix, result: Floats, weight: Floats, n: int) -> tuple[Floats, Floats]:
        """Scores per row and information at the solution, strengths first, the tie parameter last."""
        davidson = self.ties == "davidson"
        k = design.shape[1] + davidson
        penalty = np.zeros(k)
        penalty[:n] = self.ridge
        penalty[n : design.shape[1]] = self.covariate_ridge
        theta = np.zeros(k)
        for _ in range(_MAX_STEPS):
            margin = design @ theta[: design.shape[1]]
            scores, information = (
                _davidson(design, result, weight, margin, float(theta[-1]))
                if davidson
                else _logistic(design, result, weight, margin)
            )
            information += np.diag(penalty)
            gradient = np.asarray(scores.sum(0)).ravel() - penalty * theta
            step = np.linalg.solve(information + _pin(n, information), gradient)
            theta = theta + step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-300))
            if np.abs(step).max() < self.tolerance:
                break
        else:
            msg = "did not converge; add a ridge or drop collinear covariates"
            raise InputError(msg, "covariates" if design.shape[1] > n else "X")
        self.strengths_: Floats = theta[:n] - theta[:n].mean()
        self.coefficients_: Floats = theta[n : design.shape[1]]
        self.tie_ = float(theta[-1]) if davidson else None
        return scores, information


def _checked(X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None) -> tuple[Ints, Floats, Floats]:
    pairs, result = np.asarray(X, np.int64), np.asarray(y, float)
    weight = np.ones(len(result)) if sample_weight is None else np.asarray(sample_weight, float)
    rules = (
        (pairs.ndim == 2 and pairs.shape[1:] == (2,) and len(pairs) > 0, "X", "must have shape (n_rows, 2)"),
        (result.shape == (len(pairs),), "y", f"must have shape ({len(pairs)},)"),
        (bool(np.isin(result, (0.0, 0.5, 1.0)).all()), "y", "must be 1 (left won), 0 (right won) or 0.5 (tie)"),
        (weight.shape == (len(pairs),), "sample_weight", f"must have shape ({len(pairs)},)"),
        (bool(np.isfinite(weight).all() and (weight >= 0).all()), "sample_weight", "must be finite and not negative"),
    )
    for holds, field, problem in rules:
        if not holds:
            raise InputError(problem, field)
    if (pairs < 0).any() or (pairs[:, 0] == pairs[:, 1]).any():
        msg = "must be non-negative, and an item is not compared with itself"
        raise InputError(msg, "X")
    return pairs, result, weight


def _refuse_unconnected(pairs: Ints, result: Floats, weight: Floats, n: int, *, strongly: bool) -> None:
    """Ford's condition: in every split of the items, each side beats or ties the other at least once."""
    used = weight > 0
    beats, loses = (used & (result >= 0.5), used & (result <= 0.5))
    winner = np.concatenate([pairs[beats, 0], pairs[loses, 1]])
    loser = np.concatenate([pairs[beats, 1], pairs[loses, 0]])
    graph = sparse.coo_matrix((np.ones(len(winner)), (winner, loser)), (n, n))
    for connection, problem in (
        ("weak", "no chain of comparisons connects these groups of items"),
        ("strong", "these groups never lost to, or never won against, the others; drop items or set a ridge"),
    ):
        count, part = connected_components(graph, directed=True, connection=connection)
        if count > 1 and (strongly or connection == "weak"):
            groups = [np.flatnonzero(part == c).tolist() for c in range(count)]
            shown = "; ".join(str(group) for group in sorted(groups, key=len, reverse=True)[:10])
            msg = f"{problem}: {shown}" + ("" if count <= 10 else f" and {count - 10} more")
            raise InputError(msg, "X")


def _pin(n: int, information: Floats) -> Floats:
    """Strengths are known up to a constant: this pins their mean to 0 and changes nothing else."""
    pin = np.zeros_like(information)
    pin[:n, :n] = np.abs(information).max() / n
    return pin


def _design(pairs: Ints, extra: Floats, n: int) -> sparse.csr_matrix:
    rows = np.arange(len(pairs))
    values = np.concatenate([np.ones(len(pairs)), -np.ones(len(pairs))])
    items = sparse.csr_matrix((values, (np.tile(rows, 2), pairs.T.ravel())), (len(pairs), n))
    return sparse.hstack([items, sparse.csr_matrix(extra)]).tocsr() if extra.shape[1] else items


def _logistic(
    design: sparse.csr_matrix, result: Floats, weight: Floats, margin: Floats
) -> tuple[sparse.csr_matrix, Floats]:
    """Score of each row and the information; a tie is half a win and half a loss."""
    chance = expit(margin)
    scores = design.multiply((weight * (result - chance))[:, None]).tocsr()
    information = design.T @ design.multiply((weight * chance * (1 - chance))[:, None])
    return scores, np.asarray(information.todense(), np.float64)


def _davidson(
    design: sparse.csr_matrix, result: Floats, weight: Floats, margin: Floats, tie: float
) -> tuple[sparse.csr_matrix, Floats]:
    """Score of each row and the expected information, with log nu as the last coefficient.

    The three results are a softmax of (margin / 2, -margin / 2, log nu).
    """
    logits = np.column_stack([margin / 2, -margin / 2, np.full(len(margin), tie)])
    share = np.exp(logits - logits.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    left, right, tied = share.T
    happened = (result == 0.5).astype(float)
    pull = weight * ((result - 0.5) * (result != 0.5) - (left - right) / 2)
    scores = sparse.hstack([design.multiply(pull[:, None]), sparse.csr_matrix((weight * (happened - tied))[:, None])])
    curvature = weight * (left + right - (left - right) ** 2) / 4
    corner = -weight * tied * (left - right) / 2
    cross = np.asarray(design.T @ corner)[:, None]
    block = np.asarray((design.T @ design.multiply(curvature[:, None])).todense())
    last = np.array([[(weight * tied * (1 - tied)).sum()]])
    information: Floats = np.block([[block, cross], [cross.T, last]])
    return scores.tocsr(), information


def _clustered(inverse: Floats, scores: sparse.csr_matrix, cluster: NDArray[Any]) -> Floats:
    """Covariance that is robust to clusters of one or two kinds."""
    n = scores.shape[0]
    if cluster.shape not in ((n,), (n, 2)):
        msg = f"must have shape ({n},) or ({n}, 2)"
        raise InputError(msg, "cluster")
    if cluster.ndim == 1:
        return _sandwich(inverse, scores, cluster)
    both = np.unique(cluster, axis=0, return_inverse=True)[1].reshape(-1)
    one, other = (_sandwich(inverse, scores, column) for column in cluster.T)
    # The difference need not be a covariance in a small sample: what is negative is set to 0, as the paper does.
    values, vectors = np.linalg.eigh(one + other - _sandwich(inverse, scores, both))
    covariance: Floats = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return covariance


def _sandwich(inverse: Floats, scores: sparse.csr_matrix, cluster: NDArray[Any]) -> Floats:
    """Cluster-robust covariance with the factor G / (G - 1)."""
    names, group = np.unique(cluster, return_inverse=True)
    if len(names) < 2:
        msg = "one cluster says nothing about the variance between clusters"
        raise InputError(msg, "cluster")
    member = sparse.csr_matrix((np.ones(len(group)), (group, np.arange(len(group)))), (len(names), len(group)))
    sums = np.asarray((member @ scores).todense())
    covariance: Floats = inverse @ (sums.T @ sums) @ inverse * (len(names) / (len(names) - 1))
    return covariance
