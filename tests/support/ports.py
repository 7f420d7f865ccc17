"""Ports for processes that have to know their own in advance."""

import itertools
import random
import socket
from collections.abc import Iterator
from pathlib import Path

_FIRST = 12_000
_random = random.SystemRandom()
_ours: list[socket.socket] = []


def free_ports(count: int) -> list[int]:
    """Returns ports that nobody listens on, and that no other test gets before this process has ended.

    They lie below those that the system hands out by itself, to whoever connects to something. Which tests of this
    machine have taken which is told by names of sockets, which end with the process.
    """
    return list(itertools.islice(_found(), count))


def free_port() -> int:
    """Returns one of `free_ports`."""
    return free_ports(1)[0]


def _found() -> Iterator[int]:
    (end, _) = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    while True:
        port = _random.randrange(_FIRST, int(end))
        name = socket.socket(socket.AF_UNIX)
        try:
            name.bind(f"\0clapometer-test-port-{port}")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            name.close()
            continue
        _ours.append(name)
        yield port
