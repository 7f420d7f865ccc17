"""The table of risks names tests that exist, for each of the ten."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROWS = re.findall(r"^\| API(\d+) .*$", (ROOT / "docs/explanation/security.md").read_text(), re.MULTILINE)


def test_every_risk_of_the_list_has_a_row() -> None:
    assert [int(number) for number in ROWS] == list(range(1, 11))


def test_every_test_that_the_table_names_exists() -> None:
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py") if path.name != Path(__file__).name)
    defined = set(re.findall(r"^ *def (test_\w+)", tests, re.MULTILINE))
    for line in (ROOT / "docs/explanation/security.md").read_text().splitlines():
        if line.startswith("| API"):
            named = re.findall(r"`(test_\w+)`", line)
            assert len(named) >= 2, line
            assert set(named) <= defined, set(named) - defined
