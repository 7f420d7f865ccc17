"""Preference labels for pairs of clips of one prompt: from what people said, and from what viewers did."""

from __future__ import annotations

import duckdb
import numpy as np
from numpy.typing import NDArray

from clapometer.jobs.clips import Clips, numbers
from clapometer.jobs.prompts import Fitted
from clapometer.jobs.sheets import Row, Slice
from clapometer.labels import PairLabels, Said, explicit_pairs, pairs_of_prompts, posterior_pairs
from clapometer.lake import sql

Ints = NDArray[np.int64]

TIE_MARGIN = 0.02
"""Within this distance from even odds a pair is called a tie."""


def compare_clips(
    con: duckdb.DuckDBPyConnection, part: Slice, fitted: Fitted | str, clips: Clips, *, tenant: str, rule: str,
    tier: str, max_pairs: int,
) -> list[Row]:  # fmt: skip
    """Returns the labels of pairs of clips; what people said of a pair replaces what their viewers did.

    Args:
        con: Snapshot of the lake, with the tenant's clips in ``registered``.
        part: The slice of everything.
        fitted: Its fit.
        clips: The tenant's clips.
        tenant: Whose.
        rule: Name and version of the label rule.
        tier: Of what viewers did.
        max_pairs: Most pairs of one prompt.
    """
    said = _said(con, clips, tenant)
    rows = [_row(clips, said, k, rule=rule, tier="A", evidence="votes and creators' choices") for k in range(len(said))]
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
    known = set(zip(said.left.tolist(), said.right.tolist(), strict=True))
    return rows + [
        _row(clips, viewed, k, rule=rule, tier=tier, evidence="impressions")
        for k, pair in enumerate(zip(viewed.left.tolist(), viewed.right.tolist(), strict=True))
        if pair not in known and pair[::-1] not in known
    ]


def _said(con: duckdb.DuckDBPyConnection, clips: Clips, tenant: str) -> PairLabels:
    """Labels from explicit comparisons of clips of one prompt that can be ranked."""
    table = con.sql(sql("train_said"), params={"tenant": tenant}).to_arrow_table()
    left, right = clips.unit[numbers(table["left_clip"])], clips.unit[numbers(table["right_clip"])]
    result = table["result"].combine_chunks().to_numpy(zero_copy_only=False)
    same_prompt = clips.prompt.index[left] == clips.prompt.index[right]
    keep = same_prompt & (left != right) & ~clips.excluded[left] & ~clips.excluded[right]
    return explicit_pairs(Said(left[keep], right[keep], result[keep]))


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
