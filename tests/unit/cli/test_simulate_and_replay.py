"""``simulate`` and ``replay`` as commands, against the collector as it runs."""

import collections
import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.unit.collector.conftest import TOKEN_SECRET, Collector
from tests.unit.traffic.recorded.test_kuairand import FEATURES, HEADER, ROWS
from typer.testing import CliRunner

from clapometer.cli.replay import replay
from clapometer.cli.simulate import simulate
from clapometer.collector import CollectorConfig
from clapometer.domain import InputError
from clapometer.traffic import read_truth

Run = Callable[..., dict[str, Any]]
SMALL = ["--prompts", "200", "--sessions", "280", "--viewers", "100", "--models", "5", "--without", "bots"]


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    running = Collector(tmp_path, CollectorConfig(max_browser_age_hours=60 * 24))
    yield running
    running.stop()


@pytest.fixture
def run(collector: Collector) -> Run:
    """Runs a command with the collector's address and secret key, and returns its JSON report."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(simulate)
    app.command()(replay)

    def run_one(*arguments: str, key: str = collector.secret) -> dict[str, Any]:
        where = ["--url", f"http://127.0.0.1:{collector.port}", "--key", key, "--format", "json"]
        result = CliRunner().invoke(app, [*arguments, *where])
        if result.exception is not None:
            raise result.exception
        report: dict[str, Any] = json.loads(result.stdout)
        return report

    return run_one


def test_a_simulated_world_is_sent_with_its_truth_beside_it(run: Run, collector: Collector, tmp_path: Path) -> None:
    report = run("simulate", *SMALL, "--truth", str(tmp_path / "truth.json"))
    assert report["acknowledged"] == len(collector.stored_ids()) == len(set(collector.stored_ids()))
    assert report["rejected"] == 0
    truth = read_truth(tmp_path / "truth.json")
    assert truth.source == report["source"]
    assert len(truth.models) == 5


def test_running_a_simulation_again_sends_duplicates_only(run: Run, collector: Collector) -> None:
    run("simulate", *SMALL)
    run("simulate", *SMALL)
    assert set(collections.Counter(collector.stored_ids()).values()) == {2}


def test_viewers_may_be_vouched_for_by_tokens(run: Run, collector: Collector, tmp_path: Path) -> None:
    secrets = tmp_path / "tokens.json"
    secrets.write_text(json.dumps({"current": "t1", "keys": {"t1": TOKEN_SECRET.hex()}}))
    by_viewers = ["--viewer-key", collector.publishable, "--tokens-file", str(secrets), "--tenant", "acme"]
    report = run("simulate", *SMALL, *by_viewers)
    assert (report["rejected"], report["warnings"]) == (0, 0)
    trusts = {block.header.trust for block in collector.blocks()}
    assert {"key", "token"} <= trusts <= {"key", "token", "none"}  # a block without impressions has none to vouch for
    assert not any(block.header.exceptions for block in collector.blocks())


def test_kuairand_is_replayed_with_its_duplicates(run: Run, collector: Collector, tmp_path: Path) -> None:
    file = tmp_path / "reactions.tsv.gz"
    file.write_bytes(gzip.compress((HEADER + ROWS).encode()))
    (tmp_path / "features.csv").write_text(FEATURES)
    report = run("replay", str(file), "--adapter", "kuairand", "--features", str(tmp_path / "features.csv"))
    ids = collections.Counter(collector.stored_ids())
    assert report["acknowledged"] == ids.total()
    assert ids.total() - len(ids) == 3
    assert (report["rows"], report["image_posts_dropped"], report["repeated_rows_sent"]) == (4, 1, 1)
    assert "tier C" in report["note"]


def test_kuairand_is_replayed_but_for_its_bad_rows(run: Run, collector: Collector, tmp_path: Path) -> None:
    file = tmp_path / "reactions.tsv"
    first, *rows = ROWS.splitlines(keepends=True)
    file.write_text(HEADER + first.replace("1649664552983", "abc") + "".join(rows) + first[:20])
    report = run("replay", str(file), "--adapter", "kuairand", "--shift-to-now")
    assert report["acknowledged"] == len(collector.stored_ids()) == 7
    assert (report["rows"], report["bad_rows"], report["rejected"]) == (5, 2, 0)
    assert report["bad_rows_by_reason"]["time_ms: a value is not a whole number; correct it"] == 1


@pytest.mark.parametrize(("good", "code"), [(ROWS, 0), ("", 1)])
def test_bad_rows_of_kuairand_are_told_and_cost_the_exit_code_where_none_is_good(
    collector: Collector, tmp_path: Path, good: str, code: int
) -> None:
    (tmp_path / "r.tsv").write_text(HEADER + ROWS.splitlines()[0].replace("9000", "-1") + "\n" + good)
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(replay)
    where = ["--adapter", "kuairand", "--url", f"http://127.0.0.1:{collector.port}", "--key", collector.secret]
    result = CliRunner().invoke(app, [str(tmp_path / "r.tsv"), *where])
    assert result.exit_code == code
    assert "row 1 was left out: duration_ms: '-1' is not a whole number >= 0" in result.stderr


def test_a_file_of_events_is_replayed_but_for_its_bad_rows(run: Run, collector: Collector, tmp_path: Path) -> None:
    file = tmp_path / "e.csv"
    file.write_text(
        "type,id,time,impression_id,reaction\n"
        "reacted,a,2026-05-04T12:00:00Z,i1,like\n"
        "reacted,b,2026-05-04T12:00:00Z,i2,adore\n"
        "reacted,c,1999-05-04T12:00:00Z,i3,like\n"
    )
    report = run("replay", str(file))
    assert collector.stored_ids() == ["a"]
    assert (report["rows"], report["bad_rows"], report["acknowledged"], report["rejected"]) == (3, 1, 1, 1)
    assert run("replay", str(file), "--shift-to-now")["acknowledged"] == 1


@pytest.mark.parametrize(
    ("rows", "code", "told"),
    [
        (
            "reacted,a,2026-05-04T12:00:00Z,i1,like\nreacted,b,2026-05-04T12:00:00Z,i2,adore\n",
            0,
            "1 of 2 rows were left out",
        ),
        ("reacted,b,2026-05-04T12:00:00Z,i2,adore\n", 1, "row 1 was left out: reaction: 'adore'"),
        ("reacted,c,1999-05-04T12:00:00Z,i3,like\n", 1, "nothing was accepted"),
        ("", 0, ""),
    ],
)
def test_where_nothing_is_accepted_the_exit_code_is_1(
    collector: Collector, tmp_path: Path, rows: str, code: int, told: str
) -> None:
    (tmp_path / "e.csv").write_text("type,id,time,impression_id,reaction\n" + rows)
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(replay)
    where = ["--url", f"http://127.0.0.1:{collector.port}", "--key", collector.secret]
    result = CliRunner().invoke(app, [str(tmp_path / "e.csv"), *where])
    assert result.exit_code == code
    assert told in result.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["simulate", "--without", "gravity"], "gravity.*popularity"),
        (["simulate", "--prompts", "1"], "prompts"),
        (["simulate", "--viewer-key", "cpk_x"], "--tokens-file"),
        (["simulate", "--viewer-key", "cpk_x", "--tokens-file", "nowhere.json"], "nowhere.json"),
        (["simulate", "--key-file", "nowhere"], "--key"),
        (["replay", "nowhere.csv"], "nowhere.csv"),
        (["replay", "nowhere.csv", "--adapter", "kuairand"], "nowhere.csv"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(run: Run, arguments: list[str], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        run(*arguments)


def test_a_key_may_come_from_a_file(collector: Collector, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(collector.secret + "\n")
    (tmp_path / "e.csv").write_text("type,id,time,impression_id,reaction\nreacted,a,2026-05-04T12:00:00Z,i1,like\n")
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(replay)
    where = ["--url", f"http://127.0.0.1:{collector.port}", "--key-file", str(tmp_path / "key")]
    result = CliRunner().invoke(app, [str(tmp_path / "e.csv"), *where])
    assert result.exit_code == 0
    assert "1 events acknowledged" in result.output
