"""How long after its 202 an event is seen by plain DuckDB, at a light load, against the limit of 2 seconds.

``PYTHONPATH=. python bench/freshness.py``: posts one event at a time to a running ``clapometer up`` and opens the
published file until the event is there.
"""

import datetime as dt
import statistics
import tempfile
import time
from pathlib import Path

import duckdb
from tests.e2e.running import RunningService

LIMIT_S = 2.0
EVENTS = 60


def event(number: int) -> dict[str, object]:
    """Returns an event with its number as id."""
    return {
        "specversion": "1.0",
        "id": str(number),
        "source": "/freshness",
        "type": "clapometer.watched.v1",
        "time": dt.datetime.now(dt.UTC).isoformat(),
        "data": {"impression_id": "i", "watched_ms": number},
    }


def seen(published: Path, number: int) -> bool:
    """Returns whether plain DuckDB finds the event."""
    with duckdb.connect(str(published), read_only=True) as connection:
        row = connection.execute("SELECT count(*) FROM events WHERE id = ?", [str(number)]).fetchone()
    return row is not None and row[0] == 1


def main() -> None:
    """Measures and prints."""
    waits = []
    with tempfile.TemporaryDirectory() as folder:
        service = RunningService(Path(folder))
        key = service.secret_key()
        service.start("serving")
        published = service.lake / "clapometer.duckdb"
        while not published.exists():
            time.sleep(0.05)
        for number in range(EVENTS):
            service.post("/v1/events", key, [event(number)])
            answered = time.perf_counter()
            while not seen(published, number):
                time.sleep(0.005)
            waits.append(time.perf_counter() - answered)
        service.stop()
    median, most = statistics.median(waits), max(waits)
    print(f"{EVENTS} events: seen after {median:.2f} s (median), {most:.2f} s (worst)")
    print(f"ratio to the limit of {LIMIT_S:g} s: {median / LIMIT_S:.2f} (median), {most / LIMIT_S:.2f} (worst)")


if __name__ == "__main__":
    main()
