"""Every function of DuckDB is allowed or refused on purpose, and what is refused cannot be named in any form."""

import duckdb
import pytest
from tests.support.cookbook import questions
from tests.unit.serving.running import OTHER_SECRET
from tests.unit.serving.sandbox.conftest import Ask

from clapometer.serving.sandbox.functions import ALLOWED, REFUSED
from clapometer.serving.sandbox.silence import SCALARS
from clapometer.serving.sandbox.statement import StatementError, check

NOT_LISTED = {"unnest", "->"}
"""The binder's own, which DuckDB does not list."""
OUTCOMES = "FROM published.files.outcomes"
LEAKS = [
    f"SELECT json_serialize_plan('SELECT min(viewer_id), max(viewer_id), count(*) {OUTCOMES}', optimize := true)",
    "SELECT json_serialize_plan('SELECT current_setting(''allowed_directories'')', optimize := true)",
    "SELECT json_serialize_plan('FROM read_parquet(''{lake}/**/*.parquet'')', optimize := true)",
    "SELECT 'SELECT 1'.json_serialize_plan()",
    "SELECT JSON_Serialize_SQL('SELECT 1')",
    "SELECT json_deserialize_sql(json_serialize_sql('SELECT 1'))",
    "SELECT DISTINCT stats(viewer_id) FROM outcomes",
    "SELECT list_transform(['viewer_id'], lambda x: stats(x))",
    "SELECT count(*) FROM clips GROUP BY stats(clip_id)",
    "SELECT has_table_privilege('outcomes', 'select')",
    "SELECT current_schemas(true)",
    "SELECT index_key('published', 'outcomes', 1)",
    "SELECT __internal_compress_string_ubigint('x')",
    "SELECT median(watched_ms) EXPORT_STATE FROM outcomes",
    "SELECT row_number() OVER (ORDER BY getvariable('x'))",
    "FROM clips ORDER BY version()",
]


def test_every_function_of_duckdb_is_allowed_or_refused_on_purpose() -> None:
    with duckdb.connect() as connection:
        listed = connection.execute(
            "SELECT DISTINCT lower(function_name) FROM duckdb_functions() "
            "WHERE function_type IN ('scalar', 'aggregate', 'window', 'macro')"
        ).fetchall()
    names = {name for (name,) in listed}
    assert names - ALLOWED - REFUSED == set(), "look at them, then put each into functions.py"
    assert (ALLOWED | REFUSED) - names == NOT_LISTED, "DuckDB does not have them any more"
    assert not ALLOWED & REFUSED


@pytest.mark.parametrize("sql", LEAKS)
def test_what_reads_more_than_its_arguments_is_refused(ask: Ask, sql: str) -> None:
    answer = ask(sql, OTHER_SECRET)
    assert answer.status_code == 422, answer.text
    assert "cannot be used here" in answer.json()["detail"]
    assert "viewer-" not in answer.text


def test_no_refused_function_can_be_named() -> None:
    with duckdb.connect() as connection:
        for name in sorted(REFUSED):
            with pytest.raises(StatementError, match="cannot be used here"):
                check(connection, f'SELECT "{name}"(1)', [])


def test_operators_and_syntax_that_are_functions_work(ask: Ask) -> None:
    sql = (
        "SELECT 7 // 2 + 5 % 3 - 2 ** 2, 'a' || 'b' LIKE 'a%', 'ab' NOT ILIKE 'B', 'ab' SIMILAR TO 'a.', 'a' GLOB '*', "
        "[x + 1 FOR x IN [1, 2] IF x > 1], [1, 2, 3][2:], {'a': 1}.a, MAP {'a': 1}['a'], '{\"a\": 1}'::JSON -> 'a', "
        "'{\"a\": 1}'::JSON ->> '$.a', extract(year FROM current_date), TIMESTAMPTZ '2026-01-01' AT TIME ZONE 'UTC', "
        "INTERVAL 3 DAY, 'x' COLLATE nocase, 1 IS DISTINCT FROM 2, 5 BETWEEN 1 AND 6, coalesce(NULL, 1), "
        "substring('abc' FROM 2 FOR 1), position('b' IN 'abc'), CASE WHEN 1 IN (1, 2) THEN 1 END, ~5 & 3, "
        "@ -3, 5!, nullif(1, 2), try_cast('x' AS INTEGER), wilson_low(1, 2), covers(1, 2, 1), list_sum([1, 2])"
    )
    answer = ask(sql)
    assert answer.status_code == 200, answer.text
    tables = [
        "SELECT unnest([1, 2]), lag(i) OVER (ORDER BY i) FROM range(2) t(i)",
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY i), count(*) FILTER (i > 1) FROM range(3) t(i)",
        "SELECT watch_quantile(played_ms, duration_ms) FROM measures",
        "FROM bt_pairs()",
        "FROM retention_curve('kite@3.1/0')",
    ]
    for table in tables:
        assert ask(table).status_code == 200, (table, ask(table).text)


@pytest.mark.parametrize("words", questions())
def test_every_question_of_the_cookbook_can_be_asked(ask: Ask, words: str) -> None:
    answer = ask(questions()[words])
    assert answer.status_code == 200, answer.text


def test_what_may_be_used_over_viewers_may_be_used_at_all() -> None:
    assert SCALARS <= ALLOWED
    assert not SCALARS & {"error", "assert_true", "repeat", "lpad", "rpad", "range", "random"}
