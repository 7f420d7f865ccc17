"""Sockets for kafka-python that are closed when connecting fails.

kafka-python 3.0 leaves the socket of a refused connection or handshake to the garbage collector; while a broker
is away for long, that can be every file a process may open. It looks socket classes up by the scheme of
``proxy_url``, as for SOCKS5: ours connects directly, and tidies up.
"""

import ssl
from collections.abc import Sequence
from pathlib import Path
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


class _TidySocket(ssl.SSLSocket):
    """Closes itself when the handshake fails."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError:
            self.close()
            raise


def tls_context(
    *,
    ca_file: Path | None,
    cert_file: Path | None,
    key_file: Path | None,
    key_password: str | None,
    check_hostname: bool,
) -> ssl.SSLContext:
    """Returns what secures the connections: TLS 1.2 or newer, certificates always checked.

    Raises:
        OSError: A file is missing or is not what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = check_hostname
    context.sslsocket_class = _TidySocket
    if ca_file is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(ca_file)
    if cert_file is not None:
        context.load_cert_chain(cert_file, key_file, key_password)
    return context
