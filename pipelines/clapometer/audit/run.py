"""A recorded run made ready to be doubted: its clips, outcomes, scores and fit, from the snapshot that it read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import msgspec
import numpy as np
from threadpoolctl import threadpool_limits

from clapometer.domain import InputError, NotFoundError, TerminalError
from clapometer.labels import ScreeningLimits
from clapometer.lake.tables import Lake
from clapometer.ranking import PromptFixedEffects
from clapometer.training.boards.model_versions import Scores, fit_models, score_clips, slices
from clapometer.training.boards.rows import Slice
from clapometer.training.evidence.clips import Clips, load_clips
from clapometer.training.evidence.heard import keep_automated
from clapometer.training.evidence.impressions import Impressions
from clapometer.training.evidence.screening import Scored, Screening
from clapometer.training.runs import Run, read_run, read_runs
from clapometer.training.train import Resources, check_kept


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
        con: Connection to the snapshot, with ``registered`` and ``automated``.
        clips: The tenant's clips.
        impressions: The tenant's, of which those of ``automated`` do not count.
        fitted: As the run had it.
    """

    lake: Lake
    run: Run
    con: duckdb.DuckDBPyConnection
    clips: Clips
    impressions: Impressions
    fitted: Fitted

    def name(self, item: int) -> str:
        """Returns the model version at a place in ``fit.items_``."""
        assert self.fitted.fit is not None
        return self.clips.model.names[int(self.fitted.fit.items_[item])]


def choose_run(lake: Lake, tenant: str, run_id: str | None) -> Run:
    """Returns the run to audit: the one that is named, or the tenant's newest good one.

    Raises:
        NotFoundError: There is none.
        InputError: It failed, or is another tenant's.
    """
    if run_id is None:
        good = [run for run in read_runs(lake, tenant) if run.status == "succeeded"]
        if not good:
            trained = {run.tenant for run in read_runs(lake) if run.status == "succeeded"}
            msg = f"tenant {tenant!r} has no ranking to audit yet; " + (
                f"there is one of {', '.join(sorted(trained))}" if trained else "`clapometer train` makes one"
            )
            raise NotFoundError(msg)
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
        version = run.snapshot["outcomes"]
        impressions = Impressions(con, lake, run.tenant, (run.rule, run.as_of), version)
        fitted = fit_again(con, run, clips, impressions, limits)
        yield Audited(lake, run, con, clips, impressions, fitted)


def fit_again(
    con: duckdb.DuckDBPyConnection, run: Run, clips: Clips, impressions: Impressions, limits: ScreeningLimits | None
) -> Fitted:
    """Returns what a run's ranking comes from, its viewers screened by ``limits`` (None: not at all).

    Makes ``automated`` anew, and from then on other impressions count.
    """
    parameters = run.parameters
    keep_automated(con, impressions.screen(limits))
    screening = Screening(parameters.drop_ads, parameters.drop_watermarks, parameters.drop_reposts)
    scored = impressions.score(screening)
    everything = msgspec.structs.replace(parameters, segments=())
    part = next(slices(impressions, clips, scored, everything))
    scores = score_clips(part, parameters)
    fit = None if scores.reason else fit_models(part, scores, clips, parameters, run.seed)
    return Fitted(scored, part, scores, fit if fit is not None and len(fit.items_) > 1 else None)
