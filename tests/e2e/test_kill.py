"""The promise: what was answered 202 is in the lake exactly once, whatever happens to the processes."""

import random
from pathlib import Path

from tests.e2e.running import RunningService
from tests.faults.traffic import Found, Sender, compare, rows_stored
from tests.support.waiting import until

from clapometer.lake.ledger import ledger_difference
from clapometer.lake.tables import Lake

KILLS = 20
RATE = 3_000


def test_every_acknowledged_event_is_in_the_lake_once_after_twenty_kills_of_the_whole_group(tmp_path: Path) -> None:
    chance = random.Random(20261123)
    service = RunningService(tmp_path, log_retention_seconds=0)
    sender = Sender(service.collector, service.secret_key(), "/kill-test", rate=RATE, patience_s=120)
    service.start()
    sender.start()
    try:
        for kill in range(KILLS):
            goal = sender.acknowledged() + chance.randrange(200, 2 * RATE)
            until(lambda goal=goal: sender.acknowledged() >= goal)
            if kill % 4 == 0:  # the others strike while the loader starts, this one while it loads
                before = rows_stored(service.lake, sender.source)
                until(lambda before=before: rows_stored(service.lake, sender.source) > before)
            service.kill()
            service.start()
        acknowledged = sender.finish(120)
        until(lambda: rows_stored(service.lake, sender.source) >= acknowledged, every=0.2)
        assert service.stop() == 0
        assert compare(service.lake, sender.source, acknowledged) == Found(acknowledged, lost=0, doubled=0)
        assert rows_stored(service.lake, sender.source) == acknowledged
        assert ledger_difference(Lake(service.lake)) == 0
    finally:
        sender.halt()
        if service.process is not None and service.process.poll() is None:
            service.kill()
