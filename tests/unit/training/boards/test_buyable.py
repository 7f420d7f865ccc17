"""How far differences of model versions could have been bought."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clapometer.ranking import Bought, Budget, Suspects
from clapometer.training.boards.buyable import Buyable

PUSHES = st.lists(st.tuples(st.integers(0, 9), st.integers(-9, 9), st.integers(-9, 9)), min_size=1, max_size=12)
SHOWN = {0: 100.0, 1: 60.0}


def made(seen: list[tuple[int, int, int]], viewers: int, *, paired: bool = True) -> tuple[Buyable, np.ndarray]:
    """What viewers who push two effects could have moved, and what each of them pushes."""
    viewer, first, second = (np.array(column) for column in zip(*seen, strict=True))
    suspects = Suspects(viewer, np.zeros(len(seen), np.int64), Budget(viewers, 2_000, 3))
    pushed = {0: suspects.by_viewer(first.astype(float)), 1: suspects.by_viewer(second.astype(float))}
    bought = {item: suspects.bought_by(each) for item, each in pushed.items()}
    pairs = {(0, 1): suspects.bought_by(pushed[0] - pushed[1])} if paired else {}
    return Buyable(bought, SHOWN, lambda _item, _gap: None, viewers, pairs), np.stack([pushed[0], pushed[1]])


@given(PUSHES, st.integers(1, 4), st.sampled_from([(100.0, 60.0), (50.0, 60.0), (20.0, 30.0), (25.0, 10.0)]))
def test_no_viewers_move_a_difference_by_more_than_is_said_in_any_part_of_the_traffic(
    seen: list[tuple[int, int, int]], viewers: int, shown: tuple[float, float]
) -> None:
    buyable, pushed = made(seen, viewers)
    scale = np.array([SHOWN[item] / shown[item] for item in (0, 1)])
    moved = np.sort(scale[0] * pushed[0] - scale[1] * pushed[1])
    found = buyable.of_pair(0, 1, shown)
    assert found.up >= np.clip(moved[-viewers:], 0, None).sum() - 1e-9
    assert found.down >= -np.clip(moved[:viewers], None, 0).sum() - 1e-9


@given(PUSHES, st.integers(1, 4), st.sampled_from([(100.0, 60.0), (50.0, 60.0), (20.0, 30.0)]))
def test_a_pair_of_its_own_says_no_more_than_both_effects(
    seen: list[tuple[int, int, int]], viewers: int, shown: tuple[float, float]
) -> None:
    own, both = made(seen, viewers)[0], made(seen, viewers, paired=False)[0]
    for items, there in (((0, 1), shown), ((1, 0), shown[::-1])):
        tight, loose = own.of_pair(*items, there), both.of_pair(*items, there)
        assert tight.up <= loose.up + 1e-9
        assert tight.down <= loose.down + 1e-9


def test_viewers_who_help_one_and_others_who_hurt_the_other_are_not_added_up() -> None:
    buyable, _ = made([(0, 4, 0), (1, 0, -3)], 1)
    assert buyable.of(0, 100.0).up + buyable.of(1, 60.0).down == 7
    assert buyable.of_pair(0, 1, (100.0, 60.0)) == Bought(4.0, 0.0)


def test_a_pair_is_the_same_from_either_side() -> None:
    buyable, _ = made([(0, 4, 1), (1, -2, -3), (2, 5, 0)], 2)
    one, other = buyable.of_pair(0, 1, (50.0, 60.0)), buyable.of_pair(1, 0, (60.0, 50.0))
    assert (one.up, one.down) == (pytest.approx(other.down), pytest.approx(other.up))


def test_the_more_viewers_can_be_made_up_the_more_is_bought_of_a_pair() -> None:
    seen = [(viewer, viewer, -viewer) for viewer in range(6)]
    moved = [made(seen, viewers)[0].of_pair(0, 1, (100.0, 60.0)).up for viewers in (1, 2, 3)]
    assert all(fewer < more for fewer, more in pairwise(moved))
