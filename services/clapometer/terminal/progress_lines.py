"""Progress as plain lines, for whoever reads it in a file or through a pipe: no bar can be redrawn there."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import Progress, Task

EVERY_SECONDS = 1.0
_FIRST_SECONDS = 0.05


@contextmanager
def told_each_second(progress: Progress) -> Iterator[None]:
    """Prints a line about the task under way each second, where ``progress`` has no terminal to draw on."""
    if progress.console.is_terminal:
        yield
        return
    ended = threading.Event()

    def tell() -> None:
        while True:
            for task in [task for task in progress.tasks if not task.finished][-1:]:
                progress.console.print(line(task), markup=False, soft_wrap=True)
            if ended.wait(EVERY_SECONDS if progress.tasks else _FIRST_SECONDS):
                return

    thread = threading.Thread(target=tell, name="progress lines", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def line(task: Task) -> str:
    """Returns what is known of a task: how far it is, its note, and its seconds so far."""
    done = f"{task.completed:,.0f}" + ("" if task.total is None else f" of {task.total:,.0f}")
    parts = [done if task.total is not None or task.completed else "", task.fields.get("note", "")]
    said = ", ".join(part for part in parts if part)
    return f"{task.description}: {said or 'under way'}, {task.elapsed or 0:.0f} s"
