r"""Intervals that stay right however often one looks.

A 95 % interval that is looked at every day misses at some look far more often than in 5 % of cases. A
confidence sequence holds the truth at *all* looks together with probability 95 %, so that one may watch,
stop when the answer is clear, or go on.

With the information :math:`I = 1 / \sigma^2` the boundary of the normal mixture is

.. math:: |\hat\theta - \theta| \le \sigma \sqrt{\frac{\rho + 1}{\rho} \log\frac{\rho + 1}{\alpha^2}},
    \qquad \rho = \kappa\, I / I^*, \quad \kappa = -2\log\alpha + \log(1 - 2\log\alpha),

tightest at the planned information :math:`I^*`. It needs estimates that behave like a running mean once
there is data enough, which is why an item has to meet others on `PromptFixedEffects.min_prompts` prompts
before it is shown, and why the multiplier grows with few clusters.

References:
    Robbins (1970), Annals of Mathematical Statistics 41. Howard, Ramdas, McAuliffe, Sekhon (2021),
    Time-uniform, nonparametric, nonasymptotic confidence sequences, Annals of Statistics 49. Waudby-Smith,
    Arbour, Sinha, Kennedy, Ramdas (2024), Time-uniform central limit theory, Annals of Statistics 52.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student

from clapometer.domain import InputError

__all__ = ["always_valid_intervals", "always_valid_multiplier"]

Floats = NDArray[np.float64]


def always_valid_multiplier(
    standard_error: Floats, planned_error: float, level: float = 0.95, degrees_of_freedom: float = np.inf
) -> Floats:
    """Number of standard errors that an interval must reach at a look, ``(n,)``.

    Args:
        standard_error: At this look, ``(n,)``, positive.
        planned_error: Standard error at which the interval should be tightest. Choose it before looking.
        level: Probability of holding the truth at all looks.
        degrees_of_freedom: Clusters minus 1; widens the multiplier to the Student quantile of its tail.

    Raises:
        InputError: `planned_error` is not positive or `level` not between 0 and 1.
    """
    if not planned_error > 0:
        msg = f"must be positive, got {planned_error}"
        raise InputError(msg, "planned_error")
    if not 0 < level < 1:
        msg = f"must be between 0 and 1, got {level}"
        raise InputError(msg, "level")
    alpha = 1.0 - level
    kappa = -2 * np.log(alpha) + np.log1p(-2 * np.log(alpha))
    rho = kappa * (planned_error / np.maximum(standard_error, 1e-12 * planned_error)) ** 2
    multiplier: Floats = np.sqrt((rho + 1) / rho * np.log((rho + 1) / alpha**2))
    if np.isfinite(degrees_of_freedom):
        multiplier = student.isf(norm.sf(np.minimum(multiplier, 8.0)), degrees_of_freedom)
    return multiplier


def always_valid_intervals(
    effects: Floats,
    covariance: Floats,
    planned_error: float,
    *,
    level: float = 0.95,
    degrees_of_freedom: float = np.inf,
) -> tuple[Floats, Floats]:
    """Lower and upper ends at this look, ``(n,)`` each; see `always_valid_multiplier`.

    Args:
        effects: Contrasts, ``(n,)``.
        covariance: Of `effects`, ``(n, n)``.
        planned_error: Standard error at which the intervals should be tightest.
        level: Probability of holding the truth at all looks, for each effect.
        degrees_of_freedom: Clusters minus 1; widens the multiplier to the Student quantile of its tail.

    Example:
        >>> low, high = always_valid_intervals(np.array([0.5]), np.array([[0.01]]), planned_error=0.1)
        >>> [round(float(end), 2) for end in (low[0], high[0])]  # an interval for one look only: 0.30 to 0.70
        [0.2, 0.8]
    """
    error = np.sqrt(np.diag(covariance))
    reach = always_valid_multiplier(error, planned_error, level, degrees_of_freedom)
    return effects - reach * error, effects + reach * error
