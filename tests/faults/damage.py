"""Damaged bytes: a torn last block, which a crash leaves, and flipped bits, which a bad disk leaves."""

import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
from tests.faults.bench import Bench
from tests.faults.system import System
from tests.faults.trial import Outcome, Trial, judge, trial
from tests.waiting import until

from clapometer.eventlog import Record

_NUMBER = re.compile(rb'"id":"([0-9]+)"')
_RANGE = re.compile(r"records ([0-9]+) to ([0-9]+) cannot be read")
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
            running.wait_for_acknowledged(1000)
            system.collector.stop()
            blocks = _waiting(system)
            if system.broker is None:
                flipped.append(chance.choice(blocks).block)
                _flip_in(system.log_folder / "data.mdb", flipped[-1], chance)
            else:
                system.broker.stop()
                _flip_at_end(_last_files(system), chance)
            running.times += 1
            since = time.monotonic()
            for part in (system.broker, system.collector, *system.loaders):
                if part is not None:
                    part.start()
            running.note_ready(since)
            running.wait_for_stored()
            _wait_for_dead_letter(running)
            aside |= _set_aside(system, blocks) | _numbers_kept(system, flipped)
        outcome = judge(running, name, set_aside=aside)
        assert outcome.quarantined, "no damaged block was found"
        return outcome


def _waiting(system: System) -> list[Record]:
    """Returns the blocks that no loader has seen."""
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


def _flip_at_end(files: list[Path], chance: random.Random) -> None:
    """Flips one bit among the last bytes of a partition, past the head of its last batch of records."""
    file = chance.choice([file for file in files if file.stat().st_size])
    with file.open("r+b") as opened:
        opened.seek(-chance.randrange(1, 500), 2)
        (byte,) = opened.read(1)
        opened.seek(-1, 1)
        opened.write(bytes([byte ^ 1 << chance.randrange(8)]))


def _wait_for_dead_letter(running: Trial) -> None:
    until(lambda: len(_reasons(running.system)) >= running.times, 60, every=0.2)


def _reasons(system: System) -> list[tuple[str, int]]:
    with duckdb.connect(str(system.lake / "clapometer.duckdb"), read_only=True) as connection:
        return connection.execute('SELECT reason, "partition" FROM rejected').fetchall()


def _set_aside(system: System, blocks: list[Record]) -> set[int]:
    """Returns the numbers in blocks of a topic whose dead letter names them, but cannot hold their bytes."""
    numbers: set[int] = set()
    for reason, partition in _reasons(system):
        named = _RANGE.search(reason)
        if named is None:
            continue
        first, last = map(int, named.groups())
        numbers |= {
            int(number)
            for record in blocks
            if record.partition == partition and first <= record.offset <= last
            for number in _NUMBER.findall(record.block)
        }
    return numbers


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
