"""Intervals of prompts in whole simulated worlds."""

import pytest

from clapometer.jobs.study_prompts import OURS, run
from clapometer.simulation import SCENARIOS

SCENARIO = {scenario.name: scenario for scenario in SCENARIOS}


@pytest.mark.parametrize("name", ["randomised", "all together"])
def test_intervals_of_prompts_hold_the_truth_where_prompts_differ_little_and_much(name):
    assert run(SCENARIO[name], 1000)["prompts"][OURS]["coverage"] > 0.92
