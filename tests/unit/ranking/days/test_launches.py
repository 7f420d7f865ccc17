import numpy as np

from clapometer.ranking import available_days

SLOTS = np.full(14, 4.0)
NEVER = np.inf


def days(registered, shown, version, slots=SLOTS):
    return available_days(np.array(registered), np.array(shown, float), np.array(version), slots).tolist()


def test_a_clip_is_there_from_its_registration():
    assert days([0, 3, 5], [0, 4, 5], [0, 0, 1]) == [0, 3, 5]


def test_a_clip_that_was_shown_before_it_was_registered_was_there_before():
    assert days([6], [2], [0]) == [2]


def test_a_version_registered_long_before_it_is_let_out_is_there_from_its_launch():
    assert days([0] * 20, [0.0] * 10 + [12.0] * 9 + [13.0], [0] * 10 + [1] * 10) == [0] * 10 + [12] * 10


def test_a_single_clip_that_luck_left_out_for_some_days_was_there_all_along():
    assert days([0] * 11, [0.0] * 10 + [4.0], [0] * 10 + [1]) == [0] * 11


def test_a_version_that_was_never_shown_was_never_let_out():
    assert days([0] * 12, [0.0] * 6 + [NEVER] * 6, [0] * 6 + [1] * 6) == [0] * 6 + [14] * 6


def test_without_chances_registration_is_all_there_is():
    assert days([0] * 20, [9.0] * 20, [0] * 20, np.zeros(14)) == [0] * 20


def test_registration_before_the_first_day_stays_what_it_is():
    assert days([-30, -2], [0, 1], [0, 0]) == [-30, -2]
