"""What the demo prints."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from clapometer.operation.demo.summary import DemoSummary
from clapometer.terminal.printing import Console
from clapometer.traffic.worlds.truth_check import Check, CheckedRow, RankedRow

_BAR = 24
_PROMPT_NUMBERS = 42
"""Columns of text that the numbers beside a prompt take."""
_DRAWN = "● ours │ truth"
_WIDE = 108
"""Columns of text from which on the intervals are drawn, too."""


def print_models(console: Console, found: Check, others: Sequence[RankedRow]) -> None:
    """Prints the ranking of model versions beside the truth and the completion rate."""
    wide = console.width >= _WIDE
    table = _table("Model versions, best first, beside the truth that only the simulation knows")
    columns = ["rank", "range", "model version", "above the mean, 95 %", *([_DRAWN] if wide else [])]
    for title in [*columns, "truth", "place", "completed", "place"]:
        left = title in ("model version", _DRAWN)
        table.add_column(title, justify="left" if left else "right", no_wrap=True)
    low, high = _extent(found.rows)
    for checked in found.rows:
        row = checked.row
        table.add_row(
            str(row.rank), f"{row.rank_low}-{row.rank_high}", escape(row.label), _interval(row),
            *([_bar(checked, low, high)] if wide else []), f"{checked.true_effect:+.3f}", str(checked.true_rank),
            f"{row.completion_rate or 0:.1%}", _off(checked.completion_rank, checked.true_rank),
        )  # fmt: skip
    console.print(table)
    for row in [*found.unranked, *others]:
        console.print(f"unranked: {row.label}: {row.reason}", markup=False)


def print_prompts(console: Console, found: Check, shown: int) -> None:
    """Prints the best prompts beside the truth."""
    table = _table(f"Prompts, the best {min(shown, len(found.rows))} of {len(found.rows):,}, over all model versions")
    for title in ("rank", "prompt", "above the mean, 95 %", "truth", "place"):
        text = title == "prompt"
        width = max(console.width - _PROMPT_NUMBERS, 10) if text else None
        table.add_column(title, justify="left" if text else "right", no_wrap=True, max_width=width)
    for checked in found.rows[:shown]:
        row = checked.row
        table.add_row(
            str(row.rank), escape(row.label), _interval(row), f"{checked.true_effect:+.3f}", str(checked.true_rank)
        )
    console.print(table)


def _table(title: str) -> Table:
    return Table(title=f"[bold]{title}", title_justify="left", box=None, padding=(0, 1, 0, 0))


def _interval(row: RankedRow) -> str:
    return f"{row.effect:+.3f} [dim]{row.effect_low:+.3f}..{row.effect_high:+.3f}[/]"


def print_agreement(console: Console, models: Check, prompts: Check, seconds: Mapping[str, float]) -> None:
    """Prints how far both rankings agree with the truth, and what misleads the completion rate."""
    console.print(
        f"Kendall's tau with the truth: [bold green]{models.tau:.2f}[/] for Clapometer, "
        f"[bold red]{models.tau_completion_rate:.2f}[/] for the completion rate "
        f"({models.covered:.0%} of the true differences lie in their intervals)."
    )
    if prompts.rows:
        console.print(f"Of prompts: {prompts.tau:.2f}, and {prompts.tau_completion_rate:.2f} for the completion rate.")
    console.print(sentence(models, seconds))


def print_next_steps(console: Console, folder: Path, summary: DemoSummary, keys: Mapping[str, str]) -> None:
    """Prints how to ask the demo's lake, open its page and send to it, with which key, and how to stop it."""
    serving, collector = summary.addresses["serving"], summary.addresses["collector"]
    simulated, recorded = keys
    lines = [("ask its lake", f"duckdb {summary.lake}/clapometer.duckdb")]
    if summary.pid is None:
        lines += [("start it again", f"CLAPOMETER_CONFIG={folder}/clapometer.toml {_program()} up")]
    lines += [
        ("open its page", f"{serving}/ shows tenant {simulated}, the simulated world: no key needed"),
        (
            "the recorded clips",
            f"curl -H 'Authorization: Bearer {keys[recorded]}' {serving}/v1/rankings/model_versions",
        ),
        ("send it events", f"{collector}/docs, with the secret key {keys[simulated]}"),
    ]
    if summary.pid is None:
        lines += [("or, left up at once", f"{_program()} demo --keep")]
    else:
        lines += [("stop it", f"kill {summary.pid}"), ("its log", f"{folder}/service.log")]
    for title, text in lines:
        console.print(f"[bold]{title:<19}[/] {escape(text)}", soft_wrap=True)


def _program() -> str:
    """Returns how this installation's program is called from here."""
    program = Path(sys.executable).with_name("clapometer")
    return os.path.relpath(program) if program.is_relative_to(Path.cwd()) else str(program)


def sentence(models: Check, seconds: Mapping[str, float]) -> str:
    """Returns what the completion rate gets wrong most, and a reason that the clips show."""
    worst = models.worst
    if worst is None or worst.completion_rank == worst.true_rank:
        return "This time the completion rate gets no place wrong."
    row = worst.row
    overrated = worst.completion_rank < worst.true_rank
    own = seconds.get(row.item, 0.0)
    others = [length for item, length in seconds.items() if item != row.item]
    usual = sum(others) / len(others) if others else 0.0
    explains = (own < 0.95 * usual) if overrated else (own > 1.05 * usual)
    why = (
        f"its clips last {own:.1f} s where the others' last {usual:.1f} s, and "
        f"{'short' if overrated else 'long'} clips are {'more' if overrated else 'less'} often watched to their end"
        if explains
        else "who was shown its clips, where, and how catching their first second is decide that, not how good they are"
    )
    return (
        f"The completion rate puts {row.label} at place {worst.completion_rank} of {len(models.rows)}, "
        f"in truth it is {_ordinal(worst.true_rank)}: {why}."
    )


def _ordinal(rank: int) -> str:
    suffix = "th" if rank % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f"{rank}{suffix}"


def _off(rank: int, true_rank: int) -> str:
    colour = "red" if abs(rank - true_rank) >= 3 else "yellow" if rank != true_rank else "green"
    return f"[{colour}]{rank}[/]"


def _extent(rows: Sequence[CheckedRow]) -> tuple[float, float]:
    ends = [end for checked in rows for end in (checked.row.effect_low, checked.row.effect_high, checked.true_effect)]
    known = [end for end in ends if end is not None]
    return (min(known), max(known)) if known else (0.0, 1.0)


def _bar(checked: CheckedRow, low: float, high: float) -> str:
    """Returns an interval as text: its ends, its middle and where the truth is."""
    row = checked.row
    if row.effect is None or row.effect_low is None or row.effect_high is None:
        return ""

    def place(value: float) -> int:
        return round((value - low) / max(high - low, 1e-12) * (_BAR - 1))

    cells = [" "] * _BAR
    for at in range(place(row.effect_low), place(row.effect_high) + 1):
        cells[at] = "─"
    ours, truth = place(row.effect), place(checked.true_effect)
    cells[ours] = "●"
    cells[truth] = "┿" if truth == ours else "│"
    return "".join(cells)
