"""One training at a time per lake, and a record of the one that died."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from clapometer.domain import TransientError
from clapometer.jobs.runs import Run, read_runs, record_run
from clapometer.lake import Lake

DIED = "the process ended before the run did: it was killed, or ran out of memory"


class TrainingLockedError(TransientError):
    """Another process is training on this lake."""


@contextmanager
def training_lock(lake: Lake, run: Run) -> Iterator[None]:
    """Holds the right to train; the kernel gives it back when the process ends, however it ends.

    Meanwhile the lock's file holds ``run``. Whoever finds a run there that nobody finished records it as failed.

    Raises:
        TrainingLockedError: Another process or thread has it.
    """
    path = lake.storage.cache / "training.lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            msg = f"another process is training on this lake ({_holder(path)}); this run was not started"
            raise TrainingLockedError(msg) from error
        _bury(lake, path)
        _write(handle, msgspec.json.encode(run))
        yield
        _write(handle, b"")
    finally:
        os.close(handle)


@contextmanager
def no_training(lake: Lake) -> Iterator[None]:
    """Keeps trainings from starting, for a job that changes under them what they read.

    Raises:
        TrainingLockedError: One is under way.
    """
    path = lake.storage.cache / "training.lock"
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            msg = f"a training is under way ({_holder(path)}); this job was not started"
            raise TrainingLockedError(msg) from error
        yield
    finally:
        os.close(handle)


def _bury(lake: Lake, path: Path) -> None:
    """Records the run that the last holder of the lock left unfinished, if it did."""
    left = path.read_bytes()
    if not left:
        return
    try:
        run = msgspec.json.decode(left, type=Run)
    except msgspec.MsgspecError:
        return  # torn by a crash of the machine: who it was is lost
    if all(known.run_id != run.run_id for known in read_runs(lake, run.tenant)):
        record_run(lake, msgspec.structs.replace(run, status="failed", error=DIED))


def _holder(path: Path) -> str:
    try:
        run = msgspec.json.decode(path.read_bytes(), type=Run)
    except (msgspec.MsgspecError, OSError):
        return "just started"
    return f"run {run.run_id} since {run.started_at.isoformat(timespec='seconds')}"


def _write(handle: int, content: bytes) -> None:
    os.ftruncate(handle, 0)
    os.pwrite(handle, content, 0)
    os.fsync(handle)
