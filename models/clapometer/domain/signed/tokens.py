"""Signed tokens: proof that an impression was offered by us, how likely, where and when, and that an answer is to it.

``v3.<key id>.<issued>.<expiry>.<named>.<context>.<signature>.<answer's signature>``. The first signature is
HMAC-SHA256 (RFC 2104) over tenant, impression, clip, position, propensity, candidates, viewer and all parts before it.
``named`` says which of `CONTEXT` the slate was asked for, by their places, and ``context`` is a digest of these. The
token names nothing else: it is checked against the impression that quotes it, so changing any of them breaks it.
The second signature is over tenant and impression id alone: what a viewer did quotes the same token, and whoever
merely knows the id of an impression cannot answer it. ``a2.<key id>.<answer's signature>`` is the part that an answer
needs. Tokens of version 2 lack time and context, those of version 1 also the signature for answers; both hold until
they expire.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping

import msgspec

from clapometer.domain.blocks import Trust
from clapometer.domain.events import ImpressionData

VERSION, ANSWER_VERSION = "v3", "a2"
CONTEXT = ("surface", "experiment", "session_id")
"""What an impression has to repeat of its slate, where the slate was asked for it."""
CLOCK_TOLERANCE_S = 3_600
"""How long before its token was issued, or after now, an impression may say that it was, in seconds."""
_PARTS = {"v1": 3, "v2": 4, VERSION: 7}
_ANSWERED = {"v2": 4, VERSION: 7, ANSWER_VERSION: 2}
_ANSWER_BYTES, _CONTEXT_BYTES = 16, 12
_ENCODER = msgspec.json.Encoder()


def _message(version: str, tenant: str, data: ImpressionData, said: str) -> bytes:
    # JSON is one-to-one: no text inside one part can pass for the border between two.
    propensity = None if data.propensity is None else float(data.propensity)
    return _ENCODER.encode(
        (
            version, tenant, data.impression_id, data.clip_id, data.position, propensity,
            data.candidates, data.explored, data.viewer_id, said,
        )
    )  # fmt: skip


def _signature(secret: bytes, message: bytes, length: int = 32) -> str:
    return base64.urlsafe_b64encode(hmac.digest(secret, message, "sha256")[:length]).decode().rstrip("=")


def _answer_signature(tenant: str, impression_id: str, secret: bytes) -> str:
    return _signature(secret, _ENCODER.encode((ANSWER_VERSION, tenant, impression_id)), _ANSWER_BYTES)


def _context(data: ImpressionData, named: str) -> str:
    """Returns the digest of what is ``named`` of an impression; the order of experiments says nothing."""
    if not named:
        return ""
    arms = sorted((arm.id, arm.variant) for arm in data.experiment or ())
    values = (data.surface, arms, data.session_id)
    told = _ENCODER.encode([values[int(place)] for place in named])
    return base64.urlsafe_b64encode(hashlib.sha256(told).digest()[:_CONTEXT_BYTES]).decode()


def sign_impression(
    tenant: str,
    data: ImpressionData,
    *,
    key_id: str,
    secret: bytes,
    issued: int,
    expires: int,
    closed: bool = False,
) -> str:
    """Returns the token for ``data`` (its own is ignored), valid from ``issued`` until ``expires`` (Unix seconds).

    With ``closed`` the impression may not name what of `CONTEXT` the slate was not asked for.
    """
    named = "".join(str(place) for place, name in enumerate(CONTEXT) if closed or getattr(data, name) is not None)
    said = f"{issued}.{expires}.{named}.{_context(data, named)}"
    signature = _signature(secret, _message(VERSION, tenant, data, said))
    return f"{VERSION}.{key_id}.{said}.{signature}.{_answer_signature(tenant, data.impression_id, secret)}"


def sign_answer(tenant: str, impression_id: str, *, key_id: str, secret: bytes) -> str:
    """Returns the token for what answers an impression; it does not expire."""
    return f"{ANSWER_VERSION}.{key_id}.{_answer_signature(tenant, impression_id, secret)}"


def impression_trust(
    tenant: str, data: ImpressionData, keys: Mapping[str, bytes], now: float, shown: float | None = None
) -> Trust:
    """Returns how far the token of ``data`` can be trusted at ``now`` (Unix seconds).

    ``keys`` maps key ids to secrets; a retired key stays in it until its last token has expired. ``shown`` is when the
    impression says that it was; now where absent.
    """
    if data.token is None:
        return "none"
    version, *parts = data.token.split(".")
    if len(parts) != _PARTS.get(version) or parts[0] not in keys:
        return "forged"
    secret = keys[parts[0]]
    answers = 0 if version == "v1" else 1
    said, signatures = parts[1 : len(parts) - 1 - answers], parts[len(parts) - 1 - answers :]
    expected = [_signature(secret, _message(version, tenant, data, ".".join(said)))]
    if answers:
        expected.append(_answer_signature(tenant, data.impression_id, secret))
    if not _same(expected, signatures):
        return "forged"
    return _validity(data, said, now, shown)


def _validity(data: ImpressionData, said: list[str], now: float, shown: float | None) -> Trust:
    """Returns whether a token that is ours holds now, then and there; older ones say only when they expire."""
    issued, expires, named, context = ["0", *said, "", ""] if len(said) == 1 else said
    if now >= int(expires):
        return "expired"
    if shown is not None and not int(issued) - CLOCK_TOLERANCE_S <= shown <= now + CLOCK_TOLERANCE_S:
        return "mistimed"
    return "token" if _context(data, named) == context else "misplaced"


def answer_trust(tenant: str, impression_id: str, token: str | None, keys: Mapping[str, bytes]) -> Trust:
    """Returns whether what answers an impression quotes its token: ``token``, or else ``unvouched``."""
    version, *parts = (token or "").split(".")
    if len(parts) != _ANSWERED.get(version) or parts[0] not in keys:
        return "unvouched"
    expected = _answer_signature(tenant, impression_id, keys[parts[0]])
    return "token" if _same([expected], parts[-1:]) else "unvouched"


def _same(expected: list[str], given: list[str]) -> bool:
    # as str it refuses what is not ASCII
    return hmac.compare_digest(".".join(expected).encode(), ".".join(given).encode())
