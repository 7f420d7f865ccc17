"""The scenarios of the second family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clapometer.simulation.poisson.config import PoissonConfig

__all__ = ["OUTSIDE", "PoissonScenario"]


@dataclass(frozen=True, slots=True)
class PoissonScenario:
    """A named world of the second family.

    Attributes:
        name: As in the tables.
        config: The world.
        tier: What a ranking may say of its evidence; C where the log contradicts itself.
    """

    name: str
    config: PoissonConfig
    tier: str = "B"


def coin(days_ago: int, **changes: Any) -> PoissonConfig:
    """Two names of one version, of which the second came `days_ago`; every difference that is claimed is false."""
    settings: dict[str, Any] = {"n_models": 2, "quality_spread": 0.0, "launches": (0, -days_ago)}
    return PoissonConfig(**settings | changes)


STAGGERED: dict[str, Any] = {"n_models": 6, "n_days": 28, "launches": (0, 0, 5, 11, 17, 24), "publishing_days": 4}

OUTSIDE: tuple[PoissonScenario, ...] = (
    PoissonScenario("calm", PoissonConfig()),
    *(PoissonScenario(f"equals, one launched {k} days ago", coin(k)) for k in (1, 2, 4, 7, 14)),
    *(
        PoissonScenario(f"equals, one launched {k} days ago, weekly cycle", coin(k, week=0.25))
        for k in (1, 2, 4, 7, 14)
    ),
    PoissonScenario("staggered launches", PoissonConfig(**STAGGERED)),
    PoissonScenario("staggered launches, weekly cycle", PoissonConfig(**STAGGERED, week=0.25)),
    PoissonScenario("staggered launches, novelty of 10 days", PoissonConfig(**STAGGERED, week=0.25, novelty=0.4)),
    PoissonScenario("launched yesterday", PoissonConfig(launches=(0, 0, 0, -1), week=0.15)),
    PoissonScenario("launched yesterday, novelty", PoissonConfig(launches=(0, 0, 0, -1), novelty=0.3, novelty_days=3)),
    PoissonScenario(
        "catalogue registered at once",
        PoissonConfig(**STAGGERED | {"publishing_days": 0}, week=0.25, registered_at_once=True),
    ),
    PoissonScenario("drift by version", PoissonConfig(n_days=28, version_drift=0.08)),
    PoissonScenario("a feed that favours", PoissonConfig(explore=0.1, positions=5, slots_a_day=4_000)),
    PoissonScenario(
        "everything called explored",
        PoissonConfig(explore=0.1, favour=2.0, everything_explored=True, slots_a_day=4_000),
        tier="C",
    ),
    PoissonScenario("two-stage retrieval", PoissonConfig(n_models=6, retrieval="by viewer", explore=0.3)),
    PoissonScenario(
        "two-stage retrieval, launches, weekly cycle",
        PoissonConfig(n_models=6, retrieval="by viewer", explore=0.3, launches=(0, 0, 3, 0, 5, 9), week=0.25),
    ),
    PoissonScenario("per-prompt candidates", PoissonConfig(n_models=4, retrieval="own variants", base_rate=0.06)),
)
"""The scenarios of ``clapometer study --part outside``."""
