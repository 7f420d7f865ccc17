"""The rankings everybody makes, with the intervals everybody gives them: here to be compared with, not to be used.

Each takes columns with one entry per impression (or session pair) and returns a `Baseline`. None of them corrects
for who saw what.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from clapometer.domain import InputError
from clapometer.ranking.estimators.bradley_terry import BradleyTerry
from clapometer.ranking.grouping import sum_by

__all__ = [
    "Baseline", "bayesian_average", "naive_bradley_terry", "online_elo", "raw_mean", "self_normalised_ips",
    "session_pairs", "wilson_lower_bound",
]  # fmt: skip

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ELO_SCALE = 400.0 / np.log(10.0)


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """A ranking by an everyday method.

    Attributes:
        values: One per item, higher is better; NaN for items without data, ``(n_items,)``.
        standard_errors: As the method usually states them; NaN where it states none.
    """

    values: Floats
    standard_errors: Floats

    def intervals(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """Lower and upper ends of the usual interval."""
        reach = norm.ppf(0.5 + level / 2) * self.standard_errors
        return self.values - reach, self.values + reach


def raw_mean(item: Ints, outcome: Floats, n_items: int) -> Baseline:
    """Mean outcome per item (like rate, completion rate, label mean) with the standard error of iid rows."""
    n, total, square = (_sum(item, values, n_items) for values in (np.ones(len(item)), outcome, outcome**2))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / n
        variance = np.maximum(square / n - mean**2, 0.0) * n / np.maximum(n - 1, 1)
        return Baseline(np.where(n > 0, mean, np.nan), np.where(n > 1, np.sqrt(variance / n), np.nan))


def wilson_lower_bound(item: Ints, happened: Floats, n_items: int, level: float = 0.95) -> Baseline:
    """Lower end of Wilson's interval for a rate, the "how not to sort by average rating" score.

    References:
        Wilson (1927), JASA 22.
    """
    n, k = _sum(item, np.ones(len(item)), n_items), _sum(item, happened, n_items)
    z = float(norm.ppf(0.5 + level / 2))
    seen = np.maximum(n, 1.0)
    rate = k / seen
    centre = (rate + z**2 / (2 * seen)) / (1 + z**2 / seen)
    reach = z * np.sqrt(rate * (1 - rate) / seen + z**2 / (4 * seen**2)) / (1 + z**2 / seen)
    return Baseline(np.where(n > 0, centre - reach, np.nan), np.where(n > 0, reach / z, np.nan))


def bayesian_average(item: Ints, happened: Floats, n_items: int) -> Baseline:
    """Rates shrunk to the overall rate by a beta prior fitted to their spread (method of moments)."""
    n, k = _sum(item, np.ones(len(item)), n_items), _sum(item, happened, n_items)
    overall = k.sum() / max(n.sum(), 1.0)
    noise = overall * (1 - overall)
    rate = k / np.maximum(n, 1.0)
    spread = ((n * (rate - overall) ** 2).sum() - noise * (n > 0).sum()) / max(n.sum(), 1.0)
    strength = noise / max(spread, 1e-9)
    value = (k + strength * overall) / (n + strength)
    return Baseline(value, np.sqrt(value * (1 - value) / (n + strength + 1)))


def self_normalised_ips(item: Ints, outcome: Floats, weight: Floats, n_items: int) -> Baseline:
    """Mean outcome weighted by inverse propensities, with the delta-method standard error of iid rows.

    References:
        Swaminathan, Joachims (2015), The self-normalized estimator for counterfactual learning, NIPS.
    """
    if not np.isfinite(weight).all() or (weight < 0).any():
        msg = "must be finite and not negative; give rows without a propensity weight 0"
        raise InputError(msg, "weight")
    mass = _sum(item, weight, n_items)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = _sum(item, weight * outcome, n_items) / mass
        square = _sum(item, (weight * (outcome - np.nan_to_num(mean)[item])) ** 2, n_items)
        return Baseline(np.where(mass > 0, mean, np.nan), np.where(mass > 0, np.sqrt(square) / mass, np.nan))


def session_pairs(session: Ints, item: Ints, outcome: Floats, seed: int = 0) -> tuple[Ints, Ints]:
    """Returns winners and losers: disjoint random pairs of impressions of a session, ties and same items dropped.

    They come in the order of the sessions.
    """
    order = np.argsort(session + np.random.default_rng(seed).random(len(session)))
    s = session[order]
    start = np.concatenate([[True], np.diff(s) != 0])[: len(s)]
    place = np.arange(len(s)) - np.maximum.accumulate(np.where(start, np.arange(len(s)), 0))
    first = np.flatnonzero((place[:-1] % 2 == 0) & (s[1:] == s[:-1]))
    a, b = order[first], order[first + 1]
    decided = (outcome[a] != outcome[b]) & (item[a] != item[b])
    a, b = a[decided], b[decided]
    left_won = outcome[a] > outcome[b]
    return np.where(left_won, item[a], item[b]), np.where(left_won, item[b], item[a])


def naive_bradley_terry(winner: Ints, loser: Ints, n_items: int) -> Baseline:
    """Bradley-Terry strengths of session pairs as if they were fair and independent duels.

    Raises:
        InputError: The strengths do not exist (`BradleyTerry`).
    """
    counts = sum_by(winner * n_items + loser, np.ones(len(winner)), n_items**2)
    pairs = np.column_stack(np.divmod(np.flatnonzero(counts), n_items))
    fitted = BradleyTerry().fit(pairs, np.ones(len(pairs)), counts[counts > 0], n_items=n_items)
    return Baseline(fitted.strengths_, np.sqrt(np.diag(fitted.covariance_)))


def online_elo(
    winner: Ints, loser: Ints, n_items: int, *, k: float = 4.0, resamples: int = 0, seed: int = 0
) -> Baseline:
    """Elo ratings after all duels in their order; standard errors from reshuffled resamples, as arenas do it.

    Args:
        winner: Of each duel, ``(n,)``.
        loser: Of each duel.
        n_items: Number of items.
        k: Points at stake.
        resamples: Bootstrap resamples; 0 for no standard error.
        seed: For the resamples.

    References:
        Elo (1978), The Rating of Chessplayers. Chiang et al. (2024), Chatbot Arena, arXiv 2403.04132.
    """
    random = np.random.default_rng(seed)
    rating = _elo(winner, loser, n_items, k)
    draws = [random.integers(0, len(winner), len(winner)) for _ in range(resamples)]
    again = np.array([_elo(winner[rows], loser[rows], n_items, k) for rows in draws])
    return Baseline(rating, again.std(0, ddof=1) if resamples > 1 else np.full(n_items, np.nan))


def _elo(winner: Ints, loser: Ints, n_items: int, k: float) -> Floats:
    # One duel after the other, on plain lists: numpy calls on single numbers cost twenty times as much.
    ratings, scale = [0.0] * n_items, 1.0 / ELO_SCALE
    for won, lost in zip(winner.tolist(), loser.tolist(), strict=True):
        gain = k / (1.0 + math.exp((ratings[won] - ratings[lost]) * scale))
        ratings[won] += gain
        ratings[lost] -= gain
    return np.array(ratings)


def _sum(item: Ints, values: Floats, n_items: int) -> Floats:
    if len(item) != len(values):
        msg = f"has {len(values)} values for {len(item)} rows"
        raise InputError(msg, "outcome")
    return sum_by(item, values, n_items)
