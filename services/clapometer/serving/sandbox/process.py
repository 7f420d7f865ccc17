"""Starts a sandbox process for a job and passes its answer on."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress

import msgspec

from clapometer.serving.sandbox.job import HEADER_BYTES, Frame, Job
from clapometer.serving.sandbox.statement import StatementError

GRACE_SECONDS = 20.0
"""What an answer may take beyond a statement's time, to start and to be read on a busy machine, before it is ended."""
Frames = AsyncGenerator[tuple[Frame, bytes], None]
_ARGUMENTS = ("-m", "clapometer.serving.sandbox.worker")


class Answer:
    """An answer under way: pieces of it, as they come.

    Whoever has one must close it.

    Attributes:
        job: What it answers.
        deadline: When it has to be read to its end, in the time of the event loop.
    """

    def __init__(self, job: Job, deadline: float, first: bytes, frames: Frames) -> None:
        self.job = job
        self.deadline = deadline
        self._first = first
        self._frames = frames

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yields the pieces.

        Raises:
            StatementError: A limit stopped it after it began; what was yielded is not the whole answer.
        """
        yield self._first
        async for kind, content in self._frames:
            if kind is Frame.REFUSED:
                raise StatementError(content.decode())
            yield content

    async def close(self) -> None:
        """Ends the process, if it still runs."""
        await self._frames.aclose()


async def run_job(job: Job) -> Answer:
    """Returns the answer to a job, once its first piece is there.

    Raises:
        StatementError: The statement may not be run, failed, or was stopped by a limit.
    """
    deadline = asyncio.get_running_loop().time() + job.seconds + GRACE_SECONDS
    frames = _frames(job, deadline)
    kind, content = await anext(frames)
    if kind is Frame.REFUSED:
        await frames.aclose()
        raise StatementError(content.decode())
    return Answer(job, deadline, content, frames)


async def _frames(job: Job, deadline: float) -> Frames:
    """Yields what the process says; kills it where it takes too long or nobody listens any more."""
    spill = await asyncio.to_thread(tempfile.mkdtemp, prefix="clapometer-sql-")
    process = await asyncio.create_subprocess_exec(
        sys.executable, *_ARGUMENTS,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        env={"MALLOC_ARENA_MAX": "2"}, cwd=spill, limit=1 << 20,
    )  # fmt: skip
    try:
        await _send(process, msgspec.json.encode(msgspec.structs.replace(job, spill=spill)))
        while True:
            async with asyncio.timeout_at(deadline):
                kind, content = await _frame(process)
            if kind is Frame.END:
                return
            yield kind, content
    except (asyncio.IncompleteReadError, BrokenPipeError):
        yield Frame.REFUSED, b"stopped: it needed more memory or time than a statement may have; ask for less"
    except TimeoutError:
        yield Frame.REFUSED, f"stopped after {job.seconds:g} seconds; ask for less".encode()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        if process.stdout is not None:
            await process.stdout.read()  # what nobody read any more keeps the pipe open
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()
        await asyncio.to_thread(shutil.rmtree, spill, ignore_errors=True)


async def _send(process: asyncio.subprocess.Process, job: bytes) -> None:
    """Sends a line; standard input stays open: its end would tell the process that this one is gone."""
    if process.stdin is not None:  # it is a pipe
        process.stdin.write(job + b"\n")
        await process.stdin.drain()


async def _frame(process: asyncio.subprocess.Process) -> tuple[Frame, bytes]:
    """Reads a frame.

    Raises:
        asyncio.IncompleteReadError: The process is gone.
    """
    if process.stdout is None:  # it is a pipe
        raise asyncio.IncompleteReadError(b"", HEADER_BYTES)
    header = await process.stdout.readexactly(HEADER_BYTES)
    return Frame(header[0]), await process.stdout.readexactly(int.from_bytes(header[1:], "big"))
