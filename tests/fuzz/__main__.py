"""``make fuzz``: bad input at scale against the real services. The last line is the counts."""

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.fuzz.heads import heads
from tests.fuzz.runs import Tally, covered, documented, grammar, mutations, replayed
from tests.fuzz.servers import Servers
from tests.fuzz.terminal import texts


def main() -> int:
    """Fuzzes, prints counts, and returns 1 where anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--mutations", type=int, default=90_000, help="mutated requests")
    parser.add_argument("--grammar", type=int, default=10_000, help="requests that hypothesis makes")
    parser.add_argument("--seconds", type=int, default=100, help="that schemathesis has for each service")
    parser.add_argument("--coverage", type=int, default=200_000, help="bodies that atheris decodes in its process")
    parser.add_argument("--heads", type=int, default=4_000, help="connections to each service that are no client's")
    parser.add_argument("--texts", type=int, default=5_000, help="texts that are printed to a terminal")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the mutations and of hypothesis")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        return _run(chosen, Path(name))


def _run(chosen: argparse.Namespace, folder: Path) -> int:
    print(f"seed {chosen.seed}", flush=True)
    decoded, corpus, complaint = covered(folder, chosen.coverage)
    print(f"atheris: {decoded} bodies decoded, {len(corpus)} kept{'' if complaint is None else f'; {complaint}'}")
    statuses: Counter[int] = Counter()
    complaints = Counter() if complaint is None else Counter({complaint: 1})
    with Servers(folder, sql_seconds=5) as servers:
        for title, tally in (
            ("atheris' bodies", lambda: replayed(servers, corpus)),
            ("hypothesis", lambda: grammar(servers, chosen.grammar, chosen.seed)),
            ("mutations", lambda: mutations(servers, chosen.mutations, chosen.seed, corpus)),
            ("schemathesis", lambda: documented(servers, chosen.seconds, folder)),
            ("heads", lambda: heads(servers, chosen.heads, chosen.seed)),
            ("terminal", lambda: texts(chosen.texts, chosen.seed)),
        ):
            begun = time.monotonic()
            found: Tally = tally()
            statuses += found.statuses
            complaints += found.complaints
            counts = f"{found.texts} texts" if found.texts else _counts(found.statuses)
            print(f"{title}: {counts} in {time.monotonic() - begun:.0f} s", flush=True)
    failed = sum(count for status, count in statuses.items() if status >= 500)
    print(_counts(statuses))
    print(f"requests {statuses.total()}, 5xx {failed}, complaints {complaints.total()}")
    return 1 if failed or complaints else 0


def _counts(statuses: Counter[int]) -> str:
    return f"{statuses.total()} requests ({', '.join(f'{status}: {n}' for status, n in sorted(statuses.items()))})"


if __name__ == "__main__":
    raise SystemExit(main())
