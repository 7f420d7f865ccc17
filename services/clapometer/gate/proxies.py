"""Whose word is taken for where a request comes from: proxies of the operator's own, named in the settings."""

import ipaddress
from collections.abc import Iterable

from clapometer.domain import InputError

_FORWARDED = b"x-forwarded-for"


class TrustedProxies:
    """Addresses and networks of proxies that write ``X-Forwarded-For`` truly; nobody else is believed.

    Args:
        named: Such as ``10.0.0.7``, ``10.0.0.0/8`` or ``::1``.

    Raises:
        InputError: One is neither an address nor a network.
    """

    def __init__(self, named: Iterable[str]) -> None:
        try:
            self._networks = [ipaddress.ip_network(each.strip()) for each in named]
        except ValueError as error:
            msg = f"{error}; give addresses such as 10.0.0.7, or networks such as 10.0.0.0/8"
            raise InputError(msg, "trusted_proxies") from error

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: str) -> bool:
        if not self._networks:
            return False
        found = _parsed(address)
        return found is not None and any(found in network for network in self._networks)

    def sender(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Returns the address that sent a request: that of the connection, or what trusted proxies say.

        Each proxy adds at the end where it was asked from. So the last one that is no proxy of ours is the sender;
        what stands before it is what the sender says.
        """
        sender = peer
        if peer not in self:
            return sender
        told = b",".join(value for name, value in headers if name == _FORWARDED).decode("latin-1")
        for given in reversed(told.split(",")):
            found = _parsed(given)
            if found is None:
                break
            sender = str(found)
            if sender not in self:
                break
        return sender


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(address.strip())
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
