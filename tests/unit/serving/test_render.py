"""The terminal and files show what the API answers, and nothing that a prompt smuggles in."""

import csv
import io

import msgspec
import pytest
from rich.console import Console
from tests.unit.serving.running import Serving

from clapometer.lake import Lake
from clapometer.serving import (
    NotRanked,
    RankingQuery,
    compare,
    comparison_lines,
    ranking_csv,
    ranking_json,
    ranking_table,
    read_ranking,
    unranked_lines,
)
from clapometer.serving.answers import Ranking, Standing


def read(lake: Lake, subject: str = "model_versions") -> Ranking:
    with lake.connect() as connection:
        return read_ranking(connection, "default", RankingQuery(subject=subject))  # type: ignore[arg-type]


def renamed(ranking: Ranking, label: str) -> list[Standing]:
    return [msgspec.structs.replace(row, label=label) for row in ranking.rows[:1]]


def printed(*things: object) -> str:
    console = Console(width=160, force_terminal=False, file=io.StringIO())
    for thing in things:
        console.print(thing)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    return text


def test_the_command_line_the_api_and_the_page_say_the_same(lake: Lake, serving: Serving) -> None:
    ranking = read(lake)
    assert msgspec.json.decode(ranking_json(ranking)) == serving.get("/v1/rankings/model_versions").json()
    table, page = printed(ranking_table(ranking.rows)), serving.get("/").text
    for row in ranking.rows:
        shown = f"{row.effect:+.3f}".replace("-", "−")
        assert shown in table
        assert shown in page
        assert row.item in table


def test_the_table_shows_intervals_and_what_completion_rate_would_say(lake: Lake) -> None:
    lines = printed(ranking_table(read(lake).rows)).splitlines()
    assert lines[1].split()[:3] == ["1", "1", "kite@3.1"]
    assert "+0.096 to +0.124" in lines[1]
    assert lines[0].split()[-4:] == ["place", "impressions", "tier", "verdict"]


def test_csv_has_every_number_in_full_and_the_reasons(lake: Lake) -> None:
    ranking = read(lake)
    rows = list(csv.DictReader(io.StringIO(ranking_csv(ranking))))
    assert float(rows[0]["effect"]) == ranking.rows[0].effect
    assert rows[0]["unranked_reason"] == ""
    assert (rows[-1]["item"], rows[-1]["rank"]) == ("pixel@2", "")
    assert rows[-1]["unranked_reason"] == "it shares too few prompts with other items"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_label_is_no_formula(lake: Lake, start: str) -> None:
    ranking = read(lake)
    label = f"{start}HYPERLINK(1)"
    text = ranking_csv(msgspec.structs.replace(ranking, rows=renamed(ranking, label)))
    assert next(csv.DictReader(io.StringIO(text, newline="")))["label"] == f"'{label}"


def test_a_label_cannot_steer_the_terminal_or_write_markup(lake: Lake) -> None:
    label = "[red]x[/red] \x1b[2J\x07\u202egnp.exe"
    text = printed(ranking_table(renamed(read(lake), label)), *unranked_lines([not_ranked(label)]))
    assert "[red]x[/red]" in text
    assert not {"\x1b", "\x07", "\u202e"} & set(text)


def not_ranked(label: str) -> NotRanked:
    return NotRanked(item="i", label=label, reason="not enough evidence", impressions=1, clips=1, votes=None)


def test_a_comparison_reads_as_a_sentence(lake: Lake) -> None:
    with lake.connect() as connection:
        query = RankingQuery(limit=2)
        told = printed(*comparison_lines(compare(connection, "default", query, "kite@3.1", "aurora@2")))
        refused = printed(*comparison_lines(compare(connection, "default", query, "kite@3.1", "pixel@2")))
    assert "kite@3.1 less aurora@2: +0.039 (+0.028 to +0.050)" in told
    assert "P(kite@3.1 is better): 99.9 %" in told
    assert "looking every day: +0.021 to +0.057" in told
    assert "cannot be compared: pixel@2 is not ranked" in refused


def test_unknown_numbers_are_dashes(lake: Lake) -> None:
    unknown = msgspec.structs.replace(
        read(lake).rows[0], effect=None, value=None, rank_low=None, p_best=None, completion_rate=None, impressions=None
    )
    assert printed(ranking_table([unknown])).splitlines()[1].count("–") >= 5
