"""What is true of a simulated world, in a file to hold rankings against."""

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from clapometer.domain import InputError
from clapometer.simulation import SIGNALS, compute_truth, fit_label
from clapometer.traffic.worlds.clips import model_release
from clapometer.traffic.worlds.traffic import WorldTraffic


class TrueModel(msgspec.Struct, frozen=True):
    """A model version and its worth: ``expected_label`` per impression under uniform exposure, and ``utility``."""

    name: str
    version: str
    expected_label: float
    utility: float
    rank: int


class TruePrompt(msgspec.Struct, frozen=True):
    """A prompt and its worth over all model versions alike."""

    prompt_id: str
    text: str
    template: str
    expected_label: float
    utility: float
    rank: int


class WorldTruth(msgspec.Struct, frozen=True):
    """The truth about one world.

    Attributes:
        source: CloudEvents source of its events.
        weights: Of the label by signal; completion counts relative to what is usual for the duration.
        models: Best first by expected label.
        prompts: Best first by expected label.
    """

    source: str
    weights: dict[str, float]
    models: list[TrueModel]
    prompts: list[TruePrompt]


def truth_of(traffic: WorldTraffic) -> WorldTruth:
    """Returns the truth, computed from the latent world and never from its log."""
    label = fit_label(traffic.world)
    truth = compute_truth(traffic.world, label)
    models = [
        TrueModel(model_release(i).name, model_release(i).version, *_numbers(truth.models, truth.utility, i), rank)
        for rank, i in _ranked(truth.models)
    ]
    prompts = [
        TruePrompt(
            traffic.ids.id("prompt", i),
            traffic.prompts[i].text,
            traffic.prompts[i].template,
            *_numbers(truth.prompts, truth.prompt_utility, i),
            rank,
        )
        for rank, i in _ranked(truth.prompts)
    ]
    weights = dict(zip(SIGNALS, label.weights, strict=True))
    return WorldTruth(traffic.source, weights, models, prompts)


def write_truth(truth: WorldTruth, path: Path) -> None:
    """Writes the truth as JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(truth), indent=1))


def read_truth(path: Path) -> WorldTruth:
    """Returns what :func:`write_truth` wrote.

    Raises:
        InputError: Not such a file.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=WorldTruth)
    except (OSError, msgspec.MsgspecError) as error:
        msg = f"not a truth file of `clapometer simulate --truth`: {error}"
        raise InputError(msg, str(path)) from error


def _ranked(values: NDArray[np.float64]) -> list[tuple[int, int]]:
    return list(enumerate(np.argsort(-values, kind="stable").tolist(), start=1))


def _numbers(label: NDArray[np.float64], utility: NDArray[np.float64], index: int) -> tuple[float, float]:
    return round(float(label[index]), 6), round(float(utility[index]), 6)
