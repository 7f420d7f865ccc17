"""Opens the published file again and again, as an analyst's own Python does: any Python, any DuckDB from 1.4 on.

``python reader.py FILE OPENINGS``: every opening asks twice and prints a line of JSON: the version of the events that
the file shows, and the events, outcomes and stored events of the ledger that it has. Ends with an error at the first
that fails or contradicts itself.
"""

import json
import sys

import duckdb

QUERY = """
SELECT
    (SELECT version FROM snapshot WHERE table_name = 'events'),
    (SELECT count(*) FROM events),
    (SELECT count(*) FROM outcomes),
    (SELECT coalesce(sum(stored), 0)::BIGINT FROM ledger)
"""


def main() -> None:
    file, openings = sys.argv[1], int(sys.argv[2])
    for _ in range(openings):
        with duckdb.connect(file, read_only=True) as connection:
            first = connection.execute(QUERY).fetchall()
            second = connection.execute(QUERY).fetchall()
        if first != second:
            sys.exit(f"one opening showed {first} and then {second}")
        print(json.dumps([duckdb.__version__, *first[0]]), flush=True)


if __name__ == "__main__":
    main()
