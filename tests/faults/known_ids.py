"""A browser key sends ids that a secret key uses, before it and after it, with other data: nothing is lost."""

import datetime as dt
import json
import urllib.request
from collections.abc import Iterator

from tests.faults.bench import Bench
from tests.faults.system import System
from tests.faults.traffic import BATCH, watched_ms
from tests.faults.trial import Outcome, judge, trial

FAULT = "a browser key sends the ids of a secret key first, with other data"
AHEAD = 2_000
"""How far ahead of the sender the ids are: it gets there within seconds."""


def known_ids(bench: Bench, log: str) -> Iterator[Outcome]:
    """Yields the outcome of a few hundred ids, some of them known before the server sends them, some after."""
    yield bench.tried(FAULT, log, lambda: _sent(bench, log))


def _sent(bench: Bench, log: str) -> Outcome:
    with bench.system(log) as system:
        key, time = system.new_key("publishable"), dt.datetime.now(dt.UTC).isoformat()
        with trial(system, "known") as running:
            for _ in range(bench.repeats):
                now = running.sender.acknowledged()
                with running.fault(lambda: None):
                    _send(system, key, time, running.sender.source, range(now // 2, now // 2 + AHEAD // 4))
                    _send(system, key, time, running.sender.source, range(now + AHEAD, now + AHEAD + AHEAD // 4))
                    running.wait_for_acknowledged(2 * AHEAD)
            return judge(running, FAULT)


def _send(system: System, key: str, time: str, source: str, numbers: range) -> None:
    """Sends events of these numbers that say something else; each has to be accepted as the browser's own."""
    for start in range(0, len(numbers), BATCH):
        some = numbers[start : start + BATCH]
        events = [
            {
                "specversion": "1.0", "type": "clapometer.watched.v1", "id": str(number), "source": source,
                "time": time, "data": {"impression_id": f"i{number}", "watched_ms": watched_ms(number) + 1},
            }
            for number in some
        ]  # fmt: skip
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        request = urllib.request.Request(f"{system.url}/v1/events", json.dumps(events).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert json.load(answer)["accepted"] == len(some)
