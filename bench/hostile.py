"""Memory that hostile connections leave behind: resident memory of collector and serving before and after 1,000.

``PYTHONPATH=. python bench/hostile.py``: heads, trailers and chunk extensions without end, heads of 200 KB in one
packet, hundreds of requests in a row, halves of requests (``tests/support/hostile_requests.py``); all without a key,
from this machine to itself. A round of the same that does not count goes first: what is loaded once is no leak.
"""

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
from tests.e2e.running import RunningService
from tests.support.hostile_requests import attack, hostile_to

LIMIT = 1.10
CONNECTIONS = 1_000
AT_ONCE = 20
SETTLE_SECONDS = 5.0


def memory_mb(process: psutil.Process) -> float:
    """Returns the resident memory of a process."""
    return float(process.memory_info().rss) / (1 << 20)


def _attack(port: int, every: list[list[bytes]], connections: int) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda number: attack(port, every[number % len(every)]), range(connections)))


def main() -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory() as folder:
        service = RunningService(Path(folder))
        service.start("serving")
        assert service.process is not None
        children = psutil.Process(service.process.pid).children()
        for part, url, path in (
            ("collect", service.collector, b"/v1/events"),
            ("serve", service.serving, b"/v1/slates"),
        ):
            (process,) = (each for each in children if part in each.cmdline())
            port, every = int(url.rpartition(":")[2]), hostile_to(path)
            _attack(port, every, CONNECTIONS // 5)
            time.sleep(SETTLE_SECONDS)
            before = memory_mb(process)
            _attack(port, every, CONNECTIONS)
            at_once = memory_mb(process)
            time.sleep(SETTLE_SECONDS)
            after = memory_mb(process)
            print(
                f"{part}: {before:.0f} MB before, {at_once:.0f} MB just after {CONNECTIONS} hostile connections, "
                f"{after:.0f} MB {SETTLE_SECONDS:g} s later; ratio {after / before:.2f} (limit {LIMIT})"
            )
        service.stop()


if __name__ == "__main__":
    main()
