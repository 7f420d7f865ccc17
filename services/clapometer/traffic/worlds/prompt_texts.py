"""Prompts that read like prompts, made from a seed."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

SCENARIOS = (
    "cooking", "pets", "travel", "fashion", "sport", "product", "science fiction", "nature", "city life", "music",
)  # fmt: skip
"""Topics of prompts; a world with more of them numbers the rest."""

_SUBJECTS: dict[str, tuple[str, ...]] = {
    "cooking": ("a chef folding dumplings", "noodles tossed in a hot wok", "a grandmother kneading bread",
                "chocolate poured over strawberries", "a barista drawing a swan in milk foam"),
    "pets": ("a corgi chasing soap bubbles", "two kittens asleep in a laundry basket", "a parrot riding a toy train",
             "an old dog greeting its owner", "a hamster exploring a doll's house"),
    "travel": ("a night train crossing a viaduct", "a hiker reaching a mountain hut", "lanterns drifting on a river",
               "a ferry entering a harbour", "a tuk-tuk weaving through a market"),
    "fashion": ("a dancer in a mirrored coat", "a tailor pinning a velvet jacket", "sneakers splashing in a puddle",
                "a model in a paper dress", "silk scarves caught by the wind"),
    "sport": ("a skater landing a kickflip", "a goalkeeper diving in the rain", "climbers on a frozen waterfall",
              "a surfer inside a green wave", "sprinters leaving the blocks"),
    "product": ("a wristwatch assembling itself", "a perfume bottle in a slow spin", "headphones on a vinyl record",
                "a running shoe made of light", "a tea set steaming at dawn"),
    "science fiction": ("a rover finding a flower", "an elevator to orbit", "a robot learning to paint",
                        "a city folding into the sky", "a diver under a moon's ice"),
    "nature": ("a fox crossing fresh snow", "whales breathing at sunrise", "moss growing over a bicycle",
               "a hummingbird at a red flower", "a storm rolling over wheat"),
    "city life": ("umbrellas at a zebra crossing", "a busker under a bridge", "a rooftop garden at noon",
                  "children opening a fire hydrant", "a bookshop cat in a window"),
    "music": ("a pianist in an empty station", "a drummer made of paper", "a choir on a spiral stair",
              "a violin floating in water", "a street brass band"),
}  # fmt: skip
_PLACES = (
    "in an old harbour town", "on a rainy Tokyo side street", "in a sunlit kitchen", "on a rooftop in Lagos",
    "beside a mountain lake", "in a neon arcade", "in a desert at dusk", "under cherry trees", "in a glass studio",
    "on a frozen river", "in a library after closing", "at a night market",
)  # fmt: skip
_LIGHTS = (
    "golden hour light", "soft window light", "hard noon sun", "candle light", "neon reflections", "morning fog",
    "moonlight", "a single spotlight",
)  # fmt: skip
_CAMERAS = (
    "slow dolly in", "handheld", "drone shot rising", "macro lens", "locked tripod shot", "orbiting camera",
    "whip pan to the left", "over the shoulder", "fisheye", "time lapse",
)  # fmt: skip
_SHAPES = (
    "{subject} {place}, {light}, {camera}",
    "{camera} of {subject} {place}, {light}",
    "Cinematic clip: {subject} {place}. {light}. {camera}.",
    "POV: you find {subject} {place}, {light}, {camera}",
    "{light}, {camera}: {subject} {place}",
    "Trailer opening, {subject} {place}, {camera}, {light}",
)  # fmt: skip
_STYLES = (
    "photorealistic", "stop motion", "watercolour animation", "35 mm film", "claymation", "pixel art", "anime",
    "documentary", "paper cut-out", "low-poly 3D",
)  # fmt: skip


@dataclass(frozen=True)
class PromptText:
    """A prompt and how it was filled in.

    Attributes:
        text: What the generator is asked for; no two of a world are the same.
        scenario: Its topic.
        template: Id of the template.
        variables: Values that filled the template.
    """

    text: str
    scenario: str
    template: str
    variables: dict[str, str]


def scenario_name(topic: int) -> str:
    """Returns the name of a topic."""
    name = SCENARIOS[topic % len(SCENARIOS)]
    return name if topic < len(SCENARIOS) else f"{name} {topic // len(SCENARIOS) + 1}"


def template_id(template: int) -> str:
    """Returns the id of a template: a sentence shape and a style."""
    style = _STYLES[template // len(_SHAPES) % len(_STYLES)].replace(" ", "-").lower()
    return f"{style}-{template % len(_SHAPES) + 1}" if template < 60 else f"{style}-{template}"


def write_prompts(topics: Sequence[int], templates: Sequence[int], seed: int) -> list[PromptText]:
    """Returns a prompt for each pair of topic and template; the same arguments give the same texts."""
    draw = random.Random(f"prompts:{seed}")  # noqa: S311 - texts, not secrets
    seen: dict[str, int] = {}
    return [_write(draw, topic, template, seen) for topic, template in zip(topics, templates, strict=True)]


def _write(draw: random.Random, topic: int, template: int, seen: dict[str, int]) -> PromptText:
    variables = {
        "subject": draw.choice(_SUBJECTS[SCENARIOS[topic % len(SCENARIOS)]]),
        "place": draw.choice(_PLACES),
        "light": draw.choice(_LIGHTS),
        "camera": draw.choice(_CAMERAS),
    }
    style = _STYLES[template // len(_SHAPES) % len(_STYLES)]
    text = f"{_SHAPES[template % len(_SHAPES)].format(**variables)} ({style})"
    text = text[0].upper() + text[1:]
    seen[text] = seen.get(text, 0) + 1
    if seen[text] > 1:  # two creators may think alike; the seed of their request tells them apart
        variables["variation"] = str(seen[text])
        text = f"{text}, variation {seen[text]}"
    return PromptText(text, scenario_name(topic), template_id(template), variables)
