from dataclasses import replace

import numpy as np
import pytest

from clapometer.contestants import observe_poisson
from clapometer.simulation.poisson import (
    OUTSIDE,
    PoissonConfig,
    PoissonScenario,
    build_poisson,
    label_of,
    poisson_truth,
    simulate_poisson,
)
from clapometer.study.outside import run, summarise

SMALL = PoissonConfig(n_models=3, n_prompts=60, n_viewers=300, slots_a_day=400)


def test_a_world_and_its_log_follow_from_the_seed():
    one, same, other = (simulate_poisson(build_poisson(SMALL, seed), seed) for seed in (4, 4, 5))
    for name in ("clip", "like", "second", "propensity"):
        np.testing.assert_array_equal(getattr(one, name), getattr(same, name))
    assert (one.clip != other.clip).any()


def test_the_truth_is_what_calm_clips_earn_when_shown_by_chance():
    config = replace(SMALL, n_prompts=400, slots_a_day=40_000, positions=3, quality_spread=0.3)
    world = build_poisson(config, 1)
    log = simulate_poisson(world, 1)
    earned = [label_of(log)[world.model[log.clip] == model].mean() for model in range(3)]
    np.testing.assert_allclose(earned, poisson_truth(world), rtol=0.04)


def test_propensities_are_the_chances_of_what_is_shown():
    world = build_poisson(replace(SMALL, explore=0.2, favour=3.0), 2)
    log = simulate_poisson(world, 2)
    assert np.mean(1 / (log.propensity * log.candidates)) == pytest.approx(1.0, abs=0.1)
    assert 0.15 < log.explored.mean() < 0.25


def test_a_logger_that_calls_everything_explored_says_so_of_every_slot():
    log = simulate_poisson(build_poisson(replace(SMALL, explore=0.1, everything_explored=True), 2), 2)
    assert log.explored.all()
    np.testing.assert_allclose(log.propensity * log.candidates, 1.0)


def test_no_clip_is_shown_before_its_launch():
    world = build_poisson(replace(SMALL, launches=(0, 5, -2), publishing_days=2), 3)
    log = simulate_poisson(world, 3)
    first = [log.day[world.model[log.clip] == model].min() for model in range(3)]
    assert first == [0, 5, 12]
    clips = observe_poisson(world, log).clips
    np.testing.assert_array_equal(clips.published_day, world.shown_from)


@pytest.mark.parametrize("scenario", OUTSIDE, ids=lambda each: each.name)
def test_every_scenario_is_judged(scenario):
    small = replace(scenario.config, n_prompts=60, n_viewers=300, slots_a_day=300)
    quick = PoissonScenario(scenario.name, small)
    (row,) = summarise(quick, [run(quick, 1), run(quick, 2)])
    assert row["worlds"] == 2
    assert 0 <= row["coverage"] <= 1
    assert (row["false_claims"] is None) == bool(small.quality_spread)


@pytest.mark.parametrize("days_ago", [1, 2, 4, 7, 14])
@pytest.mark.parametrize("week", ["", ", weekly cycle"])
def test_equals_are_not_told_apart_however_lately_one_was_launched(days_ago, week):
    (scenario,) = (each for each in OUTSIDE if each.name == f"equals, one launched {days_ago} days ago{week}")
    (row,) = summarise(scenario, [run(scenario, seed) for seed in range(24)])
    assert row["false_claims"] <= 4 / 24  # where 5 % are wrong, more are in 1 of 160 such tests; where 65 % are, in all
    assert row["false_claims_always"] <= 1 / 24
