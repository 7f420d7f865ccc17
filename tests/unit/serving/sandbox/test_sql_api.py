"""What POST /v1/sql answers to honest statements, and whom."""

import csv
import io
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import duckdb
import pyarrow as pa
import pytest
from tests.unit.serving.running import OTHER_SECRET, PUBLISHABLE, Serving
from tests.unit.serving.sandbox.conftest import CONFIG, Ask, asker

from clapometer.lake.tables import Lake

COUNT = "SELECT surface, count(*) AS impressions FROM outcomes GROUP BY ALL ORDER BY surface"


def test_the_answer_is_that_of_the_published_file(ask: Ask, viewed: Lake) -> None:
    with duckdb.connect(str(viewed.storage.published), read_only=True) as file:
        expected = file.execute(COUNT.replace("FROM outcomes", "FROM outcomes WHERE tenant = 'default'")).fetchall()
    answer = ask(COUNT).json()
    assert [tuple(row) for row in answer["rows"]] == expected
    assert [column["name"] for column in answer["columns"]] == ["surface", "impressions"]
    assert answer["truncated"] is False


def test_csv_and_arrow_have_the_rows_of_json(ask: Ask) -> None:
    rows = ask(COUNT).json()["rows"]
    as_csv = ask(COUNT, format="csv")
    assert as_csv.headers["content-type"].startswith("text/csv")
    assert list(csv.reader(io.StringIO(as_csv.text)))[1:] == [[row[0], str(row[1])] for row in rows]
    with pa.ipc.open_stream(ask(COUNT, format="arrow").content) as stream:
        assert [list(row.values()) for row in stream.read_all().to_pylist()] == rows


def test_awkward_values_arrive_whole(ask: Ask) -> None:
    sql = (
        "SELECT 1 AS a, 2 AS a, 170141183460469231731687303715884105727::HUGEINT AS h, 1.50::DECIMAL(9, 2) AS d, "
        "'nan'::DOUBLE AS n, NULL AS nothing, {'x': [1, 2]} AS s, '\\xAA'::BLOB AS b, INTERVAL 3 DAY AS i, "
        "TIMESTAMPTZ '2026-01-01 00:00:00Z' AS t, 'é\"\n' AS q"
    )
    answer = ask(sql)
    assert answer.status_code == 200, answer.text
    (row,) = answer.json()["rows"]
    assert row[:6] == [1, 2, "170141183460469231731687303715884105727", "1.50", "NaN", None]
    assert row[6] == {"x": [1, 2]}
    assert row[9] == "2026-01-01T00:00:00Z"
    assert row[10] == 'é"\n'
    assert ask(sql, format="csv").status_code == 200
    assert ask(sql, format="arrow").status_code == 200


@pytest.mark.parametrize("form", ["json", "csv", "arrow"])
def test_types_that_a_form_has_not_arrive_as_text(ask: Ask, form: str) -> None:
    sql = (
        "SELECT INTERVAL 3000000 HOURS AS i, '10:00:00+02'::TIMETZ AS z, "
        "340282366920938463463374607431768211455::UHUGEINT AS u, '101'::BIT AS b"
    )
    answer = ask(sql, format=form)
    if form == "json":
        (row,) = answer.json()["rows"]
    elif form == "csv":
        row = list(csv.reader(io.StringIO(answer.text)))[1]
    else:
        with pa.ipc.open_stream(answer.content) as stream:
            (row,) = [list(row.values()) for row in stream.read_all().to_pylist()]
    assert row == ["3000000:00:00", "10:00:00+02", "340282366920938463463374607431768211455", "101"]


def test_a_date_beyond_the_years_of_python_is_an_answer(ask: Ask) -> None:
    assert ask("SELECT 'infinity'::DATE AS d").json()["rows"] == [["infinity"]]
    assert ask("SELECT '290000-01-01'::DATE AS d", format="csv").text.split() == ["d", "+290000-01-01"]


def test_an_error_at_a_late_row_is_told_as_it_is(ask: Ask) -> None:
    answer = ask("SELECT CASE WHEN i = 900 THEN CAST('x' || i AS INTEGER) ELSE 1 END AS n FROM range(1000) t(i)")
    assert answer.status_code == 422
    assert "x900" in answer.json()["detail"]


@pytest.mark.parametrize("sql", ["SHOW TABLES", "DESCRIBE outcomes", "SUMMARIZE clips", "EXPLAIN SELECT * FROM clips"])
def test_a_reader_can_look_around(ask: Ask, sql: str) -> None:
    assert ask(sql).json()["rows"]


def test_a_plan_tells_nothing_of_what_other_tenants_have(ask: Ask) -> None:
    none, some = (ask(f"EXPLAIN SELECT count(*) FROM outcomes WHERE viewer_id = '{who}'", OTHER_SECRET).json()["rows"]
                  for who in ("their vieweX", "their viewer"))  # fmt: skip
    assert [key for key, _ in none] == [key for key, _ in some] == ["logical_plan"]
    assert none[0][1].replace("their vieweX", "their viewer").split() == some[0][1].split()
    assert " row" not in some[0][1]
    refused = ask("EXPLAIN ANALYZE SELECT count(*) FROM outcomes", OTHER_SECRET)
    assert (refused.status_code, "names files" in refused.json()["detail"]) == (422, True)


def test_the_catalogue_lists_every_readable_column(ask: Ask) -> None:
    rows = ask("SELECT DISTINCT table_name FROM catalogue").json()["rows"]
    assert {"outcomes", "rankings_current", "clips", "events"} <= {name for (name,) in rows}


def test_a_key_reads_only_its_own_tenant(ask: Ask) -> None:
    assert ask("SELECT impression_id FROM outcomes", OTHER_SECRET).json()["rows"] == [["theirs"]]
    assert ask("SELECT count(*) FROM rankings", OTHER_SECRET).json()["rows"] == [[0]]
    assert ask("SELECT count(*) FROM events WHERE tenant != 'default'").json()["rows"] == [[0]]


def test_only_a_secret_key_may_ask(ask: Ask) -> None:
    assert ask("SELECT 1", None).status_code == 401
    assert ask("SELECT 1", "csk_wrong").status_code == 401
    assert ask("SELECT 1", PUBLISHABLE).status_code == 403


@pytest.mark.parametrize(
    ("body", "field"),
    [(b"", ""), (b"[]", ""), (b'{"sql": 1}', "sql"), (b'{"sql": "SELECT 1", "rows": 2}', "rows"), (b"{}", "sql")],
)
def test_a_body_that_is_no_statement_is_refused(server: Serving, body: bytes, field: str) -> None:
    answer = server.http.post("/v1/sql", content=body, headers={"authorization": "Bearer csk_default"})
    assert answer.status_code == 422
    assert answer.json().get("field", "") == field


def test_an_unknown_column_is_named_with_what_is_near(ask: Ask) -> None:
    answer = ask("SELECT impresion_id FROM outcomes")
    assert answer.status_code == 422
    assert "impression_id" in answer.json()["detail"]


@pytest.mark.parametrize("form", ["json", "csv", "arrow"])
def test_an_answer_that_is_too_long_says_that_it_was_cut(ask: Ask, form: str) -> None:
    answer = ask("SELECT i FROM range(100000) t(i)", format=form)
    if form == "json":
        assert answer.json()["truncated"] is True
        assert len(answer.json()["rows"]) == CONFIG.sql_max_rows
    elif form == "csv":
        assert answer.text.splitlines()[-1] == "# truncated"
    else:
        with pa.ipc.open_stream(answer.content) as stream:
            batches = list(stream.iter_batches_with_custom_metadata())
        assert batches[-1].custom_metadata == {b"clapometer:truncated": b"1"}
        assert sum(batch.batch.num_rows for batch in batches) == CONFIG.sql_max_rows


def test_a_key_has_only_so_many_statements_under_way(viewed: Lake) -> None:
    serving = Serving(viewed.storage.published, replace(CONFIG, sql_per_key=1, sql_seconds=2))
    try:
        started = threading.Barrier(3)

        def slow(_: int) -> int:
            started.wait()
            return asker(serving)("SELECT count(*) FROM range(100000000000) a").status_code

        with ThreadPoolExecutor(3) as pool:
            statuses = sorted(pool.map(slow, range(3)))
        assert statuses.count(422) >= 1  # ran, and was stopped by its time
        assert statuses.count(429) >= 1  # refused at once
        assert set(statuses) <= {422, 429}
        assert asker(serving)("SELECT 1").status_code == 200  # turns are given back
    finally:
        serving.stop()
