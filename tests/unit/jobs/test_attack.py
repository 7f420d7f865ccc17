"""What made-up viewers can buy is tried on a copy: the lake stays as it is."""

from pathlib import Path

import pytest
from tests.unit.jobs.lakes import clock, lake_of, traffic

from clapometer.jobs.audit import AuditOptions, audit
from clapometer.jobs.findings import Finding
from clapometer.jobs.rankings import Parameters
from clapometer.jobs.train import reproduce, train_once
from clapometer.lake import Lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = lake_of(tmp_path_factory.mktemp("attack"), traffic(models=2, prompts=80, shown=8))
    assert train_once(lake, clock=clock, parameters=Parameters(segments=())).run.status == "succeeded"
    return lake


@pytest.fixture(scope="module")
def found(lake: Lake) -> dict[str, Finding]:
    findings = audit(lake, AuditOptions(repeats=2, attack=True)).findings
    return {each.subject: each for each in findings if each.check == "attack"}


def test_impressions_without_a_token_buy_nothing_however_many(found: dict[str, Finding]) -> None:
    one = found["without a token"]
    assert (one.status, one.numbers["viewers"], one.numbers["most"]) == ("passed", None, 25)
    assert "not even 25 viewers put m0@1 first" in one.found


def test_it_says_how_few_viewers_put_the_second_first_and_how_many_more_make_it_win(found: dict[str, Finding]) -> None:
    one = found["slots that are given"]
    assert "put m0@1 first" in one.found
    viewers, to_win, most = (one.numbers[name] for name in ("viewers", "viewers_to_win", "most"))
    assert isinstance(most, int)
    assert viewers is None or (isinstance(viewers, int) and 1 <= viewers <= most)
    assert to_win is None or (isinstance(to_win, int) and isinstance(viewers, int) and to_win >= viewers)
    assert one.status == ("failed" if isinstance(viewers, int) and viewers < 20 else "passed")
    assert bool(one.advice) == (one.status == "failed")


def test_the_lake_is_as_it_was(lake: Lake, found: dict[str, Finding]) -> None:
    assert found
    with lake.connect() as con:
        assert con.execute("SELECT count(*) FROM outcomes WHERE viewer_id LIKE 'made up%'").fetchall() == [(0,)]
        (run,) = con.execute("SELECT run_id FROM runs").fetchall()
    assert reproduce(lake, run[0]).same
    assert not [path for path in Path(lake.storage.cache).rglob("*") if "attack" in path.name]
