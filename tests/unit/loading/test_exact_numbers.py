"""Whole numbers arrive in the lake as they were sent: whatever their spelling, up to 64 bits, in every column."""

import json
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.builders import NOW, block
from tests.support.event_rows import clip, events_table

from clapometer.collector import event_examples
from clapometer.domain import decode_batch
from clapometer.eventlog import MemoryLog
from clapometer.lake.delta.table import Table
from clapometer.lake.published.publish import publish
from clapometer.lake.schema import DATA_COLUMNS, WIDE
from clapometer.lake.specs import TABLES
from clapometer.lake.tables import Lake
from clapometer.loading.loader import Loader, LoadSettings

EXAMPLES = event_examples(NOW)
SEEDS = [0, 42, -1, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, -(2**63)]


def loaded(root: Path, body: bytes) -> Lake:
    batch = decode_batch(body, NOW)
    assert batch.rejected == []
    log, lake = MemoryLog(), Lake(root)
    log.append_many([block(batch.events)])
    loader = Loader(log, lake, LoadSettings(upkeep=None))
    loader.load_once()
    loader.close()
    return lake


def registration(seed: object, number: int = 0) -> dict[str, object]:
    example = EXAMPLES["clip_registered"]
    return {**example, "id": f"r{number}", "data": {**example["data"], "clip_id": f"c{number}", "seed": seed}}


@pytest.mark.parametrize("spelling", ["{}", "{}.0", "{}.00e0"])
def test_a_seed_of_64_bits_with_or_without_a_sign_comes_back_as_it_was_sent(tmp_path: Path, spelling: str) -> None:
    texts = [json.dumps(registration("@", n)).replace('"@"', spelling.format(seed)) for n, seed in enumerate(SEEDS)]
    lake = loaded(tmp_path, f"[{','.join(texts)}]".encode())
    (file,) = lake.files("events")
    assert pq.read_schema(file).field("seed").type == WIDE
    with lake.connect() as con:
        for table in ("events", "clips"):
            found = con.execute(f"SELECT seed FROM {table} ORDER BY clip_id").fetchall()
            assert [int(seed) for (seed,) in found] == SEEDS
            ((text,),) = con.execute(f"SELECT to_json(list(seed ORDER BY clip_id)) FROM {table}").fetchall()
            assert json.loads(text) == SEEDS


def test_every_whole_number_is_the_same_in_every_spelling(tmp_path: Path) -> None:
    watched = {
        "impression_id": "i", "watched_ms": 3000, "total_ms": 9000, "muted_ms": 1000, "paused_ms": 2000, "loops": 1000,
        "max_position_ms": 4000,
    }  # fmt: skip
    impression = {**EXAMPLES["impression"]["data"], "position": 1000, "candidates": 2000}
    registered = {
        **EXAMPLES["clip_registered"]["data"], "duration_ms": 3000, "seed": 5000, "lineage": {"episode": 7000},
        "cost": {"queue_ms": 6000},
    }  # fmt: skip
    data = {"watched": watched, "impression": impression, "clip_registered": registered}
    names = [column.name for column in DATA_COLUMNS if pa.types.is_integer(column.type) or column.type == WIDE]
    rows = []
    for place, spell in enumerate(("{:d}", "{:d}.0", "{:.0e}")):
        events = json.dumps([{**EXAMPLES[name], "data": content} for name, content in data.items()])
        for number in range(1000, 10_000, 1000):
            events = events.replace(f": {number}", f": {spell.format(number)}")
        lake = loaded(tmp_path / str(place), events.encode())
        with lake.connect() as con:
            columns = ", ".join(f"max({name})" for name in names)
            rows.append(con.execute(f"SELECT {columns} FROM events").fetchall())
    assert rows[0] == rows[1] == rows[2]
    assert None not in rows[0][0]
    assert len(names) == 12


def test_a_lake_of_an_older_version_gets_the_wider_seed_and_keeps_the_old_ones(tmp_path: Path) -> None:
    schema, partition_by = TABLES["events"]
    narrow = schema.set(schema.get_field_index("seed"), pa.field("seed", pa.int64()))
    old = Table(tmp_path / "events", narrow, partition_by)
    old.commit(old.write(events_table([clip("old", seed=-5), clip("none")]).cast(narrow)), {"load": 7})
    lake = Lake(tmp_path)
    lake.append("events", events_table([clip("new", seed=2**64 - 1)]))
    with lake.connect() as con:
        found = con.execute("SELECT clip_id, seed FROM clips ORDER BY clip_id").fetchall()
    assert found == [("new", Decimal(2**64 - 1)), ("none", None), ("old", Decimal(-5))]
    assert Table(tmp_path / "events", schema, partition_by).declared().field("seed").type == WIDE
    assert lake.txn("events", "load") == 7
    publish(lake)


def test_a_lake_of_an_older_version_that_cannot_be_written_is_read_all_the_same(tmp_path: Path) -> None:
    schema, partition_by = TABLES["events"]
    narrow = schema.set(schema.get_field_index("seed"), pa.field("seed", pa.int64()))
    old = Table(tmp_path / "events", narrow, partition_by)
    old.commit(old.write(events_table([clip("old", seed=-5)]).cast(narrow)), {})
    lake = Lake(tmp_path)
    assert lake.version("events") > 1
    with lake.connect({"events": 1}) as con:  # as time travel reads it: its files are of the narrow type
        assert con.execute("SELECT seed FROM clips").fetchall() == [(Decimal(-5),)]
