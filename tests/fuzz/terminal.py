"""Texts of strangers on their way to an operator's terminal: whatever they say, nothing of them is obeyed."""

import io
import json

from hypothesis import HealthCheck, Phase, given, seed, settings
from rich.table import Table
from rich.text import Text
from tests.fuzz.runs import Tally
from tests.support.terminal_texts import ANY_TEXT, obeyed

from clapometer.domain.printable import printable, printable_json, printable_lines
from clapometer.terminal.printing import Console


def texts(count: int, seed_: int) -> Tally:
    """Prints texts that hypothesis makes, in each way in which the command line prints."""
    tally = Tally()

    @seed(seed_)
    @settings(
        max_examples=count, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(ANY_TEXT)
    def print_(text: str) -> None:
        tally.texts += 1
        for way, complaint in _complaints(text):
            tally.complain(f"{way}: {complaint}", repr(text))

    print_()
    return tally


def _complaints(text: str) -> list[tuple[str, str]]:
    document = json.dumps({text: text}, ensure_ascii=False)
    shown = {
        "printable": (printable(text), ""),
        "printable_lines": (printable_lines(text), "\n\t"),
        "printable_json": (printable_json(document), ""),
        "console": (_on_console(text), "\n\t"),
    }
    found = [(way, "a terminal would obey it") for way, (said, keep) in shown.items() if obeyed(said, keep)]
    if json.loads(shown["printable_json"][0]) != {text: text}:
        found.append(("printable_json", "it says something else"))
    return found


def _on_console(text: str) -> str:
    file = io.StringIO()
    screen = Console(file=file, force_terminal=True, color_system=None, width=80)
    table = Table(text, title=text)
    table.add_row(text)
    for each in (text, Text(text), table):
        screen.print(each)
    return file.getvalue()
