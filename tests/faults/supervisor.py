"""kill -9 of ``up`` alone, at random moments of its start and of the restart of a part: nothing is left over."""

import contextlib
import random
import time
from collections.abc import Iterator

from tests.e2e.running import RunningService
from tests.e2e.sessions import of_session
from tests.faults.bench import FULL_KILLS, Bench
from tests.faults.traffic import Found, Sender, compare
from tests.faults.trial import CATCH_UP_SECONDS, Outcome
from tests.support.waiting import until

from clapometer.lake.ledger import ledger_difference
from clapometer.lake.tables import Lake

FAULT = "kill -9 of `up` while it or a part starts"
SURVIVE_SECONDS = 5.0
"""How long a part may outlive its supervisor."""
START_SECONDS = 4.0
"""About how long all parts take to start."""
PARTS = ("collect", "load", "schedule", "serve")


def supervisors(bench: Bench, log: str) -> Iterator[Outcome]:
    """Yields the outcome of 50 kills, fewer in the short form."""
    times = 50 if bench.kills >= FULL_KILLS else 4
    yield bench.tried(FAULT, log, lambda: _trial(bench, log, times))


def _trial(bench: Bench, log: str, times: int) -> Outcome:
    chance = random.Random(f"{bench.seed}-supervisor")
    with bench.folder() as folder:
        service = RunningService(folder, log_retention_seconds=0, commit_seconds=0.1)
        sender = Sender(service.collector, service.secret_key(), "/faults/supervisor", rate=200)
        ready_s = 0.0
        try:
            service.start()
            sender.start()
            for number in range(times):
                if number % 2:
                    _start_a_part_again(service, chance)
                else:
                    _kill(service)
                    service.launch()
                time.sleep(chance.uniform(0, START_SECONDS))
                _kill(service)
                since = time.monotonic()
                service.start()
                ready_s = max(ready_s, time.monotonic() - since)
            return _judged(service, sender, log, times, ready_s)
        finally:
            sender.halt()
            if service.process is not None and service.process.poll() is None:
                service.kill()


def _start_a_part_again(service: RunningService, chance: random.Random) -> None:
    """Kills one of the parts, so that the supervisor starts it again."""
    assert service.process is not None
    wanted = chance.choice(PARTS)
    until(lambda: _named(service, wanted), 30)
    _named(service, wanted)[0].kill()


def _named(service: RunningService, part: str) -> list:
    assert service.process is not None
    return [each for each in of_session(service.process.pid) if part in each.cmdline()]


def _kill(service: RunningService) -> None:
    """Kills the supervisor alone; what it started has to be gone soon after."""
    assert service.process is not None
    service.process.kill()
    service.process.wait()
    session = service.process.pid
    try:
        until(lambda: not of_session(session), SURVIVE_SECONDS, every=0.05)
    except AssertionError:
        left = [" ".join(each.cmdline()[2:]) for each in of_session(session)]
        msg = f"still running {SURVIVE_SECONDS} s after their supervisor was killed: {left}"
        raise AssertionError(msg) from None


def _judged(service: RunningService, sender: Sender, log: str, times: int, ready_s: float) -> Outcome:
    acknowledged = sender.finish()
    until((service.lake / "clapometer.duckdb").exists, CATCH_UP_SECONDS)  # no loader may have come so far until now

    def found() -> Found:
        return compare(service.lake, sender.source, acknowledged)

    with contextlib.suppress(AssertionError):  # what is missing then is counted as lost
        until(lambda: not found().lost, CATCH_UP_SECONDS, every=0.5)
    assert service.stop() == 0, service.log()
    last = found()
    return Outcome(
        fault=FAULT, log=log, times=times, acknowledged=last.acknowledged, lost=last.lost, doubled=last.doubled,
        ledger=ledger_difference(Lake(service.lake)), ready_s=round(ready_s, 1), kills=times,
    )  # fmt: skip
