"""How little would change a ranking: what is counted, done and fitted again, does change it."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from clapometer.contestants import Observation, observe
from clapometer.labels import DEFAULT_RULE
from clapometer.ranking import ClipAIPW, ClipCells, Estimate, Interval, PromptFixedEffects
from clapometer.simulation import WorldConfig, build_world, fit_label, simulate_log
from clapometer.training.boards.robustness import (
    attack,
    fake_reactions,
    model_robustness,
    prompt_robustness,
    pushes,
    reach_of,
)
from clapometer.training.boards.scores import Scores
from clapometer.training.boards.slices import Slice
from clapometer.training.evidence.cells import Cells
from clapometer.training.evidence.evidence import Sample
from clapometer.training.parameters import Parameters


@dataclass(frozen=True)
class Ranked:
    """A slice of a world, with its scores and their fit."""

    seen: Observation
    part: Slice
    scores: Scores
    fit: PromptFixedEffects

    def refitted(self, cells: ClipCells) -> PromptFixedEffects:
        return ranked(replace(self.seen, cells=cells)).fit


def ranked(seen: Observation, prior_strength: float = Parameters().prior_strength) -> Ranked:
    nothing = np.zeros(len(seen.cells))
    cells = Cells(seen.cells, seen.cells.sum_weighted_exposure, nothing, nothing, nothing)
    part = Slice("all", "", cells, np.arange(len(seen.clips)), seen.clips)
    clip = ClipAIPW(prior_strength=prior_strength).fit(seen.cells, seen.clips)
    units = clip.units_
    X = np.column_stack([seen.clips.model[units], seen.clips.prompt[units], seen.clips.strata[units]])
    fit = PromptFixedEffects().fit(X, clip.scores_, opportunity=clip.opportunities_)
    scores = Scores(units, clip.scores_, clip.opportunities_, clip.opportunities_, prior_strength)
    return Ranked(seen, part, scores, fit)


@pytest.fixture(scope="module")
def world() -> Ranked:
    config = WorldConfig(n_models=5, n_prompts=300, n_sessions=4000, n_viewers=900, quality_spread=0.05, bots=0)
    made = build_world(config, 5)
    return ranked(observe(made, simulate_log(made, 6), fit_label(made)))


def first(fit: PromptFixedEffects) -> int:
    return int(fit.items_[np.argmax(fit.effects_)])


def attacked(world: Ranked, item: int, reactions: int) -> PromptFixedEffects:
    """Puts the invented reactions where they do most, and fits again."""
    push, capacity, worth = attack(reach_of(world.part, world.scores), world.fit, item, DEFAULT_RULE)
    order = np.argsort(-push, kind="stable")
    before = np.concatenate([[0.0], np.cumsum(capacity[order])[:-1]])
    given = np.zeros(len(world.seen.clips))
    given[world.scores.units[order]] = np.clip(reactions - before, 0, capacity[order]) * worth[order]
    cells = world.seen.cells
    unit = world.seen.clips.unit[cells.clip]
    total = np.bincount(unit, cells.impressions, len(given))
    share = given[unit] * cells.impressions / np.maximum(total[unit], 1)
    weight = cells.sum_weighted_exposure / np.maximum(cells.sum_exposure, 1e-9)
    changed = replace(
        cells,
        sum_label=cells.sum_label + share,
        sum_weighted_label=cells.sum_weighted_label + share * weight,
        sum_capped_label=cells.sum_capped_label + share * np.minimum(weight, 10.0),
    )
    return world.refitted(changed)


def test_invented_reactions_make_an_item_first_but_not_with_fewer_than_said(world: Ranked) -> None:
    order = np.argsort(-world.fit.effects_)
    for item in order[1:].tolist():
        needed = fake_reactions(reach_of(world.part, world.scores), world.fit, item, DEFAULT_RULE)
        assert needed is not None
        assert first(attacked(world, item, int(0.8 * needed))) != world.fit.items_[item]
        # many reactions on few clips make the fit trust these clips less, so that the last item needs more
        assert first(attacked(world, item, 10 * needed)) == world.fit.items_[item]


@pytest.mark.parametrize("prior_strength", [6.0, 60.0, 300.0])
def test_what_a_reaction_adds_to_a_score_depends_on_the_prior_that_the_run_was_made_with(
    world: Ranked, prior_strength: float
) -> None:
    made = ranked(world.seen, prior_strength)
    reach, cells = reach_of(made.part, made.scores), made.seen.cells
    weight = cells.sum_weighted_exposure / np.maximum(cells.sum_exposure, 1e-9)
    off = []
    for place in np.flatnonzero(reach.shown)[:: max(1, np.count_nonzero(reach.shown) // 15)].tolist():
        unit = made.scores.units[place]
        share = np.where(made.seen.clips.unit[cells.clip] == unit, cells.impressions, 0.0) / reach.shown[place]
        changed = replace(
            cells,
            sum_label=cells.sum_label + share,
            sum_weighted_label=cells.sum_weighted_label + share * weight,
            sum_capped_label=cells.sum_capped_label + share * np.minimum(weight, 10.0),
        )
        found = ranked(replace(made.seen, cells=changed), prior_strength).scores
        gained = found.values[found.units == unit][0] - made.scores.values[place]
        off.append(abs((reach.gain[place] * reach.usual[place] + reach.base[place]) / gained - 1))
    assert np.mean(off) < 0.3  # to first order; 0.4 and 0.6 with the prior of other runs


def impressions(world: Ranked) -> Sample:
    seen = world.seen
    return Sample(seen.log.clip, seen.log.viewer, seen.log.day, seen.label, seen.examination, seen.weight)


def robustness_of(world: Ranked) -> dict[int, dict[str, Any]]:
    reach = reach_of(world.part, world.scores)
    found = pushes(impressions(world), world.part, world.scores, reach)
    return model_robustness(found, reach, world.fit, every=1, rule=DEFAULT_RULE)


def without(world: Ranked, place: int, dropped: int) -> PromptFixedEffects:
    """Drops the impressions that push most for one place against the next, and fits again."""
    order = np.argsort(-world.fit.effects_)
    found = pushes(impressions(world), world.part, world.scores, reach_of(world.part, world.scores))
    seen = world.seen
    push = np.zeros(len(seen.log.clip))
    push[found.row] = found.size * found.influence(world.fit, int(order[place]), int(order[place + 1]))[found.unit]
    keep = np.ones(len(push), bool)
    keep[np.argsort(-push, kind="stable")[:dropped]] = False
    log = seen.log.where(keep)
    cells = ClipCells.from_impressions(
        log.clip, log.day, log.viewer % 2,
        label=seen.label[keep], examination=seen.examination[keep], weight=seen.weight[keep],
    )  # fmt: skip
    return world.refitted(cells)


def test_an_item_falls_behind_the_next_without_as_many_impressions_as_said_but_not_without_half_of_them(
    world: Ranked,
) -> None:
    order = np.argsort(-world.fit.effects_)
    found = robustness_of(world)
    for place in range(len(order) - 1):
        needed = found[int(world.fit.items_[order[place]])]["impressions_to_drop"]
        after, before = without(world, place, int(1.5 * needed) + 2), without(world, place, needed // 2)
        upper, lower = (int(world.fit.items_[order[place + k]]) for k in (0, 1))

        def leads(fit: PromptFixedEffects, one: int = upper, other: int = lower) -> bool:
            effect = dict(zip(fit.items_.tolist(), fit.effects_.tolist(), strict=True))
            return bool(effect[one] > effect[other])

        assert not leads(after)
        assert leads(before)


def test_the_leader_needs_no_invented_reactions_and_the_last_cannot_fall(world: Ranked) -> None:
    order = np.argsort(-world.fit.effects_)
    found = robustness_of(world)
    assert found[int(world.fit.items_[order[0]])]["fake_reactions_to_top"] == 0
    assert found[int(world.fit.items_[order[-1]])]["impressions_to_drop"] is None


def test_a_prompt_needs_more_invented_reactions_the_more_impressions_it_has() -> None:
    def estimate(item: int, value: float, impressions: float) -> Estimate:
        return Estimate(item, value, 0.1, Interval(value - 0.2, value + 0.2), 0.5, 3, impressions)

    best, few, many = estimate(0, 0.5, 50), estimate(1, 0.4, 50), estimate(2, 0.4, 500)
    rows = prompt_robustness([best, few, many], np.array([20.0, 20.0, 200.0]), DEFAULT_RULE)
    assert [row["fake_reactions_to_top"] for row in rows] == [0, 10, 100]
    # 20 likes are there; without 17 of them the best prompt is level with the next
    assert [row["impressions_to_drop"] for row in rows] == [17, 1, None]
