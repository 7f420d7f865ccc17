"""What one person with the key of a page can buy is tried on a copy: the lake stays as it is."""

import datetime as dt
from pathlib import Path

import pytest
from tests.support.lakes import clock, lake_of, traffic

from clapometer.audit.attack import Attacker, attack_findings
from clapometer.audit.attack_routes import ROUTES
from clapometer.audit.audit import AuditOptions, audit
from clapometer.audit.findings import Finding
from clapometer.audit.run import opened
from clapometer.collector import CollectorConfig, Door
from clapometer.lake.tables import Lake
from clapometer.training.parameters import Parameters
from clapometer.training.reading import UNLIMITED
from clapometer.training.runs import choose_run
from clapometer.training.train import reproduce, train_once

CLOSED = {
    "impressions without a token": "it bears no token",
    "answers": "it does not quote the token of its impression",
    "purchases": "counts once a secret key sends the same order",
    "propensities": "its token does not hold for this impression",
    "dates": "is more than 48 hours before now",
    "registrations": "a publishable key may not send clapometer.clip_registered.v1",
    "surveys": "clapometer.surveyed.v1",
}


def attacker(config: CollectorConfig, viewers: int) -> Attacker:
    return Attacker(Door(config, "default"), viewers)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = lake_of(tmp_path_factory.mktemp("attack"), traffic(models=2, prompts=40, shown=4))
    assert train_once(lake, clock=clock, parameters=Parameters(segments=())).run.status == "succeeded"
    return lake


@pytest.fixture(scope="module")
def found(lake: Lake) -> dict[str, Finding]:
    findings = audit(lake, AuditOptions(repeats=2, attack=attacker(CollectorConfig(), 20))).findings
    return {each.subject: each for each in findings if each.check == "attack"}


def test_every_route_is_tried(found: dict[str, Finding]) -> None:
    assert list(found) == [route.name for route in ROUTES]


@pytest.mark.parametrize("route", CLOSED)
def test_what_is_closed_is_knocked_at_and_has_no_effect_because_of_what_the_door_says(
    found: dict[str, Finding], route: str
) -> None:
    one = found[route]
    assert (one.status, one.numbers["viewers"], one.numbers["viewers_for_verdict"]) == ("passed", None, None)
    assert "no effect: of" in one.found
    assert CLOSED[route] in one.found
    assert isinstance(one.numbers["events"], int)
    assert one.numbers["events"] > 0


@pytest.mark.parametrize("route", ["impressions", "small candidate sets", "votes"])
def test_what_is_open_says_how_few_viewers_turn_the_top_and_how_few_a_verdict(
    found: dict[str, Finding], route: str
) -> None:
    one = found[route]
    assert "no effect" not in one.found
    for turned, shown in (("viewers", "impressions"), ("viewers_for_verdict", "impressions_for_verdict")):
        viewers = one.numbers[turned]
        assert viewers is None or (isinstance(viewers, int) and 1 <= viewers <= 200)
        assert one.numbers[shown] == (None if viewers is None else viewers * 10)
    assert bool(one.advice) == (one.status == "failed")


def test_more_made_up_viewers_than_people_turn_the_top(found: dict[str, Finding]) -> None:
    assert found["impressions"].numbers["viewers"] is not None


def test_a_door_that_is_open_is_found_open(lake: Lake) -> None:
    """The finding comes from the door that was tried, and not from what doors are thought to be."""
    lenient = CollectorConfig(answers_need_tokens=False)
    routes = [route for route in ROUTES if route.name == "answers"]
    with opened(lake, choose_run(lake, "default", None, "ranking to audit"), UNLIMITED) as audited:
        (answers,) = attack_findings(audited, attacker(lenient, 20), routes)
    assert "no effect" not in answers.found


def test_the_lake_is_as_it_was(lake: Lake, found: dict[str, Finding]) -> None:
    assert found
    with lake.connect() as con:
        assert con.execute("SELECT count(*) FROM events WHERE source = '/made/up'").fetchall() == [(0,)]
        (run,) = con.execute("SELECT run_id FROM runs").fetchall()
    assert reproduce(lake, run[0]).same
    assert not list(lake.storage.scratch.glob("rehearsal-*"))


def test_a_ranking_of_one_model_version_cannot_be_attacked(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic(models=1, prompts=20))
    assert train_once(lake, clock=clock, parameters=Parameters(segments=())).run.status == "succeeded"
    with opened(lake, choose_run(lake, "default", None, "ranking to audit"), UNLIMITED) as audited:
        findings = list(attack_findings(audited, attacker(CollectorConfig(), 5)))
    assert {each.status for each in findings} == {"skipped"}


def test_the_door_takes_what_it_vouches_for_and_marks_the_rest() -> None:
    door, now = Door(CollectorConfig(), "default"), dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    shown = {"impression_id": "i", "clip_id": "c", "viewer_id": "v", "propensity": 0.5, "candidates": 2}
    event = {
        "specversion": "1.0", "type": "clapometer.impression.v1", "source": "/t", "id": "e", "time": now.isoformat(),
    }  # fmt: skip
    (vouched,) = door.send([{**event, "data": {**shown, "token": door.token(shown, now)}}], now)
    assert (vouched.weighs, vouched.why) == (1, "")
    (changed,) = door.send([{**event, "data": {**shown, "token": door.token(shown, now), "propensity": 0.4}}], now)
    assert changed.weighs == 0
    assert "its token does not hold" in changed.why
