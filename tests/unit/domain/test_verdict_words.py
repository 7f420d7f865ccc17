"""One vocabulary of verdicts: every place that names them uses it, and none says it in older words."""

import re
import tomllib
from pathlib import Path

import pytest

from clapometer.domain import MEANINGS, Verdict

ROOT = Path(__file__).parents[3]
READ_BY_PEOPLE = (
    ROOT / "README.md",
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "pipelines").rglob("*.sql"),
    *(ROOT / "services").rglob("*.sql"),
    *(ROOT / "services/clapometer/serving/page/templates").glob("*.html"),
)


@pytest.mark.parametrize("page", READ_BY_PEOPLE, ids=lambda page: page.name)
def test_nothing_calls_an_item_a_winner_or_a_loser(page: Path) -> None:
    text = page.read_text().replace("of which the winner had loaded", "")  # of a race
    assert not re.findall(r"\b(?:winners?|losers?)\b", text, re.IGNORECASE)


def test_every_verdict_has_a_meaning_that_the_columns_and_the_guide_give() -> None:
    comments = tomllib.loads((ROOT / "pipelines/clapometer/lake/published/comments.toml").read_text())
    guide = (ROOT / "docs/how-to/release-decision.md").read_text()
    column = next(table["verdict"] for table in comments.values() if "verdict" in table)
    board = comments["creative_board"]["verdict"]
    for word in Verdict:
        assert f"{word}: {MEANINGS[word].partition(':')[0]}" in column
        assert f"| {word} | {MEANINGS[word]} |" in guide
        assert word in board


def test_the_creative_board_uses_these_words_and_no_others() -> None:
    board = (ROOT / "pipelines/clapometer/lake/published/sql/analyst/creative_board.sql").read_text()
    cases = board.split("CASE")[-1]
    assert set(re.findall(r"(?:THEN|ELSE) '([^']+)'", cases)) == {str(word) for word in Verdict}
