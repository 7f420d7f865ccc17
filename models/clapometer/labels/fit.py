r"""Fitting a rule's weights to an anchor: what people say or do that is nearer to the truth than engagement.

Votes on pairs of clips are the best anchor, a long-term outcome such as coming back the next is. The fit starts
from the rule it is given and moves away from it only as far as the data insist: with the standardised signals
:math:`z` and the old label :math:`s = w_0'x`,

.. math:: \operatorname{logit} P = \alpha + a\,s + \delta'z, \qquad \delta \sim N(0, 1/\lambda),

so the new weights are :math:`a w_0 + \delta / \sigma`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from clapometer.domain import InputError
from clapometer.labels.rule import LabelRule
from clapometer.labels.signals import SignalName

__all__ = ["FittedRule", "fit_to_outcome", "fit_to_votes"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_FREE = 1e3
"""Scale of a column that the ridge is not to shrink."""
_MIN_ROWS = 50
_FOLDS = 5


@dataclass(frozen=True, slots=True)
class FittedRule:
    """A rule fitted to an anchor, and how far that can be trusted.

    Attributes:
        rule: The new rule; weights are on the old one's scale.
        n: Rows of the anchor.
        slope: Slope of the held-out verdicts on the predicted log-odds: 1 is calibrated, below 1 overfitted.
        log_loss: Held-out, of the fitted weights.
        log_loss_before: Of the old weights with their best scale.
        log_loss_constant: Of no signals at all.
    """

    rule: LabelRule
    n: int
    slope: float
    log_loss: float
    log_loss_before: float
    log_loss_constant: float


def fit_to_votes(
    rule: LabelRule,
    names: Sequence[SignalName],
    gaps: Floats,
    result: Floats,
    *,
    group: Ints | None = None,
    weight: Floats | None = None,
    strength: float = 60.0,
) -> FittedRule:
    """Fits to votes on pairs of clips.

    Args:
        rule: Where to start from.
        names: Signals, in the order of the columns of `gaps`.
        gaps: Mean signals of the left clip's impressions minus those of the right clip's, ``(n_votes, n_signals)``.
            Shrink neither: the weights are to be used on raw signals.
        result: 1 where left won, 0 where right won, 0.5 for a tie, ``(n_votes,)``.
        group: Voter or prompt of each vote: held-out parts share none. None is each by itself.
        weight: Of each vote (`voter_weights`); None is 1 each.
        strength: Votes that the starting rule is worth.

    Raises:
        InputError: Fewer than 50 votes, one result only, NaN, or signals that never differ.
    """
    anchor = f"{len(result)} votes"
    return _fit(
        rule, names, gaps, result, group=group, weight=weight, strength=strength, anchor=anchor, intercept=False
    )


def fit_to_outcome(
    rule: LabelRule,
    names: Sequence[SignalName],
    signals: Floats,
    happened: Floats,
    *,
    group: Ints | None = None,
    strength: float = 60.0,
    what: str = "outcomes",
) -> FittedRule:
    """Fits to something that did or did not follow each impression: a return the next day, a purchase.

    A mood that moves engagement and outcome alike is not told from satisfaction; votes do not have that fault.

    Args:
        rule: Where to start from.
        names: Signals, in the order of the columns of `signals`.
        signals: Of each impression (`signal_values`), ``(n, n_signals)``. Leave the outcome itself out of them.
        happened: 1 or 0, ``(n,)``.
        group: Viewer of each impression.
        strength: Impressions that the starting rule is worth.
        what: Name of the outcome, for the record.

    Raises:
        InputError: As `fit_to_votes`.
    """
    anchor = f"{len(happened)} {what}"
    return _fit(rule, names, signals, happened, group=group, strength=strength, anchor=anchor, intercept=True)


def _fit(
    rule: LabelRule,
    names: Sequence[SignalName],
    signals: Floats,
    verdict: Floats,
    *,
    group: Ints | None,
    strength: float,
    anchor: str,
    intercept: bool,
    weight: Floats | None = None,
) -> FittedRule:
    _check(names, signals, verdict)
    each = np.ones(len(verdict)) if weight is None else weight
    spread = signals.std(0)
    used = spread > 0
    prior = np.array([rule.weights.of(name) for name in names])
    before = signals @ prior
    scale = before.std()
    if not used.any() or scale == 0:
        msg = "the signals never differ; nothing can be learnt from them"
        raise InputError(msg, "signals")
    whole = np.column_stack([_FREE * before / scale, signals[:, used] / spread[used]])
    slope, loss, before_loss = _held_out(whole, verdict, each, group, strength, intercept=intercept)
    coefficients = _regress(whole, verdict, each, strength, intercept=intercept).coef_[0]
    weights = coefficients[0] * _FREE / scale * prior
    weights[used] += coefficients[1:] / spread[used]
    weights *= np.abs(prior).sum() / max(np.abs(weights).sum(), 1e-300)
    new = msgspec.structs.replace(
        rule.weights, **{name: round(float(w), 6) for name, w in zip(names, weights, strict=True)}
    )
    fitted = msgspec.structs.replace(
        rule, name=f"{rule.name}-fitted", version=rule.version + 1, weights=new, anchor=anchor
    )
    share = verdict.mean() if intercept else 0.5
    return FittedRule(fitted, len(verdict), slope, loss, before_loss, _loss(verdict, np.full(len(verdict), share)))


def _check(names: Sequence[SignalName], signals: Floats, verdict: Floats) -> None:
    rules = (
        (signals.ndim == 2 and signals.shape == (len(verdict), len(names)), "signals",
         f"has shape {signals.shape}, must be {(len(verdict), len(names))}"),
        (len(verdict) >= _MIN_ROWS, "anchor", f"{len(verdict)} rows; fewer than {_MIN_ROWS} say nothing about weights"),
        (bool(np.isfinite(signals).all()), "signals", "must be finite"),
        (bool(np.isin(verdict, (0.0, 0.5, 1.0)).all()), "anchor", "must be 1, 0, or 0.5 for a tie"),
        (bool((verdict > 0).any() and (verdict < 1).any()), "anchor", "every row says the same"),
    )  # fmt: skip
    for holds, field, problem in rules:
        if not holds:
            raise InputError(problem, field)


def _regress(X: Floats, verdict: Floats, each: Floats, strength: float, *, intercept: bool) -> LogisticRegression:
    """Logistic regression in which a tie is half a yes and half a no."""
    model = LogisticRegression(C=1 / strength, fit_intercept=intercept, solver="newton-cholesky", tol=1e-8)
    answer = np.repeat([1, 0], len(verdict))
    weight = np.concatenate([each * verdict, each * (1 - verdict)])
    said = weight > 0
    return model.fit(np.vstack([X, X])[said], answer[said], weight[said])


def _held_out(
    X: Floats, verdict: Floats, each: Floats, group: Ints | None, strength: float, *, intercept: bool
) -> tuple[float, float, float]:
    """Calibration slope and log loss of the fit, and log loss of the old label, on parts that were left out."""
    of = np.arange(len(verdict)) if group is None else group
    folds = GroupKFold(min(_FOLDS, len(np.unique(of))), shuffle=True, random_state=0)
    after, before = np.zeros(len(verdict)), np.zeros(len(verdict))
    for train, test in folds.split(X, groups=of):
        model = _regress(X[train], verdict[train], each[train], strength, intercept=intercept)
        after[test] = model.decision_function(X[test])
        plain = _regress(X[train, :1], verdict[train], each[train], strength, intercept=intercept)
        before[test] = plain.decision_function(X[test, :1])
    slope = float(_regress(_FREE * after[:, None], verdict, each, 1.0, intercept=True).coef_[0, 0] * _FREE)
    return slope, _loss(verdict, expit(after)), _loss(verdict, expit(before))


def _loss(verdict: Floats, chance: Floats) -> float:
    p = np.clip(chance, 1e-9, 1 - 1e-9)
    return float(-np.mean(verdict * np.log(p) + (1 - verdict) * np.log(1 - p)))
