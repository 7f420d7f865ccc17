"""Intervals of prompts and labels of pairs in whole simulated worlds."""

import pytest

from clapometer.simulation import SCENARIOS
from clapometer.study.prompts import OUR_PAIRS, OURS, run

SCENARIO = {scenario.name: scenario for scenario in SCENARIOS}


@pytest.mark.parametrize("name", ["randomised", "all together"])
def test_intervals_of_prompts_hold_the_truth_where_prompts_differ_little_and_much(name):
    assert run(SCENARIO[name], 1000)["prompts"][OURS]["coverage"] > 0.92


def test_intervals_and_labels_hold_where_prompts_differ_a_lot_in_level():
    found = run(SCENARIO["prompt_difficulty alone"], 71010)
    assert found["prompts"][OURS]["coverage"] > 0.93
    assert found["pairs"][OUR_PAIRS]["slope"] > 0.93
