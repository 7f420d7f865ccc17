"""Rows of the lake's ``events`` table for tests: only what matters is said, the rest is a plausible default."""

import datetime as dt
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from clapometer.lake.schema import EVENTS

DAY = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
Row = dict[str, Any]


def at(seconds: float = 0.0, days: float = 0.0) -> dt.datetime:
    """Returns noon of 1 March 2026 plus some time."""
    return DAY + dt.timedelta(days=days, seconds=seconds)


def _key(*parts: str) -> int:
    return int.from_bytes(hashlib.sha256("\x1f".join(parts).encode()).digest()[:7], "big")


def row(event_type: str, id_: str, time: dt.datetime = DAY, /, **values: Any) -> Row:
    """Returns one event as the loader stores it; ``received_at`` is two seconds after ``time``."""
    received = values.pop("received_at", time + dt.timedelta(seconds=2))
    fixed = {"tenant": "default", "source": "/test", "trust": "token"} | values
    return fixed | {
        "type": event_type,
        "id": id_,
        "time": time,
        "client_time": time,
        "received_at": received,
        "received_date": received.date(),
        "event_key": _key(fixed["tenant"], fixed["source"], id_),
        "payload_hash": _key(event_type, repr(sorted(values.items()))),
    }


def impression(id_: str, clip: str = "c1", time: dt.datetime = DAY, *, event: str = "", **values: Any) -> Row:
    """Returns an impression with id ``id_``."""
    shown = {"clip_id": clip, "viewer_id": f"viewer of {id_}"} | values
    return row("impression", event or f"show {id_}", time, impression_id=id_, **shown)


def answer(event_type: str, impression_id: str, id_: str, time: dt.datetime = DAY, /, **values: Any) -> Row:
    """Returns a ``watched``, ``reacted`` or ``converted`` event."""
    return row(event_type, id_, time, impression_id=impression_id, **values)


def vote(
    id_: str, clips: tuple[str, str], result: str, viewer: str, time: dt.datetime = DAY, **shown: Any
) -> list[Row]:
    """Returns a vote on two clips, and the two impressions of the viewer that it is about."""
    ids = {f"{side}_impression_id": f"{id_} {side}" for side in ("left", "right")}
    seen = [
        impression(f"{id_} {side}", clip_id, time, viewer_id=viewer, **shown)
        for side, clip_id in zip(("left", "right"), clips, strict=True)
    ]
    return [*seen, row("voted", id_, time + dt.timedelta(seconds=30), result=result, **ids)]


def clip(id_: str, prompt: str = "p1", model: str = "m1", time: dt.datetime = DAY, **values: Any) -> Row:
    """Returns a registration; ``model`` is its name, the version is ``1``."""
    said = {
        "prompt_id": prompt,
        "prompt_text": f"text of {prompt}",
        "model_name": model,
        "model_version": "1",
        "duration_ms": 10_000,
        "task": "t2v",
    } | values
    return row("clip_registered", f"register {id_}", time, clip_id=id_, trust="key", **said)


def events_table(rows: Iterable[Row]) -> pa.Table:
    """Returns the rows as a table of the ``events`` schema."""
    return pa.Table.from_pylist(list(rows), schema=EVENTS)


def plain(table: pa.Table, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    """Returns some columns of a table as tuples."""
    return [tuple(values[name] for name in columns) for values in table.to_pylist()]
