"""An error of a library, said as what it means: a file of the lake is damaged."""

from pathlib import Path

from clapometer.settings import Settings


def damage_behind(settings: Settings) -> str:
    """Returns which files of the lake are damaged, in sentences; empty where none is."""
    if not isinstance(settings.lake, Path) or not settings.lake.is_dir():
        return ""
    from clapometer.lake.damage import find_damage

    found = list(find_damage(settings.lake))
    if not found:
        return ""
    more = f" and {len(found) - 1} more files (`clapometer doctor` names them)" if len(found) > 1 else ""
    return f"the lake is damaged: {found[0]}{more}. What to do: {found[0].advice}"
