"""``python -m tests.faults``: every fault, and whether what was acknowledged is lost, doubled or unaccounted for."""

import argparse
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.faults.bench import FULL_KILLS, Bench
from tests.faults.clocks import jumps
from tests.faults.connections import hostile_connections
from tests.faults.damage import damages
from tests.faults.disks import full_disks
from tests.faults.files import damaged_files
from tests.faults.kills import kills
from tests.faults.known_ids import known_ids
from tests.faults.network import partitions
from tests.faults.pauses import pauses, restarts
from tests.faults.power import power_cuts
from tests.faults.results import commit_of_code, last_line, line, record
from tests.faults.supervisor import supervisors
from tests.faults.syncs import failing_syncs
from tests.faults.system import root_needed
from tests.faults.trial import Outcome

COMMON: dict[str, Callable[..., Iterator[Outcome]]] = {
    "kills": kills,
    "pauses": pauses,
    "restarts": restarts,
    "disks": full_disks,
    "syncs": failing_syncs,
    "clocks": jumps,
    "damage": damages,
}
LANES: dict[str, dict[str, Callable[..., Iterator[Outcome]]]] = {
    "embedded": {
        **COMMON,
        "power": power_cuts,
        "supervisor": supervisors,
        "files": damaged_files,
        "connections": hostile_connections,
        "ids": known_ids,
    },
    "kafka": {**COMMON, "network": partitions},
}
"""What is done with each log; the lanes run beside each other."""


def main() -> int:
    """Runs what the command line asks for; returns 1 where something is not as it has to be."""
    options = _options()
    root_needed()
    bench, commit = Bench(options.kills), commit_of_code()
    started = time.monotonic()
    told = threading.Lock()

    def lane(log: str) -> list[Outcome]:
        outcomes = []
        for name, fault in LANES[log].items():
            if options.only and name not in options.only:
                continue
            for outcome in _attempted(fault, bench, log, name):
                outcomes.append(outcome)
                with told:
                    print(f"{time.monotonic() - started:6.0f} s  {line(outcome)}", flush=True)
                    if options.record is not None:
                        record(options.record, outcome, commit)
        return outcomes

    with ThreadPoolExecutor(len(LANES)) as lanes:
        outcomes = [outcome for found in lanes.map(lane, options.logs) for outcome in found]
    print(last_line(outcomes))
    return 0 if all(outcome.good for outcome in outcomes) else 1


def _attempted(fault: Callable[..., Iterator[Outcome]], bench: Bench, log: str, name: str) -> Iterator[Outcome]:
    """Yields the outcomes of a fault; that its system did not even start is one, too."""
    try:
        yield from fault(bench, log)
    except Exception:  # noqa: BLE001 - the other faults are to be tried all the same
        yield Outcome(name, log, 0, error=traceback.format_exc())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    names = sorted({name for faults in LANES.values() for name in faults})
    parser.add_argument("--kills", type=int, default=FULL_KILLS, help="kill -9, over all kinds of them")
    parser.add_argument("--only", nargs="*", choices=names, help="these faults")
    parser.add_argument("--logs", nargs="*", choices=list(LANES), default=list(LANES), help="these logs")
    parser.add_argument("--record", type=Path, help="file that keeps the results, such as docs/reliability.json")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
