"""``clapometer study``: every estimator in worlds whose truth is known."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import typer
from rich.table import Table

from clapometer.cli import options
from clapometer.domain import InputError
from clapometer.terminal.printing import Console, echo_json
from clapometer.terminal.progress import progress_bar

if TYPE_CHECKING:  # imported when the command runs, so that help is quick
    from collections.abc import Callable, Iterable

    import numpy as np
    from numpy.typing import NDArray

    from clapometer.study.parts import Part, Scenario

    Floats = NDArray[np.float64]

PartName = Literal["models", "prompts", "labels", "screening", "looks", "outside", "real"]


def study(
    part: Annotated[
        PartName,
        typer.Option(
            help="What is judged: rankings of model versions; prompts and pair labels; label rules; fake accounts;"
            " looking every day; launches, weeks, novelty and false logs in worlds outside our own; what comes back of"
            " people's verdicts in real data."
        ),
    ] = "models",
    worlds: Annotated[int, typer.Option(min=1, help="Worlds of each scenario.")] = 200,
    scenario: Annotated[
        list[str] | None, typer.Option(help="Only this one; repeatable. An unknown name lists them.")
    ] = None,
    out: Annotated[Path, typer.Option(help="File for the table, as JSON; finished worlds are kept beside it.")] = Path(
        "evidence.json"
    ),
    seed: Annotated[int, typer.Option(min=0, help="World i has the seed SEED + i.")] = 1000,
    processes: Annotated[int, typer.Option(min=1, help="Worlds at a time.")] = 2,
    data: Annotated[Path, typer.Option(help="Folder of the real data (`--part real`).")] = Path("data"),
    form: options.Format = "table",
    report: Annotated[
        bool, typer.Option("--report", help="Run nothing; write evidence.md beside OUT from the tables there.")
    ] = False,
) -> None:
    """Run every estimator in simulated worlds and compare it with the truth; goes on where it was stopped."""
    if report:
        _report(out)
        return
    if part == "real":
        _run_real(worlds, out=out, data=data, seed=seed, form=form)
        return
    if part != "models":
        _run_part(part, worlds, scenario, out=out, seed=seed, processes=processes, form=form)
        return
    from clapometer.simulation import SCENARIOS
    from clapometer.study.model_versions import run_study

    _check(scenario, SCENARIOS)
    out.parent.mkdir(parents=True, exist_ok=True)
    with progress_bar(form == "json") as bar:
        task = bar.add_task("worlds", total=None, note="")
        found = run_study(
            scenario, worlds, seed, processes=processes, out=out,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    if form == "json":
        echo_json(msgspec.json.encode(found.rows))
        return
    table = Table(box=None, pad_edge=False)
    for title in ("scenario", "estimator", "tier", "worlds", "tau", "top-1", "regret", "coverage", "width"):
        table.add_column(title, justify="left" if title in {"scenario", "estimator", "tier"} else "right")
    for row in found.rows:
        numbers = (row.tau, row.top1, row.regret, row.coverage, row.width)
        table.add_row(
            row.scenario, row.estimator, row.tier, str(row.worlds),
            *("no answer" if number is None else f"{number:.3f}" for number in numbers),
        )  # fmt: skip
    Console().print(table)


def _report(out: Path) -> None:
    """Writes the page from all tables in the folder of `out`; figures go to ``assets`` in the folder above."""
    from clapometer.study.page.page import write_report

    folder = out.resolve().parent
    sections = write_report(folder, folder.parent / "assets")
    Console().print(f"{folder / 'evidence.md'}: {', '.join(sections) or 'nothing to report yet'}", soft_wrap=True)


def _check(names: "list[str] | None", scenarios: "Iterable[Scenario]") -> None:
    known = [each.name for each in scenarios]
    for name in names or []:
        if name not in known:
            msg = f"{name!r} is no scenario; known are {', '.join(known)}"
            raise InputError(msg, "scenario")


def _run_part(
    name: PartName, worlds: int, scenario: list[str] | None, *, out: Path, seed: int, processes: int, form: str
) -> None:
    """Runs another part than the first and prints its rows."""
    from clapometer.study.parts import run_part

    part = _part(name)
    _check(scenario, part.scenarios)
    with progress_bar(form == "json") as bar:
        task = bar.add_task("worlds", total=None, note="")
        report = run_part(
            part, scenario, worlds, seed, processes=processes, out=out,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    if form == "json":
        echo_json(msgspec.json.encode(report.rows))
        return
    if not report.rows:
        return
    table = Table(box=None, pad_edge=False)
    titles = [title for title, value in report.rows[0].items() if not isinstance(value, dict)]
    for title in titles:
        table.add_column(title.replace("_", " "), justify="left" if title in _WORDS else "right")
    for row in report.rows:
        table.add_row(*(_cell(row.get(title)) for title in titles))
    Console().print(table)


_WORDS = {"scenario", "subject", "estimator", "tier", "rule", "intervals"}


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return "" if value is None else str(value)


def _part(name: PartName) -> "Part":
    if name == "prompts":
        from clapometer.study.prompts import PROMPTS

        return PROMPTS
    if name == "labels":
        from clapometer.study.label_rules import LABELS

        return LABELS
    if name == "looks":
        from clapometer.study.daily_looks import LOOKS

        return LOOKS
    if name == "outside":
        from clapometer.study.outside import OUTSIDE_PART

        return OUTSIDE_PART
    from clapometer.study.screening import SCREENING

    return SCREENING


def _run_real(worlds: int, *, out: Path, data: Path, seed: int, form: str) -> None:
    """Measures on real data, writes the rows and prints them."""
    from clapometer.study.real_data import genai_evidence, kuairand_evidence

    bench = data / "genai-bench"
    files = (data / "kuairand/reactions.tsv.gz", bench / "genai_video_teaser.json", bench / "genai_image.json")
    for file in files:
        if not file.is_file():
            msg = f"there is no {file}; the samples come with Clapometer's source as `data`: give that folder"
            raise InputError(msg, "data")
    with progress_bar(form == "json") as bar:
        bar.add_task("real data", total=None, note="")
        rows = [*kuairand_evidence(files[0]), *genai_evidence(files[1], files[2], _choix(), worlds=worlds, seed=seed)]
    out.parent.mkdir(parents=True, exist_ok=True)
    told = [asdict(row) for row in rows]
    out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    if form == "json":
        echo_json(msgspec.json.encode(told))
        return
    table = Table(box=None, pad_edge=False)
    for title in ("data", "quantity", "value", "n", "target", "met"):
        table.add_column(title, justify="right" if title in {"value", "n"} else "left")
    for row in rows:
        met = "" if row.met is None else "yes" if row.met else "NO"
        table.add_row(row.data, row.quantity, f"{row.value:.4g}", f"{row.n:,}", row.target, met)
    Console().print(table)


def _choix() -> "Callable[[NDArray[np.float64]], NDArray[np.float64]] | None":
    """Strengths by choix, where it is installed (it comes with the development tools)."""
    try:
        import choix
    except ImportError:
        return None

    def strengths(wins: "NDArray[np.float64]") -> "NDArray[np.float64]":
        found: NDArray[np.float64] = choix.ilsr_pairwise_dense(wins, alpha=0.0, tol=1e-12)
        return found

    return strengths
