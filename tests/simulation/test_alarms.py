"""An audit of a sound system raises its alarm no oftener than it says."""

import numpy as np
from scipy.stats import binom

from clapometer.ranking import placebo


def test_the_placebo_alarms_at_its_nominal_rate_in_many_small_worlds():
    random, worlds, nominal = np.random.default_rng(5), 60, 0.1
    alarms = 0
    for seed in range(worlds):
        prompt = np.repeat(np.arange(60), 2 + random.poisson(2, 60))
        model = random.integers(0, 4, len(prompt))
        noise = random.normal(size=len(prompt)) * (1 + model)
        score = np.array([0.4, 0.1, 0.0, -0.5])[model] + random.normal(0, 3, 60)[prompt] + noise
        alarms += placebo(np.column_stack([model, prompt]), score, seed=seed, repeats=30).p_value < nominal
    assert alarms <= binom.ppf(0.999, worlds, nominal)
