"""Pair labels: who is compared, what is said about it, and that the probabilities mean what they say."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from clapometer.contestants import observe
from clapometer.domain import InputError
from clapometer.labels import PairLabels, Said, creator_choices, explicit_pairs, pairs_of_prompts, posterior_pairs
from clapometer.ranking import ClipAIPW, HierarchicalBayes, clip_rates
from clapometer.simulation import WorldConfig, build_world, clip_truth, fit_label, simulate_log


def said(*rows: tuple[int, int, float]) -> Said:
    left, right, result = zip(*rows, strict=True)
    return Said(np.array(left), np.array(right), np.array(result))


@pytest.mark.parametrize(("row", "field"), [((0, 1, 0.7), "result"), ((0, 1, np.nan), "result"), ((2, 2, 1.0), "left")])
def test_comparisons_that_are_none_are_refused(row: tuple[int, int, float], field: str) -> None:
    with pytest.raises(InputError, match=field):
        explicit_pairs(said(row))


def test_only_clips_of_one_prompt_that_were_shown_are_paired() -> None:
    prompt = np.array([0, 0, 0, 1, 1, 2])
    impressions = np.array([5.0, 0.0, 9.0, 3.0, 3.0, 7.0])
    left, right = pairs_of_prompts(prompt, impressions)
    assert {frozenset(pair) for pair in zip(left.tolist(), right.tolist(), strict=True)} == {
        frozenset({0, 2}), frozenset({3, 4}),
    }  # fmt: skip


def test_a_prompt_with_many_clips_gives_no_more_pairs_than_allowed_and_none_twice() -> None:
    rng = np.random.default_rng(0)
    prompt = np.concatenate([np.zeros(200, int), np.repeat(np.arange(1, 40), 3)])
    left, right = pairs_of_prompts(prompt, rng.integers(1, 50, len(prompt)).astype(float), max_per_prompt=30)
    pairs = {frozenset(pair) for pair in zip(left.tolist(), right.tolist(), strict=True)}
    assert len(pairs) == len(left)
    assert np.bincount(prompt[left]).max() == 30
    assert (np.bincount(prompt[left])[1:] == 3).all()
    assert (prompt[left] == prompt[right]).all()


def test_no_clips_give_no_pairs() -> None:
    nothing = pairs_of_prompts(np.zeros(0, int), np.zeros(0))
    assert [len(side) for side in nothing] == [0, 0]
    assert len(pairs_of_prompts(np.array([0, 1]), np.ones(2))[0]) == 0


def test_votes_of_both_orders_are_counted_together() -> None:
    labels = explicit_pairs(said((4, 7, 1.0), (7, 4, 0.0), (4, 7, 1.0), (4, 7, 0.5)))
    assert (labels.left.tolist(), labels.right.tolist(), labels.tier) == ([4], [7], "A")
    assert labels.margin == pytest.approx([0.75])
    assert labels.left_evidence == pytest.approx([4.0])
    assert 0.9 < labels.p_left[0] < 1.0
    assert 0 < labels.weight[0] < 1


def test_a_single_vote_is_three_quarters_sure_and_a_tie_says_nothing() -> None:
    assert explicit_pairs(said((0, 1, 1.0))).p_left == pytest.approx([0.75])
    tie = explicit_pairs(said((0, 1, 0.5)))
    assert tie.p_left == pytest.approx([0.5])
    assert tie.weight == pytest.approx([0.0], abs=1e-12)


def test_a_creators_choice_beats_every_other_clip_that_was_shown() -> None:
    choice = creator_choices(np.array([5, 5, 5]), np.array([3, 5, 8]))
    labels = explicit_pairs(choice)
    assert list(zip(labels.left.tolist(), labels.right.tolist(), strict=True)) == [(3, 5), (5, 8)]
    assert labels.p_left == pytest.approx([0.25, 0.75])


@pytest.fixture(scope="module")
def labelled() -> tuple[PairLabels, np.ndarray]:
    """Pair labels of a world with every confounder, and the true differences."""
    config = WorldConfig(n_prompts=1_500, n_sessions=18_000, n_viewers=8_000, bots=30)
    made = build_world(config, 5)
    log, label = simulate_log(made, 6), fit_label(made)
    seen = observe(made, log, label)
    y = clip_rates(seen.cells, seen.clips, ClipAIPW().fit(seen.cells, seen.clips).offsets_)
    X = np.column_stack([seen.clips.model[y.unit], seen.clips.prompt[y.unit]])
    factors = np.column_stack([made.prompts.template, made.prompts.topic])
    fitted = HierarchicalBayes().fit(X, y, factors=factors, stratum=made.prompts.topic)
    left, right = pairs_of_prompts(X[:, 1], y.impressions)
    truth = clip_truth(made, label, repeats=200)[y.unit]
    return posterior_pairs(fitted, left, right, y.impressions), truth[left] - truth[right]


def test_with_every_confounder_pair_labels_are_calibrated(labelled: tuple[PairLabels, np.ndarray]) -> None:
    labels, gap = labelled
    p, better = np.clip(labels.p_left, 0.01, 0.99), gap > 0
    loss = -np.mean(np.where(better, np.log(p), np.log(1 - p)))
    slope = LogisticRegression(C=1e6).fit(np.log(p / (1 - p))[:, None], better).coef_[0, 0]
    bins = np.minimum((p * 10).astype(int), 9)
    error = np.abs(np.bincount(bins, p - better, 10)).sum() / len(p)
    assert labels.tier == "B"
    assert loss < 0.62
    assert 0.85 < slope < 1.2
    assert error < 0.045


def test_weight_grows_with_certainty_and_margin_with_the_sign(labelled: tuple[PairLabels, np.ndarray]) -> None:
    labels, _ = labelled
    sure = np.abs(labels.p_left - 0.5)
    order = np.argsort(sure)
    assert (np.diff(labels.weight[order]) >= -1e-9).all()
    assert ((labels.margin > 0) == (labels.p_left > 0.5)).all()
    assert len(labels.where(sure > 0.4)) == (sure > 0.4).sum()


def test_a_clip_is_not_compared_with_itself(labelled: tuple[PairLabels, np.ndarray]) -> None:
    with pytest.raises(InputError, match="itself"):
        posterior_pairs(HierarchicalBayes(), np.array([1]), np.array([1]), np.ones(2))
