import numpy as np
import pytest

from clapometer.domain import InputError
from clapometer.ranking import PromptFixedEffects
from clapometer.ranking.scrutiny.audit import (
    days_until_visible,
    effective_sample_size,
    fake_reactions_to_flip,
    fewest_to_flip,
    placebo,
    sample_ratio_p_value,
)


def clips(effect=0.5, n_prompts=120, seed=0):
    random = np.random.default_rng(seed)
    prompt = np.repeat(np.arange(n_prompts), 3)
    model = np.tile(np.arange(3), n_prompts)
    score = effect * (model == 2) + random.normal(0, 1, n_prompts)[prompt] + random.normal(0, 0.5, len(prompt))
    return np.column_stack([model, prompt]), score


def test_shuffled_labels_give_nominal_false_positives():
    X, score = clips()
    audit = placebo(X, score, seed=1, repeats=80)
    assert 0.01 < audit.rate < 0.10
    assert audit.p_value > 0.01
    assert audit.intervals == 240


def test_a_placebo_of_what_cannot_be_ranked_says_nothing():
    X, score = clips(n_prompts=5)
    audit = placebo(X, score, seed=1, repeats=3)
    assert (audit.intervals, audit.p_value) == (0, 1.0)
    assert np.isnan(audit.rate)


def test_removing_the_named_prompts_dethrones_the_leader():
    X, score = clips(effect=0.15, seed=3)
    fitted = PromptFixedEffects().fit(X, score)
    flip = fewest_to_flip(fitted.items_, fitted.effects_, fitted.prompt_scores_)
    kept = ~np.isin(X[:, 1], fitted.prompts_[flip.removed])
    again = PromptFixedEffects().fit(X[kept], score[kept])
    assert flip.first == fitted.items_[fitted.effects_.argmax()]
    assert again.items_[again.effects_.argmax()] == flip.second
    assert flip.share == len(flip.removed) / len(fitted.prompts_)


def test_a_leader_that_no_cluster_carries_cannot_be_dethroned():
    flip = fewest_to_flip(np.array([4, 7]), np.array([1.0, 0.0]), np.zeros((5, 2)))
    assert (flip.first, flip.second, flip.removed) == (4, 7, None)
    assert np.isnan(flip.share)


def test_one_item_has_no_rival():
    with pytest.raises(InputError):
        fewest_to_flip(np.array([0]), np.array([1.0]), np.zeros((5, 1)))


def test_twice_the_influence_needs_half_the_fakes():
    assert fake_reactions_to_flip(1.0, 0.01) == 100
    assert fake_reactions_to_flip(1.0, 0.02) == 50
    assert fake_reactions_to_flip(0.0, 0.02) == 1
    with pytest.raises(InputError):
        fake_reactions_to_flip(1.0, 0.0)


def test_the_effective_sample_size_is_the_sample_size_for_equal_weights():
    assert effective_sample_size(np.full(10, 3.0)) == pytest.approx(10.0)
    assert effective_sample_size(np.array([1.0, 0.0])) == pytest.approx(1.0)
    assert effective_sample_size(np.zeros(3)) == 0.0


def test_half_the_difference_takes_four_times_the_days():
    once = days_until_visible(0.01, 28, 0.04)
    assert days_until_visible(0.01, 28, 0.02) == pytest.approx(4 * once)
    with pytest.raises(InputError):
        days_until_visible(0.01, 28, 0.0)


def test_a_lost_arm_shows_in_the_sample_ratio():
    plan = {"a": 1.0, "b": 1.0}
    assert sample_ratio_p_value({"a": 5010, "b": 4990}, plan) > 0.5
    assert sample_ratio_p_value({"a": 5500, "b": 4500}, plan) < 1e-6
    for observed, planned in (({"a": 1}, plan), ({"a": 0, "b": 0}, plan), ({"a": 1}, {"a": 0.0})):
        with pytest.raises(InputError):
            sample_ratio_p_value(observed, planned)
