"""Which runs a clip was part of: what a takedown has to name."""

from typing import Literal

import msgspec

from clapometer.domain import NEAREST, in_words
from clapometer.lake.statements import sql
from clapometer.lake.tables import Lake

Scope = Literal["clip", "descendants", "duplicates"]


class Traces(msgspec.Struct, frozen=True):
    """Where a clip was.

    Attributes:
        clips: The clip, and those that its scope adds.
        runs: Good runs that read an outcome of one of them, oldest first.
        pairs: Preference labels that name one of them, by run.
    """

    clips: list[str]
    runs: list[str]
    pairs: dict[str, int]


def is_known(lake: Lake, tenant: str, clip_id: str) -> bool:
    """Returns whether a clip of a tenant was ever registered, shown or named in a choice."""
    with lake.connect() as con:
        (found,) = con.execute(sql("takedown/sql/known.sql"), {"tenant": tenant, "clip": clip_id}).fetchall()[0]
    return bool(found)


def nearest_clips(lake: Lake, tenant: str, clip_id: str) -> str:
    """Returns the end of a sentence that offers the registered clips of a tenant whose ids are nearest."""
    with lake.connect() as con:
        given = {"tenant": tenant, "clip": clip_id, "n": NEAREST}
        return in_words(clip for (clip,) in con.execute(sql("takedown/sql/nearest.sql"), given).fetchall())


def runs_with_clip(lake: Lake, tenant: str, clip_id: str, scope: Scope = "clip") -> Traces:
    """Returns the runs of a tenant that contained a clip, or one that the scope adds to it."""
    with lake.connect() as con:
        given = {"tenant": tenant, "clip": clip_id, "scope": scope}
        clips = [clip for (clip,) in con.execute(sql("takedown/sql/clips.sql"), given).fetchall()]
        runs = con.execute(sql("takedown/sql/runs.sql"), {"tenant": tenant, "clips": clips}).fetchall()
        pairs = con.execute(sql("takedown/sql/pairs.sql"), {"tenant": tenant, "clips": clips}).fetchall()
    return Traces(clips, [run for (run,) in runs], dict(pairs))
