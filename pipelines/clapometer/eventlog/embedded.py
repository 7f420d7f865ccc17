"""The event log of one machine: blocks in LMDB, shared by several processes.

LMDB (http://www.lmdb.tech/doc) is a memory-mapped B+tree with one writer and many readers, whose commit is
atomic and, with its default settings, on disk when it returns. What one ``append_many`` writes is packed into
few records of up to 256 KiB, keyed by the offset of their first block: that costs a fraction of a record per
block, and trimming deletes it in one step.
"""

import errno
import os
import struct
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import lmdb

from clapometer.domain import LogFullError, TerminalError, TransientError
from clapometer.eventlog.contract import Position, Record
from clapometer.eventlog.embedded_files import (
    DamagedLogError,
    check_length,
    check_there,
    known_identity,
    remember_identity,
    sync_folder,
)
from clapometer.eventlog.looking import look_until

FORMAT = 1
RECORD_BYTES = 1 << 18
"""Blocks are packed together up to this size; a larger block is a record of its own."""
SLICE_BYTES = 1 << 20
"""How much is read, or deleted, in one transaction, so that nobody waits long for it."""
MAPPED_BYTES = 32 << 20
"""After touching this much of the map it is opened anew, or its pages would count as resident for good."""

SCRUB_ROUNDS = 4
"""Transactions of a scrub at the least: what one frees, the next but one may use."""
FILLER_BYTES = 2022
"""Size of a value of which, with an 8-byte key, two fill a page of 4096 bytes to the last one."""

LOOK_SECONDS = 0.1
"""How often who waits for a block looks at the counter: some microseconds each time, in memory that is mapped."""

TRIAL_BYTES = 1 << 20
"""As much is written to find out whether the log can be written: a request of the largest size."""

_PAGE = 4096
_KEY = struct.Struct(">Q")
_STATE = struct.Struct(">QQ")  # next offset, bytes in use


def _pack(blocks: Sequence[bytes]) -> bytes:
    return struct.pack(f">I{len(blocks)}I", len(blocks), *map(len, blocks)) + b"".join(blocks)


def _unpack(record: memoryview) -> Iterator[memoryview]:
    (count,) = struct.unpack_from(">I", record)
    start = 4 + 4 * count
    for size in struct.unpack_from(f">{count}I", record, 4):
        yield record[start : start + size]
        start += size


def _used(record_bytes: int) -> int:
    """Returns at least what a record takes in the file: small ones share pages, larger ones take whole ones."""
    if record_bytes < _PAGE // 2:
        return 2 * (record_bytes + 16)
    return (record_bytes + 2 * 16 + _PAGE - 1) // _PAGE * _PAGE


def _packs(blocks: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Splits the blocks of a group into records."""
    start = size = 0
    for index, block in enumerate(blocks):
        if index > start and size + len(block) > RECORD_BYTES:
            yield blocks[start:index]
            start, size = index, 0
        size += len(block)
    if start < len(blocks):
        yield blocks[start:]


class EmbeddedLog:
    """An ``EventLog`` in the folder ``path`` with one partition, 0; open it once per process.

    It holds at most about ``max_bytes``; the file may be a quarter larger, so that a full log can still be
    trimmed. Threads may share it. After a fork, open it anew.

    Raises:
        DamagedLogError: The file of the log is gone, empty, cut or no log.
        TerminalError: The folder holds a log of a newer format or something else, or cannot be written.
    """

    def __init__(self, path: Path | str, *, max_bytes: int = 8 << 30) -> None:
        self._path = Path(path)
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._touched = 0
        self._env: lmdb.Environment | None = None
        new = not self._path.exists()
        self._path.mkdir(parents=True, exist_ok=True)
        with self._lock:
            check_there(self._path)
            try:
                self._open(check=True)
                self._prepare()
            except (lmdb.InvalidError, lmdb.CorruptedError, lmdb.PageNotFoundError) as error:
                raise DamagedLogError(self._path, f"is no log: {error}", known_identity(self._path)) from error
            except lmdb.Error as error:
                msg = f"the event log {self._path} cannot be opened: {error}"
                raise TerminalError(msg) from error
            remember_identity(self._path, self.identity)
        if new:
            sync_folder(self._path.parent)

    def append_many(self, blocks: Sequence[bytes]) -> list[Position]:
        """Returns the position of each block once all of them are on disk.

        Raises:
            LogFullError: There is no room, in the log or on the disk; none of the blocks is in the log.
            TransientError: The disk failed; blocks of this call may or may not be in the log.
        """
        if not blocks:
            return []
        packs = [(len(pack), _pack(pack)) for pack in _packs(blocks)]
        need = sum(_used(len(record)) for _, record in packs)
        with self._transaction() as txn:
            start, used = self._state(txn)
            if used + need > self._max_bytes:
                msg = f"the event log holds {used} of {self._max_bytes} bytes; {need} more do not fit"
                raise LogFullError(msg)
            offset = start
            for count, record in packs:
                txn.put(_KEY.pack(offset), record, append=True, db=self._blocks)
                offset += count
            txn.put(b"state", _STATE.pack(offset, used + need), db=self._meta)
            self._touched += need
        return [Position(0, start + index) for index in range(len(blocks))]

    def read(self, partition: int, offset: int, max_bytes: int) -> list[Record]:
        """Returns records from ``offset`` on, about ``max_bytes`` of them and at least one; empty at the end."""
        records: list[Record] = []
        size = 0
        while size < max_bytes:
            room = min(SLICE_BYTES, max_bytes - size)
            part = self._read_slice(partition, records[-1].offset + 1 if records else offset, room, bool(records))
            if not part:
                break
            records += part
            size += sum(len(record.block) for record in part)
        return records

    def _read_slice(self, partition: int, offset: int, max_bytes: int, may_be_empty: bool) -> list[Record]:
        """Reads one slice in a transaction of its own."""
        records: list[Record] = []
        size = 0
        with self._snapshot() as txn, txn.cursor(self._blocks) as cursor:
            found = cursor.set_range(_KEY.pack(offset + 1))
            found = cursor.prev() or cursor.first() if found else cursor.last()
            while found:
                (first,) = _KEY.unpack(cursor.key())
                for at, block in enumerate(_unpack(cursor.value()), first):
                    if at < offset:
                        continue
                    if (records or may_be_empty) and size + len(block) > max_bytes:
                        return records
                    records.append(Record(partition, at, bytes(block)))
                    size += len(block)
                    self._touched += len(block)
                found = cursor.next()
        return records

    def wait(self, offsets: Mapping[int, int], seconds: float) -> bool:
        """Returns whether the log goes on beyond its offset; looks into shared memory, where writers leave it."""
        return look_until(
            lambda: any(self.next_offset(partition) > offset for partition, offset in offsets.items()),
            seconds,
            LOOK_SECONDS,
        )

    def partitions(self) -> list[int]:
        """Returns the one partition."""
        return [0]

    def next_offset(self, partition: int) -> int:  # noqa: ARG002 - there is one
        """Returns the offset that the next block gets."""
        with self._snapshot() as txn:
            return self._state(txn)[0]

    def first_offset(self, partition: int) -> int:  # noqa: ARG002 - there is one
        """Returns the offset of the oldest block left, or of the next one."""
        with self._snapshot() as txn, txn.cursor(self._blocks) as cursor:
            if not cursor.first():
                return self._state(txn)[0]
            (first,) = _KEY.unpack(cursor.key())
            return int(first)

    def trim(self, partition: int, before: int) -> int:  # noqa: ARG002 - there is one
        """Drops the records before ``before``, a slice at a time; returns how many."""
        self._opened().reader_check()
        dropped = 0
        while (part := self._trim_slice(before)) is not None:
            dropped += part
        return dropped

    def _trim_slice(self, before: int) -> int | None:
        """Deletes whole records of about one slice and shortens the one that ``before`` cuts."""
        dropped = freed = 0
        with self._transaction() as txn, txn.cursor(self._blocks) as cursor:
            while freed < SLICE_BYTES and cursor.first():
                (first,) = _KEY.unpack(cursor.key())
                record = cursor.value()
                (count,) = struct.unpack_from(">I", record)
                if first >= before:
                    break
                freed += _used(len(record))
                cut = first + count > before
                kept = [bytes(block) for block in _unpack(record)][before - first :] if cut else []
                cursor.delete()
                if kept:
                    rest = _pack(kept)
                    txn.put(_KEY.pack(before), rest, db=self._blocks)
                    freed -= _used(len(rest))
                    count = before - first
                dropped += count
            if not dropped:
                return None
            following, used = self._state(txn)
            txn.put(b"state", _STATE.pack(following, max(0, used - freed)), db=self._meta)
            self._touched += freed
        return dropped

    def scrub(self) -> None:
        """Overwrites every page that dropped records left free; LMDB itself keeps their content until it needs them.

        Pages that an open reader may still see are not free; they are overwritten by the next scrub.
        """
        number = rounds = 0
        grew = False
        while rounds < SCRUB_ROUNDS or not grew:  # a file that grows has no free page left
            last = self._opened().info()["last_pgno"]
            with self._transaction() as txn:
                txn.put(b"scrubbed", os.urandom(8), db=self._meta)  # its page, too, is written anew
                for _ in range(2 * SLICE_BYTES // _PAGE):
                    txn.put(_KEY.pack(number), bytes(FILLER_BYTES), append=True, db=self._filler)
                    number += 1
            grew = self._opened().info()["last_pgno"] > last
            rounds += 1
        with self._transaction() as txn:
            txn.drop(self._filler, delete=False)

    def copy_to(self, folder: Path) -> None:
        """Copies the log as it is at one moment into an empty folder, without its gaps, while others write it.

        Raises:
            TransientError: The folder cannot be written.
        """
        with self._lock:
            try:
                self._opened().copy(str(folder), compact=True)
            except lmdb.Error as error:
                msg = f"the event log {self._path} could not be copied to {folder}: {error}"
                raise TransientError(msg) from error

    def fill_ratio(self) -> float:
        """Returns the share of ``max_bytes`` that is used."""
        with self._snapshot() as txn:
            return self._state(txn)[1] / self._max_bytes

    def ready(self) -> bool:
        """Returns whether log and disk have room for a large request: as much is written, and dropped.

        A full disk still takes a little: pages of the file that are free.
        """
        room = min(TRIAL_BYTES, self._max_bytes // 16)
        try:
            with self._transaction() as txn:
                if self._state(txn)[1] + room > self._max_bytes:
                    return False
                for number in range(room // FILLER_BYTES):
                    txn.put(_KEY.pack(number), bytes(FILLER_BYTES), db=self._filler)
            with self._transaction() as txn:
                txn.drop(self._filler, delete=False)
        except TransientError:
            return False
        return True

    def close(self) -> None:
        """Closes the files."""
        with self._lock:
            if self._env is not None:
                self._env.close()
                self._env = None

    def _state(self, txn: "lmdb.Transaction[memoryview]") -> tuple[int, int]:
        """Returns the next offset and the bytes in use."""
        written = txn.get(b"state", db=self._meta)
        if written is None:
            msg = f"event log {self._path} has lost its counter; restore it from a backup or start a new one"
            raise TerminalError(msg)
        following, used = _STATE.unpack(written)
        return following, used

    def _opened(self) -> lmdb.Environment:
        if self._env is None:
            msg = "the event log is closed"
            raise TerminalError(msg)
        return self._env

    def _open(self, *, check: bool = False) -> None:
        map_size = self._max_bytes + self._max_bytes // 4 + (64 << 20)
        self._env = lmdb.open(str(self._path), map_size=map_size // _PAGE * _PAGE, max_dbs=3)
        if check:
            check_length(self._path, self._env)
        self._blocks = self._env.open_db(b"blocks")
        self._meta = self._env.open_db(b"meta")
        self._filler = self._env.open_db(b"filler")  # empty but for moments: see `scrub`
        self._env.reader_check()  # readers that were killed would hold on to deleted pages
        self._touched = 0

    def _prepare(self) -> None:
        """Writes the state of an empty log, or checks that it is one we can read."""
        with self._opened().begin(write=True) as txn:
            written = txn.get(b"format", db=self._meta)
            if written is None:
                txn.put(b"format", str(FORMAT).encode(), db=self._meta)
                txn.put(b"state", _STATE.pack(0, 0), db=self._meta)
                txn.put(b"identity", uuid.uuid4().hex.encode(), db=self._meta)
            elif int(written) > FORMAT:
                msg = f"event log {self._path} has format {int(written)}, this version reads up to {FORMAT}; upgrade"
                raise TerminalError(msg)
            self.identity = (txn.get(b"identity", db=self._meta) or b"").decode()

    @contextmanager
    def _snapshot(self) -> Iterator["lmdb.Transaction[memoryview]"]:
        """Yields a read transaction whose values are views of the map."""
        with self._lock:
            self._reopen_if_bloated()
            try:
                with self._opened().begin(buffers=True) as txn:
                    yield txn
            except lmdb.Error as error:
                self._reopen()
                msg = f"the event log {self._path} could not be read: {error}"
                raise TransientError(msg) from error

    @contextmanager
    def _transaction(self) -> Iterator["lmdb.Transaction[memoryview]"]:
        """Yields a write transaction that is on disk when the block ends without an error."""
        with self._lock:
            self._reopen_if_bloated()
            try:
                with self._opened().begin(write=True, buffers=True) as txn:
                    yield txn
            except lmdb.MapFullError as error:
                msg = f"the event log's file has no room left for {self._max_bytes} bytes"
                raise LogFullError(msg) from error
            except lmdb.Error as error:
                self._reopen()
                if error.code == errno.ENOSPC:
                    msg = f"the disk of the event log {self._path} is full"
                    raise LogFullError(msg) from error
                msg = f"the event log {self._path} could not be written: {error}"
                raise TransientError(msg) from error

    def _reopen_if_bloated(self) -> None:
        if self._touched > MAPPED_BYTES:
            self._reopen()

    def _reopen(self) -> None:
        self._opened().close()
        self._open()
