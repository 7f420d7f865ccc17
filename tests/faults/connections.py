"""Connections that take what they can get, without a key: who has one is served meanwhile, and memory comes back."""

import contextlib
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from tests.faults.bench import Bench
from tests.faults.trial import Outcome, Trial, judge, trial
from tests.support.hostile_requests import HALVES, attack, hostile_to
from tests.support.waiting import until

from clapometer.http.connections import allow_files

ATTACKERS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
HELD = 480
"""Connections that each attacker keeps open: all of them together are what the collector takes of three addresses."""
CONNECTIONS = 1_000
AT_ONCE = 20
GROWTH = 1.10
EVERY = hostile_to(b"/v1/events")


def hostile_connections(bench: Bench, log: str) -> Iterator[Outcome]:
    """Yields the outcome of a thousand such connections beside as many that never say what they want."""
    name = f"{CONNECTIONS:,} hostile connections beside {HELD * len(ATTACKERS):,} that never end a head"
    yield bench.tried(name, log, lambda: _attacked(bench, log, name))


def _attacked(bench: Bench, log: str, name: str) -> Outcome:
    allow_files(2 * HELD * len(ATTACKERS))
    with bench.system(log) as system, trial(system, "hostile", rate=200) as running:
        for round_ in range(3):  # what is loaded once is not taken for a leak
            with contextlib.ExitStack() as held, running.fault(held.close):
                _hold(running, held)
                _attack(running)
                running.probe(bench.hold_s / 3, {202})
            if not round_:
                before = system.collector.memory_bytes()
        until(lambda: system.collector.memory_bytes() < GROWTH * before, 30, every=0.5)
        return judge(running, name)


def _hold(running: Trial, held: contextlib.ExitStack) -> None:
    """Opens connections that send less than a head and then nothing."""
    for number in range(HELD * len(ATTACKERS)):
        source = ATTACKERS[number % len(ATTACKERS)]
        connection = socket.create_connection(("127.0.0.1", running.system.port), 20, source_address=(source, 0))
        held.enter_context(connection)
        connection.sendall(HALVES[number % 3])


def _attack(running: Trial) -> None:
    def one(number: int) -> None:
        attack(running.system.port, EVERY[number % len(EVERY)], ATTACKERS[number % len(ATTACKERS)])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, range(CONNECTIONS)))
