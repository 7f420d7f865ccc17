"""What the audit says of a ranking by votes: how few voters, and how few invented votes, would turn it."""

from pathlib import Path

import numpy as np
from tests.unit.training.boards.test_votes import Ballot, ballots, trained

from clapometer.audit.audit import AuditOptions, audit
from clapometer.audit.findings import Finding
from clapometer.audit.votes import votes_to_turn
from clapometer.training.boards.compared import Compared, sided

QUICK = AuditOptions(repeats=2)


def findings(folder: Path, cast: list[Ballot]) -> dict[str, Finding]:
    report = audit(trained(folder, cast), QUICK)
    return {each.check: each for each in report.findings if each.check.startswith("vote ")}


def test_many_voters_who_agree_are_neither_few_nor_cheap(tmp_path: Path) -> None:
    found = findings(tmp_path, ballots(600))
    influence, cost = found["vote influence"], found["vote cost"]
    assert (influence.subject, cost.subject) == ("m0@1", "m1@1")
    assert (influence.status, cost.status) == ("passed", "passed")
    assert influence.numbers["voters"] == influence.numbers["votes"], "everybody voted once"
    assert 10 < int(influence.numbers["voters"] or 0) < 200
    assert int(cost.numbers["votes"] or 0) > 20
    assert int(cost.numbers["voters"] or 0) == -(-int(cost.numbers["votes"] or 0) // 5)


def test_without_a_ranking_by_votes_there_is_nothing_to_check(tmp_path: Path) -> None:
    assert {each.status for each in findings(tmp_path, ballots(20)).values()} == {"skipped"}


def test_so_many_invented_votes_turn_the_top_and_one_less_does_not() -> None:
    random = np.random.default_rng(0)
    n = 300
    pair = np.array([random.choice(3, 2, replace=False) for _ in range(n)])
    ahead = pair[:, 0] < pair[:, 1]
    result = np.where(random.random(n) < 0.7, ahead, ~ahead).astype(float)
    compared = Compared(np.arange(3), pair, result, pair, np.arange(n), np.arange(n), np.ones(n))
    needed = votes_to_turn(compared, 0, 1)
    assert needed is not None
    assert needed > 5
    for votes, turned in ((needed - 1, False), (needed, True)):
        more, wins = np.vstack([pair, np.tile([1, 0], (votes, 1))]), np.append(result, np.ones(votes))
        side = np.append(np.ones(n), np.zeros(votes))
        strengths = sided().fit(more, wins, covariates=side).strengths_
        assert bool(strengths[1] > strengths[0]) is turned
