"""Signed tokens: proof that an impression was offered by us and with which propensity, and that an answer is to it.

``v2.<key id>.<expiry>.<signature>.<answer's signature>``. The first signature is HMAC-SHA256 (RFC 2104) over tenant,
impression, clip, position, propensity, candidates, viewer and expiry. The token names none of them: it is checked
against the impression that quotes it, so changing any of them breaks it. The second is over tenant and impression id
alone: what a viewer did quotes the same token, and whoever merely knows the id of an impression cannot answer it.
``a2.<key id>.<answer's signature>`` is the part that an answer needs. Tokens of version 1 lack that signature.
"""

import base64
import hmac
import re
from collections.abc import Mapping

import msgspec

from clapometer.domain.blocks import Trust
from clapometer.domain.events import ImpressionData

VERSION, ANSWER_VERSION, OLD_VERSION = "v2", "a2", "v1"
_ANSWER_BYTES = 16
_ENCODER = msgspec.json.Encoder()
_EXPIRY = re.compile(r"[0-9]{1,12}")


def _message(version: str, tenant: str, data: ImpressionData, expires: str) -> bytes:
    # JSON is one-to-one: no text inside one part can pass for the border between two.
    propensity = None if data.propensity is None else float(data.propensity)
    return _ENCODER.encode(
        (
            version, tenant, data.impression_id, data.clip_id, data.position, propensity,
            data.candidates, data.explored, data.viewer_id, expires,
        )
    )  # fmt: skip


def _signature(secret: bytes, message: bytes, length: int = 32) -> str:
    return base64.urlsafe_b64encode(hmac.digest(secret, message, "sha256")[:length]).decode().rstrip("=")


def _answer_signature(tenant: str, impression_id: str, secret: bytes) -> str:
    return _signature(secret, _ENCODER.encode((ANSWER_VERSION, tenant, impression_id)), _ANSWER_BYTES)


def sign_impression(tenant: str, data: ImpressionData, *, key_id: str, secret: bytes, expires: int) -> str:
    """Returns the token for ``data`` (its own is ignored), valid until ``expires`` (Unix seconds)."""
    signature = _signature(secret, _message(VERSION, tenant, data, str(expires)))
    return f"{VERSION}.{key_id}.{expires}.{signature}.{_answer_signature(tenant, data.impression_id, secret)}"


def sign_answer(tenant: str, impression_id: str, *, key_id: str, secret: bytes) -> str:
    """Returns the token for what answers an impression; it does not expire."""
    return f"{ANSWER_VERSION}.{key_id}.{_answer_signature(tenant, impression_id, secret)}"


def impression_trust(tenant: str, data: ImpressionData, keys: Mapping[str, bytes], now: float) -> Trust:
    """Returns how far the token of ``data`` can be trusted at ``now`` (Unix seconds).

    ``keys`` maps key ids to secrets; a retired key stays in it until its last token has expired.
    """
    if data.token is None:
        return "none"
    version, *parts = data.token.split(".")
    if len(parts) != {VERSION: 4, OLD_VERSION: 3}.get(version):
        return "forged"
    key_id, expires, signature, *answers = parts
    if key_id not in keys or not _EXPIRY.fullmatch(expires):
        return "forged"
    secret = keys[key_id]
    expected = [_signature(secret, _message(version, tenant, data, expires))]
    if answers:
        expected.append(_answer_signature(tenant, data.impression_id, secret))
    if not _same(expected, [signature, *answers]):
        return "forged"
    return "token" if now < int(expires) else "expired"


def answer_trust(tenant: str, impression_id: str, token: str | None, keys: Mapping[str, bytes]) -> Trust:
    """Returns whether what answers an impression quotes its token: ``token``, or else ``unvouched``."""
    version, *parts = (token or "").split(".")
    if len(parts) != {VERSION: 4, ANSWER_VERSION: 2}.get(version) or parts[0] not in keys:
        return "unvouched"
    expected = _answer_signature(tenant, impression_id, keys[parts[0]])
    return "token" if _same([expected], parts[-1:]) else "unvouched"


def _same(expected: list[str], given: list[str]) -> bool:
    # as str it refuses what is not ASCII
    return hmac.compare_digest(".".join(expected).encode(), ".".join(given).encode())
