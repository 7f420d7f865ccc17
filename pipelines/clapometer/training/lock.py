"""One training at a time per lake, and a record of the one that died."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from clapometer.lake.lock import exclusive, lock_file
from clapometer.lake.tables import Lake
from clapometer.training.runs import Run, read_runs, record_run

DIED = "the process ended before the run did: it was killed, or ran out of memory"


@contextmanager
def training_lock(lake: Lake, run: Run) -> Iterator[None]:
    """Holds the right to train; meanwhile the lock's file holds ``run``.

    Whoever finds a run there that nobody finished records it as failed.

    Raises:
        TrainingLockedError: Another process or thread has it.
    """
    with exclusive(lake, "another process is training on this lake ({holder}); this run was not started") as handle:
        _bury(lake)
        _write(handle, msgspec.json.encode(run))
        yield
        _write(handle, b"")


def _bury(lake: Lake) -> None:
    """Records the run that the last holder of the lock left unfinished, if it did."""
    left = lock_file(lake).read_bytes()
    if not left:
        return
    try:
        run = msgspec.json.decode(left, type=Run)
    except msgspec.MsgspecError:
        return  # torn by a crash of the machine: who it was is lost
    if all(known.run_id != run.run_id for known in read_runs(lake, run.tenant)):
        record_run(lake, msgspec.structs.replace(run, status="failed", error=DIED))


def _write(handle: int, content: bytes) -> None:
    os.ftruncate(handle, 0)
    os.pwrite(handle, content, 0)
    os.fsync(handle)
