"""Worlds with known truth and every confounder that misleads engagement rankings."""

from clapometer.simulation.adversaries import ADVERSARIES, Adversary, with_adversary
from clapometer.simulation.behaviour import SIGNALS
from clapometer.simulation.config import CONFOUNDERS, WorldConfig
from clapometer.simulation.log import TYPICAL_DURATION_MS, EngagementLog, seen_by, simulate_log
from clapometer.simulation.scenarios import SCENARIOS, Scenario
from clapometer.simulation.truth import Label, Truth, clip_truth, compute_truth, fit_label
from clapometer.simulation.twins import build_twins
from clapometer.simulation.value_truth import clip_values, prompt_values
from clapometer.simulation.world import Clips, Models, Prompts, Viewers, World, build_world

__all__ = [
    "ADVERSARIES",
    "CONFOUNDERS",
    "SCENARIOS",
    "SIGNALS",
    "TYPICAL_DURATION_MS",
    "Adversary",
    "Clips",
    "EngagementLog",
    "Label",
    "Models",
    "Prompts",
    "Scenario",
    "Truth",
    "Viewers",
    "World",
    "WorldConfig",
    "build_twins",
    "build_world",
    "clip_truth",
    "clip_values",
    "compute_truth",
    "fit_label",
    "prompt_values",
    "seen_by",
    "simulate_log",
    "with_adversary",
]
