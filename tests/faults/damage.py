"""Damaged bytes: a torn last block, which a crash leaves, and flipped bits, which a bad disk leaves."""

import random
import re
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
from tests.faults.bench import Bench
from tests.faults.system import System
from tests.faults.trial import Outcome, Trial, judge, trial
from tests.support.waiting import until

from clapometer.eventlog import Record

_NUMBER = re.compile(rb'"id":"([0-9]+)"')
_RANGE = re.compile(r"cannot be read: records ([0-9]+) to ([0-9]+)")
_BATCH_SIZED = 12
_BATCH_HEAD = struct.Struct(">qi11xi34x")
"""Head of a batch: first offset, size of what follows `_BATCH_SIZED` bytes, last offset from the first (KIP-98)."""
TORN = 3000
"""Bytes of a write that the crash cut short."""


def damages(bench: Bench, log: str) -> Iterator[Outcome]:
    """Yields the outcomes of torn writes and flipped bits."""
    chance = random.Random(f"{bench.seed}-{log}-damage")
    with bench.system(log) as system:
        name = "kill -9 in the middle of a write: the last block is torn"
        yield bench.tried(name, log, lambda: _tear(system, name, bench.repeats, chance))
    with bench.system(log) as system:
        flip = "a flipped bit in a block"
        yield bench.tried(flip, log, lambda: _flip(system, flip, bench.repeats, chance))


def _tear(system: System, name: str, times: int, chance: random.Random) -> Outcome:
    writer = system.collector if system.broker is None else system.broker
    with trial(system, "torn") as running:
        for _ in range(times):
            running.wait_for_acknowledged(chance.randrange(10, 900))
            writer.kill()
            for part in (system.collector, *system.loaders):
                part.kill()
            for file in _last_files(system):
                with file.open("ab") as end:
                    end.write(_torn(file, chance))
            running.times += 1
            since = time.monotonic()
            for part in (system.collector, *system.loaders):
                part.start()
            if system.broker is not None:
                system.broker.start()
            running.note_ready(since)
            running.wait_for_stored()
        return judge(running, name)


def _torn(file: Path, chance: random.Random) -> bytes:
    """Returns the beginning of a copy of what the file ends with: it looks real up to where it stops."""
    tail = file.read_bytes()[-(1 << 16) :]
    start = chance.randrange(max(1, len(tail) - TORN))
    return tail[start : start + chance.randrange(1, TORN)]


def _last_files(system: System) -> list[Path]:
    """Returns the files at whose ends the log is written."""
    if system.broker is None:
        return [system.log_folder / "data.mdb"]
    return [max(folder.glob("*.log")) for folder in system.broker.data.glob("faults-*")]


def _flip(system: System, name: str, times: int, chance: random.Random) -> Outcome:
    """Flips bits of blocks that are acknowledged and not loaded yet, while everything stands still."""
    aside: set[int] = set()
    flipped: list[bytes] = []
    with trial(system, "flip") as running:
        for _ in range(times):
            for loader in system.loaders:
                loader.stop()
            seen = _waiting(system)
            running.wait_for_acknowledged(1000)
            system.collector.stop()
            blocks = _waiting(system)
            if system.broker is None:
                flipped.append(chance.choice(blocks).block)
                _flip_in(system.log_folder / "data.mdb", flipped[-1], chance)
            else:
                system.broker.stop()
                damaged = _flip_at_end(_last_files(system), _since(seen, blocks), chance)
            running.times += 1
            since = time.monotonic()
            for part in (system.broker, system.collector, *system.loaders):
                if part is not None:
                    part.start()
            running.note_ready(since)
            running.wait_for_stored()
            if system.broker is None:
                _wait_for_dead_letters(running)
                aside |= _numbers_kept(system, flipped)
            else:
                _wait_for_dead_letter_of(damaged, running)
                aside |= damaged.numbers
        outcome = judge(running, name, set_aside=aside)
        assert outcome.quarantined, "no damaged block was found"
        return outcome


def _waiting(system: System) -> list[Record]:
    """Returns the blocks of the log: of the embedded one, which forgets what is loaded, those that wait."""
    log = system.open_log()
    found: list[Record] = []
    try:
        for partition in log.partitions():
            offset = 0
            while records := log.read(partition, offset, 1 << 22):
                found += records
                offset = records[-1].offset + 1
    finally:
        log.close()
    return found


def _since(seen: list[Record], blocks: list[Record]) -> list[Record]:
    """Returns the blocks that came after those that were seen."""
    ends = {record.partition: record.offset for record in seen}
    return [record for record in blocks if record.offset > ends.get(record.partition, -1)]


def _flip_in(file: Path, block: bytes, chance: random.Random) -> None:
    """Flips one bit of a block, wherever the file has a copy of its page."""
    content = bytearray(file.read_bytes())
    at = chance.randrange(len(block))
    start = content.find(block)
    assert start >= 0
    flip = 1 << chance.randrange(8)
    while start >= 0:
        content[start + at] ^= flip
        start = content.find(block, start + 1)
    with file.open("r+b") as opened:
        opened.write(content)


@dataclass(frozen=True)
class _Damaged:
    """The last batch of records of a partition, one bit of which was flipped.

    Attributes:
        partition: Its partition.
        first: Offset of its first record.
        last: Offset of its last record.
        numbers: Of the events in it.
    """

    partition: int
    first: int
    last: int
    numbers: set[int]


def _flip_at_end(files: list[Path], blocks: list[Record], chance: random.Random) -> _Damaged:
    """Flips one bit of the last batch, past its head, of a partition with one of ``blocks``, which nobody read yet."""
    waiting = {block.partition for block in blocks}
    by_partition = {int(file.parent.name.rpartition("-")[2]): file for file in files}
    partition = chance.choice(sorted(waiting & by_partition.keys()))
    file = by_partition[partition]
    start, end, first, last = _last_batch(file.read_bytes())
    with file.open("r+b") as opened:
        at = chance.randrange(start + _BATCH_HEAD.size, end)
        opened.seek(at)
        (byte,) = opened.read(1)
        opened.seek(at)
        opened.write(bytes([byte ^ 1 << chance.randrange(8)]))
    numbers = {
        int(number)
        for block in blocks
        if block.partition == partition and first <= block.offset <= last
        for number in _NUMBER.findall(block.block)
    }
    assert numbers, f"records {first} to {last} of partition {partition} are not among those that wait"
    return _Damaged(partition, first, last, numbers)


def _last_batch(segment: bytes) -> tuple[int, int, int, int]:
    """Returns where the last batch of a segment starts and ends, and its first and last offset."""
    start = end = first = last = 0
    while end + _BATCH_HEAD.size < len(segment):
        first, size, last_delta = _BATCH_HEAD.unpack_from(segment, end)
        if not size:
            break  # room that the broker set aside
        start, end, last = end, end + _BATCH_SIZED + size, first + last_delta
    return start, end, first, last


def _wait_for_dead_letters(running: Trial) -> None:
    until(lambda: len(_reasons(running.system)) >= running.times, 60, every=0.2)


def _wait_for_dead_letter_of(damaged: _Damaged, running: Trial) -> None:
    """Returns once the loader told that it could not read the batch."""

    def told() -> bool:
        ranges = [(partition, _RANGE.search(reason)) for reason, partition in _reasons(running.system)]
        return any(
            partition == damaged.partition and int(found[1]) <= damaged.first and damaged.last <= int(found[2])
            for partition, found in ranges
            if found is not None
        )

    until(told, 60, every=0.2)


def _reasons(system: System) -> list[tuple[str, int]]:
    with duckdb.connect(str(system.lake / "clapometer.duckdb"), read_only=True) as connection:
        return connection.execute('SELECT reason, "partition" FROM rejected').fetchall()


def _numbers_kept(system: System, flipped: list[bytes]) -> set[int]:
    """Returns the numbers of those blocks that a dead letter holds but for the bit that was flipped.

    The bit may be one of a number.
    """
    with duckdb.connect(str(system.lake / "clapometer.duckdb"), read_only=True) as connection:
        kept = connection.execute("SELECT from_base64(raw) FROM rejected WHERE encoding = 'base64'").fetchall()
    whole = [block for block in flipped if any(_one_bit_apart(block, letter) for (letter,) in kept)]
    return {int(number) for block in whole for number in _NUMBER.findall(block)}


def _one_bit_apart(one: bytes, other: bytes) -> bool:
    return len(one) == len(other) and (int.from_bytes(one) ^ int.from_bytes(other)).bit_count() == 1
