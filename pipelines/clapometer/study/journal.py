"""Long computations that go on where they stopped: one line of JSON per finished task."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, TypeVar

from clapometer.lifeline import end_with_parent

__all__ = ["Line", "read_lines", "run_tasks", "write_rows"]

Line = dict[str, Any]
Task = TypeVar("Task")


def read_lines(file: Path) -> list[Line]:
    """The lines so far; drops the half line that a crash can leave at the end, so that its task is run again."""
    if not file.exists():
        return []
    whole, _, half = file.read_text(encoding="utf-8").rpartition("\n")
    if half:
        file.write_text(whole + "\n" * bool(whole), encoding="utf-8")
    return [json.loads(text) for text in whole.splitlines()]


def run_tasks(run: Callable[[Task], Line], tasks: Sequence[Task], processes: int, file: Path) -> Iterator[Line]:
    """Yields the line of every task, in the order they finish, once it is in `file`."""
    with file.open("a", encoding="utf-8") as journal:
        for line in _run(run, tasks, processes):
            journal.write(json.dumps(line) + "\n")
            journal.flush()
            yield line


def _run(run: Callable[[Task], Line], tasks: Sequence[Task], processes: int) -> Iterator[Line]:
    if processes <= 1:
        yield from map(run, tasks)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_end_with_parent) as pool:
        for future in as_completed([pool.submit(run, task) for task in tasks]):
            yield future.result()


def _end_with_parent() -> None:
    """For the workers of a pool: each holds the queue that it waits at, and would wait there for ever."""
    parent = parent_process()
    if parent is not None:
        end_with_parent(parent.sentinel)


def write_rows(rows: Sequence[Line], out: Path) -> None:
    """Replaces `out` by a JSON list."""
    partial = out.with_name(out.name + ".part")
    partial.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    partial.replace(out)
