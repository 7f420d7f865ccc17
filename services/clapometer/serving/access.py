"""Who may read what: a secret key reads its tenant, nobody's requests read the public tenant, if there is one."""

import base64
import binascii
from collections.abc import Callable
from typing import Protocol

from fastapi import Request

from clapometer.serving.problems import RefusedError

_CHALLENGE = 'Bearer realm="clapometer", Basic realm="clapometer"'


class Key(Protocol):
    """What serving needs to know of an API key."""

    @property
    def tenant(self) -> str:
        """Owner of what the key reads."""
        ...

    @property
    def kind(self) -> str:
        """``secret`` or ``publishable``."""
        ...

    @property
    def key_id(self) -> str:
        """Public name of the key."""
        ...


Authenticate = Callable[[str], Key | None]
"""Returns what is known of a key; ``None`` where it is unknown, wrong or expired."""


def quoted_key(request: Request) -> str | None:
    """Returns the key that a request quotes.

    It stands in ``Authorization: Bearer``, in ``X-Api-Key``, or is the password of ``Authorization: Basic``, which
    is what a browser asks its user for.
    """
    if (plain := request.headers.get("x-api-key")) is not None:
        return plain
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeError):
            return ""
    return None


class Access:
    """Decides for each request whose rankings it reads."""

    def __init__(self, authenticate: Authenticate, public_tenant: str | None) -> None:
        self._authenticate = authenticate
        self._public_tenant = public_tenant

    def reader(self, request: Request) -> str:
        """Returns the tenant whose rankings the request may read.

        Raises:
            RefusedError: 401 without a key where one is needed, or with one that does not hold; 403 with one that
                may be published.
        """
        if quoted_key(request) is None and self._public_tenant is not None:
            return self._public_tenant
        return self.secret(request).tenant

    def secret(self, request: Request) -> Key:
        """Returns the secret key that the request quotes.

        Raises:
            RefusedError: 401 without a key or with one that does not hold; 403 with one that may be published.
        """
        quoted = quoted_key(request)
        if quoted is None:
            msg = "send a secret key: Authorization: Bearer <key>"
            raise RefusedError(401, msg, {"WWW-Authenticate": _CHALLENGE})
        key = self._authenticate(quoted)
        if key is None:
            raise RefusedError(401, "the key is unknown or expired", {"WWW-Authenticate": _CHALLENGE})
        if key.kind != "secret":
            msg = "a publishable key only sends events; ask from a server with a secret key"
            raise RefusedError(403, msg)
        return key
