"""The clips of a simulated world as registrations."""

import datetime as dt
from collections.abc import Iterator

import numpy as np

from clapometer.domain import events
from clapometer.simulation import TYPICAL_DURATION_MS, World
from clapometer.traffic.worlds.ids import IdSpace
from clapometer.traffic.worlds.prompt_texts import PromptText

_FAMILIES = ("Lumen", "Motif", "Reverie", "Kinora")
_RELEASES = ("1.0", "1.5", "2.0")


def model_release(index: int) -> events.Model:
    """Returns name and version of the ``index``-th model version of a world."""
    family = _FAMILIES[index % len(_FAMILIES)]
    release = index // len(_FAMILIES)
    version = _RELEASES[release] if release < len(_RELEASES) else f"{release}.0"
    return events.Model(name=family, version=version)


def registrations(
    world: World, prompts: list[PromptText], ids: IdSpace, *, source: str, starts_at: dt.datetime
) -> Iterator[events.Event]:
    """Yields a registration for each published clip.

    A repost has the content hash of its original, as a platform finds out; tries that were never shown are
    not registered, so that no clip seems to have had a chance that it did not get.
    """
    clips = world.clips
    durations = np.floor(TYPICAL_DURATION_MS * np.exp(clips.log_duration)).astype(np.int64)
    for clip in np.flatnonzero(clips.published).tolist():
        prompt = int(clips.prompt[clip])
        model = int(clips.model[clip])
        text = prompts[prompt]
        seconds = int(durations[clip]) / 1000
        clip_id = ids.id("clip", clip)
        from_image = bool(world.prompts.from_image[prompt])
        yield events.ClipRegistered(
            specversion="1.0",
            id=f"{clip_id}-registered",
            source=source,
            time=starts_at + dt.timedelta(days=int(clips.published_day[clip])),
            data=events.ClipRegisteredData(
                clip_id=clip_id,
                prompt=events.Prompt(text=text.text, hash=ids.id("prompt", prompt), lang="en"),
                model=model_release(model),
                duration_ms=int(durations[clip]),
                task="i2v" if from_image else "t2v",
                template=events.Template(id=text.template, version="1", vars=dict(text.variables)),
                seed=clip,
                references=[events.Reference(role="first_frame", media="image")] if from_image else None,
                lineage=events.Lineage(batch_id=ids.id("attempt", int(clips.attempt[clip])), scenario=text.scenario),
                cost=events.Cost(
                    gpu_seconds=round(seconds * (6 + model), 1),
                    amount=round(seconds * (6 + model) * 0.0007, 5),
                    currency="USD",
                ),
                content_hash=ids.id("content", int(clips.unit[clip])),
                training_allowed=True,
            ),
        )
