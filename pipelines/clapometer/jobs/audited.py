"""A recorded run made ready to be doubted: its clips, outcomes, scores and fit, from the snapshot that it read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import msgspec
import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from clapometer.domain import InputError, TerminalError
from clapometer.jobs.clips import Clips, load_clips
from clapometer.jobs.rankings import Scores, fit_models, score_clips, slices
from clapometer.jobs.runs import Run, read_run, read_runs
from clapometer.jobs.sheets import Slice
from clapometer.jobs.statistics import Scored, Screening, score_outcomes, screen
from clapometer.jobs.train import Resources, check_kept
from clapometer.labels import ScreeningLimits
from clapometer.lake import Lake
from clapometer.ranking import PromptFixedEffects


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a run's ranking of model versions comes from.

    Attributes:
        scored: What is known of the outcomes.
        part: The slice of everything.
        scores: Clip scores.
        fit: Of model versions; None where there is no score.
    """

    scored: Scored
    part: Slice
    scores: Scores
    fit: PromptFixedEffects | None

    @property
    def order(self) -> list[int]:
        """Places in ``fit.items_``, best first."""
        return [] if self.fit is None else np.argsort(-self.fit.effects_, kind="stable").tolist()


@dataclass(frozen=True, eq=False)
class Audited:
    """A run, its lake and what its ranking comes from.

    Attributes:
        lake: The lake.
        run: The run.
        con: Connection to the snapshot, with the tables that training makes and ``automated``.
        clips: The tenant's clips.
        fitted: As the run had it.
    """

    lake: Lake
    run: Run
    con: duckdb.DuckDBPyConnection
    clips: Clips
    fitted: Fitted

    def name(self, item: int) -> str:
        """Returns the model version at a place in ``fit.items_``."""
        assert self.fitted.fit is not None
        return self.clips.model.names[int(self.fitted.fit.items_[item])]


def choose_run(lake: Lake, tenant: str, run_id: str | None) -> Run:
    """Returns the run to audit: the one that is named, or the tenant's newest good one.

    Raises:
        InputError: There is none, it failed, or it is another tenant's.
    """
    if run_id is None:
        good = [run for run in read_runs(lake, tenant) if run.status == "succeeded"]
        if not good:
            msg = f"{tenant!r} has no ranking to audit yet; `clapometer train` makes one"
            raise InputError(msg, "tenant")
        return good[-1]
    run = read_run(lake, run_id)
    if run.tenant != tenant:
        msg = f"run {run_id} is not of tenant {tenant!r}; name its tenant, too"
        raise InputError(msg, "run")
    if run.status != "succeeded":
        msg = f"run {run_id} {run.status} and has no ranking: {run.error}"
        raise InputError(msg, "run")
    return run


@contextmanager
def opened(lake: Lake, run: Run, resources: Resources) -> Iterator[Audited]:
    """Yields a run with everything that its ranking comes from.

    Raises:
        InputError: Files that it read are gone.
    """
    try:
        check_kept(lake, run)
    except TerminalError as error:
        msg = f"{error}; train again and audit the new run"
        raise InputError(msg, "run") from error
    connection = lake.connect(run.snapshot, threads=resources.threads, memory_limit=resources.memory_limit)
    parameters = run.parameters
    with connection as con, threadpool_limits(1):
        clips = load_clips(con, run.tenant, drop_ads=parameters.drop_ads, drop_watermarks=parameters.drop_watermarks)
        limits = ScreeningLimits() if parameters.screen_viewers else None
        yield Audited(lake, run, con, clips, fit_again(con, run, clips, limits))


def fit_again(con: duckdb.DuckDBPyConnection, run: Run, clips: Clips, limits: ScreeningLimits | None) -> Fitted:
    """Returns what a run's ranking comes from, its viewers screened by ``limits`` (None: not at all).

    Makes ``automated`` and all tables of `score_outcomes` anew.
    """
    parameters = run.parameters
    automated = None if limits is None else screen(con, run.tenant, limits)
    con.register("given", automated or pa.table({"viewer_id": pa.array([], pa.string())}))
    con.execute("CREATE OR REPLACE TEMP TABLE automated AS FROM given")
    con.unregister("given")
    screening = Screening(parameters.drop_ads, parameters.drop_watermarks, parameters.drop_reposts)
    scored = score_outcomes(con, run.tenant, run.rule, run.as_of, screening=screening, automated=automated)
    everything = msgspec.structs.replace(parameters, segments=())
    part = next(slices(con, clips, scored, everything))
    scores = score_clips(part, parameters)
    fit = None if scores.reason else fit_models(part, scores, clips, parameters, run.seed)
    return Fitted(scored, part, scores, fit if fit is not None and len(fit.items_) > 1 else None)
