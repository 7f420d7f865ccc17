"""Size of a world of the second family, and what misleads in it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PoissonConfig"]


@dataclass(frozen=True, slots=True)
class PoissonConfig:
    """A world of the second family.

    Spreads are coefficients of variation of gamma draws with mean 1 that multiply the rate of reactions.

    Attributes:
        n_models: Model versions.
        n_prompts: Prompts; every version renders each with the chance `rendered`.
        n_viewers: Viewers.
        n_days: Length of the log.
        slots_a_day: Impressions a day.
        positions: Of a session; lower ones are looked at less where there are several.
        rendered: Chance that a version renders a prompt.
        base_rate: Reactions per impression of a usual clip.
        quality_spread: Of versions; 0 makes them equals.
        prompt_spread: Of prompts.
        clip_spread: Of clips of one prompt.
        viewer_spread: Of viewers.
        launches: Day on which each version came, counted from the end where negative; the first where it names none.
        publishing_days: Days over which a version's clips are published from its launch on; 0 is all at once.
        registered_at_once: All clips are registered on the first day, whenever they could be shown first.
        week: Largest rise and fall of all rates over a week, as a share.
        drift: By which all rates rise from first to last day, as a share.
        novelty: By which a new clip's rate is raised, as a share.
        novelty_days: Days after which a third of that is left.
        version_drift: Of every version and day alone.
        explore: Share of slots that are filled by chance.
        favour: How strongly the feed favours what was reacted to; its chances go with that power of the rate so far.
        everything_explored: The log calls every slot explored, at 1 / candidates, whatever the feed did.
        retrieval: Name in `RETRIEVALS` of the stage that chooses candidates by viewer; empty where all clips are.
    """

    n_models: int = 4
    n_prompts: int = 300
    n_viewers: int = 4_000
    n_days: int = 14
    slots_a_day: int = 2_000
    positions: int = 1
    rendered: float = 1.0
    base_rate: float = 0.12
    quality_spread: float = 0.12
    prompt_spread: float = 0.4
    clip_spread: float = 0.2
    viewer_spread: float = 0.7
    launches: tuple[int, ...] = ()
    publishing_days: int = 0
    registered_at_once: bool = False
    week: float = 0.0
    drift: float = 0.0
    novelty: float = 0.0
    novelty_days: float = 10.0
    version_drift: float = 0.0
    explore: float = 1.0
    favour: float = 1.0
    everything_explored: bool = False
    retrieval: str = ""

    def launch_day(self, model: int) -> int:
        """Day on which a version came."""
        day = self.launches[model] if model < len(self.launches) else 0
        return day if day >= 0 else self.n_days + day
