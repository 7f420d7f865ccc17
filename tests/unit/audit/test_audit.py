"""The audit finds what is planted, and leaves a sound lake in peace."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from tests.support.event_rows import Row, answer, at, events_table, impression, vote
from tests.support.lakes import clock, lake_of, traffic
from tests.support.worlds import world_events

from clapometer.audit.audit import AuditOptions, audit, checked
from clapometer.audit.findings import AuditReport, Finding, finding_of_test, judge
from clapometer.audit.run import Audited
from clapometer.domain import InputError, NotFoundError
from clapometer.lake.ledger import LedgerEntry, to_metadata
from clapometer.lake.tables import Lake
from clapometer.simulation import EngagementLog, WorldConfig, build_world, simulate_log
from clapometer.training.parameters import Parameters
from clapometer.training.train import train_once

WORLD = WorldConfig(
    n_models=4, n_prompts=200, n_sessions=2_000, n_viewers=1_000, n_days=14, bots=0, quality_spread=0.4,
)  # fmt: skip
QUICK = AuditOptions(repeats=20)
ONLY_ALL = Parameters(segments=())


def events_of(seed: int, changed: Callable[[EngagementLog], EngagementLog] = lambda log: log) -> pa.Table:
    world = build_world(WORLD, seed)
    return world_events(world, changed(simulate_log(world, seed)))


def audited(folder: Path, events: pa.Table, options: AuditOptions = QUICK) -> AuditReport:
    lake = Lake(folder)
    counted = LedgerEntry("default", "/world", at(), events.num_rows, events.num_rows, 0, 0, 0)
    lake.append("events", events, metadata=to_metadata([counted]))
    run = train_once(lake, clock=clock, parameters=ONLY_ALL).run
    assert run.status == "succeeded", run.error
    return audit(lake, options)


def of(report: AuditReport, check: str) -> list[Finding]:
    return [each for each in report.findings if each.check == check]


@pytest.fixture(scope="module")
def sound() -> pa.Table:
    return events_of(1)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, sound: pa.Table) -> AuditReport:
    return audited(tmp_path_factory.mktemp("sound"), sound)


def test_a_sound_lake_passes_every_check(report: AuditReport) -> None:
    assert report.failed == []
    assert report.passed
    checked = (
        "placebo, placebo launch, launch, sample ratio, propensities, balance, exploration, candidates, overlap, "
        "influence, attack cost, power, goodhart"
    )
    votes = {each.check: each.status for each in report.findings if each.check.startswith("vote")}
    assert votes == {"vote influence": "skipped", "vote cost": "skipped"}
    assert {each.check for each in report.findings} == {
        *checked.split(", "),
        *votes,
        "candidates",
        "lengths",
        "screening",
        "ledger",
    }


def test_the_placebo_claims_about_one_difference_in_twenty(report: AuditReport) -> None:
    (found,) = of(report, "placebo")
    assert found.status == "passed"
    assert 0.0 < float(found.numbers["rate"] or 0) < 0.12


def test_it_says_when_a_difference_will_be_visible(report: AuditReport, tmp_path: Path, sound: pa.Table) -> None:
    (found,) = of(report, "power")
    assert found.status == "noted"
    wider = audited(tmp_path, sound, AuditOptions(repeats=2, difference=2 * float(found.numbers["difference"] or 0)))
    (other,) = of(wider, "power")
    assert float(other.numbers["days_needed"] or 0) == pytest.approx(float(found.numbers["days_needed"] or 0) / 4)


def with_arms(events: pa.Table, share: float) -> pa.Table:
    """Puts each viewer of an impression into one of two arms; ``share`` of those of the second get lost."""
    con = duckdb.connect()
    con.register("events", events)
    query = f"""
        SELECT * REPLACE (CASE WHEN type = 'impression' THEN
            '[{{"id": "home", "variant": "' || CASE WHEN hash(viewer_id) % 2 = 0 THEN 'old' ELSE 'new' END || '"}}]'
        END AS experiment)
        FROM events WHERE type != 'impression' OR hash(viewer_id) % 2 = 0 OR hash(viewer_id, 1) % 100 >= {100 * share}
    """
    return con.sql(query).to_arrow_table().cast(events.schema)


def test_arms_with_as_many_viewers_as_planned_pass(tmp_path: Path, sound: pa.Table) -> None:
    (found,) = of(audited(tmp_path, with_arms(sound, 0.0)), "sample ratio")
    assert (found.subject, found.status, found.numbers["saw more than one arm"]) == ("home", "passed", 0)


def test_an_arm_that_loses_viewers_is_found(tmp_path: Path, sound: pa.Table) -> None:
    report = audited(tmp_path, with_arms(sound, 0.25))
    (found,) = of(report, "sample ratio")
    assert (found.subject, found.status) == ("home", "failed")
    assert found.p_value is not None
    assert found.p_value < 1e-3
    assert "an arm loses or repeats viewers" in found.advice


def test_shares_that_were_planned_otherwise_are_believed(tmp_path: Path, sound: pa.Table) -> None:
    options = AuditOptions(repeats=2, plan={"home": {"old": 4.0, "new": 3.0}})
    (found,) = of(audited(tmp_path, with_arms(sound, 0.25), options), "sample ratio")
    assert found.status == "passed"


@pytest.mark.parametrize(
    ("plan", "reason"),
    [({"away": {"old": 1.0}}, "no impression is of away"), ({"home": {"old": 1.0}}, "arms")],
)
def test_a_plan_that_does_not_fit_the_lake_is_refused(
    tmp_path: Path, sound: pa.Table, plan: dict[str, dict[str, float]], reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        audited(tmp_path, with_arms(sound, 0.0), AuditOptions(repeats=1, plan=plan))


def test_constants_logged_by_a_feed_that_favours_the_popular_are_found(tmp_path: Path) -> None:
    def constant(log: EngagementLog) -> EngagementLog:
        return dataclasses.replace(log, propensity=np.where(np.isnan(log.propensity), np.nan, 1 / log.candidates))

    report = audited(tmp_path, events_of(1, constant))
    assert report.tier == "C"
    assert {each.status for each in of(report, "propensities")} == {"passed"}
    assert "failed" in {each.status for each in of(report, "balance")}
    assert all("the feed favours clips" in each.advice for each in report.failed if each.check == "balance")


def test_a_log_that_calls_everything_explored_is_found_although_its_weights_and_flags_agree(tmp_path: Path) -> None:
    def uniform(log: EngagementLog) -> EngagementLog:
        return dataclasses.replace(log, propensity=1 / log.candidates, explored=np.ones(len(log), np.bool_))

    report = audited(tmp_path, events_of(1, uniform))
    assert report.tier == "C"
    assert {each.status for each in of(report, "propensities")} == {"passed"}
    failed = [each for each in of(report, "exploration") if each.status == "failed"]
    assert {each.subject for each in failed} >= {"weighted by 1 / propensity", "in explored slots"}
    assert all("call only those slots explored that were drawn uniformly" in each.advice for each in failed[:2])


def test_propensities_of_something_else_are_found(tmp_path: Path) -> None:
    def doubled(log: EngagementLog) -> EngagementLog:
        return dataclasses.replace(log, propensity=np.minimum(2 * log.propensity, 1.0))

    report = audited(tmp_path, events_of(1, doubled))
    (found,) = of(report, "propensities")
    assert found.status == "failed"
    assert 0.45 < float(found.numbers["ratio"] or 0) < 0.55
    assert "times the number of candidates" in found.found


def test_without_propensities_nothing_is_claimed_about_them_and_it_is_said_how_to_log_them(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic(logged=False))
    train_once(lake, clock=clock, parameters=ONLY_ALL)
    report = audit(lake, QUICK)
    (found,) = of(report, "propensities")
    assert (found.status, report.tier) == ("skipped", "C")
    assert "POST /v1/slates" in found.advice


def test_one_odd_event_turns_no_check(tmp_path: Path, sound: pa.Table, report: AuditReport) -> None:
    shown = {"viewer_id": "odd", "surface": "feed", "position": 0, "explored": True, "candidates": 500}
    odd = [
        impression("late", "c0", at(days=-2_250), propensity=1 / 500, **shown),
        impression(
            "sure", "c1", at(days=5), propensity=1e-9, experiment='[{"id": "home", "variant": "typo"}]', **shown
        ),
        *(answer("reacted", of, f"odd {of}", at(days=5), reaction="report") for of in ("late", "sure")),
    ]
    with_odd = audited(tmp_path, pa.concat_tables([with_arms(sound, 0.0), events_table(odd)]))
    assert with_odd.failed == []
    assert of(with_odd, "power")[0].numbers == of(report, "power")[0].numbers
    (arms,) = of(with_odd, "sample ratio")
    assert (arms.status, "typo 1: taken for slips of the pen" in arms.found) == ("passed", True)


def fakes(events: pa.Table, accounts: int, reactions: int) -> pa.Table:
    """Adds accounts that like clips of the last model version without watching them, ``reactions`` each."""
    con = duckdb.connect()
    con.register("events", events)
    clips = con.sql(
        "SELECT clip_id FROM events WHERE type = 'clip_registered' AND model_version = '0' ORDER BY clip_id"
    ).fetchall()
    rows = []
    for account in range(accounts):
        for n in range(reactions):
            id_, time = f"f{account}-{n}", at(days=account % 10, seconds=account * 7 + n)
            ((clip_id,),) = [clips[(account * 31 + n) % len(clips)]]
            shown = {"viewer_id": f"fake {account}", "surface": "feed", "position": n, "propensity": 1 / 500}
            rows.append(impression(id_, clip_id, time, candidates=500, explored=False, **shown))
            rows.append(answer("watched", id_, f"w{id_}", time, watched_ms=100, total_ms=100))
            rows.append(answer("reacted", id_, f"r{id_}", time, reaction="like"))
    return pa.concat_tables([events, events_table(rows)])


def test_fake_accounts_just_below_the_limits_of_screening_are_found(tmp_path: Path, sound: pa.Table) -> None:
    report = audited(tmp_path, fakes(sound, accounts=250, reactions=4))
    (found,) = of(report, "screening")
    assert found.status == "failed"
    assert found.subject == "model@0"
    assert int(found.numbers["viewers"] or 0) >= 240


def test_engagement_that_rises_while_people_refuse_more_is_found(tmp_path: Path, sound: pa.Table) -> None:
    con = duckdb.connect()
    con.register("events", sound)
    shown = con.sql(
        "SELECT impression_id FROM events WHERE type = 'impression' AND received_date >= DATE '2026-03-08' "
        "ORDER BY hash(impression_id) LIMIT 4000"
    ).fetchall()
    rows = []
    for n, (impression_id,) in enumerate(shown):
        reaction = "report" if n % 3 == 0 else "like"
        rows.append(answer("reacted", impression_id, f"more {impression_id}", at(days=13), reaction=reaction))
    report = audited(tmp_path, pa.concat_tables([sound, events_table(rows)]))
    found = [each for each in of(report, "goodhart") if each.subject == "reports"]
    assert [each.status for each in found] == ["failed"]
    assert "before you release by it" in found[0].advice


def bad_votes(n: int, viewer: str = "voter {}", **changed: str) -> list[Row]:
    """Votes of 14 days, of which half say from the second week on that both clips are bad."""
    return [
        line | changed
        for k in range(n)
        for result in ["both_bad" if k % 14 > 7 and k % 2 else "left"]
        for line in vote(f"v{k}", (f"x{k}", f"y{k}"), result, viewer.format(k), at(days=k % 14))
    ]


@pytest.mark.parametrize(
    "votes", [bad_votes(1_400, trust="none"), bad_votes(1_400, viewer="one")], ids=["untrusted", "of one viewer"]
)
def test_votes_that_both_are_bad_raise_no_alarm_where_nobody_vouches_for_them(
    tmp_path: Path, sound: pa.Table, votes: list[Row]
) -> None:
    likes = [answer("reacted", f"i{n}", f"more {n}", at(days=13), reaction="like") for n in range(13_000, 20_000, 3)]
    report = audited(tmp_path, pa.concat_tables([sound, events_table(votes + likes)]))
    assert [each.status for each in of(report, "goodhart") if "votes" in each.subject] in ([], ["passed"])


def test_more_votes_that_both_are_bad_while_engagement_rises_are_found(tmp_path: Path, sound: pa.Table) -> None:
    votes = bad_votes(1_400)
    likes = [answer("reacted", f"i{n}", f"more {n}", at(days=13), reaction="like") for n in range(13_000, 20_000, 3)]
    report = audited(tmp_path, pa.concat_tables([sound, events_table(votes + likes)]))
    (found,) = [each for each in of(report, "goodhart") if "votes" in each.subject]
    assert found.status == "failed"


def test_a_top_made_by_one_viewer_is_not_trusted(tmp_path: Path) -> None:
    rows = traffic(models=2, prompts=60, shown=2)
    rows = [one for one in rows if one.get("reaction") is None]
    for prompt in range(60):
        id_ = f"x{prompt}"
        shown = {"viewer_id": f"fan {prompt % 2}", "surface": "feed", "position": 0, "explored": True}
        rows.append(impression(id_, f"c{prompt}-1", at(days=1), propensity=1 / 120, candidates=120, **shown))
        rows.append(answer("watched", id_, f"w{id_}", at(days=1), watched_ms=9_000))
        if prompt % 3:
            rows.append(answer("reacted", id_, f"r{id_}", at(days=1), reaction="like"))
    lake = lake_of(tmp_path, rows)
    train_once(lake, clock=clock, parameters=Parameters(segments=(), screen_viewers=False))
    (found,) = of(audit(lake, QUICK), "influence")
    assert (found.numbers["claimed"], found.status) == (1, "failed")
    assert int(found.numbers["viewers"] or 0) <= 2


def test_an_event_that_the_ledger_does_not_know_is_found(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic())
    train_once(lake, clock=clock, parameters=ONLY_ALL)
    (found,) = of(audit(lake, QUICK), "ledger")
    # the rows came past the loader, so that nobody counted them
    assert found.status == "failed"
    assert found.numbers["difference"] == lake.rows("events")


def test_an_older_run_is_audited_as_it_was(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic(models=2))
    first = train_once(lake, clock=clock, parameters=ONLY_ALL).run
    lake.append("events", events_table(traffic(models=5, prompts=40)))
    train_once(lake, clock=clock, parameters=ONLY_ALL)
    options = AuditOptions(repeats=2)
    assert audit(lake, options, run_id=first.run_id).run_id == first.run_id
    older = of(audit(lake, options, run_id=first.run_id), "overlap")
    assert [each.numbers["logged"] for each in older] == [240]
    assert of(audit(lake, options), "overlap")[0].numbers["logged"] != 240


def test_what_cannot_be_audited_is_refused_with_a_reason(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic())
    with pytest.raises(NotFoundError, match="no ranking to audit yet"):
        audit(lake, QUICK)
    with pytest.raises(NotFoundError, match="there is no run"):
        audit(lake, QUICK, run_id="nothing")
    run = train_once(lake, clock=clock, parameters=ONLY_ALL).run
    with pytest.raises(InputError, match="is not of tenant 'other'"):
        audit(lake, QUICK, tenant="other", run_id=run.run_id)
    for name, value in (("repeats", 0), ("alarm_rate", 1.0), ("difference", float("nan"))):
        with pytest.raises(InputError, match=name):
            AuditOptions(**{name: value})  # type: ignore[arg-type]


def test_one_model_version_leaves_nothing_to_audit_but_says_so(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, traffic(models=1))
    train_once(lake, clock=clock, parameters=ONLY_ALL)
    report = audit(lake, QUICK)
    for check in ("placebo", "influence", "attack cost", "power", "screening"):
        (found,) = of(report, check)
        assert (found.status, found.found) == (
            "skipped", "nothing to check: fewer than two model versions have a place"
        )  # fmt: skip


def test_tests_share_the_alarm_rate_and_advice_is_given_where_it_helps() -> None:
    findings = [finding_of_test(name, p, "found", "do", numbers={}) for name, p in (("a", 0.004), ("b", 0.006))]
    decided = judge(findings, 0.01)
    assert [(each.status, each.advice) for each in decided] == [("failed", "do"), ("passed", "")]


def test_sound_lakes_rarely_raise_an_alarm(tmp_path: Path) -> None:
    reports = [audited(tmp_path / str(seed), events_of(seed), AuditOptions(repeats=8)) for seed in range(10, 16)]
    alarms = [(each.check, each.found) for report in reports for each in report.failed]
    # nominal is at most one audit in a hundred
    assert len(alarms) <= 1, alarms
    p = [each.p_value for report in reports for each in report.findings if each.p_value is not None]
    assert sum(each < 0.05 for each in p) <= 0.12 * len(p)


def test_a_check_that_cannot_be_made_is_told_and_takes_no_other_with_it() -> None:
    def broken(audited: Audited) -> Iterator[Finding]:
        yield Finding(check="broken", status="passed", found="")
        raise ZeroDivisionError("float division by zero")

    (found,) = checked("broken", broken, None)  # type: ignore[arg-type]
    assert (found.status, found.check) == ("failed", "broken")
    assert "could not be made: ZeroDivisionError: float division by zero" in found.found
