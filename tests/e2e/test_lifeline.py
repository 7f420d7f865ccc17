"""Nothing outlives the process that started it, whenever that is killed."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

import psutil
import pytest
from tests.e2e.running import RunningService, service_environment
from tests.e2e.sessions import alive, of_session
from tests.support.waiting import until

PARTS = 5
"""Collector, loader, scheduler, serving, and the trainer that the scheduler asks at its start."""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RunningService]:
    running = RunningService(tmp_path)
    yield running
    if running.process is not None and running.process.poll() is None:
        running.kill()


def kill_the_supervisor(service: RunningService) -> int:
    assert service.process is not None
    service.process.kill()
    service.process.wait()
    return service.process.pid


@pytest.mark.parametrize("started", range(1, PARTS + 1))
def test_a_supervisor_killed_while_its_parts_start_leaves_none_behind(service: RunningService, started: int) -> None:
    service.launch()
    assert service.process is not None
    until(lambda: len(of_session(service.process.pid)) > started, every=0.001)
    session = kill_the_supervisor(service)
    until(lambda: not of_session(session))
    service.start()
    assert service.stop() == 0


def test_a_supervisor_killed_while_a_part_starts_again_leaves_none_behind(service: RunningService) -> None:
    service.start("serving")
    assert service.process is not None
    running = of_session(service.process.pid)
    (loader,) = (each for each in running if each.cmdline()[-1] == "load")
    loader.kill()
    until(lambda: "load" in [each.cmdline()[-1] for each in of_session(service.process.pid) if each != loader])
    session = kill_the_supervisor(service)
    until(lambda: not of_session(session))
    service.start()
    assert service.stop() == 0


PARENT = """
import os, sys
from clapometer.lifeline import release, start_child
child = start_child(["load"], env={**os.environ, "PYTHONPATH": sys.argv[1]})
print(child.pid, flush=True)
if sys.argv[2:] == ["release"]:
    release(child)
sys.stdin.read()
"""


@contextmanager
def parent_of_a_loader(
    folder: Path, *arguments: str, before: str = ""
) -> Iterator[tuple[Popen[bytes], psutil.Process]]:
    """A process and its child, which runs the code ``before`` first of all."""
    (folder / "first").mkdir()
    (folder / "first" / "sitecustomize.py").write_text(before)
    parent = Popen(
        [sys.executable, "-c", PARENT, str(folder / "first"), *arguments],
        env=service_environment(folder), cwd=folder, stdin=PIPE, stdout=PIPE,
    )  # fmt: skip
    with parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        try:
            yield parent, child
        finally:
            parent.kill()
            if alive(child):
                child.kill()


def test_a_child_that_had_not_run_a_line_when_its_parent_was_killed_ends(tmp_path: Path) -> None:
    asleep = "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"
    with parent_of_a_loader(tmp_path, before=asleep) as (parent, child):
        until(lambda: child.status() == psutil.STATUS_STOPPED)
        parent.kill()
        parent.wait()
        child.send_signal(signal.SIGCONT)
        until(lambda: not alive(child))
    assert not (tmp_path / "lake" / "clapometer.duckdb").exists()


def test_a_child_that_was_released_outlives_its_parent_and_ends_in_order(tmp_path: Path) -> None:
    with parent_of_a_loader(tmp_path, "release") as (parent, child):
        parent.kill()
        parent.wait()
        until((tmp_path / "lake" / "clapometer.duckdb").exists)
        assert alive(child)
