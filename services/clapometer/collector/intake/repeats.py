"""Events of one request that contradict each other: the sender hears of it at once, not from the loader."""

from collections.abc import Sequence

from clapometer.domain import Event
from clapometer.domain.events import ClipWithdrawn, ViewerErased

_SAID = (
    "another event of this request has its source and id and other data: the first one stays, this one is kept as a "
    "conflict; give each event an id of its own"
)
_NEVER_LOST = (ClipWithdrawn, ViewerErased)


def contradictions(events: Sequence[Event]) -> dict[int, str]:
    """Returns what the sender is told of events with the identity of an earlier one and other data, by their index."""
    if len({event.id for event in events}) == len(events):
        return {}
    first: dict[tuple[str, str], Event] = {}
    told = {}
    for index, event in enumerate(events):
        known = first.setdefault((event.source, event.id), event)
        same = type(known) is type(event) and known.data == event.data
        if not same and not isinstance(event, _NEVER_LOST):
            told[index] = _SAID
    return told
