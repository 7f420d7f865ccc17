"""The whole service at a steady share of its capacity, for a long time: memory has to be flat, nothing may be lost.

``PYTHONPATH=. python bench/soak.py --minutes 30``: sends as fast as it can for a quarter of a minute and takes the time
until all of it is in the lake; then sends at ``--share`` of that capacity (or at ``--rate`` events a second) and
samples the memory of the process group, also without mapped files.
"""

import argparse
import itertools
import math
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from bench.memory import MIB, Memory, engagement, group_memory
from tests.e2e.running import RunningService
from tests.support.waiting import until

from clapometer.domain import Event
from clapometer.lake.ledger import ledger_difference
from clapometer.lake.tables import Lake
from clapometer.traffic import SendOptions, SendReport, send

PROBE_SECONDS = 15.0


def for_seconds(events: Iterator[Event], seconds: float) -> Iterator[Event]:
    """Yields events until the time is over."""
    end = time.monotonic() + seconds
    return itertools.takewhile(lambda _: time.monotonic() < end, events)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--share", type=float, default=0.6)
    parser.add_argument("--rate", type=float, help="events a second, instead of a share of the capacity")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        service = RunningService(Path(name), schedule="0 0 1 1 *", log_retention_seconds=60)
        key = service.secret_key()
        service.start("serving")
        assert service.process is not None
        leader = service.process.pid
        feed = engagement(2**40)

        def sent(seconds: float, rate: float) -> SendReport:
            options = SendOptions(url=service.collector, key=key, batch=500, connections=4, rate=rate)
            return send(for_seconds(feed, seconds), options)

        lake, started = Lake(service.lake), time.monotonic()
        probe = sent(PROBE_SECONDS, math.inf)
        until(lambda: lake.rows("events") >= probe.acknowledged, 600, every=0.5)
        capacity = probe.acknowledged / (time.monotonic() - started)
        rate = options.rate or options.share * capacity
        print(
            f"capacity {capacity:,.0f} events/s with the generator on the same cores; sending {rate:,.0f}", flush=True
        )
        samples: list[tuple[float, Memory]] = []
        done = threading.Event()

        def sample() -> None:
            while not done.wait(5):
                samples.append((time.monotonic(), group_memory(leader)))

        sampler = threading.Thread(target=sample)
        sampler.start()
        steady = sent(60 * options.minutes, rate)
        done.set()
        sampler.join()
        acknowledged = probe.acknowledged + steady.acknowledged
        started = time.monotonic()
        until(lambda: lake.rows("events") >= acknowledged, 600, every=0.5)
        behind = time.monotonic() - started
        service.stop()
        show(steady, samples)
        print(
            f"acknowledged {acknowledged:,}, stored {lake.rows('events'):,}, ledger {ledger_difference(lake)}, "
            f"the loader was {behind:.1f} s behind at the end"
        )


def show(steady: SendReport, samples: list[tuple[float, Memory]]) -> None:
    """Prints how memory went, from the second tenth of the time on."""
    print(
        f"{steady.seconds / 60:.1f} minutes, {steady.acknowledged / steady.seconds:,.0f} events/s, "
        f"retries {steady.retries}"
    )
    show_one("PSS", [(at, memory.pss) for at, memory in samples])
    show_one("anonymous", [(at, memory.anonymous) for at, memory in samples])


def show_one(kind: str, samples: list[tuple[float, int]]) -> None:
    """Prints how one kind of memory went."""
    rest = samples[len(samples) // 10 :]
    quarters = [
        statistics.median(size for _, size in rest[i * len(rest) // 4 : (i + 1) * len(rest) // 4]) / MIB
        for i in range(4)
    ]
    slope = statistics.linear_regression(*zip(*rest, strict=True)).slope * 3600 / MIB
    print(
        f"memory ({kind}) by quarter, median MiB: {', '.join(f'{each:.0f}' for each in quarters)}; "
        f"peak {max(size for _, size in samples) / MIB:.0f}; last against first {quarters[-1] / quarters[0]:.2f}; "
        f"slope {slope:+.0f} MiB an hour"
    )


if __name__ == "__main__":
    main()
