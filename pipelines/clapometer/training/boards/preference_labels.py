"""Preference labels for pairs of clips of one prompt: from what people said, and from what viewers did."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clapometer.labels import PairLabels, Said, explicit_pairs, pairs_of_prompts, posterior_pairs
from clapometer.training.boards.prompts import FittedPrompts
from clapometer.training.boards.rows import Row
from clapometer.training.boards.slices import Slice
from clapometer.training.evidence.clips import Clips

Ints = NDArray[np.int64]

TIE_MARGIN = 0.02
"""Within this distance from even odds a pair is called a tie."""


def compare_clips(
    said: Said, part: Slice, fitted: FittedPrompts | str, clips: Clips, *, rule: str, tier: str, max_pairs: int
) -> list[Row]:
    """Returns the labels of pairs of clips; what people said of a pair replaces what their viewers did.

    Args:
        said: What people said, `clapometer.training.evidence.heard.hear`.
        part: The slice of everything.
        fitted: Its fit.
        clips: The tenant's clips.
        rule: Name and version of the label rule.
        tier: Of what viewers did.
        max_pairs: Most pairs of one prompt.
    """
    voted = explicit_pairs(said)
    rows = [
        _row(clips, voted, k, rule=rule, tier="A", evidence="votes and creators' choices") for k in range(len(voted))
    ]
    if isinstance(fitted, str):
        return rows
    rates = fitted.rates
    left, right = pairs_of_prompts(part.table.prompt[rates.unit], rates.impressions, max_pairs)
    viewed = posterior_pairs(fitted.bayes, left, right, rates.impressions)
    row_of = part.rows[rates.unit]
    viewed = PairLabels(
        row_of[viewed.left], row_of[viewed.right], viewed.p_left, viewed.margin, viewed.weight,
        viewed.left_evidence, viewed.right_evidence, viewed.tier,
    )  # fmt: skip
    known = set(zip(voted.left.tolist(), voted.right.tolist(), strict=True))
    return rows + [
        _row(clips, viewed, k, rule=rule, tier=tier, evidence="impressions")
        for k, pair in enumerate(zip(viewed.left.tolist(), viewed.right.tolist(), strict=True))
        if pair not in known and pair[::-1] not in known
    ]


def _row(clips: Clips, pairs: PairLabels, k: int, *, rule: str, tier: str, evidence: str) -> Row:
    chance = float(pairs.p_left[k])
    result = "tie" if abs(chance - 0.5) <= TIE_MARGIN else "left" if chance > 0.5 else "right"
    return {
        "rule": rule,
        "prompt_id": clips.prompt.names[clips.prompt.index[pairs.left[k]]],
        "left_clip_id": clips.ids[pairs.left[k]],
        "right_clip_id": clips.ids[pairs.right[k]],
        "result": result,
        "p_left": chance,
        "margin": float(pairs.margin[k]),
        "weight": float(pairs.weight[k]),
        "tier": tier,
        "left_impressions": int(pairs.left_evidence[k]),
        "right_impressions": int(pairs.right_evidence[k]),
        "evidence": evidence,
    }
