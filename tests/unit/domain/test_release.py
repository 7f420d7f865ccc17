"""A release decision: yes and no by an interval that holds, else how much longer to look."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clapometer.domain import Answer, Requirement, decide

EFFECT = st.floats(-2, 2)
HALF = st.floats(0.001, 2)


@pytest.mark.parametrize(
    ("requirement", "margin", "low", "high", "answer"),
    [
        ("better", 0.0, 0.01, 0.2, Answer.YES),
        ("better", 0.0, -0.2, 0.0, Answer.NO),
        ("better", 0.0, -0.1, 0.2, Answer.NOT_ENOUGH),
        ("better", 0.05, 0.01, 0.2, Answer.NOT_ENOUGH),
        ("better", 0.05, 0.01, 0.04, Answer.NO),
        ("not-worse", 0.0, -0.01, 0.2, Answer.NOT_ENOUGH),
        ("not-worse", 0.05, -0.01, 0.2, Answer.YES),
        ("not-worse", 0.05, -0.2, -0.06, Answer.NO),
        ("not-worse", 0.05, -0.2, 0.1, Answer.NOT_ENOUGH),
    ],
)
def test_the_interval_decides(requirement: Requirement, margin: float, low: float, high: float, answer: Answer) -> None:
    middle = (low + high) / 2
    found = decide(requirement, margin, difference=middle, low=low, high=high, calibrated=True, days=28)
    assert found.answer is answer
    assert (found.days_more is None) or answer is Answer.NOT_ENOUGH
    untrusted = decide(requirement, margin, difference=middle, low=low, high=high, calibrated=False, days=28)
    assert (untrusted.answer, untrusted.days_more) == (Answer.NOT_ENOUGH, None)


@given(EFFECT, HALF, st.floats(0, 1), st.integers(1, 400))
def test_after_so_many_days_an_interval_as_narrow_as_that_decides(
    effect: float, half: float, margin: float, days: int
) -> None:
    found = decide(
        "better", margin, difference=effect, low=effect - half, high=effect + half, calibrated=True, days=days
    )
    if found.days_more is not None:
        narrower = half * (days / (days + found.days_more)) ** 0.5 * (1 - 1e-9)
        later = decide(
            "better", margin, difference=effect, low=effect - narrower, high=effect + narrower, calibrated=True
        )
        assert later.answer is (Answer.YES if effect > margin else Answer.NO)


def test_what_lies_at_the_margin_is_told_by_no_number_of_days() -> None:
    found = decide("better", 0.1, difference=0.1, low=0.0, high=0.2, calibrated=True, days=28)
    assert (found.answer, found.days_more) == (Answer.NOT_ENOUGH, None)


@pytest.mark.parametrize("distance", [0.0, 5e-324, 1e-200, -1e-200, 1e-9])
def test_a_difference_next_to_the_margin_is_no_number_of_days_away(distance: float) -> None:
    found = decide("better", 0.0, difference=distance, low=distance - 1, high=distance + 1, calibrated=True, days=28)
    assert (found.answer, found.days_more) == (Answer.NOT_ENOUGH, None)
