"""Hierarchical empirical Bayes: what it refuses, what it borrows, and how close it comes to the truth."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import spearmanr

from clapometer.contestants import bayesian_average, observe, raw_mean, wilson_lower_bound
from clapometer.domain import InputError
from clapometer.labels import pairs_of_prompts, posterior_pairs
from clapometer.ranking import ClipAIPW, ClipRates, Estimate, HierarchicalBayes, Reason, Unranked, clip_rates
from clapometer.simulation import WorldConfig, build_world, compute_truth, fit_label, simulate_log


def rates(label: np.ndarray, exposure: np.ndarray) -> ClipRates:
    """Clips without logged propensities; the folds share exposure alike."""
    n = len(label)
    return ClipRates(
        unit=np.arange(n),
        label=label,
        exposure=exposure,
        weighted_label=np.zeros((n, 2)),
        weighted_exposure=np.zeros((n, 2)),
        impressions=exposure.sum(1),
    )


def world(
    n_prompts: int = 400, seed: int = 0, per_clip: float = 40.0
) -> tuple[np.ndarray, ClipRates, dict[str, np.ndarray]]:
    """Returns X, rates and truth of a world that obeys the model: 20 templates, 4 model versions, 3 clips a prompt."""
    rng = np.random.default_rng(seed)
    template = rng.integers(0, 20, n_prompts)
    effect, luck = rng.normal(0, 0.05, 20), rng.normal(0, 0.25, n_prompts)
    prompt, model = np.repeat(np.arange(n_prompts), 3), rng.integers(0, 4, 3 * n_prompts)
    version = np.array([-0.05, 0.0, 0.0, 0.05])
    base = 0.4 + effect[template]
    value = (base[prompt] + version[model]) * (1 + luck[prompt] + rng.normal(0, 0.2, len(prompt)))
    exposure = rng.exponential(per_clip / 2, (len(prompt), 2)) + 0.5
    label = rng.poisson(np.maximum(value, 0.02)[:, None] * exposure).astype(float)
    truth = {"prompt": base * (1 + luck), "template": effect, "clip": value, "of": template}
    return np.column_stack([model, prompt]), rates(label, exposure), truth


def test_nothing_shown_or_nothing_earned_is_refused() -> None:
    X, y, _ = world(10)
    nothing = np.zeros_like(y.label)
    with pytest.raises(InputError, match="nothing to learn"):
        HierarchicalBayes().fit(X, rates(nothing, y.exposure))
    with pytest.raises(InputError, match="nothing to learn"):
        HierarchicalBayes().fit(X, rates(nothing, nothing))


def test_wrong_shapes_and_nan_are_refused_by_name() -> None:
    X, y, _ = world(10)
    with pytest.raises(InputError, match="X"):
        HierarchicalBayes().fit(np.column_stack([X, X]), y)
    with pytest.raises(InputError, match="factors"):
        HierarchicalBayes().fit(X, y, factors=np.zeros((3, 1)))
    with pytest.raises(InputError, match="label"):
        rates(np.full((5, 2), np.nan), np.ones((5, 2)))
    with pytest.raises(InputError, match="exposure"):
        rates(np.ones((5, 2)), np.ones((5, 1)))


def test_prompts_are_covered_by_their_intervals_and_templates_too() -> None:
    covered, templates = [], []
    for seed in range(8):
        X, y, truth = world(seed=seed)
        fitted = HierarchicalBayes().fit(X, y, factors=truth["of"][:, None])
        gap = fitted.prompts_ - truth["prompt"]
        covered.append(np.mean(np.abs(gap - gap.mean()) < 1.96 * fitted.prompt_errors_))
        gap = fitted.factors_[0] - truth["template"]
        templates.append(np.mean(np.abs(gap - gap.mean()) < 1.96 * fitted.factor_errors_[0]))
    assert 0.92 < np.mean(covered) < 0.97
    assert 0.90 < np.mean(templates) < 0.99


def test_variances_are_those_of_the_world() -> None:
    found = []
    for seed in range(6):
        X, y, truth = world(n_prompts=1_500, seed=seed)
        fitted = HierarchicalBayes().fit(X, y, factors=truth["of"][:, None])
        found.append((fitted.prompt_variance_, fitted.clip_variance_, fitted.dispersion_))
    assert np.mean(found, axis=0) == pytest.approx([0.25**2, 0.2**2, 1.0], rel=0.2)


def test_a_prompt_without_data_borrows_from_its_template_and_is_not_ranked() -> None:
    X, y, truth = world(seed=3)
    best = int(truth["template"].argmax())
    factors = np.append(truth["of"], [best, -1])[:, None]
    fitted = HierarchicalBayes().fit(X, y, factors=factors)
    assert fitted.prompts_[400] > fitted.prompts_[401]
    reasons = {entry.item: entry.reason for entry in fitted.ranking() if isinstance(entry, Unranked)}
    assert reasons[400] == reasons[401] == Reason.NO_CLIPS


def test_a_prompt_with_three_impressions_is_not_ranked_for_want_of_evidence() -> None:
    X, y, _ = world(seed=4)
    scale = np.where(X[:, 1] == 7, 0.5 / y.exposure.sum(1), 1.0)[:, None]
    fitted = HierarchicalBayes().fit(X, dataclasses.replace(y, label=y.label * scale, exposure=y.exposure * scale))
    entry = next(entry for entry in fitted.ranking() if entry.item == 7)
    assert entry == Unranked(7, Reason.TOO_LITTLE_EVIDENCE)


def test_the_ranking_is_best_first_with_the_unranked_last() -> None:
    X, y, truth = world(seed=5)
    ranking = HierarchicalBayes(min_evidence=0.6).fit(X, y, factors=truth["of"][:, None]).ranking()
    ranked = [entry for entry in ranking if isinstance(entry, Estimate)]
    assert 0 < len(ranked) < len(ranking) == 400
    assert list(ranking[: len(ranked)]) == ranked
    assert [e.value for e in ranked] == sorted((e.value for e in ranked), reverse=True)
    assert all(e.interval.covers(e.value) and e.n_clips == 3 for e in ranked)


def test_templates_are_ranked_by_what_they_add() -> None:
    X, y, truth = world(n_prompts=2_000, seed=6)
    fitted = HierarchicalBayes().fit(X, y, factors=truth["of"][:, None])
    values = {entry.item: entry.value for entry in fitted.factor_ranking(0) if isinstance(entry, Estimate)}
    assert len(values) == 20
    assert spearmanr([values[t] for t in range(20)], truth["template"])[0] > 0.9


def test_the_order_of_the_clips_does_not_matter() -> None:
    X, y, _ = world(100, seed=7)
    order = np.random.default_rng(0).permutation(len(X))
    columns = {f.name: getattr(y, f.name)[order] for f in dataclasses.fields(y)}
    plain, shuffled = HierarchicalBayes().fit(X, y), HierarchicalBayes().fit(X[order], ClipRates(**columns))
    np.testing.assert_allclose(shuffled.prompts_, plain.prompts_, rtol=1e-9)
    np.testing.assert_allclose(shuffled.clips_, plain.clips_[order], rtol=1e-9)


def test_differences_are_antisymmetric_and_without_propensities_not_shrunk() -> None:
    X, y, _ = world(50, seed=8)
    fitted = HierarchicalBayes().fit(X, y)
    assert (fitted.tier_, fitted.slope_) == ("C", 1.0)
    left, right = np.array([0, 3, 0]), np.array([1, 4, 5])
    mean, spread = fitted.differences(left, right)
    back = fitted.differences(right, left)
    np.testing.assert_allclose(back[0], -mean)
    np.testing.assert_allclose(back[1], spread)
    assert (spread > 0).all()


def test_with_every_confounder_prompts_are_nearer_the_truth_than_by_any_usual_score() -> None:
    config = WorldConfig(n_prompts=1_000, n_sessions=12_000, n_viewers=6_000, bots=20)
    made = build_world(config, 1)
    log, label = simulate_log(made, 2), fit_label(made)
    truth = compute_truth(made, label, repeats=120).prompts
    seen = observe(made, log, label)
    y = clip_rates(seen.cells, seen.clips, ClipAIPW().fit(seen.cells, seen.clips).offsets_)
    X = np.column_stack([seen.clips.model[y.unit], seen.clips.prompt[y.unit]])
    factors = np.column_stack([made.prompts.template, made.prompts.topic, made.prompts.from_image])
    fitted = HierarchicalBayes().fit(X, y, factors=factors, stratum=made.prompts.topic)
    prompt, liked = made.clips.prompt[log.clip], log.like.astype(float)
    usual = [baseline(prompt, liked, 1_000) for baseline in (raw_mean, wilson_lower_bound, bayesian_average)]
    ours = spearmanr(fitted.prompts_, truth)[0]
    assert ours > 0.62
    assert ours > max(spearmanr(np.nan_to_num(b.values), truth)[0] for b in usual) + 0.15
    assert fitted.tier_ == "B"
    assert 0.4 < fitted.slope_ < 1.1
    gap = fitted.prompts_ - truth
    assert 0.88 < np.mean(np.abs(gap - gap.mean()) < 1.96 * fitted.prompt_errors_) < 0.99


def test_clips_of_strong_prompts_are_further_apart_and_less_is_known_of_them() -> None:
    X, y, truth = world(600, seed=4)
    fitted = HierarchicalBayes().fit(X, y)
    order = np.argsort(truth["prompt"] / (0.4 + truth["template"][truth["of"]]))
    weakest, strongest = (np.flatnonzero(np.isin(X[:, 1], some)) for some in (order[:60], order[-60:]))
    _, far = fitted.differences(strongest[:-1], strongest[1:])
    _, near = fitted.differences(weakest[:-1], weakest[1:])
    assert far.mean() > 1.1 * near.mean()


def test_what_is_not_known_of_the_spread_of_prompts_widens_their_intervals() -> None:
    X, y, _ = world(600, seed=5)
    fitted = HierarchicalBayes().fit(X, y)
    sure = fitted.prompt_errors_.mean()
    few = X[:, 1] < 25
    part = rates(y.label[few], y.exposure[few])
    doubtful = HierarchicalBayes().fit(X[few], part)
    assert doubtful.prompt_errors_.mean() > 1.1 * sure


@pytest.mark.parametrize(("prompts", "shown"), [(30, 4), (30, 12), (200, 4), (200, 20)])
def test_few_impressions_make_no_pair_of_clips_certain(prompts: int, shown: int) -> None:
    """Where the spread of single clips cannot be told from nothing it is not nothing."""
    said, right = [], []
    for seed in range(6000 // (prompts * shown) + 4):
        rng = np.random.default_rng(seed)
        prompt, model = np.repeat(np.arange(prompts), 3), np.tile(np.arange(3), prompts)
        value = 0.2 + 0.1 * model + rng.normal(0, 0.08, prompts)[prompt] + rng.normal(0, 0.12, 3 * prompts)
        exposure = np.full((3 * prompts, 2), shown / 2)
        liked = rng.binomial(shown // 2, np.clip(value, 0.02, 0.98)[:, None], (3 * prompts, 2)).astype(float)
        rates = ClipRates(np.arange(3 * prompts), liked, exposure, liked, exposure, exposure.sum(1))
        fitted = HierarchicalBayes().fit(np.column_stack([model, prompt]), rates)
        left, other = pairs_of_prompts(prompt, rates.impressions)
        chance = posterior_pairs(fitted, left, other, rates.impressions).p_left
        said.append(np.maximum(chance, 1 - chance))
        right.append((chance > 0.5) == (value[left] > value[other]))
    sure = np.concatenate(said) > 0.9
    assert np.concatenate(right)[sure].mean() > np.concatenate(said)[sure].mean() - 0.06
