"""The parser's answers belong to the events that they are given for."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.support.builders import block, impression, registered, watched

from clapometer.domain import encode_block, encode_events
from clapometer.domain.events import Watched, WatchedData
from clapometer.eventlog import Record
from clapometer.lake.tables import Lake
from clapometer.loading.blocks import read_batch
from clapometer.loading.event_rows import Parser

NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
KEY = "(md5_number_lower(concat_ws(chr(31), tenant, source, id)) >> 1)::BIGINT"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@pytest.fixture
def parser(lake: Lake, tmp_path: Path) -> Iterator[Parser]:
    made = Parser(lake.table("events"), spill=tmp_path, threads=4, memory_limit="512MB")
    yield made
    made.close()


def record(block: int, size: int) -> Record:
    events = [
        Watched(
            specversion="1.0", id=str(block * size + index), source="/parser", time=NOW,
            data=WatchedData(impression_id="i", watched_ms=index),
        )
        for index in range(size)
    ]  # fmt: skip
    return Record(0, block, encode_block(encode_events(events), size, tenant="default", received_at=NOW))


@pytest.mark.parametrize(("blocks", "size"), [(1, 1), (1, 50), (40, 50), (400, 100)])
def test_every_event_has_its_own_id_and_key_however_threads_share_the_batch(
    parser: Parser, lake: Lake, blocks: int, size: int
) -> None:
    lines = read_batch([record(block, size) for block in range(blocks)], NOW).lines
    found = parser.parse(lines)
    assert found.rows["id"].to_pylist() == [str(number) for number in range(blocks * size)]

    written = parser.write(found, np.ones(blocks * size, bool))
    files = [lake.table("events").folder / action.path for action in written]
    assert sum(pq.ParquetFile(file).metadata.num_rows for file in files) == blocks * size
    with lake.connect() as connection:
        wrong = connection.execute(
            f"SELECT count(*) FROM read_parquet(?) WHERE event_key != {KEY}", [[str(file) for file in files]]
        ).fetchone()
    assert wrong == (0,)


def test_fingerprints_come_in_the_order_in_which_they_are_asked_for(parser: Parser) -> None:
    lines = read_batch([record(block, 100) for block in range(200)], NOW).lines
    asked = np.random.default_rng(7).permutation(20_000)[:5_000]
    found = parser.parse(lines).fingerprints(asked)
    assert [identity for identity, _ in found] == [("default", "/parser", str(number), 0) for number in asked]


def test_the_hash_of_a_payload_is_the_one_that_is_stored_wherever_the_event_lies_in_its_batch(
    parser: Parser, lake: Lake
) -> None:
    events = [impression("a"), registered("b"), watched("c"), impression("d", position=7)]
    lines = read_batch([Record(0, 0, block(events))], NOW).lines
    parsed = parser.parse(lines)
    files = [lake.table("events").folder / action.path for action in parser.write(parsed, np.ones(4, bool))]
    stored: dict[str, int] = {}
    for file in files:
        rows = pq.ParquetFile(file).read(columns=["id", "payload_hash"])
        stored |= dict(zip(rows["id"].to_pylist(), rows["payload_hash"].to_pylist(), strict=True))
    found = parsed.fingerprints(np.array([3, 1, 0, 2]))
    assert [(identity[2], payload) for identity, payload in found] == [(id_, stored[id_]) for id_ in "dbac"]
