"""Small lakes with something to rank."""

import datetime as dt
import itertools
import random
from pathlib import Path

from tests.support.event_rows import Row, answer, at, clip, events_table, impression

from clapometer.lake.tables import Lake

NOW = dt.datetime(2026, 3, 10, tzinfo=dt.UTC)


_SECONDS = itertools.count()


def clock() -> dt.datetime:
    """Returns a time after all events, a second later at every call."""
    return NOW + dt.timedelta(seconds=next(_SECONDS))


def traffic(
    *, models: int = 3, prompts: int = 30, shown: int = 4, seed: int = 0, logged: bool = True, tenant: str = "default"
) -> list[Row]:
    """Returns clips of every model version for every prompt, shown alike; later model versions are liked more."""
    rng = random.Random(seed)
    rows = []
    for prompt in range(prompts):
        for model in range(models):
            id_ = f"c{prompt}-{model}"
            rows.append(clip(id_, f"p{prompt}", f"m{model}", at(days=-1), tenant=tenant))
            for n in range(shown):
                about = f"i-{id_}-{n}"
                time = at(days=rng.randrange(3), seconds=rng.randrange(9_000))
                chance = {"propensity": 1 / (prompts * models), "candidates": prompts * models} if logged else {}
                rows.append(
                    impression(about, id_, time, explored=logged, surface="feed", position=n, tenant=tenant, **chance)
                )
                rows.append(answer("watched", about, f"w{about}", time, watched_ms=rng.randrange(9_999), tenant=tenant))
                if rng.random() < 0.2 + 0.25 * model:
                    rows.append(answer("reacted", about, f"r{about}", time, reaction="like", tenant=tenant))
    return rows


def lake_of(folder: Path, rows: list[Row]) -> Lake:
    """Returns a lake with these events."""
    lake = Lake(folder)
    lake.append("events", events_table(rows))
    return lake
