"""Resident memory of ``clapometer up`` while it takes in and loads events, against the limit of 1 GiB.

``PYTHONPATH=. python bench/memory.py --events 5000000``: starts the whole process group, sends events through the
HTTP API and samples the group's memory once a second. RSS counts a page that several processes share once for each;
PSS shares it out, so it is what the group really takes.
"""

import argparse
import datetime as dt
import re
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.e2e.running import RunningService
from tests.support.waiting import until

from clapometer.domain import Event
from clapometer.domain.events import Impression, ImpressionData, Watched, WatchedData
from clapometer.lake.tables import Lake
from clapometer.traffic import SendOptions, send

LIMIT_MIB = 1024
MIB = 2**20


def engagement(n: int) -> Iterator[Event]:
    """Yields ``n`` events: impressions, each followed by a watched."""
    now = dt.datetime.now(dt.UTC)
    for number in range(n // 2):
        shown = ImpressionData(
            impression_id=f"i-{number:012}", clip_id=f"clip-{number % 20_000}", viewer_id=f"viewer-{number % 300_000}",
            session_id=f"session-{number // 10}", position=number % 10, surface="feed", policy_id="ranked",
            propensity=0.01, candidates=100, locale="en",
        )  # fmt: skip
        seen = WatchedData(impression_id=f"i-{number:012}", watched_ms=number % 10_000, total_ms=number % 12_000)
        yield Impression(specversion="1.0", id=f"a{number}", source="/bench", time=now, data=shown)
        yield Watched(specversion="1.0", id=f"b{number}", source="/bench", time=now, data=seen)


class Memory(NamedTuple):
    """Memory of a process group, in bytes.

    Attributes:
        rss: Pages that several processes share count once for each.
        pss: They are shared out.
        anonymous: Without files that are mapped, which the system drops when it needs the room.
        parts: ``rss`` of each process.
    """

    rss: int
    pss: int
    anonymous: int
    parts: dict[str, int]


def group_memory(leader: int) -> Memory:
    """Returns the memory of a process group."""
    total: Counter[str] = Counter()
    parts: dict[str, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rsplit(")", 1)[1].split()[2]) != leader:
                continue
            rollup = stat.with_name("smaps_rollup").read_text()
            name = stat.with_name("cmdline").read_bytes().split(b"\0")[3].decode()
        except (OSError, IndexError):
            continue
        lines = re.findall(r"^(Rss|Pss|Pss_Anon): +(\d+) kB", rollup, re.MULTILINE)
        found = {key: int(value) * 1024 for key, value in lines}
        total.update(found)
        parts[name] = found["Rss"]
    return Memory(total["Rss"], total["Pss"], total["Pss_Anon"], parts)


def main() -> None:
    """Measures and prints."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--events", type=int, default=5_000_000)
    n = arguments.parse_args().events
    with tempfile.TemporaryDirectory() as name:
        service = RunningService(Path(name), schedule="0 0 1 1 *", log_retention_seconds=60)
        key = service.secret_key()
        service.start("serving")
        assert service.process is not None
        leader = service.process.pid
        samples: list[tuple[float, int, int]] = []
        most: dict[str, int] = {}
        done = threading.Event()

        def sample() -> None:
            while not done.wait(1.0):
                now = group_memory(leader)
                samples.append((time.monotonic(), now.rss, now.pss))
                most.update({part: max(size, most.get(part, 0)) for part, size in now.parts.items()})

        sampler = threading.Thread(target=sample)
        sampler.start()
        started = time.monotonic()
        report = send(engagement(n), SendOptions(url=service.collector, key=key, batch=500, connections=4))
        lake = Lake(service.lake)
        until(lambda: lake.rows("events") >= report.acknowledged, 600, every=1.0)
        seconds = time.monotonic() - started
        done.set()
        sampler.join()
        service.stop()
    show(report.acknowledged, seconds, samples, most)


def show(events: int, seconds: float, samples: list[tuple[float, int, int]], most: dict[str, int]) -> None:
    """Prints the figures: peak, and how the second half compares with the first quarter after the start."""
    quarter = max(len(samples) // 4, 1)
    early = max(rss for _, rss, _ in samples[quarter : 2 * quarter] or samples)
    late = max(rss for _, rss, _ in samples[-quarter:])
    peak_rss, peak_pss = max(rss for _, rss, _ in samples), max(pss for _, _, pss in samples)
    print(f"{events:,} events acknowledged and loaded in {seconds:.0f} s ({events / seconds:,.0f}/s, one machine)")
    print(f"peak RSS {peak_rss / MIB:.0f} MiB = {peak_rss / MIB / LIMIT_MIB:.2f} of the limit of {LIMIT_MIB} MiB")
    print(f"peak PSS {peak_pss / MIB:.0f} MiB")
    print(f"last quarter against second quarter: {late / early:.2f} (1 is flat)")
    print("by part, MiB:", ", ".join(f"{part} {size / MIB:.0f}" for part, size in sorted(most.items())))


if __name__ == "__main__":
    main()
