"""The edge of the command line: everything that is printed goes through here, so that no text of others is obeyed.

Ruff refuses rich's own console and ``typer.echo`` anywhere else.
"""

import sys
from collections.abc import Iterable
from typing import Any, BinaryIO

import rich.console
import typer
from rich.segment import Segment
from rich.text import Text

from clapometer.domain.printable import printable_json, printable_lines


class Console(rich.console.Console):
    """A console of rich on which names are names: no markup, emoji codes or highlights, and nothing that is obeyed."""

    def __init__(self, *, markup: bool = False, **more: Any) -> None:
        """Args: ``markup`` is for texts of our own, in which others' parts are escaped."""
        super().__init__(**({"highlight": False, "emoji": False} | more), markup=markup)

    def render_str(self, text: str, **more: Any) -> Text:
        """Returns text as rich has it, of what can be printed."""
        return super().render_str(printable_lines(text), **more)

    def render(self, *arguments: Any, **more: Any) -> Iterable[Segment]:
        """Yields what is drawn; only rich's own controls are obeyed."""
        for segment in super().render(*arguments, **more):
            yield segment if segment.control else Segment(printable_lines(segment.text), segment.style)


def echo(text: object, *, nl: bool = True, err: bool = False) -> None:
    """Prints a text for people."""
    typer.echo(printable_lines(str(text)), nl=nl, err=err)


def echo_json(content: bytes | str, *, nl: bool = True) -> None:
    """Prints JSON: the same for a program, and harmless for a terminal."""
    typer.echo(printable_json(content.decode() if isinstance(content, bytes) else content), nl=nl)


def echo_exact(content: str) -> None:
    """Prints text for programs as it is, save on a terminal."""
    typer.echo(printable_lines(content) if sys.stdout.isatty() else content, nl=False)


def exact_output() -> BinaryIO:
    """Returns standard output for bytes of programs; where it is a terminal, what is written is made harmless."""
    return _Terminal() if sys.stdout.isatty() else sys.stdout.buffer  # type: ignore[return-value]


class _Terminal:
    """As much of a binary file as answers in text need, over a terminal; pieces end with whole characters."""

    def write(self, piece: bytes) -> int:
        typer.echo(printable_lines(piece.decode()), nl=False)
        return len(piece)

    def writelines(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self.write(piece)
