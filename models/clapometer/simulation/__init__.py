"""Worlds with known truth and every confounder that misleads engagement rankings."""

from clapometer.simulation.behaviour import SIGNALS
from clapometer.simulation.config import CONFOUNDERS, WorldConfig
from clapometer.simulation.contestants import CONTESTANTS, Contestant, Estimate
from clapometer.simulation.log import TYPICAL_DURATION_MS, EngagementLog, seen_by, simulate_log
from clapometer.simulation.observation import Observation, observe, screened
from clapometer.simulation.scenarios import SCENARIOS, Scenario
from clapometer.simulation.truth import Label, Truth, clip_truth, compute_truth, fit_label
from clapometer.simulation.world import Clips, Models, Prompts, Viewers, World, build_world

__all__ = [
    "CONFOUNDERS",
    "CONTESTANTS",
    "SCENARIOS",
    "SIGNALS",
    "TYPICAL_DURATION_MS",
    "Clips",
    "Contestant",
    "EngagementLog",
    "Estimate",
    "Label",
    "Models",
    "Observation",
    "Prompts",
    "Scenario",
    "Truth",
    "Viewers",
    "World",
    "WorldConfig",
    "build_world",
    "clip_truth",
    "compute_truth",
    "fit_label",
    "observe",
    "screened",
    "seen_by",
    "simulate_log",
]
