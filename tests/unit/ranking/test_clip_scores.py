import numpy as np
import pytest

from clapometer.domain import InputError
from clapometer.ranking import ClipAIPW, ClipCells, ClipTable, opportunities, position_curve
from clapometer.ranking.days.offsets import MOST_SHIFT


def one_world(seed=0, n_clips=40, n_impressions=40_000):
    """Impressions whose chance grows with the clip's quality, and their logged propensities."""
    random = np.random.default_rng(seed)
    quality = random.uniform(0.1, 0.6, n_clips)
    chance = 0.1 / n_clips + 0.9 * quality**2 / (quality**2).sum()
    clip = random.choice(n_clips, n_impressions, p=chance)
    position = random.integers(0, 3, n_impressions)
    examination = np.array([1.5, 1.0, 0.5])[position]
    label = (random.random(n_impressions) < quality[clip] * examination).astype(float)
    return {
        "quality": quality,
        "clip": clip,
        "day": random.integers(0, 5, n_impressions),
        "fold": random.integers(0, 2, n_impressions),
        "label": label,
        "examination": examination,
        "weight": 1.0 / (chance[clip] * n_clips),
    }


def cells_of(world, keep=slice(None)):
    columns = {name: world[name][keep] for name in ("clip", "day", "fold", "label", "examination", "weight")}
    return ClipCells.from_impressions(**columns)


def table(world, opportunity=None, published=0, model=None):
    n = len(world["quality"])
    zeros = np.zeros(n, int)
    model = zeros if model is None else model
    return ClipTable(np.arange(n), model, np.arange(n), zeros + published, opportunity=opportunity)


def test_scores_are_the_clips_means_under_uniform_exposure():
    world = one_world()
    n = len(world["quality"])
    known = ClipAIPW().fit(cells_of(world), table(world, np.full(n, 40_000 / n)))
    unknown = ClipAIPW().fit(cells_of(world), table(world))
    for scores in (known, unknown):
        assert np.abs(scores.scores_ - world["quality"]).max() < 0.12
        assert abs((scores.scores_ - world["quality"]).mean()) < 0.01
    assert unknown.normalised_.all()
    assert not known.normalised_.any()


def test_cells_of_disjoint_impressions_add_up():
    world = one_world()
    half = np.arange(40_000) < 20_000
    whole = ClipAIPW().fit(cells_of(world), table(world))
    summed = ClipAIPW().fit(cells_of(world, half) + cells_of(world, ~half), table(world))
    np.testing.assert_allclose(summed.scores_, whole.scores_, rtol=1e-9)


def test_scores_scale_with_the_label():
    world = one_world()
    plain = ClipAIPW().fit(cells_of(world), table(world))
    doubled = ClipAIPW().fit(cells_of(world | {"label": 2.0 * world["label"]}), table(world))
    np.testing.assert_allclose(doubled.scores_, 2.0 * plain.scores_, rtol=1e-6)


def test_a_repost_counts_for_its_original():
    world = one_world()
    n = len(world["quality"])
    zeros = np.zeros(n, int)
    unit = np.arange(n)
    unit[1] = 0
    clips = ClipTable(unit, zeros, np.arange(n), zeros, opportunity=np.full(n, 1000.0))
    scores = ClipAIPW().fit(cells_of(world), clips)
    assert 1 not in scores.units_
    assert scores.impressions_[0] == (world["clip"] < 2).sum()
    assert scores.opportunities_[0] == 1000.0


def test_a_clip_that_was_never_shown_scores_its_prior():
    world = one_world()
    shown = world["clip"] != 5
    n = len(world["quality"])
    scores = ClipAIPW().fit(cells_of(world, shown), table(world, np.full(n, 1000.0)))
    assert scores.impressions_[5] == 0
    assert 0.2 < scores.scores_[5] < 0.6


def test_an_impression_without_propensity_informs_the_prior_only():
    world = one_world() | {"weight": np.zeros(40_000)}
    assert len(ClipAIPW().fit(cells_of(world), table(world)).scores_) == 0


def test_nothing_to_score_is_an_error_that_says_so():
    world = one_world()
    with pytest.raises(InputError, match="mean label"):
        ClipAIPW().fit(cells_of(world, np.zeros(40_000, bool)), table(world))
    with pytest.raises(InputError, match="NaN"):
        cells_of(world | {"label": np.full(40_000, np.nan)})


def test_an_opportunity_is_the_expected_number_of_impressions_under_uniform_exposure():
    slots = np.array([1.0, 2.0, 4.0])
    np.testing.assert_allclose(opportunities(slots, np.array([0, 1, 2, 3])), [7.0, 6.0, 4.0, 0.0])
    np.testing.assert_allclose(opportunities(slots, np.array([0, 1]), np.array([2, 1])), [3.0, 0.0])


def test_the_position_curve_comes_from_explored_slots_alone():
    position = np.tile(np.arange(10), 2)
    surface = np.repeat([0, 1], 10)
    truth = np.where(surface == 0, 1.0, 0.7) / (1 + 0.2 * position)
    curve = position_curve(surface, position, np.full(20, 5000.0), np.full(20, 500.0), 500.0 * 0.3 * truth)
    np.testing.assert_allclose(curve, truth / truth.mean(), rtol=0.02)
    assert curve.mean() == pytest.approx(1.0)


def test_without_exploration_the_curve_is_flat():
    curve = position_curve(np.zeros(3, int), np.arange(3), np.full(3, 9.0), np.zeros(3), np.zeros(3))
    np.testing.assert_array_equal(curve, np.ones(3))


def _young(labels, days, ages=None):
    """Two clips of one prompt, shown to two viewer folds on some days."""
    n = len(labels)
    index = np.arange(n)
    cells = ClipCells.from_impressions(
        index % 2, np.array(days), index // 2 % 2, label=np.array(labels, float), examination=np.ones(n),
        weight=np.ones(n),
    )  # fmt: skip
    zeros = np.zeros(2, int)
    return cells, ClipTable(np.arange(2), np.arange(2), zeros, zeros if ages is None else np.array(ages))


@pytest.mark.parametrize(
    ("labels", "days"),
    [
        ([1.0] * 2 + [0.0] * 40, [0] * 2 + [7] * 40),
        ([1.0] + [0.0] * 20, [0] + [7] * 20),
        ([0.0] * 40 + [1.0] * 2, [0] * 40 + [3000] * 2),
        ([1.0] * 20 + [0.0] * 20, [0] * 20 + [1] * 20),
        ([1.0, 0.0] * 30, [0] * 60),
        ([5.0] + [-1.0] * 4, [0, 1, 2, 3, 4]),
        ([1.0], [9]),
    ],
)
@pytest.mark.filterwarnings("error")
def test_labels_that_a_day_or_an_age_tells_apart_entirely_give_scores_that_are_numbers(labels, days):
    for ages in (None, [0, 9]):
        fitted = ClipAIPW().fit(*_young(labels, days, ages))
        assert np.isfinite(fitted.scores_).all()
        assert np.abs(fitted.scores_).max() <= 20 * np.abs(labels).max()
        assert max(np.abs(fitted.offsets_.day).max(), np.abs(fitted.offsets_.age).max()) <= MOST_SHIFT


def drifting(world):
    """The same world, in which every label grows from day to day; its clips are old, so that age tells nothing."""
    return world | {"label": world["label"] * (0.6 + 0.2 * world["day"])}


def test_a_stray_day_years_before_all_others_moves_no_score():
    world = drifting(one_world())
    late = world | {"day": world["day"] + 2_250}
    odd = {name: np.append(column, column[0] if name != "day" else 0) for name, column in late.items()}
    odd["quality"] = world["quality"]
    plain, stray = (
        ClipAIPW().fit(cells_of(each), table(world, np.full(40, 1000.0), published=-100)) for each in (late, odd)
    )
    np.testing.assert_allclose(stray.scores_, plain.scores_, atol=0.01)
    np.testing.assert_allclose(stray.offsets_.day[2_250:], plain.offsets_.day[2_250:], atol=0.01)
    assert np.ptp(plain.offsets_.day[2_250:]) > 0.5


def test_a_pause_takes_no_time():
    world = drifting(one_world())
    # whole weeks: a weekday stays one
    paused = world | {"day": world["day"] + 203 * (world["day"] > 2)}
    plain, found = (ClipAIPW().fit(cells_of(each), table(world, published=-100)) for each in (world, paused))
    np.testing.assert_allclose(found.scores_, plain.scores_, rtol=1e-9)
    assert np.ptp(plain.offsets_.day) > 0.5


def test_a_group_whose_labels_are_all_0_does_not_keep_the_others_from_their_day_curve():
    world = drifting(one_world())
    world["label"] *= world["clip"] > 0
    models = np.minimum(np.arange(40), 1)
    fitted = ClipAIPW().fit(cells_of(world), table(world, published=-100, model=models))
    assert np.ptp(fitted.offsets_.day) > 0.5


def test_a_clip_that_had_next_to_no_chance_is_shrunk_not_blown_up():
    world = one_world()
    chances = np.full(40, 1000.0)
    chances[0] = 1e-3
    fitted = ClipAIPW().fit(cells_of(world), table(world, chances))
    assert abs(fitted.scores_[0]) < 100
    assert fitted.opportunities_[0] == 50.0


@pytest.mark.parametrize(("explored", "earned"), [(0.0, 0.0), (1.0, 2.0), (1.0, -1.0)])
def test_one_slot_far_below_all_others_bends_no_curve(explored, earned):
    position = np.arange(5)
    slots, by_chance, label = np.full(5, 80.0), np.full(5, 30.0), 30 * np.array([0.5, 0.42, 0.38, 0.35, 0.33])
    surface = np.zeros(6, int)
    plain = position_curve(surface[:5], position, slots, by_chance, label)
    far = position_curve(
        surface, np.append(position, 10_000), np.append(slots, 1.0), np.append(by_chance, explored),
        np.append(label, earned),
    )  # fmt: skip
    np.testing.assert_allclose(far[:5], plain, rtol=0.06)
    assert far[5] == pytest.approx(far[4])
