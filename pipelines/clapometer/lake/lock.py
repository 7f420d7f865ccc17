"""One at a time of what folds, reads or changes all outcomes of a lake: trainings, erasures, fits of label rules."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from clapometer.domain import TransientError
from clapometer.lake.tables import Lake


class TrainingLockedError(TransientError):
    """Another process is training on this lake."""


class _Holder(msgspec.Struct):
    """What is read of the run that a training left in the lock's file."""

    run_id: str
    started_at: datetime


def lock_file(lake: Lake) -> Path:
    """Returns the file that is locked; a training writes its run into it."""
    return lake.storage.cache / "training.lock"


@contextmanager
def exclusive(lake: Lake, refusal: str) -> Iterator[int]:
    """Holds the lock and yields its open file; the kernel gives it back when the process ends, however it ends.

    Args:
        lake: The lake.
        refusal: What to say where another has it; ``{holder}`` stands for who that is.

    Raises:
        TrainingLockedError: Another process or thread has it.
    """
    path = lock_file(lake)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise TrainingLockedError(refusal.format(holder=_holder(path))) from error
        yield handle
    finally:
        os.close(handle)


@contextmanager
def no_training(lake: Lake) -> Iterator[None]:
    """Keeps trainings from starting, for a job that changes under them what they read.

    Raises:
        TrainingLockedError: One is under way.
    """
    with exclusive(lake, "a training is under way ({holder}); this job was not started"):
        yield


def _holder(path: Path) -> str:
    try:
        run = msgspec.json.decode(path.read_bytes(), type=_Holder)
    except (msgspec.MsgspecError, OSError):
        return "just started"
    return f"run {run.run_id} since {run.started_at.isoformat(timespec='seconds')}"
