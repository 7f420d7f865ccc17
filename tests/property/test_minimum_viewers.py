"""With a minimum of viewers no answer, and no error, is about fewer: of statements made at random and by hand."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import duckdb
import pytest

from clapometer.serving.sandbox.privacy import protect
from clapometer.serving.sandbox.silence import mirror
from clapometer.serving.sandbox.statement import StatementError, check
from clapometer.serving.sandbox.tenant import TenantView

K = 5
MOST_ROWS = 3
"""Of a viewer."""
LONE = "lone"
"""The only viewer of the surface `search`, and the only one with such values."""
TYPES = {
    "outcomes": {
        "tenant": "VARCHAR", "viewer_id": "VARCHAR", "impression_id": "VARCHAR", "surface": "VARCHAR",
        "clip_id": "VARCHAR", "watched_ms": "BIGINT", "liked": "BOOLEAN", "value": "DOUBLE",
        "shown_at": "TIMESTAMP WITH TIME ZONE",
    },
    "clips": {"clip_id": "VARCHAR", "model": "VARCHAR", "duration_ms": "BIGINT"},
}  # fmt: skip
Table = list[tuple[Any, ...]]


@contextmanager
def view_of(rows: Table) -> Iterator[TenantView]:
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET scalar_subquery_error_on_multiple_rows = false; SET TimeZone = 'UTC'")
        for table, columns in TYPES.items():
            connection.execute(f"CREATE TABLE {table} ({', '.join(' '.join(each) for each in columns.items())})")
        connection.executemany("INSERT INTO clips VALUES (?, ?, ?)", [(f"c{n}", f"m{n % 2}", 9_000) for n in range(4)])
        connection.executemany(f"INSERT INTO outcomes VALUES ({', '.join('?' * len(TYPES['outcomes']))})", rows)
        yield TenantView(connection, TYPES, frozenset(), frozenset())


def a_world(seed: int) -> Table:
    draw = random.Random(seed)
    rows: Table = []
    for viewer in range(14):
        for n in range(draw.randint(1, MOST_ROWS)):
            rows.append((
                "t", f"v{viewer}", f"i{viewer}.{n}", draw.choice(["feed", "home", "7", "12", None]),
                f"c{draw.randint(0, 3)}",
                draw.choice([None, draw.randint(0, 300), draw.randint(0, 9_000)]), draw.choice([None, True, False]),
                draw.choice([None, None, None, draw.uniform(-5, 50)]), f"2026-01-0{draw.randint(1, 3)} 10:00:00Z",
            ))  # fmt: skip
    return [*rows, ("t", LONE, "i", "search", "c1", 3_000_000_000, True, 1e12, "2026-01-09 10:00:00Z")]


def without(rows: Table, viewer: str) -> Table:
    return [row for row in rows if row[1] != viewer]


class Part(NamedTuple):
    """SQL as a reader writes it, and the same that cannot fail; of an aggregate also what it is of."""

    written: str
    safe: str
    of: str = "true"


def same(text: str, of: str = "true") -> Part:
    return Part(text, text, of)


KEYS = [
    same("surface"), same("clip_id"), same("liked"), same("lower(surface)"), same("date_trunc('day', shown_at)"),
    Part("surface::INTEGER", "TRY_CAST(surface AS INTEGER)"), same("watched_ms // 1000"), same("liked IS NULL"),
    Part("ln(watched_ms)", "TRY(ln(watched_ms))"), Part("watched_ms::UTINYINT", "TRY_CAST(watched_ms AS UTINYINT)"),
    same("CASE WHEN surface = 'search' THEN 'one' ELSE 'other' END"),
]  # fmt: skip
CONDITIONS = [
    same("true"), same("surface = 'feed'"), same("surface IN ('search', 'home')"), same("liked"), same("value > 0"),
    Part("surface::INTEGER > 5", "TRY_CAST(surface AS INTEGER) > 5"), same("watched_ms BETWEEN 10 AND 5000"),
    Part("watched_ms + 9223372036000000000 > 0", "TRY(watched_ms + 9223372036000000000) > 0"),
    Part("sqrt(value) > 1", "TRY(sqrt(value)) > 1"), same("surface LIKE 's%'"), same("clip_id <> 'c2'"),
    Part("watched_ms::SMALLINT IS NULL", "TRY_CAST(watched_ms AS SMALLINT) IS NULL"),
    Part("make_date(watched_ms, 1, 1) IS NULL", "TRY(make_date(watched_ms, 1, 1)) IS NULL"),
    same("clip_id IN (SELECT clip_id FROM clips WHERE model = 'm1')"), same("shown_at >= '2026-01-02'"),
    Part("(watched_ms * 9000000000) > 3", "TRY(watched_ms * 9000000000) > 3"),
]  # fmt: skip
AGGREGATES = [
    same("count(*)"), same("count(watched_ms)", "watched_ms"), same("sum(watched_ms)", "watched_ms"),
    same("sum(value)", "value"), same("avg(value)", "value"), same("median(watched_ms)", "watched_ms"),
    same("count(DISTINCT viewer_id)"), same("count(DISTINCT clip_id)"), same("count(value)", "value"),
    same("avg(liked::INTEGER)", "liked"), same("stddev(value)", "value"),
    Part("approx_count_distinct(viewer_id)", "count(DISTINCT viewer_id)"),
    Part("sum(watched_ms::UTINYINT)", "sum(TRY_CAST(watched_ms AS UTINYINT))", "TRY_CAST(watched_ms AS UTINYINT)"),
    Part("count(surface::INTEGER)", "count(TRY_CAST(surface AS INTEGER))", "TRY_CAST(surface AS INTEGER)"),
    Part("approx_count_distinct(value)", "count(DISTINCT value)", "value"),
]  # fmt: skip
SHAPES = [
    "{inner}", "{inner} HAVING count(*) > 0", "SELECT * FROM ({inner})",
    "SELECT * FROM ({inner}) AS x WHERE k0::VARCHAR::INTEGER IS NULL OR k0 IS NOT NULL",
    "WITH x AS ({inner}) SELECT * FROM x WHERE ln(length(k0::VARCHAR) - 6) IS NULL OR true",
    "{inner} ORDER BY sum(value) * 2, count(*)",
]  # fmt: skip


def a_statement(draw: random.Random) -> tuple[str, str]:
    """Returns a statement, and one that has all of its groups, unprotected, with the viewers of each cell."""
    keys = draw.sample(KEYS, draw.randint(1, 2))
    found = draw.sample(AGGREGATES, draw.randint(1, 3))
    where = draw.sample(CONDITIONS, draw.randint(1, 3))
    joint = draw.choice([" AND ", " OR "])
    source = draw.choice(["outcomes", "outcomes JOIN clips USING (clip_id)"])
    names = [f"k{n}" for n in range(len(keys))]

    def select(safe: bool, more: list[str]) -> str:
        text = "safe" if safe else "written"
        listed = [f"{getattr(key, text)} AS {name}" for key, name in zip(keys, names, strict=True)]
        listed += [f"{getattr(part, text)} AS a{n}" for n, part in enumerate(found)] + more
        condition = joint.join(f"({getattr(part, text)})" for part in where)
        return f"SELECT {', '.join(listed)} FROM {source} WHERE {condition} GROUP BY {', '.join(names)}"

    told = [f"count(DISTINCT viewer_id) FILTER (WHERE {part.of} IS NOT NULL) AS s{n}" for n, part in enumerate(found)]
    asked = draw.choice(SHAPES).format(inner=select(False, []))
    return asked, select(True, [*told, "count(DISTINCT viewer_id) AS everyone"])


def may_say(view: TenantView, safe: str) -> dict[Any, list[Any]]:
    """Returns the groups of enough viewers, with NULL where a cell has a value of fewer."""
    told = view.connection.sql(safe)
    n_keys = sum(name.startswith("k") for name in told.columns)
    n_cells = sum(name.startswith("a") for name in told.columns)
    return {
        row[:n_keys]: [
            cell if viewers >= K else None
            for cell, viewers in zip(row[n_keys : n_keys + n_cells], row[n_keys + n_cells : -1], strict=True)
        ]
        for row in told.fetchall()
        if row[-1] >= K
    }


def near(found: Any, expected: Any) -> bool:
    return bool(found == (pytest.approx(expected) if isinstance(expected, float) else expected))


@pytest.mark.parametrize("seed", range(5))
def test_an_answer_is_exactly_what_enough_viewers_say_with_and_without_any_one_of_them(seed: int) -> None:
    draw = random.Random(seed)
    rows = a_world(seed)
    gone = draw.choice([LONE, *(f"v{n}" for n in range(14))])
    answered = 0
    with view_of(rows) as every, view_of(without(rows, gone)) as less, mirror(TYPES, ()) as empty:
        for _ in range(400):
            asked, safe = a_statement(draw)
            text = protect(check(every.connection, asked, TYPES), every, K, empty).sql(every.connection)
            for view in (every, less):
                expected = may_say(view, safe)
                shown = view.connection.sql(text).fetchall()  # any error would be a bit
                n_keys = len(next(iter(expected), ()))
                assert len(shown) == len(expected), asked
                for row in shown:
                    assert all(map(near, row[n_keys:], expected[row[:n_keys]])), (asked, row)
                answered += len(shown)
    assert answered > 200


BY_HAND = [
    # whether it fails tells of a row
    "SELECT count(*) FROM outcomes WHERE error(surface) IS NULL",
    "SELECT count(*) FROM outcomes WHERE surface = 5",
    "SELECT count(*) FROM outcomes WHERE surface IN (1, 2)",
    "SELECT count(*) FROM outcomes WHERE CASE WHEN surface = 'search' THEN error('yes') END IS NULL",
    "SELECT count(*) FROM outcomes WHERE CASE WHEN surface = 'search' THEN surface::INTEGER END IS NULL",
    "SELECT count(*) FROM outcomes WHERE CASE WHEN watched_ms > 2999999999 THEN watched_ms * 9000000000 END IS NULL",
    "SELECT count(*) FROM outcomes WHERE assert_true(watched_ms < 10000) IS NULL",
    "SELECT count(*) FROM outcomes WHERE CAST(watched_ms AS INTEGER) > 0 OR surface <> 'search'",
    "SELECT count(*) FROM outcomes o WHERE (SELECT c.model FROM clips c WHERE o.surface = 'search') IS NULL OR true",
    "SELECT count(*) FROM outcomes o JOIN clips c ON o.surface = c.duration_ms",
    "SELECT count(*) FROM outcomes WHERE strptime(surface, '%Y') IS NULL",
    "SELECT count(*) FROM outcomes WHERE json_extract(surface, '$') IS NULL OR surface = 'feed'",
    "SELECT count(*) FROM outcomes WHERE regexp_matches('x', surface || '(') OR true",
    "SELECT count(*) FROM outcomes WHERE list_extract(range(watched_ms), 1) IS NULL",
    "SELECT count(*) FROM outcomes WHERE length(repeat(surface, watched_ms)) > 0 OR true",
    "SELECT count(*) FROM outcomes WHERE map([surface, 'search'], [1, 2]) IS NULL",
    "SELECT count(*) FROM outcomes WHERE pow(value, 400) > 0 OR true",
    "SELECT count(*) FROM outcomes WHERE surface::DATE IS NULL OR true",
    "SELECT count(*) FROM outcomes WHERE (surface COLLATE nocase) = 'SEARCH'",
    "SELECT count(*) FROM outcomes WHERE surface LIKE 'x' ESCAPE surface OR true",
    "SELECT count(*) FROM outcomes GROUP BY surface::INTEGER",
    "SELECT count(*) FROM outcomes HAVING error('x' || count(*)) IS NULL",
    "SELECT surface FROM outcomes GROUP BY surface HAVING surface::INTEGER > 0 OR count(*) > 0",
    "SELECT surface FROM outcomes GROUP BY surface HAVING 9223372036854775806 + count(*) > 0 AND surface = 'search'",
    "SELECT surface, count(*) FROM outcomes GROUP BY surface ORDER BY surface::INTEGER",
    "SELECT * FROM (SELECT surface, count(*) AS n FROM outcomes GROUP BY 1) WHERE surface::INTEGER > 0 OR n > 0",
    "WITH x AS (SELECT surface, count(*) AS n FROM outcomes GROUP BY 1) SELECT n FROM x WHERE surface = 7 OR true",
    "WITH x AS (SELECT surface, count(*) AS n FROM outcomes GROUP BY 1) SELECT max(surface::INTEGER) FROM x",
    # the value of one among many
    "SELECT sum(watched_ms) FROM outcomes WHERE surface = 'search'",
    "SELECT sum(watched_ms::UBIGINT) FROM outcomes WHERE surface IN ('search', 'feed') AND watched_ms > 9000",
    "SELECT surface, stddev(value), count(*) FROM outcomes WHERE surface = 'search' GROUP BY surface",
    "SELECT approx_count_distinct(viewer_id) FROM outcomes WHERE surface = 'search'",
]


@pytest.mark.parametrize("asked", BY_HAND)
def test_whether_the_lone_viewer_is_there_is_not_told(asked: str) -> None:
    """Each is refused whatever the rows are, or says of both worlds something that is not of the lone viewer alone."""
    rows = a_world(1)
    said = []
    for world in (rows, without(rows, LONE)):
        with view_of(world) as view, mirror(TYPES, ()) as empty:
            try:
                text = protect(check(view.connection, asked, TYPES), view, K, empty).sql(view.connection)
            except StatementError as error:
                said.append(error.reason)
            else:
                shown = view.connection.sql(text).fetchall()
                said.append(str(sorted(map(str, shown))))
                assert "search" not in said[-1]
                assert "3000000000" not in said[-1]
    with_lone, without_lone = said
    if with_lone != without_lone:  # a total may count one viewer more
        counted = [int(text.strip("[](),' ")) for text in said]
        assert counted[0] - counted[1] == 1
