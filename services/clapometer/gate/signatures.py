"""Signed requests of servers: HTTP Message Signatures (RFC 9421) with HMAC-SHA256, and Content-Digest (RFC 9530).

A key that signs is never sent. Its signature covers method, path, query, the digest of the body, the headers that say
how it is to be read, the time and a nonce, so that a request cannot be altered, sent to another place, or sent again.

References:
    RFC 9421, HTTP Message Signatures; RFC 9530, Digest Fields.
"""

import datetime as dt
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from http_message_signatures import (
    ContentDigest,
    HTTPMessageSignaturesException,
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    InvalidSignature,
    algorithms,
)
from limits import RateLimitItemPerSecond
from limits.strategies import FixedWindowRateLimiter

from clapometer.domain import ClapometerError
from clapometer.gate.rates import SteadyStorage

COVERED = ("@method", "@path", "@query")
DIGEST = "content-digest"
_OF_BODIES = ("content-type", "content-encoding")
_OF_ALL = ("idempotency-key",)
_WITH_BODY = frozenset({"POST", "PUT"})
_SKEW = dt.timedelta(seconds=30)
_LONGEST_NONCE = 100


class SignatureError(ClapometerError):
    """A signature does not hold; the message says why."""


@dataclass(frozen=True)
class SignedRequest:
    """What a signature may cover, in the form that the library asks for.

    Attributes:
        method: In capitals.
        url: Path and query as they came, behind any scheme and host: neither is covered.
        headers: By name in lower case.
    """

    method: str
    url: str
    headers: Mapping[str, str]


def must_cover(request: SignedRequest) -> tuple[str, ...]:
    """Returns what a signature has to cover: also the headers that say how a request is read, where it has them."""
    bodily = (DIGEST, *(name for name in _OF_BODIES if name in request.headers))
    deciding = tuple(name for name in _OF_ALL if name in request.headers)
    return (*COVERED, *(bodily if request.method in _WITH_BODY else ()), *deciding)


class _Verifier(HTTPMessageVerifier):
    max_clock_skew = _SKEW


class _Secrets(HTTPSignatureKeyResolver):
    def __init__(self, secret_of: Callable[[str], bytes | None]) -> None:
        self._secret_of = secret_of

    def resolve_public_key(self, key_id: str) -> bytes | None:
        return self._secret_of(key_id)


class Signatures:
    """Checks signatures and remembers their nonces for as long as they would hold.

    Args:
        seconds: How old a signature may be.
        storage: Where nonces are remembered; one that processes share lets a request pass once in all of them.
    """

    def __init__(self, seconds: int = 300, storage: SteadyStorage | None = None) -> None:
        self._max_age = dt.timedelta(seconds=seconds)
        self._once = RateLimitItemPerSecond(1, seconds + 2 * int(_SKEW.total_seconds()) + 1)
        self._nonces = FixedWindowRateLimiter(storage or SteadyStorage(time.monotonic))

    def key_id(self, request: SignedRequest, secret_of: Callable[[str], bytes | None]) -> str:
        """Returns whose request it is; its body, if it has one, is to be checked with `check_digest`.

        Raises:
            SignatureError: The signature is missing, does not hold, is too old, or came before.
        """
        covered = must_cover(request)
        verifier = _Verifier(
            signature_algorithm=algorithms.HMAC_SHA256,
            key_resolver=_Secrets(secret_of),
        )
        try:
            (found,) = verifier.verify(request, max_age=self._max_age, require_components=covered)
        except (HTTPMessageSignaturesException, ValueError) as error:
            raise SignatureError(_words(error)) from error
        key_id, nonce = str(found.parameters["keyid"]), found.nonce
        if not nonce or len(nonce) > _LONGEST_NONCE:
            msg = f"the signature has no nonce of 1 to {_LONGEST_NONCE} characters"
            raise SignatureError(msg)
        if not self._nonces.hit(self._once, "nonce", key_id, nonce):
            msg = "this signature was used before; sign every request anew, with a nonce of its own"
            raise SignatureError(msg)
        return key_id


def check_digest(header: str, body: bytes) -> None:
    """Checks the body, as it travelled, against its ``Content-Digest``; in constant time.

    Raises:
        SignatureError: It is another body.
    """
    try:
        ContentDigest.verify(header, body)
    except (HTTPMessageSignaturesException, ValueError) as error:
        raise SignatureError(_words(error)) from error


def _words(error: Exception) -> str:
    """Returns what is wrong in the library's words; what else went wrong in it says nothing to the sender."""
    plain = isinstance(error, InvalidSignature) and not isinstance(error.args[0] if error.args else "", Exception)
    return str(error) if plain else "the signature is malformed or does not hold"
