"""What clips were registered as of late, so that who changes one is told at once."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from clapometer.domain import Event
from clapometer.domain.events import ClipRegistered, ClipRegisteredData

REMEMBERED = 50_000
"""Clips; about 10 MB."""
CHANGED = (
    "this clip was registered with another {} before: stored, and all its impressions count for it from now on; give "
    "another clip another id, and mend a mistake as you did (the view clip_changes lists these)"
)
NO_CURRENCY = (
    "`cost.amount` without `cost.currency`: stored, and told in no cost; register the clip again with an ISO 4217 code "
    "such as EUR"
)


class Registrations:
    """The prompt and model of the clips that were registered last, in this process only: it may not know a clip."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], tuple[bytes, bytes]] = OrderedDict()

    def cautions(self, tenant: str, events: Sequence[Event]) -> dict[int, str]:
        """Remembers the registrations among events; returns what to say of them, by index: a change, a lost cost."""
        told = {}
        for index, event in enumerate(events):
            if type(event) is ClipRegistered and (said := self._said(tenant, event.data)):
                told[index] = "; ".join(said)
        return told

    def _said(self, tenant: str, data: ClipRegisteredData) -> list[str]:
        said = [CHANGED.format(what)] if (what := self._change(tenant, data)) else []
        lost = data.cost is not None and data.cost.amount is not None and data.cost.currency is None
        return [*said, NO_CURRENCY] if lost else said

    def _change(self, tenant: str, data: ClipRegisteredData) -> str:
        clip, now = (tenant, data.clip_id), (_digest(data.prompt), _digest(data.model))
        before = self._known.pop(clip, now)
        self._known[clip] = now
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        names = ("prompt", "model")
        return " and ".join(name for name, old, new in zip(names, before, now, strict=True) if old != new)


def _digest(part: msgspec.Struct) -> bytes:
    return hashlib.blake2b(msgspec.json.encode(part), digest_size=8).digest()
