from dataclasses import replace

import numpy as np

from clapometer.simulation import Scenario, build_twins, compute_truth, fit_label
from clapometer.study.daily_looks import N_LOOKS, TWINS, run, summarise

SMALL = Scenario("daily looks", replace(TWINS, n_viewers=300, n_sessions=63 * 40, bots=4))


def test_twins_are_the_same_version_under_two_names():
    world = build_twins(SMALL.config, 3)
    truth = compute_truth(world, fit_label(world), repeats=4).models
    np.testing.assert_array_equal(truth[0::2], truth[1::2])
    assert truth[0] != truth[2]
    of = np.bincount(world.clips.model, minlength=4)
    assert (of > 0.3 * of.mean()).all()
    reposts = np.flatnonzero(world.clips.unit != np.arange(len(world.clips.unit)))
    np.testing.assert_array_equal(world.clips.model[reposts], world.clips.model[world.clips.unit[reposts]])


def test_false_claims_of_daily_looks_are_counted():
    fixed, always = summarise(SMALL, [run(SMALL, seed) for seed in (5, 6)])
    assert [(row["intervals"], row["worlds"], row["looks"]) for row in (fixed, always)] == [
        ("fixed", 2, N_LOOKS),
        ("always valid", 2, N_LOOKS),
    ]
    assert always["type1"] <= fixed["type1"]
    assert always["missed"] <= fixed["missed"]
    assert 0 < always["ranked_looks"] <= N_LOOKS
    assert always["width"] > 1.5
