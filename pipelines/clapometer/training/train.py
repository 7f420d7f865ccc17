"""Training: outcomes to labels to rankings, recorded so that every number can be made again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import duckdb
import msgspec
import pyarrow as pa

from clapometer.domain import ClapometerError, InputError, TerminalError
from clapometer.folding.fold import Progress, refresh_outcomes, silent
from clapometer.labels import DEFAULT_RULE, LabelRule
from clapometer.lake.delta.table import CommitConflictError
from clapometer.lake.kept import drop_kept
from clapometer.lake.published.publish import publish
from clapometer.lake.specs import RESULTS, TABLES
from clapometer.lake.tables import Lake
from clapometer.ranking import Budget
from clapometer.training.boards.buyable import NOT_FOR_SALE
from clapometer.training.boards.left_out import count_orphans, screened_items
from clapometer.training.boards.model_versions import rank_models
from clapometer.training.boards.preference_labels import compare_clips
from clapometer.training.boards.prompts import fit_prompts, rank_prompts
from clapometer.training.boards.robustness import MOST_IMPRESSIONS, how_sturdy
from clapometer.training.boards.rows import Row, to_table
from clapometer.training.boards.scores import NUMERIC, fit_models, not_computed, score_part
from clapometer.training.boards.slices import slices
from clapometer.training.boards.votes import rank_said
from clapometer.training.evidence.heard import hear
from clapometer.training.evidence.screening import COSTLY, ORPHANS
from clapometer.training.lock import training_lock
from clapometer.training.parameters import DEFAULT_PARAMETERS, Parameters
from clapometer.training.planning import tenants
from clapometer.training.reading import UNLIMITED, Resources, reading
from clapometer.training.runs import (
    Run,
    code_version,
    drop_old_results,
    new_run_id,
    read_run,
    record_run,
    result_hash,
)

Clock = Callable[[], dt.datetime]
READ = ("events", "outcomes")
"""Tables that a ranking is made from."""


@dataclass(frozen=True)
class TrainReport:
    """What a run did.

    Attributes:
        run: Its record.
        items: Rows of rankings by subject, ranked or not.
        ranked: Those of them that have a place.
    """

    run: Run
    items: Mapping[str, int]
    ranked: Mapping[str, int]


@dataclass(frozen=True)
class Reproduction:
    """Whether a run came out again.

    Attributes:
        run_id: The run.
        expected: Hash of its results.
        found: Hash of the results made now.
    """

    run_id: str
    expected: str
    found: str

    @property
    def same(self) -> bool:
        """Whether they are equal, bit for bit."""
        return self.expected == self.found


@dataclass(frozen=True)
class Results:
    """Rows of the tables that a run makes, and what is recorded of it."""

    rankings: list[Row]
    contrasts: list[Row]
    comparisons: list[Row]
    screened: list[Row]
    excluded: dict[str, int]
    outcomes: int
    tier: str
    tier_reason: str

    def tables(self, run: Run) -> dict[str, pa.Table]:
        """Returns the results as tables of the lake."""
        rankings, contrasts, comparisons, screened = (TABLES[name][0] for name in RESULTS)
        own = {"run_id": run.run_id, "tenant": run.tenant}
        return {
            "rankings": to_table(self.rankings, rankings, **own, created_at=run.as_of),
            "contrasts": to_table(self.contrasts, contrasts, **own),
            "comparisons": to_table(self.comparisons, comparisons, **own),
            "screened": to_table(self.screened, screened, **own),
        }


def train_once(
    lake: Lake,
    rule: LabelRule = DEFAULT_RULE,
    *,
    clock: Clock,
    tenant: str = "default",
    seed: int = 0,
    trigger: str = "manual",
    parameters: Parameters = DEFAULT_PARAMETERS,
    resources: Resources = UNLIMITED,
    keep_runs: int = 100,
    progress: Progress = silent,
) -> TrainReport:
    """Brings the outcomes up to date, ranks a tenant's items and publishes the rankings.

    A run that fails is recorded with its reason, and the last good ranking stays.

    Args:
        lake: The lake.
        rule: What an outcome is worth.
        clock: Returns the time, with its zone.
        tenant: Whose outcomes.
        seed: Of all draws.
        trigger: For the record: who asked.
        parameters: What else decides the result.
        resources: What the job may use.
        keep_runs: Runs whose results stay in the lake.
        progress: Is told stages and how far they are.

    Raises:
        TrainingLockedError: Another process is training on this lake; nothing was started.
    """
    started = clock()
    run = Run(
        run_id=new_run_id(started),
        tenant=tenant,
        status="failed",
        trigger=trigger,
        started_at=started,
        finished_at=started,
        as_of=started,
        code_version=code_version(),
        rule=rule,
        parameters=parameters,
        seed=seed,
        snapshot={},
    )
    with training_lock(lake, run):
        run, results = _attempt(lake, run, resources, progress)
        run = msgspec.structs.replace(run, finished_at=clock())
        record_run(lake, run)
        if run.status == "succeeded":
            with suppress(CommitConflictError):  # what is too old goes next time
                drop_old_results(lake, tenant, keep_runs)
        publish(lake)
        drop_kept(lake)
    return _report(run, results)


def _attempt(lake: Lake, run: Run, resources: Resources, progress: Progress) -> tuple[Run, Results | None]:
    """Makes a run's results and writes them to the lake; returns the run as it ended."""
    try:
        limits = {"threads": resources.threads, "memory_limit": resources.memory_limit}
        report = refresh_outcomes(lake, **limits, progress=progress)  # type: ignore[arg-type]
        run = msgspec.structs.replace(
            run, snapshot={"events": report.events_version, "outcomes": report.outcomes_version}
        )
        results = compute(lake, run, resources, progress)
        tables = results.tables(run)
        for name, table in tables.items():
            lake.append(name, table)
    except Exception as failure:  # noqa: BLE001 - whatever it is, it is recorded, and the last good ranking stays
        return msgspec.structs.replace(run, error=_explain(failure)), None
    succeeded = msgspec.structs.replace(
        run,
        status="succeeded",
        excluded=results.excluded,
        outcomes=results.outcomes,
        tier=results.tier,
        tier_reason=results.tier_reason,
        result_hash=result_hash(tables),
    )
    return succeeded, results


def train_all(lake: Lake, rule: LabelRule = DEFAULT_RULE, **settings: object) -> list[TrainReport]:
    """Trains every tenant that has a clip or an outcome; the default one where there is none.

    ``settings`` are those of `train_once` but ``tenant``.
    """
    return [train_once(lake, rule, tenant=tenant, **settings) for tenant in tenants(lake) or ["default"]]  # type: ignore[arg-type]


def reproduce(
    lake: Lake, run_id: str, *, resources: Resources = UNLIMITED, progress: Progress = silent
) -> Reproduction:
    """Makes the results of a recorded run again, from the snapshots that it read, and compares them.

    Raises:
        InputError: There is no such run, or it failed.
        TerminalError: A snapshot that it read is no longer kept.
    """
    run = read_run(lake, run_id)
    if run.status != "succeeded":
        msg = f"run {run_id} {run.status} and has no result: {run.error}"
        raise InputError(msg, "run")
    check_kept(lake, run)
    found = result_hash(compute(lake, run, resources, progress).tables(run))
    return Reproduction(run_id, run.result_hash, found)


def check_kept(lake: Lake, run: Run) -> None:
    """Raises where the files that a run read are no longer all there.

    Raises:
        TerminalError: A snapshot that it read is no longer kept.
    """
    try:
        missing = [path for name in READ for path in lake.files(name, run.snapshot[name]) if not path.exists()]
    except Exception as error:
        msg = f"version {run.snapshot} of the lake is forgotten; run {run.run_id} cannot be made again"
        raise TerminalError(msg) from error
    if missing:
        msg = f"{len(missing)} files that run {run.run_id} read were deleted since, such as {missing[0].name}"
        raise TerminalError(msg)


def compute(lake: Lake, run: Run, resources: Resources, progress: Progress = silent) -> Results:
    """Returns what a run's snapshot comes to; the same for the same run, whatever the resources.

    Raises:
        InputError: There is nothing to rank.
    """
    parameters, rule = run.parameters, (run.rule, run.as_of)
    given = {"parameters": parameters, "snapshot": run.snapshot, "resources": resources, "progress": progress}
    with reading(lake, run.tenant, rule, **given) as read:  # type: ignore[arg-type]
        con, clips, evidence, scored = read.con, read.clips, read.evidence, read.evidence.summary
        if not len(clips):
            msg = "there is nothing to rank: no clip is registered; PUT /v1/clips/{id} before it is shown"
            raise InputError(msg)
        if not scored.outcomes:
            msg = "there is nothing to rank: no impression was received; POST impressions to /v1/events"
            raise InputError(msg)
        rankings, contrasts, comparisons = list[Row](), list[Row](), list[Row]()
        sturdy, buyable = dict[int, Row](), NOT_FOR_SALE
        for done, part in enumerate(slices(evidence, clips, parameters)):
            progress("rankings", done, done + 1)
            scores = score_part(evidence, part, clips, parameters)
            fit = None
            try:  # what one subject fails of is its own
                fit = None if scores.reason else fit_models(part, scores, clips, parameters, run.seed)
            except NUMERIC as error:
                scores = replace(scores, reason=not_computed(error))
            if part.segment == "all" and fit is not None:
                sample = evidence.sample(MOST_IMPRESSIONS, uniform=scored.tier == "C")
                budget = Budget(viewers=0) if scored.tier == "C" else parameters.budget  # nothing is claimed there
                sturdy, buyable = how_sturdy(sample, part, scores, fit, rule=run.rule, budget=budget)
            models = rank_models(part, scores, clips, scored, parameters=parameters, fit=fit, buyable=buyable)
            fitted = fit_prompts(part, scores, clips, parameters)
            for found, pairs in (
                models,
                rank_prompts(part, fitted, clips, scored, parameters=parameters, seed=run.seed, rule=run.rule),
            ):
                rankings += found
                contrasts += pairs
            if part.segment == "all":
                reason = scored.tier_reason or scores.unsupported
                viewers = evidence.viewers_by_model(clips.model.index[clips.unit])
                for row in rankings:
                    if row["subject"] == "model_versions":
                        item = clips.model.names.index(row["item"])
                        row["viewers"] = int(viewers[item])
                        row.update(sturdy.get(item, {}))
                heard = hear(con, clips, run.tenant)
                voted, contrasted = rank_said(heard, part, clips, scored, parameters=parameters, seed=run.seed)
                rankings += voted
                contrasts += contrasted
                comparisons = compare_clips(
                    heard.said, part, fitted, clips, rule=run.rule.id, tier=scored.tier if part.whole else "C",
                    max_pairs=parameters.max_pairs,
                )  # fmt: skip
        orphans = count_orphans(con, run.tenant) if parameters.count_orphans else 0
        beside = {ORPHANS: orphans, COSTLY: len(clips.odd_costs)}
        excluded = scored.excluded | {reason: n for reason, n in beside.items() if n} | heard.aside
        left_out = screened_items(con, clips, read.outcomes.automated, read.screening, evidence.outliers)
        return Results(
            rankings, contrasts, comparisons, left_out, excluded, scored.outcomes, "C" if reason else "B", reason
        )


def _explain(failure: Exception) -> str:
    """Returns what went wrong and what to do, in one line."""
    if isinstance(failure, duckdb.OutOfMemoryException):
        return f"out of memory; raise the memory limit or free disk for spilling: {failure}"
    return str(failure) if isinstance(failure, ClapometerError) else f"{type(failure).__name__}: {failure}"


def _report(run: Run, results: Results | None) -> TrainReport:
    items: dict[str, int] = {}
    ranked: dict[str, int] = {}
    for row in results.rankings if results else []:
        items[row["subject"]] = items.get(row["subject"], 0) + 1
        ranked[row["subject"]] = ranked.get(row["subject"], 0) + ("rank" in row)
    return TrainReport(run, items, ranked)
