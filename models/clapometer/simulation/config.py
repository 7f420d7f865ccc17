"""Size of a simulated world and one switch per confounder."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Self

__all__ = ["CONFOUNDERS", "WorldConfig"]


@dataclass(frozen=True, slots=True)
class WorldConfig:
    """A world: how large it is, how much truth varies, and what misleads.

    Spreads are standard deviations on the log-odds scale. Everything below `popularity` is a confounder
    and can be switched off; `WorldConfig.calm` has them all off, `WorldConfig.alone` all but one.

    Attributes:
        n_models: Model versions.
        n_prompts: Prompts, each used for `clips_per_prompt` clips on average.
        n_topics: Topics, the strata of prompts.
        n_templates: Prompt templates.
        n_viewers: Human viewers.
        n_days: Length of the log.
        n_sessions: Sessions in all; a session has `slots_per_session` impressions.
        explore: Share of slots that is filled uniformly at random.
        quality_spread: Of the model versions' true quality.
        match_spread: Of prompt x model version, the luck of one model with one prompt.
        template_spread: Of templates.
        mood_spread: Of session mood, which moves engagement and retention alike.
        popularity: The feed favours clips that earned engagement.
        insider: The feed sees part of the true quality of a clip, which nobody else observes.
        position: Lower positions are examined less, and popular clips sit on top.
        surface: Two surfaces are examined differently, and newer model versions live on the worse one.
        duration: Completion falls with duration, and model versions differ in duration.
        autoplay: On the second surface clips also run to the end unwatched.
        leniency: Viewers differ in how easily they react, and lenient ones see newer model versions.
        taste: Viewers prefer topics, and the feed knows it.
        prompt_difficulty: Prompts differ, and newer model versions get the harder ones.
        topic_interaction: Model versions are better at some topics, and have unequal mixes of topics.
        clip_noise: Clips of one prompt and model version differ; some model versions are inconsistent.
        hooks: Clickbait: more completions and likes, no more satisfaction; model versions differ.
        reposts: Share of clips that are reposts of good ones.
        bots: Fake accounts, each of which likes about 150 clips of one mediocre model version.
        novelty: New clips earn more for some days.
        drift: The base rate rises, and model versions were launched one after another.
        selective_publishing: Creators re-roll until they like the result; only that clip is shown.
        missing_propensities: Share of viewers whose app does not log propensities; 1 leaves none.
        late_events: Some reactions come days later; those after the end of the log are not seen.
    """

    n_models: int = 12
    n_prompts: int = 5000
    n_topics: int = 10
    n_templates: int = 60
    n_viewers: int = 20_000
    n_days: int = 28
    n_sessions: int = 60_000
    slots_per_session: int = 10
    clips_per_prompt: float = 4.0
    explore: float = 0.10
    quality_spread: float = 0.12
    match_spread: float = 0.20
    template_spread: float = 0.25
    mood_spread: float = 0.4

    popularity: bool = True
    insider: bool = True
    position: bool = True
    surface: bool = True
    duration: bool = True
    autoplay: bool = True
    leniency: bool = True
    taste: bool = True
    prompt_difficulty: bool = True
    topic_interaction: bool = True
    clip_noise: bool = True
    hooks: bool = True
    reposts: float = 0.04
    bots: int = 200
    novelty: bool = True
    drift: bool = True
    selective_publishing: bool = True
    missing_propensities: float = 0.1
    late_events: bool = True

    @classmethod
    def calm(cls, **changes: Any) -> Self:
        """A world without confounders: a clean randomised test."""
        return replace(cls(**dict.fromkeys(CONFOUNDERS, False), explore=1.0), **changes)

    @classmethod
    def alone(cls, confounder: str, **changes: Any) -> Self:
        """The calm world with one confounder, exposed by a feed that explores as by default."""
        default = {f.name: f.default for f in fields(cls)}
        value = 0.3 if confounder == "missing_propensities" else default[confounder]
        return cls.calm(**{confounder: value, "explore": default["explore"]} | changes)


CONFOUNDERS = tuple(f.name for f in fields(WorldConfig))[14:]
"""Names of the switches, in the order of `WorldConfig`."""
