import numpy as np
import pytest
from scipy.special import expit, logit

from clapometer.contestants import observe
from clapometer.ranking import ClipAIPW
from clapometer.ranking.estimators.clip_scores import _exposure_bands, _margins
from clapometer.simulation import WorldConfig, build_world, fit_label, simulate_log

SMALL = WorldConfig(n_models=5, n_prompts=150, n_viewers=800, n_sessions=2800, bots=5, n_days=14)


@pytest.fixture(scope="module")
def observation():
    world = build_world(SMALL, seed=4)
    return observe(world, simulate_log(world, seed=5), fit_label(world))


def event_level_scores(fitted, ob):
    """The formula of `ClipAIPW`, one impression at a time."""
    clips, log, n, C = ob.clips, ob.log, len(ob.clips), fitted.ceiling_
    unit = clips.unit[log.clip]
    offset = fitted.offsets_.at(log.day, log.day - clips.published_day[log.clip])
    exposure = ob.examination * np.exp(0.6 * offset)
    group = clips.model * (clips.strata.max() + 1) + clips.strata
    score = np.zeros(n)
    chance = np.bincount(clips.unit, clips.opportunity, n)
    for fold in (0, 1):
        own = log.viewer % 2 == fold
        seen, expected = (np.bincount(unit[~own], v[~own], n) for v in (ob.label, exposure))
        cap = np.minimum(1.0, 8.0 / np.maximum(expected, 1e-9))
        prior = _margins(seen * cap, expected * cap, group, _exposure_bands(expected, chance))
        mean = np.clip((seen + 6 * prior) / (expected + 6), 0.01 * C, 0.95 * C)
        score += own.mean() * mean
        x = logit(mean / C)[unit]
        p0, p1 = expit(x), expit(x + offset)
        term = ob.weight * (ob.label - ob.examination * C * p1) / (p1 * (1 - p1) / (p0 * (1 - p0)))
        score += np.bincount(unit[own], term[own], n) / np.maximum(chance, 1e-9)
    return score[fitted.units_]


def test_cells_give_the_scores_of_single_impressions(observation):
    fitted = ClipAIPW().fit(observation.cells, observation.clips)
    assert len(observation.cells) < len(observation.log)
    np.testing.assert_allclose(fitted.scores_, event_level_scores(fitted, observation), rtol=1e-8, atol=1e-10)
