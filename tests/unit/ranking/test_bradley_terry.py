"""Bradley-Terry: what is refused, and agreement with independent implementations and a published example."""

import choix
import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from clapometer.domain import InputError
from clapometer.ranking import BradleyTerry

BASEBALL = """
Milwaukee Detroit 4 3; Milwaukee Toronto 4 2; Milwaukee NewYork 4 3; Milwaukee Boston 6 1; Milwaukee Cleveland 4 2;
Milwaukee Baltimore 6 0; Detroit Milwaukee 3 3; Detroit Toronto 4 2; Detroit NewYork 4 3; Detroit Boston 6 0;
Detroit Cleveland 6 1; Detroit Baltimore 4 3; Toronto Milwaukee 2 5; Toronto Detroit 4 3; Toronto NewYork 2 4;
Toronto Boston 4 3; Toronto Cleveland 4 2; Toronto Baltimore 6 0; NewYork Milwaukee 3 3; NewYork Detroit 5 1;
NewYork Toronto 2 5; NewYork Boston 4 3; NewYork Cleveland 4 2; NewYork Baltimore 6 1; Boston Milwaukee 5 1;
Boston Detroit 2 5; Boston Toronto 3 3; Boston NewYork 4 2; Boston Cleveland 5 2; Boston Baltimore 6 0;
Cleveland Milwaukee 2 5; Cleveland Detroit 3 3; Cleveland Toronto 3 4; Cleveland NewYork 4 3; Cleveland Boston 4 2;
Cleveland Baltimore 2 4; Baltimore Milwaukee 2 5; Baltimore Detroit 1 5; Baltimore Toronto 1 6; Baltimore NewYork 2 4;
Baltimore Boston 1 6; Baltimore Cleveland 3 4
"""
TEAMS = ["Baltimore", "Boston", "Cleveland", "Detroit", "Milwaukee", "NewYork", "Toronto"]


def baseball() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Home and away team, result, games: American League East 1987 (Agresti, Categorical Data Analysis, 10.6)."""
    pairs, results, games = [], [], []
    for entry in BASEBALL.replace("\n", " ").split(";"):
        home, away, won, lost = entry.split()
        for result, number in ((1.0, int(won)), (0.0, int(lost))):
            pairs.append((TEAMS.index(home), TEAMS.index(away)))
            results.append(result)
            games.append(number)
    return np.array(pairs), np.array(results), np.array(games, float)


def comparisons(n: int = 400, items: int = 6, seed: int = 0, ties: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    strength = rng.normal(0, 0.8, items)
    left = rng.integers(0, items, n)
    right = (left + rng.integers(1, items, n)) % items
    won = rng.random(n) < 1 / (1 + np.exp(strength[right] - strength[left]))
    y = np.where(rng.random(n) < ties, 0.5, won.astype(float))
    return np.column_stack([left, right]), y


@pytest.mark.parametrize(
    ("X", "y", "options", "words"),
    [
        (np.zeros((0, 2)), [], {}, "X: must have shape"),
        ([[0, 0]], [1.0], {}, "not compared with itself"),
        ([[0, -1]], [1.0], {}, "non-negative"),
        ([[0, 1]], [0.7], {}, "y: must be 1"),
        ([[0, 1]], [np.nan], {}, "y: must be 1"),
        ([[0, 1], [1, 0]], [1.0, 1.0], {"sample_weight": [1.0, np.nan]}, "sample_weight"),
        ([[0, 1], [1, 0]], [1.0, 1.0], {"sample_weight": [1.0, -1.0]}, "sample_weight"),
        ([[0, 1], [1, 0]], [1.0, 1.0], {"covariates": [np.inf, 0.0]}, "covariates"),
        ([[0, 1], [1, 0]], [1.0, 1.0], {"cluster": [0, 0]}, "one cluster"),
        ([[0, 1], [1, 0]], [1.0, 1.0], {"cluster": [0, 0, 1]}, "cluster"),
    ],
)
def test_bad_comparisons_are_refused_by_field(X: object, y: object, options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        BradleyTerry().fit(np.asarray(X, int), np.asarray(y), **options)


def test_groups_that_never_met_are_named() -> None:
    with pytest.raises(InputError, match=r"no chain of comparisons.*\[0, 1, 2\]; \[3, 4\]"):
        BradleyTerry().fit([[0, 1], [1, 2], [2, 0], [3, 4], [4, 3]], [1.0, 1.0, 1.0, 1.0, 1.0])


def test_an_item_that_never_lost_is_named_unless_there_is_a_ridge() -> None:
    X, y = [[0, 1], [1, 2], [2, 1]], [1.0, 1.0, 1.0]
    with pytest.raises(InputError, match=r"never lost.*\[1, 2\]; \[0\]"):
        BradleyTerry().fit(X, y)
    fitted = BradleyTerry(ridge=0.1).fit(X, y)
    assert fitted.strengths_.argmax() == 0
    assert np.isfinite(fitted.strengths_).all()


def test_the_published_baseball_abilities_are_reproduced() -> None:
    pairs, result, games = baseball()
    fitted = BradleyTerry().fit(pairs, result, games)
    ability = fitted.strengths_ - fitted.strengths_[0]
    published = [0.0, 1.1077, 0.6839, 1.4364, 1.5814, 1.2476, 1.2945]
    np.testing.assert_allclose(ability, published, atol=5e-5)


def test_the_published_home_advantage_and_its_error_are_reproduced() -> None:
    pairs, result, games = baseball()
    fitted = BradleyTerry().fit(pairs, result, games, covariates=np.ones(len(pairs)))
    assert fitted.coefficients_ == pytest.approx([0.3023], abs=5e-5)
    assert np.sqrt(fitted.coefficient_covariance_[0, 0]) == pytest.approx(0.1308, abs=2e-4)
    contrast = np.zeros(7)
    contrast[[4, 0]] = 1, -1
    assert contrast @ fitted.strengths_ == pytest.approx(1.6196, abs=5e-5)
    assert np.sqrt(contrast @ fitted.covariance_ @ contrast) == pytest.approx(0.3474, abs=2e-4)


def test_strengths_agree_with_choix() -> None:
    X, y = comparisons()
    wins = [(int(a), int(b)) if won else (int(b), int(a)) for (a, b), won in zip(X, y, strict=True)]
    expected = choix.opt_pairwise(6, wins, alpha=0.0, method="Newton-CG", tol=1e-12)
    np.testing.assert_allclose(BradleyTerry().fit(X, y).strengths_, expected - expected.mean(), atol=1e-6)


def test_strengths_errors_and_covariates_agree_with_statsmodels() -> None:
    X, y = comparisons(seed=1)
    rng = np.random.default_rng(2)
    extra, cluster = rng.normal(size=len(y)), rng.integers(0, 40, len(y))
    design = np.zeros((len(y), 6))
    design[np.arange(len(y)), X[:, 0]], design[np.arange(len(y)), X[:, 1]] = 1.0, -1.0
    design = np.column_stack([design[:, 1:], extra])
    model = sm.GLM(y, design, family=sm.families.Binomial())
    plain = model.fit(tol=1e-14, maxiter=200)
    clustered = model.fit(
        tol=1e-14, maxiter=200, cov_type="cluster", cov_kwds={"groups": cluster, "use_correction": False}
    )
    ours = BradleyTerry().fit(X, y, covariates=extra)
    robust = BradleyTerry().fit(X, y, covariates=extra, cluster=cluster)
    np.testing.assert_allclose(ours.strengths_ - ours.strengths_[0], np.append(0.0, plain.params[:5]), atol=1e-6)
    np.testing.assert_allclose(ours.coefficients_, plain.params[5:], atol=1e-6)
    to_first = np.eye(6)[1:] - np.eye(6)[0]
    np.testing.assert_allclose(to_first @ ours.covariance_ @ to_first.T, plain.cov_params()[:5, :5], atol=1e-6)
    expected = clustered.cov_params()[:5, :5] * 40 / 39
    np.testing.assert_allclose(to_first @ robust.covariance_ @ to_first.T, expected, atol=1e-6)


def test_half_ties_agree_with_choix() -> None:
    X, y = comparisons(ties=0.25, seed=7)
    # A tie is half a win for each: twice every decision, and each tie once either way.
    wins = []
    for (a, b), result in zip(X.tolist(), y, strict=True):
        wins += {1.0: [(a, b)] * 2, 0.0: [(b, a)] * 2, 0.5: [(a, b), (b, a)]}[float(result)]
    expected = choix.opt_pairwise(6, wins, alpha=0.0, method="Newton-CG", tol=1e-12)
    np.testing.assert_allclose(BradleyTerry().fit(X, y).strengths_, expected - expected.mean(), atol=1e-6)


def test_half_ties_covariates_and_clusters_together_agree_with_statsmodels() -> None:
    X, y = comparisons(ties=0.25, seed=8)
    rng = np.random.default_rng(9)
    extra, cluster = rng.normal(size=(len(y), 2)), rng.integers(0, 30, len(y))
    design = np.zeros((len(y), 6))
    design[np.arange(len(y)), X[:, 0]], design[np.arange(len(y)), X[:, 1]] = 1.0, -1.0
    design = np.column_stack([design[:, 1:], extra])
    expected = sm.GLM(y, design, family=sm.families.Binomial()).fit(
        tol=1e-14, maxiter=200, cov_type="cluster", cov_kwds={"groups": cluster, "use_correction": False}
    )
    ours = BradleyTerry().fit(X, y, covariates=extra, cluster=cluster)
    to_first = np.eye(6)[1:] - np.eye(6)[0]
    np.testing.assert_allclose(to_first @ ours.strengths_, expected.params[:5], atol=1e-6)
    np.testing.assert_allclose(ours.coefficients_, expected.params[5:], atol=1e-6)
    covariance = expected.cov_params() * 30 / 29
    np.testing.assert_allclose(to_first @ ours.covariance_ @ to_first.T, covariance[:5, :5], atol=1e-6)
    np.testing.assert_allclose(ours.coefficient_covariance_, covariance[5:, 5:], atol=1e-6)


def test_davidson_ties_agree_with_statsmodels_log_linear_model() -> None:
    X, y = comparisons(n=2_000, items=4, ties=0.3, seed=10)
    # Fienberg and Larntz (1976): Davidson's model is a Poisson one for the counts, with an effect per pair.
    first, swapped = X.min(1), X[:, 0] > X[:, 1]
    result = np.where(swapped, 1 - y, y)
    pairs = sorted({(int(a), int(b)) for a, b in zip(first, X.max(1), strict=True)})
    counts, design = [], []
    for place, (a, b) in enumerate(pairs):
        here = (first == a) & (X.max(1) == b)
        for outcome in (1.0, 0.0, 0.5):
            line = np.zeros(4 + 1 + len(pairs))
            line[a] = {1.0: 1.0, 0.0: 0.0, 0.5: 0.5}[outcome]
            line[b] = 1.0 - line[a]
            line[4] = outcome == 0.5
            line[5 + place] = 1.0
            counts.append(float((here & (result == outcome)).sum()))
            design.append(line[1:])
    expected = sm.GLM(counts, np.array(design), family=sm.families.Poisson()).fit(tol=1e-14, maxiter=200)
    ours = BradleyTerry(ties="davidson").fit(X, y)
    to_first = np.eye(4)[1:] - np.eye(4)[0]
    np.testing.assert_allclose(to_first @ ours.strengths_, expected.params[:3], atol=1e-6)
    assert ours.tie_ == pytest.approx(expected.params[3], abs=1e-6)
    np.testing.assert_allclose(to_first @ ours.covariance_ @ to_first.T, expected.cov_params()[:3, :3], atol=1e-6)


def test_aggregated_rows_fit_as_single_ones_do() -> None:
    X, y = comparisons(ties=0.2, seed=3)
    for ties in ("half", "davidson"):
        rows, counts = np.unique(np.column_stack([X, y]), axis=0, return_counts=True)
        single = BradleyTerry(ties=ties).fit(X, y)
        grouped = BradleyTerry(ties=ties).fit(rows[:, :2].astype(int), rows[:, 2], counts.astype(float))
        np.testing.assert_allclose(grouped.strengths_, single.strengths_, atol=1e-9)
        np.testing.assert_allclose(grouped.covariance_, single.covariance_, atol=1e-9)


def test_davidson_ties_agree_with_a_multinomial_logit() -> None:
    X, y = comparisons(n=3_000, items=2, ties=0.3, seed=4)
    y = np.where(X[:, 0] == 0, y, 1 - y)
    left, tied, right = (y == 1).sum(), (y == 0.5).sum(), (y == 0).sum()
    fitted = BradleyTerry(ties="davidson").fit(np.tile([0, 1], (len(y), 1)), y)
    # With two items the maximum is at the observed shares: gap = log(left / right), nu = ties / sqrt(left * right).
    assert fitted.strengths_[0] - fitted.strengths_[1] == pytest.approx(np.log(left / right))
    assert fitted.tie_ == pytest.approx(np.log(tied / np.sqrt(left * right)))


def test_davidson_recovers_strengths_and_tie_rate() -> None:
    rng = np.random.default_rng(5)
    strength, tie = np.array([0.8, 0.1, -0.3, -0.6]), -0.4
    left = rng.integers(0, 4, 40_000)
    right = (left + rng.integers(1, 4, 40_000)) % 4
    gap = (strength[left] - strength[right]) / 2
    logits = np.column_stack([gap, -gap, np.full(40_000, tie)]) + rng.gumbel(size=(40_000, 3))
    y = np.array([1.0, 0.0, 0.5])[logits.argmax(1)]
    fitted = BradleyTerry(ties="davidson").fit(np.column_stack([left, right]), y)
    np.testing.assert_allclose(fitted.strengths_, strength - strength.mean(), atol=0.06)
    assert fitted.tie_ == pytest.approx(tie, abs=0.05)


def test_all_ties_make_everybody_equal() -> None:
    fitted = BradleyTerry().fit([[0, 1], [1, 2]], [0.5, 0.5])
    np.testing.assert_allclose(fitted.strengths_, 0.0, atol=1e-12)


seeds = st.integers(0, 10_000)


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from(["half", "davidson"]))
def test_swapping_left_and_right_changes_nothing(seed: int, ties: str) -> None:
    X, y = comparisons(n=150, items=4, seed=seed, ties=0.2)
    straight, swapped = BradleyTerry(ties=ties, ridge=0.01), BradleyTerry(ties=ties, ridge=0.01)
    straight.fit(X, y)
    swapped.fit(X[:, ::-1], 1 - y)
    np.testing.assert_allclose(swapped.strengths_, straight.strengths_, atol=1e-8)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_renaming_items_renames_strengths(seed: int) -> None:
    X, y = comparisons(n=150, items=4, seed=seed)
    order = np.random.default_rng(seed).permutation(4)
    plain = BradleyTerry(ridge=0.01).fit(X, y, n_items=4).strengths_
    renamed = BradleyTerry(ridge=0.01).fit(order[X], y, n_items=4).strengths_
    np.testing.assert_allclose(renamed[order], plain, atol=1e-8)


@settings(max_examples=25, deadline=None)
@given(seeds, st.integers(2, 9))
def test_k_times_the_comparisons_keep_the_strengths_and_divide_the_variance_by_k(seed: int, times: int) -> None:
    X, y = comparisons(n=400, items=3, seed=seed)
    once, often = BradleyTerry().fit(X, y), BradleyTerry().fit(X, y, np.full(len(y), float(times)))
    np.testing.assert_allclose(often.strengths_, once.strengths_, atol=1e-8)
    np.testing.assert_allclose(often.covariance_ * times, once.covariance_, atol=1e-8)


def test_two_way_clusters_add_up_and_take_off_what_both_share() -> None:
    random = np.random.default_rng(4)
    pairs = np.array([random.choice(4, 2, replace=False) for _ in range(300)])
    result = random.integers(0, 2, 300).astype(float)
    prompt, voter, alone = random.integers(0, 20, 300), random.integers(0, 30, 300), np.arange(300)

    def covariance(cluster: np.ndarray) -> np.ndarray:
        found: np.ndarray = BradleyTerry().fit(pairs, result, cluster=cluster).covariance_
        return found

    np.testing.assert_allclose(covariance(np.column_stack([prompt, alone])), covariance(prompt), atol=1e-12)
    np.testing.assert_allclose(covariance(np.column_stack([prompt, prompt])), covariance(prompt), atol=1e-12)
    both = np.unique(np.column_stack([prompt, voter]), axis=0, return_inverse=True)[1].reshape(-1)
    expected = covariance(prompt) + covariance(voter) - covariance(both)
    assert np.linalg.eigvalsh(expected).min() > -1e-12, "so there is nothing to mend here"
    np.testing.assert_allclose(covariance(np.column_stack([prompt, voter])), expected, atol=1e-10)


def test_intervals_of_votes_hold_where_prompts_and_voters_have_tastes_of_their_own() -> None:
    random = np.random.default_rng(9)
    truth = np.array([0.5, 0.0, -0.5])
    held = []
    for _ in range(120):
        n, prompts, voters = 600, 60, 60
        prompt, voter = random.integers(0, prompts, n), random.integers(0, voters, n)
        taste = random.normal(0, 0.5, (prompts, 3)), random.normal(0, 0.5, (voters, 3))
        pairs = np.array([random.choice(3, 2, replace=False) for _ in range(n)])
        margin = np.zeros(n)
        for value, who in zip(taste, (prompt, voter), strict=True):
            margin += value[who, pairs[:, 0]] - value[who, pairs[:, 1]]
        result = (random.random(n) < expit(truth[pairs[:, 0]] - truth[pairs[:, 1]] + margin)).astype(float)
        fit = BradleyTerry().fit(pairs, result, cluster=np.column_stack([prompt, voter]))
        # averaged over tastes, strengths shrink a little; the order and the zero in the middle stay
        held.append(abs(fit.strengths_[1]) <= 2.0 * np.sqrt(fit.covariance_[1, 1]))
    assert 0.9 <= np.mean(held) <= 0.99
