"""What an idle ``clapometer up`` costs: processor time of all its processes over a minute, as a share of one core.

``PYTHONPATH=. python bench/idle.py``: this build, then an earlier one (``--earlier REV``, read from a git worktree of
that revision) under the same Python and libraries, in the same run. A warm-up of one event, so that the loader has
done its first work, then a while of silence that does not count, then the minute that does.
"""

import argparse
import datetime as dt
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import psutil
from tests.e2e.running import RunningService
from tests.support.waiting import until

HERE = Path(__file__).resolve().parent.parent
PATHS = ("models", "pipelines", "services")
LIMIT = 0.01
SETTLE_SECONDS = 20.0


@contextmanager
def worktree(revision: str) -> Iterator[Path]:
    """The files of a revision, in a folder of their own."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "tree"
        subprocess.run(["git", "worktree", "add", "--detach", "-q", str(place), revision], cwd=HERE, check=True)
        try:
            yield place
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(place)], cwd=HERE, check=True)


def seconds_used(service: RunningService) -> dict[str, float]:
    """Returns the processor seconds of every process of the service, by its command; ended children count too."""
    assert service.process is not None
    up = psutil.Process(service.process.pid)
    used: dict[str, float] = {}
    for process in [up, *up.children(recursive=True)]:
        times = process.cpu_times()
        name = process.cmdline()[3]  # python -m clapometer.cli.main NAME
        spent = times.user + times.system + times.children_user + times.children_system
        used[name] = used.get(name, 0.0) + spent
    return used


def loaded(service: RunningService) -> bool:
    """Returns whether the event of the warm-up is in the published file."""
    published = service.lake / "clapometer.duckdb"
    if not published.exists():
        return False
    with duckdb.connect(str(published), read_only=True) as connection:
        row = connection.execute("SELECT count(*) FROM events").fetchone()
    return row is not None and row[0] == 1


def idle(tree: Path, seconds: float) -> dict[str, float]:
    """Returns the share of one core that each process of an idle ``up`` took."""
    with tempfile.TemporaryDirectory() as folder:
        service = RunningService(Path(folder))
        service.environment["PYTHONPATH"] = os.pathsep.join(str(tree / path) for path in PATHS)
        key = service.secret_key()
        service.start("serving")
        event = {
            "specversion": "1.0", "id": "1", "source": "/idle", "type": "clapometer.watched.v1",
            "time": dt.datetime.now(dt.UTC).isoformat(), "data": {"impression_id": "i", "watched_ms": 1},
        }  # fmt: skip
        service.post("/v1/events", key, [event])
        until(lambda: loaded(service), 60, every=0.1)
        time.sleep(SETTLE_SECONDS)
        before, started = seconds_used(service), time.monotonic()
        time.sleep(seconds)
        after, took = seconds_used(service), time.monotonic() - started
        service.stop()
    return {name: (spent - before.get(name, 0.0)) / took for name, spent in after.items()}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--earlier", default="255a29e", help="revision to compare with; empty for none")
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    shares = {"this build": idle(HERE, options.seconds)}
    if options.earlier:
        with worktree(options.earlier) as tree:
            shares[options.earlier] = idle(tree, options.seconds)
    for build, found in shares.items():
        parts = ", ".join(f"{name} {share:.2%}" for name, share in found.items())
        print(f"{build}: {sum(found.values()):.2%} of one core ({parts})")
    total = sum(shares["this build"].values())
    print(f"ratio to the limit of {LIMIT:.0%}: {total / LIMIT:.2f}")
    if options.earlier:
        print(f"ratio to {options.earlier}: {total / sum(shares[options.earlier].values()):.3f}")


if __name__ == "__main__":
    main()
