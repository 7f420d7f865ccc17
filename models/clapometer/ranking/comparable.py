"""Which items comparisons can rank: the largest part in which everybody won and lost, and why the others are not in it.

Maximum likelihood has finite strengths exactly where the items are strongly connected by wins (Ford 1957). An item that
only lost has none, however few its comparisons; a penalty (Firth 1993, Biometrika 80) would give it the number that the
penalty chose. So it is set aside, and the others are as if it had never been compared.

References:
    Ford (1957), Amer. Math. Monthly 64. Hunter (2004), Annals of Statistics 32.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import breadth_first_order, connected_components

from clapometer.ranking.results import Reason, Unranked

__all__ = ["comparable_items"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Parts = NDArray[np.int32]


def comparable_items(
    pairs: Ints, result: Floats, n_items: int, *, cluster: Ints, fewest: tuple[int, ...]
) -> tuple[Ints, tuple[Unranked, ...]]:
    """Returns the items that can be ranked, and the others with their reasons.

    Args:
        pairs: Left and right item of each comparison, ``(n, 2)``.
        result: 1 where left won, 0 where right won, 0.5 for a tie.
        n_items: How many items there are.
        cluster: What comparisons depend by, such as prompt and viewer, ``(n, k)``.
        fewest: Clusters of each kind that the comparisons of a ranked item must span.
    """
    whole = _beats(pairs, result, n_items)
    connected = part = _parts(whole)
    alive = np.ones(n_items, bool)
    while True:
        rows = _inside(pairs, part, alive)
        enough = _spans(pairs[rows], cluster[rows], n_items, fewest)
        if (enough | ~alive).all():
            break
        alive &= enough
        kept = alive[pairs].all(1)
        part = _parts(_beats(pairs[kept], result[kept], n_items))
    core = _largest(part, alive, pairs[_inside(pairs, part, alive)])
    others = np.setdiff1d(np.arange(n_items), core)
    reasons = _reasons(whole, connected, core, others)
    return core, tuple(map(Unranked, others.tolist(), reasons))


def _beats(pairs: Ints, result: Floats, n_items: int) -> sparse.csr_matrix:
    """A graph with an edge from each item to those that it beat or tied."""
    won, lost = result >= 0.5, result <= 0.5
    better = np.concatenate([pairs[won, 0], pairs[lost, 1]])
    worse = np.concatenate([pairs[won, 1], pairs[lost, 0]])
    return sparse.coo_matrix((np.ones(len(better)), (better, worse)), (n_items, n_items)).tocsr()


def _parts(beats: sparse.csr_matrix) -> Parts:
    """The strongly connected part of each item."""
    parts: Parts = connected_components(beats, directed=True, connection="strong")[1]
    return parts


def _inside(pairs: Ints, part: Parts, alive: Flags) -> Flags:
    """Comparisons of two items of one part."""
    inside: Flags = (part[pairs[:, 0]] == part[pairs[:, 1]]) & alive[pairs].all(1)
    return inside


def _spans(pairs: Ints, cluster: Ints, n_items: int, fewest: tuple[int, ...]) -> Flags:
    """Which items have comparisons in enough clusters of each kind."""
    enough = np.ones(n_items, bool)
    for kind, least in zip(cluster.T, fewest, strict=True):
        seen = np.unique(np.column_stack([pairs.T.ravel(), np.tile(kind, 2)]), axis=0)
        enough &= np.bincount(seen[:, 0], minlength=n_items) >= least
    return enough


def _largest(part: Parts, alive: Flags, pairs: Ints) -> Ints:
    """The items of the part with most items; of several, that with most comparisons."""
    names = np.unique(part[alive])
    if not len(names):
        return np.zeros(0, np.int64)
    items = np.array([(part[alive] == name).sum() for name in names])
    compared = np.array([(part[pairs[:, 0]] == name).sum() for name in names])
    best = names[np.lexsort((-compared, -items))[0]]
    core = np.flatnonzero(alive & (part == best))
    return core if len(core) > 1 else core[:0]


def _reasons(beats: sparse.csr_matrix, part: Parts, core: Ints, others: Ints) -> list[Reason]:
    """Why each of the others is not among the ranked items; where none is, judged against all the rest."""
    if len(core):
        above, below = _reached(beats.T.tocsr(), core), _reached(beats, core)
        cut = above & below
    else:
        above, below = (np.asarray(beats.sum(axis)).ravel() > 0 for axis in (1, 0))
        cut = np.bincount(part)[part] > 1
    return [
        Reason.TOO_FEW_VOTES if cut[item]
        else Reason.NEVER_LOST if above[item] and not below[item]
        else Reason.NEVER_WON if below[item] and not above[item]
        else Reason.NO_CHAIN_OF_VOTES
        for item in others.tolist()
    ]  # fmt: skip


def _reached(graph: sparse.csr_matrix, core: Ints) -> Flags:
    """Which items edges lead to from the core."""
    reached = np.zeros(graph.shape[0], bool)
    if len(core):
        reached[breadth_first_order(graph, int(core[0]), return_predecessors=False)] = True
    return reached
