import numpy as np
import pytest

from clapometer.domain import InputError
from clapometer.ranking import PromptFixedEffects, Ranked, Reason, Unranked


def prompts_of_clips(n_prompts=200, n_models=4, seed=0, effects=None, difficulty=1.0):
    """Clips of every model version for every prompt, with known effects."""
    random = np.random.default_rng(seed)
    effects = np.linspace(-0.3, 0.3, n_models) if effects is None else effects
    prompt = np.repeat(np.arange(n_prompts), n_models)
    model = np.tile(np.arange(n_models), n_prompts)
    score = effects[model] + random.normal(0, difficulty, n_prompts)[prompt] + random.normal(0, 0.1, len(prompt))
    return np.column_stack([model, prompt]), score


def test_prompt_difficulty_does_not_move_the_effects():
    X, score = prompts_of_clips(difficulty=0.0)
    harder = score + 100.0 * np.random.default_rng(1).normal(size=X[:, 1].max() + 1)[X[:, 1]]
    plain, shifted = PromptFixedEffects().fit(X, score), PromptFixedEffects().fit(X, harder)
    np.testing.assert_allclose(plain.effects_, shifted.effects_, atol=1e-9)
    np.testing.assert_allclose(plain.covariance_, shifted.covariance_, atol=1e-9)


def test_a_balanced_design_gives_the_differences_of_the_means():
    X, score = prompts_of_clips()
    means = np.array([score[X[:, 0] == m].mean() for m in range(4)])
    fitted = PromptFixedEffects().fit(X, score)
    np.testing.assert_allclose(fitted.effects_, means - means.mean(), atol=1e-9)
    assert fitted.level_ == pytest.approx(means.mean())


def test_the_covariance_is_the_jackknife_over_prompts():
    X, score = prompts_of_clips(n_prompts=30)
    keep = np.random.default_rng(3).random(len(X)) < 0.7
    X, score = X[keep], score[keep]
    fitted = PromptFixedEffects(min_prompts=5).fit(X, score)
    without = np.array(
        [
            PromptFixedEffects(min_prompts=2).fit(X[X[:, 1] != p], score[X[:, 1] != p]).effects_
            for p in np.unique(X[:, 1])
        ]
    )
    moved = without - fitted.effects_
    np.testing.assert_allclose(fitted.covariance_, moved.T @ moved, rtol=1e-6, atol=1e-12)


def test_the_places_carry_intervals_rank_ranges_and_chances():
    X, score = prompts_of_clips()
    ranking = PromptFixedEffects().fit(X, score).ranking()
    assert [place.item for place in ranking if isinstance(place, Ranked)] == [3, 2, 1, 0]
    assert ranking[0].rank_range == (1, 1)
    assert ranking[0].interval.covers(0.3)
    assert sum(place.probability_best for place in ranking) == pytest.approx(1.0)
    assert ranking[0].n_clips == ranking[0].n_prompts == 200


def test_model_versions_that_meet_nobody_are_unranked_with_the_reason():
    X, score = prompts_of_clips()
    alone = np.column_stack([np.full(50, 4), np.arange(1000, 1050)])
    apart = np.column_stack([np.tile([5, 6], 50), np.repeat(np.arange(2000, 2050), 2)])
    few = np.column_stack([np.full(3, 7), np.arange(3)])
    everything = np.concatenate([X, alone, apart, few])
    noise = np.random.default_rng(2).normal(size=len(everything) - len(X))
    fitted = PromptFixedEffects().fit(everything, np.concatenate([score, noise]), n_items=9)
    assert fitted.items_.tolist() == [0, 1, 2, 3]
    assert fitted.unranked_ == (
        Unranked(4, Reason.NO_OVERLAP),
        Unranked(5, Reason.DISCONNECTED),
        Unranked(6, Reason.DISCONNECTED),
        Unranked(7, Reason.TOO_FEW_PROMPTS),
        Unranked(8, Reason.NO_CLIPS),
    )
    np.testing.assert_allclose(fitted.effects_, PromptFixedEffects().fit(X, score).effects_, atol=1e-9)


@pytest.mark.parametrize(
    ("X", "reasons"),
    [
        (np.zeros((30, 2), int), [Reason.ONE_ITEM]),
        (np.zeros((0, 2), int), []),
        (np.array([[0, 0], [1, 0]]), [Reason.TOO_FEW_PROMPTS, Reason.TOO_FEW_PROMPTS]),
    ],
    ids=["one model version", "empty lake", "one prompt"],
)
def test_what_cannot_be_compared_gets_a_reason_and_no_number(X, reasons):
    fitted = PromptFixedEffects().fit(X, np.zeros(len(X)))
    assert [place.reason for place in fitted.ranking()] == reasons
    assert len(fitted.effects_) == 0


@pytest.mark.parametrize(
    ("X", "y", "weight", "field"),
    [
        (np.zeros((2, 2), int), [1.0, np.nan], None, "y"),
        (np.zeros((2, 2), int), [1.0, 1.0], [np.nan, 1.0], "sample_weight"),
        (np.zeros((2, 2), int), [1.0, 1.0], [-1.0, 1.0], "sample_weight"),
        (np.zeros((2, 2)), [1.0, 1.0], None, "X"),
        (np.zeros((3, 2), int), [1.0, 1.0], None, "X"),
    ],
)
def test_malformed_input_names_the_field(X, y, weight, field):
    with pytest.raises(InputError) as error:
        PromptFixedEffects().fit(X, y, sample_weight=weight)
    assert error.value.field == field


@pytest.mark.parametrize("score", [0.0, 1.0, 0.125])
def test_ties_everywhere_give_a_reason_and_no_number(score):
    X, _ = prompts_of_clips()
    fitted = PromptFixedEffects().fit(X, np.full(len(X), score))
    assert [place.reason for place in fitted.ranking()] == [Reason.NO_DIFFERENCE] * 4
    assert len(fitted.effects_) == 0


def test_parameters_follow_the_scikit_learn_convention():
    from sklearn.base import clone

    fitted = clone(PromptFixedEffects(interaction_ridge=3.0))
    assert fitted.get_params() == {
        "interaction_ridge": 3.0, "min_prompts": 20, "level": 0.95, "seed": 0, "curvature": 0.0, "borrow": False,
    }  # fmt: skip


def uneven_prompts(seed=0, n_prompts=4000):
    """Effects that are proportional to the prompt's level, and model versions that got other prompts than others."""
    random = np.random.default_rng(seed)
    level = np.exp(random.normal(0, 0.4, n_prompts))
    level /= level.mean()
    gain = np.array([0.1, 0.0, -0.1])
    prompt = np.repeat(np.arange(n_prompts), 3)
    odds = np.exp(1.5 * np.outer(level - 1, [-1.0, 0.0, 1.0]))[prompt]
    model = (random.random((len(prompt), 1)) > (odds / odds.sum(1, keepdims=True)).cumsum(1)).sum(1)
    score = level[prompt] * (1 + gain[model]) + random.normal(0, 0.05, len(prompt))
    return np.column_stack([model, prompt]), score, gain


def test_an_item_that_got_hard_prompts_is_not_worse_for_it():
    X, score, gain = uneven_prompts()
    flat, bent = PromptFixedEffects().fit(X, score), PromptFixedEffects(curvature=1.0).fit(X, score)
    error = np.sqrt(np.diag(bent.prompt_scores_.T @ bent.prompt_scores_))
    assert np.abs(flat.effects_ - gain).max() > 4 * error.max()
    assert np.abs(bent.effects_ - gain).max() < 3 * error.max()


def test_what_is_not_known_of_the_curvature_is_in_the_interval():
    X, score, _ = uneven_prompts()
    additive, half, proportional = (PromptFixedEffects(curvature=k).fit(X, score) for k in (0.0, 0.5, 1.0))
    assert not additive.curvature_slope_.any()
    np.testing.assert_allclose(additive.covariance_, additive.prompt_scores_.T @ additive.prompt_scores_)
    # The deviation of a uniform is 1 / sqrt(12) of the way from one end to the other.
    apart = np.abs(proportional.effects_ - additive.effects_)
    unknown = np.sqrt(np.diag(half.covariance_ - half.prompt_scores_.T @ half.prompt_scores_))
    assert apart.max() / np.sqrt(12) == pytest.approx(unknown.max(), rel=0.1)


def test_curvature_changes_nothing_where_every_prompt_met_all_or_there_is_no_level():
    X, score = prompts_of_clips()
    plain, bent = PromptFixedEffects().fit(X, score + 2), PromptFixedEffects(curvature=0.5).fit(X, score + 2)
    np.testing.assert_allclose(bent.effects_, plain.effects_, atol=1e-9)
    below = PromptFixedEffects(curvature=0.5).fit(X, score - 5)
    np.testing.assert_allclose(below.covariance_, PromptFixedEffects().fit(X, score - 5).covariance_)


def uneven_clips(seed=0, n_prompts=1500, n_strata=6, interaction=0.0):
    """Few clips per prompt, of very unequal precision; later items get harder prompts and their own strata."""
    random = np.random.default_rng(seed)
    effects, age = np.array([-0.1, 0.0, 0.1, 0.0]), np.array([-1.5, -0.5, 0.5, 1.5])
    stratum, level = random.integers(0, n_strata, n_prompts), random.normal(0, 0.3, n_prompts)
    by_stratum = random.normal(0, interaction, (4, n_strata))
    by_stratum -= by_stratum.mean(1, keepdims=True)
    likes = random.normal(0, 0.7, (4, n_strata))
    prompt = np.repeat(np.arange(n_prompts), 1 + random.poisson(2, n_prompts))
    pull = -2.0 * level[prompt, None] * age + likes.T[stratum[prompt]]
    item = (pull + random.gumbel(size=pull.shape)).argmax(1)
    opportunity = np.exp(random.normal(2, 1, len(prompt)))
    value = level[prompt] + effects[item] + by_stratum[item, stratum[prompt]]
    score = value + random.normal(size=len(prompt)) / np.sqrt(opportunity)
    truth = effects + by_stratum @ np.bincount(stratum, minlength=n_strata) / n_prompts
    return np.column_stack([item, prompt, stratum[prompt]]), score, opportunity, truth - truth.mean()


@pytest.mark.parametrize("interaction", [0.0, 0.2])
def test_what_is_borrowed_narrows_the_intervals_and_they_still_hold_the_truth(interaction):
    ratios, errors = [], []
    for seed in range(12):
        X, score, opportunity, truth = uneven_clips(seed, interaction=interaction)
        plain = PromptFixedEffects().fit(X, score, opportunity=opportunity)
        borrowed = PromptFixedEffects(borrow=True).fit(X, score, opportunity=opportunity)
        ratios.append(np.trace(borrowed.covariance_) / np.trace(plain.covariance_))
        errors.append((borrowed.effects_ - truth) / np.sqrt(np.diag(borrowed.covariance_)))
    assert np.mean(ratios) < 0.96
    # whoever gets the hard prompts is not worse for it: no item is off by more than its mean's error allows
    assert np.abs(np.mean(errors, axis=0)).max() * np.sqrt(12) < 3.5
    assert 0.6 < np.mean(np.square(errors)) < 1.5


def test_with_few_prompts_nothing_is_borrowed_for_their_levels():
    X, score, opportunity, _ = uneven_clips(n_prompts=60, n_strata=1)
    plain, borrowed = (
        PromptFixedEffects(borrow=b).fit(X[:, :2], score, opportunity=opportunity) for b in (False, True)
    )
    np.testing.assert_allclose(borrowed.effects_, plain.effects_, atol=1e-12)
    np.testing.assert_allclose(borrowed.covariance_, plain.covariance_, atol=1e-12)


def test_influence_of_scores_is_the_derivative_with_borrowed_levels_too():
    X, score, opportunity, _ = uneven_clips(n_prompts=400)
    fitted = PromptFixedEffects(borrow=True).fit(X, score, opportunity=opportunity)
    influence = fitted.score_influence(2, 0)
    assert influence.shape == score.shape
    moved = PromptFixedEffects(borrow=True)
    row = int(np.abs(influence).argmax())
    nudged = score.copy()
    nudged[row] += 1e-4
    moved.fit(X, nudged, opportunity=opportunity)
    change = (moved.effects_ - fitted.effects_)[[2, 0]] @ [1, -1]
    assert change / 1e-4 == pytest.approx(influence[row], rel=0.1)
