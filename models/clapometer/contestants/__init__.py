"""What the study compares: our estimators and those that everybody tries first, on observations of simulated worlds."""

from clapometer.contestants.baselines import (
    Baseline,
    bayesian_average,
    naive_bradley_terry,
    online_elo,
    raw_mean,
    self_normalised_ips,
    session_pairs,
    wilson_lower_bound,
)
from clapometer.contestants.contestants import CONTESTANTS, Contestant, Estimate
from clapometer.contestants.observation import Observation, observe, observe_poisson, screened
from clapometer.contestants.prompt_contestants import OURS, PROMPT_CONTESTANTS, PromptEstimate, PromptFit, fit_prompts

__all__ = [
    "CONTESTANTS", "OURS", "PROMPT_CONTESTANTS", "Baseline", "Contestant", "Estimate", "Observation", "PromptEstimate",
    "PromptFit", "bayesian_average", "fit_prompts", "naive_bradley_terry", "observe", "observe_poisson", "online_elo",
    "raw_mean", "screened", "self_normalised_ips", "session_pairs", "wilson_lower_bound",
]  # fmt: skip
