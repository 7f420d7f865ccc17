"""The latent world: model versions, prompts, clips and viewers, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clapometer.simulation.config import WorldConfig

__all__ = ["Clips", "Models", "Prompts", "Tries", "Viewers", "World", "build_world", "creator_tries", "draw_tries"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Random = np.random.Generator

BASE_APPEAL = -0.2
DURATION_SPREAD = 0.45
IMAGE_PENALTY = -0.25
MAX_TRIES = 4
MATURITY_DAYS = 3
"""Days that an impression needs before its outcome counts."""


@dataclass(frozen=True, slots=True, eq=False)
class Models:
    """Model versions, ``(n_models,)`` each; `by_topic` is ``(n_models, n_topics)``."""

    quality: Floats
    by_topic: Floats
    launch_day: Ints
    newness: Floats
    clip_spread: Floats
    hook: Floats
    log_duration: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Prompts:
    """Prompts, ``(n_prompts,)`` each; `match` is ``(n_prompts, n_models)``.

    `ease` is everything about a prompt that holds for all model versions.
    """

    topic: Ints
    template: Ints
    from_image: Bools
    difficulty: Floats
    ease: Floats
    match: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Clips:
    """Every generated clip, ``(n_clips,)`` each.

    Attributes:
        prompt: Index.
        model: Index.
        appeal: Log-odds of satisfying an average viewer.
        log_duration: Over the typical duration.
        hook: Clickbait.
        published_day: First day of exposure.
        published: False for creators' rejected tries, which are never shown.
        attempt: Tries of one creator for one prompt and model version share it.
        unit: The clip itself, or the original of a repost.
    """

    prompt: Ints
    model: Ints
    appeal: Floats
    log_duration: Floats
    hook: Floats
    published_day: Ints
    published: Bools
    attempt: Ints
    unit: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Viewers:
    """Viewers, ``(n_viewers,)`` each; `taste` is ``(n_viewers, n_topics)``.

    `activity` sums to 1; `lenient_cohort` are the early adopters; `logs_propensity` the up-to-date apps.
    """

    taste: Floats
    leniency: Floats
    activity: Floats
    lenient_cohort: Bools
    logs_propensity: Bools


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """A complete latent world; `day_shift` is ``(n_days,)``."""

    config: WorldConfig
    models: Models
    prompts: Prompts
    clips: Clips
    viewers: Viewers
    day_shift: Floats


def build_world(config: WorldConfig, seed: int) -> World:
    """The world of `seed`: the same arguments give the same world."""
    random = np.random.default_rng(seed)
    models = _models(config, random)
    prompts = _prompts(config, random)
    clips = _with_reposts(config, random, _clips(config, random, models, prompts))
    viewers = _viewers(config, random)
    drift = np.linspace(-0.25, 0.25, config.n_days) * config.drift
    # The last days are not mature when the log ends: the average day is one of the others.
    return World(config, models, prompts, clips, viewers, drift - drift[:-MATURITY_DAYS].mean())


def _models(config: WorldConfig, random: Random) -> Models:
    n = config.n_models
    quality = random.normal(size=n)
    quality = config.quality_spread * (quality - quality.mean()) / quality.std()
    by_topic = random.normal(0, 0.15 * config.topic_interaction, (n, config.n_topics))
    launch = np.linspace(0, 0.6 * config.n_days, n).astype(np.int64)
    inconsistency = random.normal(0, 0.45, n)
    return Models(
        quality=quality,
        by_topic=by_topic - by_topic.mean(1, keepdims=True),
        launch_day=launch if config.drift else np.zeros(n, np.int64),
        newness=np.linspace(-1.5, 1.5, n),
        clip_spread=0.4 * np.exp(inconsistency) * config.clip_noise,
        hook=random.normal(0, 0.5, n) * config.hooks,
        log_duration=random.normal(0, 0.35, n) * config.duration,
    )


def _prompts(config: WorldConfig, random: Random) -> Prompts:
    n = config.n_prompts
    template = random.integers(0, config.n_templates, n)
    of_template = random.normal(0, config.template_spread, config.n_templates)
    difficulty = random.normal(0, 0.5, n) * config.prompt_difficulty
    from_image = random.random(n) < 0.35
    return Prompts(
        topic=random.integers(0, config.n_topics, n),
        template=template,
        from_image=from_image,
        difficulty=difficulty,
        ease=BASE_APPEAL + difficulty + of_template[template] + IMAGE_PENALTY * from_image,
        match=random.normal(0, config.match_spread, (n, config.n_models)),
    )


def _choose_models(config: WorldConfig, random: Random, models: Models, prompts: Prompts, prompt: Ints) -> Ints:
    """Which model version renders each prompt: newer ones get harder prompts, each its own topics."""
    speciality = random.normal(0, 0.7 * config.topic_interaction, (config.n_topics, config.n_models))
    harder = -0.6 * prompts.difficulty[:, None] * models.newness
    pull = harder + speciality[prompts.topic]
    # Gumbel-max: argmax of pull plus Gumbel noise is a draw from softmax(pull).
    chosen: Ints = (pull[prompt] + random.gumbel(size=(len(prompt), config.n_models))).argmax(1)
    return chosen


class Tries(NamedTuple):
    """Chance in every try of a creator, ``(n, MAX_TRIES)`` each; nobody judges where `judgement` is None."""

    luck: Floats
    judgement: Floats | None


def draw_tries(config: WorldConfig, random: Random, n: int) -> Tries:
    """Standard normal luck of `n` creators' tries, and how wrong each creator is about each."""
    luck = random.normal(size=(n, MAX_TRIES))
    return Tries(luck, random.normal(0, 0.3, luck.shape) if config.selective_publishing else None)


def creator_tries(tries: Tries, expected: Floats, spread: Floats) -> tuple[Floats, Ints]:
    """Luck of every try and the chosen one: creators re-roll what they dislike, at most three times.

    Args:
        tries: Chance.
        expected: Appeal of an average result, ``(n,)``.
        spread: Of the results.

    Returns:
        Luck ``(n, MAX_TRIES)`` and index of the published try ``(n,)``; later tries never happened.
    """
    luck = tries.luck * spread[:, None]
    if tries.judgement is None:
        return luck, np.zeros(len(expected), np.int64)
    liked = expected[:, None] + luck + tries.judgement > 0.0
    liked[:, -1] = True
    return luck, liked.argmax(1)


def _clips(config: WorldConfig, random: Random, models: Models, prompts: Prompts) -> Clips:
    per_prompt = 1 + random.poisson(config.clips_per_prompt - 1, config.n_prompts)
    prompt = np.repeat(np.arange(config.n_prompts), per_prompt)
    model = _choose_models(config, random, models, prompts, prompt)
    merit = models.quality[model] + models.by_topic[model, prompts.topic[prompt]] + prompts.match[prompt, model]
    luck, chosen = creator_tries(draw_tries(config, random, len(prompt)), merit, models.clip_spread[model])
    attempt, tried = np.nonzero(np.arange(MAX_TRIES) <= chosen[:, None])
    prompt, model = prompt[attempt], model[attempt]
    n = len(attempt)
    launch = models.launch_day[model]
    spread_out = config.drift or config.novelty
    wait = random.random(n) * np.maximum(1, config.n_days - 4 - launch) * spread_out
    duration = random.normal(0, DURATION_SPREAD, n) + models.log_duration[model]
    return Clips(
        prompt=prompt,
        model=model,
        appeal=merit[attempt] + prompts.ease[prompt] + luck[attempt, tried],
        log_duration=duration + 0.15 * prompts.from_image[prompt],
        hook=models.hook[model] + random.normal(0, 0.5, n) * config.hooks,
        published_day=(launch + wait).astype(np.int64),
        published=tried == chosen[attempt],
        attempt=attempt,
        unit=np.arange(n),
    )


def _with_reposts(config: WorldConfig, random: Random, clips: Clips) -> Clips:
    n = int(config.reposts * clips.published.sum())
    if not n:
        return clips
    pull = np.exp(2.0 * (clips.appeal + random.normal(0, 0.3, len(clips.appeal)))) * clips.published
    source = random.choice(len(pull), n, p=pull / pull.sum())
    later = np.minimum(clips.published_day[source] + random.integers(1, 6, n), config.n_days - 2)
    columns = {name: np.concatenate([getattr(clips, name), getattr(clips, name)[source]]) for name in Clips.__slots__}
    columns["published_day"][-n:] = later
    return Clips(**columns)


def _viewers(config: WorldConfig, random: Random) -> Viewers:
    n = config.n_viewers
    leniency = random.normal(0, 0.8, n) * config.leniency
    activity = np.exp(random.normal(0, 0.8, n) + 0.25 * leniency)
    return Viewers(
        taste=random.normal(0, 0.6 * config.taste, (n, config.n_topics)),
        leniency=leniency,
        activity=activity / activity.sum(),
        lenient_cohort=leniency + random.normal(0, 0.5, n) > 0.5,
        logs_propensity=random.random(n) >= config.missing_propensities,
    )
