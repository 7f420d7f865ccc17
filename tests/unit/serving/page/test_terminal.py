"""The terminal and files show what the API answers, and nothing that a prompt smuggles in."""

import csv
import io

import msgspec
import pytest
from rich.console import Console
from tests.unit.serving.running import Serving
from tests.unit.serving.sample_lake import NOW, add_run

from clapometer.lake.tables import Lake
from clapometer.serving import (
    NotRanked,
    RankingQuery,
    comparison_lines,
    ranking_csv,
    ranking_json,
    ranking_tables,
    ranking_title,
    read_ranking,
    required,
    set_aside_lines,
    unranked_lines,
)
from clapometer.serving.reading.answers import Ranking, Standing
from clapometer.serving.reading.compare import compare


def read(lake: Lake, subject: str = "model_versions") -> Ranking:
    with lake.connect() as connection:
        return read_ranking(connection, "default", RankingQuery(subject=subject))  # type: ignore[arg-type]


def renamed(ranking: Ranking, label: str) -> list[Standing]:
    return [msgspec.structs.replace(row, label=label) for row in ranking.rows[:1]]


def printed(*things: object, width: int = 160) -> str:
    console = Console(width=width, force_terminal=False, file=io.StringIO())
    for thing in things:
        console.print(thing)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    return text


def test_the_command_line_the_api_and_the_page_say_the_same(lake: Lake, serving: Serving) -> None:
    ranking = read(lake)
    assert msgspec.json.decode(ranking_json(ranking)) == serving.get("/v1/rankings/model_versions").json()
    table, page = printed(*ranking_tables(ranking.rows, 160)), serving.get("/").text
    for row in ranking.rows:
        shown = f"{row.effect:+.3f}".replace("-", "−")
        assert shown in table
        assert shown in page
        assert row.item in table


def test_the_table_shows_intervals_and_what_completion_rate_would_say(lake: Lake) -> None:
    lines = printed(*ranking_tables(read(lake).rows, 160)).splitlines()
    assert lines[1].split()[:3] == ["1", "1", "kite@3.1"]
    assert "+0.096 to +0.124" in lines[1]
    assert lines[0].split()[-1] == "verdict"
    assert {"its", "place", "completion", "impressions", "tier"} <= set(lines[0].split())


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
    text = printed(*ranking_tables(renamed(read(lake), label), 160), *unranked_lines([not_ranked(label)]))
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
    first, known, *_ = read(lake).rows
    unknown = msgspec.structs.replace(
        first, effect=None, value=None, rank_low=None, p_best=None, completion_rate=None, impressions=None
    )
    assert printed(*ranking_tables([unknown, known], 160)).splitlines()[1].count("–") >= 5


PROMPT = "A very long prompt of a " + "very " * 40 + "small\nkite"


@pytest.mark.parametrize("width", [80, 100, 120, 160, 250])
def test_no_line_of_a_ranking_is_wider_than_the_terminal_and_no_header_is_broken(lake: Lake, width: int) -> None:
    priced = {"cost_per_clip": 0.07, "cost_currency": "USD", "revenue_per_1000": 1234.5, "currency": "EUR"}
    rows = [msgspec.structs.replace(row, label=PROMPT, **priced) for row in read(lake).rows]
    tables = ranking_tables(rows, width)
    lines = printed(*tables, width=width).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    assert len(lines) == len(tables) * (len(rows) + 1)
    shown = "\n".join(lines)
    for header in ("rank", "places", "item", "effect", "95 % interval", "verdict", "cost/clip", "revenue/1000"):
        assert header in shown
    assert "…" in lines[1]
    assert "0.07 USD" in shown
    assert "1234.50 EUR" in shown
    assert "not enough evidence" in shown or "keep" in shown


def test_a_run_that_does_not_name_the_currency_of_its_costs_counted_them_in_that_of_its_revenue(own_lake: Lake) -> None:
    assert {(row.cost_currency, row.currency) for row in read(own_lake).rows} == {("USD", "EUR")}
    add_run(own_lake, "run-of-before", NOW, cost_currency=None)
    rows = read(own_lake).rows
    assert {(row.cost_currency, row.currency) for row in rows} == {("EUR", "EUR")}
    assert "0.04 EUR" in printed(*ranking_tables(rows, 250))


def test_more_room_shows_more_columns(lake: Lake) -> None:
    narrow, wide = (len(ranking_tables(read(lake).rows, width)[0].columns) for width in (80, 250))
    assert narrow < wide


def test_columns_are_shown_in_the_order_in_which_they_are_named(lake: Lake) -> None:
    (table,) = ranking_tables(read(lake).rows, 80, ["tier", "item"])
    assert printed(table).split()[:2] == ["tier", "item"]


def test_a_requirement_goes_by_the_interval_that_holds_at_all_looks(lake: Lake) -> None:
    with lake.connect() as connection:
        comparison = compare(connection, "default", RankingQuery(limit=2), "kite@3.1", "aurora@2")
        assert (comparison.low, comparison.always_low) == (pytest.approx(0.028), pytest.approx(0.0214))
        met = required(connection, "default", comparison, "better", 0.02)
        open_ = required(connection, "default", comparison, "better", 0.025)  # above it at one look
        failed = required(connection, "default", comparison, "better", 0.06)
        refused = required(
            connection, "default", compare(connection, "default", RankingQuery(limit=2), "kite@3.1", "pixel@2"),
            "better", 0,
        )  # fmt: skip
    answers = [each.told["answer"] for each in (met, open_, failed, refused)]
    assert answers == ["yes", "not enough evidence", "no", "not enough evidence"]
    assert met.told["interval"] == "always"
    assert "lies above +0.020" in met.sentence
    assert "pixel@2 is not ranked" in refused.sentence


def test_a_ranking_by_votes_counts_votes_and_names_its_units(lake: Lake) -> None:
    with lake.connect() as connection:
        ranking = read_ranking(connection, "default", RankingQuery(segment="evidence", segment_value="votes"))
    (table,) = ranking_tables(ranking.rows, 200)
    head = printed(table).splitlines()[0].split()
    assert {"votes", "voters"} <= set(head)
    assert not {"impressions", "completion", "cost/clip"} & set(head)
    assert "log-odds to win a vote" in ranking_title(ranking)
    assert "chance to win" in ranking_title(ranking)
    assert [line.plain for line in set_aside_lines(ranking)] == ["7 votes: vote without trust"]


def test_counts_are_written_as_everywhere_else_and_one_is_one(lake: Lake) -> None:
    ranking = read(lake)
    excluded = {"viewer reacts to clips it did not watch": 30_000, "clip not registered": 1}
    run = msgspec.structs.replace(ranking.run, excluded=excluded)
    lines = [line.plain for line in set_aside_lines(msgspec.structs.replace(ranking, run=run))]
    assert lines[0].startswith("30,000 impressions: viewer reacts")
    assert lines[1].startswith("1 impression: clip not registered")
