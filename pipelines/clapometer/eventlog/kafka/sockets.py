"""Sockets for kafka-python that are closed when connecting fails.

kafka-python 3.0 leaves the socket of a refused connection to the garbage collector; while a broker is away for
long, that can be every file a process may open. It looks socket classes up by the scheme of ``proxy_url``, as for
SOCKS5: ours connects directly, and tidies up.
"""

from collections.abc import Sequence
from typing import Any

from kafka.net.inet import KafkaNetSocket

SCHEME = "clapometer-direct"
DIRECT = f"{SCHEME}://"
"""The ``proxy_url`` that selects these sockets."""


class DirectSocket(KafkaNetSocket):  # type: ignore[misc]
    """Connects without a proxy."""

    SCHEMES = (SCHEME,)

    async def connect(
        self, net: Any, addrinfo: tuple[Any, ...], socket_options: Sequence[Any] = (), timeout_at: float | None = None
    ) -> Any:
        """Returns the connected socket, or closes it."""
        family, kind, protocol, _, address = addrinfo
        sock = self.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            for option in socket_options:
                sock.setsockopt(*option)
            return await self.sock_connect(net, sock, address, timeout_at=timeout_at)
        except BaseException:
            sock.close()
            raise
