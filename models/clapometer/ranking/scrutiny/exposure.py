r"""Do logged propensities fit what was shown? Two things must hold if they do, whatever the feed does.

With the weight :math:`w = 1 / (p K)` of a slot that was filled from :math:`K` candidates with the logged chance
:math:`p` of what it shows, (1) the weights of all slots average to 1, because :math:`\sum_c p_c \cdot 1 / (p_c K) = 1`:
the sum of ``1 / propensity`` over slots is the number of candidates. (2) The weights of any group of clips add up to
what pure chance would have shown of it: to the group's share among explored slots, or to its number of chances where
that is known. Constants that are logged although the feed favours the popular satisfy (1) and fail (2).

References:
    Austin (2009), Balance diagnostics for comparing the distribution of baseline covariates, Statistics in Medicine
    28. Li, Kim, Munos, Szepesvari (2015), Toward minimax off-policy value estimation, AISTATS (sanity of logs).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from clapometer.domain import InputError
from clapometer.ranking.grouping import sum_by

__all__ = ["Exposure", "Mismatch", "balance", "by_version", "favoured", "mean_weight"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_BANDS = 10
_MIN_EXPLORED = 20
"""Fewest explored slots per band."""
_MIN_BATCHED = 30
"""Fewest clips, beside one in each batch, to tell whether some are favoured."""
_MOST_MEAN, _MIN_SLOTS = 2.0, 100
_CLUSTERING = 1.5
"""Standard errors are taken as this much larger: slots of one viewer are not independent."""


@dataclass(frozen=True, slots=True, eq=False)
class Exposure:
    """Sums over the slots with a propensity, by clip and viewer fold, each column ``(n,)``.

    Attributes:
        clip: Index of the clip.
        fold: Viewer fold, 0 or 1.
        shown: Slots.
        weight: Sum of ``1 / (propensity * candidates)``.
        squares: Sum of its squares.
        explored: Slots that were filled uniformly at random, as the log says.
    """

    clip: Ints
    fold: Ints
    shown: Floats
    weight: Floats
    squares: Floats
    explored: Floats

    def __post_init__(self) -> None:
        for name in ("fold", "shown", "weight", "squares", "explored"):
            column = getattr(self, name)
            if np.shape(column) != np.shape(self.clip) or not np.isfinite(column).all():
                msg = f"must be finite numbers of shape {np.shape(self.clip)}"
                raise InputError(msg, name)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """How far logged chances and what was shown are apart.

    Attributes:
        size: Of (1) the mean weight minus 1; of (2) the share of slots that is in the wrong band.
        p_value: Chance of as much, were the propensities right; 1 where nothing can be tested.
    """

    size: float
    p_value: float

    def __bool__(self) -> bool:
        """Whether anything was tested."""
        return self.p_value < 1.0


def mean_weight(exposure: Exposure, tolerance: float = 0.1) -> Mismatch:
    """Tests that the weights average to 1, within `tolerance`: heavy tails make small gaps likely.

    An average of more than 2 is no chance, whatever the spread: the weights that lift it that far lift the spread as
    well, and would hide in it. Should it be luck after all, so few slots decide everything that no interval holds.
    """
    n = float(exposure.shown.sum())
    if n < 2:
        return Mismatch(0.0, 1.0)
    mean = float(exposure.weight.sum()) / n
    spread = max(float(exposure.squares.sum()) / n - mean**2, 0.0)
    gap = abs(mean - 1) - tolerance
    if gap <= 0:
        return Mismatch(mean - 1, 1.0)
    if mean > _MOST_MEAN and n >= _MIN_SLOTS:
        return Mismatch(mean - 1, 0.0)
    error = _CLUSTERING * np.sqrt(spread / n)
    return Mismatch(mean - 1, float(2 * norm.sf(gap / error)) if error > 0 else 0.0)


def balance(exposure: Exposure, chances: Floats | None = None) -> Mismatch:
    """Tests that weighted slots do not favour popular clips more than explored slots do.

    Popularity is that in one viewer fold, the test is on the other one, and then the other way round. It is
    one-sided: a feed that gives every clip its quota makes what one fold saw often rare in the other.

    Args:
        exposure: The sums.
        chances: What each clip would have been shown by pure chance, ``(n_clips,)``, in any unit; explored slots
            stand for it where None.
    """
    sizes, deviations = [], []
    n_clips = int(exposure.clip.max(initial=-1)) + 1 if chances is None else len(chances)
    columns = (exposure.shown, exposure.weight, exposure.squares, exposure.explored)
    folds = (exposure.fold == 0, exposure.fold == 1)
    by_fold = [[sum_by(exposure.clip[fold], column[fold], n_clips) for column in columns] for fold in folds]
    for (shown, *_), (_, weight, squares, explored) in (by_fold, by_fold[::-1]):
        expected = explored if chances is None else chances
        effective = float(weight.sum()) ** 2 / max(float(squares.sum()), 1e-300)
        n = float(explored.sum()) if chances is None else effective
        n_bands = int(min(_BANDS, n // _MIN_EXPLORED))
        if n_bands < 2 or expected.sum() <= 0:
            continue
        band = _bands(shown if chances is None else shown / np.maximum(chances, 1e-9), expected, n_bands)
        w, square, due = (sum_by(band, column, n_bands) for column in (weight, squares, expected))
        share, wanted = w / w.sum(), due / due.sum()
        sizes.append(float(np.abs(share - wanted).sum()) / 2)
        deviations.append(_trend(share, wanted, square / w.sum() ** 2, 1 / n if chances is None else 0.0))
    if not deviations:
        return Mismatch(0.0, 1.0)
    together = sum(deviations) / np.sqrt(len(deviations)) / _CLUSTERING
    return Mismatch(float(np.mean(sizes)), float(norm.sf(together)))


def favoured(clip: Ints, fold: Ints, weight: Floats, batch: Ints, n_clips: int) -> Mismatch:
    """Tests that no clip has more weight than others of its batch *in both viewer folds*.

    Clips of a batch, such as one version's that came on one day, have the same chances. Whatever the feed does, right
    weights then differ between clips by chance alone, which is another one in the other fold: their product is 0 on
    average, also where the feed learns from what both saw. A log that calls favourites chance has them in both.

    Args:
        clip: Of each row, ``(n,)``.
        fold: Its viewer fold, 0 or 1.
        weight: What was shown of it, weighted; or slots that are said to be by chance.
        batch: Of each clip, ``(n_clips,)``; -1 for clips that are in none.
        n_clips: Clips are 0..n_clips-1.

    Returns:
        The size is the spread of what clips of a batch are favoured by, as a share of their weight.
    """
    some = batch >= 0
    of = np.unique(batch[some], return_inverse=True)[1]
    if not len(of):
        return Mismatch(0.0, 1.0)
    many = np.bincount(of)
    apart, usual = [], []
    for each in (0, 1):
        own = fold == each
        total = sum_by(clip[own], weight[own], n_clips)[some]
        mean = sum_by(of, total) / many
        apart.append(total - mean[of])
        usual.append(mean[of])
    product, expected = apart[0] * apart[1], float((usual[0] * usual[1]).sum())
    error = float(np.sqrt((product**2).sum()))
    if error <= 0 or expected <= 0 or len(of) - len(many) < _MIN_BATCHED:
        return Mismatch(0.0, 1.0)
    together = float(product.sum())
    return Mismatch(float(np.sqrt(max(together, 0.0) / expected)), float(norm.sf(together / error)))


def by_version(exposure: Exposure, version: Ints, chances: Floats, slack: Floats) -> tuple[int, Mismatch]:
    """Tests that each version has the weight that its clips' chances add up to; returns the worst, and how far.

    Args:
        exposure: The sums.
        version: Of each clip, ``(n_clips,)``.
        chances: Of each clip, ``(n_clips,)``.
        slack: Share by which each version may be off without being tested, ``(n_versions,)``: when on its first day a
            clip came is not known.
    """
    n, of = len(slack), version[exposure.clip]
    weight, squares, due = sum_by(of, exposure.weight, n), sum_by(of, exposure.squares, n), sum_by(version, chances, n)
    known = np.flatnonzero(due > 0)
    if not len(known):
        return -1, Mismatch(0.0, 1.0)
    off = weight[known] / due[known] - 1
    # what a clip that was due and never shown would have been shown at, too
    error = _CLUSTERING * np.sqrt(np.maximum(squares[known], due[known])) / due[known]
    p = np.minimum(1.0, len(known) * 2 * norm.sf(np.maximum(np.abs(off) - slack[known], 0.0) / error))
    p = np.where(np.abs(off) <= slack[known], 1.0, p)
    worst = int(np.lexsort((-np.abs(off), p))[0])
    return int(known[worst]), Mismatch(float(off[worst]), float(p[worst]))


def _trend(share: Floats, wanted: Floats, squares: Floats, chance: float) -> float:
    """Standard errors by which the weight lies with more popular bands than it should.

    Args:
        share: Of the weight, by band, the least popular first.
        wanted: What it should be.
        squares: Of the weights by band, over the square of their total.
        chance: 1 / number of slots that `wanted` was counted from; 0 where it is known.
    """
    place = np.linspace(-1.0, 1.0, len(share))
    spread = (squares * (place - share @ place) ** 2).sum() + chance * (wanted @ place**2 - (wanted @ place) ** 2)
    return float((share - wanted) @ place / np.sqrt(max(spread, 1e-300)))


def _bands(popularity: Floats, mass: Floats, n_bands: int) -> Ints:
    """Bands of about equal mass, from the least to the most popular clip, ``(n_clips,)``."""
    order = np.lexsort((np.arange(len(popularity)), popularity))
    before = np.cumsum(mass[order]) - mass[order]
    band = np.zeros(len(popularity), np.int64)
    band[order] = np.minimum((before / mass.sum() * n_bands).astype(np.int64), n_bands - 1)
    return band
