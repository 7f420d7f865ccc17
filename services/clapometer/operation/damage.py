"""An error of a library, said as what it means: a file of the lake is damaged."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from clapometer.domain import TerminalError
from clapometer.settings import Settings

if TYPE_CHECKING:
    from clapometer.lake.damage import Damage
    from clapometer.lake.delta.storage import Storage


def damage_behind(settings: Settings) -> str:
    """Returns which files of the lake are damaged, in sentences; empty where none is."""
    from clapometer.lake.damage import find_damage

    return _told(settings, find_damage)


def refuse_damaged_logs(settings: Settings) -> None:
    """Raises ``TerminalError`` where a table of the lake has a damaged log: nothing may be written beside it."""
    from clapometer.lake.damage import find_log_damage

    if said := _told(settings, find_log_damage):
        raise TerminalError(said)


def _told(settings: Settings, find: "Callable[[Storage], Iterator[Damage]]") -> str:
    from clapometer.operation import wiring

    if not wiring.has_lake(settings):
        return ""
    found = list(find(wiring.lake_storage(settings)))
    if not found:
        return ""
    more = f" and {len(found) - 1} more files (`clapometer doctor` names them)" if len(found) > 1 else ""
    return f"the lake is damaged: {found[0]}{more}. What to do: {found[0].advice}"
