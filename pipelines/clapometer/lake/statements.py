"""The SQL of the lake as text: it lives in ``lake/sql``, one statement per file."""

from importlib.resources import files


def sql(name: str) -> str:
    """Returns the text of ``lake/sql/{name}.sql``."""
    return (files("clapometer.lake") / "sql" / f"{name}.sql").read_text(encoding="utf-8")


def quote(text: str) -> str:
    """Returns an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"
