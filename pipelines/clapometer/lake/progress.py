"""How far the lake has loaded a log: offsets that are committed together with the rows."""

from __future__ import annotations

from collections.abc import Iterable

from clapometer.lake.tables import Lake


def load_app_id(identity: str, partition: int) -> str:
    """Returns the application transaction of ``events`` that holds the next offset of a partition of a log."""
    return f"load-{identity}-p{partition}"


def loaded_offsets(lake: Lake, identity: str, partitions: Iterable[int], version: int | None = None) -> dict[int, int]:
    """Returns the offset up to which a version of the lake, the latest where None, has each partition of a log."""
    table = lake.open_table("events")
    return {partition: table.txn(load_app_id(identity, partition), version) or 0 for partition in partitions}
