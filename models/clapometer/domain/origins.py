"""Origins, as browsers send them: ``https://shop.example`` or ``http://localhost:3000``."""

import re

from clapometer.domain.errors import InputError

_FORM = "an origin is a scheme, a host and, where it is not the usual one, a port: https://shop.example"
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)(?::([1-9][0-9]{0,4}))?")
_PORTS = 2**16
_USUAL = {"http": "80", "https": "443"}


def check_origin(text: str, field: str = "origin") -> str:
    """Returns an origin that some browser may send, letter by letter.

    Raises:
        InputError: No browser sends it; says what was meant, where that can be guessed.
    """
    found = _ORIGIN.fullmatch(text)
    if found is not None and found[3] != _USUAL.get(found[1], "") and int(found[3] or 1) < _PORTS:
        return text
    meant = _meant(text)
    hint = f"; did you mean {meant}?" if meant else ""
    msg = f"{text!r} is sent by no browser: {_FORM}, without path or slash, in lower case{hint}"
    raise InputError(msg, field)


def _meant(text: str) -> str:
    """Returns the origin of an address, of a bare host, or of other capitals; empty where there is none to see."""
    lowered = text.strip().lower()
    if "*" in lowered or not lowered.isascii():
        return ""
    scheme, _, rest = lowered.rpartition("://") if "://" in lowered else ("https", "", lowered)
    guess = f"{scheme}://{re.split('[/?#]', rest, maxsplit=1)[0].rpartition('@')[2]}"
    guess = guess.removesuffix(f":{_USUAL.get(scheme, '')}")
    found = _ORIGIN.fullmatch(guess)
    return guess if found is not None and int(found[3] or 1) < _PORTS else ""
