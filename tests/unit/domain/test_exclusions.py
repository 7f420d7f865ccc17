"""What counts is defined once."""

from pathlib import Path

import pytest

from clapometer.domain import BY_NUMBER, VOUCHED, Exclusion
from clapometer.labels import ScreeningReason
from clapometer.lake.statements import quote, sql

ROOT = Path(__file__).parents[3]
STATEMENTS = sorted(path for root in ("pipelines", "services") for path in (ROOT / root).rglob("*.sql"))


def test_every_reason_to_screen_a_viewer_excludes_its_outcomes() -> None:
    screened = {f"viewer {reason}" for reason in ScreeningReason}
    assert screened == {str(reason) for reason in Exclusion if reason.startswith("viewer ")}


def test_the_number_of_a_reason_is_its_place_and_zero_is_of_what_counts() -> None:
    assert [each and each.number for each in BY_NUMBER] == [None, *range(1, len(Exclusion) + 1)]


@pytest.mark.parametrize("path", STATEMENTS, ids=lambda path: path.stem)
def test_no_statement_spells_a_reason_or_what_is_vouched_for_by_itself(path: Path) -> None:
    text = path.read_text()
    assert [reason for reason in Exclusion if quote(reason) in text] == []
    assert ", ".join(map(quote, VOUCHED)) not in text


def test_statements_read_reasons_and_their_numbers_from_the_domain() -> None:
    clips = sql("training/sql/known.sql")
    assert f"WHEN ad AND $drop_ads THEN {Exclusion.AD.number}" in clips
    view = sql("lake/published/sql/analyst/excluded_outcomes.sql")
    assert "NOT IN ('key', 'token') THEN 'untrusted impression'" in view
    assert "THEN 'creator''s own view'" in view
