"""A second family of worlds, which shares no form with the estimators: reactions are counts, effects multiply.

There is no logistic link, no ceiling and no normal distribution in it: what viewers do comes from Poisson counts whose
rates are products of gamma draws. A ranking that holds in both families does not hold because of a form.
"""

from clapometer.simulation.poisson.config import PoissonConfig
from clapometer.simulation.poisson.feed import RETRIEVALS, Retrieval
from clapometer.simulation.poisson.log import label_of, simulate_poisson
from clapometer.simulation.poisson.scenarios import OUTSIDE, PoissonScenario
from clapometer.simulation.poisson.world import PoissonWorld, build_poisson, poisson_truth

__all__ = [
    "OUTSIDE",
    "RETRIEVALS",
    "PoissonConfig",
    "PoissonScenario",
    "PoissonWorld",
    "Retrieval",
    "build_poisson",
    "label_of",
    "poisson_truth",
    "simulate_poisson",
]
