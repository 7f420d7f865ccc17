"""Who may ask for what, how often, and how that is proved: keys, rates and signatures of collector and serving."""

from clapometer.gate.gate import Credentials, DeniedError, Gate
from clapometer.gate.keys import (
    SECRET_PREFIXES,
    SIGNING_PREFIX,
    ApiKey,
    KeyKind,
    KeyRing,
    edited,
    load_keys,
    new_key,
    rotated,
    save_keys,
    unknown_key,
)
from clapometer.gate.pages import Headers, cross_origin, preflight
from clapometer.gate.proxies import TrustedProxies
from clapometer.gate.rates import Limited, Rates, SharedStorage, SteadyStorage, open_storage, parse_rate
from clapometer.gate.signatures import DIGEST, SignatureError, Signatures, SignedRequest, check_digest, must_cover

__all__ = [
    "DIGEST",
    "SECRET_PREFIXES",
    "SIGNING_PREFIX",
    "ApiKey",
    "Credentials",
    "DeniedError",
    "Gate",
    "Headers",
    "KeyKind",
    "KeyRing",
    "Limited",
    "Rates",
    "SharedStorage",
    "SignatureError",
    "Signatures",
    "SignedRequest",
    "SteadyStorage",
    "TrustedProxies",
    "check_digest",
    "cross_origin",
    "edited",
    "load_keys",
    "must_cover",
    "new_key",
    "open_storage",
    "parse_rate",
    "preflight",
    "rotated",
    "save_keys",
    "unknown_key",
]
