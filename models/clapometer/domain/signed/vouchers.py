"""Signed vouchers: what a platform's server says of a viewer's session, for the page that asks for slates itself.

``s1.<key id>.<expiry>.<session>.<signature>``: the session is base64url of JSON, and the signature is HMAC-SHA256
(RFC 2104) over tenant and all parts before it, by the secrets that sign impression tokens. A page reads its voucher and
cannot change it. It may be used again until it expires, for the same viewer and the same clips.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping

import msgspec

from clapometer.domain.errors import InputError
from clapometer.domain.events import Experiment, Identifier, Label

VERSION = "s1"
MAX_VOUCHER = 8_000
"""Most characters of a voucher that is looked at."""
_ENCODER = msgspec.json.Encoder()


class Session(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the platform vouches for.

    Attributes:
        viewer_id: Who watches.
        session_id: In which session.
        candidates: Digest of the clips that may be shown (`candidates_digest`).
        surface: Where they are shown.
        experiment: The arms of experiments that the viewer is in; empty for none.
    """

    viewer_id: Identifier
    session_id: Identifier
    candidates: str
    surface: Label | None = None
    experiment: list[Experiment] = []


_SESSION = msgspec.json.Decoder(Session)


def candidates_digest(clip_ids: Iterable[str]) -> str:
    """Returns a digest of clips, whatever their order."""
    return _text(hashlib.sha256(_ENCODER.encode(sorted(clip_ids))).digest()[:16])


def sign_session(tenant: str, session: Session, *, key_id: str, secret: bytes, expires: int) -> str:
    """Returns the voucher for a session, valid until ``expires`` (Unix seconds)."""
    said = f"{key_id}.{expires}.{_text(_ENCODER.encode(session))}"
    return f"{VERSION}.{said}.{_signature(tenant, said, secret)}"


def read_voucher(tenant: str, voucher: str, keys: Mapping[str, bytes], now: float) -> Session:
    """Returns the session that a voucher vouches for at ``now`` (Unix seconds).

    Raises:
        InputError: It does not hold: it is not ours, or of another tenant, or was changed, or has expired.
    """
    version, _, rest = voucher[:MAX_VOUCHER].partition(".")
    said, _, signature = rest.rpartition(".")
    key_id, *parts = said.split(".")
    if version != VERSION or len(parts) != 2 or key_id not in keys:
        raise InputError("it is not one of ours, or its secret was retired; " + _HOW, _FIELD)
    if not hmac.compare_digest(_signature(tenant, said, keys[key_id]).encode(), signature.encode()):
        raise InputError("it was changed, or is of another tenant; " + _HOW, _FIELD)
    if not now < int(parts[0]):
        raise InputError("it has expired; " + _HOW, _FIELD)
    return _SESSION.decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))


_FIELD = "clapometer-voucher"
_HOW = "ask the platform's server for another one, which gets it from POST /v1/sessions"


def _signature(tenant: str, said: str, secret: bytes) -> str:
    return _text(hmac.digest(secret, _ENCODER.encode((VERSION, tenant, said)), "sha256"))


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
