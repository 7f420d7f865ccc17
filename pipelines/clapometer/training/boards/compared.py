"""Model versions as people compared them: the comparisons, and the strengths that fit them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student

from clapometer.labels import voter_weights
from clapometer.ranking import BradleyTerry, Unranked, comparable_items
from clapometer.training.boards.rows import Row
from clapometer.training.evidence.clips import Clips
from clapometer.training.evidence.heard import Heard
from clapometer.training.parameters import Parameters

__all__ = ["FEWEST_VOTERS", "Compared", "Strengths", "compare_versions", "fit_strengths", "sided"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

FEWEST_VOTERS = 3
"""A model version that fewer people voted on has no place: two do not say how much people differ."""
_OF_VIEWERS = (
    "impressions", "completion_rate", "like_rate", "cost_per_clip", "revenue_per_1000", "currency", "currency_share",
    "cost_currency", "cost_currency_share",
)  # fmt: skip
"""Columns of what viewers did, which a ranking by votes does not rest on."""


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """Comparisons of clips of two model versions, one row each.

    Attributes:
        items: Model versions.
        pair: Left and right one, which count in `items`, ``(n, 2)``.
        result: 1 where left is better, 0 where right is, 0.5 for a tie.
        clip: The clips, rows of `Clips`, ``(n, 2)``.
        prompt: Of both.
        voter: Number of who said it.
        side: 1 where left was shown on the left, in a vote; 0 in a creator's choice, which has no sides.
    """

    items: Ints
    pair: Ints
    result: Floats
    clip: Ints
    prompt: Ints
    voter: Ints
    side: Floats

    @property
    def cluster(self) -> Ints:
        """What rows depend by: prompts, and voters."""
        return np.column_stack([self.prompt, self.voter])

    @property
    def degrees(self) -> int:
        """Degrees of freedom: clusters of the rarer kind, less one."""
        return min(len(np.unique(self.prompt)), len(np.unique(self.voter))) - 1

    def widening(self, level: float) -> float:
        """How much wider intervals are than those of so many clusters that their errors are normal."""
        return float(student.ppf(0.5 + level / 2, self.degrees) / norm.ppf(0.5 + level / 2))

    def facts(self, item: int) -> Row:
        """Returns what an item's row counts: votes and what they were about, nothing that viewers did."""
        about = (self.pair == item).any(1)
        return {
            **dict.fromkeys(_OF_VIEWERS),
            "votes": int(about.sum()),
            "viewers": len(np.unique(self.voter[about])),
            "clips": len(np.unique(self.clip[self.pair == item])),
            "prompts": len(np.unique(self.prompt[about])),
        }

    def among(self, chosen: Ints) -> Compared:
        """Returns the comparisons of two of the chosen items, which are those of the result."""
        place = np.full(len(self.items), -1)
        place[chosen] = np.arange(len(chosen))
        kept = (place[self.pair] >= 0).all(1)
        return Compared(
            self.items[chosen], place[self.pair[kept]], self.result[kept], self.clip[kept], self.prompt[kept],
            self.voter[kept], self.side[kept],
        )  # fmt: skip


def compare_versions(heard: Heard, clips: Clips) -> Compared:
    """Returns what people said of two clips of different model versions."""
    said, model = heard.said, clips.model.index
    assert said.voter is not None
    apart = (model[said.left] != model[said.right]) & (model[said.left] >= 0) & (model[said.right] >= 0)
    left, right = said.left[apart], said.right[apart]
    items, pair = np.unique(np.column_stack([model[left], model[right]]), return_inverse=True)
    return Compared(
        items, pair.reshape(-1, 2), said.result[apart], np.column_stack([left, right]), clips.prompt.index[left],
        said.voter[apart], heard.voted[apart].astype(np.float64),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Strengths:
    """The model versions that votes can place, and their strengths.

    Attributes:
        compared: Their comparisons.
        fit: None where all of them are ties, or where there are none.
        unranked: The other ones, which count in the items of all comparisons, with the reasons.
    """

    compared: Compared
    fit: BradleyTerry | None
    unranked: tuple[Unranked, ...]


def sided() -> BradleyTerry:
    """Returns the estimator: strengths, and how much the left side is preferred, about 0 with variance 1 beforehand."""
    return BradleyTerry(covariate_ridge=1.0)


def fit_strengths(compared: Compared, parameters: Parameters) -> Strengths:
    """Returns the strengths of the model versions that people compared, as far as votes can place them.

    Nobody's votes weigh as those of many (`voter_weights`); what people say for the left one because it is the left one
    is taken out; intervals know that votes about one prompt, and of one voter, are alike.

    References:
        Davidson, Beaver (1977), On extending the Bradley-Terry model to incorporate within-pair order effects,
        Biometrics 33.
    """
    chosen, unranked = comparable_items(
        compared.pair, compared.result, len(compared.items), cluster=compared.cluster,
        fewest=(parameters.min_prompts, FEWEST_VOTERS),
    )  # fmt: skip
    among = compared.among(chosen)
    if (among.result == 0.5).all():
        return Strengths(among, None, unranked)
    fit = sided().fit(
        among.pair, among.result, voter_weights(among.voter), covariates=among.side, cluster=among.cluster,
        n_items=len(among.items),
    )  # fmt: skip
    return Strengths(among, fit, unranked)
