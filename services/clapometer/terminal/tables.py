"""Tables for a terminal: as many columns as fit, each whole; long text ends in an ellipsis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

GAP = 2
_LEAST, _ROOM = 12, 24
"""Cells that a shortened column keeps at the least, and those it may have before others are left out for it."""


@dataclass(frozen=True)
class Column:
    """A column with its cells.

    Attributes:
        key: Its name on the command line.
        title: Its header.
        cells: What stands in it, from the top.
        right: Whether it is a number.
        short: Whether long cells may be cut.
    """

    key: str
    title: str
    cells: Sequence[Text]
    right: bool = True
    short: bool = False

    @property
    def width(self) -> int:
        """Cells that it takes in full."""
        return max(len(self.title), *(cell.cell_len for cell in self.cells), 1)


def chosen(columns: Sequence[Column], needed: Sequence[str], priority: Sequence[str], width: int) -> list[Column]:
    """Returns the columns that fit into ``width`` in their order: those that are needed, others by their priority."""
    taken = list(needed)
    for key in priority:
        trial = [column for column in columns if column.key in {*taken, key}]
        if _total(trial, _ROOM) <= width:
            taken.append(key)
    return [column for column in columns if column.key in taken]


def fitted(columns: Sequence[Column], width: int) -> Table:
    """Returns a table of these columns; where they are too wide together, those that may be cut share what is left."""
    table = Table(header_style="bold", box=None, pad_edge=False)
    room = _room(columns, width - _total(columns, 0))
    for column in columns:
        most = room[column.key] if column.short else column.width
        table.add_column(
            column.title, justify="right" if column.right else "left", no_wrap=True, overflow="ellipsis",
            min_width=most, max_width=most,
        )  # fmt: skip
    for cells in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*cells)
    return table


def _room(columns: Sequence[Column], spare: int) -> dict[str, int]:
    """Returns the width of each column that may be cut: the narrowest first, each its share or less."""
    cut = sorted((column for column in columns if column.short), key=lambda column: column.width)
    room = {}
    for index, column in enumerate(cut):
        room[column.key] = min(column.width, max(_LEAST, spare // (len(cut) - index)))
        spare -= room[column.key]
    return room


def _total(columns: Sequence[Column], room: int) -> int:
    """Returns the width of columns, of those that may be cut ``room`` at the most."""
    widths = [min(column.width, room) if column.short else column.width for column in columns]
    return sum(widths) + GAP * (len(widths) - 1)
