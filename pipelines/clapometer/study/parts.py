"""Parts of the study beside that of the model versions, each a few worlds at a time and resumable.

A part runs worlds of its scenarios and summarises their lines. Every finished world is a line of
``<out>.worlds.ndjson`` with the fingerprint of the code that made it; what is there and still true is not run again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from clapometer.study.fingerprint import fingerprint
from clapometer.study.journal import Line, read_lines, run_tasks, write_rows

__all__ = ["LOG_SEED", "Line", "Part", "PartReport", "Row", "mean_and_error", "run_part"]

Row = dict[str, Any]
Progress = Callable[[int, int], None]
LOG_SEED = 1_000_003
"""Worlds and their logs must not share a stream of random numbers."""


class Scenario(Protocol):
    """A named kind of world, of either family."""

    @property
    def name(self) -> str:
        """As in the tables."""

    @property
    def config(self) -> Any:
        """What decides the world but for its seed."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the study.

    Attributes:
        scenarios: Its worlds.
        run: Scenario and seed of a world to what is kept of it, ready for JSON.
        summarise: A scenario and its lines to rows of the evidence.
    """

    scenarios: Sequence[Scenario]
    run: Callable[[Any, int], Line]
    summarise: Callable[[Any, list[Line]], list[Row]]


@dataclass(frozen=True, slots=True)
class PartReport:
    """What a part found, and how much of it was computed in this run."""

    rows: tuple[Row, ...]
    worlds_run: int
    worlds_resumed: int


def run_part(
    part: Part,
    scenarios: Sequence[str] | None,
    worlds: int,
    seed: int,
    *,
    processes: int,
    out: Path,
    progress: Progress | None = None,
) -> PartReport:
    """Runs `worlds` worlds of each scenario and writes the rows to `out`; scenarios take turns.

    Args:
        part: What to do with each.
        scenarios: Names; None is all of the part.
        worlds: Per scenario.
        seed: World i of every scenario has the seed ``seed + i``.
        processes: Worlds at a time; 1 stays in this process.
        out: The evidence file (JSON list of rows).
        progress: Called with (finished, total) after every world.

    Raises:
        KeyError: A scenario is unknown.
    """
    named = {scenario.name: scenario for scenario in part.scenarios}
    chosen = tuple(part.scenarios if scenarios is None else (named[name] for name in scenarios))
    tasks = [(scenario, seed + i) for i in range(worlds) for scenario in chosen]
    out.parent.mkdir(parents=True, exist_ok=True)
    file = out.with_name(out.name + ".worlds.ndjson")
    lines = _known(file, part, chosen)
    missing = [task for task in tasks if (task[0].name, task[1]) not in lines]
    done = len(tasks) - len(missing)
    for n, line in enumerate(run_tasks(run_world, [(part, *task) for task in missing], processes, file), 1):
        lines[line["scenario"], line["seed"]] = line
        _save(part, chosen, lines, out)
        if progress is not None:
            progress(done + n, len(tasks))
    return PartReport(_save(part, chosen, lines, out), len(missing), done)


def mean_and_error(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Mean over worlds and its standard error, rounded; None where there is nothing to take it of."""
    known: NDArray[np.float64] = np.array([value for value in values if value is not None], float)
    if not len(known):
        return None, None
    error = round(float(known.std(ddof=1) / np.sqrt(len(known))), 4) if len(known) > 1 else None
    return round(float(known.mean()), 4), error


def _code(part: Part, scenario: Scenario) -> str:
    return fingerprint(part.run, salt=repr(scenario.config))


def _known(file: Path, part: Part, scenarios: Sequence[Scenario]) -> dict[tuple[str, int], Line]:
    """Lines that would come out the same today."""
    codes = {scenario.name: _code(part, scenario) for scenario in scenarios}
    return {
        (line["scenario"], line["seed"]): line
        for line in read_lines(file)
        if codes.get(line["scenario"]) == line["code"]
    }


def run_world(task: tuple[Part, Scenario, int]) -> Line:
    """One world of a part, with its name and the code that made it."""
    part, scenario, seed = task
    named = {"scenario": scenario.name, "seed": seed, "code": _code(part, scenario)}
    return named | part.run(scenario, seed)


def _save(part: Part, scenarios: Sequence[Scenario], lines: dict[tuple[str, int], Line], out: Path) -> tuple[Row, ...]:
    rows: list[Row] = []
    for scenario in scenarios:
        here = [lines[key] for key in sorted(lines) if key[0] == scenario.name]
        rows += part.summarise(scenario, here) if here else []
    write_rows(rows, out)
    return tuple(rows)
