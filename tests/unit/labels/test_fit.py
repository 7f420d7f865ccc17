"""Fitting weights to an anchor: what is refused, what is learnt, and how near the truth it leads."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import kendalltau

from clapometer.contestants import observe
from clapometer.domain import InputError
from clapometer.labels import DEFAULT_RULE, SignalName, decode_rule, encode_rule, fit_to_outcome, fit_to_votes
from clapometer.simulation import SIGNALS, WorldConfig, build_world, compute_truth, fit_label, simulate_log

NAMES: tuple[SignalName, ...] = ("watch", "like", "save")
TRUE = np.array([0.2, 2.0, 0.1])


def votes(n: int = 2_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    gaps = rng.normal(size=(n, 3)) * [0.1, 0.3, 0.2]
    return gaps, (rng.random(n) < expit(4 * gaps @ TRUE)).astype(float)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda g, r: (g[:10], r[:10]), "fewer than 50"),
        (lambda g, r: (g[:, :2], r), "signals: has shape"),
        (lambda g, r: (np.where(g > 0, np.nan, g), r), "signals: must be finite"),
        (lambda g, r: (g, np.full(len(r), np.nan)), "anchor: must be 1, 0"),
        (lambda g, r: (g, np.ones(len(r))), "every row says the same"),
        (lambda g, r: (np.zeros_like(g), r), "never differ"),
    ],
)
def test_an_anchor_that_says_nothing_is_refused(change: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        fit_to_votes(DEFAULT_RULE, NAMES, *change(*votes()))


def test_many_votes_give_the_weights_that_made_them() -> None:
    gaps, result = votes(30_000)
    fitted = fit_to_votes(DEFAULT_RULE, NAMES, gaps, result)
    found = np.array([fitted.rule.weights.of(name) for name in NAMES])
    assert found / found[1] == pytest.approx(TRUE / TRUE[1], abs=0.06)
    assert fitted.slope == pytest.approx(1.0, abs=0.1)
    assert fitted.log_loss < fitted.log_loss_before < fitted.log_loss_constant == pytest.approx(np.log(2))


def test_few_votes_leave_the_rule_nearly_as_it_was() -> None:
    rng = np.random.default_rng(1)
    gaps = rng.normal(size=(60, 3)) * [0.1, 0.3, 0.2]
    prior = np.array([DEFAULT_RULE.weights.of(name) for name in NAMES])
    result = (rng.random(60) < expit(6 * gaps @ prior)).astype(float)
    fitted = fit_to_votes(DEFAULT_RULE, NAMES, gaps, result)
    found = np.array([fitted.rule.weights.of(name) for name in NAMES])
    assert np.corrcoef(found, prior)[0, 1] > 0.95
    assert np.abs(found).sum() == pytest.approx(np.abs(prior).sum(), rel=1e-4)


def test_ties_are_half_a_win_for_either_side() -> None:
    gaps, result = votes()
    tied = np.where(np.arange(len(result)) % 4 == 0, 0.5, result)
    doubled = np.concatenate([np.where(tied == 0.5, 1.0, tied), np.where(tied == 0.5, 0.0, tied)])
    once = fit_to_votes(DEFAULT_RULE, NAMES, gaps, tied, strength=60)
    twice = fit_to_votes(DEFAULT_RULE, NAMES, np.vstack([gaps, gaps]), doubled, strength=120)
    for name in NAMES:
        assert once.rule.weights.of(name) == pytest.approx(twice.rule.weights.of(name), abs=1e-4)


def test_the_fitted_rule_is_a_new_version_that_names_its_anchor_and_reads_back() -> None:
    fitted = fit_to_votes(DEFAULT_RULE, NAMES, *votes()).rule
    assert (fitted.id, fitted.anchor) == ("default-fitted@2", "2000 votes")
    assert fitted.weights.share == DEFAULT_RULE.weights.share
    assert decode_rule({"name": "x", "version": 1}).anchor == ""
    assert encode_rule(fitted) != encode_rule(DEFAULT_RULE)


def test_an_outcome_is_an_anchor_too() -> None:
    rng = np.random.default_rng(2)
    signals = (rng.random((20_000, 3)) < [0.5, 0.2, 0.1]).astype(float)
    returned = (rng.random(20_000) < expit(-0.5 + signals @ [0.1, 1.0, 0.1])).astype(float)
    viewer = rng.integers(0, 500, 20_000)
    fitted = fit_to_outcome(DEFAULT_RULE, NAMES, signals, returned, group=viewer, what="returns")
    assert fitted.rule.weights.like > 3 * fitted.rule.weights.save
    assert fitted.rule.anchor == "20000 returns"
    assert fitted.log_loss < fitted.log_loss_before < fitted.log_loss_constant


def test_a_thousand_votes_make_the_label_rank_model_versions_more_nearly_by_true_utility() -> None:
    agreement = {"default": [], "fitted": []}
    names: tuple[SignalName, ...] = ("watch", "like", "save", "share", "dislike")
    for seed in (31, 32):
        world = build_world(WorldConfig(n_prompts=1_500, n_sessions=20_000, n_viewers=6_000), seed)
        label = fit_label(world)
        seen = observe(world, simulate_log(world, seed), label)
        log, rng, n = seen.log, np.random.default_rng(seed), len(world.clips.appeal)
        # Expected satisfaction of an average viewer, through the usual normal-logit approximation.
        utility = expit(world.clips.appeal / np.sqrt(1 + 0.36 * np.pi / 8))
        shown = np.bincount(log.clip, minlength=n)
        signals = np.stack([getattr(log, name) for name in SIGNALS]).astype(float)
        signals[0] /= np.interp(world.clips.log_duration[log.clip], label.log_duration, label.completion)
        means = np.stack([np.bincount(log.clip, s, n) for s in signals], axis=1) / np.maximum(shown, 1)[:, None]
        often = np.flatnonzero(shown >= 30)
        left, right = rng.choice(often, (2, 1_000))
        won = (rng.random(1_000) < expit(6 * (utility[left] - utility[right]))).astype(float)
        fitted = fit_to_votes(DEFAULT_RULE, names, means[left] - means[right], won).rule
        for name, rule in (("default", DEFAULT_RULE), ("fitted", fitted)):
            weights = tuple(rule.weights.of(signal) for signal in names)
            truth = compute_truth(world, fit_label(world, weights), repeats=8)
            agreement[name].append(kendalltau(truth.models, truth.utility)[0])
    assert np.mean(agreement["fitted"]) > np.mean(agreement["default"]) + 0.05
    assert np.mean(agreement["fitted"]) > 0.8
