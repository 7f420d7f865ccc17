"""``clapometer study``: every estimator in worlds whose truth is known."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from clapometer.cli import sending
from clapometer.domain import InputError


def study(
    worlds: Annotated[int, typer.Option(min=1, help="Worlds of each scenario.")] = 200,
    scenario: Annotated[
        list[str] | None, typer.Option(help="Only this one; repeatable. An unknown name lists them.")
    ] = None,
    out: Annotated[Path, typer.Option(help="File for the table, as JSON; finished worlds are kept beside it.")] = Path(
        "evidence.json"
    ),
    seed: Annotated[int, typer.Option(min=0, help="World i has the seed SEED + i.")] = 1000,
    processes: Annotated[int, typer.Option(min=1, help="Worlds at a time.")] = 2,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no table.")] = False,
) -> None:
    """Run every estimator in simulated worlds and compare it with the truth; goes on where it was stopped."""
    from clapometer.jobs.study import run_study
    from clapometer.simulation import SCENARIOS

    known = [each.name for each in SCENARIOS]
    for name in scenario or []:
        if name not in known:
            msg = f"{name!r} is no scenario; known are {', '.join(known)}"
            raise InputError(msg, "scenario")
    out.parent.mkdir(parents=True, exist_ok=True)
    with sending.progress_bar(quiet) as bar:
        task = bar.add_task("worlds", total=None, note="")
        report = run_study(
            scenario, worlds, seed, processes=processes, out=out,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    if quiet:
        return
    table = Table(box=None, pad_edge=False)
    for title in ("scenario", "estimator", "tier", "worlds", "tau", "top-1", "regret", "coverage", "width"):
        table.add_column(title, justify="left" if title in {"scenario", "estimator", "tier"} else "right")
    for row in report.rows:
        numbers = (row.tau, row.top1, row.regret, row.coverage, row.width)
        table.add_row(
            row.scenario, row.estimator, row.tier, str(row.worlds),
            *("no answer" if number is None else f"{number:.3f}" for number in numbers),
        )  # fmt: skip
    Console().print(table)
