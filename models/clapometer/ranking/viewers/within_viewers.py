r"""Model versions compared within viewers, for logs in which slots were not filled from all clips.

A first stage that chooses candidates by viewer offers lenient viewers other versions than strict ones. Propensities
among the candidates are right, and the mean label of a version is still that of the viewers whom it was offered to.
Within a viewer it is not: whoever they are, they saw both. So

.. math:: y_e / P_e = b_{p(e)} + \beta_{m(e)} + a_{v(e)} \left(1 + \kappa\, \beta_{m(e)} / \bar y\right) + \varepsilon_e

is fitted with the weights :math:`w_e P_e`, which make exposure uniform inside each set of candidates, and what
remains of a label without its viewer's part is averaged by clip. :math:`\kappa` is the curvature of
`PromptFixedEffects`, in the viewers' direction: between effects that are the same for all (0) and proportional to a
viewer's level (1) it is uniform, and what is not known of it is in the covariance, as there.

Viewers' parts are estimated from few impressions each, and viewers differ: both make errors that clips of different
prompts share. The error of the fit is that of crossed clusters, :math:`V_p + V_v - V_{pv}`; what it has beyond the
prompts' own, given the viewers' parts, is `WithinViewers.covariance`, to be added to that of the fit of the scores.
Intervals are thus for viewers *like* these, not for these.

References:
    Abowd, Kramarz, Margolis (1999), Econometrica 67 (two ways). Cameron, Gelbach, Miller (2011), Robust inference
    with multiway clustering, J. Business & Economic Statistics 29. Ma, Zhao, Yi et al. (2020), Off-policy learning in
    two-stage recommender systems, WWW. Li, Morgan, Zaslavsky (2018), Balancing covariates via propensity score
    weighting, J. American Statistical Association 113 (overlap weights: what a comparison within viewers is for).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from clapometer.domain import InputError
from clapometer.ranking.grouping import sum_by

__all__ = ["Views", "WithinViewers", "of_time", "within_viewers"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_ROUNDS, _ENOUGH = 200, 1e-6
_BENT = 3
_CURVATURE_VARIANCE = 1 / 12
_TINY = 1e-12
FEWEST_VIEWERS = 20
"""Fewer who saw more than one item do not say how much viewers differ."""
LEAST_WITHIN = 0.15
"""Of what tells an item from the others on a prompt, the least share that lies within viewers."""


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """Impressions, each column ``(n,)``.

    Attributes:
        item: Of the clip, from 0.
        prompt: Of the clip, from 0.
        viewer: From 0.
        weight: What makes exposure uniform among the candidates, 0 where it is not known.
    """

    item: Ints
    prompt: Ints
    viewer: Ints
    weight: Floats

    def __post_init__(self) -> None:
        for name in ("prompt", "viewer", "weight"):
            if np.shape(getattr(self, name)) != np.shape(self.item):
                msg = f"must have the shape {np.shape(self.item)}"
                raise InputError(msg, name)
        if not np.isfinite(self.weight).all() or (self.weight < 0).any():
            msg = "must be finite and not negative"
            raise InputError(msg, "weight")

    def residual(self, columns: Floats) -> Floats:
        """Columns without what prompts and viewers explain of them, ``(n, k)``."""
        return np.column_stack([self.apart(column)[0] for column in columns.T])

    def apart(self, column: Floats) -> tuple[Floats, Floats]:
        """A column without what prompts and viewers explain, and the viewers' part, by alternating projections."""
        by_prompt, by_viewer = (_Means(group, self.weight) for group in (self.prompt, self.viewer))
        of_viewers = by_viewer.of(column)
        left = column - of_viewers
        scale = float(np.abs(left).max(initial=0.0))
        for _ in range(_ROUNDS):
            left = left - by_prompt.of(left)
            moved = by_viewer.of(left)
            left, of_viewers = left - moved, of_viewers + moved
            if np.abs(moved).max(initial=0.0) <= _ENOUGH * scale:
                break
        return left, of_viewers

    def inside_prompts(self, columns: Floats) -> Floats:
        """Columns without what prompts alone explain of them, ``(n, k)``."""
        means = _Means(self.prompt, self.weight)
        return np.column_stack([column - means.of(column) for column in columns.T])


class _Means:
    """Weighted means of a group, for every member."""

    def __init__(self, group: Ints, weight: Floats) -> None:
        self._group, self._weight = group, weight
        self._mass = np.maximum(sum_by(group, weight), _TINY)

    def of(self, column: Floats) -> Floats:
        means: Floats = (sum_by(self._group, self._weight * column) / self._mass)[self._group]
        return means


@dataclass(frozen=True, slots=True, eq=False)
class WithinViewers:
    """A fit of `within_viewers`.

    Attributes:
        effects: Of the items, centred, ``(n_items,)``.
        labels: What is left of each label without its viewer's part, ``(n,)``.
        covariance: Of the effects' errors beyond what prompts' clusters show of those labels, ``(n_items, n_items)``.
        share: Of what tells each item from the others on a prompt, the part that lies within viewers.
        viewers: Who saw more than one item.
    """

    effects: Floats
    labels: Floats
    covariance: Floats
    share: Floats
    viewers: int

    def clip_scores(self, views: Views, clip: Ints, n_clips: int) -> tuple[Floats, Floats]:
        """Mean label of each clip without its viewers' parts, 0 where there is none, and the sum of its weights."""
        mass = sum_by(clip, views.weight, n_clips)
        earned = sum_by(clip, views.weight * self.labels, n_clips)
        return np.divide(earned, mass, out=np.zeros(n_clips), where=mass > 0), mass

    @property
    def doubt(self) -> str:
        """Why viewers cannot be told from what they were offered; empty where they can."""
        if self.viewers < FEWEST_VIEWERS:
            return f"only {self.viewers} viewers saw clips of more than one model version"
        if self.share.min(initial=1.0) < LEAST_WITHIN:
            return (
                f"{1 - float(self.share.min()):.0%} of what tells a model version from the others is who saw it: most "
                "viewers saw one version only"
            )
        return ""


def within_viewers(views: Views, label: Floats, n_items: int, *, curvature: float = 0.5) -> WithinViewers:
    """Takes from labels what their viewers are worth.

    Args:
        views: The impressions; their weights are those of the fit.
        label: Of a fully examined impression, ``(n,)``.
        n_items: Items are 0..n_items-1.
        curvature: Share of an effect that grows with the viewer's level.
    """
    weight, items = views.weight, np.eye(n_items)[views.item]
    within = views.residual(np.column_stack([items, label]))
    design, inside = within[:, :-1], within[:, -1]
    inverse = _inverse(design, weight)
    straight = inverse @ (design.T @ (weight * inside))
    _, part = views.apart(label - items @ straight)
    level = max(abs(float(weight @ label)) / max(float(weight.sum()), _TINY), _TINY)
    lift = (part - float(weight @ part) / max(float(weight.sum()), _TINY)) / level
    effects, slope, bend = straight, np.zeros(n_items), np.zeros(len(label))
    for _ in range(_BENT if curvature else 0):
        bend = lift * (effects - effects.mean())[views.item]
        slope = -inverse @ (design.T @ (weight * bend))
        effects = straight + curvature * slope
    error = inside - curvature * views.residual(bend[:, None])[:, 0] - design @ effects
    return WithinViewers(
        effects=effects - effects.mean(),
        labels=label - lift * level - curvature * bend,
        covariance=_beyond_prompts(views, design, items, weight * error)
        + _CURVATURE_VARIANCE * bool(curvature) * np.outer(slope - slope.mean(), slope - slope.mean()),
        share=_share(design, views.inside_prompts(items), weight),
        viewers=_saw_several(views),
    )


def of_time(score: Floats, offset: Floats, ceiling: float) -> Floats:
    """What the offset of its day and age adds to a label of a clip with such a score; a third of the ceiling if NaN."""
    usual = np.where(np.isfinite(score), score / ceiling, 1 / 3)
    still = logit(np.clip(usual, 0.01, 0.95))
    added: Floats = ceiling * (expit(still + offset) - expit(still))
    return added


def _inverse(design: Floats, weight: Floats) -> Floats:
    gram = design.T @ (design * weight[:, None])
    inverse: Floats = np.asarray(np.linalg.pinv(gram, rcond=1e-10, hermitian=True), np.float64)
    return inverse


def _beyond_prompts(views: Views, design: Floats, items: Floats, pull: Floats) -> Floats:
    """Covariance by crossed clusters less that by prompts with the viewers' parts as known, never below 0."""
    n_items = items.shape[1]
    centre = np.eye(n_items) - 1 / n_items
    pushes = (design @ _inverse(design, views.weight) @ centre) * pull[:, None]
    known = views.inside_prompts(items)
    naive = (known @ _inverse(known, views.weight) @ centre) * pull[:, None]
    both = np.unique(views.prompt * (int(views.viewer.max(initial=0)) + 1) + views.viewer, return_inverse=True)[1]
    crossed = _squares(pushes, views.prompt) + _squares(pushes, views.viewer) - _squares(pushes, both)
    values, vectors = np.linalg.eigh(crossed - _squares(naive, views.prompt))
    beyond: Floats = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return beyond


def _squares(pushes: Floats, cluster: Ints) -> Floats:
    """Sum over clusters of the products of what each pushes, corrected for their number, ``(k, k)``."""
    sums = np.column_stack([sum_by(cluster, column) for column in pushes.T])
    n = max(len(np.unique(cluster)), 2)
    products: Floats = sums.T @ sums * (n / (n - 1))
    return products


def _share(within: Floats, inside: Floats, weight: Floats) -> Floats:
    """Share of the squares inside prompts that is left within viewers, by item; 1 where there is nothing to tell."""
    left, whole = (np.asarray(weight @ column**2, np.float64) for column in (within, inside))
    share: Floats = np.divide(left, whole, out=np.ones(len(whole)), where=whole > _TINY)
    return share


def _saw_several(views: Views) -> int:
    """How many viewers saw more than one item."""
    seen = np.unique(np.column_stack([views.viewer, views.item])[views.weight > 0], axis=0)
    return int((np.bincount(seen[:, 0]) > 1).sum())
