"""Doubts about the ranking by votes: how few votes and voters would change its top."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from clapometer.audit.findings import Finding, status
from clapometer.audit.run import Audited
from clapometer.labels import most_of_one, voter_weights
from clapometer.ranking import BradleyTerry, fewest, rank_ranges, sum_by
from clapometer.training.boards.compared import Compared, Strengths, compare_versions, fit_strengths, sided
from clapometer.training.evidence.heard import hear

FEWEST_VOTERS = 5
"""A top that fewer voters made is an accident, whatever its interval."""
FEWEST_BOUGHT = 20
"""A top that fewer invented votes buy is for sale."""
_MOST_BOUGHT = 1 << 20

Floats = NDArray[np.float64]


def vote_findings(audited: Audited) -> Iterator[Finding]:
    """Yields how few votes and voters could be missing, or be invented, for another item to be first by votes."""
    heard = hear(audited.con, audited.clips, audited.run.tenant)
    strengths = fit_strengths(compare_versions(heard, audited.clips), audited.run.parameters)
    if strengths.fit is None:
        nothing = "nothing to check: votes place no two model versions"
        yield from (Finding(check=check, status="skipped", found=nothing) for check in ("vote influence", "vote cost"))
        return
    yield _influence(audited, strengths, strengths.fit)
    yield _cost(audited, strengths, strengths.fit)


def _top(fit: BradleyTerry) -> tuple[int, int]:
    first, second = np.argsort(-fit.strengths_, kind="stable")[:2].tolist()
    return first, second


def _claimed(audited: Audited, compared: Compared, fit: BradleyTerry) -> bool:
    """Whether the ranking says that the first item is better than all others."""
    level = audited.run.parameters.level
    ranges = rank_ranges(fit.strengths_, fit.covariance_ * compared.widening(level) ** 2, level, audited.run.seed)
    return int(ranges[_top(fit)[0], 1]) == 1


def _influence(audited: Audited, strengths: Strengths, fit: BradleyTerry) -> Finding:
    compared, (first, second) = strengths.compared, _top(fit)
    pushed = _pushes(compared, fit, first, second)
    gap = float(fit.strengths_[first] - fit.strengths_[second])
    voters = fewest(gap, sum_by(compared.voter, pushed))
    votes = fewest(gap, pushed)
    leader, rival = _names(audited, compared, first, second)
    claimed = _claimed(audited, compared, fit)
    frail = claimed and voters is not None and voters < FEWEST_VOTERS
    return Finding(
        check="vote influence", subject=leader, status=status(frail),
        found=f"by votes {rival} would be first without {_some(voters, 'voter')}, or {_some(votes, 'vote')}"
        + ("" if claimed else "; but then the votes do not say that the first is better than the second"),
        advice="look at these voters before you act on this ranking; more voters make it sturdier" if frail else "",
        numbers={"voters": voters, "votes": votes, "claimed": int(claimed)},
    )  # fmt: skip


def _pushes(compared: Compared, fit: BradleyTerry, first: int, second: int) -> Floats:
    """What each vote adds to the difference of two strengths, to first order, ``(n_votes,)``."""
    weight = voter_weights(compared.voter)
    left, right = compared.pair.T
    plain = sided().fit(compared.pair, compared.result, weight, covariates=compared.side, n_items=len(compared.items))
    contrast = plain.covariance_[:, first] - plain.covariance_[:, second]
    margin = fit.strengths_[left] - fit.strengths_[right] + compared.side * fit.coefficients_[0]
    residual = weight * (compared.result - expit(margin))
    pushes: Floats = residual * (contrast[left] - contrast[right])
    return pushes


def _cost(audited: Audited, strengths: Strengths, fit: BradleyTerry) -> Finding:
    compared, (first, second) = strengths.compared, _top(fit)
    votes = votes_to_turn(compared, first, second)
    voters = None if votes is None else int(np.ceil(votes / most_of_one(compared.voter)))
    leader, rival = _names(audited, compared, first, second)
    claimed = _claimed(audited, compared, fit)
    cheap = claimed and votes is not None and votes < FEWEST_BOUGHT
    return Finding(
        check="vote cost", subject=rival, status=status(cheap),
        found=f"it takes {_some(votes, 'invented vote')} of at least {_some(voters, 'voter')} to make {rival} first by "
        f"votes, before {leader}",
        advice="ask more people, or take votes from signed-in viewers only" if cheap else "",
        numbers={"votes": votes, "voters": voters, "claimed": int(claimed)},
    )  # fmt: skip


def votes_to_turn(compared: Compared, first: int, second: int) -> int | None:
    """Returns the fewest votes for the second item against the first that put it before it, by fitting again.

    Whoever invents votes shows it on both sides alike.
    """
    pair, side = np.vstack([compared.pair, [[second, first]]]), np.append(compared.side, 0.0)
    result, weight = np.append(compared.result, 1.0), voter_weights(compared.voter)

    def turned(votes: int) -> bool:
        fit = sided().fit(pair, result, np.append(weight, votes), covariates=side, n_items=len(compared.items))
        return bool(fit.strengths_[second] > fit.strengths_[first])

    enough = 1
    while not turned(enough):
        enough *= 2
        if enough > _MOST_BOUGHT:
            return None
    low, high = enough // 2, enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if turned(middle) else (middle, high)
    return high


def _names(audited: Audited, compared: Compared, first: int, second: int) -> tuple[str, str]:
    names = audited.clips.model.names
    return names[int(compared.items[first])], names[int(compared.items[second])]


def _some(number: int | None, noun: str) -> str:
    if number is None:
        return f"more {noun}s than there are"
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
