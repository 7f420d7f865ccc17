"""Which events of a batch are new, which were there already, and which contradict what was there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clapometer.lake.keys.index import KeyIndex

Identity = tuple[str, str, str, int]
"""Tenant, source, id, and what else keeps events apart (`event_rows.KEPT_APART`)."""
Fingerprint = tuple[Identity, int]
"""Who an event says it is, and the hash of its payload."""


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What becomes of each event of a batch; ``conflict`` is part of ``duplicate``."""

    duplicate: NDArray[np.bool_]
    conflict: NDArray[np.bool_]

    @property
    def stored(self) -> NDArray[np.bool_]:
        """Which events are new."""
        return ~self.duplicate


@dataclass
class _Known:
    """What is known of a key: events of this batch, and payloads of the lake whose events were not looked at."""

    events: dict[Identity, int]
    payloads: set[int]


def judge(
    keys: NDArray[np.int64],
    index: KeyIndex,
    fingerprints: Callable[[NDArray[np.int64]], list[Fingerprint]],
    stored: Callable[[list[int]], Mapping[int, list[Fingerprint]]],
) -> Verdicts:
    """Returns the verdicts on events with these keys: the first of an identity wins.

    A key is a hash, and two identities may share it; so an event is only called a conflict, or new, after the
    identities themselves were compared. ``fingerprints`` gives those of some events of the batch, ``stored``
    those that the lake has for some keys; neither is asked where no key repeats.
    """
    duplicate = np.zeros(len(keys), bool)
    conflict = np.zeros(len(keys), bool)
    suspects = np.flatnonzero(_repeated(keys) | index.contains(keys))
    if not len(suspects):
        return Verdicts(duplicate, conflict)
    prints = fingerprints(suspects)
    of_key = keys[suspects].tolist()
    known = {key: _Known({}, payloads) for key, payloads in index.payloads(keys[suspects]).items()}
    unclear = {key for key, (_, payload) in zip(of_key, prints, strict=True) if _differs(known.get(key), payload)}
    for key, events in (stored(sorted(unclear)) if unclear else {}).items():
        known[key] = _Known(dict(reversed(events)), set())
    for position, key, (identity, payload) in zip(suspects.tolist(), of_key, prints, strict=True):
        seen = known.setdefault(key, _Known({}, set()))
        if payload in seen.payloads or identity in seen.events:
            duplicate[position] = True
            conflict[position] = payload not in seen.payloads and seen.events[identity] != payload
        else:
            seen.events[identity] = payload
    return Verdicts(duplicate, conflict)


def _differs(known: _Known | None, payload: int) -> bool:
    return known is not None and payload not in known.payloads


def _repeated(keys: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Returns which keys occur more than once."""
    order = np.argsort(keys, kind="stable")
    same = keys[order][1:] == keys[order][:-1]
    repeated = np.zeros(len(keys), bool)
    repeated[order[1:][same]] = True
    repeated[order[:-1][same]] = True
    return repeated
