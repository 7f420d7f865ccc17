"""Logged propensities that do not fit what was shown are found, those that do are left in peace."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from clapometer.contestants import screened
from clapometer.domain import InputError
from clapometer.ranking import Exposure, balance, by_version, favoured, mean_weight
from clapometer.simulation import EngagementLog, WorldConfig, build_world, simulate_log

Floats = NDArray[np.float64]
SMALL = WorldConfig(n_models=6, n_prompts=500, n_sessions=5_000, n_viewers=1_500, missing_propensities=0.0)


def world_log(seed: int) -> EngagementLog:
    return screened(simulate_log(build_world(SMALL, seed), seed))


def exposure_of(log: EngagementLog, propensity: Floats) -> Exposure:
    """Sums as the SQL makes them."""
    weight = 1 / (propensity * log.candidates)
    key, row = np.unique(log.clip * 2 + log.viewer % 2, return_inverse=True)
    shown, total, squares, explored = (
        np.bincount(row, column) for column in (np.ones(len(weight)), weight, weight**2, log.explored.astype(float))
    )
    return Exposure(key // 2, key % 2, shown, total, squares, explored)


def test_a_feed_that_logs_what_it_does_is_rarely_accused() -> None:
    sound = [exposure_of(log, log.propensity) for log in map(world_log, range(12))]
    assert sum(mean_weight(one, tolerance=0.0).p_value < 0.05 for one in sound) <= 2
    assert sum(balance(one).p_value < 0.05 for one in sound) <= 2


@pytest.mark.parametrize(
    ("logs", "caught_by"),
    [
        (lambda log: 1 / log.candidates, balance),  # says that it shows all alike, and favours the popular
        (lambda log: np.maximum(log.propensity, 0.5 / log.candidates), mean_weight),  # clipped from below
        (lambda log: np.minimum(2 * log.propensity, 1.0), mean_weight),
        (lambda log: np.sqrt(log.propensity / log.candidates), balance),  # half as sure of itself as it is
    ],
)
def test_a_feed_that_logs_something_else_is_caught(
    logs: Callable[[EngagementLog], Floats], caught_by: Callable[[Exposure], object]
) -> None:
    log = world_log(3)
    found = caught_by(exposure_of(log, logs(log)))
    assert found.p_value < 1e-6  # type: ignore[attr-defined]
    assert abs(found.size) > 0.1  # type: ignore[attr-defined]


@pytest.mark.parametrize("wrong", [5, 30, 200])
def test_weights_that_no_feed_can_have_do_not_hide_in_the_spread_that_they_make(wrong: int) -> None:
    log = world_log(3)
    propensity = log.propensity.copy()
    propensity[:: len(propensity) // wrong] = 1e-9
    assert mean_weight(exposure_of(log, propensity)).p_value == 0.0


def test_explored_slots_that_are_not_by_chance_are_caught_where_every_clips_chances_are_known() -> None:
    log = world_log(4)
    popular = exposure_of(log, 1 / log.candidates)
    chances = np.full(int(log.clip.max()) + 1, 1.0)
    blind = Exposure(popular.clip, popular.fold, popular.shown, popular.weight, popular.squares, popular.shown)
    assert balance(blind).p_value > 0.4
    assert balance(blind, chances).p_value < 1e-6


def test_a_feed_that_gives_every_clip_its_quota_is_not_accused() -> None:
    random = np.random.default_rng(1)
    first = random.binomial(8, 0.5, 400).astype(float)
    clip, fold = np.repeat(np.arange(400), 2), np.tile([0, 1], 400)
    shown = np.column_stack([first, 8 - first]).ravel()
    quota = Exposure(clip, fold, shown, shown, shown, shown)
    assert balance(quota, np.ones(400)).p_value > 0.05


def test_nothing_is_said_where_nothing_was_shown() -> None:
    nothing = np.zeros(0)
    empty = Exposure(np.zeros(0, np.int64), np.zeros(0, np.int64), nothing, nothing, nothing, nothing)
    assert (mean_weight(empty).p_value, balance(empty).p_value) == (1.0, 1.0)
    with pytest.raises(InputError, match="weight"):
        Exposure(np.zeros(1, np.int64), np.zeros(1, np.int64), np.ones(1), np.array([np.nan]), np.ones(1), np.ones(1))


def shown_by_chance(
    seed: int, *, n_clips: int = 200, per_clip: float = 20.0, spread: float = 0.0
) -> tuple[Floats, ...]:
    """Clip, fold and slots of clips that are shown to two folds of viewers, some more than others by `spread`."""
    random = np.random.default_rng(seed)
    chance = random.gamma(1 / spread**2, spread**2, n_clips) if spread else np.ones(n_clips)
    slots = random.poisson(per_clip * chance, (2, n_clips))
    clip, fold = np.tile(np.arange(n_clips), 2), np.repeat([0, 1], n_clips)
    return clip, fold, slots.ravel().astype(float)


def test_clips_that_chance_chose_are_rarely_called_favoured() -> None:
    batch = np.arange(200) % 3
    p = np.array([favoured(*shown_by_chance(seed), batch, 200).p_value for seed in range(400)])
    assert (p < 0.05).mean() < 0.09
    assert p.min() > 1e-4


@pytest.mark.parametrize("spread", [0.3, 1.0])
def test_clips_that_every_viewer_is_shown_more_often_are_called_favoured(spread: float) -> None:
    found = favoured(*shown_by_chance(1, spread=spread), np.zeros(200, np.int64), 200)
    assert found.p_value < 1e-4
    assert found.size == pytest.approx(spread, rel=0.4)


def test_batches_that_came_on_different_days_are_not_favoured_clips() -> None:
    clip, fold, slots = shown_by_chance(2)
    batch = np.arange(200) // 100
    later = slots * np.where(batch[clip] == 1, 0.2, 1.0)
    assert favoured(clip, fold, later, batch, 200).p_value > 0.01
    assert favoured(clip, fold, later, np.zeros(200, np.int64), 200).p_value < 1e-4


def test_clips_of_no_batch_and_too_few_of_them_say_nothing() -> None:
    rows = shown_by_chance(3, spread=1.0)
    assert not favoured(*rows, np.full(200, -1), 200)
    assert not favoured(*rows, np.where(np.arange(200) < 20, 0, -1), 200)


def test_the_version_that_is_shown_more_than_it_is_due_is_found() -> None:
    clip, fold, slots = shown_by_chance(4)
    version = np.arange(200) % 4
    more = slots * np.where(version[clip] == 2, 1.5, 1.0)
    due, slack = np.full(200, 40.0), np.full(4, 0.1)
    for weight, expected in ((more, 2), (slots, None)):
        exposure = Exposure(clip, fold, slots, weight, weight, np.zeros(len(clip)))
        found, off = by_version(exposure, version, due, slack)
        assert (off.p_value < 1e-6) == (expected is not None)
        if expected is not None:
            assert (found, round(off.size, 1)) == (2, 0.5)
