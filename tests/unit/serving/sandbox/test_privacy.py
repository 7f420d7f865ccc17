"""With a minimum of viewers per cell, no statement shows a smaller group."""

from typing import Any

import msgspec
import pytest

from clapometer.lake import Lake
from clapometer.serving.sandbox import Job, StatementError
from clapometer.serving.sandbox.worker import answer

VIEWERS = 5
SMALL = "search"
"""The surface that one viewer saw; twenty saw the feed."""


def rows(lake: Lake, sql: str, viewers: int = VIEWERS) -> list[list[Any]]:
    job = Job(published=str(lake.storage.published), tenant="default", sql=sql, min_viewers=viewers)
    found: list[list[Any]] = msgspec.json.decode(b"".join(answer(job)))["rows"]
    return found


def test_small_groups_are_left_out_and_large_ones_stay(viewed: Lake) -> None:
    sql = "SELECT surface, count(*), count(DISTINCT viewer_id), avg(watched_ms) FROM outcomes GROUP BY surface"
    assert len(rows(viewed, sql, viewers=0)) == 2
    assert rows(viewed, sql) == [["feed", 20, 20, 1950.0]]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM outcomes WHERE surface = 'search'",
        "SELECT sum(watched_ms) FROM outcomes WHERE surface = 'search' HAVING true",
        "SELECT surface FROM outcomes GROUP BY ALL HAVING surface = 'search' OR true ORDER BY surface DESC LIMIT 1",
        "SELECT * FROM (SELECT surface, count(*) AS n FROM outcomes GROUP BY ALL)",
        "WITH x AS (SELECT surface, count(*) AS n FROM outcomes GROUP BY 1) SELECT * FROM x WHERE n < 5",
        "SELECT o.surface, count(*) FROM outcomes o JOIN clips c USING (clip_id) GROUP BY 1",
        "SELECT a.surface, count(*) FROM outcomes a JOIN watches b ON a.impression_id = b.impression_id GROUP BY 1",
        "SELECT surface, count(*) FROM impressions GROUP BY GROUPING SETS ((surface), ())",
        "SELECT count(*) FROM events WHERE surface = 'search' UNION ALL SELECT 0 WHERE false",
        "SELECT (SELECT count(*) FROM outcomes WHERE surface = 'search')",
        "SELECT surface, count(*), row_number() OVER () FROM outcomes GROUP BY 1",
    ],
)
def test_no_rephrasing_brings_a_small_group_back(viewed: Lake, sql: str) -> None:
    shown = rows(viewed, sql)
    assert all(SMALL not in map(str, row) for row in shown)
    assert [1] not in shown


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT * FROM outcomes", "groups of at least 5"),
        ("SELECT surface, watched_ms FROM outcomes", "groups of at least 5"),
        ("SELECT DISTINCT surface FROM outcomes", "groups of at least 5"),
        ("SELECT DISTINCT ON (surface) surface FROM outcomes", "groups of at least 5"),
        ("SELECT row_number() OVER (), surface FROM outcomes", "groups of at least 5"),
        ("SELECT viewer_id, count(*) FROM outcomes GROUP BY 1", "tells viewers apart"),
        ("SELECT count(*) FROM outcomes WHERE viewer_id != 'viewer-20'", "tells viewers apart"),
        ("SELECT count(*) FILTER (viewer_id = 'viewer-20') FROM outcomes", "tells viewers apart"),
        ("SELECT sum(hash(viewer_id)) FROM outcomes", "tells viewers apart"),
        ("SELECT count(*) FROM outcomes a JOIN clips c ON a.viewer_id = 'viewer-20'", "tells viewers apart"),
        ("SELECT count(*) FROM outcomes AS o(a, b, c, d)", "other names"),
        ("SELECT count(*) FROM outcomes o WHERE struct_extract(o, 'viewer_id') = 'viewer-20'", "whole rows"),
        ("SELECT count(COLUMNS(*)) FROM outcomes", "whole rows"),
        ("SELECT min(watched_ms) FROM outcomes", "repeat the value"),
        ("SELECT list(watched_ms) FROM outcomes", "repeat the value"),
        ("SELECT any_value(clip_id) FROM outcomes", "repeat the value"),
        ("SELECT arg_max(surface, watched_ms) FROM outcomes", "repeat the value"),
        ("SELECT count(*) FROM watches", "join it to"),
        ("SELECT raw FROM rejected", "join it to"),
        (
            "SELECT count(*) FROM clips WHERE EXISTS (SELECT 1 FROM outcomes WHERE viewer_id = 'x')",
            "groups of at least",
        ),
        ("SUMMARIZE outcomes", "SUMMARIZE"),
        ("EXPLAIN ANALYZE SELECT count(*) FROM outcomes", "EXPLAIN"),
    ],
)
def test_what_shows_single_viewers_is_refused_with_the_reason(viewed: Lake, sql: str, reason: str) -> None:
    with pytest.raises(StatementError, match=reason):
        rows(viewed, sql)


def test_what_is_not_about_viewers_stays_readable(viewed: Lake) -> None:
    assert rows(viewed, "SELECT item, effect FROM rankings_current LIMIT 3")
    assert rows(viewed, "SELECT count(*) FROM clips") == [[96]]
