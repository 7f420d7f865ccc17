"""What the study calls claimed: the first that is certain, and that nobody could have bought."""

import numpy as np
import pytest

from clapometer.contestants import CONTESTANTS, Observation, observe
from clapometer.ranking import Budget
from clapometer.simulation import WorldConfig, build_world, fit_label, simulate_log
from clapometer.study.claims import claimed_first


@pytest.fixture(scope="module")
def seen() -> Observation:
    """A world of three model versions that are far apart."""
    config = WorldConfig(n_models=3, n_prompts=100, n_sessions=4_000, n_viewers=900, quality_spread=0.3, bots=0)
    world = build_world(config, 5)
    return observe(world, simulate_log(world, 6), fit_label(world))


def test_with_nobody_who_could_buy_it_the_first_is_claimed_as_far_as_chance_allows(seen: Observation) -> None:
    by_chance, in_any_case = claimed_first(seen, Budget(0))
    effects = CONTESTANTS["clip AIPW + prompt effects"].estimate(seen, 3).effects
    assert by_chance == in_any_case == np.argmax(effects)


def test_no_first_is_claimed_where_everybody_could_have_been_made_up(seen: Observation) -> None:
    by_chance, in_any_case = claimed_first(seen, Budget(10_000, 10**9, 100))
    assert by_chance is not None
    assert in_any_case is None
