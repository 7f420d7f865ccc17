"""What people said of two clips, as far as it counts: votes, and creators' choices."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from clapometer.labels import Said
from clapometer.lake.statements import sql
from clapometer.training.evidence.clips import Clips, numbers

__all__ = ["Heard", "hear"]

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

REPLACED = "vote that a later one of the same viewer replaced"
OTHER_PROMPT = "vote on clips of two prompts, or on one clip"
LEFT_OUT_CLIP = "vote on a clip that does not count"


@dataclass(frozen=True, eq=False)
class Heard:
    """Explicit comparisons of two clips of one prompt, of each voter and pair the latest.

    Attributes:
        said: Those that say which is better; rows of `Clips`.
        voted: Which of them are votes, rather than creators' choices.
        bad: Pairs of clips that are both bad, ``(n, 2)``.
        aside: How many votes do not count, by reason.
    """

    said: Said
    voted: Flags
    bad: Ints
    aside: dict[str, int]


def hear(con: duckdb.DuckDBPyConnection, clips: Clips, tenant: str) -> Heard:
    """Returns what counts of what people said.

    Args:
        con: Connection to the snapshot, with ``registered`` and ``automated``.
        clips: The tenant's clips.
        tenant: Whose.
    """
    table = con.sql(sql("training/sql/said.sql"), params={"tenant": tenant}).to_arrow_table().combine_chunks()
    aside = np.array(table["aside"].to_pylist(), object)
    known = np.flatnonzero(table["aside"].is_null().to_numpy())
    rows = table.take(pa.array(known))
    left, right = clips.unit[numbers(rows["left_clip"])], clips.unit[numbers(rows["right_clip"])]
    voter = np.unique(np.array(rows["voter"].to_pylist(), str), return_inverse=True)[1].reshape(-1)
    same = (clips.prompt.index[left] == clips.prompt.index[right]) & (left != right)
    counted = same & ~clips.excluded[left] & ~clips.excluded[right]
    aside[known[~same]] = OTHER_PROMPT
    aside[known[same & ~counted]] = LEFT_OUT_CLIP
    latest = _first(np.column_stack([voter, np.minimum(left, right), np.maximum(left, right)]), counted)
    aside[known[counted & ~latest]] = REPLACED
    voted = np.array(table["evidence"].to_pylist(), object) == "vote"
    reasons = [reason for reason in aside[voted].tolist() if reason is not None]
    result = rows["result"].combine_chunks().to_numpy(zero_copy_only=False).astype(np.float64)
    bad = latest & np.isnan(result)
    kept = latest & ~bad
    return Heard(
        Said(left[kept], right[kept], result[kept], voter[kept]),
        voted[known][kept],
        np.column_stack([left[bad], right[bad]]),
        {reason: reasons.count(reason) for reason in sorted(set(reasons))},
    )


def _first(keys: Ints, among: Flags) -> Flags:
    """Which rows are the first of those with their key."""
    first = np.zeros(len(keys), bool)
    rows = np.flatnonzero(among)
    if len(rows):
        first[rows[np.unique(keys[rows], axis=0, return_index=True)[1]]] = True
    return first
