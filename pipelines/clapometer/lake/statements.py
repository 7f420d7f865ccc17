"""SQL as text: it lies in the room that runs it, in ``sql/``, one statement per file."""

import re
from importlib.resources import files

from clapometer.domain import VOUCHED, Exclusion

_INCLUDED = re.compile(r"\{sql:([\w/]+\.sql)\}")
_EXCLUSION = re.compile(r"\{exclusion([:#])(\w+)\}")


def sql(path: str) -> str:
    """Returns the text of a file such as ``lake/sql/outcomes.sql``.

    In place of ``{sql:path}`` stands that of another; of ``{exclusion:AD}`` the reason (`Exclusion`), of
    ``{exclusion#AD}`` its number; of ``{vouched}`` the trust of what somebody vouches for.
    """
    room, _, file = path.partition("/sql/")
    folder = files(f"clapometer.{room.replace('/', '.')}")
    text = folder.joinpath("sql", *file.split("/")).read_text(encoding="utf-8")
    text = text.replace("{vouched}", f"({', '.join(map(quote, VOUCHED))})")
    text = _EXCLUSION.sub(lambda found: _reason(Exclusion[found[2]], found[1]), text)
    return _INCLUDED.sub(lambda found: sql(found[1]), text)


def _reason(reason: Exclusion, form: str) -> str:
    return quote(reason) if form == ":" else str(reason.number)


def quote(text: str) -> str:
    """Returns an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"
