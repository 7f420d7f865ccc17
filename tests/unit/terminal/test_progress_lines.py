"""Progress where no bar can be drawn."""

import io
import re
import threading

from rich.console import Console
from rich.progress import Progress

from clapometer.terminal.progress_lines import line, told_each_second


class Lines(io.StringIO):
    """Output that says when something was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Event()

    def write(self, text: str) -> int:
        self.written.set()
        return super().write(text)


def bar(output: io.StringIO, terminal: bool = False) -> Progress:
    return Progress(console=Console(file=output, force_terminal=terminal, width=200), auto_refresh=False)


def test_the_first_line_comes_at_once_and_names_the_task_under_way() -> None:
    output = Lines()
    progress = bar(output)
    done = progress.add_task("first", total=1, note="")
    progress.update(done, completed=1)
    progress.add_task("second", total=2_000, completed=1_000, note="5/s")
    with told_each_second(progress):
        assert output.written.wait(300)
    assert re.match(r"second: 1,000 of 2,000, 5/s, \d+ s\n", output.getvalue())


def test_what_a_task_says_is_never_markup() -> None:
    progress = bar(output := Lines())
    progress.add_task("[red]t", total=None, note="[/]")
    with told_each_second(progress):
        assert output.written.wait(300)
    assert re.match(r"\[red\]t: \[/\], \d+ s\n", output.getvalue())


def test_a_task_of_unknown_length_is_under_way() -> None:
    progress = bar(io.StringIO())
    task = progress.add_task("training", total=None, note="")
    assert re.fullmatch(r"training: under way, \d+ s", line(progress.tasks[task]))


def test_a_terminal_has_its_bar_and_no_lines() -> None:
    output = io.StringIO()
    with told_each_second(bar(output, terminal=True)):
        pass
    assert output.getvalue() == ""
