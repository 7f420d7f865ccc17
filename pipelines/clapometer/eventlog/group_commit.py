"""Blocks of many requests, written and fsynced as one: the event loop never waits for the disk."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Sequence
from functools import partial

from clapometer.domain import ClapometerError, LogFullError, TerminalError, TransientError
from clapometer.eventlog.contract import EventLog, Position

Result = Position | ClapometerError
"""Where a durable block stands, or why it is not durable."""
Told = Callable[[Result], object]
_Waiting = tuple[bytes, Told, asyncio.AbstractEventLoop | None]
_Outcome = list[Position] | ClapometerError


class GroupCommitter:
    """Appends blocks from a thread of its own; what arrives while one group is written is the next group.

    At most ``max_pending_bytes`` wait: beyond that a block is refused at once with ``LogFullError``, which is
    the collector's back-pressure. A group is cut at ``max_group_bytes``. After a pause the
    first block waits ``linger_s`` seconds for company: one sync for many costs less than one for each.
    """

    def __init__(
        self,
        log: EventLog,
        *,
        max_pending_bytes: int = 64 << 20,
        max_group_bytes: int = 8 << 20,
        linger_s: float = 0.002,
    ) -> None:
        self._log = log
        self._max_pending = max_pending_bytes
        self._max_group = max_group_bytes
        self._linger = linger_s
        self._waiting: list[_Waiting] = []
        self._pending = 0
        self._closed = False
        self._changed = threading.Condition(threading.Lock())
        self._idle = False
        self._thread = threading.Thread(target=self._run, name="clapometer-group-commit", daemon=True)
        self._thread.start()

    @property
    def pending_bytes(self) -> int:
        """Bytes that wait or are being written."""
        return self._pending

    def append(self, block: bytes) -> asyncio.Future[Position]:
        """Returns a future of the running event loop that resolves once the block is durable.

        Raises:
            LogFullError: Too much is waiting already; the block was not taken.
            TerminalError: The committer is closed.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Position] = loop.create_future()
        self._put(block, partial(_resolve_async, future), loop)
        return future

    def append_then(self, block: bytes, told: Told, loop: asyncio.AbstractEventLoop) -> None:
        """Does what :meth:`append` does, but calls ``told`` in ``loop`` instead of making a future: half the work.

        Raises:
            LogFullError: Too much is waiting already; the block was not taken.
            TerminalError: The committer is closed.
        """
        self._put(block, told, loop)

    def submit(self, block: bytes) -> concurrent.futures.Future[Position]:
        """Does what :meth:`append` does, for callers in threads."""
        future: concurrent.futures.Future[Position] = concurrent.futures.Future()
        self._put(block, partial(_resolve_threaded, future), None)
        return future

    def close(self) -> None:
        """Writes what waits, then stops; every future given out is resolved. Twice is harmless."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _put(self, block: bytes, told: Told, loop: asyncio.AbstractEventLoop | None) -> None:
        size = len(block)
        with self._changed:
            if self._closed:
                msg = "the event log is shutting down"
                raise TerminalError(msg)
            if self._pending + size > self._max_pending and self._pending:
                msg = f"{self._pending} bytes wait for the event log already"
                raise LogFullError(msg)
            self._pending += size
            self._waiting.append((block, told, loop))
            if self._idle:
                self._idle = False
                self._changed.notify()

    def _run(self) -> None:
        while group := self._next_group():
            outcome = self._write([block for block, _, _ in group])
            with self._changed:
                self._pending -= sum(len(block) for block, _, _ in group)
            _resolve(group, outcome)

    def _next_group(self) -> list[_Waiting]:
        """Returns the blocks to write next, waiting for them; empty once closed and drained."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._idle = True
                self._changed.wait()
            self._idle = False
            if self._linger and not self._closed:
                self._changed.wait(self._linger)
            group, self._waiting = self._waiting, []
            size = 0
            for index, (block, _, _) in enumerate(group):
                if index and size + len(block) > self._max_group:
                    group, self._waiting = group[:index], group[index:]
                    break
                size += len(block)
            return group

    def _write(self, blocks: Sequence[bytes]) -> _Outcome:
        try:
            return self._log.append_many(blocks)
        except ClapometerError as error:
            return error
        except Exception as error:  # noqa: BLE001 - whoever waits must hear of it, and the next group must be tried
            failure = TransientError(f"the event log failed: {error}")
            failure.__cause__ = error
            return failure


def _resolve(group: Sequence[_Waiting], outcome: _Outcome) -> None:
    """Tells every waiter its position, or the error; each event loop is woken once."""
    results: Sequence[Result] = outcome if isinstance(outcome, list) else [outcome] * len(group)
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Told, Result]]] = {}
    for (_, told, loop), result in zip(group, results, strict=True):
        if loop is None:
            told(result)
        else:
            by_loop.setdefault(loop, []).append((told, result))
    for loop, waiting in by_loop.items():
        try:
            loop.call_soon_threadsafe(_tell_all, loop, waiting)
        except RuntimeError:  # the loop is closed: nobody waits any more
            continue


def _tell_all(loop: asyncio.AbstractEventLoop, waiting: Sequence[tuple[Told, Result]]) -> None:
    for told, result in waiting:
        try:
            told(result)
        except Exception as error:  # noqa: BLE001 - one that fails must not keep the others waiting
            loop.call_exception_handler({"message": "a waiter for the event log failed", "exception": error})


def _resolve_async(future: asyncio.Future[Position], result: Result) -> None:
    """Resolves a future, unless its waiter gave up in the meantime."""
    if future.done():
        return
    if isinstance(result, Position):
        future.set_result(result)
    else:
        future.set_exception(result)


def _resolve_threaded(future: concurrent.futures.Future[Position], result: Result) -> None:
    """Resolves a future, unless its waiter gave up in the meantime."""
    if not future.set_running_or_notify_cancel():
        return
    if isinstance(result, Position):
        future.set_result(result)
    else:
        future.set_exception(result)
