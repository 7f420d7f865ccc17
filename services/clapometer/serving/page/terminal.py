"""Rankings for the terminal and for files: the same values that the API and the page show."""

import csv
import io
from collections.abc import Callable, Sequence

import msgspec
from rich.table import Table
from rich.text import Text

from clapometer.domain.printable import printable
from clapometer.serving.reading.answers import WHOLE, Comparison, NotRanked, Ranking, Standing
from clapometer.serving.wording import count, counted, number, percent, places, set_aside, terms, things, withheld
from clapometer.terminal.tables import Column, chosen, fitted

_CSV_COLUMNS = (*(field.name for field in msgspec.structs.fields(Standing)), "unranked_reason")
NAME_CELLS = 60
"""Most cells that a name takes in a sentence."""
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def ranking_tables(rows: Sequence[Standing], width: int, only: Sequence[str] | None = None) -> list[Table]:
    """Returns a ranking for a terminal of that width: best first, with as many columns as fit.

    What clips cost and earned, where that is known and did not fit, is a table of its own. ``only`` names the columns.
    """
    columns = ranking_columns(rows)
    if only is not None:
        return [fitted([column for key in only for column in columns if column.key == key], width)]
    shown = chosen(columns, _NEEDED, [key for key in _PRIORITY if _known(rows, key)], width)
    tables = [fitted(shown, width)]
    money = [key for key in _MONEY if _known(rows, key)]
    if set(money) - {column.key for column in shown}:
        beside = [column for column in columns if column.key in {"rank", "item", *money}]
        tables.append(fitted(beside, width))
    return tables


def ranking_title(ranking: Ranking) -> str:
    """Returns what a table shows: the ranking, its run, and what its numbers are where they are no label units."""
    part = "" if ranking.segment == WHOLE else f", {ranking.segment}={ranking.segment_value}"
    said = terms(ranking.segment)
    unit = f" ({said.unit}; value: {said.value.lower()})" if said.by_votes else ""
    return f"{ranking.subject}{part}, run {ranking.run.run_id}{unit}"


def ranking_columns(rows: Sequence[Standing]) -> list[Column]:
    """Returns every column of a ranking, in the order in which they are shown."""
    return [
        Column(key, title, [made(row) for row in rows], right=key not in _LEFT, short=key == "item")
        for key, title, made in _COLUMNS
    ]


def column_keys() -> list[str]:
    """Returns the names of the columns of a ranking."""
    return [key for key, _, _ in _COLUMNS]


def _known(rows: Sequence[Standing], key: str) -> bool:
    """Returns whether a column has anything to show."""
    field = _SOMETIMES.get(key)
    return field is None or any(getattr(row, field) is not None for row in rows)


def _money(value: float | None, currency: str | None) -> Text:
    return Text("–") if value is None else one_line(f"{number(value, 2)} {currency or ''}")


def _interval(row: Standing) -> Text:
    return Text(f"{number(row.effect_low, sign=True)} to {number(row.effect_high, sign=True)}")


def one_line(text: str, most: int | None = None) -> Text:
    """Returns text that others wrote on one line, and no longer than ``most`` cells."""
    line = Text(printable(" ".join(text.split())))
    if most is not None:
        line.truncate(most, overflow="ellipsis")
    return line


_COLUMNS: tuple[tuple[str, str, Callable[[Standing], Text]], ...] = (
    ("rank", "rank", lambda row: Text(str(row.rank))),
    ("places", "places", lambda row: Text(places(row.rank_low, row.rank_high))),
    ("item", "item", lambda row: one_line(row.name)),
    ("id", "id", lambda row: one_line(row.item)),
    ("effect", "effect", lambda row: Text(number(row.effect, sign=True))),
    ("interval", "95 % interval", _interval),
    ("value", "value", lambda row: Text(number(row.value))),
    ("best", "P(best)", lambda row: Text(percent(row.p_best, 0))),
    ("completion", "completion", lambda row: Text(percent(row.completion_rate))),
    ("its-place", "its place", lambda row: Text("–" if row.completion_rank is None else str(row.completion_rank))),
    ("votes", "votes", lambda row: Text(count(row.votes))),
    ("voters", "voters", lambda row: Text("–" if row.votes is None else count(row.viewers))),
    ("impressions", "impressions", lambda row: Text(count(row.impressions))),
    ("cost", "cost/clip", lambda row: _money(row.cost_per_clip, row.cost_currency)),
    ("revenue", "revenue/1000", lambda row: _money(row.revenue_per_1000, row.currency)),
    ("drop", "drop to fall", lambda row: Text(count(row.impressions_to_drop))),
    ("fakes", "fakes to top", lambda row: Text(count(row.fake_reactions_to_top))),
    ("tier", "tier", lambda row: Text(row.tier or "–")),
    ("verdict", "verdict", lambda row: one_line(row.verdict or "–")),
    ("withheld", "withheld", lambda row: one_line(withheld(row.withheld_verdict, row.viewers_to_buy))),
)
_LEFT = {"item", "id", "tier", "verdict", "withheld"}
_MONEY = ("cost", "revenue")
_NEEDED = ("rank", "places", "item", "effect", "interval", "verdict")
_PRIORITY = (
    "withheld",
    "votes",
    "voters",
    *_MONEY,
    "impressions",
    "value",
    "best",
    "tier",
    "completion",
    "its-place",
    "drop",
    "fakes",
)
_SOMETIMES = {
    "cost": "cost_per_clip", "revenue": "revenue_per_1000", "drop": "impressions_to_drop",
    "fakes": "fake_reactions_to_top", "completion": "completion_rate", "its-place": "completion_rank",
    "impressions": "impressions", "votes": "votes", "voters": "votes", "withheld": "withheld_verdict",
}  # fmt: skip


def unranked_lines(items: Sequence[NotRanked]) -> list[Text]:
    """Returns a line for each item without a place: why it has none."""
    return [Text.assemble(one_line(item.name, NAME_CELLS), ": ", printable(item.reason)) for item in items]


def set_aside_lines(ranking: Ranking) -> list[Text]:
    """Returns a line for each reason for which the run left something out: how many, and what it means."""
    found = set_aside(ranking.run.excluded, votes=terms(ranking.segment).by_votes)
    return [
        Text.assemble(f"{counted(n, things(reason))}: ", printable(reason), f" ({meaning})" if meaning else "")
        for n, reason, meaning in found
    ]


def comparison_lines(comparison: Comparison) -> list[Text]:
    """Returns what a comparison says, for the terminal."""
    left, right = one_line(comparison.left.name, NAME_CELLS), one_line(comparison.right.name, NAME_CELLS)
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
