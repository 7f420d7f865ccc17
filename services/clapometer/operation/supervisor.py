"""``clapometer up``: collector, loader, scheduler and serving as one supervised process group."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from clapometer.lifeline import start_child
from clapometer.operation.wiring import STOP_SIGNALS
from clapometer.settings import lean_environment

log = structlog.get_logger()

GRACE_SECONDS = 80.0
"""How long a part may take to drain after SIGTERM before it is killed."""
FIRST_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 15.0
HEALTHY_SECONDS = 30.0
"""A part that ran this long starts again without a growing delay."""


@dataclass
class Part:
    """One supervised process; ``listener`` is bound here, so that a restart loses no connection."""

    name: str
    arguments: list[str]
    listener: socket.socket | None = None
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    backoff: float = FIRST_BACKOFF_SECONDS
    restart_at: float = field(default=0.0)

    def start(self, now: float) -> None:
        """Starts the process; it inherits its socket and standard error, and ends with this one."""
        arguments = list(self.arguments)
        descriptors: tuple[int, ...] = ()
        if self.listener is not None:
            descriptors = (self.listener.fileno(),)
            arguments += ["--fd", str(self.listener.fileno())]
        with signals_held():
            self.process = start_child(arguments, pass_fds=descriptors, env=lean_environment())
        self.started = now

    def forget(self) -> None:
        """Closes what belongs to a process that ended."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
        self.process = None

    def stop(self) -> None:
        """Asks the process to drain and end; kills it where it does not within the grace time."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            log.error("part did not drain in time and was killed", stopped=self.name, seconds=GRACE_SECONDS)
            self.process.kill()
            self.process.wait()


@contextmanager
def signals_held() -> Iterator[None]:
    """Holds signals to end back from what is started meanwhile, until it takes them itself.

    A part that is told to end while it still starts would die of it, and not drain.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def bind(host: str, port: int) -> socket.socket:
    """Returns a listening socket that children can inherit; port 0 lets the system choose.

    Raises:
        OSError: The address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    listener.set_inheritable(True)
    return listener


class Supervisor:
    """Keeps the parts running until ``stop`` is set, then stops them in order: those that take events first."""

    def __init__(self, parts: list[Part], stop: threading.Event, clock: Callable[[], float] = time.monotonic) -> None:
        self._parts = parts
        self._clock = clock
        self._stop = stop

    def run(self) -> None:
        """Starts every part and starts again whichever ends, until it is to stop."""
        for part in self._parts:
            part.start(self._clock())
        while not self._stop.wait(0.2):
            for part in self._parts:
                self._tend(part)
        for part in self._parts:
            part.stop()

    def _tend(self, part: Part) -> None:
        now = self._clock()
        if part.process is None:
            if now >= part.restart_at:
                part.start(now)
            return
        code = part.process.poll()
        if code is None:
            return
        part.backoff = (
            FIRST_BACKOFF_SECONDS
            if now - part.started > HEALTHY_SECONDS
            else min(2 * part.backoff, MAX_BACKOFF_SECONDS)
        )
        log.error("part ended and will be started again", ended=part.name, code=code, seconds=part.backoff)
        part.forget()
        part.restart_at = now + part.backoff


def own_process_group() -> None:
    """Makes this process the leader of its own group, so that one signal reaches all parts."""
    if os.getpgrp() != os.getpid():
        try:
            os.setpgrp()
        except PermissionError:
            log.debug("already a session leader")
