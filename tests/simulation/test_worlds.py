from dataclasses import replace

import numpy as np
import pytest

from clapometer.contestants import observe
from clapometer.simulation import (
    CONFOUNDERS,
    SIGNALS,
    EngagementLog,
    WorldConfig,
    build_world,
    clip_truth,
    compute_truth,
    fit_label,
    seen_by,
    simulate_log,
)

SMALL = WorldConfig(n_models=4, n_prompts=120, n_viewers=600, n_sessions=2800, bots=3, n_days=14)


def small(config=SMALL, seed=1):
    world = build_world(config, seed)
    return world, simulate_log(world, seed + 1)


def columns(log):
    return {name: getattr(log, name) for name in EngagementLog.__slots__}


def test_the_same_seed_gives_the_same_log():
    first, second = columns(small()[1]), columns(small()[1])
    for name, column in first.items():
        np.testing.assert_array_equal(column, second[name])


@pytest.mark.parametrize("confounder", CONFOUNDERS)
def test_every_confounder_can_be_alone_and_makes_a_difference(confounder):
    size = {"n_models": 4, "n_prompts": 60, "n_viewers": 300, "n_sessions": 700, "n_days": 7}
    calm = columns(small(WorldConfig.calm(**size, explore=0.1))[1])
    alone = columns(small(WorldConfig.alone(confounder, **size))[1])
    changed = [
        name
        for name in calm
        if calm[name].shape != alone[name].shape or not np.array_equal(calm[name], alone[name], equal_nan=True)
    ]
    assert changed
    assert getattr(WorldConfig.alone(confounder), confounder)


def test_inverse_propensities_sum_to_the_opportunity():
    config = replace(SMALL, n_sessions=14_000, bots=0, missing_propensities=0.0)
    world, log = small(config)
    seen = observe(world, log, fit_label(world))
    weight = np.bincount(seen.log.clip, seen.weight, len(seen.clips))
    assert weight.sum() == pytest.approx(seen.clips.opportunity.sum(), rel=0.02)
    known = seen.clips.opportunity > 50
    ratio = weight[known] / seen.clips.opportunity[known]
    assert abs(ratio.mean() - 1) < 0.03


def test_a_creators_rejected_tries_are_never_shown():
    world, log = small()
    assert world.clips.published[log.clip].all()
    assert not world.clips.published.all()


def test_late_reactions_are_missing_until_they_arrive():
    log = small()[1]
    early = seen_by(7, log)
    assert early.day.max() == 6
    whole = log.where(log.day < 7)
    assert early.like.sum() < whole.like.sum()
    np.testing.assert_array_equal(early.complete, whole.complete)


def test_truth_under_uniform_exposure_is_what_a_randomised_log_shows():
    config = WorldConfig.calm(n_models=3, n_prompts=300, n_sessions=30_000, n_viewers=2000, quality_spread=0.6)
    world, log = small(config)
    label = fit_label(world)
    truth = compute_truth(world, label)
    seen = label.of(world, log)
    model = world.clips.model[log.clip]
    shown = np.bincount(model, seen) / np.bincount(model)
    np.testing.assert_allclose(shown, truth.models, rtol=0.06)
    clips = clip_truth(world, label, repeats=20)
    assert clips[log.clip].mean() == pytest.approx(seen.mean(), rel=0.03)


def test_truth_does_not_depend_on_the_log():
    world = build_world(SMALL, 1)
    label = fit_label(world)
    before = compute_truth(world, label, repeats=4)
    simulate_log(world, 99)
    np.testing.assert_array_equal(before.models, compute_truth(world, label, repeats=4).models)


def test_a_label_is_linear_in_its_weights():
    world, log = small()
    parts = [fit_label(world, tuple(float(i == j) for j in range(len(SIGNALS)))).of(world, log) for i in range(5)]
    whole = fit_label(world, (1.0, 2.0, 3.0, 4.0, 5.0)).of(world, log)
    np.testing.assert_allclose(whole, sum(w * part for w, part in enumerate(parts, 1)))


def test_the_ranking_of_a_large_quality_gap_is_found_under_all_confounders():
    config = replace(SMALL, quality_spread=0.8, n_prompts=600, n_sessions=14_000)
    world, log = small(config)
    label = fit_label(world)
    from clapometer.contestants import CONTESTANTS

    truth = compute_truth(world, label, repeats=8).models
    estimate = CONTESTANTS["clip AIPW + prompt effects"].estimate(observe(world, log, label), 4)
    assert estimate.effects.argmax() == truth.argmax()
    assert np.corrcoef(estimate.effects, truth)[0, 1] > 0.9
