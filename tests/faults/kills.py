"""kill -9 of collector, loader and broker, each alone and together, at random moments under load."""

import random
import time
from collections.abc import Iterator

from tests.faults.bench import Bench
from tests.faults.system import System
from tests.faults.trial import Outcome, Trial, judge, trial

LEGS = {
    "embedded": {("collector",): 38, ("loader",): 38, ("collector", "loader"): 34},
    "kafka": {("collector",): 20, ("loader",): 24, ("broker",): 22, ("collector", "loader", "broker"): 24},
}
"""How many of 200 kills each group of victims gets."""
MOMENT = 900
"""A kill comes after up to this many events, which takes about a second."""


def shares(kills: int) -> dict[tuple[str, tuple[str, ...]], int]:
    """Returns how many of ``kills`` each group gets: at least one, and all of them together exactly ``kills``."""
    weights = {(log, victims): weight for log, legs in LEGS.items() for victims, weight in legs.items()}
    total = sum(weights.values())
    counts = {leg: max(1, kills * weight // total) for leg, weight in weights.items()}
    for leg in sorted(counts, key=lambda leg: -weights[leg])[: max(0, kills - sum(counts.values()))]:
        counts[leg] += 1
    return counts


def kills(bench: Bench, log: str) -> Iterator[Outcome]:
    """Yields an outcome for each group of victims."""
    chance = random.Random(f"{bench.seed}-{log}")
    with bench.system(log) as system:
        for (of_log, victims), times in shares(bench.kills).items():
            if of_log == log:
                name = f"kill -9 of {' and '.join(victims)}"
                yield bench.tried(name, log, lambda v=victims, n=times, name=name: _leg(system, name, v, n, chance))


def _leg(system: System, name: str, victims: tuple[str, ...], times: int, chance: random.Random) -> Outcome:
    with trial(system, "-".join(victims)) as running:
        for number in range(times):
            running.wait_for_acknowledged(chance.randrange(10, MOMENT))
            strike(running, victims, chance)
            if number % 2 and "loader" in victims:  # the others strike while the loader starts, this one later
                running.wait_for_stored()
        return judge(running, name, killing=True)


def strike(running: Trial, victims: tuple[str, ...], chance: random.Random) -> None:
    """Kills one process of each kind at once and starts them again."""
    chosen = [chance.choice(running.system.victims[victim]) for victim in victims]
    running.times += 1
    for process in chosen:
        process.kill()
    since = time.monotonic()
    for process in chosen:
        process.start()
    running.note_ready(since)
