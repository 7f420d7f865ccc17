"""Reading a snapshot: what a training, an audit and a fit of a label rule all begin with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
from threadpoolctl import threadpool_limits

from clapometer.folding.fold import Progress, silent
from clapometer.labels import LabelRule, ScreeningLimits
from clapometer.lake.tables import Lake
from clapometer.training.evidence.clips import Clips, load_clips
from clapometer.training.evidence.evidence import Evidence
from clapometer.training.evidence.outcomes import Outcomes
from clapometer.training.evidence.screening import Screening
from clapometer.training.parameters import DEFAULT_PARAMETERS, Parameters

__all__ = ["UNLIMITED", "Reading", "Resources", "reading"]


@dataclass(frozen=True)
class Resources:
    """What a job may use; nothing here changes a result.

    Attributes:
        threads: For DuckDB; None is all cores.
        memory_limit: For DuckDB, such as ``"2GB"``; what does not fit spills to the lake's disk.
    """

    threads: int | None = None
    memory_limit: str | None = None


UNLIMITED = Resources()


@dataclass(frozen=True, eq=False)
class Reading:
    """What was read of a tenant; nothing of it changes from then on.

    Attributes:
        con: Connection to the snapshot, with the tables ``registered`` (clips) and ``automated`` (viewers left out).
        tenant: Whose.
        clips: The tenant's clips.
        outcomes: All outcomes, screened.
        evidence: Those that count.
        screening: Which clips do not count.
    """

    con: duckdb.DuckDBPyConnection
    tenant: str
    clips: Clips
    outcomes: Outcomes
    evidence: Evidence
    screening: Screening


@contextmanager
def reading(
    lake: Lake,
    tenant: str,
    rule: tuple[LabelRule, dt.datetime],
    *,
    parameters: Parameters = DEFAULT_PARAMETERS,
    snapshot: Mapping[str, int] | None = None,
    resources: Resources = UNLIMITED,
    progress: Progress = silent,
) -> Iterator[Reading]:
    """Yields what a snapshot says of a tenant.

    Args:
        lake: The lake.
        tenant: Whose clips and outcomes.
        rule: What an outcome is worth, and the time as of which it is mature.
        parameters: Which clips and viewers count.
        snapshot: Version of each table; the latest where it is not given.
        resources: What may be used.
        progress: Is told stages.
    """
    screening = Screening(parameters.drop_ads, parameters.drop_watermarks, parameters.drop_reposts)
    connection = lake.connect(snapshot, threads=resources.threads, memory_limit=resources.memory_limit)
    # The order in which a linear algebra library adds up depends on its threads.
    with connection as con, threadpool_limits(1):
        progress("clips", 0, 1)
        clips = load_clips(con, tenant, drop_ads=screening.ads, drop_watermarks=screening.watermarks)
        progress("statistics", 0, 1)
        outcomes = Outcomes.read(con, lake, tenant, rule, None if snapshot is None else snapshot["outcomes"])
        outcomes = outcomes.screened(ScreeningLimits() if parameters.screen_viewers else None)
        con.register("found", outcomes.automated)
        con.execute("CREATE TEMP TABLE automated AS FROM found")
        con.unregister("found")
        yield Reading(con, tenant, clips, outcomes, outcomes.scored(screening), screening)
