"""The SQL of the lake as text: it lives in ``lake/sql``, one statement per file."""

import re
from importlib.resources import files

_INCLUDED = re.compile(r"\{sql:(\w+)\}")


def sql(name: str) -> str:
    """Returns the text of ``lake/sql/{name}.sql``; in place of ``{sql:other}`` stands that of another file."""
    text = (files("clapometer.lake") / "sql" / f"{name}.sql").read_text(encoding="utf-8")
    return _INCLUDED.sub(lambda found: sql(found[1]), text)


def quote(text: str) -> str:
    """Returns an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"
