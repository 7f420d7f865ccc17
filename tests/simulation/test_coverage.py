import numpy as np
import pytest

from clapometer.ranking import PromptFixedEffects, confidence_intervals


def coverage(n_prompts, repeats, seed=0):
    """Share of 95 % intervals that hold the truth: few prompts, correlated and uneven clips of each."""
    random = np.random.default_rng(seed)
    truth = np.array([0.2, 0.1, 0.0, -0.3])
    held = []
    for _ in range(repeats):
        per_prompt = 2 + random.poisson(2, n_prompts)
        prompt = np.repeat(np.arange(n_prompts), per_prompt)
        model = random.integers(0, 4, len(prompt))
        match = random.normal(0, 0.5, (n_prompts, 4))
        noise = random.normal(size=len(prompt)) * (1 + model)
        score = truth[model] + random.normal(0, 3, n_prompts)[prompt] + match[prompt, model] + noise
        fitted = PromptFixedEffects(min_prompts=5).fit(np.column_stack([model, prompt]), score)
        low, high = confidence_intervals(
            fitted.effects_, fitted.covariance_, degrees_of_freedom=fitted.degrees_of_freedom_
        )
        held.append((low <= truth) & (truth <= high))
    return np.mean(held)


@pytest.mark.parametrize("n_prompts", [25, 60])
def test_intervals_hold_the_truth_in_95_per_cent_of_small_samples(n_prompts):
    assert 0.93 < coverage(n_prompts, 300) < 0.98
