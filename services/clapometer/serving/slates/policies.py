r"""Orders of a slate, with the exact chance of everything they do.

A *ranked* slate of :math:`K` slots over :math:`n` candidates is drawn in two steps. Each slot is explored with
probability :math:`\varepsilon`, independently; the explored slots take clips drawn uniformly without replacement
from **all** candidates. The other slots then take the best of the clips that are left, in order. So the explored
slots are a simple random sample of the candidates whatever the ranking is, and nothing has to be retried.

The propensity of a clip at a slot is its chance before anything is drawn. For the clip that is :math:`c`-th best
(:math:`c = 0` is the best) at slot :math:`k`, with :math:`g` slots before :math:`k` that are not explored and
:math:`e` explored slots in all,

.. math:: \pi_k(c) = \frac{\varepsilon}{n} + (1-\varepsilon) \sum_{g,e} P_k(g, e)\,
    \frac{\binom{c}{c-g} \binom{n-1-c}{e-(c-g)}}{\binom{n}{e}},

the last factor being the chance that the clip is not explored itself and exactly :math:`g` of the better ones are
not either (hypergeometric), and :math:`P_k(g, e)` the product of two binomial probabilities: :math:`k-g` explored
slots before :math:`k`, :math:`e-(k-g)` after it.

Because this chance is marginal, every candidate's expected weight :math:`\sum 1/(n \pi)` over the slots is the same,
:math:`K/n`: that is the opportunity that the estimators divide by. The chance given the earlier slots would not do:
the best clip has none left once it is placed, and would look as if it had been passed over.
Candidates that are equally good stand in random order, so that each has the mean chance of their places.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Choice:
    """A filled slot: the index of its clip in the given order, the chance of that, and whether it was explored."""

    index: int
    propensity: float
    explored: bool


def uniform_slate(n: int, slots: int, random: Random) -> list[Choice]:
    """Returns ``slots`` of ``n`` candidates in uniformly random order; each has propensity ``1 / n`` everywhere."""
    return [Choice(index, 1 / n, explored=True) for index in random.sample(range(n), min(slots, n))]


class RankedPolicy:
    """Best first, save for a share of slots that is filled at random; remembers the chances it has worked out."""

    def __init__(self, remembered: int = 256) -> None:
        self._remembered = remembered
        self._chances: OrderedDict[tuple[int, int, float], Floats] = OrderedDict()

    def slate(self, groups: Sequence[int], slots: int, share: float, random: Random) -> list[Choice]:
        """Returns the slots of a slate; ``share`` of them is explored.

        The candidates stand best first, in ``groups`` (their sizes) of equally good ones; within a group they must
        stand in random order. A clip's propensity is then the mean over the places of its group.
        """
        n = sum(groups)
        slots = min(slots, n)
        explored = [random.random() < share for _ in range(slots)]
        drawn = random.sample(range(n), sum(explored))
        taken, rest = set(drawn), iter(drawn)
        best = (index for index in range(n) if index not in taken)
        chances = self.chances(n, slots, share)
        chosen = [next(rest) if is_explored else next(best) for is_explored in explored]
        ends = list(accumulate(groups))
        return [
            Choice(index, _group_mean(chances[slot], index, groups, ends), explored[slot])
            for slot, index in enumerate(chosen)
        ]

    def chances(self, n: int, slots: int, share: float) -> Floats:
        """Returns the propensities as ``(slots, slots + 1)``: by slot, and by place in the order.

        The last column holds for every place from ``slots`` on: such a clip is only ever explored.
        """
        key = (n, slots, share)
        if key in self._chances:
            self._chances.move_to_end(key)
            return self._chances[key]
        found = ranked_chances(n, slots, share)
        self._chances[key] = found
        if len(self._chances) > self._remembered:
            self._chances.popitem(last=False)
        return found


def ranked_chances(n: int, slots: int, share: float) -> Floats:
    """Returns the propensities of :class:`RankedPolicy`, as its :meth:`~RankedPolicy.chances` does."""
    fixed = np.zeros((slots, slots + 1))
    skipped = _skip_chances(n, slots)
    binomial = [_binomial(size, share) for size in range(slots + 1)]
    for g in range(slots):
        # weight[k, e]: g unexplored slots before k, and e explored ones in all
        weight = np.zeros((slots, slots + 1))
        for k in range(g, slots):
            after = slots - 1 - k
            weight[k, k - g : k - g + after + 1] = binomial[k][k - g] * binomial[after]
        # column g + x: the clip has g unexplored and x explored clips above it
        fixed[:, g:slots] += (weight @ skipped[g])[:, : slots - g]
    return np.asarray(share / n + (1 - share) * fixed)


def _skip_chances(n: int, slots: int) -> Floats:
    """Returns ``(g, e, x)``: the chance that ``e`` explored clips leave place ``g + x``, with ``x`` of them above."""
    g, e, x = np.ogrid[:slots, : slots + 1, : slots + 1]
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + slots + 2)))])
    below = n - 1 - g - x
    possible = (x <= e) & (e - x <= below) & (below >= 0)

    def log_choose(total: NDArray[np.int64], part: NDArray[np.int64]) -> Floats:
        total, part = np.maximum(total, 0), np.maximum(part, 0)
        rest = np.maximum(total - part, 0)
        return np.asarray(log_factorial[total] - log_factorial[part] - log_factorial[rest])

    log = log_choose(g + x, x) + log_choose(below, e - x) - log_choose(np.full_like(e, n), e)
    return np.where(possible, np.exp(np.where(possible, log, 0.0)), 0.0)


def _group_mean(chances: Floats, index: int, groups: Sequence[int], ends: Sequence[int]) -> float:
    """Returns the mean chance of the places that the group of ``index`` takes."""
    group = bisect_right(ends, index)
    size, end = groups[group], ends[group]
    last = len(chances) - 1  # stands for every place from there on
    if end - size >= last:
        return float(chances[last])
    return float((chances[end - size : min(end, last)].sum() + chances[last] * max(0, end - last)) / size)


def _binomial(size: int, share: float) -> Floats:
    """Returns the chances of 0 to ``size`` explored slots among ``size``."""
    chances: Floats = np.ones(1)
    for _ in range(size):
        chances = np.asarray(np.convolve(chances, [1 - share, share]), dtype=np.float64)
    return chances
