"""The study: every estimator in every simulated world, against the truth.

Every finished world is a line of ``<out>.worlds.ndjson``, so an interrupted study goes on where it stopped;
`evidence.json` is a summary of those lines.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, norm

from clapometer.simulation import (
    CONTESTANTS,
    SCENARIOS,
    Scenario,
    build_world,
    compute_truth,
    fit_label,
    observe,
    simulate_log,
)

__all__ = ["StudyReport", "StudyRow", "run_study", "summarise"]

Floats = NDArray[np.float64]
Progress = Callable[[int, int], None]

Z = float(norm.ppf(0.975))
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
        tau: Mean Kendall rank correlation with the truth.
        tau_utility: The same with true satisfaction, which the label only stands for.
        top1: Share of worlds in which the best model version came first.
        regret: Mean loss by taking the winner, in standard deviations of the truth.
        bias: Mean over model versions of the absolute mean error, in standard deviations of the truth.
        coverage: Share of 95 % intervals that hold the truth.
        width: Mean width of the intervals in standard deviations of the truth.
        seconds: Mean time of the estimate, given the sufficient statistics.

    Numbers are None for an estimator that could not answer.
    """

    scenario: str
    estimator: str
    tier: str
    worlds: int
    tau: float | None
    tau_utility: float | None
    top1: float | None
    regret: float | None
    bias: float | None
    coverage: float | None
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
    _mend(lines_file)
    wanted = {(scenario.name, seed + i) for scenario in chosen for i in range(worlds)}
    lines = [line for line in _read(lines_file) if (line["scenario"], line["seed"]) in wanted]
    done = {(line["scenario"], line["seed"]) for line in lines}
    tasks = [(s, seed + i) for s in chosen for i in range(worlds) if (s.name, seed + i) not in done]
    out.parent.mkdir(parents=True, exist_ok=True)
    with lines_file.open("a", encoding="utf-8") as file:
        for n, line in enumerate(_run(tasks, processes), 1):
            file.write(json.dumps(line) + "\n")
            file.flush()
            lines.append(line)
            if progress is not None:
                progress(len(done) + n, len(wanted))
    rows = summarise(chosen, lines)
    partial = out.with_name(out.name + ".part")
    partial.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
    partial.replace(out)
    return StudyReport(rows, worlds_run=len(tasks), worlds_resumed=len(done))


def _mend(file: Path) -> None:
    """Drops the half line that a crash can leave at the end; that world is run again."""
    if file.exists():
        whole, _, half = file.read_text(encoding="utf-8").rpartition("\n")
        if half:
            file.write_text(whole + "\n" * bool(whole), encoding="utf-8")


def _read(file: Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    return [json.loads(text) for text in file.read_text(encoding="utf-8").splitlines()]


def _run(tasks: list[tuple[Scenario, int]], processes: int) -> Iterator[dict[str, Any]]:
    if processes <= 1:
        yield from (run_world(*task) for task in tasks)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(run_world, *task) for task in tasks]
        for future in as_completed(futures):
            yield future.result()


def run_world(scenario: Scenario, seed: int) -> dict[str, Any]:
    """One world: its truth and what every contestant says, ready for JSON."""
    world = build_world(scenario.config, seed)
    label = fit_label(world)
    truth = compute_truth(world, label)
    seen = observe(world, simulate_log(world, seed + LOG_SEED), label)
    estimates = {}
    for name, contestant in CONTESTANTS.items():
        began = time.perf_counter()
        estimate = contestant.estimate(seen, scenario.config.n_models)
        estimates[name] = {
            "effects": _jsonable(estimate.effects),
            "errors": _jsonable(estimate.standard_errors),
            "seconds": time.perf_counter() - began,
        }
    return {
        "scenario": scenario.name,
        "seed": seed,
        "truth": _jsonable(truth.models),
        "utility": _jsonable(truth.utility),
        "estimates": estimates,
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
    numbers = {
        "tau": _mean([_tau(t, e) for t, e in zip(truth, effects, strict=True)]),
        "tau_utility": _mean([_tau(t, e) for t, e in zip(utility, effects, strict=True)]),
        "top1": _mean(
            [np.nan if np.isnan(e).all() else _regret(t, e) == 0 for t, e in zip(truth, effects, strict=True)]
        ),
        "regret": _mean([_regret(t, e) for t, e in zip(truth, effects, strict=True)] / spread),
        "bias": _mean(np.abs(_nanmean(error, axis=0))) / _mean(spread),
        "coverage": _mean(np.where(np.isnan(error + errors), np.nan, np.abs(error) <= Z * errors)),
        "width": 2 * Z * _mean(errors) / _mean(spread),
    }
    seconds = round(_mean([line["estimates"][name]["seconds"] for line in lines]), 4)
    known = {key: None if np.isnan(value) else round(value, 4) for key, value in numbers.items()}
    return StudyRow(scenario.name, name, scenario.tier, len(lines), **known, seconds=seconds)


def _nanmean(values: Any, axis: int | None = None) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # A contestant that never answers has no mean.
        return np.nanmean(np.asarray(values, float), axis=axis)


def _mean(values: Any) -> float:
    return float(_nanmean(values))


def _centred(values: Floats) -> Floats:
    centred: Floats = values - _nanmean(values, axis=1)[:, None]
    return centred


def _tau(truth: Floats, effects: Floats) -> float:
    known = ~np.isnan(effects)
    return float(kendalltau(truth[known], effects[known])[0]) if known.sum() > 1 else np.nan


def _regret(truth: Floats, effects: Floats) -> float:
    """True loss by taking the winner; 0 is the right winner."""
    if np.isnan(effects).all():
        return np.nan
    return float(np.nanmax(truth) - truth[np.nanargmax(effects)])
