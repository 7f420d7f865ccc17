"""A few of the faults, so that every change is held to the promise; ``make faults`` does all of them."""

from tests.faults.kills import LEGS, shares


def test_kills_are_dealt_out_exactly_and_no_group_of_processes_is_left_out():
    for total in (10, 200, 333):
        dealt = shares(total)
        assert sum(dealt.values()) == total
        assert set(dealt) == {(log, victims) for log, legs in LEGS.items() for victims in legs}
        assert min(dealt.values()) >= 1
