"""Which items can be compared at all: the graph of items that share prompts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from clapometer.ranking.results import Reason, Unranked

__all__ = ["comparable", "shared_prompts"]

Ints = NDArray[np.int64]


def shared_prompts(item: Ints, prompt: Ints, n_items: int) -> Ints:
    """Number of prompts on which each item meets another one, ``(n_items,)``."""
    pairs = np.unique(np.column_stack([prompt, item]), axis=0).reshape(-1, 2)
    _, place, met = np.unique(pairs[:, 0], return_inverse=True, return_counts=True)
    return np.bincount(pairs[met[place] > 1, 1], minlength=n_items)


def comparable(item: Ints, prompt: Ints, n_items: int, min_prompts: int) -> tuple[Ints, tuple[Unranked, ...]]:
    """The items of the largest connected part, and why each of the others is not in it.

    An item belongs when it meets others on at least `min_prompts` prompts; items that do not are taken
    out, which may disconnect others, until nothing changes.

    Args:
        item: Item of each clip, ``(n_clips,)``.
        prompt: Prompt of each clip.
        n_items: Items are 0..n_items-1.
        min_prompts: Fewest prompts (clusters) for an interval.
    """
    reasons = dict.fromkeys(np.setdiff1d(np.arange(n_items), item).tolist(), Reason.NO_CLIPS)
    keep = np.ones(len(item), bool)
    while keep.any():
        out = _misfits(item[keep], prompt[keep], n_items, min_prompts)
        if not out:
            break
        reasons |= out
        keep &= ~np.isin(item, list(out))
    ranked = np.setdiff1d(np.arange(n_items), list(reasons))
    return ranked, tuple(Unranked(i, reasons[i]) for i in sorted(reasons))


def _misfits(item: Ints, prompt: Ints, n_items: int, min_prompts: int) -> dict[int, Reason]:
    present = np.unique(item)
    if len(present) == 1:
        return {int(present[0]): Reason.ONE_ITEM}
    shared = shared_prompts(item, prompt, n_items)
    alone = present[shared[present] == 0]
    if len(alone):
        return dict.fromkeys(alone.tolist(), Reason.NO_OVERLAP)
    part = _parts(item, prompt, n_items)
    main = np.bincount(part[item]).argmax()
    apart = present[part[present] != main]
    if len(apart):
        return dict.fromkeys(apart.tolist(), Reason.DISCONNECTED)
    few = present[shared[present] < min_prompts]
    return dict.fromkeys(few.tolist(), Reason.TOO_FEW_PROMPTS)


def _parts(item: Ints, prompt: Ints, n_items: int) -> Ints:
    size = n_items + int(prompt.max()) + 1
    links = sparse.coo_matrix((np.ones(len(item)), (item, n_items + prompt)), (size, size))
    part: Ints = connected_components(links, directed=False)[1][:n_items]
    return part
