"""The worlds of the study: no confounder, each alone, all together, and what no estimator can mend.

Worlds with all confounders have 5,000 prompts and 600,000 slots; those with none or one have half of both
(2,500 and 300,000), so that each can be run as often in the same time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clapometer.simulation.config import CONFOUNDERS, WorldConfig

__all__ = ["SCENARIOS", "Scenario"]

Tier = Literal["B", "C"]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named world and the tier of evidence that its log allows."""

    name: str
    config: WorldConfig
    tier: Tier = "B"


HALF = {"n_prompts": 2_500, "n_sessions": 30_000}

SCENARIOS: tuple[Scenario, ...] = (
    Scenario("all together", WorldConfig()),
    Scenario("randomised", WorldConfig.calm(**HALF)),
    *(Scenario(f"{name} alone", WorldConfig.alone(name, **HALF)) for name in CONFOUNDERS),
    Scenario("twice the traffic", WorldConfig(n_sessions=120_000)),
    Scenario("no propensities", WorldConfig(missing_propensities=1.0), tier="C"),
)
