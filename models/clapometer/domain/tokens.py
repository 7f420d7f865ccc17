"""Signed impression tokens: proof that an impression was offered by us, and with which propensity.

``v1.<key id>.<expiry>.<signature>``; the signature is HMAC-SHA256 (RFC 2104) over tenant, impression, clip,
position, propensity, candidates, viewer and expiry. The token names none of them: it is checked against
the impression that quotes it, so changing any of them breaks it.
"""

import base64
import hmac
import re
from collections.abc import Mapping

import msgspec

from clapometer.domain.blocks import Trust
from clapometer.domain.events import ImpressionData

VERSION = "v1"
_ENCODER = msgspec.json.Encoder()
_EXPIRY = re.compile(r"[0-9]{1,12}")


def _message(tenant: str, data: ImpressionData, expires: str) -> bytes:
    # JSON is one-to-one: no text inside one part can pass for the border between two.
    propensity = None if data.propensity is None else float(data.propensity)
    return _ENCODER.encode(
        (
            VERSION, tenant, data.impression_id, data.clip_id, data.position, propensity,
            data.candidates, data.explored, data.viewer_id, expires,
        )
    )  # fmt: skip


def _signature(secret: bytes, message: bytes) -> str:
    return base64.urlsafe_b64encode(hmac.digest(secret, message, "sha256")).decode().rstrip("=")


def sign_impression(tenant: str, data: ImpressionData, *, key_id: str, secret: bytes, expires: int) -> str:
    """Returns the token for ``data`` (its own is ignored), valid until ``expires`` (Unix seconds)."""
    signature = _signature(secret, _message(tenant, data, str(expires)))
    return f"{VERSION}.{key_id}.{expires}.{signature}"


def impression_trust(tenant: str, data: ImpressionData, keys: Mapping[str, bytes], now: float) -> Trust:
    """Returns how far the token of ``data`` can be trusted at ``now`` (Unix seconds).

    ``keys`` maps key ids to secrets; a retired key stays in it until its last token has expired.
    """
    if data.token is None:
        return "none"
    parts = data.token.split(".")
    if len(parts) != 4 or parts[0] != VERSION or parts[1] not in keys or not _EXPIRY.fullmatch(parts[2]):
        return "forged"
    expected = _signature(keys[parts[1]], _message(tenant, data, parts[2]))
    if not hmac.compare_digest(expected.encode(), parts[3].encode()):  # as str it refuses what is not ASCII
        return "forged"
    return "token" if now < int(parts[2]) else "expired"
