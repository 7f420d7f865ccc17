"""What is exported, and what is left out."""

from __future__ import annotations

from typing import Literal

import msgspec

from clapometer.domain import InputError

Kind = Literal["trl-preference", "trl-unpaired"]
Tier = Literal["A", "B", "C"]
MAX_ROWS = 1_000_000_000


class ExportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is exported of a run.

    Attributes:
        kind: Form of the rows.
        tenant: Whose labels.
        min_tier: The weakest tier that counts: A is what people said, B what viewers did with logged chances.
        min_posterior: Least probability that the chosen clip is the better one.
        max_per_prompt: Most pairs of one prompt, those that tell most; None for all.
        max_per_model: Most pairs that one model version wins, those that tell most; None for all.
        held_out: Share of the prompts that go into ``test`` instead of ``train``; all of a prompt goes into one.
        resample: Rows to draw by weight, with replacement, for trainers that read no weight; None for each row once.
        seed: Of the split and of what is drawn.
    """

    kind: Kind
    tenant: str = "default"
    min_tier: Tier = "C"
    min_posterior: float = 0.5
    max_per_prompt: int | None = None
    max_per_model: int | None = None
    held_out: float = 0.0
    resample: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, ok, range_ in (
            ("min_posterior", self.min_posterior, 0.5 <= self.min_posterior < 1, "from 0.5 to below 1"),
            ("held_out", self.held_out, 0 <= self.held_out < 1, "from 0 to below 1"),
            ("max_per_prompt", self.max_per_prompt, _counts(self.max_per_prompt), "at least 1"),
            ("max_per_model", self.max_per_model, _counts(self.max_per_model), "at least 1"),
            ("resample", self.resample, _counts(self.resample), f"from 1 to {MAX_ROWS:,}"),
        ):
            if not ok:
                msg = f"must be {range_}, is {value}; correct it"
                raise InputError(msg, name)


def _counts(number: int | None) -> bool:
    return number is None or 1 <= number <= MAX_ROWS
