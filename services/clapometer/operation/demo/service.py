"""The demo's own ``clapometer up``: in a folder of its own, on ports of its own, ended with the demo."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from clapometer.domain import InputError, TerminalError
from clapometer.lifeline import release, start_child
from clapometer.settings import environment_for

START_SECONDS = 60.0
STOP_SECONDS = 60.0
_POLL_SECONDS = 0.1
_LOG_TAIL = 15


@dataclass(frozen=True)
class Addresses:
    """Where the service listens."""

    collector: str
    serving: str


@dataclass(frozen=True)
class Service:
    """A running ``clapometer up``.

    Attributes:
        process: Its process.
        addresses: Where it listens.
        log: File that it logs to.
    """

    process: subprocess.Popen[bytes]
    addresses: Addresses
    log: Path

    def check(self) -> None:
        """Raises where the service has ended.

        Raises:
            TerminalError: It has; says the end of its log.
        """
        code = self.process.poll()
        if code is not None:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-_LOG_TAIL:])
            msg = f"`clapometer up` ended with code {code}; the end of its log:\n{tail}"
            raise TerminalError(msg)

    def stop(self) -> None:
        """Asks the service to drain and end; kills it where it does not."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def free_ports(first: int | None) -> tuple[int, int]:
    """Returns ports for collector and serving: ``first`` and the next one, or two that nobody has now.

    Raises:
        InputError: ``first`` or the next one is taken.
    """
    sockets = [socket.socket() for _ in range(2)]
    try:
        for offset, one in enumerate(sockets):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(("127.0.0.1", 0 if first is None else first + offset))
        collector, serving = (int(one.getsockname()[1]) for one in sockets)
    except (OSError, OverflowError) as error:
        msg = f"{first} or the next one is not free ({error}); give another, or none to take any"
        raise InputError(msg, "port") from error
    finally:
        for one in sockets:
            one.close()
    return collector, serving


def write_settings(folder: Path, lake: Path, keys_file: Path, ports: tuple[int, int]) -> Path:
    """Writes the settings file of the demo; everything it names is in ``folder``, but perhaps the lake."""
    settings: dict[str, str | int] = {
        "log_folder": str(folder / "log"),
        "lake": str(lake),
        "keys_file": str(keys_file),
        "tokens_file": str(folder / "tokens.json"),
        "host": "127.0.0.1",
        "collector_port": ports[0],
        "serving_port": ports[1],
        "schedule": "24h",
    }
    lines = [f"{name} = {_toml(value)}" for name, value in settings.items()]
    path = folder / "clapometer.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def _toml(value: str | int) -> str:
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@contextmanager
def running_service(settings_file: Path, ports: tuple[int, int], keep: Callable[[], bool]) -> Iterator[Service]:
    """A running service that is stopped at the end, however that comes, unless ``keep()`` then says otherwise.

    Raises:
        TerminalError: It does not start.
    """
    log = settings_file.parent / "service.log"
    with log.open("wb") as output:
        process = start_child(
            ["up"],
            env=environment_for(settings_file),
            cwd=settings_file.parent,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the demo, which then stops the service in order
        )
    addresses = Addresses(*(f"http://127.0.0.1:{port}" for port in ports))
    service = Service(process, addresses, log)
    try:
        _await(service, f"{addresses.collector}/readyz")
        _await(service, f"{addresses.serving}/healthz")
        yield service
    finally:
        if keep():
            release(process)
        else:
            service.stop()


def _await(service: Service, address: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        service.check()
        try:
            if httpx2.get(address, timeout=2.0, trust_env=False).status_code == 200:
                return
        except httpx2.TransportError:
            pass  # not listening yet
        time.sleep(_POLL_SECONDS)
    msg = f"{address} did not answer within {START_SECONDS:g} s; see {service.log}"
    raise TerminalError(msg)
