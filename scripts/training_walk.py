"""The way of one training through the code: the modules that a reader is led to, and those that one is led back to.

    python scripts/training_walk.py LAKE

Follows a training of a copy of the lake, call by call. A reader enters a module where a public function of it is called
for the first time, reads what it calls within, and goes on. A stay is a module that one is in until the next one; a
return is a stay where one has been before. Methods of values that one holds by then lead nowhere.
"""

from __future__ import annotations

import datetime as dt
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from clapometer.lake.tables import Lake
from clapometer.training.train import train_once

ROOM = "clapometer.training"


@dataclass(frozen=True)
class Walk:
    """Modules in the order in which they are entered, below ``clapometer.training``."""

    stays: tuple[str, ...]

    @property
    def returns(self) -> tuple[str, ...]:
        """Those of them that one was in before."""
        return tuple(name for place, name in enumerate(self.stays) if name in self.stays[:place])


def follow(train: Callable[[], Any]) -> Walk:
    """Returns the walk of a training."""
    seen: set[Any] = set()
    stays: list[str] = []

    def called(frame: FrameType, event: str, _: Any) -> None:
        code, module = frame.f_code, str(frame.f_globals.get("__name__", ""))
        public = code.co_qualname == code.co_name and not code.co_name.startswith(("_", "<"))
        if event == "call" and public and module.startswith(ROOM) and code not in seen:
            seen.add(code)
            name = module.removeprefix(f"{ROOM}.")
            if stays[-1:] != [name]:
                stays.append(name)

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        train()
    finally:
        sys.setprofile(before)
    return Walk(tuple(stays))


def main() -> None:
    """Prints the walk, returns marked, and how long it is."""
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(shutil.copytree(sys.argv[1], Path(folder) / "lake")))
        walk = follow(lambda: train_once(lake, clock=lambda: dt.datetime.now(dt.UTC)))
    for place, name in enumerate(walk.stays):
        print(f"{place + 1:3} {name}{'  (again)' if name in walk.stays[:place] else ''}")
    print(f"{len(walk.stays)} stays, {len(walk.returns)} returns")


if __name__ == "__main__":
    main()
