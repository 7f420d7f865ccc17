"""Clocks that jump: two days ahead, back, two days behind, back."""

from collections.abc import Iterator
from pathlib import Path

from tests.faults.bench import Bench, library, started
from tests.faults.trial import Outcome, judge, trial

JUMPS = ("+48h", "+0", "-48h", "+0", "-48h", "+48h", "+0")


def jumps(bench: Bench, log: str) -> Iterator[Outcome]:
    """Yields the outcome of jumps of all our clocks at once; the loader is killed after some of them."""
    name = "clock jumps by 48 h and 96 h, ahead and back"
    yield bench.tried(name, log, lambda: _jump(bench, log, name))


def _jump(bench: Bench, log: str, name: str) -> Outcome:
    (faketime,) = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    with bench.folder() as folder:
        offset = folder / "offset"
        offset.write_text("+0")
        preload = {
            "LD_PRELOAD": f"{library('nanosleep', folder)} {faketime}",
            "FAKETIME_TIMESTAMP_FILE": str(offset),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
        with (
            started(folder, log, preload={"collector": preload, "loader": preload}) as system,
            trial(system, "clock") as running,
        ):
            for number, jump in enumerate(JUMPS):
                with running.fault(lambda: None):
                    offset.write_text(jump)
                    if number % 3 == 2:
                        system.loaders[0].kill()
                        system.loaders[0].start()
            return judge(running, name)
