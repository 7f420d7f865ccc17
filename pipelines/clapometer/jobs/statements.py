"""The SQL of the jobs: each statement is a file of ``clapometer/lake/sql``."""

from functools import cache
from importlib.resources import files


@cache
def statement(name: str) -> str:
    """Returns the text of ``lake/sql/<name>.sql``."""
    return (files("clapometer.lake") / "sql" / f"{name}.sql").read_text("utf-8")
