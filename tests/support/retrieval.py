"""A feed of two stages: the first offers viewers clips by who they are, the second draws among them by chance."""

import random

from tests.support.event_rows import Row, answer, at, clip, impression

__all__ = ["two_stages"]


def two_stages(
    *, offered: tuple[int, int] = (4, 12), seed: int = 0, viewers: int = 500, shown: int = 9_000, prompts: int = 40,
    better: float = 1.5, sticky: bool = False,
) -> list[Row]:  # fmt: skip
    """Returns traffic in which version a is better than b for everybody, and lenient viewers are offered more of b.

    Args:
        offered: Candidates of the less and of the more offered version.
        seed: Of chance.
        viewers: Every second of whom is lenient.
        shown: Impressions.
        prompts: Of each of which both versions made a clip.
        better: How many times as often a is liked as b by the same viewer.
        sticky: Viewers are offered one version only.
    """
    rng = random.Random(seed)
    few, many = (0, offered[1]) if sticky else offered
    rows = [clip(f"{name}{p}", f"p{p}", name, at(days=-1)) for p in range(prompts) for name in "ab"]
    for n in range(shown):
        viewer = rng.randrange(viewers)
        lenient = bool(viewer % 2)
        sizes = {name: many if (name == "b") == lenient else few for name in "ab"}
        candidates = [f"{name}{p}" for name in "ab" for p in rng.sample(range(prompts), sizes[name])]
        chosen, time = rng.choice(candidates), at(days=rng.randrange(3), seconds=rng.randrange(80_000))
        chance = {"propensity": 1 / len(candidates), "candidates": len(candidates)}
        rows.append(impression(f"i{n}", chosen, time, explored=True, viewer_id=f"v{viewer}", **chance))
        if rng.random() < (0.36 if lenient else 0.12) * (better if chosen[0] == "a" else 1.0):
            rows.append(answer("reacted", f"i{n}", f"r{n}", time, reaction="like"))
    return rows
