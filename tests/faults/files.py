"""Files of the log or the lake that are gone, empty or cut: it is told which, nothing new is made in their place."""

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.faults.bench import Bench
from tests.faults.system import Part, System
from tests.faults.trial import Outcome, Trial, judge, trial
from tests.support.waiting import until

from clapometer.lake.tables import Lake

FAULT = "a file of the log or the lake is gone, empty or cut, and comes back"
LINES = 40
"""What a part that cannot go on may write while it is looked at: it waits between its attempts."""


def _cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def _empty(file: Path) -> None:
    os.truncate(file, 0)


HOW: dict[str, Callable[[Path], None]] = {"gone": Path.unlink, "empty": _empty, "cut": _cut}


def _log(system: System, _: random.Random) -> Path:
    return system.log_folder / "data.mdb"


def _entry(system: System, _: random.Random) -> Path | None:
    """Returns the last but one entry of the events' table, if it is one that a checkpoint did not make needless.

    Without the last one the table would be whole, but older.
    """
    log = system.lake / "events" / "_delta_log"
    entry = sorted(log.glob("*.json"))[-2]
    checkpoints = sorted(log.glob("*.checkpoint.parquet"))
    return None if checkpoints and checkpoints[-1].name[:20] >= entry.stem else entry


def _rows(system: System, chance: random.Random) -> Path:
    return Path(chance.choice(Lake(system.lake).files("events")))


WHAT: dict[str, Callable[[System, random.Random], Path | None]] = {"log": _log, "entry": _entry, "rows": _rows}


def damaged_files(bench: Bench, log: str) -> Iterator[Outcome]:
    """Yields the outcome of each kind of file with each kind of damage."""
    chance = random.Random(f"{bench.seed}-files")
    yield bench.tried(FAULT, log, lambda: _all(bench, log, chance))


def _all(bench: Bench, log: str, chance: random.Random) -> Outcome:
    with bench.system(log) as system, trial(system, "files", rate=200) as running:
        for what, chosen in WHAT.items():
            for damage in HOW.values():
                running.wait_for_acknowledged(200)
                _once(running, what, lambda chosen=chosen: chosen(system, chance), damage)
        return judge(running, FAULT)


def _once(running: Trial, what: str, chosen: Callable[[], Path | None], damage: Callable[[Path], None]) -> None:
    """Damages a file while nothing runs, sees what is said of it, and brings it back."""
    system = running.system
    parts = (system.collector, *system.loaders)
    file = None
    while file is None:
        running.wait_for_stored()
        for part in parts[::-1]:
            part.stop()
        file = chosen()
        if file is None:
            for part in parts:
                part.start()
    content = file.read_bytes()

    def end() -> None:
        for part in parts:
            part.kill()
        file.write_bytes(content)
        for part in parts:
            part.start()

    with running.fault(end):
        damage(file)
        _examined(system, file)
        _started(parts if what == "log" else system.loaders, what, file)


def _examined(system: System, file: Path) -> None:
    """Has ``doctor`` name the file and what is lost with it."""
    checks = json.loads(system.command("doctor", "--format", "json", code=1))["checks"]
    told = [each["found"] for each in checks if each["status"] == "error" and file.name in each["found"]]
    assert told, f"doctor does not name {file}"
    assert "ost for certain" in told[0], told


def _started(parts: tuple[Part, ...] | list[Part], what: str, file: Path) -> None:
    """Has each part that needs the file name it, and not in a loop without end; rows of old nobody may need now."""
    for part in parts:
        before = len(part.whole_output())
        part.start()

        def said(part: Part = part, before: int = before) -> str:
            return part.whole_output()[before:]

        if what != "rows":
            until(lambda said=said: file.name in said().replace("\n", ""), 60, every=0.1)
        if what == "log":
            until(lambda part=part: not part.alive(), 60, every=0.1)
        time.sleep(1)
        assert said().count("\n") < LINES, said()[-3000:]
        part.kill()
