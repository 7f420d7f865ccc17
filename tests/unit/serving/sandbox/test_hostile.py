"""Whatever a statement tries, it is refused or stopped, nothing leaks, and the server goes on."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
from tests.unit.serving.running import Serving
from tests.unit.serving.sandbox.conftest import Ask, asker
from tests.unit.serving.sandbox.hostile import EXHAUSTING, FORBIDDEN

from clapometer.lake.tables import Lake


def test_there_are_at_least_eighty_hostile_statements() -> None:
    assert len({*FORBIDDEN, *EXHAUSTING}) >= 80


def test_forbidden_statements_are_refused_and_leak_no_path(ask: Ask, server: Serving, viewed: Lake) -> None:
    before = sorted(viewed.root.rglob("*"))
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda sql: ask(sql.replace("{lake}", str(viewed.root))), FORBIDDEN))
    for sql, answer in zip(FORBIDDEN, answers, strict=True):
        assert answer.status_code == 422, (sql, answer.text)
        assert answer.json()["field"] == "sql", sql
        # what the statement itself said may be repeated; where the lake is, or the product, may not
        told = answer.text.replace(sql.replace("{lake}", str(viewed.root)), "")
        if "{lake}" not in sql:
            assert str(viewed.root) not in told, (sql, told)
        assert "site-packages" not in told
        assert "root:" not in told
        assert "Traceback" not in told
    assert sorted(viewed.root.rglob("*")) == before
    assert not list(Path("/tmp").glob("clapometer-hostile*"))
    assert server.get("/healthz").status_code == 200
    assert ask("SELECT 42 AS answer").json()["rows"] == [[42]]


def test_exhausting_statements_are_stopped_in_time(strict: Serving) -> None:
    ask = asker(strict)

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(ask, EXHAUSTING))
    for sql, answer in zip(EXHAUSTING, answers, strict=True):
        assert answer.status_code == 422, (sql, answer.text)
        assert "stopped" in answer.text, (sql, answer.text)
    assert strict.get("/healthz").status_code == 200
    assert ask("SELECT 42 AS answer").json()["rows"] == [[42]]


def test_no_process_and_no_spill_is_left_behind(strict: Serving) -> None:
    spills = set(Path("/tmp").glob("clapometer-sql-*"))  # of others
    asker(strict)("SELECT a.i FROM range(10000000) a(i), range(100) b(i) ORDER BY hash(a.i + b.i)")
    children = [
        child for child in psutil.Process().children(recursive=True) if "sandbox.worker" in " ".join(child.cmdline())
    ]
    assert children == []
    assert set(Path("/tmp").glob("clapometer-sql-*")) <= spills
