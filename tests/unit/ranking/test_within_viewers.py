"""Versions compared within viewers, and the test that viewers were offered the same."""

import numpy as np
import pytest
from numpy.typing import NDArray

from clapometer.domain import InputError
from clapometer.ranking import PromptFixedEffects, Views, leaning, within_viewers

Floats = NDArray[np.float64]


def offered(seed: int, *, lean: float, viewers: int = 600, n: int = 9_000, items: int = 3) -> tuple[Views, Floats]:
    """Views of viewers whose level differs twofold, and labels; item 0 is worth 0.1 more, for everybody."""
    random = np.random.default_rng(seed)
    viewer = random.integers(0, viewers, n)
    lenient = viewer % 2
    weight = np.ones((2, items))
    weight[1, 1:] *= lean
    weight[0, 0] *= lean
    reach = np.cumsum(weight / weight.sum(1, keepdims=True), 1)[lenient]
    item = (reach < random.random((n, 1))).sum(1)
    prompt = random.integers(0, 60, n)
    label = 0.3 + 0.3 * lenient + 0.1 * (item == 0) + 0.002 * prompt + random.normal(0, 0.3, n)
    return Views(item, prompt, viewer, np.ones(n)), label


def test_an_effect_within_viewers_does_not_depend_on_who_was_offered_what() -> None:
    views, label = offered(0, lean=5.0)
    naive = [float(label[views.item == item].mean()) for item in range(3)]
    assert naive[0] < min(naive[1:])
    fit = within_viewers(views, label, 3, curvature=0.0)
    assert fit.effects == pytest.approx([0.0667, -0.0333, -0.0333], abs=0.025)
    assert fit.doubt == ""


def test_clip_scores_are_means_without_viewers_parts() -> None:
    views, label = offered(1, lean=5.0)
    fit = within_viewers(views, label, 3, curvature=0.0)
    scores, mass = fit.clip_scores(views, views.item, 4)
    assert mass.sum() == len(label)
    assert mass[3] == scores[3] == 0
    assert scores[0] - scores[1] == pytest.approx(0.1, abs=0.04)


def test_intervals_hold_the_effects_of_other_viewers_like_these() -> None:
    held = []
    for seed in range(60):
        views, label = offered(seed, lean=5.0, viewers=300, n=1_500)
        fit = within_viewers(views, label, 3, curvature=0.0)
        scores, mass = fit.clip_scores(views, views.prompt * 3 + views.item, 180)
        kept = np.flatnonzero(mass)
        ranked = PromptFixedEffects().fit(
            np.column_stack([kept % 3, kept // 3]), scores[kept], opportunity=mass[kept], shared=fit.covariance
        )
        held.append(abs(ranked.effects_[0] - 0.2 / 3) <= 1.96 * np.sqrt(ranked.covariance_[0, 0]))
    assert sum(held) >= 52  # of 60, where 57 are expected


@pytest.mark.parametrize(("n", "viewers"), [(300, 10), (2_000, 400_000)])
def test_viewers_who_saw_too_little_leave_a_doubt(n: int, viewers: int) -> None:
    views, label = offered(3, lean=1.0, n=n, viewers=viewers)
    assert within_viewers(views, label, 3).doubt


def test_viewers_of_one_version_each_leave_a_doubt() -> None:
    views, label = offered(4, lean=1.0)
    sticky = Views(views.viewer % 3, views.prompt, views.viewer, views.weight)
    assert within_viewers(sticky, label, 3).doubt


def test_candidates_that_depend_on_the_viewer_are_noticed() -> None:
    views, _ = offered(5, lean=1.6)
    found = leaning(views, np.zeros(len(views.item), np.int64), 3)
    assert found.p_value < 1e-6
    assert 0.05 < found.spread < 0.2


def test_viewers_who_are_offered_the_same_are_accused_as_rarely_as_promised() -> None:
    day = np.random.default_rng(0).integers(0, 9, 3_000)
    values = [leaning(offered(seed, lean=1.0, n=3_000)[0], day, 3).p_value for seed in range(100)]
    assert sum(value < 0.05 for value in values) <= 11  # 5 are expected; more is a chance of one in two hundred


def test_neither_a_launch_nor_a_taste_for_prompts_passes_for_leaning() -> None:
    random = np.random.default_rng(6)
    n = 9_000
    viewer = random.integers(0, 600, n)
    day = (viewer % 6 + random.integers(0, 2, n)).astype(np.int64)  # viewers come on days of their own
    prompt = (viewer % 3 * 20 + random.integers(0, 20, n)).astype(np.int64)  # and look at prompts of their own
    launched = (random.random(n) < 0.5) & (day >= 3)
    item = np.where(launched, 2, np.where(random.random(n) < 0.2 + 0.01 * prompt, 1, 0))
    assert leaning(Views(item, prompt, viewer, np.ones(n)), day, 3).p_value > 0.01


def test_nobody_seen_twice_is_no_test() -> None:
    n = 50
    views = Views(np.arange(n) % 2, np.arange(n) % 5, np.arange(n), np.ones(n))
    assert leaning(views, np.zeros(n, np.int64), 2).item == -1


@pytest.mark.parametrize(
    ("changed", "field"),
    [({"weight": np.array([1.0, -1.0])}, "weight"), ({"viewer": np.zeros(3, np.int64)}, "viewer")],
)
def test_columns_that_cannot_be_are_named(changed: dict[str, Floats], field: str) -> None:
    columns = {name: np.zeros(2, np.int64) for name in ("item", "prompt", "viewer")} | {"weight": np.ones(2)}
    with pytest.raises(InputError) as refused:
        Views(**(columns | changed))
    assert refused.value.field == field
