"""A recorded run made ready to be doubted: its clips, outcomes, scores and fit, from the snapshot that it read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import duckdb
import msgspec
import numpy as np

from clapometer.audit.findings import Finding
from clapometer.domain import InputError, TerminalError
from clapometer.lake.tables import Lake
from clapometer.ranking import PromptFixedEffects
from clapometer.training.boards.scores import Scores, fit_models, score_part
from clapometer.training.boards.slices import Slice, slices
from clapometer.training.evidence.clips import Clips
from clapometer.training.evidence.evidence import Evidence
from clapometer.training.evidence.screening import Scored
from clapometer.training.reading import Reading, Resources, reading
from clapometer.training.runs import Run
from clapometer.training.train import check_kept


@dataclass(frozen=True, eq=False)
class ModelFit:
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
        read: What it read.
        fitted: As the run had it.
    """

    lake: Lake
    run: Run
    read: Reading
    fitted: ModelFit

    @property
    def con(self) -> duckdb.DuckDBPyConnection:
        """Connection to the snapshot, with ``registered`` and ``automated``."""
        return self.read.con

    @property
    def clips(self) -> Clips:
        """The tenant's clips."""
        return self.read.clips

    @property
    def evidence(self) -> Evidence:
        """The tenant's outcomes that count."""
        return self.read.evidence

    def name(self, item: int) -> str:
        """Returns the model version at a place in ``fit.items_``."""
        assert self.fitted.fit is not None
        return self.clips.model.names[int(self.fitted.fit.items_[item])]


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
    given = {"parameters": run.parameters, "snapshot": run.snapshot, "resources": resources}
    with reading(lake, run.tenant, (run.rule, run.as_of), **given) as read:  # type: ignore[arg-type]
        yield Audited(lake, run, read, fit_again(run, read.clips, read.evidence))


def fit_again(run: Run, clips: Clips, evidence: Evidence) -> ModelFit:
    """Returns what a run's ranking comes from, or would come from if other evidence counted."""
    everything = msgspec.structs.replace(run.parameters, segments=())
    part = next(slices(evidence, clips, everything))
    scores = score_part(evidence, part, clips, everything)
    fit = None if scores.reason else fit_models(part, scores, clips, everything, run.seed)
    ranked = fit if fit is not None and len(fit.items_) > 1 else None
    scored = evidence.summary
    scored = replace(scored, tier_reason=scored.tier_reason or scores.unsupported)
    return ModelFit(scored, part, scores, ranked)


def nothing_to_check(check: str, audited: Audited) -> Finding:
    """Returns that a check is skipped because there is no ranking of model versions, and why there is none."""
    reason = audited.fitted.scores.reason or "fewer than two model versions have a place"
    return Finding(check=check, status="skipped", found=f"nothing to check: {reason}")
