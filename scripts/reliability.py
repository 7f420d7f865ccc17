"""Writes the table of docs/reliability.md from its results: ``PYTHONPATH=. python scripts/reliability.py``."""

import re
from pathlib import Path

from tests.faults.results import load, table

PAGE = Path(__file__).parent.parent / "docs" / "reliability.md"
TABLE = re.compile(r"(?<=<!-- results -->\n).*(?=<!-- end -->)", re.DOTALL)


def reliability_page() -> str:
    """Returns the page with the table as the results have it."""
    return TABLE.sub(lambda _: table(load(PAGE.with_suffix(".json"))), PAGE.read_text())


if __name__ == "__main__":
    PAGE.write_text(reliability_page())
