"""The worlds of the study: no confounder, each alone, all together, and what no estimator can mend."""

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


SCENARIOS: tuple[Scenario, ...] = (
    Scenario("all together", WorldConfig()),
    Scenario("randomised", WorldConfig.calm()),
    *(Scenario(f"{name} alone", WorldConfig.alone(name)) for name in CONFOUNDERS),
    Scenario("twice the traffic", WorldConfig(n_sessions=120_000)),
    Scenario("no propensities", WorldConfig(missing_propensities=1.0), tier="C"),
)
