"""The study: every estimator in every simulated world, against the truth.

Every finished world is a line of ``<out>.worlds.ndjson``, so an interrupted study goes on where it stopped, and
after a change of code only the estimators it touched are run again (`clapometer.study.fingerprint`);
`evidence.json` is a summary of those lines. Scenarios take turns: whenever it is stopped, all have as many worlds.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from clapometer.contestants import CONTESTANTS, Observation, observe
from clapometer.simulation import SCENARIOS, Scenario, build_world, compute_truth, fit_label, simulate_log
from clapometer.study.fingerprint import fingerprint
from clapometer.study.journal import Line, read_lines, run_tasks, write_rows

__all__ = ["StudyReport", "StudyRow", "run_study", "summarise"]

Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]

Z = float(norm.ppf(0.975))
SAVE_EVERY = 250
LOG_SEED = 1_000_003
"""Worlds and their logs must not share a stream of random numbers."""


@dataclass(frozen=True, slots=True)
class StudyRow:
    """One estimator in one scenario.

    Attributes:
        scenario: Name of the scenario.
        estimator: Name of the contestant.
        tier: Evidence that the scenario's log allows.
        worlds: Number of worlds.
        prompts: In each world.
        impressions: In each world, about.
        tau: Mean Kendall rank correlation with the truth.
        tau_utility: The same with true satisfaction, which the label only stands for.
        top1: Share of worlds in which the best model version came first.
        regret: Mean loss by taking the first, in standard deviations of the truth.
        bias: Mean over model versions of the absolute mean error, in standard deviations of the truth.
        worst: The largest error of any model version in any world, in standard deviations of the truth.
        coverage: Share of 95 % intervals that hold the truth.
        coverage_error: Standard error of `coverage`; the intervals of one world count as one observation.
        width: Mean width of the intervals in standard deviations of the truth.
        seconds: CPU time of the estimate, given the sufficient statistics, in the fastest world: whatever else the
            machine was doing does not count.

    Numbers are None for an estimator that could not answer.
    """

    scenario: str
    estimator: str
    tier: str
    worlds: int
    prompts: int
    impressions: int
    tau: float | None
    tau_utility: float | None
    top1: float | None
    regret: float | None
    bias: float | None
    worst: float | None
    coverage: float | None
    coverage_error: float | None
    width: float | None
    seconds: float


@dataclass(frozen=True, slots=True)
class StudyReport:
    """What the study found, and how much of it was computed in this run."""

    rows: tuple[StudyRow, ...]
    worlds_run: int
    worlds_resumed: int


def run_study(
    scenarios: Sequence[str] | None,
    worlds: int,
    seed: int,
    *,
    processes: int,
    out: Path,
    progress: Progress | None = None,
) -> StudyReport:
    """Runs `worlds` worlds of each scenario and writes the table to `out`.

    Args:
        scenarios: Names; None is all of `SCENARIOS`.
        worlds: Per scenario. Those already in ``<out>.worlds.ndjson`` are not run again.
        seed: World i of every scenario has the seed ``seed + i``.
        processes: Worlds at a time; 1 stays in this process.
        out: The evidence file (JSON list of rows).
        progress: Called with (finished, total) after every world.

    Raises:
        KeyError: A scenario is unknown.
    """
    named = {scenario.name: scenario for scenario in SCENARIOS}
    chosen = SCENARIOS if scenarios is None else tuple(named[name] for name in scenarios)
    lines_file = out.with_name(out.name + ".worlds.ndjson")
    out.parent.mkdir(parents=True, exist_ok=True)
    tasks = [Task(scenario, seed + i) for i in range(worlds) for scenario in chosen]
    lines = _known(lines_file, tasks)
    missing = [replace(task, known=lines.get(task.key)) for task in tasks if not _complete(lines.get(task.key))]
    done = len(tasks) - len(missing)
    for n, line in enumerate(run_tasks(run_world, missing, processes, lines_file), 1):
        lines[line["scenario"], line["seed"]] = line
        if n % SAVE_EVERY == 0:
            _save(chosen, lines, out)
        if progress is not None:
            progress(done + n, len(tasks))
    return StudyReport(_save(chosen, lines, out), worlds_run=len(missing), worlds_resumed=done)


def _save(scenarios: Iterable[Scenario], lines: dict[tuple[str, int], Line], out: Path) -> tuple[StudyRow, ...]:
    rows = summarise(scenarios, [line for line in lines.values() if _complete(line)])
    write_rows([asdict(row) for row in rows], out)
    return rows


@dataclass(frozen=True, slots=True)
class Task:
    """A world to run, and what an earlier run left of it."""

    scenario: Scenario
    seed: int
    known: Line | None = None

    @property
    def key(self) -> tuple[str, int]:
        """Names the world."""
        return self.scenario.name, self.seed


def _known(file: Path, tasks: Iterable[Task]) -> dict[tuple[str, int], Line]:
    """The last line of each of the worlds, as far as the world would be the same today."""
    worlds = {task.key: _world_code(task.scenario) for task in tasks}
    found = {(line["scenario"], line["seed"]): line for line in read_lines(file)}
    return {key: line for key, line in found.items() if line.get("world") == worlds.get(key, "")}


def _complete(line: Line | None) -> bool:
    return line is not None and not _stale(line)


def _stale(line: Line | None) -> list[str]:
    """Contestants that `line` lacks, or has from other code."""
    old = {} if line is None else line["estimates"]
    return [name for name, code in contestant_codes().items() if name not in old or old[name].get("code") != code]


@cache
def contestant_codes() -> dict[str, str]:
    """Fingerprint of the code of every contestant."""
    return {name: fingerprint(contestant.estimate) for name, contestant in CONTESTANTS.items()}


@cache
def _world_code(scenario: Scenario) -> str:
    makers = (build_world, simulate_log, fit_label, compute_truth, observe)
    return fingerprint(*(sys.modules[maker.__module__] for maker in makers), salt=repr(scenario.config))


def run_world(task: Task) -> Line:
    """One world: its truth and what every contestant says, ready for JSON."""
    scenario, seed = task.scenario, task.seed
    world = build_world(scenario.config, seed)
    label = fit_label(world)
    seen = observe(world, simulate_log(world, seed + LOG_SEED), label)
    line = task.known
    if line is None:
        truth = compute_truth(world, label)
        line = {
            "scenario": scenario.name,
            "seed": seed,
            "world": _world_code(scenario),
            "truth": _jsonable(truth.models),
            "utility": _jsonable(truth.utility),
            "estimates": {},
        }
    return line | {"estimates": line["estimates"] | {name: _estimate(name, seen, scenario) for name in _stale(line)}}


def _estimate(name: str, seen: Observation, scenario: Scenario) -> Line:
    began = time.process_time()
    estimate = CONTESTANTS[name].estimate(seen, scenario.config.n_models)
    return {
        "effects": _jsonable(estimate.effects),
        "errors": _jsonable(estimate.standard_errors),
        "seconds": round(time.process_time() - began, 6),
        "code": contestant_codes()[name],
    }


def _jsonable(values: Floats) -> list[float | None]:
    return [None if np.isnan(value) else round(float(value), 7) for value in values]


def summarise(scenarios: Iterable[Scenario], lines: list[dict[str, Any]]) -> tuple[StudyRow, ...]:
    """Rows of the evidence, scenario by scenario and contestant by contestant."""
    rows = []
    for scenario in scenarios:
        here = sorted((line for line in lines if line["scenario"] == scenario.name), key=lambda line: line["seed"])
        if here:
            rows += [_row(scenario, name, here) for name in CONTESTANTS if name in here[0]["estimates"]]
    return tuple(rows)


def _row(scenario: Scenario, name: str, lines: list[dict[str, Any]]) -> StudyRow:
    truth, utility = (np.array([line[key] for line in lines], float) for key in ("truth", "utility"))
    effects, errors = (
        np.array([line["estimates"][name][key] for line in lines], float) for key in ("effects", "errors")
    )
    blank = np.isnan(effects)
    truth, utility = (_centred(np.where(blank, np.nan, values)) for values in (truth, utility))
    effects = _centred(effects)
    if not CONTESTANTS[name].own_scale:
        stretch = np.nansum(effects * truth, axis=1) / np.maximum(np.nansum(effects**2, axis=1), 1e-300)
        effects, errors = effects * stretch[:, None], errors * np.abs(stretch[:, None])
    spread = np.sqrt(_nanmean(truth**2, axis=1))
    error = effects - truth
    held = np.where(np.isnan(error + errors), np.nan, np.abs(error) <= Z * errors)
    numbers = {
        "tau": _mean(kendall_tau(truth, effects)),
        "tau_utility": _mean(kendall_tau(utility, effects)),
        "top1": _mean(
            [np.nan if np.isnan(e).all() else _regret(t, e) == 0 for t, e in zip(truth, effects, strict=True)]
        ),
        "regret": _mean([_regret(t, e) for t, e in zip(truth, effects, strict=True)] / spread),
        "bias": _mean(np.abs(_nanmean(error, axis=0))) / _mean(spread),
        "worst": _largest(np.abs(error) / spread[:, None]),
        "coverage": _mean(held),
        "coverage_error": float(np.std(_nanmean(held, axis=1))) / np.sqrt(len(held)),
        "width": 2 * Z * _mean(errors) / _mean(spread),
    }
    seconds = round(min(line["estimates"][name]["seconds"] for line in lines), 4)
    known = {key: None if np.isnan(value) else round(value, 4) for key, value in numbers.items()}
    return StudyRow(
        scenario.name,
        name,
        scenario.tier,
        len(lines),
        prompts=scenario.config.n_prompts,
        impressions=scenario.config.n_sessions * scenario.config.slots_per_session,
        **known,
        seconds=seconds,
    )


def _nanmean(values: Any, axis: int | None = None) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # A contestant that never answers has no mean.
        return np.nanmean(np.asarray(values, float), axis=axis)


def _mean(values: Any) -> float:
    return float(_nanmean(values))


def _centred(values: Floats) -> Floats:
    centred: Floats = values - _nanmean(values, axis=1)[:, None]
    return centred


def _largest(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.max()) if len(known) else np.nan


def kendall_tau(truth: Floats, effects: Floats) -> Floats:
    """Kendall's tau-b of each row, NaN left out, ``(n_rows,)``: all rows at once, else it were half of a summary."""
    first, second = np.triu_indices(truth.shape[1], 1)
    one, other = (np.sign(values[:, first] - values[:, second]) for values in (truth, effects))
    both = ~np.isnan(one + other)
    one, other = np.where(both, one, 0), np.where(both, other, 0)
    untied = np.sqrt((one != 0).sum(1) * (other != 0).sum(1))
    tau: Floats = np.divide((one * other).sum(1), untied, out=np.full(len(truth), np.nan), where=untied > 0)
    return tau


def _regret(truth: Floats, effects: Floats) -> float:
    """True loss by taking the first of the ranking; 0 where it is the best."""
    if np.isnan(effects).all():
        return np.nan
    return float(np.nanmax(truth) - truth[np.nanargmax(effects)])
