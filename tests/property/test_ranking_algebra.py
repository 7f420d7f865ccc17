import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from clapometer.ranking import ClipCells, PromptFixedEffects, opportunities, rank_ranges
from clapometer.ranking.scrutiny.audit import fewest_to_flip

seeds = st.integers(0, 2**32 - 1)


def clips(seed, n_prompts=40, n_models=3):
    random = np.random.default_rng(seed)
    keep = random.random(n_prompts * n_models) < 0.85
    X = np.column_stack([np.tile(np.arange(n_models), n_prompts), np.repeat(np.arange(n_prompts), n_models)])
    return X[keep], random.normal(size=keep.sum())


@settings(max_examples=25, deadline=None)
@given(seed=seeds, factor=st.floats(0.01, 100.0), shift=st.floats(-50.0, 50.0))
def test_effects_follow_the_scale_of_the_scores_and_ignore_their_zero(seed, factor, shift):
    X, score = clips(seed)
    plain = PromptFixedEffects().fit(X, score)
    moved = PromptFixedEffects().fit(X, factor * score + shift)
    np.testing.assert_allclose(moved.effects_, factor * plain.effects_, atol=1e-8 * max(factor, 1) * 50)
    np.testing.assert_allclose(moved.covariance_, factor**2 * plain.covariance_, rtol=1e-5, atol=1e-8)


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_the_order_of_clips_and_the_names_of_prompts_do_not_matter(seed):
    X, score = clips(seed)
    random = np.random.default_rng(seed)
    order, names = random.permutation(len(X)), random.permutation(1000)[:40]
    renamed = np.column_stack([X[:, 0], names[X[:, 1]]])
    plain, other = PromptFixedEffects().fit(X, score), PromptFixedEffects().fit(renamed[order], score[order])
    np.testing.assert_allclose(other.effects_, plain.effects_, atol=1e-10)
    np.testing.assert_allclose(other.covariance_, plain.covariance_, atol=1e-10)


@settings(max_examples=25, deadline=None)
@given(seed=seeds)
def test_effects_are_contrasts_and_the_covariance_is_one(seed):
    fitted = PromptFixedEffects().fit(*clips(seed))
    assert abs(fitted.effects_.sum()) < 1e-10
    np.testing.assert_allclose(fitted.covariance_.sum(0), 0.0, atol=1e-10)
    assert (np.linalg.eigvalsh(fitted.covariance_) > -1e-12).all()


@settings(max_examples=25, deadline=None)
@given(seed=seeds, parts=st.integers(1, 5))
def test_cells_of_any_split_of_the_impressions_add_up(seed, parts):
    random = np.random.default_rng(seed)
    n = 200
    rows = {
        "clip": random.integers(0, 5, n),
        "day": random.integers(0, 3, n),
        "fold": random.integers(0, 2, n),
        "label": random.normal(size=n),
        "examination": random.uniform(0.5, 1.5, n),
        "weight": random.uniform(0, 20, n),
    }
    part = random.integers(0, parts, n)
    whole = ClipCells.from_impressions(**rows)
    pieces = [ClipCells.from_impressions(**{k: v[part == i] for k, v in rows.items()}) for i in range(parts)]
    together = pieces[0]
    for piece in pieces[1:]:
        together = together + piece
    for name in ("impressions", "sum_label", "sum_weighted_exposure", "sum_capped_label"):
        one, many = (np.bincount(c.clip, getattr(c, name), 5) for c in (whole, together))
        np.testing.assert_allclose(one, many, atol=1e-9)


@given(slots=st.lists(st.floats(0, 100), min_size=1, max_size=20), first=st.integers(0, 25), last=st.integers(0, 25))
def test_an_opportunity_is_the_sum_over_the_days_of_eligibility(slots, first, last):
    got = opportunities(np.array(slots), np.array([first]), np.array([last]))[0]
    np.testing.assert_allclose(got, sum(slots[first:last]), atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(seed=seeds, n=st.integers(2, 8))
def test_a_rank_range_holds_the_estimated_rank(seed, n):
    random = np.random.default_rng(seed)
    effects = random.normal(size=n)
    root = random.normal(size=(n, n))
    ranges = rank_ranges(effects, root @ root.T / n, draws=200)
    rank = 1 + (effects[:, None] < effects).sum(1)
    assert (ranges[:, 0] <= rank).all()
    assert (rank <= ranges[:, 1]).all()


@settings(max_examples=30, deadline=None)
@given(seed=seeds)
def test_no_smaller_set_of_clusters_flips_the_leader_to_first_order(seed):
    random = np.random.default_rng(seed)
    effects, influence = np.array([0.3, 0.0, -0.1]), random.normal(0, 0.1, (30, 3))
    flip = fewest_to_flip(np.arange(3), effects, influence)
    if flip.removed is None:
        return
    for rival in (1, 2):
        push = np.sort(influence[:, 0] - influence[:, rival])[::-1]
        assert push[: len(flip.removed) - 1].clip(0).sum() <= effects[0] - effects[rival]
