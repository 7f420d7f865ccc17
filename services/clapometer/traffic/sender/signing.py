"""Signs requests as RFC 9421 says, for keys that are never sent."""

import secrets

import httpx2
from http_message_signatures import HTTPMessageSigner, MappingKeyResolver, algorithms
from http_message_signatures.httpx2 import adapt_message

from clapometer.gate import DIGEST, SIGNING_PREFIX, SignedRequest, must_cover


def _as_signed(request: httpx2.Request) -> SignedRequest:
    return SignedRequest(
        request.method, str(request.url), {name.lower(): value for name, value in request.headers.items()}
    )


def signs(key: str) -> bool:
    """Returns whether a key signs requests instead of being sent."""
    return key.startswith(f"{SIGNING_PREFIX}_")


class RequestSigner:
    """Signs requests with one key: a fresh nonce and time for each, also for one that is sent again."""

    def __init__(self, key: str) -> None:
        self._key_id = key.split("_")[1] if key.count("_") >= 2 else ""
        secret = {self._key_id: key.encode()}
        self._signer = HTTPMessageSigner(
            signature_algorithm=algorithms.HMAC_SHA256,
            key_resolver=MappingKeyResolver(public_keys=secret, private_keys=secret),
        )

    def sign(self, request: httpx2.Request) -> None:
        """Adds ``Content-Digest``, ``Signature-Input`` and ``Signature``; a hook of ``httpx2.Client``."""
        self._signer.sign(
            adapt_message(request),
            key_id=self._key_id,
            nonce=secrets.token_urlsafe(18),
            covered_component_ids=[name for name in must_cover(_as_signed(request)) if name != DIGEST],
            body=request.content,
            use_existing_digest="content-digest" in request.headers,
        )

    async def sign_async(self, request: httpx2.Request) -> None:
        """Does the same as a hook of ``httpx2.AsyncClient``."""
        self.sign(request)
