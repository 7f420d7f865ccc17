"""A copy of what a run read, to which events are added: loaded, folded and trained as everybody's are.

The files of the lake are linked, never written to: the copy is cheap, and nothing that is done to it reaches the lake.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from clapometer.eventlog import MemoryLog
from clapometer.folding.fold import FOLDED, refresh_outcomes
from clapometer.lake.tables import Lake
from clapometer.loading.loader import Loader, LoadSettings
from clapometer.training.boards.rows import Row
from clapometer.training.reading import Resources
from clapometer.training.runs import Run
from clapometer.training.train import READ, compute

__all__ = ["rehearse"]

_KEPT = ("catalogues", "outcomes")


def rehearse(lake: Lake, run: Run, blocks: Sequence[bytes], resources: Resources) -> list[Row]:
    """Returns the rankings that a run would have made, had these blocks been in the log as well.

    Args:
        lake: The lake, which stays as it is.
        run: One whose files are all there.
        blocks: As the collector writes them.
        resources: What the job may use.
    """
    whole = msgspec.structs.replace(run.parameters, segments=(), count_orphans=False, max_items=1, max_pairs=1)
    with _copied(lake, run) as copy:
        if blocks:
            _load(copy, blocks)
        limits = {"threads": resources.threads, "memory_limit": resources.memory_limit}
        folded = refresh_outcomes(copy, **limits)  # type: ignore[arg-type]
        snapshot = {"events": folded.events_version, "outcomes": folded.outcomes_version}
        return compute(copy, msgspec.structs.replace(run, parameters=whole, snapshot=snapshot), resources).rankings


@contextmanager
def _copied(lake: Lake, run: Run) -> Iterator[Lake]:
    with tempfile.TemporaryDirectory(prefix="rehearsal-", dir=lake.storage.scratch) as folder:
        copy, txns = Lake(Path(folder)), dict[str, int]()
        for name in READ:
            txns = {FOLDED: _link(lake, copy, name, run.snapshot[name], txns)}
        for kept in _KEPT:  # what need not be made again
            for path in (lake.storage.cache / kept).glob("*"):
                _link_file(path, copy.storage.cache / kept / path.name)
        yield copy


def _link(lake: Lake, copy: Lake, name: str, version: int, txns: Mapping[str, int]) -> int:
    """Makes a table of the copy of the files that a version of the lake's has; returns the copy's version."""
    source, target, actions = lake.table(name), copy.table(name), []
    files = source.files(version)
    for file, path in zip(files, source.local(files), strict=True):
        _link_file(path, target.folder / file.path)
        actions.append(target.added(target.folder / file.path, dict(file.partition)))
    return target.commit(actions, txns)


def _link_file(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.link(path, target)


def _load(copy: Lake, blocks: Sequence[bytes]) -> None:
    log = MemoryLog()
    log.append_many(blocks)
    loader = Loader(log, copy, LoadSettings(upkeep=None))
    try:
        while loader.load_once().more:
            continue
    finally:
        loader.close()
