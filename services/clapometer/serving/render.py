"""Rankings for the terminal and for files: the same values that the API and the page show."""

import csv
import io
from collections.abc import Sequence

import msgspec
from rich.table import Table
from rich.text import Text

from clapometer.domain.printable import printable
from clapometer.serving.answers import Comparison, NotRanked, Ranking, Standing
from clapometer.serving.words import count, number, percent, places, set_aside, terms

_CSV_COLUMNS = (*(field.name for field in msgspec.structs.fields(Standing)), "unranked_reason")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def ranking_table(rows: Sequence[Standing], title: str | None = None, *, wide: bool = True) -> Table:
    """Returns a table for the terminal: best first, with intervals and the completion rate's order beside ours.

    A narrow one leaves out how little would change each place.
    """
    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for name in ("rank", "places", "item", "effect", "95 % interval", "value", "P(best)", "completion", "its place"):
        table.add_column(name, justify="left" if name == "item" else "right", overflow="fold")
    table.add_column("impressions", justify="right")
    sturdy = wide and any(row.impressions_to_drop is not None or row.fake_reactions_to_top is not None for row in rows)
    if sturdy:
        table.add_column("drop to fall", justify="right")
        table.add_column("fakes to top", justify="right")
    table.add_column("tier")
    table.add_column("verdict")
    for row in rows:
        table.add_row(
            str(row.rank),
            places(row.rank_low, row.rank_high),
            Text(printable(row.name)),
            number(row.effect, sign=True),
            f"{number(row.effect_low, sign=True)} to {number(row.effect_high, sign=True)}",
            number(row.value),
            percent(row.p_best, 0),
            percent(row.completion_rate),
            "–" if row.completion_rank is None else str(row.completion_rank),
            count(row.impressions),
            *((count(row.impressions_to_drop), count(row.fake_reactions_to_top)) if sturdy else ()),
            row.tier or "–",
            row.verdict or "–",
        )
    return table


def unranked_lines(items: Sequence[NotRanked]) -> list[Text]:
    """Returns a line for each item without a place: why it has none."""
    return [Text.assemble(printable(item.name), ": ", printable(item.reason)) for item in items]


def set_aside_lines(ranking: Ranking) -> list[Text]:
    """Returns a line for each reason for which the run left something out: how many, and what it means."""
    votes = terms(ranking.segment).by_votes
    found = set_aside(ranking.run.excluded, votes=votes)
    what = "votes" if votes else "impressions"
    return [
        Text.assemble(f"{count(n)} {what}: ", printable(reason), f" ({meaning})" if meaning else "")
        for n, reason, meaning in found
    ]


def comparison_lines(comparison: Comparison) -> list[Text]:
    """Returns what a comparison says, for the terminal."""
    left, right = printable(comparison.left.name), printable(comparison.right.name)
    if not comparison.comparable:
        return [Text.assemble(left, " and ", right, " cannot be compared: ", printable(comparison.reason or ""))]
    interval = f"{number(comparison.low, sign=True)} to {number(comparison.high, sign=True)}"
    lines = [
        Text.assemble(left, " against ", right, f": {comparison.verdict}"),
        Text.assemble(left, " less ", right, f": {number(comparison.difference, sign=True)} ({interval})"),
        Text.assemble("P(", left, f" is better): {percent(comparison.p_left)}"),
    ]
    if comparison.always_low is not None:
        always = f"{number(comparison.always_low, sign=True)} to {number(comparison.always_high, sign=True)}"
        lines.append(Text(f"looking every day: {always} (holds at all looks together)"))
    return [*lines, *(Text(note) for note in comparison.notes)]


def ranking_json(ranking: Ranking) -> bytes:
    """Returns a ranking as indented JSON: what the API answers."""
    return msgspec.json.format(msgspec.json.encode(ranking), indent=2) + b"\n"


def ranking_csv(ranking: Ranking) -> str:
    """Returns the items of a ranking as CSV (RFC 4180), those without a place last, with their reason.

    Text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, _CSV_COLUMNS, restval="", lineterminator="\r\n")
    writer.writeheader()
    for row in ranking.rows:
        writer.writerow(_cells(msgspec.structs.asdict(row)))
    for item in ranking.unranked:
        cells = msgspec.structs.asdict(item)
        reason = cells.pop("reason")
        writer.writerow(_cells({**cells, "unranked_reason": reason}))
    return text.getvalue()


def _cells(values: dict[str, object]) -> dict[str, object]:
    return {
        name: f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value
        for name, value in values.items()
    }
