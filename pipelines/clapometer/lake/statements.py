"""SQL as text: it lies in the room that runs it, in ``sql/``, one statement per file."""

import re
from importlib.resources import files

_INCLUDED = re.compile(r"\{sql:([\w/]+\.sql)\}")


def sql(path: str) -> str:
    """Returns the text of a file such as ``lake/sql/outcomes.sql``, with that of others in place of ``{sql:path}``."""
    room, _, file = path.partition("/sql/")
    folder = files(f"clapometer.{room.replace('/', '.')}")
    text = folder.joinpath("sql", *file.split("/")).read_text(encoding="utf-8")
    return _INCLUDED.sub(lambda found: sql(found[1]), text)


def quote(text: str) -> str:
    """Returns an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"
