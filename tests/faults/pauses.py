"""SIGSTOP of each process: it holds its connections and files, and does nothing."""

import time
from collections.abc import Iterator

from tests.faults.bench import Bench
from tests.faults.system import System
from tests.faults.trial import Outcome, judge, trial

MEMORY_BYTES = 200 << 20
"""By how much the collector may grow while what it writes to does not answer: what it may hold, and change."""


def pauses(bench: Bench, log: str) -> Iterator[Outcome]:
    """Yields an outcome for each process of the system."""
    with bench.system(log) as system:
        for victim in [name for name, processes in system.victims.items() if processes]:
            name = f"SIGSTOP of {victim} for {bench.hold_s:.0f} s"
            yield bench.tried(name, log, lambda v=victim, name=name: _pause(system, name, v, bench.hold_s))


def _pause(system: System, name: str, victim: str, seconds: float) -> Outcome:
    processes = system.victims[victim]

    def resume() -> None:
        for process in processes:
            process.resume()

    with trial(system, f"pause-{victim}") as running:
        before = 0 if victim == "collector" else system.collector.memory_bytes()
        with running.fault(resume):
            for process in processes:
                process.pause()
            if victim == "collector":
                time.sleep(seconds)  # nobody answers
            else:
                running.probe(seconds, {202, 503} if victim == "broker" else {202})
                assert system.collector.memory_bytes() < before + MEMORY_BYTES
        return judge(running, name)


def restarts(bench: Bench, log: str) -> Iterator[Outcome]:
    """Yields the outcome of orderly restarts, of the broker where there is one."""
    with bench.system(log) as system:
        victims = [victim for victim in system.victims if system.victims[victim]][::-1]
        name = f"orderly restart of {' and '.join(victims)}, one after the other"
        yield bench.tried(name, log, lambda: _restart(system, name, victims, bench.repeats))


def _restart(system: System, name: str, victims: list[str], times: int) -> Outcome:
    with trial(system, "restart") as running:
        for _ in range(times):
            for victim in victims:
                (process, *_rest) = system.victims[victim]
                with running.fault(process.start):
                    process.stop()
        return judge(running, name)
