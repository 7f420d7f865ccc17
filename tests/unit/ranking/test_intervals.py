import numpy as np

from clapometer.ranking import confidence_intervals, probability_best, rank_ranges


def test_clear_gaps_give_single_ranks_and_ties_give_all():
    effects = np.array([0.0, 10.0, 5.0])
    assert rank_ranges(effects, np.eye(3)).tolist() == [[3, 3], [1, 1], [2, 2]]
    assert rank_ranges(np.zeros(3), np.eye(3)).tolist() == [[1, 3]] * 3


def test_the_rank_ranges_hold_for_all_items_at_once():
    random = np.random.default_rng(1)
    truth = np.array([0.3, 0.0, 0.0, -0.2])
    covariance = 0.01 * (np.eye(4) + 0.5)
    noise = random.multivariate_normal(np.zeros(4), covariance, 400)
    # With ties in the truth, every rank between the strict and the weak one is right.
    best, worst = 1 + (truth[:, None] < truth).sum(1), (truth[:, None] <= truth).sum(1)
    right = 0
    for error in noise:
        ranges = rank_ranges(truth + error, covariance, draws=500)
        right += ((ranges[:, 0] <= best) & (ranges[:, 1] >= worst)).all()
    assert right / 400 > 0.93


def test_the_chances_of_being_best_sum_to_one_and_follow_the_effects():
    chance = probability_best(np.array([0.2, 0.0, -5.0]), 0.01 * np.eye(3))
    assert chance.sum() == 1.0
    assert chance[0] > 0.85
    assert chance[2] == 0.0
    assert len(probability_best(np.zeros(0), np.zeros((0, 0)))) == 0


def test_fewer_degrees_of_freedom_widen_the_intervals():
    covariance = np.array([[0.04]])
    low, high = confidence_intervals(np.zeros(1), covariance)
    np.testing.assert_allclose([low[0], high[0]], [-0.392, 0.392], atol=1e-3)
    assert confidence_intervals(np.zeros(1), covariance, degrees_of_freedom=10)[1][0] > high[0]


def test_one_item_and_none_have_trivial_ranges():
    assert rank_ranges(np.zeros(1), np.eye(1)).tolist() == [[1, 1]]
    assert rank_ranges(np.zeros(0), np.zeros((0, 0))).shape == (0, 2)


def test_items_that_cannot_be_told_apart_share_the_chance_of_being_best():
    np.testing.assert_allclose(probability_best(np.zeros(3), np.zeros((3, 3))), 1 / 3)
    np.testing.assert_allclose(probability_best(np.array([1.0, 1.0, 0.0]), np.zeros((3, 3))), [0.5, 0.5, 0.0])


def test_with_slack_an_item_is_behind_another_only_if_it_is_by_more_than_that() -> None:
    effects, covariance = np.array([1.0, 0.0, -1.0]), np.eye(3) * 1e-4
    slack = np.array([[0.0, 1.2, 0.2], [0.2, 0.0, 0.2], [0.2, 0.2, 0.0]])
    assert rank_ranges(effects, covariance).tolist() == [[1, 1], [2, 2], [3, 3]]
    assert rank_ranges(effects, covariance, slack=np.zeros((3, 3))).tolist() == [[1, 1], [2, 2], [3, 3]]
    assert rank_ranges(effects, covariance, slack=slack).tolist() == [[1, 2], [1, 2], [3, 3]]
